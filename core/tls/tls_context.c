// SPDX-License-Identifier: Apache-2.0
// What connections share: certificate, key, CA, and the rules of a handshake.
#include "core/tls/tls_internal.h"

#include <assert.h>
#include <openssl/x509v3.h>

#include "core/base/mem.h"

struct tls_options tls_peer_options(struct bytes bundle)
{
    return (struct tls_options){.bundle = bundle,
                                .alpn = KR_TLS_PEER_ALPN,
                                .needs_alpn = true,
                                .verifies_peers = true,
                                .least_version = KR_TLS_1_3};
}

// "h2,http/1.1" → \2h2\8http/1.1
enum kr_err tls_context_set_alpn(struct tls_context *context, const char *names,
                                 struct fault *fault)
{
    while (names != NULL && *names != '\0') {
        size_t size = strcspn(names, ",");
        size_t at = context->alpn_size;
        if (size == 0 || size > UINT8_MAX || at + 1 + size > KR_TLS_ALPN_MAX)
            return fault_set(fault, KR_ERR_INVALID, "ALPN: \"%s\" is not a name that fits", names);
        context->alpn[at] = (uint8_t)size;
        memcpy(context->alpn + at + 1, names, size);
        context->alpn_size = (unsigned)(at + 1 + size);
        names += size;
        names += *names == ',';
    }
    return KR_ERR_OK;
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                       const unsigned char *in, unsigned in_size, void *user)
{
    const struct tls_context *context = user;
    unsigned char *chosen = NULL;
    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_size, context->alpn, context->alpn_size, in, in_size) ==
        OPENSSL_NPN_NEGOTIATED) {
        *out = chosen;
        return SSL_TLSEXT_ERR_OK;
    }
    // RFC 7301 §3.2: whoever names protocols, and none of ours, is told so.
    bool is_refused = context->needs_alpn || context->server != NULL;
    return is_refused ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK;
}

void tls_context_set_rules(struct tls_context *context, enum tls_version least_version)
{
    SSL_CTX *ssl = context->ssl;
    SSL_CTX_set_min_proto_version(ssl,
                                  least_version == KR_TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_NO_COMPRESSION | SSL_OP_CLEANSE_PLAINTEXT);
    // Whoever verifies has the CA; without this it would be sent along.
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_msg_callback(ssl, tls_watch);
    if (context->alpn_size > 0) {
        SSL_CTX_set_alpn_select_cb(ssl, select_alpn, context);
        SSL_CTX_set_alpn_protos(ssl, context->alpn, context->alpn_size);
    }
}

static void set_rules(struct tls_context *context, const struct tls_options *options)
{
    tls_context_set_rules(context, options->least_version);
    // A resumed session would skip the certificate, and with it the check that it still holds.
    SSL_CTX_set_num_tickets(context->ssl, 0);
    SSL_CTX_set_options(context->ssl, SSL_OP_NO_TICKET);
    if (options->verifies_peers)
        SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                           tls_verify);
}

static enum kr_err use_certificate(struct tls_context *context, const struct tls_bundle *bundle,
                                   struct fault *fault)
{
    bool is_used = SSL_CTX_use_certificate(context->ssl, bundle->certificate) == 1 &&
                   SSL_CTX_use_PrivateKey(context->ssl, bundle->key) == 1;
    for (int i = 0; i < sk_X509_num(bundle->chain) && is_used; i++)
        is_used = SSL_CTX_add1_chain_cert(context->ssl, sk_X509_value(bundle->chain, i)) == 1;
    unsigned long code = tls_error_pop();
    if (!is_used)
        return fault_set(fault, KR_ERR_INVALID, "the bundle's certificate cannot be used: %s",
                         tls_error_text(code));
    return KR_ERR_OK;
}

static bool is_issued_here(const struct tls_bundle *bundle)
{
    for (int i = 0; i < sk_X509_num(bundle->authorities); i++)
        if (X509_check_issued(sk_X509_value(bundle->authorities, i), bundle->certificate) ==
            X509_V_OK)
            return true;
    return sk_X509_num(bundle->chain) > 0;
}

static enum kr_err trust(struct tls_context *context, const struct tls_bundle *bundle,
                         struct fault *fault)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context->ssl);
    if (sk_X509_num(bundle->authorities) == 0)
        return fault_set(fault, KR_ERR_INVALID,
                         "the bundle holds no CA certificate, so nobody could be verified; make it "
                         "with keyreeve node add");
    for (int i = 0; i < sk_X509_num(bundle->authorities); i++) {
        X509 *authority = sk_X509_value(bundle->authorities, i);
        bool is_added = X509_STORE_add_cert(store, authority) == 1 &&
                        SSL_CTX_add_client_CA(context->ssl, authority) == 1;
        assert(is_added);
    }
    if (!is_issued_here(bundle))
        return fault_set(fault, KR_ERR_INVALID,
                         "the bundle's CA certificate did not issue its certificate");
    return tls_certificate_read(bundle->certificate, &context->own, fault);
}

struct tls_context *tls_context_make(void)
{
    struct tls_context *context = mem_zalloc(sizeof(*context));
    atomic_init(&context->references, 1);
    context->ssl = SSL_CTX_new(TLS_method());
    assert(context->ssl != NULL);
    return context;
}

enum kr_err tls_context_new(const struct tls_options *options, struct tls_context **out,
                            struct fault *fault)
{
    struct tls_bundle bundle;
    struct tls_context *context = tls_context_make();
    context->verifies_peers = options->verifies_peers;
    context->needs_alpn = options->needs_alpn;
    enum kr_err err = tls_bundle_read(options->bundle, &bundle, fault);
    if (err == KR_ERR_OK)
        err = tls_context_set_alpn(context, options->alpn, fault);
    if (err == KR_ERR_OK)
        err = use_certificate(context, &bundle, fault);
    if (err == KR_ERR_OK && options->verifies_peers)
        err = trust(context, &bundle, fault);
    if (err == KR_ERR_OK)
        set_rules(context, options);
    tls_bundle_fini(&bundle);
    if (err != KR_ERR_OK)
        tls_context_free(&context);
    *out = context;
    return err;
}

void tls_context_free(struct tls_context **context)
{
    struct tls_context *freed = *context;
    *context = NULL;
    if (freed == NULL || atomic_fetch_sub(&freed->references, 1) > 1)
        return;
    SSL_CTX_free(freed->ssl);
    tls_server_free(&freed->server);
    mem_free(freed);
}

enum kr_err tls_context_own(const struct tls_context *context, struct tls_peer *out)
{
    if (!context->verifies_peers)
        return KR_ERR_NOT_FOUND;
    *out = context->own;
    return KR_ERR_OK;
}
