// SPDX-License-Identifier: Apache-2.0
// Certificates: the PEM of a bundle, who a certificate names, and what is wrong with one.
#include "core/tls/tls_internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

#include "core/base/clock.h"

unsigned long tls_error_pop(void)
{
    unsigned long code = ERR_get_error();
    ERR_clear_error();
    return code;
}

const char *tls_error_text(unsigned long code)
{
    const char *text = ERR_reason_error_string(code);
    return text == NULL ? "unknown error" : text;
}

const char *tls_role_text(enum tls_role role)
{
    switch (role) {
    case KR_TLS_ROLE_CORE:
        return "core";
    case KR_TLS_ROLE_FOLLOWER:
        return "follower";
    }
    return "unknown";
}

bool tls_role_parse(const char *text, enum tls_role *role)
{
    *role = strcmp(text, "core") == 0 ? KR_TLS_ROLE_CORE : KR_TLS_ROLE_FOLLOWER;
    return strcmp(text, tls_role_text(*role)) == 0;
}

bool tls_is_name(const char *text)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return size >= 1 && size < KR_TLS_NAME_SIZE && text[size] == '\0' && text[0] != '-';
}

// --- a bundle ------------------------------------------------------------------------------------

// Without it OpenSSL would ask on the terminal.
static int refuse_passphrase(char *out, int size, int is_writing, void *user)
{
    (void)out, (void)size, (void)is_writing, (void)user;
    return -1;
}

static bool is_self_signed(X509 *certificate)
{
    return X509_self_signed(certificate, 0) == 1;
}

static void add_certificate(void *ctx, X509 *certificate)
{
    struct tls_bundle *bundle = ctx;
    if (bundle->certificate == NULL)
        bundle->certificate = certificate;
    else
        sk_X509_push(is_self_signed(certificate) ? bundle->authorities : bundle->chain,
                     certificate);
}

static BIO *open_pem(struct bytes pem)
{
    return pem.size == 0 ? BIO_new(BIO_s_mem()) : BIO_new_mem_buf(pem.data, (int)pem.size);
}

const char *tls_certificates_each(struct bytes pem, tls_certificate_fn *take, void *ctx)
{
    X509 *certificate;
    BIO *bio = open_pem(pem);
    while ((certificate = PEM_read_bio_X509(bio, NULL, refuse_passphrase, NULL)) != NULL)
        take(ctx, certificate);
    BIO_free(bio);
    // The end of the text, or a block that is damaged: which, the queue's last entry says.
    unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    return ERR_GET_REASON(code) == PEM_R_NO_START_LINE ? NULL : tls_error_text(code);
}

enum kr_err tls_bundle_read(struct bytes pem, struct tls_bundle *out, struct fault *fault)
{
    *out = (struct tls_bundle){.chain = sk_X509_new_null(), .authorities = sk_X509_new_null()};
    if (pem.size > KR_TLS_BUNDLE_MAX)
        return fault_set(fault, KR_ERR_TOO_LARGE, "the bundle is larger than %d bytes",
                         KR_TLS_BUNDLE_MAX);
    const char *damage = tls_certificates_each(pem, add_certificate, out);
    if (damage != NULL)
        return fault_set(fault, KR_ERR_INVALID, "a certificate of the bundle is damaged: %s",
                         damage);
    if (out->certificate == NULL)
        return fault_set(fault, KR_ERR_INVALID,
                         "the bundle holds no certificate (PEM, \"BEGIN CERTIFICATE\")");
    BIO *bio = open_pem(pem);
    out->key = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL);
    BIO_free(bio);
    tls_error_pop();
    if (out->key == NULL)
        return fault_set(fault, KR_ERR_INVALID,
                         "the bundle holds no private key that can be read without a passphrase "
                         "(PEM, \"BEGIN PRIVATE KEY\")");
    if (X509_check_private_key(out->certificate, out->key) != 1) {
        tls_error_pop();
        return fault_set(fault, KR_ERR_INVALID,
                         "the bundle's key does not belong to its first certificate");
    }
    return KR_ERR_OK;
}

void tls_bundle_fini(struct tls_bundle *bundle)
{
    X509_free(bundle->certificate);
    EVP_PKEY_free(bundle->key);
    sk_X509_pop_free(bundle->chain, X509_free);
    sk_X509_pop_free(bundle->authorities, X509_free);
    *bundle = (struct tls_bundle){0};
}

// --- who a certificate names ---------------------------------------------------------------------

int64_t tls_time_ms(const ASN1_TIME *time)
{
    struct tm parts;
    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) * 1000 : 0;
}

bool tls_certificate_attribute(const X509 *certificate, int nid, char *out, size_t size)
{
    const X509_NAME *name = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(name, nid, -1);
    out[0] = '\0';
    if (at < 0 || X509_NAME_get_index_by_NID(name, nid, at) >= 0)
        return false;
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
    size_t length = (size_t)ASN1_STRING_length(value);
    if (length == 0 || length >= size)
        return false;
    memcpy(out, ASN1_STRING_get0_data(value), length);
    out[length] = '\0';
    return strlen(out) == length;
}

static bool is_cluster_id(const char *text)
{
    const char *others = "0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return text[0] != '\0' && text[strspn(text, others)] == '\0';
}

void tls_certificate_cluster(const X509 *certificate, char out[KR_TLS_NAME_SIZE])
{
    if (!tls_certificate_attribute(certificate, NID_organizationName, out, KR_TLS_NAME_SIZE) ||
        !is_cluster_id(out))
        out[0] = '\0';
}

bool tls_certificate_has_uri(const X509 *certificate, const char *uri)
{
    bool is_found = false;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names) && !is_found; i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
        const ASN1_STRING *text = one->d.uniformResourceIdentifier;
        is_found =
            one->type == GEN_URI &&
            bytes_equal_text(
                bytes_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)), uri);
    }
    GENERAL_NAMES_free(names);
    return is_found;
}

enum kr_err tls_certificate_read(const X509 *certificate, struct tls_peer *out, struct fault *fault)
{
    char role[KR_TLS_NAME_SIZE], uri[2 * KR_TLS_NAME_SIZE + 16];
    *out = (struct tls_peer){.not_before_ms = tls_time_ms(X509_get0_notBefore(certificate)),
                             .not_after_ms = tls_time_ms(X509_get0_notAfter(certificate))};
    tls_certificate_cluster(certificate, out->cluster_id);
    if (!tls_certificate_attribute(certificate, NID_commonName, out->node_id,
                                   sizeof(out->node_id)) ||
        !tls_is_name(out->node_id))
        return fault_set(fault, KR_ERR_INVALID,
                         "the certificate is no node's: its CN is not a node's name");
    if (out->cluster_id[0] == '\0')
        return fault_set(fault, KR_ERR_INVALID, "the certificate of %s names no cluster (O)",
                         out->node_id);
    if (!tls_certificate_attribute(certificate, NID_localityName, out->region,
                                   sizeof(out->region)) ||
        !tls_is_name(out->region))
        return fault_set(fault, KR_ERR_INVALID, "the certificate of %s names no region (L)",
                         out->node_id);
    if (!tls_certificate_attribute(certificate, NID_organizationalUnitName, role, sizeof(role)) ||
        !tls_role_parse(role, &out->role))
        return fault_set(fault, KR_ERR_INVALID,
                         "the certificate of %s has no role (OU: core or follower)", out->node_id);
    snprintf(uri, sizeof(uri), "keyreeve://%s/%s", out->cluster_id, out->node_id);
    if (!tls_certificate_has_uri(certificate, uri))
        return fault_set(fault, KR_ERR_INVALID, "the certificate of %s lacks the name %s",
                         out->node_id, uri);
    return KR_ERR_OK;
}

// --- what is wrong with the other end's ----------------------------------------------------------

// What an unverified certificate says is printed only in the form that names have.
static void describe(const X509 *certificate, char *out, size_t size)
{
    char name[KR_TLS_NAME_SIZE];
    if (tls_certificate_attribute(certificate, NID_commonName, name, sizeof(name)) &&
        tls_is_name(name))
        snprintf(out, size, "the certificate of %s", name);
    else
        snprintf(out, size, "the other end's certificate");
}

static bool has_time_error(int error)
{
    return error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID;
}

static void explain(struct tls *tls, X509_STORE_CTX *store)
{
    char who[KR_TLS_NAME_SIZE + 32], stamp[KR_STAMP_SIZE];
    int error = X509_STORE_CTX_get_error(store);
    const X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    if (X509_STORE_CTX_get_error_depth(store) == 0 || !has_time_error(error))
        describe(X509_STORE_CTX_get0_cert(store), who, sizeof(who));
    else
        snprintf(who, sizeof(who), "the certificate of the CA");
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        clock_stamp(tls_time_ms(X509_get0_notAfter(certificate)), stamp);
        fault_set(&tls->fault, KR_ERR_UNAUTHORIZED,
                  "%s has expired on %s; renew it with keyreeve node add --renew", who, stamp);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        clock_stamp(tls_time_ms(X509_get0_notBefore(certificate)), stamp);
        fault_set(&tls->fault, KR_ERR_UNAUTHORIZED,
                  "%s is not valid before %s; are both machines' clocks right?", who, stamp);
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        fault_set(&tls->fault, KR_ERR_UNAUTHORIZED,
                  "%s was not issued by the CA of this node's bundle", who);
        break;
    default:
        fault_set(&tls->fault, KR_ERR_UNAUTHORIZED, "%s is refused: %s", who,
                  X509_verify_cert_error_string(error));
    }
}

static bool is_ours(struct tls *tls, const X509 *certificate)
{
    struct fault fault;
    struct tls_peer peer;
    const char *own = tls->context->own.cluster_id;
    if (tls_certificate_read(certificate, &peer, &fault) != KR_ERR_OK) {
        fault_set(&tls->fault, KR_ERR_UNAUTHORIZED, "%s", fault.text);
        return false;
    }
    if (strcmp(peer.cluster_id, own) != 0) {
        fault_set(&tls->fault, KR_ERR_UNAUTHORIZED,
                  "the certificate of %s is of the cluster %s, and this node's of %s", peer.node_id,
                  peer.cluster_id, own);
        return false;
    }
    tls->peer = peer;
    return true;
}

int tls_verify(int is_good, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *tls = SSL_get_app_data(ssl);
    if (is_good != 1) {
        explain(tls, store);
        return 0;
    }
    if (X509_STORE_CTX_get_error_depth(store) == 0 &&
        !is_ours(tls, X509_STORE_CTX_get0_cert(store))) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    return 1;
}
