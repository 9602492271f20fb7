// SPDX-License-Identifier: Apache-2.0
// The context of a client of public listeners, and its connections: the server must show who it is.
#include "core/tls/tls_client.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "core/tls/tls_internal.h"

static enum kr_err trust(struct tls_context *context, const struct tls_client_options *options,
                         struct fault *fault)
{
    if (options->authorities_path == NULL) {
        SSL_CTX_set_default_verify_paths(context->ssl);
        ERR_clear_error();
        return KR_ERR_OK;
    }
    return tls_context_trust(context, options->authorities, options->authorities_path, "servers",
                             fault);
}

static enum kr_err show(struct tls_context *context, const struct tls_files *files, int64_t now_ms,
                        struct fault *fault)
{
    struct tls_bundle bundle = {0};
    enum kr_err err = tls_files_read(files, now_ms, &bundle, fault);
    if (err == KR_ERR_OK)
        err = tls_files_use(context, files, &bundle, fault);
    tls_bundle_fini(&bundle);
    return err;
}

enum kr_err tls_client_context_new(const struct tls_client_options *options, int64_t now_ms,
                                   struct tls_context **out, struct fault *fault)
{
    struct tls_context *context = tls_context_make();
    enum kr_err err = tls_context_set_alpn(context, options->alpn, fault);
    if (err == KR_ERR_OK)
        err = trust(context, options, fault);
    if (err == KR_ERR_OK && options->certificate != NULL)
        err = show(context, options->certificate, now_ms, fault);
    if (err == KR_ERR_OK) {
        tls_context_set_rules(context, KR_TLS_1_2);
        SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER, tls_verify_chain);
    } else {
        tls_context_free(&context);
    }
    *out = context;
    return err;
}

// RFC 6066 §3: a name is told, an address is not. Both are what the certificate must carry; to
// OpenSSL, an empty name means that any will do.
static bool expect(struct tls *tls, const char *name)
{
    X509_VERIFY_PARAM *rules = SSL_get0_param(tls->ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, name) == 1)
        return true;
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return name[0] != '\0' && strlen(name) <= KR_TLS_SERVER_NAME_MAX &&
           X509_VERIFY_PARAM_set1_host(rules, name, 0) == 1 &&
           SSL_set_tlsext_host_name(tls->ssl, name) == 1;
}

struct tls *tls_client_new(struct tls_context *context, const char *name)
{
    struct tls *tls = tls_make(context);
    bool is_expected = expect(tls, name);
    ERR_clear_error();
    if (is_expected) {
        tls_begin(tls, false);
    } else {
        fault_set(&tls->fault, KR_ERR_INVALID, "no server can have the name \"%s\"", name);
        tls->state = KR_TLS_FAILED;
    }
    return tls;
}
