// SPDX-License-Identifier: Apache-2.0
// Tests of TLS connections in memory: every split of the bytes, every certificate that is refused,
// garbage, truncation, bounds.
#include "core/tls/tls.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "tests/unit/core/tls/pair.h"

struct room {
    struct authority *authority, *other;
    struct buf certificate, other_certificate; // the CAs'
    struct tls_context *context;               // of node "n1"
    struct tls_context *context2;              // of node "n2"
};

static struct tls_context *context_of(const struct authority *authority, const char *node_id,
                                      int from_days, int to_days)
{
    struct buf bundle;
    buf_init(&bundle, BUNDLE_MAX);
    issue(authority, node_id, from_days, to_days, &bundle);
    struct tls_context *context = peer_context(buf_bytes(&bundle));
    buf_fini(&bundle);
    return context;
}

static int make_room(void **state)
{
    static struct room room;
    rand_init();
    buf_init(&room.certificate, BUNDLE_MAX);
    buf_init(&room.other_certificate, BUNDLE_MAX);
    room.authority = make_authority(CLUSTER, &room.certificate);
    room.other = make_authority(OTHER_CLUSTER, &room.other_certificate);
    room.context = context_of(room.authority, "n1", -1, 30);
    room.context2 = context_of(room.authority, "n2", -1, 30);
    *state = &room;
    return 0;
}

static int free_room(void **state)
{
    struct room *room = *state;
    tls_context_free(&room->context);
    tls_context_free(&room->context2);
    authority_close(&room->authority);
    authority_close(&room->other);
    buf_fini(&room->certificate);
    buf_fini(&room->other_certificate);
    return 0;
}

static void assert_reads(struct tls *tls, struct bytes expected)
{
    struct buf out;
    buf_init(&out, WIRE_MAX);
    assert_int_equal(tls_read(tls, &out), expected.size);
    assert_true(bytes_equal(buf_bytes(&out), expected));
    buf_fini(&out);
}

static void assert_failed(const struct tls *tls, enum kr_err err, const char *part)
{
    assert_int_equal(tls_state(tls), KR_TLS_FAILED);
    if (strstr(tls_fault(tls)->text, part) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", tls_fault(tls)->text, part);
    assert_int_equal(tls_fault(tls)->err, err);
}

static void both_ends_know_each_other(void **state)
{
    struct room *room = *state;
    struct pair pair;
    struct tls_peer peer;
    pair_init(&pair, room->context, room->context2);
    assert_int_equal(tls_peer(pair.client, &peer), KR_ERR_NOT_FOUND);
    pair_run(&pair);
    assert_int_equal(tls_state(pair.client), KR_TLS_OPEN);
    assert_int_equal(tls_state(pair.server), KR_TLS_OPEN);
    assert_true(bytes_equal_text(tls_protocol(pair.client), KR_TLS_PEER_ALPN));
    assert_true(bytes_equal_text(tls_protocol(pair.server), KR_TLS_PEER_ALPN));
    assert_int_equal(tls_peer(pair.client, &peer), KR_ERR_OK);
    assert_string_equal(peer.node_id, "n2");
    assert_string_equal(peer.cluster_id, CLUSTER);
    assert_string_equal(peer.region, "fra");
    assert_int_equal(peer.role, KR_TLS_ROLE_CORE);
    int64_t days = (peer.not_after_ms - clock_unix_ms() + DAY_MS / 2) / DAY_MS;
    assert_int_equal(days, 30);
    assert_int_equal(tls_peer(pair.server, &peer), KR_ERR_OK);
    assert_string_equal(peer.node_id, "n1");
    pair_fini(&pair);
}

static void the_handshake_does_not_mind_how_the_bytes_are_split(void **state)
{
    struct room *room = *state;
    for (size_t piece = 1; piece < 700; piece += piece < 32 ? 1 : 61) {
        struct pair pair;
        pair_init(&pair, room->context, room->context2);
        pair.piece = piece;
        pair_run(&pair);
        assert_int_equal(tls_state(pair.client), KR_TLS_OPEN);
        assert_int_equal(tls_state(pair.server), KR_TLS_OPEN);
        assert_int_equal(tls_write(pair.client, bytes_text("from the client")), KR_ERR_OK);
        assert_int_equal(tls_write(pair.server, bytes_text("from the server")), KR_ERR_OK);
        pair_run(&pair);
        assert_reads(pair.server, bytes_text("from the client"));
        assert_reads(pair.client, bytes_text("from the server"));
        pair_fini(&pair);
    }
}

// One record, cut in two at every place.
static void a_record_arrives_whole_or_not_at_all(void **state)
{
    struct room *room = *state;
    struct pair pair;
    struct buf wire;
    pair_init(&pair, room->context, room->context2);
    pair_run(&pair);
    buf_init(&wire, WIRE_MAX);
    for (size_t cut = 0; cut == 0 || cut < wire.size; cut++) {
        buf_clear(&wire);
        assert_int_equal(tls_write(pair.client, bytes_text("one record")), KR_ERR_OK);
        tls_take(pair.client, &wire);
        assert_int_equal(tls_receive(pair.server, bytes_of(wire.data, cut)), KR_ERR_OK);
        assert_reads(pair.server, bytes_text(""));
        assert_int_equal(tls_receive(pair.server, bytes_of(wire.data + cut, wire.size - cut)),
                         KR_ERR_OK);
        assert_reads(pair.server, bytes_text("one record"));
    }
    assert_true(wire.size > 20);
    buf_fini(&wire);
    pair_fini(&pair);
}

static void large_data_goes_both_ways_and_small_readers_get_all_of_it(void **state)
{
    struct room *room = *state;
    struct pair pair;
    struct buf sent, got;
    pair_init(&pair, room->context, room->context2);
    pair_run(&pair);
    buf_init(&sent, WIRE_MAX);
    rand_bytes(buf_extend(&sent, 1500000), 1500000);
    assert_int_equal(tls_write(pair.client, buf_bytes(&sent)), KR_ERR_OK);
    assert_int_equal(tls_write(pair.server, buf_bytes(&sent)), KR_ERR_OK);
    pair.piece = 50000;
    pair_run(&pair);
    assert_reads(pair.server, buf_bytes(&sent));
    buf_init(&got, WIRE_MAX);
    for (;;) {
        uint8_t memory[7000];
        struct buf part;
        buf_init_fixed(&part, memory, sizeof(memory));
        if (tls_read(pair.client, &part) == 0)
            break;
        buf_add_bytes(&got, buf_bytes(&part));
    }
    assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&sent)));
    buf_fini(&sent);
    buf_fini(&got);
    pair_fini(&pair);
}

static void what_waits_is_bounded(void **state)
{
    struct room *room = *state;
    struct pair pair;
    struct buf sent, wire;
    pair_init(&pair, room->context, room->context2);
    assert_int_equal(tls_write(pair.client, bytes_text("early")), KR_ERR_INVALID);
    pair_run(&pair);
    buf_init(&sent, WIRE_MAX);
    memset(buf_extend(&sent, KR_TLS_UNTAKEN_MAX / 2), 'x', KR_TLS_UNTAKEN_MAX / 2);
    assert_int_equal(tls_write(pair.client, buf_bytes(&sent)), KR_ERR_OK);
    size_t untaken = tls_untaken(pair.client);
    assert_int_equal(tls_write(pair.client, buf_bytes(&sent)), KR_ERR_BUSY);
    assert_int_equal(tls_untaken(pair.client), untaken);
    assert_int_equal(tls_write(pair.client, bytes_of(sent.data, KR_TLS_UNTAKEN_MAX + (size_t)1)),
                     KR_ERR_TOO_LARGE);
    buf_init(&wire, WIRE_MAX);
    tls_take(pair.client, &wire);
    size_t half = wire.size / 2;
    assert_int_equal(tls_receive(pair.server, buf_bytes(&wire)), KR_ERR_BUSY);
    assert_int_equal(tls_receive(pair.server, bytes_of(wire.data, half)), KR_ERR_OK);
    assert_int_equal(tls_receive(pair.server, bytes_of(wire.data + half, wire.size - half)),
                     KR_ERR_BUSY);
    assert_int_equal(tls_state(pair.server), KR_TLS_OPEN);
    struct buf got;
    buf_init(&got, WIRE_MAX);
    tls_read(pair.server, &got);
    assert_int_equal(tls_receive(pair.server, bytes_of(wire.data + half, wire.size - half)),
                     KR_ERR_OK);
    tls_read(pair.server, &got);
    assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&sent)));
    buf_fini(&sent);
    buf_fini(&wire);
    buf_fini(&got);
    pair_fini(&pair);
}

static void a_goodbye_closes_both_ends_and_loses_nothing(void **state)
{
    struct room *room = *state;
    struct pair pair;
    pair_init(&pair, room->context, room->context2);
    pair_run(&pair);
    assert_int_equal(tls_write(pair.server, bytes_text("last words")), KR_ERR_OK);
    tls_shutdown(pair.server);
    assert_int_equal(tls_state(pair.server), KR_TLS_CLOSED);
    pair_run(&pair);
    assert_int_equal(tls_state(pair.client), KR_TLS_CLOSED);
    assert_reads(pair.client, bytes_text("last words"));
    assert_int_equal(tls_write(pair.client, bytes_text("too late")), KR_ERR_INVALID);
    tls_receive_end(pair.client);
    assert_int_equal(tls_state(pair.client), KR_TLS_CLOSED);
    pair_fini(&pair);
}

static void an_end_without_a_goodbye_is_a_failure(void **state)
{
    struct room *room = *state;
    struct pair pair;
    pair_init(&pair, room->context, room->context2);
    tls_receive_end(pair.server);
    assert_failed(pair.server, KR_ERR_IO, "during the handshake");
    pair_fini(&pair);
    pair_init(&pair, room->context, room->context2);
    pair_run(&pair);
    tls_receive_end(pair.client);
    assert_failed(pair.client, KR_ERR_IO, "without a goodbye");
    pair_fini(&pair);
}

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

static struct tls_context *context_with(const struct room *room, struct tls_options options)
{
    struct buf bundle;
    struct fault fault = {0};
    struct tls_context *context;
    buf_init(&bundle, BUNDLE_MAX);
    issue(room->authority, "n3", -1, 30, &bundle);
    options.bundle = buf_bytes(&bundle);
    assert_int_equal(tls_context_new(&options, &context, &fault), KR_ERR_OK);
    buf_fini(&bundle);
    return context;
}

// A listener for people's clients: no certificate asked for, older TLS, the first protocol both
// speak.
static void a_listener_may_ask_for_less(void **state)
{
    struct room *room = *state;
    struct pair pair;
    struct tls_peer peer;
    struct tls_context *server = context_with(room, (struct tls_options){.alpn = "h2,http/1.1"});
    struct tls_context *client = context_with(room, (struct tls_options){.alpn = "spdy,http/1.1"});
    assert_int_equal(tls_context_own(server, &peer), KR_ERR_NOT_FOUND);
    pair_init(&pair, client, server);
    pair_run(&pair);
    assert_int_equal(tls_state(pair.server), KR_TLS_OPEN);
    assert_true(bytes_equal_text(tls_protocol(pair.server), "http/1.1"));
    assert_int_equal(tls_peer(pair.server, &peer), KR_ERR_NOT_FOUND);
    pair_fini(&pair);
    tls_context_free(&client);
    client = context_with(room, (struct tls_options){0});
    pair_init(&pair, client, server);
    pair_run(&pair);
    assert_int_equal(tls_state(pair.server), KR_TLS_OPEN);
    assert_int_equal(tls_protocol(pair.server).size, 0);
    pair_fini(&pair);
    tls_context_free(&client);
    tls_context_free(&server);
}

static void the_wrong_protocol_is_refused(void **state)
{
    struct room *room = *state;
    struct pair pair;
    struct tls_options options = tls_peer_options((struct bytes){0});
    options.alpn = "other/1";
    struct tls_context *other = context_with(room, options);
    pair_init(&pair, other, room->context);
    pair_run(&pair);
    assert_failed(pair.server, KR_ERR_INVALID, "offers no protocol that is spoken here");
    assert_failed(pair.client, KR_ERR_FORBIDDEN, "no application protocol");
    pair_fini(&pair);
    tls_context_free(&other);
    options.alpn = NULL;
    options.needs_alpn = false;
    other = context_with(room, options);
    pair_init(&pair, other, room->context);
    pair_run(&pair);
    assert_failed(pair.server, KR_ERR_INVALID, "names no protocol (ALPN)");
    assert_int_equal(tls_state(pair.client), KR_TLS_CLOSED);
    pair_fini(&pair);
    tls_context_free(&other);
}

static void a_client_without_a_certificate_is_refused(void **state)
{
    struct room *room = *state;
    struct pair pair;
    SSL_CTX *bare = SSL_CTX_new(TLS_client_method());
    pair_init(&pair, room->context, room->context2);
    tls_free(&pair.client);
    SSL_CTX_set_alpn_protos(bare, (const unsigned char *)"\012keyreeve/1", 11);
    SSL *client = SSL_new(bare);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL_set_bio(client, in, out);
    uint8_t memory[65536];
    for (int turn = 0; turn < 4; turn++) {
        struct buf wire;
        SSL_connect(client);
        ERR_clear_error();
        int size = BIO_read(out, memory, sizeof(memory));
        if (size > 0)
            assert_int_equal(tls_receive(pair.server, bytes_of(memory, (size_t)size)), KR_ERR_OK);
        buf_init(&wire, WIRE_MAX);
        tls_take(pair.server, &wire);
        BIO_write(in, wire.data, (int)wire.size);
        buf_fini(&wire);
    }
    assert_failed(pair.server, KR_ERR_UNAUTHORIZED, "showed no certificate");
    SSL_free(client);
    SSL_CTX_free(bare);
    pair_fini(&pair);
}

static void what_is_not_tls_is_refused(void **state)
{
    struct room *room = *state;
    const char *inputs[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x7f\x01 too long for a record",
                            "SSH-2.0-OpenSSH_9.2\r\n"};
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct tls *tls = tls_new(room->context, true);
        assert_int_equal(tls_receive(tls, bytes_text(inputs[i])), KR_ERR_OK);
        assert_failed(tls, KR_ERR_INVALID, "the other end does not speak TLS");
        assert_int_equal(tls_receive(tls, bytes_text("more")), KR_ERR_OK);
        tls_free(&tls);
    }
}

// Whatever byte of a record is changed on its way, nothing of it is read.
static void a_changed_record_breaks_the_connection(void **state)
{
    struct room *room = *state;
    for (size_t at = 0; at < 40; at += 3) {
        struct pair pair;
        struct buf wire;
        pair_init(&pair, room->context, room->context2);
        pair_run(&pair);
        buf_init(&wire, WIRE_MAX);
        assert_int_equal(tls_write(pair.client, bytes_text("thirty-two bytes of a plain text")),
                         KR_ERR_OK);
        tls_take(pair.client, &wire);
        assert_true(at < wire.size);
        wire.data[at] ^= 0x10;
        assert_int_equal(tls_receive(pair.server, buf_bytes(&wire)), KR_ERR_OK);
        tls_receive_end(pair.server); // a longer length than there are bytes ends here
        assert_int_equal(tls_state(pair.server), KR_TLS_FAILED);
        assert_reads(pair.server, bytes_text(""));
        buf_fini(&wire);
        pair_fini(&pair);
    }
}

static void connections_outlive_the_context_that_made_them(void **state)
{
    struct room *room = *state;
    struct pair pair;
    struct tls_context *old = context_of(room->authority, "n7", -1, 30);
    pair_init(&pair, old, room->context);
    tls_context_free(&old);
    assert_null(old);
    pair_run(&pair);
    assert_int_equal(tls_state(pair.server), KR_TLS_OPEN);
    pair_fini(&pair);
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
        cmocka_unit_test(both_ends_know_each_other),
        cmocka_unit_test(the_handshake_does_not_mind_how_the_bytes_are_split),
        cmocka_unit_test(a_record_arrives_whole_or_not_at_all),
        cmocka_unit_test(large_data_goes_both_ways_and_small_readers_get_all_of_it),
        cmocka_unit_test(what_waits_is_bounded),
        cmocka_unit_test(a_goodbye_closes_both_ends_and_loses_nothing),
        cmocka_unit_test(an_end_without_a_goodbye_is_a_failure),
        cmocka_unit_test(certificates_that_do_not_hold_are_refused_with_the_reason),
        cmocka_unit_test(a_certificate_of_another_authority_is_refused),
        cmocka_unit_test(a_bundle_may_trust_two_authorities_of_its_cluster),
        cmocka_unit_test(a_server_refuses_an_expired_client),
        cmocka_unit_test(another_cluster_is_refused_even_by_a_trusted_authority),
        cmocka_unit_test(a_listener_may_ask_for_less),
        cmocka_unit_test(the_wrong_protocol_is_refused),
        cmocka_unit_test(a_client_without_a_certificate_is_refused),
        cmocka_unit_test(what_is_not_tls_is_refused),
        cmocka_unit_test(a_changed_record_breaks_the_connection),
        cmocka_unit_test(connections_outlive_the_context_that_made_them),
        cmocka_unit_test(a_bundle_that_lacks_something_is_refused),
        cmocka_unit_test(a_context_names_its_own_node),
    };
    return cmocka_run_group_tests(tests, make_room, free_room);
}
