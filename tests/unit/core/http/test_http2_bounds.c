// SPDX-License-Identifier: Apache-2.0
// HTTP/2: who is sent away, and how a connection ends.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http2_peer.h"

enum { CODE_PROTOCOL = 1, CODE_CALM = 11, PATIENCE_MS = 1000 };

// --- who is sent away ----------------------------------------------------------------------------

static void expect_sent_away(struct peer *peer, unsigned code)
{
    char last[32];
    snprintf(last, sizeof(last), " %u;", code);
    const char *said = peer_said(peer);
    const char *goaway = strstr(said, "GOAWAY 0 ");
    assert_non_null(goaway);
    assert_string_equal(strchr(goaway + sizeof("GOAWAY 0 ") - 1, ' '), last);
    assert_true(http2_is_broken(peer->http2));
    assert_true(http2_is_over(peer->http2));
    peer_get(peer, 99999);
    peer_send(peer);
    assert_int_equal(peer_take(peer).next, KR_HTTP_NEED_MORE);
    peer_fini(peer);
}

static void another_preface_is_a_protocol_error(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    buf_add_text(&peer.out, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peer_send(&peer);
    expect_sent_away(&peer, CODE_PROTOCOL);
}

// Frames up to here have come; the time is that of its first look, and then of its last.
static size_t sweep_twice(struct peer *peer, uint64_t from_ms, uint64_t to_ms)
{
    peer_send(peer);
    peer_read(peer);
    size_t ended = http2_sweep(peer->http2, from_ms, PATIENCE_MS);
    return ended + http2_sweep(peer->http2, to_ms, PATIENCE_MS);
}

// So many streams with an answer of so many bytes each.
static void answer_long(struct peer *peer, uint32_t streams, size_t size)
{
    char *reply = mem_zalloc(size + sizeof(PEER_OK));
    memcpy(reply, PEER_OK, sizeof(PEER_OK) - 1);
    memset(reply + sizeof(PEER_OK) - 1, 'a', size);
    for (uint32_t i = 0; i < streams; i++)
        peer_get(peer, 2 * i + 1);
    peer_send(peer);
    for (uint32_t i = 0; i < streams; i++)
        peer_answer_with(peer, peer_take(peer).stream, reply, "");
    mem_free(reply);
}

// On so many streams, asked and given up at once.
static void reset_rapidly(struct peer *peer, uint32_t first, size_t streams)
{
    for (uint32_t id = first; streams > 0; id += 2, streams--) {
        peer_get(peer, id);
        peer_u32(peer, FRAME_RST_STREAM, id, 8);
    }
}

static void rapid_resets_end_the_connection(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    uint32_t most = KR_HTTP2_CALM_MAX / KR_HTTP2_CALM_STREAM - 1; // beside two SETTINGS
    reset_rapidly(&peer, 1, most);
    peer_send(&peer);
    assert_string_equal(peer_said(&peer), "");
    assert_false(http2_is_broken(peer.http2));
    reset_rapidly(&peer, 2 * most + 1, 1);
    peer_send(&peer);
    expect_sent_away(&peer, CODE_CALM);
}

static void resets_between_answers_do_not(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    for (uint32_t id = 1; id < 40000; id += 4) {
        peer_get(&peer, id);
        peer_get(&peer, id + 2);
        peer_u32(&peer, FRAME_RST_STREAM, id + 2, 8);
        peer_send(&peer);
        peer_answer(&peer, peer_take(&peer).stream);
        peer_read(&peer);
        buf_clear(&peer.transcript);
    }
    assert_false(http2_is_broken(peer.http2));
    peer_fini(&peer);
}

static void what_was_whole_is_answered_before_its_peer_is_sent_away(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    peer_get(&peer, 1);
    peer_get(&peer, 3);
    reset_rapidly(&peer, 5, KR_HTTP2_CALM_MAX / KR_HTTP2_CALM_STREAM + 1);
    peer_send(&peer);
    assert_string_equal(peer_said(&peer), "");
    peer_answer(&peer, peer_take(&peer).stream);
    assert_string_equal(peer_said(&peer), "HEADERS 1 :status=200 x-a=b;DATA 1 ok.;");
    peer_get(&peer, 9999); // is too late
    peer_send(&peer);
    peer_answer(&peer, peer_take(&peer).stream);
    const char *said = peer_said(&peer);
    assert_ptr_equal(strstr(said, "HEADERS 3 :status=200 x-a=b;DATA 3 ok.;GOAWAY 0 "), said);
    assert_true(http2_is_over(peer.http2));
    peer_fini(&peer);
}

// Nothing is taken in any more, so that no window would come.
static void who_is_to_be_sent_away_is_not_waited_for(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    answer_long(&peer, 1, 100000);
    reset_rapidly(&peer, 3, KR_HTTP2_CALM_MAX / KR_HTTP2_CALM_STREAM + 1);
    assert_int_equal(sweep_twice(&peer, 5000, 5000 + PATIENCE_MS - 1), 0);
    assert_false(http2_is_over(peer.http2));
    assert_int_equal(http2_sweep(peer.http2, 5000 + PATIENCE_MS, PATIENCE_MS), 1);
    expect_sent_away(&peer, CODE_CALM);
}

static void a_proxy_is_not_sent_away_for_its_clients_streams(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    http2_trust(peer.http2);
    peer_greet(&peer);
    peer_get(&peer, 1);
    reset_rapidly(&peer, 3, 4 * KR_HTTP2_CALM_MAX / KR_HTTP2_CALM_STREAM);
    peer_send(&peer);
    assert_int_equal(peer_said(&peer)[0], '\0');
    peer_answer(&peer, peer_take(&peer).stream);
    assert_string_equal(peer_said(&peer), "HEADERS 1 :status=200 x-a=b;DATA 1 ok.;");
    assert_false(http2_has_streams(peer.http2)); // whatever they held is freed
    uint32_t id = 100001;
    for (size_t i = 0; i < 2 * KR_HTTP2_CALM_MAX / KR_HTTP2_CALM_STREAM; i++, id += 2) {
        PEER_HEADERS(&peer, FLAG_END_HEADERS | FLAG_END_STREAM, id, ":path", "/"); // malformed
        peer_send(&peer);
        assert_non_null(strstr(peer_said(&peer), "RST_STREAM"));
    }
    for (size_t i = 0; i <= KR_HTTP2_CALM_MAX / KR_HTTP2_CALM_LATE; i++, id += 2)
        PEER_HEADERS(&peer, FLAG_END_HEADERS, id, PEER_POST); // not whole in time
    sweep_twice(&peer, 5000, 5000 + PATIENCE_MS);
    peer_get(&peer, id);
    peer_send(&peer);
    assert_int_equal(peer_take(&peer).next, KR_HTTP_REQUEST);
    assert_false(http2_is_broken(peer.http2));
    peer_fini(&peer);
}

static void malformed_requests_without_end_end_the_connection(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    for (uint32_t id = 1; id < 4000 && !http2_is_broken(peer.http2); id += 2) {
        PEER_HEADERS(&peer, FLAG_END_HEADERS | FLAG_END_STREAM, id, ":path", "/");
        peer_send(&peer);
        peer_read(&peer);
    }
    expect_sent_away(&peer, CODE_CALM);
}

static void floods_of_frames_end_the_connection(void **state)
{
    (void)state;
    static const struct {
        enum peer_frame type;
        uint32_t id;
        size_t size;
    } floods[] = {
        {FRAME_PING, 0, 8}, {FRAME_SETTINGS, 0, 0}, {FRAME_PRIORITY, 1, 5}, {FRAME_DATA, 1, 0}};
    static const uint8_t zeros[8];
    struct peer peer;
    for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
        peer_init(&peer);
        peer_greet(&peer);
        PEER_HEADERS(&peer, FLAG_END_HEADERS, 1, PEER_POST);
        for (size_t count = 0; count <= KR_HTTP2_CALM_MAX; count++) {
            peer_frame(&peer, floods[i].type, FLAG_NONE, floods[i].id,
                       bytes_of(zeros, floods[i].size));
            peer_send(&peer);
            peer_read(&peer); // who does not read its answers is found out sooner
        }
        assert_true(http2_is_over(peer.http2));
        expect_sent_away(&peer, CODE_CALM);
    }
}

static void a_flood_of_continuations_ends_the_connection(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    PEER_HEADERS(&peer, FLAG_NONE, 1, PEER_GET);
    for (size_t i = 0; i < 100; i++)
        peer_frame(&peer, FRAME_CONTINUATION, FLAG_NONE, 1, (struct bytes){0});
    peer_send(&peer);
    expect_sent_away(&peer, CODE_CALM);
}

static void a_header_list_beyond_all_measure_ends_the_connection(void **state)
{
    (void)state;
    struct peer peer;
    uint8_t memory[16384];
    struct buf block;
    peer_init(&peer);
    peer_greet(&peer);
    PEER_HEADERS(&peer, FLAG_NONE, 1, PEER_GET);
    buf_init_fixed(&block, memory, sizeof(memory));
    buf_add(&block, "\x40\x01x\x64", 4); // literal with index: it becomes number 62,
    for (size_t i = 0; i < 100; i++)
        buf_add_u8(&block, 'v');
    while (block.size < 2000)
        buf_add_u8(&block, 0x80 | 62); // which a byte calls up again
    peer_frame(&peer, FRAME_CONTINUATION, FLAG_END_HEADERS, 1, buf_bytes(&block));
    peer_send(&peer);
    expect_sent_away(&peer, CODE_CALM);
}

// --- who is waited for ---------------------------------------------------------------------------

static void a_request_that_does_not_become_whole_is_ended_alone(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    PEER_HEADERS(&peer, FLAG_END_HEADERS, 1, PEER_POST);
    peer_frame(&peer, FRAME_DATA, FLAG_NONE, 1, bytes_text("{"));
    assert_int_equal(sweep_twice(&peer, 5000, 5000 + PATIENCE_MS - 1), 0);
    peer_get(&peer, 3);                                            // answered meanwhile
    peer_frame(&peer, FRAME_DATA, FLAG_NONE, 1, bytes_text("\"")); // a crumb is no progress
    peer_send(&peer);
    peer_answer(&peer, peer_take(&peer).stream);
    assert_string_equal(peer_said(&peer), "HEADERS 3 :status=200 x-a=b;DATA 3 ok.;");
    assert_int_equal(http2_sweep(peer.http2, 5000 + PATIENCE_MS, PATIENCE_MS), 1);
    assert_string_equal(peer_said(&peer), "RST_STREAM 1 8;");
    assert_false(http2_has_streams(peer.http2));
    assert_false(http2_is_over(peer.http2));
    peer_fini(&peer);
}

static void while_our_side_is_held_up_nobody_is_late(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    PEER_HEADERS(&peer, FLAG_END_HEADERS, 1, PEER_POST);
    assert_int_equal(sweep_twice(&peer, 5000, 5900), 0);
    assert_int_equal(http2_sweep(peer.http2, 8000, 0), 0);
    assert_int_equal(http2_sweep(peer.http2, 8900, PATIENCE_MS), 0);
    assert_int_equal(http2_sweep(peer.http2, 9000, PATIENCE_MS), 1);
    peer_fini(&peer);
}

static void who_stops_within_a_head_is_sent_away(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    PEER_HEADERS(&peer, FLAG_END_STREAM, 1, PEER_GET);
    assert_int_equal(sweep_twice(&peer, 5000, 5000 + PATIENCE_MS), 1);
    expect_sent_away(&peer, CODE_CALM);
}

static void an_answer_whose_window_stays_shut_is_ended_alone(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    answer_long(&peer, 2, 100000); // each stream's window, and that of all, has 65535
    peer_u32(&peer, FRAME_WINDOW_UPDATE, 0, 1 << 20);
    assert_int_equal(sweep_twice(&peer, 5000, 5500), 0);
    peer_u32(&peer, FRAME_WINDOW_UPDATE, 3, 20000);
    assert_int_equal(sweep_twice(&peer, 5600, 6000), 1);
    assert_non_null(strstr(peer_said(&peer), "RST_STREAM 1 8;"));
    assert_int_equal(http2_sweep(peer.http2, 6500, PATIENCE_MS), 0);
    assert_int_equal(http2_unsent(peer.http2), 100000 - 65535 - 20000);
    assert_int_equal(http2_sweep(peer.http2, 6600, PATIENCE_MS), 1);
    peer_read(&peer);
    assert_int_equal(http2_streams_owed(peer.streams), 0);
    peer_fini(&peer);
}

static void an_answer_behind_one_that_moves_waits_as_long_as_that(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    answer_long(&peer, 2, 120000);
    for (uint64_t now_ms = 5000; http2_unsent(peer.http2) > 30000; now_ms += PATIENCE_MS - 100) {
        peer_u32(&peer, FRAME_WINDOW_UPDATE, 0, 30000);
        peer_u32(&peer, FRAME_WINDOW_UPDATE, 1, 30000); // a window that only the first needs
        peer_u32(&peer, FRAME_WINDOW_UPDATE, 3, 30000);
        assert_int_equal(sweep_twice(&peer, now_ms, now_ms), 0);
    }
    peer_fini(&peer);
}

static void who_is_waited_for_again_and_again_is_sent_away(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    for (uint32_t i = 0; i <= KR_HTTP2_CALM_MAX / KR_HTTP2_CALM_LATE; i++)
        PEER_HEADERS(&peer, FLAG_END_HEADERS, 2 * i + 1, PEER_POST);
    sweep_twice(&peer, 5000, 5000 + PATIENCE_MS);
    expect_sent_away(&peer, CODE_CALM);
}

// --- who is put off ------------------------------------------------------------------------------

// On streams 1 to 7.
static void ask_four_times(struct peer *peer)
{
    peer_init(peer);
    peer_greet(peer);
    for (uint32_t id = 1; id <= 7; id += 2)
        peer_get(peer, id);
    peer_send(peer);
}

static void what_is_put_off_lets_others_pass_until_it_is_recalled(void **state)
{
    (void)state;
    struct peer peer;
    ask_four_times(&peer);
    http2_put_off(peer.http2, peer_take(&peer).stream, 1); // 1
    http2_put_off(peer.http2, peer_take(&peer).stream, 1); // 3
    struct peer_lent passing = peer_take(&peer);           // 5
    http2_put_off(peer.http2, peer_take(&peer).stream, 1); // 7
    assert_false(http2_has_request(peer.http2));
    assert_int_equal(http2_lent(peer.http2), 1);
    peer_u32(&peer, FRAME_RST_STREAM, 3, 8);
    peer_send(&peer);
    peer_answer(&peer, passing.stream);
    peer_read(&peer);
    http2_recall(peer.http2, 1);
    struct peer_lent first = peer_take(&peer);
    assert_true(bytes_equal_text(first.request.path, "/a"));
    assert_int_equal(peer_take(&peer).next, KR_HTTP_NEED_MORE);
    peer_answer(&peer, first.stream);
    peer_read(&peer);
    http2_recall(peer.http2, 1);
    peer_answer(&peer, peer_take(&peer).stream);
    http2_recall(peer.http2, 1); // there is none
    assert_string_equal(peer_said(&peer), "HEADERS 5 :status=200 x-a=b;DATA 5 ok.;"
                                          "HEADERS 1 :status=200 x-a=b;DATA 1 ok.;"
                                          "HEADERS 7 :status=200 x-a=b;DATA 7 ok.;");
    peer_fini(&peer);
}

// Whoever was recalled and is given up has the turn of the next, which nobody else would recall.
static void one_that_goes_once_recalled_recalls_the_next(void **state)
{
    (void)state;
    struct peer peer;
    ask_four_times(&peer);
    for (size_t i = 0; i < 4; i++)
        http2_put_off(peer.http2, peer_take(&peer).stream, 1);
    http2_recall(peer.http2, 1); // 1
    peer_u32(&peer, FRAME_RST_STREAM, 1, 8);
    peer_send(&peer);
    assert_true(http2_has_request(peer.http2));
    struct peer_lent next = peer_take(&peer); // 3
    assert_int_equal(peer_take(&peer).next, KR_HTTP_NEED_MORE);
    http2_put_off(peer.http2, next.stream, 1); // behind 7, with no turn
    peer_u32(&peer, FRAME_RST_STREAM, 3, 8);
    peer_send(&peer);
    assert_false(http2_has_request(peer.http2));
    http2_recall(peer.http2, 1); // 5
    peer_answer(&peer, peer_take(&peer).stream);
    assert_int_equal(peer_take(&peer).next, KR_HTTP_NEED_MORE);
    assert_string_equal(peer_said(&peer), "HEADERS 5 :status=200 x-a=b;DATA 5 ok.;");
    peer_fini(&peer);
}

static void kinds_wait_for_themselves(void **state)
{
    (void)state;
    struct peer peer;
    ask_four_times(&peer);
    for (uint8_t i = 0; i < 4; i++)
        http2_put_off(peer.http2, peer_take(&peer).stream, i % 2 + 1); // 1 and 5 of one, 3 and 7
    http2_recall(peer.http2, 2);
    peer_answer(&peer, peer_take(&peer).stream);
    assert_int_equal(peer_take(&peer).next, KR_HTTP_NEED_MORE);
    assert_string_equal(peer_said(&peer), "HEADERS 3 :status=200 x-a=b;DATA 3 ok.;");
    http2_recall(peer.http2, 2); // 7, which is given up: there is no other one of its kind
    peer_u32(&peer, FRAME_RST_STREAM, 7, 8);
    peer_send(&peer);
    assert_false(http2_has_request(peer.http2));
    http2_recall(peer.http2, 1);
    peer_answer(&peer, peer_take(&peer).stream);
    assert_string_equal(peer_said(&peer), "HEADERS 1 :status=200 x-a=b;DATA 1 ok.;");
    peer_fini(&peer);
}

// --- the end -------------------------------------------------------------------------------------

static void a_shutdown_answers_what_has_begun(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    peer_get(&peer, 1);
    peer_send(&peer);
    struct peer_lent lent = peer_take(&peer);
    http2_shutdown(peer.http2);
    assert_string_equal(peer_said(&peer), "GOAWAY 0 2147483647 0;");
    peer_get(&peer, 3); // was on its way
    peer_send(&peer);
    struct peer_lent late = peer_take(&peer);
    assert_int_equal(late.next, KR_HTTP_REQUEST);
    http2_shutdown(peer.http2);
    http2_shutdown(peer.http2);
    assert_string_equal(peer_said(&peer), "GOAWAY 0 3 0;");
    peer_get(&peer, 5);
    peer_send(&peer);
    assert_int_equal(peer_take(&peer).next, KR_HTTP_NEED_MORE);
    peer_answer(&peer, lent.stream);
    assert_false(http2_is_over(peer.http2));
    peer_answer(&peer, late.stream);
    peer_read(&peer);
    assert_true(http2_is_over(peer.http2));
    assert_false(http2_is_broken(peer.http2));
    peer_fini(&peer);
}

static void what_is_lent_may_outlive_the_peers_patience_but_not_the_connection(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    peer_get(&peer, 1);
    PEER_HEADERS(&peer, FLAG_END_HEADERS, 3, PEER_POST);
    peer_get(&peer, 5);
    peer_send(&peer);
    peer_take(&peer);
    peer_fini(&peer); // finds the memory of all given back
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_preface_is_a_protocol_error),
        cmocka_unit_test(rapid_resets_end_the_connection),
        cmocka_unit_test(resets_between_answers_do_not),
        cmocka_unit_test(what_was_whole_is_answered_before_its_peer_is_sent_away),
        cmocka_unit_test(who_is_to_be_sent_away_is_not_waited_for),
        cmocka_unit_test(a_proxy_is_not_sent_away_for_its_clients_streams),
        cmocka_unit_test(malformed_requests_without_end_end_the_connection),
        cmocka_unit_test(floods_of_frames_end_the_connection),
        cmocka_unit_test(a_flood_of_continuations_ends_the_connection),
        cmocka_unit_test(a_header_list_beyond_all_measure_ends_the_connection),
        cmocka_unit_test(a_request_that_does_not_become_whole_is_ended_alone),
        cmocka_unit_test(while_our_side_is_held_up_nobody_is_late),
        cmocka_unit_test(who_stops_within_a_head_is_sent_away),
        cmocka_unit_test(an_answer_whose_window_stays_shut_is_ended_alone),
        cmocka_unit_test(an_answer_behind_one_that_moves_waits_as_long_as_that),
        cmocka_unit_test(who_is_waited_for_again_and_again_is_sent_away),
        cmocka_unit_test(what_is_put_off_lets_others_pass_until_it_is_recalled),
        cmocka_unit_test(one_that_goes_once_recalled_recalls_the_next),
        cmocka_unit_test(kinds_wait_for_themselves),
        cmocka_unit_test(a_shutdown_answers_what_has_begun),
        cmocka_unit_test(what_is_lent_may_outlive_the_peers_patience_but_not_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
