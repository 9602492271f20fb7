// SPDX-License-Identifier: Apache-2.0
// The command line as data: every option and every command, one row each.
//
// Parser, help, shell completion and manual pages are all made from these two tables
// (options_table.c, commands_table.c), so that they cannot disagree. Immutable.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/exit.h"

enum spec_option_kind {
    KR_OPTION_FLAG,            // --json
    KR_OPTION_TEXT,            // --name TEXT
    KR_OPTION_LIST,            // --tag NAME=VALUE, may be repeated; `value` may be choices
    KR_OPTION_NUMBER,          // --limit N, least..most
    KR_OPTION_CHOICE,          // --status active|revoked: `value` are the choices
    KR_OPTION_OPTIONAL_CHOICE, // --wait or --wait everywhere; alone its value is ""
    KR_OPTION_FILE             // --out FILE: text that completes to file names
};

enum spec_option_id {
    KR_OPT_URL,
    KR_OPT_TOKEN_FILE,
    KR_OPT_CONTEXT,
    KR_OPT_ACCOUNT,
    KR_OPT_BUCKET,
    KR_OPT_CACERT,
    KR_OPT_TIMEOUT,
    KR_OPT_JSON,
    KR_OPT_HELP,
    KR_OPT_VERSION,
    KR_OPT_GLOBAL_COUNT, // those above belong to every command
    KR_OPT_NAME = KR_OPT_GLOBAL_COUNT,
    KR_OPT_DESCRIPTION,
    KR_OPT_TAG,
    KR_OPT_METADATA,
    KR_OPT_ENVIRONMENT,
    KR_OPT_KEY_PREFIX,
    KR_OPT_RETRIEVABLE,
    KR_OPT_EXPIRY_DAYS,
    KR_OPT_MAX_STALENESS,
    KR_OPT_METADATA_LIMIT,
    KR_OPT_DELETE_PROTECTION,
    KR_OPT_YES,
    KR_OPT_REASON,
    KR_OPT_WAIT,
    KR_OPT_WAIT_MS,
    KR_OPT_EXPIRES,
    KR_OPT_NOT_BEFORE,
    KR_OPT_SCOPE,
    KR_OPT_IP_ALLOW,
    KR_OPT_KEY_FILE,
    KR_OPT_KEY_SHA256,
    KR_OPT_LAST4,
    KR_OPT_ENABLED,
    KR_OPT_STATUS,
    KR_OPT_LIMIT,
    KR_OPT_OFFSET,
    KR_OPT_ALL,
    KR_OPT_PREFIX,
    KR_OPT_WITH_KEY,
    KR_OPT_PRINT_KEY,
    KR_OPT_SUB,
    KR_OPT_ROLE,
    KR_OPT_ALLOW_BUCKET,
    KR_OPT_ACTION,
    KR_OPT_ACTOR,
    KR_OPT_SINCE,
    KR_OPT_UNTIL,
    KR_OPT_SUCCESS,
    KR_OPT_IP,
    KR_OPT_MIN_INDEX,
    KR_OPT_EXPLAIN,
    KR_OPT_BENCH,
    KR_OPT_NODES,
    KR_OPT_CERT,
    KR_OPT_CERT_KEY,
    KR_OPT_DRY_RUN,
    KR_OPT_REPORT,
    KR_OPT_STATE,
    KR_OPT_RESTART,
    KR_OPT_CONCURRENCY,
    KR_OPT_BATCH,
    KR_OPT_OUT,
    KR_OPT_DIR,
    KR_OPT_REGION,
    KR_OPT_NODE_ROLE,
    KR_OPT_DAYS,
    KR_OPT_RENEW,
    KR_OPT_WATCH,
    KR_OPT_OLD_LEADER_IS_DOWN,
    KR_OPT_COUNT
};

_Static_assert(KR_OPT_COUNT <= 128, "a command's options are bits of spec_bits");

struct spec_option {
    // Without the dashes. Two options may share a name when both take a value and no command has
    // both; a LIST stands first.
    const char *name;
    char letter; // '\0': none
    enum spec_option_kind kind;
    const char *value;       // what stands for the value in help, or "one|other" choices
    uint64_t least, most;    // of a NUMBER
    const char *environment; // variable that stands in when it is not given, or NULL
    const char *help;
};

extern const struct spec_option spec_options[KR_OPT_COUNT];

__extension__ typedef unsigned __int128 spec_bits; // of options, one each

#define KR_OPT_BIT_AT(number) ((spec_bits)1 << (number))
#define KR_OPT_BIT(name) KR_OPT_BIT_AT(KR_OPT_##name)
#define KR_OPT_GLOBAL_BITS (KR_OPT_BIT_AT(KR_OPT_GLOBAL_COUNT) - 1)

// What a command needs before its function is called.
enum spec_need {
    KR_NEED_NOTHING, // works without a node
    KR_NEED_URL,     // a token is sent if there is one
    KR_NEED_TOKEN,
    KR_NEED_BUCKET // a token, and a bucket from --bucket, KEYREEVE_BUCKET or the context
};

struct session;
typedef enum exit_code spec_run_fn(struct session *session);

struct spec_command {
    const char *group;     // "key", or NULL for a command of one word
    const char *name;      // "create"
    const char *arguments; // "CONSUMER KEY-ID", "[SHELL]", "[COMMAND...]"; "" when none
    enum spec_need need;
    spec_bits options; // KR_OPT_BITs beside the global ones
    const char *summary;
    const char *detail; // paragraphs, or NULL
    const char *example;
    spec_run_fn *run;
};

struct spec_group {
    const char *name, *summary;
};

extern const struct spec_command spec_commands[]; // those of a group follow one another
extern const size_t spec_command_count;
extern const struct spec_group spec_groups[];
extern const size_t spec_group_count;

// NULL when there is no such command; group NULL for those of one word.
const struct spec_command *spec_find(const char *group, const char *name);
const struct spec_group *spec_find_group(const char *name);

// How many positional arguments a command takes; most is SIZE_MAX after "...".
void spec_argument_range(const struct spec_command *command, size_t *least, size_t *most);

// Walks "one|other" (start with *cursor = the choices): gives the next run, false at the end.
bool spec_next_choice(const char **cursor, const char **choice, size_t *size);
bool spec_is_choice(const char *choices, const char *text);

// "key create" or "login" into out, as people type it.
void spec_command_name(const struct spec_command *command, char *out, size_t size);
