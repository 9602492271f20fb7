// SPDX-License-Identifier: Apache-2.0
// The cluster's own CA: making it, and issuing a node's certificate with it.
//
// ECDSA on P-256, X.509 v3 as RFC 5280 profiles it. Everything is PEM in buffers; no file is
// touched. Times are Unix milliseconds and come from the caller. One thread at a time.
#pragma once

#include "core/tls/tls.h"

struct authority;

// Makes a CA: a self-signed certificate with the cluster's id as O, and its key. INVALID for an id
// that is not of [0-9A-Za-z_], 1 to 63 characters.
must_use enum kr_err authority_make(const char *cluster_id, int64_t not_before_ms,
                                    int64_t not_after_ms, struct buf *certificate, struct buf *key,
                                    struct fault *fault);
// Gives. INVALID when one of the two cannot be read, is no CA's, or does not belong to the other.
must_use enum kr_err authority_open(struct bytes certificate, struct bytes key,
                                    struct authority **out, struct fault *fault);
void authority_close(struct authority **authority);
const char *authority_cluster_id(const struct authority *authority); // lends until close
int64_t authority_not_after_ms(const struct authority *authority);

struct authority_request {
    const char *node_id, *region;
    enum tls_role role;
    int64_t not_before_ms, not_after_ms;
};

// Appends a bundle: certificate, fresh key, CA certificate. Issuing again for the same name is a
// renewal. INVALID for a name, a region, or times that are not in order; for a time beyond the CA's
// own end.
must_use enum kr_err authority_issue(const struct authority *authority,
                                     const struct authority_request *request, struct buf *bundle,
                                     struct fault *fault);

// Who a node's bundle is for, and how long it holds. Verifies the form alone.
must_use enum kr_err authority_read(struct bytes bundle, struct tls_peer *out, struct fault *fault);
