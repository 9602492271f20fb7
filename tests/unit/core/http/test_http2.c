// SPDX-License-Identifier: Apache-2.0
// HTTP/2: frames in, requests out; answers in, frames out.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http2_peer.h"

static void a_request_is_lent_and_answered(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    PEER_HEADERS(&peer, FLAG_END_HEADERS | FLAG_END_STREAM, 1, PEER_GET, "x-api-key", "secret");
    peer_send(&peer);
    struct peer_lent lent = peer_take(&peer);
    assert_int_equal(http2_lent(peer.http2), 1);
    assert_int_equal(lent.next, KR_HTTP_REQUEST);
    assert_int_equal(lent.request.method, KR_HTTP_GET);
    assert_true(bytes_equal_text(lent.request.path, "/a"));
    assert_true(bytes_equal_text(lent.request.query, "b"));
    assert_true(bytes_equal_text(http_request_value(&lent.request, "X-API-Key"), "secret"));
    assert_true(bytes_equal_text(http_request_value(&lent.request, "Host"), "h"));
    assert_true(lent.request.is_keep_alive);
    assert_int_equal(peer_take(&peer).next, KR_HTTP_NEED_MORE);
    peer_answer(&peer, lent.stream);
    assert_string_equal(peer_said(&peer), "HEADERS 1 :status=200 x-a=b;DATA 1 ok.;");
    assert_int_equal(http2_lent(peer.http2), 0);
    assert_false(http2_has_streams(peer.http2));
    peer_fini(&peer);
}

static void the_answer_to_head_has_no_content(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    peer_get(&peer, 1);
    peer_send(&peer);
    peer_answer_with(&peer, peer_take(&peer).stream, "HTTP/1.1 204 No Content\r\n\r\n", "");
    assert_string_equal(peer_said(&peer), "HEADERS 1 :status=204.;");
    peer_fini(&peer);
}

static void content_is_joined_and_its_length_checked(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    PEER_HEADERS(&peer, FLAG_END_HEADERS, 1, PEER_POST, "content-length", "6");
    peer_frame(&peer, FRAME_DATA, FLAG_NONE, 1, bytes_text("one"));
    peer_send(&peer);
    assert_int_equal(peer_take(&peer).next, KR_HTTP_NEED_MORE);
    assert_true(http2_has_streams(peer.http2));
    peer_frame(&peer, FRAME_DATA, FLAG_PADDED, 1, bytes_of("\x02two\0\0", 6));
    PEER_HEADERS(&peer, FLAG_END_HEADERS | FLAG_END_STREAM, 1, "x-trailer", "t");
    PEER_HEADERS(&peer, FLAG_END_HEADERS, 3, PEER_POST, "content-length", "6");
    peer_frame(&peer, FRAME_DATA, FLAG_END_STREAM, 3, bytes_text("three"));
    peer_send(&peer);
    struct peer_lent lent = peer_take(&peer);
    assert_int_equal(lent.next, KR_HTTP_REQUEST);
    assert_true(bytes_equal_text(lent.request.body, "onetwo"));
    assert_null(http_request_field(&lent.request, "x-trailer"));
    assert_int_equal(peer_take(&peer).next, KR_HTTP_NEED_MORE);
    assert_string_equal(peer_said(&peer), "RST_STREAM 3 1;");
    peer_answer(&peer, lent.stream);
    peer_fini(&peer);
}

static void streams_are_answered_in_any_order_with_trailers(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    for (uint32_t id = 1; id <= 5; id += 2)
        peer_get(&peer, id);
    peer_send(&peer);
    struct peer_lent first = peer_take(&peer), second = peer_take(&peer), third = peer_take(&peer);
    peer_answer_with(&peer, third.stream, PEER_OK "3", "Grpc-Status: 0\r\nGrpc-Message: \r\n");
    peer_answer(&peer, first.stream);
    assert_string_equal(peer_said(&peer),
                        "HEADERS 5 :status=200 x-a=b;HEADERS 1 :status=200 x-a=b;DATA 1 ok.;"
                        "DATA 5 3;HEADERS 5 grpc-status=0 grpc-message=.;");
    peer_answer(&peer, second.stream);
    assert_string_equal(peer_said(&peer), "HEADERS 3 :status=200 x-a=b;DATA 3 ok.;");
    peer_fini(&peer);
}

static void the_pieces_do_not_matter(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    buf_add_text(&peer.out, KR_HTTP2_PREFACE);
    peer_frame(&peer, FRAME_SETTINGS, FLAG_NONE, 0, (struct bytes){0});
    PEER_HEADERS(&peer, FLAG_END_HEADERS, 1, PEER_POST);
    peer_frame(&peer, FRAME_DATA, FLAG_END_STREAM, 1, bytes_text("body"));
    for (size_t i = 0; i < peer.out.size; i++)
        http2_receive(peer.http2, bytes_of(peer.out.data + i, 1));
    struct peer_lent lent = peer_take(&peer);
    assert_true(bytes_equal_text(lent.request.body, "body"));
    peer_answer(&peer, lent.stream);
    peer_fini(&peer);
}

static void cookies_are_one_field(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    PEER_HEADERS(&peer, FLAG_END_HEADERS | FLAG_END_STREAM, 1, PEER_GET, "cookie", "a=1", "x-b",
                 "2", "cookie", "c=3", "cookie", "d=4");
    peer_send(&peer);
    struct peer_lent lent = peer_take(&peer);
    assert_int_equal(lent.request.field_count, 3);
    assert_true(bytes_equal_text(http_request_value(&lent.request, "cookie"), "a=1; c=3; d=4"));
    assert_true(bytes_equal_text(http_request_value(&lent.request, "x-b"), "2"));
    peer_answer(&peer, lent.stream);
    peer_fini(&peer);
}

// --- refusals ------------------------------------------------------------------------------------

static void what_is_no_request_of_ours_is_refused(void **state)
{
    (void)state;
#define AT(authority, path)                                                                        \
    ":method", "GET", ":scheme", "http", ":path", path, ":authority", authority
    static const struct {
        const char *fields[16];
        enum kr_err err;
    } cases[] = {
        {{":method", "CONNECT", ":authority", "h"}, KR_ERR_UNSUPPORTED},
        {{AT("h", "/a#b")}, KR_ERR_INVALID},
        {{AT("h", "/\xc3\xa9")}, KR_ERR_INVALID},
        {{AT("u@h", "/")}, KR_ERR_INVALID},
        {{AT("h", "/"), "host", "other"}, KR_ERR_INVALID},
        {{":method", "GET", ":scheme", "http", ":path", "/", "host", "u@h"}, KR_ERR_INVALID},
    };
    struct peer peer;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        peer_init(&peer);
        peer_greet(&peer);
        peer_headers(&peer, FLAG_END_HEADERS | FLAG_END_STREAM, 1, cases[i].fields);
        peer_send(&peer);
        struct peer_lent lent = peer_take(&peer);
        assert_int_equal(lent.next, KR_HTTP_REFUSED);
        assert_int_equal(lent.err, cases[i].err);
        assert_non_null(lent.reason);
        peer_answer(&peer, lent.stream);
        assert_string_equal(peer_said(&peer), "HEADERS 1 :status=200 x-a=b;DATA 1 ok.;");
        peer_fini(&peer);
    }
}

static void malformed_requests_are_reset(void **state)
{
    (void)state;
    static const char *const cases[][14] = {
        {":method", "GET", ":path", "/", ":authority", "h"},
        {":method", "GET", ":scheme", "http", ":path", "", ":authority", "h"},
        {":method", "GET", ":scheme", "http", ":path", "/"},
        {PEER_GET, "X-Upper", "1"},
        {PEER_GET, "connection", "close"},
        {PEER_GET, "te", "gzip"},
        {PEER_GET, "x y", "1"},
        {PEER_GET, "x-a", "1\r\nx-b: 2"},
        {PEER_GET, "x-a", " 1"},
        {PEER_GET, ":path", "/again"},
        {"x-first", "1", PEER_GET},
        {PEER_GET, ":unknown", "1"},
        {PEER_GET, "content-length", "x"},
        {PEER_GET, "host", "a b"},
    };
    struct peer peer;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        peer_init(&peer);
        peer_greet(&peer);
        peer_headers(&peer, FLAG_END_HEADERS | FLAG_END_STREAM, 1, cases[i]);
        peer_get(&peer, 3);
        peer_send(&peer);
        struct peer_lent lent = peer_take(&peer);
        assert_int_equal(lent.next, KR_HTTP_REQUEST); // the other stream's
        assert_string_equal(peer_said(&peer), "RST_STREAM 1 1;");
        peer_answer(&peer, lent.stream);
        peer_fini(&peer);
    }
}

static void what_is_too_large_is_refused_and_its_rest_is_not_waited_for(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer.body_limit = 4;
    peer_greet(&peer);
    PEER_HEADERS(&peer, FLAG_END_HEADERS, 1, PEER_POST);
    peer_frame(&peer, FRAME_DATA, FLAG_NONE, 1, bytes_text("five!"));
    PEER_HEADERS(&peer, FLAG_END_HEADERS, 3, PEER_POST, "content-length", "5", "expect",
                 "100-continue");
    peer_send(&peer);
    for (uint32_t id = 1; id <= 3; id += 2) {
        struct peer_lent lent = peer_take(&peer);
        char said[128];
        assert_int_equal(lent.next, KR_HTTP_REFUSED);
        assert_int_equal(lent.err, KR_ERR_TOO_LARGE);
        assert_int_equal(lent.request.method, KR_HTTP_POST);
        peer_answer(&peer, lent.stream);
        snprintf(said, sizeof(said), "HEADERS %u :status=200 x-a=b;DATA %u ok.;RST_STREAM %u 0;",
                 id, id, id);
        assert_string_equal(peer_said(&peer), said);
    }
    peer_frame(&peer, FRAME_DATA, FLAG_END_STREAM, 1, bytes_text("late"));
    peer_send(&peer);
    assert_false(http2_is_broken(peer.http2));
    peer_fini(&peer);
}

static void who_waits_for_it_is_told_to_go_on(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    PEER_HEADERS(&peer, FLAG_END_HEADERS, 1, PEER_POST, "expect", "100-continue");
    peer_send(&peer);
    assert_string_equal(peer_said(&peer), "HEADERS 1 :status=100;");
    peer_frame(&peer, FRAME_DATA, FLAG_END_STREAM, 1, bytes_text("body"));
    peer_send(&peer);
    struct peer_lent lent = peer_take(&peer);
    assert_true(bytes_equal_text(lent.request.body, "body"));
    peer_answer(&peer, lent.stream);
    peer_fini(&peer);
}

// Fields of 100 bytes, until the list has as many bytes.
static void long_list(struct peer *peer, uint32_t id, size_t bytes)
{
    uint8_t memory[16384];
    char value[101] = {0};
    struct buf block;
    memset(value, 'v', 100);
    buf_init_fixed(&block, memory, sizeof(memory));
    static const char *const head[] = {PEER_GET};
    for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i += 2)
        peer_field(&block, head[i], head[i + 1]);
    peer_frame(peer, FRAME_HEADERS, FLAG_END_STREAM, id, buf_bytes(&block));
    for (size_t sent = 0; sent < bytes;) {
        buf_clear(&block);
        for (size_t i = 0; i < 120 && sent < bytes; i++, sent += 133)
            peer_field(&block, "x", value);
        peer_frame(peer, FRAME_CONTINUATION, FLAG_NONE, id, buf_bytes(&block));
    }
    peer_frame(peer, FRAME_CONTINUATION, FLAG_END_HEADERS, id, (struct bytes){0});
}

static void a_long_header_list_is_refused(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    long_list(&peer, 1, 20000);
    peer_send(&peer);
    struct peer_lent lent = peer_take(&peer);
    assert_int_equal(lent.next, KR_HTTP_REFUSED);
    assert_int_equal(lent.err, KR_ERR_HEADERS_TOO_LARGE);
    peer_answer(&peer, lent.stream);
    assert_string_equal(peer_said(&peer), "HEADERS 1 :status=200 x-a=b;DATA 1 ok.;");
    peer_fini(&peer);
}

static void more_than_the_pool_may_hold_is_refused_but_for_a_few_streams(void **state)
{
    (void)state;
    static const uint8_t large[16384];
    struct peer peer;
    peer_init(&peer);
    http_pool_bound(peer.pool, 30000);
    peer_greet(&peer);
    for (uint32_t id = 1; id <= 15; id += 2) // four are sure, two find room
        peer_get(&peer, id);
    peer_send(&peer);
    assert_string_equal(peer_said(&peer), "RST_STREAM 13 7;RST_STREAM 15 7;");
    for (size_t i = 0; i < 6; i++)
        peer_answer(&peer, peer_take(&peer).stream);
    peer_read(&peer);
    PEER_HEADERS(&peer, FLAG_END_HEADERS, 17, PEER_POST);
    PEER_HEADERS(&peer, FLAG_END_HEADERS, 19, PEER_POST);
    for (size_t i = 0; i < 3; i++)
        peer_frame(&peer, FRAME_DATA, FLAG_NONE, 17, bytes_of(large, sizeof(large)));
    peer_frame(&peer, FRAME_DATA, FLAG_END_STREAM, 19, bytes_of(large, 4096));
    peer_send(&peer);
    struct peer_lent lent = peer_take(&peer);
    assert_int_equal(lent.err, KR_ERR_BUSY);
    peer_answer(&peer, lent.stream);
    lent = peer_take(&peer);
    assert_int_equal(lent.next, KR_HTTP_REQUEST);
    assert_int_equal(lent.request.body.size, 4096);
    peer_answer(&peer, lent.stream);
    peer_fini(&peer);
}

static struct peer_lent lend_long(struct peer *peer, uint32_t id, size_t size)
{
    long_list(peer, id, size);
    peer_send(peer);
    return peer_take(peer);
}

static void long_fields_are_held_against_the_pool_too(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    http_pool_bound(peer.pool, 30000);
    peer_greet(&peer);
    struct peer_lent first = lend_long(&peer, 1, 7000); // sure, but for one step
    assert_int_equal(first.err, KR_ERR_OK);
    struct peer_lent second = lend_long(&peer, 3, 7000);
    assert_int_equal(second.err, KR_ERR_BUSY);
    struct peer_lent third = lend_long(&peer, 5, 3000);
    assert_int_equal(third.err, KR_ERR_OK);
    peer_answer(&peer, first.stream);
    peer_answer(&peer, second.stream);
    peer_answer(&peer, third.stream);
    peer_read(&peer);
    struct peer_lent fourth = lend_long(&peer, 7, 7000);
    assert_int_equal(fourth.err, KR_ERR_OK);
    peer_answer(&peer, fourth.stream);
    peer_fini(&peer);
}

// --- answers that wait ---------------------------------------------------------------------------

static void an_answer_waits_for_its_window(void **state)
{
    (void)state;
    struct peer peer;
    char reply[512] = PEER_OK;
    memset(reply + strlen(reply), 'a', 100);
    peer_init(&peer);
    const uint8_t window[] = {0, 4, 0, 0, 0, 10}; // SETTINGS_INITIAL_WINDOW_SIZE
    buf_add_text(&peer.out, KR_HTTP2_PREFACE);
    peer_frame(&peer, FRAME_SETTINGS, FLAG_NONE, 0, bytes_of(window, sizeof(window)));
    peer_get(&peer, 1);
    peer_get(&peer, 3);
    peer_send(&peer);
    peer_answer_with(&peer, peer_take(&peer).stream, reply, "");
    peer_read(&peer);
    assert_int_equal(http2_unsent(peer.http2), 90);
    assert_true(http2_has_streams(peer.http2));
    assert_false(http2_has_output(peer.http2));
    peer_answer_with(&peer, peer_take(&peer).stream, PEER_OK "short",
                     ""); // others do not wait for it
    peer_read(&peer);
    assert_int_equal(http2_unsent(peer.http2), 90);
    peer_u32(&peer, FRAME_WINDOW_UPDATE, 1, 90);
    peer_send(&peer);
    peer_read(&peer);
    assert_int_equal(http2_unsent(peer.http2), 0);
    peer_fini(&peer);
}

static void a_peer_that_takes_no_answers_is_not_asked_for_more(void **state)
{
    (void)state;
    struct peer peer;
    size_t size = KR_HTTP2_UNSENT_MAX + 65536;
    char *reply = mem_zalloc(size + sizeof(PEER_OK));
    memcpy(reply, PEER_OK, sizeof(PEER_OK) - 1);
    memset(reply + sizeof(PEER_OK) - 1, 'a', size);
    peer_init(&peer);
    peer_greet(&peer);
    peer_get(&peer, 1);
    peer_get(&peer, 3);
    peer_send(&peer);
    peer_answer_with(&peer, peer_take(&peer).stream, reply, "");
    mem_free(reply);
    assert_int_equal(peer_take(&peer).next, KR_HTTP_NEED_MORE);
    peer_read(&peer);
    peer_u32(&peer, FRAME_WINDOW_UPDATE, 0, 1 << 20);
    peer_u32(&peer, FRAME_WINDOW_UPDATE, 1, 1 << 20);
    peer_send(&peer);
    peer_read(&peer);
    assert_int_equal(http2_unsent(peer.http2), 0);
    struct peer_lent lent = peer_take(&peer);
    assert_int_equal(lent.next, KR_HTTP_REQUEST);
    peer_answer(&peer, lent.stream);
    peer_fini(&peer);
}

static void a_stream_that_was_given_up_is_answered_to_nobody(void **state)
{
    (void)state;
    struct peer peer;
    peer_init(&peer);
    peer_greet(&peer);
    peer_get(&peer, 1);
    peer_get(&peer, 3);
    peer_send(&peer);
    struct peer_lent lent = peer_take(&peer);
    peer_u32(&peer, FRAME_RST_STREAM, 1, 8);
    peer_u32(&peer, FRAME_RST_STREAM, 3, 8); // not lent yet: it is gone
    peer_send(&peer);
    assert_int_equal(peer_take(&peer).next, KR_HTTP_NEED_MORE);
    assert_true(bytes_equal_text(lent.request.path, "/a")); // still lent
    peer_answer(&peer, lent.stream);
    assert_string_equal(peer_said(&peer), "");
    assert_int_equal(http2_lent(peer.http2), 0);
    peer_fini(&peer);
}

static void a_reply_that_did_not_fit_resets_its_stream(void **state)
{
    (void)state;
    struct peer peer;
    uint8_t memory[8];
    struct buf small, none;
    peer_init(&peer);
    peer_greet(&peer);
    peer_get(&peer, 1);
    peer_send(&peer);
    buf_init_fixed(&small, memory, sizeof(memory));
    buf_init(&none, 1);
    buf_add_text(&small, PEER_OK);
    http2_answer(peer.http2, peer_take(&peer).stream, &small, &none);
    assert_string_equal(peer_said(&peer), "RST_STREAM 1 2;");
    peer_fini(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_lent_and_answered),
        cmocka_unit_test(the_answer_to_head_has_no_content),
        cmocka_unit_test(content_is_joined_and_its_length_checked),
        cmocka_unit_test(streams_are_answered_in_any_order_with_trailers),
        cmocka_unit_test(the_pieces_do_not_matter),
        cmocka_unit_test(cookies_are_one_field),
        cmocka_unit_test(what_is_no_request_of_ours_is_refused),
        cmocka_unit_test(malformed_requests_are_reset),
        cmocka_unit_test(what_is_too_large_is_refused_and_its_rest_is_not_waited_for),
        cmocka_unit_test(who_waits_for_it_is_told_to_go_on),
        cmocka_unit_test(a_long_header_list_is_refused),
        cmocka_unit_test(more_than_the_pool_may_hold_is_refused_but_for_a_few_streams),
        cmocka_unit_test(long_fields_are_held_against_the_pool_too),
        cmocka_unit_test(an_answer_waits_for_its_window),
        cmocka_unit_test(a_peer_that_takes_no_answers_is_not_asked_for_more),
        cmocka_unit_test(a_stream_that_was_given_up_is_answered_to_nobody),
        cmocka_unit_test(a_reply_that_did_not_fit_resets_its_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
