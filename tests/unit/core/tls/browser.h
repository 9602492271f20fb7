// SPDX-License-Identifier: Apache-2.0
// A client as the world has them (OpenSSL's own), against one of our server's ends in memory; and
// certificates for both.
#pragma once

#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/rand.h"
#include "core/tls/tls_server.h"

struct identity {
    X509 *certificate;
    EVP_PKEY *key;
    struct buf chain_pem, key_pem;
};

static inline void add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static inline void add_pem(BIO *bio, struct buf *out)
{
    char *data;
    long size = BIO_get_mem_data(bio, &data);
    buf_add(out, data, (size_t)size);
    BIO_free(bio);
}

// A certificate for this name that holds for so many days from yesterday on; signed by the issuer,
// or by itself, then a CA's.
static inline void identity_make(struct identity *out, const char *common_name, const char *names,
                                 int days, const struct identity *issuer)
{
    X509 *made = X509_new();
    out->key = EVP_EC_gen("P-256");
    X509_set_version(made, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1 + (long)(clock_mono_ns() % 1000000007));
    X509_gmtime_adj(X509_getm_notBefore(made), -86400);
    X509_gmtime_adj(X509_getm_notAfter(made), days * 86400L);
    X509_set_pubkey(made, out->key);
    X509_NAME_add_entry_by_NID(X509_get_subject_name(made), NID_commonName, MBSTRING_UTF8,
                               (const unsigned char *)common_name, -1, -1, 0);
    const X509 *signer = issuer == NULL ? made : issuer->certificate;
    X509_set_issuer_name(made, X509_get_subject_name(signer));
    if (names != NULL)
        add_extension(made, NID_subject_alt_name, names);
    add_extension(made, NID_basic_constraints, issuer == NULL ? "critical,CA:TRUE" : "CA:FALSE");
    X509_sign(made, issuer == NULL ? out->key : issuer->key, EVP_sha256());
    out->certificate = made;
    buf_init(&out->chain_pem, 65536);
    buf_init(&out->key_pem, 65536);
    BIO *chain = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(chain, made);
    PEM_write_bio_PrivateKey(key, out->key, NULL, NULL, 0, NULL, NULL);
    add_pem(chain, &out->chain_pem);
    add_pem(key, &out->key_pem);
}

static inline void identity_fini(struct identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
    buf_fini(&identity->chain_pem);
    buf_fini(&identity->key_pem);
}

static inline struct tls_files files_of(const struct identity *identity)
{
    return (struct tls_files){.chain = buf_bytes(&identity->chain_pem),
                              .key = buf_bytes(&identity->key_pem),
                              .chain_path = "cert.pem",
                              .key_path = "key.pem"};
}

// Of a listener with a certificate of its own, which asks for none; alpn as in tls_options. Gives.
static inline struct tls_context *listener_context(const char *alpn)
{
    struct identity identity;
    struct tls_context *context = NULL;
    rand_init();
    identity_make(&identity, "node", "DNS:localhost", 30, NULL);
    const struct tls_files files = files_of(&identity);
    const struct tls_server_options options = {&files, 1, tls_tickets_new(), .alpn = alpn,
                                               .client_names = ""};
    enum kr_err err = tls_server_context_new(&options, clock_unix_ms(), &context, NULL);
    assert(err == KR_ERR_OK);
    identity_fini(&identity);
    return context;
}

// What a visit of a client is like, and what came of it.
struct visit {
    const char *server_name;
    const struct identity *client; // NULL: it shows no certificate
    const char *alpn;              // as on the wire; NULL: none
    int version;                   // at most; 0: any
    SSL_SESSION *session;          // to resume; replaced by the new one
    bool is_open, is_resumed;      // as the server has it
    int spoken_version;
    char met[64], client_name[KR_TLS_CLIENT_SIZE], why[KR_FAULT_TEXT_MAX];
    char protocol[16];
};

static inline int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct visit *visit = SSL_get_app_data(ssl);
    SSL_SESSION_free(visit->session);
    visit->session = session;
    return 1;
}

static inline SSL *new_client(SSL_CTX *context, struct visit *visit)
{
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_session);
    if (visit->client != NULL) {
        SSL_CTX_use_certificate(context, visit->client->certificate);
        SSL_CTX_use_PrivateKey(context, visit->client->key);
    }
    SSL *ssl = SSL_new(context);
    SSL_set_app_data(ssl, visit);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (visit->version != 0)
        SSL_set_max_proto_version(ssl, visit->version);
    if (visit->server_name != NULL)
        SSL_set_tlsext_host_name(ssl, visit->server_name);
    if (visit->alpn != NULL)
        SSL_set_alpn_protos(ssl, (const unsigned char *)visit->alpn, (unsigned)strlen(visit->alpn));
    if (visit->session != NULL)
        SSL_set_session(ssl, visit->session);
    SSL_set_connect_state(ssl);
    return ssl;
}

static inline bool carry_both_ways(SSL *ssl, struct tls *server)
{
    char bytes[4096];
    struct buf out;
    bool has_moved = false;
    int size = BIO_read(SSL_get_wbio(ssl), bytes, sizeof(bytes));
    if (size > 0) {
        enum kr_err err = tls_receive(server, bytes_of(bytes, (size_t)size));
        assert(err == KR_ERR_OK);
        has_moved = true;
    }
    buf_init(&out, 1 << 20);
    if (tls_take(server, &out) > 0) {
        BIO_write(SSL_get_rbio(ssl), out.data, (int)out.size);
        has_moved = true;
    }
    buf_fini(&out);
    return has_moved;
}

static inline void note_visit(struct visit *visit, SSL *ssl, const struct tls *server)
{
    X509 *met = SSL_get0_peer_certificate(ssl);
    visit->is_open = tls_state(server) == KR_TLS_OPEN;
    visit->is_resumed = tls_is_resumed(server);
    visit->spoken_version = SSL_version(ssl);
    visit->met[0] = '\0';
    if (met != NULL)
        X509_NAME_get_text_by_NID(X509_get_subject_name(met), NID_commonName, visit->met,
                                  sizeof(visit->met));
    snprintf(visit->client_name, sizeof(visit->client_name), "%s", tls_client(server));
    snprintf(visit->why, sizeof(visit->why), "%s", tls_fault(server)->text);
    struct bytes protocol = tls_protocol(server);
    snprintf(visit->protocol, sizeof(visit->protocol), "%.*s", (int)protocol.size,
             (const char *)protocol.data);
}

// Shakes hands, sends a byte each way, says goodbye.
static inline void visit_run(struct visit *visit, struct tls_context *server_context)
{
    char byte;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = new_client(context, visit);
    struct tls *server = tls_new(server_context, true);
    for (bool has_moved = true; has_moved;) {
        if (SSL_do_handshake(ssl) == 1)
            SSL_read(ssl, &byte, 1); // takes the tickets in
        ERR_clear_error();
        has_moved = carry_both_ways(ssl, server);
    }
    note_visit(visit, ssl, server);
    SSL_shutdown(ssl);
    ERR_clear_error();
    tls_free(&server);
    SSL_free(ssl);
    SSL_CTX_free(context);
}
