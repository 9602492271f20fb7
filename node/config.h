// SPDX-License-Identifier: Apache-2.0
// The node's settings: one table (config_table.h) yields file schema, flags, environment variables,
// limits, --help, --print-config and the manual page.
//
// Precedence: flag, then KEYREEVE_<NAME> in the environment, then the YAML file, then the default.
// Read once at start, immutable afterwards; any thread.
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "core/base/cidr.h"
#include "core/base/fault.h"

#define KR_CONFIG_SCHEME_MAX 32 // of credential_scheme

struct config {
    // One field a row of config_table.h: TEXT is char *, NUMBER int64_t, FLAG bool; SECRET none.
#define TEXT(name, fallback, help) char *name;
#define NUMBER(name, fallback, least, most, unit, help) int64_t name;
#define FLAG(name, fallback, help) bool name;
#define SECRET(name, help)
#include "node/config_table.h"
#undef TEXT
#undef NUMBER
#undef FLAG
#undef SECRET
    // Derived from the texts, checked.
    struct cidr *trusted_proxy_list; // of trusted_proxies
    size_t trusted_proxy_count;
    bool has_master_key_variable; // where the master key is, since the variable goes
};

enum config_action {
    KR_CONFIG_RUN,
    KR_CONFIG_CHECK,
    KR_CONFIG_PRINT,
    KR_CONFIG_HELP,
    KR_CONFIG_VERSION,
    KR_CONFIG_MAN
};

// Gives *out: the defaults alone for HELP, VERSION and MAN, which read no settings. INVALID names
// the setting and where it stood (flag, variable, file:line) and the mend.
must_use enum kr_err config_load(int argc, char **argv, struct config **out,
                                 enum config_action *action, struct fault *fault);
void config_free(struct config **config);

void config_print(const struct config *config, FILE *out); // as a YAML file that reads back
void config_print_help(FILE *out);
void config_print_manual(FILE *out); // troff, man section 8

// "127.0.0.1:7400", "[::1]:7400" → host and port; false when malformed.
bool config_split_address(const char *text, char *host, size_t host_size, unsigned *port);
bool config_is_loopback(const char *host);
bool config_wants_etcd(const struct config *config); // as the log engine; else local
