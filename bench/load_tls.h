// SPDX-License-Identifier: Apache-2.0
// The load generator's connections with TLS.
#pragma once

#include "bench/load.h"

// Gives what a target's connections share: they trust what this PEM file holds.
must_use enum kr_err load_tls_trust(const char *path, struct tls_context **out,
                                    struct fault *fault);
// Shakes hands on a blocking socket with a server whose certificate is of 127.0.0.1. NULL with
// errno: that failed.
struct tls *load_tls_open(const struct load_target *target, int fd);
// Appends the request as it goes over the wire; false: the connection is broken.
bool load_tls_seal(struct tls *tls, struct bytes plain, struct buf *out);
