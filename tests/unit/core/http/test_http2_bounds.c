// SPDX-License-Identifier: Apache-2.0
// HTTP/2: who is sent away, and how a connection ends.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http2_peer.h"

enum { CODE_PROTOCOL = 1, CODE_CALM = 11 };

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

static void rapid_resets_end_the_connection(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    uint32_t id = 1;
    for (; id < KR_HTTP2_CALM_MAX / KR_HTTP2_CALM_STREAM; id += 2) {
        peer_get(&peer, id);
        peer_u32(&peer, FRAME_RST_STREAM, id, 8);
    }
    peer_send(&peer);
    assert_false(http2_is_broken(peer.http2)); // half of what it takes
    for (; id <= 2 * KR_HTTP2_CALM_MAX / KR_HTTP2_CALM_STREAM; id += 2) {
        peer_get(&peer, id);
        peer_u32(&peer, FRAME_RST_STREAM, id, 8);
    }
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
        cmocka_unit_test(malformed_requests_without_end_end_the_connection),
        cmocka_unit_test(floods_of_frames_end_the_connection),
        cmocka_unit_test(a_flood_of_continuations_ends_the_connection),
        cmocka_unit_test(a_header_list_beyond_all_measure_ends_the_connection),
        cmocka_unit_test(a_shutdown_answers_what_has_begun),
        cmocka_unit_test(what_is_lent_may_outlive_the_peers_patience_but_not_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
