// SPDX-License-Identifier: Apache-2.0
// Listening sockets: one TCP socket a serving loop (SO_REUSEPORT), one unix socket shared by all.
#pragma once

#include "core/base/fault.h"
#include "node/config.h"

// Is this address allowed without TLS? INVALID, with the mend, when it is not loopback and
// `insecure` is off.
must_use enum kr_err listen_check(const struct config *config, struct fault *fault);

// A bound socket for `http`, one more at each call; the first call with port 0 chooses the port for
// all. LOCKED when another process has the port, INVALID for a malformed address.
must_use enum kr_err listen_tcp(const struct config *config, int *fd, struct fault *fault);
// The port that listen_tcp bound; 0 before.
unsigned listen_tcp_port(void);

// A descriptor of the unix socket `http_unix`, created by the first call; *fd = -1 where none is
// configured. A stale socket file is replaced; one that answers is LOCKED.
must_use enum kr_err listen_unix(const struct config *config, int *fd, struct fault *fault);
// Closes and removes the socket file.
void listen_unix_end(const struct config *config);
