// SPDX-License-Identifier: Apache-2.0
// The listeners' certificates: read at start, read again on SIGHUP or when their files have
// changed.
//
// A changed certificate is a new context that takes the old one's place: connections that are there
// go on with the old one, session tickets stay good. What cannot be used is said once, leaves the
// old one in place, and is tried again. Connections are made on any thread; the rest is the control
// loop's.
#pragma once

#include "core/base/fault.h"
#include "core/tls/tls_server.h"
#include "node/config.h"

struct secure;

enum secure_protocol { KR_SECURE_HTTP, KR_SECURE_BINARY, KR_SECURE_PROTOCOLS };

// Gives; keeps config. *out is NULL where no certificate is configured. INVALID, NOT_FOUND,
// FORBIDDEN name the file and the mend.
must_use enum kr_err secure_new(const struct config *config, struct secure **out,
                                struct fault *fault);
void secure_free(struct secure **secure);
// The server's end of a new connection of this protocol. Gives; any thread.
struct tls *secure_connection(struct secure *secure, enum secure_protocol protocol,
                              bool needs_client);

// Reads the files again. NULL is allowed.
void secure_reload(struct secure *secure);
// Does so when they, or their permissions, have changed since they were looked at last, or could
// not be used then. NULL is allowed.
void secure_tick(struct secure *secure, uint64_t now_ms);

struct secure_figures {
    int64_t not_after_ms; // of the first certificate that ends; 0: there is none
    uint64_t loads, failures;
};

// Any thread. NULL is allowed.
void secure_figures(struct secure *secure, struct secure_figures *out);
