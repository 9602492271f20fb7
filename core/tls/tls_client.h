// SPDX-License-Identifier: Apache-2.0
// What the connections to public listeners share at the client's end: whom it trusts, and the
// certificate that it shows.
//
// The PEM comes from the caller, with the file's name for what is wrong with it. Any thread.
#pragma once

#include "core/tls/tls.h"

#define KR_TLS_SERVER_NAME_MAX 255 // bytes of a DNS name

struct tls_client_options {
    struct bytes authorities; // PEM; empty: those of the system
    const char *authorities_path;
    const struct tls_files *certificate; // NULL: it shows none
    const char *alpn;                    // as in tls_options
};

// Gives. Borrows everything. INVALID names the file and the mend.
must_use enum kr_err tls_client_context_new(const struct tls_client_options *options,
                                            int64_t now_ms, struct tls_context **out,
                                            struct fault *fault);
// The client's end of a connection to a server whose certificate must carry this DNS name or IP
// address. Gives; its first bytes can be taken at once. FAILED at once when it cannot be a name.
struct tls *tls_client_new(struct tls_context *context, const char *name);
