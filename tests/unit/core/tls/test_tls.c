// SPDX-License-Identifier: Apache-2.0
// Tests of TLS connections in memory: every split of the bytes, garbage, truncation, bounds.
#include "core/tls/tls.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "core/tls/tls_internal.h"
#include "tests/unit/core/tls/room.h"

static void assert_reads(struct tls *tls, struct bytes expected)
{
    struct buf out;
    buf_init(&out, WIRE_MAX);
    assert_int_equal(tls_read(tls, &out), expected.size);
    assert_true(bytes_equal(buf_bytes(&out), expected));
    buf_fini(&out);
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

static void ask_for_new_keys(struct tls *tls, int times)
{
    for (int i = 0; i < times; i++) {
        assert_int_equal(SSL_key_update(tls->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(tls->ssl), 1);
    }
}

static void new_keys_are_made_when_they_are_asked_for(void **state)
{
    struct room *room = *state;
    struct pair pair;
    pair_init(&pair, room->context, room->context2);
    pair_run(&pair);
    ask_for_new_keys(pair.client, 3);
    assert_true(carry(pair.client, pair.server, 0) > 0);
    assert_true(tls_untaken(pair.server) > 0);
    assert_int_equal(tls_write(pair.server, bytes_text("under new keys")), KR_ERR_OK);
    pair_run(&pair);
    assert_reads(pair.client, bytes_text("under new keys"));
    pair_fini(&pair);
}

// Nothing is read of what came behind the last request that is borne.
static void who_asks_for_new_keys_and_nothing_else_is_cut_off(void **state)
{
    struct room *room = *state;
    struct pair pair;
    pair_init(&pair, room->context, room->context2);
    pair_run(&pair);
    ask_for_new_keys(pair.client, 32);
    carry(pair.client, pair.server, 0);
    assert_int_equal(tls_state(pair.server), KR_TLS_OPEN);
    assert_int_equal(tls_write(pair.client, bytes_text("data")), KR_ERR_OK);
    ask_for_new_keys(pair.client, 32);
    carry(pair.client, pair.server, 0);
    assert_int_equal(tls_state(pair.server), KR_TLS_OPEN);
    size_t answers = tls_untaken(pair.server);
    ask_for_new_keys(pair.client, 1000);
    assert_int_equal(tls_write(pair.client, bytes_text("late")), KR_ERR_OK);
    carry(pair.client, pair.server, 0);
    assert_failed(pair.server, KR_ERR_INVALID, "asks for new keys or handshakes");
    assert_true(tls_untaken(pair.server) <= answers + 100);
    assert_reads(pair.server, bytes_text("data"));
    pair_fini(&pair);
}

// The client asks and never takes, as the link of a node does while its last write is under way:
// what is answered ends somewhere.
static void who_asks_for_too_many_answers_is_cut_off(void **state)
{
    struct room *room = *state;
    struct pair pair;
    struct buf sent;
    pair_init(&pair, room->context, room->context2);
    pair_run(&pair);
    buf_init(&sent, WIRE_MAX);
    memset(buf_extend(&sent, KR_TLS_UNTAKEN_MAX), 'x', KR_TLS_UNTAKEN_MAX);
    assert_int_equal(tls_write(pair.server, buf_bytes(&sent)), KR_ERR_OK);
    for (int turn = 0; turn < 1000 && tls_state(pair.server) == KR_TLS_OPEN; turn++) {
        ask_for_new_keys(pair.client, 20);
        assert_int_equal(tls_write(pair.client, bytes_text("x")), KR_ERR_OK);
        carry(pair.client, pair.server, 0);
        assert_true(tls_untaken(pair.server) < KR_TLS_UNTAKEN_MAX + (size_t)300000);
    }
    assert_failed(pair.server, KR_ERR_INVALID, "more answers than it takes");
    buf_fini(&sent);
    pair_fini(&pair);
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
        cmocka_unit_test(a_listener_may_ask_for_less),
        cmocka_unit_test(the_wrong_protocol_is_refused),
        cmocka_unit_test(what_is_not_tls_is_refused),
        cmocka_unit_test(a_changed_record_breaks_the_connection),
        cmocka_unit_test(new_keys_are_made_when_they_are_asked_for),
        cmocka_unit_test(who_asks_for_new_keys_and_nothing_else_is_cut_off),
        cmocka_unit_test(who_asks_for_too_many_answers_is_cut_off),
        cmocka_unit_test(connections_outlive_the_context_that_made_them),
    };
    return cmocka_run_group_tests(tests, make_room, free_room);
}
