// SPDX-License-Identifier: Apache-2.0
// X.509 certificates of a cluster.
#include "core/tls/authority.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "core/base/mem.h"
#include "core/base/rand.h"
#include "core/tls/tls_internal.h"

enum { KR_AUTHORITY_SERIAL_SIZE = 16 };

struct authority {
    struct tls_bundle bundle;
    char cluster_id[KR_TLS_NAME_SIZE];
};

// --- parts of a certificate ----------------------------------------------------------------------

// At most 20 bytes, positive, unpredictable (RFC 5280 §4.1.2.2).
static bool set_serial(X509 *certificate)
{
    uint8_t random[KR_AUTHORITY_SERIAL_SIZE];
    rand_bytes(random, sizeof(random));
    random[0] = (uint8_t)((random[0] & 0x7f) | 0x40);
    BIGNUM *number = BN_bin2bn(random, sizeof(random), NULL);
    bool is_set = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return is_set;
}

static bool set_times(X509 *certificate, int64_t not_before_ms, int64_t not_after_ms)
{
    return ASN1_TIME_set(X509_getm_notBefore(certificate), not_before_ms / 1000) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), not_after_ms / 1000) != NULL;
}

static bool add_name(X509_NAME *name, int nid, const char *value)
{
    return X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, (const unsigned char *)value, -1,
                                      -1, 0) == 1;
}

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool is_added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_added;
}

static bool has_signed(X509 *certificate, EVP_PKEY *key)
{
    return X509_sign(certificate, key, EVP_sha256()) > 0;
}

static X509 *begin_certificate(EVP_PKEY *key, int64_t not_before_ms, int64_t not_after_ms)
{
    X509 *certificate = X509_new();
    // What can fail here is memory alone: the values are ours.
    bool is_begun = certificate != NULL && X509_set_version(certificate, X509_VERSION_3) == 1 &&
                    set_serial(certificate) &&
                    set_times(certificate, not_before_ms, not_after_ms) &&
                    X509_set_pubkey(certificate, key) == 1;
    assert(is_begun);
    return certificate;
}

static EVP_PKEY *make_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    assert(key != NULL);
    return key;
}

// --- PEM -----------------------------------------------------------------------------------------

// Empties the BIO into out.
static void move_pem(BIO *bio, struct buf *out)
{
    char *data;
    long size = BIO_get_mem_data(bio, &data);
    buf_add(out, data, (size_t)size);
    mem_zero(data, (size_t)size);
    BIO_free(bio);
}

static void add_certificate(X509 *certificate, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool is_written = bio != NULL && PEM_write_bio_X509(bio, certificate) == 1;
    assert(is_written);
    move_pem(bio, out);
}

static void add_key(EVP_PKEY *key, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    bool is_written =
        bio != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
    assert(is_written);
    move_pem(bio, out);
}

// --- the CA --------------------------------------------------------------------------------------

static enum kr_err check_times(int64_t not_before_ms, int64_t not_after_ms, struct fault *fault)
{
    // Until 9999 (RFC 5280 §4.1.2.5).
    if (not_before_ms < 0 || not_after_ms <= not_before_ms ||
        not_after_ms > INT64_C(253402300799000))
        return fault_set(fault, KR_ERR_INVALID, "the certificate's times are not in order");
    return KR_ERR_OK;
}

static bool fill_authority(X509 *certificate, EVP_PKEY *key, const char *cluster_id)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    return add_name(name, NID_commonName, "Keyreeve cluster CA") &&
           add_name(name, NID_organizationName, cluster_id) &&
           X509_set_issuer_name(certificate, name) == 1 &&
           add_extension(certificate, certificate, NID_basic_constraints,
                         "critical,CA:TRUE,pathlen:0") &&
           add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add_extension(certificate, certificate, NID_subject_key_identifier, "hash") &&
           has_signed(certificate, key);
}

enum kr_err authority_make(const char *cluster_id, int64_t not_before_ms, int64_t not_after_ms,
                           struct buf *certificate, struct buf *key, struct fault *fault)
{
    char id[KR_TLS_NAME_SIZE];
    enum kr_err err = check_times(not_before_ms, not_after_ms, fault);
    if (err != KR_ERR_OK)
        return err;
    EVP_PKEY *made_key = make_key();
    X509 *made = begin_certificate(made_key, not_before_ms, not_after_ms);
    bool is_filled = fill_authority(made, made_key, cluster_id);
    tls_certificate_cluster(made, id);
    if (is_filled && strcmp(id, cluster_id) == 0) {
        add_certificate(made, certificate);
        add_key(made_key, key);
        err = buf_result(certificate) == KR_ERR_OK ? buf_result(key) : KR_ERR_TOO_LARGE;
    } else {
        err = fault_set(fault, KR_ERR_INVALID, "\"%s\" cannot be a cluster's id", cluster_id);
    }
    X509_free(made);
    EVP_PKEY_free(made_key);
    tls_error_pop();
    return err;
}

static enum kr_err check_authority(struct authority *authority, struct fault *fault)
{
    X509 *certificate = authority->bundle.certificate;
    // Self-signed by this very key, not merely called so.
    if (X509_check_ca(certificate) != 1 || X509_self_signed(certificate, 1) != 1)
        return fault_set(fault, KR_ERR_INVALID, "the certificate is no CA's");
    tls_certificate_cluster(certificate, authority->cluster_id);
    if (authority->cluster_id[0] == '\0')
        return fault_set(fault, KR_ERR_INVALID, "the CA's certificate names no cluster (O)");
    return KR_ERR_OK;
}

enum kr_err authority_open(struct bytes certificate, struct bytes key, struct authority **out,
                           struct fault *fault)
{
    struct buf pem;
    struct authority *authority = mem_zalloc(sizeof(*authority));
    buf_init(&pem, KR_TLS_BUNDLE_MAX);
    buf_add_bytes(&pem, certificate);
    buf_add_u8(&pem, '\n');
    buf_add_bytes(&pem, key);
    enum kr_err err = buf_result(&pem);
    if (err != KR_ERR_OK)
        fault_set(fault, err, "the CA's files are larger than %d bytes", KR_TLS_BUNDLE_MAX);
    if (err == KR_ERR_OK)
        err = tls_bundle_read(buf_bytes(&pem), &authority->bundle, fault);
    if (err == KR_ERR_OK)
        err = check_authority(authority, fault);
    buf_fini(&pem);
    tls_error_pop();
    if (err != KR_ERR_OK)
        authority_close(&authority);
    *out = authority;
    return err;
}

void authority_close(struct authority **authority)
{
    if (*authority != NULL)
        tls_bundle_fini(&(*authority)->bundle);
    mem_free(*authority);
    *authority = NULL;
}

const char *authority_cluster_id(const struct authority *authority)
{
    return authority->cluster_id;
}

int64_t authority_not_after_ms(const struct authority *authority)
{
    return tls_time_ms(X509_get0_notAfter(authority->bundle.certificate));
}

// --- a node --------------------------------------------------------------------------------------

static enum kr_err check_request(const struct authority *authority,
                                 const struct authority_request *request, struct fault *fault)
{
    if (!tls_is_name(request->node_id))
        return fault_set(fault, KR_ERR_INVALID,
                         "\"%s\" is no node's name: a name has 1 to 63 of a-z, 0-9 and -, and does "
                         "not begin with -",
                         request->node_id);
    if (!tls_is_name(request->region))
        return fault_set(fault, KR_ERR_INVALID,
                         "\"%s\" is no region: a region has 1 to 63 of a-z, 0-9 and -, and does "
                         "not begin with -",
                         request->region);
    if (request->not_after_ms > authority_not_after_ms(authority))
        return fault_set(fault, KR_ERR_INVALID,
                         "the certificate would outlive the CA that issues it; ask for fewer days");
    return check_times(request->not_before_ms, request->not_after_ms, fault);
}

static bool fill_node(X509 *certificate, const struct authority *authority,
                      const struct authority_request *request)
{
    char uri[2 * KR_TLS_NAME_SIZE + 32];
    X509 *issuer = authority->bundle.certificate;
    X509_NAME *name = X509_get_subject_name(certificate);
    snprintf(uri, sizeof(uri), "URI:keyreeve://%s/%s", authority->cluster_id, request->node_id);
    return add_name(name, NID_commonName, request->node_id) &&
           add_name(name, NID_organizationName, authority->cluster_id) &&
           add_name(name, NID_organizationalUnitName, tls_role_text(request->role)) &&
           add_name(name, NID_localityName, request->region) &&
           X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
           add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, issuer, NID_ext_key_usage, "serverAuth,clientAuth") &&
           add_extension(certificate, issuer, NID_subject_alt_name, uri) &&
           add_extension(certificate, issuer, NID_subject_key_identifier, "hash") &&
           add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always") &&
           has_signed(certificate, authority->bundle.key);
}

enum kr_err authority_issue(const struct authority *authority,
                            const struct authority_request *request, struct buf *bundle,
                            struct fault *fault)
{
    enum kr_err err = check_request(authority, request, fault);
    if (err != KR_ERR_OK)
        return err;
    EVP_PKEY *key = make_key();
    X509 *certificate = begin_certificate(key, request->not_before_ms, request->not_after_ms);
    bool is_filled = fill_node(certificate, authority, request);
    assert(is_filled);
    add_certificate(certificate, bundle);
    add_key(key, bundle);
    add_certificate(authority->bundle.certificate, bundle);
    X509_free(certificate);
    EVP_PKEY_free(key);
    tls_error_pop();
    err = buf_result(bundle);
    if (err != KR_ERR_OK)
        fault_set(fault, err, "the bundle does not fit");
    return err;
}

enum kr_err authority_read(struct bytes bundle, struct tls_peer *out, struct fault *fault)
{
    struct tls_bundle parts;
    enum kr_err err = tls_bundle_read(bundle, &parts, fault);
    if (err == KR_ERR_OK)
        err = tls_certificate_read(parts.certificate, out, fault);
    tls_bundle_fini(&parts);
    return err;
}
