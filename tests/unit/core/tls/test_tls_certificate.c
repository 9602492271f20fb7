// SPDX-License-Identifier: Apache-2.0
// Tests of what certificates are accepted and refused, by whom, and with which sentence.
#include "core/tls/tls.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "tests/unit/core/tls/room.h"

// Runs a handshake between the two: the client refuses the server.
static void assert_refused(struct tls_context *client, struct tls_context *server, const char *why)
{
    struct pair pair;
    struct tls_peer peer;
    pair_init(&pair, client, server);
    pair_run(&pair);
    assert_failed(pair.client, KR_ERR_UNAUTHORIZED, why);
    assert_failed(pair.server, KR_ERR_FORBIDDEN, "the other end refuses this connection");
    assert_int_equal(tls_peer(pair.client, &peer), KR_ERR_NOT_FOUND);
    assert_int_equal(tls_peer(pair.server, &peer), KR_ERR_NOT_FOUND);
    pair_fini(&pair);
}

static void certificates_that_do_not_hold_are_refused_with_the_reason(void **state)
{
    struct room *room = *state;
    char year[5], stamp[KR_STAMP_SIZE];
    struct tls_context *expired = context_of(room->authority, "old", -20, -10);
    struct tls_context *early = context_of(room->authority, "new", 10, 20);
    assert_refused(room->context, expired, "the certificate of old has expired on ");
    assert_refused(room->context, early, "the certificate of new is not valid before ");
    clock_stamp(clock_unix_ms() + 10 * DAY_MS, stamp);
    snprintf(year, sizeof(year), "%.4s", stamp);
    assert_refused(room->context, early, year);
    tls_context_free(&expired);
    tls_context_free(&early);
}

static void a_certificate_of_another_authority_is_refused(void **state)
{
    struct room *room = *state;
    struct authority *twin = make_authority(CLUSTER, NULL);
    struct tls_context *foreign = context_of(room->other, "n2", -1, 30);
    struct tls_context *forged = context_of(twin, "n2", -1, 30);
    assert_refused(room->context, foreign, "n2 was not issued by the CA");
    assert_refused(room->context, forged, "n2 was not issued by the CA");
    tls_context_free(&foreign);
    tls_context_free(&forged);
    authority_close(&twin);
}

// While a cluster changes its CA, its nodes trust the old one and the new one.
static void a_bundle_may_trust_two_authorities_of_its_cluster(void **state)
{
    struct room *room = *state;
    struct buf bundle;
    struct pair pair;
    buf_init(&bundle, BUNDLE_MAX);
    issue(room->authority, "n1", -1, 30, &bundle);
    struct authority *next = make_authority(CLUSTER, &bundle);
    struct tls_context *both = peer_context(buf_bytes(&bundle));
    buf_clear(&bundle);
    issue(next, "n2", -1, 30, &bundle);
    buf_add_bytes(&bundle, buf_bytes(&room->certificate));
    struct tls_context *moved = peer_context(buf_bytes(&bundle));
    pair_init(&pair, both, moved);
    pair_run(&pair);
    assert_int_equal(tls_state(pair.client), KR_TLS_OPEN);
    assert_int_equal(tls_state(pair.server), KR_TLS_OPEN);
    pair_fini(&pair);
    tls_context_free(&both);
    tls_context_free(&moved);
    authority_close(&next);
    buf_fini(&bundle);
}

// In TLS 1.3 the client believes itself open until the server's alert comes.
static void a_server_refuses_an_expired_client(void **state)
{
    struct room *room = *state;
    struct pair pair;
    struct tls_context *expired = context_of(room->authority, "old", -20, -10);
    pair_init(&pair, expired, room->context);
    pair_run(&pair);
    assert_failed(pair.server, KR_ERR_UNAUTHORIZED, "the certificate of old has expired on ");
    assert_failed(pair.client, KR_ERR_FORBIDDEN, "certificate expired");
    pair_fini(&pair);
    tls_context_free(&expired);
}

// This context trusts both CAs, so that only the name of the cluster stands between the two.
static void another_cluster_is_refused_even_by_a_trusted_authority(void **state)
{
    struct room *room = *state;
    struct buf bundle;
    buf_init(&bundle, BUNDLE_MAX);
    issue(room->authority, "n1", -1, 30, &bundle);
    buf_add_bytes(&bundle, buf_bytes(&room->other_certificate));
    struct tls_context *trusting = peer_context(buf_bytes(&bundle));
    struct tls_context *foreign = context_of(room->other, "n9", -1, 30);
    assert_refused(trusting, foreign, "the certificate of n9 is of the cluster " OTHER_CLUSTER);
    tls_context_free(&trusting);
    tls_context_free(&foreign);
    buf_fini(&bundle);
}

// A client with rules of its own, as OpenSSL alone makes one, against a server of ours.
static void run_foreign_client(SSL_CTX *rules, struct tls *server)
{
    SSL *client = SSL_new(rules);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    uint8_t memory[65536];
    SSL_set_bio(client, in, out);
    for (int turn = 0; turn < 4; turn++) {
        struct buf wire;
        SSL_connect(client);
        ERR_clear_error();
        int size = BIO_read(out, memory, sizeof(memory));
        if (size > 0)
            assert_int_equal(tls_receive(server, bytes_of(memory, (size_t)size)), KR_ERR_OK);
        buf_init(&wire, WIRE_MAX);
        tls_take(server, &wire);
        BIO_write(in, wire.data, (int)wire.size);
        buf_fini(&wire);
    }
    SSL_free(client);
}

static void a_client_without_a_certificate_is_refused(void **state)
{
    struct room *room = *state;
    SSL_CTX *rules = SSL_CTX_new(TLS_client_method());
    struct tls *server = tls_new(room->context, true);
    SSL_CTX_set_alpn_protos(rules, (const unsigned char *)"\012keyreeve/1", 11);
    run_foreign_client(rules, server);
    assert_failed(server, KR_ERR_UNAUTHORIZED, "showed no certificate");
    tls_free(&server);
    SSL_CTX_free(rules);
}

static void older_tls_is_for_those_who_allow_it(void **state)
{
    struct room *room = *state;
    struct buf bundle;
    struct fault fault = {0};
    struct tls_context *listener;
    SSL_CTX *rules = SSL_CTX_new(TLS_client_method());
    struct tls *server = tls_new(room->context, true);
    SSL_CTX_set_max_proto_version(rules, TLS1_2_VERSION);
    run_foreign_client(rules, server);
    assert_failed(server, KR_ERR_INVALID, "TLS is too old");
    tls_free(&server);
    buf_init(&bundle, BUNDLE_MAX);
    issue(room->authority, "n3", -1, 30, &bundle);
    struct tls_options options = {.bundle = buf_bytes(&bundle), .least_version = KR_TLS_1_2};
    assert_int_equal(tls_context_new(&options, &listener, &fault), KR_ERR_OK);
    server = tls_new(listener, true);
    run_foreign_client(rules, server);
    assert_int_equal(tls_state(server), KR_TLS_OPEN);
    tls_free(&server);
    SSL_CTX_set_max_proto_version(rules, TLS1_1_VERSION);
    server = tls_new(listener, true);
    run_foreign_client(rules, server);
    assert_int_not_equal(tls_state(server), KR_TLS_OPEN);
    tls_free(&server);
    tls_context_free(&listener);
    SSL_CTX_free(rules);
    buf_fini(&bundle);
}

static void the_end_of_an_authority_is_told_as_such(void **state)
{
    struct buf certificate, key, bundle;
    struct pair pair;
    struct authority *ended;
    struct fault fault = {0};
    int64_t now_ms = clock_unix_ms();
    (void)state;
    buf_init(&certificate, BUNDLE_MAX);
    buf_init(&key, BUNDLE_MAX);
    buf_init(&bundle, BUNDLE_MAX);
    assert_int_equal(
        authority_make(CLUSTER, now_ms - 30 * DAY_MS, now_ms - DAY_MS, &certificate, &key, &fault),
        KR_ERR_OK);
    assert_int_equal(authority_open(buf_bytes(&certificate), buf_bytes(&key), &ended, &fault),
                     KR_ERR_OK);
    issue(ended, "n1", -20, -2, &bundle);
    struct tls_context *context = peer_context(buf_bytes(&bundle));
    pair_init(&pair, context, context);
    pair_run(&pair);
    assert_failed(pair.client, KR_ERR_UNAUTHORIZED, "the certificate of the CA has expired on ");
    pair_fini(&pair);
    tls_context_free(&context);
    authority_close(&ended);
    buf_fini(&certificate);
    buf_fini(&key);
    buf_fini(&bundle);
}

static void assert_no_context(struct bytes bundle, const char *why)
{
    struct tls_context *context;
    struct fault fault = {0};
    struct tls_options options = tls_peer_options(bundle);
    assert_int_equal(tls_context_new(&options, &context, &fault), KR_ERR_INVALID);
    assert_null(context);
    if (strstr(fault.text, why) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", fault.text, why);
    assert_int_equal(ERR_peek_error(), 0);
}

static void a_bundle_that_lacks_something_is_refused(void **state)
{
    struct room *room = *state;
    struct buf bundle, part;
    buf_init(&bundle, BUNDLE_MAX);
    buf_init(&part, BUNDLE_MAX);
    issue(room->authority, "n1", -1, 30, &bundle);
    buf_add_u8(&bundle, '\0');
    const char *text = (const char *)bundle.data;
    const char *key = strstr(text, "-----BEGIN PRIVATE KEY");
    const char *authority = strstr(key, "-----BEGIN CERTIFICATE");
    assert_no_context((struct bytes){0}, "no certificate");
    assert_no_context(bytes_text("nonsense"), "no certificate");
    assert_no_context(bytes_of(text, (size_t)(key - text)), "no private key");
    assert_no_context(bytes_of(text, (size_t)(authority - text)), "no CA certificate");
    buf_add(&part, text, (size_t)(authority - text));
    buf_add_bytes(&part, buf_bytes(&room->other_certificate));
    assert_no_context(buf_bytes(&part), "did not issue");
    buf_clear(&part);
    issue(room->authority, "n1", -1, 30, &part);
    part.size = (size_t)(strstr((char *)part.data, "-----BEGIN PRIVATE") - (char *)part.data);
    buf_add_text(&part, key);
    assert_no_context(buf_bytes(&part), "does not belong");
    assert_no_context(buf_bytes(&room->certificate), "no private key");
    memcpy(bundle.data + 100, "!!!!", 4);
    assert_no_context(buf_bytes(&bundle), "damaged");
    buf_fini(&bundle);
    buf_fini(&part);
}

static void a_context_names_its_own_node(void **state)
{
    struct room *room = *state;
    struct tls_peer own;
    assert_int_equal(tls_context_own(room->context, &own), KR_ERR_OK);
    assert_string_equal(own.node_id, "n1");
    assert_string_equal(own.cluster_id, CLUSTER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_that_do_not_hold_are_refused_with_the_reason),
        cmocka_unit_test(a_certificate_of_another_authority_is_refused),
        cmocka_unit_test(a_bundle_may_trust_two_authorities_of_its_cluster),
        cmocka_unit_test(a_server_refuses_an_expired_client),
        cmocka_unit_test(another_cluster_is_refused_even_by_a_trusted_authority),
        cmocka_unit_test(a_client_without_a_certificate_is_refused),
        cmocka_unit_test(older_tls_is_for_those_who_allow_it),
        cmocka_unit_test(the_end_of_an_authority_is_told_as_such),
        cmocka_unit_test(a_bundle_that_lacks_something_is_refused),
        cmocka_unit_test(a_context_names_its_own_node),
    };
    return cmocka_run_group_tests(tests, make_room, free_room);
}
