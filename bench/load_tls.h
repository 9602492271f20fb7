// SPDX-License-Identifier: Apache-2.0
// The load generator's connections with TLS.
#pragma once

#include "bench/load.h"

struct load_tls_files {
    const char *ca;         // PEM: whom connections trust
    const char *cert, *key; // PEM: what they show; NULL: nothing. The key of mode 0600
};

// Gives what a target's connections share.
must_use enum kr_err load_tls_trust(const struct load_tls_files *files, struct tls_context **out,
                                    struct fault *fault);
// Shakes hands on a blocking socket with a server whose certificate is of the target's name. NULL
// with errno: that failed.
struct tls *load_tls_open(const struct load_target *target, int fd);
// Appends the request as it goes over the wire; false: the connection is broken.
bool load_tls_seal(struct tls *tls, struct bytes plain, struct buf *out);
