// SPDX-License-Identifier: Apache-2.0
// What the files of core/tls share: reading certificates and PEM, and OpenSSL's errors as words.
#pragma once

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "core/tls/tls.h"
#include "core/tls/tls_server.h"

enum { KR_TLS_ALPN_MAX = 128 };

struct tls_context {
    SSL_CTX *ssl;
    atomic_uint references;
    bool verifies_peers, needs_alpn;
    struct tls_peer own;           // when it verifies peers
    uint8_t alpn[KR_TLS_ALPN_MAX]; // RFC 7301: each name behind its length
    unsigned alpn_size;
    struct tls_server *server; // NULL: of nodes that are each other's peers
};

struct tls {
    struct tls_context *context;
    SSL *ssl;
    BIO *in, *out; // ssl's
    enum tls_state state;
    bool has_peer, has_ended;
    struct tls_peer peer;
    char client[KR_TLS_CLIENT_SIZE]; // of a server's context; "": it showed no certificate
    struct fault fault;
    unsigned own_count; // of what was asked of TLS itself since the last data
    struct buf plain;   // received; the first `plain_read` bytes have been read
    size_t plain_read;
};

struct tls_bundle {
    X509 *certificate;
    EVP_PKEY *key;
    STACK_OF(X509) * chain;       // neither the certificate nor self-signed
    STACK_OF(X509) * authorities; // self-signed
};

// Gives each certificate of a PEM text to `take`, in their order. NULL at the text's end; else what
// is wrong, in OpenSSL's words, with the one behind those.
typedef void tls_certificate_fn(void *ctx, X509 *certificate);
const char *tls_certificates_each(struct bytes pem, tls_certificate_fn *take, void *ctx);

// Reads every block of a PEM text. INVALID without a certificate or a key, for an encrypted key, or
// when the two do not belong together. tls_bundle_fini whatever comes back.
must_use enum kr_err tls_bundle_read(struct bytes pem, struct tls_bundle *out, struct fault *fault);
void tls_bundle_fini(struct tls_bundle *bundle);

// The same of a certificate's and its key's files, which the fault names; INVALID, too, for one
// that has expired at now_ms. tls_bundle_fini whatever comes back.
must_use enum kr_err tls_files_read(const struct tls_files *files, int64_t now_ms,
                                    struct tls_bundle *out, struct fault *fault);
// Whoever uses the context shows it.
must_use enum kr_err tls_files_use(struct tls_context *context, const struct tls_files *files,
                                   const struct tls_bundle *bundle, struct fault *fault);
// Trusts the certificates of a PEM text, which sign those of `whose` ("gateways"). INVALID names
// the file: there is none, or one of them is damaged.
must_use enum kr_err tls_context_trust(struct tls_context *context, struct bytes pem,
                                       const char *path, const char *whose, struct fault *fault);
// OpenSSL's verify callback: leaves a sentence in the connection's fault.
int tls_verify_chain(int is_good, X509_STORE_CTX *store);

// A context without certificate and rules, and the rules that all contexts share.
struct tls_context *tls_context_make(void);
must_use enum kr_err tls_context_set_alpn(struct tls_context *context, const char *names,
                                          struct fault *fault);
void tls_context_set_rules(struct tls_context *context, enum tls_version least_version);

// OpenSSL's message callback: counts what an open connection is asked of TLS itself.
void tls_watch(int is_written, int version, int type, const void *data, size_t size, SSL *ssl,
               void *user);

// A connection that says nothing yet, and its begin.
struct tls *tls_make(struct tls_context *context);
void tls_begin(struct tls *tls, bool is_server);

// Whether the client that shook hands may stay: who it is, by its certificate, if it showed one.
// False: the connection's fault says why.
bool tls_server_admits(struct tls *tls);
void tls_server_free(struct tls_server **server);

// Who a certificate names. INVALID when it is no node's.
must_use enum kr_err tls_certificate_read(const X509 *certificate, struct tls_peer *out,
                                          struct fault *fault);
// Its O, or "" when it has none that could be a cluster's id.
void tls_certificate_cluster(const X509 *certificate, char out[KR_TLS_NAME_SIZE]);
int64_t tls_time_ms(const ASN1_TIME *time);
// The only value of this attribute of its subject; false when there is none, several, or one that
// does not fit into size bytes with a NUL.
bool tls_certificate_attribute(const X509 *certificate, int nid, char *out, size_t size);
bool tls_certificate_has_uri(const X509 *certificate, const char *uri);

// OpenSSL's verify callback: on top of its checks, who the certificate names; leaves a sentence in
// the connection's fault.
int tls_verify(int is_good, X509_STORE_CTX *store);

// The first error of this thread's queue in OpenSSL's words, and an empty queue.
unsigned long tls_error_pop(void);
const char *tls_error_text(unsigned long code);
