// SPDX-License-Identifier: Apache-2.0
// What is read from PEM files for a public connection: a certificate with its key, the authorities
// that are trusted; and what is wrong with them, by the files' names.
#include "core/tls/tls_internal.h"

#include <assert.h>
#include <openssl/x509v3.h>

#include "core/base/clock.h"

static void count_one(void *ctx, X509 *certificate)
{
    ++*(size_t *)ctx;
    X509_free(certificate);
}

// OpenSSL takes a damaged certificate for the end of the file, and passes over all behind it.
static enum kr_err check_whole(struct bytes pem, const char *path, size_t *count,
                               struct fault *fault)
{
    *count = 0;
    const char *damage = tls_certificates_each(pem, count_one, count);
    if (damage == NULL)
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_INVALID,
                     "%s: certificate %zu of the file is damaged (%s); put a whole copy there",
                     path, *count + 1, damage);
}

static enum kr_err check_time(const X509 *certificate, const char *path, int64_t now_ms,
                              struct fault *fault)
{
    char stamp[KR_STAMP_SIZE];
    int64_t end_ms = tls_time_ms(X509_get0_notAfter(certificate));
    if (end_ms > now_ms)
        return KR_ERR_OK;
    clock_stamp(end_ms, stamp);
    return fault_set(fault, KR_ERR_INVALID,
                     "%s: the certificate has expired on %s; renew it and put the new one there",
                     path, stamp);
}

static enum kr_err blame(struct fault *fault, const struct tls_files *files,
                         const struct tls_bundle *bundle, const struct fault *cause)
{
    if (bundle->certificate == NULL)
        return fault_set(fault, KR_ERR_INVALID,
                         "%s holds no certificate (PEM, \"BEGIN CERTIFICATE\"); put the "
                         "certificate there, then those that signed it",
                         files->chain_path);
    if (bundle->key == NULL)
        return fault_set(fault, KR_ERR_INVALID,
                         "%s holds no private key that can be read without a passphrase (PEM, "
                         "\"BEGIN PRIVATE KEY\"); put the key of %s there",
                         files->key_path, files->chain_path);
    if (X509_check_private_key(bundle->certificate, bundle->key) != 1) {
        tls_error_pop();
        return fault_set(fault, KR_ERR_INVALID,
                         "the key %s does not belong to the certificate %s; put the two that were "
                         "made together there",
                         files->key_path, files->chain_path);
    }
    return fault_set(fault, KR_ERR_INVALID, "%s: %s", files->chain_path, cause->text);
}

// What is damaged in a key's file is the key itself, most likely.
static enum kr_err check_files(const struct tls_files *files, struct fault *fault)
{
    size_t count;
    enum kr_err err = check_whole(files->chain, files->chain_path, &count, fault);
    if (err != KR_ERR_OK)
        return err;
    const char *damage = tls_certificates_each(files->key, count_one, &count);
    if (damage == NULL)
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_INVALID, "%s is damaged (%s); put a whole copy of the key there",
                     files->key_path, damage);
}

static enum kr_err read_both(const struct tls_files *files, struct tls_bundle *bundle,
                             struct fault *fault)
{
    struct buf pem;
    struct fault cause = {0};
    buf_init(&pem, KR_TLS_BUNDLE_MAX);
    buf_add_bytes(&pem, files->chain);
    buf_add_u8(&pem, '\n');
    buf_add_bytes(&pem, files->key);
    enum kr_err err = buf_result(&pem);
    if (err != KR_ERR_OK)
        fault_set(&cause, err, "larger than %d bytes", KR_TLS_BUNDLE_MAX);
    else
        err = tls_bundle_read(buf_bytes(&pem), bundle, &cause);
    buf_fini(&pem);
    return err == KR_ERR_OK ? err : blame(fault, files, bundle, &cause);
}

enum kr_err tls_files_read(const struct tls_files *files, int64_t now_ms, struct tls_bundle *bundle,
                           struct fault *fault)
{
    *bundle = (struct tls_bundle){0};
    enum kr_err err = check_files(files, fault);
    if (err == KR_ERR_OK)
        err = read_both(files, bundle, fault);
    if (err == KR_ERR_OK)
        err = check_time(bundle->certificate, files->chain_path, now_ms, fault);
    return err;
}

enum kr_err tls_files_use(struct tls_context *context, const struct tls_files *files,
                          const struct tls_bundle *bundle, struct fault *fault)
{
    int is_used =
        SSL_CTX_use_cert_and_key(context->ssl, bundle->certificate, bundle->key, bundle->chain, 1);
    unsigned long code = tls_error_pop();
    if (is_used != 1)
        return fault_set(fault, KR_ERR_INVALID, "%s cannot be used: %s", files->chain_path,
                         tls_error_text(code));
    return KR_ERR_OK;
}

static void trust_one(void *ctx, X509 *authority)
{
    SSL_CTX *ssl = ctx;
    bool is_added = X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), authority) == 1 &&
                    SSL_CTX_add_client_CA(ssl, authority) == 1;
    assert(is_added);
    X509_free(authority);
}

enum kr_err tls_context_trust(struct tls_context *context, struct bytes pem, const char *path,
                              const char *whose, struct fault *fault)
{
    size_t count;
    enum kr_err err = check_whole(pem, path, &count, fault);
    if (err != KR_ERR_OK)
        return err;
    if (count == 0)
        return fault_set(fault, KR_ERR_INVALID,
                         "%s holds no certificate (PEM, \"BEGIN CERTIFICATE\"); put the one that "
                         "signs the %s' there",
                         path, whose);
    tls_certificates_each(pem, trust_one, context->ssl);
    return KR_ERR_OK;
}

int tls_verify_chain(int is_good, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *tls = SSL_get_app_data(ssl);
    if (is_good != 1)
        fault_set(&tls->fault, KR_ERR_UNAUTHORIZED, "the %s's certificate is refused: %s",
                  tls->context->server != NULL ? "client" : "server",
                  X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
    return is_good;
}
