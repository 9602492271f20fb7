// SPDX-License-Identifier: Apache-2.0
// What the two halves of listen.h share: what is planned (listen_plan.c), and what is opened.
#pragma once

#include <sys/socket.h>

#include "node/listen.h"

// 0: the host is no IP address.
socklen_t listen_fill_address(const char *host, unsigned port, struct sockaddr_storage *out);
// Can a socket take this path, or replace what stands there? INVALID.
must_use enum kr_err listen_check_path(const struct listen_plan *plan, struct fault *fault);
// Can a socket's file be made there? INVALID. One that is missing may yet be made, by a start
// (<data> and what is above it), or by whatever runs before one (systemd's RuntimeDirectory).
must_use enum kr_err listen_check_directory(const struct listen_plan *plan, bool must_exist,
                                            struct fault *fault);
// The listener for other nodes, which is opened elsewhere (replication/peers_link); its address is
// "" where there are none.
struct listen_plan listen_peer_plan(const struct config *config);
