// SPDX-License-Identifier: Apache-2.0
// Listening sockets: which there are and what each serves; of each, one TCP socket a serving loop
// (SO_REUSEPORT), and one unix socket shared by all loops.
#pragma once

#include "core/base/fault.h"
#include "node/config.h"
#include "node/dispatch.h"

// The listeners, each a setting of its own. All but the last speak HTTP.
enum listen_number {
    KR_LISTEN_HTTP,
    KR_LISTEN_VALIDATION,
    KR_LISTEN_MANAGEMENT,
    KR_LISTEN_METRICS,
    KR_LISTEN_BINARY,
    KR_LISTEN_COUNT
};

struct listen_plan {
    const char *setting; // "http_validation"
    const char *address; // HOST:PORT, as it was set; "": not configured
    unsigned serves;     // of enum dispatch_serves
    bool is_tls;
    bool needs_client;                    // a client without a certificate is refused
    const char *unix_setting, *unix_path; // NULL, "": it has no unix socket
};

// What the settings ask for, each plan at its number. INVALID, with the mend, for what is no
// address, and for one that is not loopback, has no TLS, and is not allowed by `insecure`.
must_use enum kr_err listen_plan(const struct config *config,
                                 struct listen_plan out[KR_LISTEN_COUNT], struct fault *fault);
// The plans, the unix sockets' paths, and peer_listen where there are peers: INVALID, with the
// mend, for what no start could use. Looks at files, opens nothing.
must_use enum kr_err listen_check(const struct config *config, struct fault *fault);
// "validation, metrics": what a listener serves, in words.
void listen_serves_text(unsigned serves, char *out, size_t size);

// May all that is planned be bound? So that a start which would fail by it makes nothing first.
// Errors as of listen_tcp and listen_unix.
must_use enum kr_err listen_probe(const struct config *config, struct fault *fault);

// A bound socket of this listener, one more at each call; the first call with port 0 chooses the
// port for all. LOCKED when another process has the port, INVALID for what cannot be bound.
must_use enum kr_err listen_tcp(const struct listen_plan *plan, enum listen_number number, int *fd,
                                struct fault *fault);
// "HOST:PORT" that listen_tcp bound; "" before, and where there is none.
void listen_tcp_address(const struct listen_plan *plan, enum listen_number number, char *out,
                        size_t size);

// A descriptor of its unix socket, created by the first call; *fd = -1 where none is configured. A
// stale socket file is replaced; one that answers is LOCKED.
must_use enum kr_err listen_unix(const struct listen_plan *plan, enum listen_number number, int *fd,
                                 struct fault *fault);
// Removes the socket files and lets nobody in there any more, whoever still has a descriptor. When
// the node stops, and again at its end.
void listen_unix_end(const struct config *config);
