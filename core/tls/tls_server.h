// SPDX-License-Identifier: Apache-2.0
// What the connections of a public listener share: certificates by name (SNI), session tickets,
// and who may come with a client certificate.
//
// The PEM comes from the caller, with the file's name for what is wrong with it. Tickets outlive a
// context, so that sessions go on when certificates are renewed. Any thread.
#pragma once

#include "core/tls/tls.h"

enum {
    KR_TLS_CERTIFICATES_MAX = 16,
    KR_TLS_CLIENT_SIZE = 257,       // of the name of a client's certificate; with the NUL
    KR_TLS_TICKET_MS = 8 * 3600000, // a ticket key is the newest for so long, and read twice longer
};

struct tls_tickets;

struct tls_tickets *tls_tickets_new(void);           // gives
void tls_tickets_free(struct tls_tickets **tickets); // drops the owner's reference
// A new key for tickets from now on; those of the last two are still read. Happens by itself.
void tls_tickets_rotate(struct tls_tickets *tickets);

enum tls_clients {
    KR_TLS_CLIENTS_UNASKED,  // no client certificate is asked for
    KR_TLS_CLIENTS_OPTIONAL, // one that is shown must be good
    KR_TLS_CLIENTS_REQUIRED
};

struct tls_server_options {
    const struct tls_files *certificates; // the first where no name fits
    size_t certificate_count;
    struct tls_tickets *tickets;
    const char *alpn; // as in tls_options
    enum tls_version least_version;
    enum tls_clients clients;
    struct bytes client_authorities; // PEM
    const char *client_authorities_path;
    const char *client_names; // comma-separated CNs, DNS names, URIs; "": whoever has a good one
};

// The next name of such a list, without the blanks around it, and *at behind it; false at the end.
// One of KR_TLS_CLIENT_SIZE bytes or more is nobody's. Lends a part of the list.
bool tls_client_names_next(const char **at, struct bytes *name);

// Gives a context for tls_new(context, true). Borrows everything but the tickets, of which it takes
// a reference. INVALID names the file and the mend: no certificate, no key, a key that does not
// fit, a certificate that has expired at now_ms (Unix milliseconds).
must_use enum kr_err tls_server_context_new(const struct tls_server_options *options,
                                            int64_t now_ms, struct tls_context **out,
                                            struct fault *fault);
// When the first of its certificates ends, Unix milliseconds.
int64_t tls_server_not_after_ms(const struct tls_context *context);
