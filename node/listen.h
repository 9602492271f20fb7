// SPDX-License-Identifier: Apache-2.0
// Listening sockets: one TCP socket a serving loop and protocol (SO_REUSEPORT), one unix socket a
// protocol shared by all loops.
#pragma once

#include "core/base/fault.h"
#include "node/config.h"

enum listen_what { KR_LISTEN_HTTP, KR_LISTEN_BINARY, KR_LISTEN_COUNT };

// Are these addresses allowed without TLS? INVALID, with the mend, when one is not loopback and
// `insecure` is off.
must_use enum kr_err listen_check(const struct config *config, struct fault *fault);

// A bound socket, one more at each call; the first call with port 0 chooses the port for all.
// *fd = -1 where the settings want none. LOCKED when another process has the port, INVALID for a
// malformed address.
must_use enum kr_err listen_tcp(const struct config *config, enum listen_what what, int *fd,
                                struct fault *fault);
// "HOST:PORT" that listen_tcp bound; "" before, and where there is none. Lends until the next call.
const char *listen_tcp_address(const struct config *config, enum listen_what what);

// A descriptor of the unix socket, created by the first call; *fd = -1 where none is configured. A
// stale socket file is replaced; one that answers is LOCKED.
must_use enum kr_err listen_unix(const struct config *config, enum listen_what what, int *fd,
                                 struct fault *fault);
// Closes and removes the socket files.
void listen_unix_end(const struct config *config);
