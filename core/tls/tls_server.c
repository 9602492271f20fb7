// SPDX-License-Identifier: Apache-2.0
// The context of a public listener: its certificates, its clients' certificates, its rules.
#include "core/tls/tls_server.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/tls/tls_internal.h"
#include "core/tls/tls_tickets.h"

enum {
    KR_TLS_SESSION_S = 24 * 3600,
    // A session with a client certificate is not older, as the certificate may be withdrawn.
    KR_TLS_CLIENT_SESSION_S = 3600,
};

// Forward secrecy and authenticated encryption, which HTTP/2 asks for too (RFC 9113 §9.2.2).
static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

struct tls_server {
    struct tls_bundle bundles[KR_TLS_CERTIFICATES_MAX];
    size_t count;
    struct tls_tickets *tickets;
    enum tls_clients clients;
    char *client_names; // comma-separated
};

void tls_server_free(struct tls_server **server)
{
    struct tls_server *freed = *server;
    *server = NULL;
    if (freed == NULL)
        return;
    for (size_t i = 0; i < freed->count; i++)
        tls_bundle_fini(&freed->bundles[i]);
    tls_tickets_free(&freed->tickets);
    mem_free(freed->client_names);
    mem_free(freed);
}

// --- certificates --------------------------------------------------------------------------------

// Keys of several kinds (ECDSA and RSA) stand beside each other; of one kind, the first counts.
static int use_bundle(SSL *ssl, const struct tls_bundle *bundle)
{
    int is_used = SSL_use_cert_and_key(ssl, bundle->certificate, bundle->key, bundle->chain, 0);
    ERR_clear_error();
    return is_used;
}

// OpenSSL's certificate callback: those that fit the name which the client asked for (RFC 6066 §3).
static int choose(SSL *ssl, void *user)
{
    const struct tls_server *server = user;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    bool has_any = false;
    for (size_t i = 0; i < server->count && name != NULL; i++) {
        if (X509_check_host(server->bundles[i].certificate, name, 0, 0, NULL) != 1)
            continue;
        if (!has_any)
            SSL_certs_clear(ssl);
        has_any = use_bundle(ssl, &server->bundles[i]) == 1 || has_any;
    }
    ERR_clear_error();
    return 1;
}

static enum kr_err use_first(struct tls_context *context, const struct tls_server_options *options,
                             struct fault *fault)
{
    enum kr_err err =
        tls_files_use(context, &options->certificates[0], &context->server->bundles[0], fault);
    if (err == KR_ERR_OK)
        SSL_CTX_set_cert_cb(context->ssl, choose, context->server);
    return err;
}

static enum kr_err read_certificates(struct tls_context *context,
                                     const struct tls_server_options *options, int64_t now_ms,
                                     struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    assert(options->certificate_count > 0 && options->certificate_count <= KR_TLS_CERTIFICATES_MAX);
    for (size_t i = 0; i < options->certificate_count && err == KR_ERR_OK; i++)
        err = tls_files_read(&options->certificates[i], now_ms,
                             &context->server->bundles[context->server->count++], fault);
    return err == KR_ERR_OK ? use_first(context, options, fault) : err;
}

// --- clients -------------------------------------------------------------------------------------

// A session is resumed only under the rules that its client was admitted by.
static void bind_sessions(struct tls_context *context, const struct tls_server_options *options)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    struct buf rules;
    buf_init(&rules, 2 * KR_TLS_BUNDLE_MAX);
    buf_add_u8(&rules, (uint8_t)options->clients);
    buf_add_text(&rules, options->client_names);
    buf_add_u8(&rules, 0);
    buf_add_bytes(&rules, options->client_authorities);
    bool is_bound =
        EVP_Digest(rules.data, rules.size, digest, &size, EVP_sha256(), NULL) == 1 &&
        SSL_CTX_set_session_id_context(context->ssl, digest, SSL_MAX_SID_CTX_LENGTH) == 1;
    assert(is_bound && size >= SSL_MAX_SID_CTX_LENGTH);
    buf_fini(&rules);
}

static enum kr_err ask_clients(struct tls_context *context,
                               const struct tls_server_options *options, struct fault *fault)
{
    bind_sessions(context, options);
    if (options->clients == KR_TLS_CLIENTS_UNASKED)
        return KR_ERR_OK;
    int how = SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE;
    if (options->clients == KR_TLS_CLIENTS_REQUIRED)
        how |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(context->ssl, how, tls_verify_chain);
    SSL_CTX_set_timeout(context->ssl, KR_TLS_CLIENT_SESSION_S);
    return tls_context_trust(context, options->client_authorities, options->client_authorities_path,
                             "gateways", fault);
}

bool tls_client_names_next(const char **at, struct bytes *name)
{
    const char *begin = *at + strspn(*at, ", ");
    size_t size = strcspn(begin, ",");
    *at = begin + size;
    while (size > 0 && begin[size - 1] == ' ')
        size--;
    *name = bytes_of(begin, size);
    return size > 0;
}

static bool carries(X509 *certificate, struct bytes name)
{
    char text[KR_TLS_CLIENT_SIZE], common[KR_TLS_CLIENT_SIZE];
    if (name.size >= sizeof(text))
        return false;
    memcpy(text, name.data, name.size);
    text[name.size] = '\0';
    bool is_common =
        tls_certificate_attribute(certificate, NID_commonName, common, sizeof(common)) &&
        strcmp(common, text) == 0;
    return is_common || tls_certificate_has_uri(certificate, text) ||
           X509_check_host(certificate, text, 0, X509_CHECK_FLAG_NO_WILDCARDS, NULL) == 1;
}

// Whether the list is empty, or the certificate carries one of its names; *which is that name.
static bool is_named(const struct tls_server *server, X509 *certificate, struct bytes *which)
{
    const char *at = server->client_names;
    *which = (struct bytes){0};
    if (*at == '\0')
        return true;
    while (tls_client_names_next(&at, which)) {
        if (carries(certificate, *which))
            return true;
    }
    return false;
}

static bool refuse(struct tls *tls, const char *sentence)
{
    fault_set(&tls->fault, KR_ERR_UNAUTHORIZED, "%s", sentence);
    return false;
}

static void take_name(struct tls *tls, const X509 *certificate, struct bytes which)
{
    if (which.size > 0)
        snprintf(tls->client, sizeof(tls->client), "%.*s", (int)which.size,
                 (const char *)which.data);
    else if (!tls_certificate_attribute(certificate, NID_commonName, tls->client,
                                        sizeof(tls->client)))
        snprintf(tls->client, sizeof(tls->client), "(without a name)");
}

// A resumed session brings the certificate that was verified then, which may have ended since.
bool tls_server_admits(struct tls *tls)
{
    struct bytes which;
    X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
    if (certificate == NULL)
        return tls->context->server->clients != KR_TLS_CLIENTS_REQUIRED ||
               refuse(tls, "the client showed no certificate");
    if (SSL_get_verify_result(tls->ssl) != X509_V_OK)
        return refuse(tls, "the client's certificate was not verified");
    if (tls_time_ms(X509_get0_notAfter(certificate)) <= clock_unix_ms())
        return refuse(tls, "the client's certificate has expired");
    if (!is_named(tls->context->server, certificate, &which))
        return refuse(tls, "the client's certificate carries none of the names that may come in");
    take_name(tls, certificate, which);
    return true;
}

// --- its life ------------------------------------------------------------------------------------

static void set_rules(struct tls_context *context, const struct tls_server_options *options)
{
    tls_context_set_rules(context, options->least_version);
    bool is_set = SSL_CTX_set_cipher_list(context->ssl, ciphers) == 1 &&
                  SSL_CTX_set_tlsext_ticket_key_evp_cb(context->ssl, tls_tickets_key) == 1;
    assert(is_set);
    SSL_CTX_set_app_data(context->ssl, context->server->tickets);
    SSL_CTX_set_timeout(context->ssl, KR_TLS_SESSION_S);
}

enum kr_err tls_server_context_new(const struct tls_server_options *options, int64_t now_ms,
                                   struct tls_context **out, struct fault *fault)
{
    struct tls_context *context = tls_context_make();
    struct tls_server *server = context->server = mem_zalloc(sizeof(*server));
    server->clients = options->clients;
    server->client_names = mem_text(options->client_names);
    server->tickets = tls_tickets_share(options->tickets);
    enum kr_err err = tls_context_set_alpn(context, options->alpn, fault);
    if (err == KR_ERR_OK)
        err = read_certificates(context, options, now_ms, fault);
    if (err == KR_ERR_OK) {
        set_rules(context, options);
        err = ask_clients(context, options, fault);
    }
    if (err != KR_ERR_OK)
        tls_context_free(&context);
    *out = context;
    return err;
}

int64_t tls_server_not_after_ms(const struct tls_context *context)
{
    int64_t first_ms = INT64_MAX;
    for (size_t i = 0; i < context->server->count; i++) {
        int64_t end_ms = tls_time_ms(X509_get0_notAfter(context->server->bundles[i].certificate));
        first_ms = end_ms < first_ms ? end_ms : first_ms;
    }
    return first_ms;
}
