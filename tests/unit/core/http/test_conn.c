// SPDX-License-Identifier: Apache-2.0
// What a connection lends, when its memory comes and goes, and what it says beside requests.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "feed.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

static void receive(struct feed *feed, struct bytes input)
{
    size_t room = 0;
    uint8_t *space = http_conn_space(feed->conn, &room);
    assert_true(room >= input.size);
    memcpy(space, input.data, input.size);
    http_conn_received(feed->conn, input.size);
}

static enum http_next next(struct feed *feed, struct http_request *request)
{
    return http_conn_next(feed->conn, request, &feed->err, &feed->reason);
}

static void an_idle_connection_holds_no_block(void **state)
{
    (void)state;
    struct feed feed;
    feed_init(&feed, 100);
    assert_int_equal(http_pool_lent(feed.pool), 0);
    feed_bytes(&feed, bytes_text(GET));
    assert_int_equal(feed.requests, 1);
    assert_int_equal(http_pool_lent(feed.pool), 0);
    assert_false(http_conn_is_mid_request(feed.conn));
    feed_fini(&feed);
}

static void a_read_that_brings_nothing_gives_the_block_back(void **state)
{
    (void)state;
    struct feed feed;
    feed_init(&feed, 100);
    receive(&feed, bytes_text(""));
    assert_int_equal(http_pool_lent(feed.pool), 0);
    feed_fini(&feed);
}

static void an_unfinished_request_keeps_its_block(void **state)
{
    (void)state;
    struct feed feed;
    feed_init(&feed, 100);
    feed_bytes(&feed, bytes_text(GET "GET /"));
    assert_int_equal(feed.requests, 1);
    assert_int_equal(http_pool_lent(feed.pool), 1);
    assert_true(http_conn_is_mid_request(feed.conn));
    assert_int_equal(http_conn_pending(feed.conn), 5);
    feed_fini(&feed);
}

static void pipelined_requests_are_lent_at_once(void **state)
{
    (void)state;
    struct feed feed;
    struct http_request first, second, third;
    feed_init(&feed, 100);
    receive(&feed,
            bytes_text(POST "Content-Length: 3\r\n\r\none" POST
                            "Transfer-Encoding: chunked\r\n\r\n1\r\nt\r\n2\r\nwo\r\n0\r\n\r\n" POST
                            "Content-Length: 5\r\n\r\nthreeGET"));
    assert_int_equal(next(&feed, &first), KR_HTTP_REQUEST);
    assert_int_equal(next(&feed, &second), KR_HTTP_REQUEST);
    assert_int_equal(next(&feed, &third), KR_HTTP_REQUEST);
    assert_true(bytes_equal_text(first.body, "one"));
    assert_true(bytes_equal_text(second.body, "two"));
    assert_true(bytes_equal_text(third.body, "three"));
    assert_true(bytes_equal_text(http_request_value(&first, "content-length"), "3"));
    assert_int_equal(http_conn_pending(feed.conn), 3);
    feed_fini(&feed);
}

static void released_bytes_are_wiped(void **state)
{
    (void)state;
    struct feed feed;
    struct http_request request;
    feed_init(&feed, 100);
    receive(&feed, bytes_text(POST "Content-Length: 6\r\n\r\nsecretGET /"));
    assert_int_equal(next(&feed, &request), KR_HTTP_REQUEST);
    http_conn_release(feed.conn);
    const uint8_t *body = request.body.data; // the block is still this connection's
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(body[i], 0);
    feed_fini(&feed);
}

static void a_returned_block_holds_nothing_of_a_request(void **state)
{
    (void)state;
    struct feed feed;
    feed_init(&feed, 1000);
    uint8_t *fresh = http_pool_take(feed.pool);
    memset(fresh, 0, KR_HTTP_BLOCK_BYTES);
    http_pool_return(feed.pool, fresh);
    feed_bytes(&feed, bytes_text(POST "Transfer-Encoding: chunked\r\n\r\n"
                                      "6\r\nsecret\r\n6\r\nsecret\r\n0\r\n\r\n"));
    size_t room = 0;
    const uint8_t *block = http_conn_space(feed.conn, &room);
    assert_ptr_equal(block, fresh);
    // The pool's link lies in the first bytes.
    for (size_t i = sizeof(void *); i < room; i++)
        assert_int_equal(block[i], 0);
    feed_fini(&feed);
}

static void a_large_body_leaves_the_pool_and_comes_whole(void **state)
{
    (void)state;
    struct feed feed;
    struct buf input;
    size_t body = 300000;
    feed_init(&feed, body);
    buf_init(&input, 1 << 20);
    buf_add_text(&input, POST "Content-Length: 300000\r\n\r\n");
    memset(buf_extend(&input, body), 'x', body);
    feed_bytes(&feed, bytes_of(input.data, input.size - 1));
    assert_int_equal(feed.requests, 0);
    assert_int_equal(http_pool_lent(feed.pool), 0);
    feed_bytes(&feed, bytes_text("x" GET));
    assert_int_equal(feed.requests, 2);
    assert_false(http_conn_is_mid_request(feed.conn));
    assert_int_equal(http_pool_lent(feed.pool), 0);
    buf_fini(&input);
    feed_fini(&feed);
}

static void memory_follows_what_came_not_what_was_announced(void **state)
{
    (void)state;
    struct feed feed;
    size_t room = 0;
    feed_init(&feed, 1 << 30);
    feed_bytes(&feed, bytes_text(POST "Content-Length: 1000000000\r\n\r\nx"));
    http_conn_space(feed.conn, &room);
    assert_true(room < KR_HTTP_BLOCK_BYTES);
    feed_fini(&feed);
}

// Reads as libuv does, again and again, until there is no space; says how much there was.
static size_t flood(struct feed *feed)
{
    size_t room = 0, received = 0;
    while (received < 1 << 20) {
        uint8_t *space = http_conn_space(feed->conn, &room);
        if (room == 0)
            break;
        for (size_t i = 0; i < room; i++)
            space[i] = (uint8_t)GET[(received + i) % (sizeof(GET) - 1)];
        http_conn_received(feed->conn, room);
        received += room;
    }
    return received;
}

// Whole requests that nobody has taken yet are no large one: they need no room beyond the block,
// and are not thrown away where there is none.
static void a_flood_without_taking_requests_ends_with_the_block(void **state)
{
    (void)state;
    struct feed feed;
    feed_init(&feed, 100000);
    http_pool_bound(feed.pool, 0);
    assert_int_equal(flood(&feed), KR_HTTP_BLOCK_BYTES);
    feed_drain(&feed);
    assert_int_equal(feed.requests, KR_HTTP_BLOCK_BYTES / (sizeof(GET) - 1));
    assert_false(feed.is_refused);
    struct bytes rest = bytes_text(GET);
    size_t held = http_conn_pending(feed.conn);
    assert_true(held > 0);
    feed_bytes(&feed, bytes_of(rest.data + held, rest.size - held));
    assert_int_equal(feed.requests, KR_HTTP_BLOCK_BYTES / (sizeof(GET) - 1) + 1);
    assert_false(http_conn_is_mid_request(feed.conn));
    feed_fini(&feed);
}

static void chunk_framing_takes_no_memory(void **state)
{
    (void)state;
    struct feed feed;
    feed_init(&feed, 1 << 20);
    feed_bytes(&feed, bytes_text(POST "Transfer-Encoding: chunked\r\n\r\n"));
    for (size_t i = 0; i < 15000; i++)
        feed_bytes(&feed, bytes_text("1\r\nx\r\n"));
    assert_int_equal(http_pool_lent(feed.pool), 1);
    feed_bytes(&feed, bytes_text("0\r\n\r\n"));
    assert_int_equal(feed.requests, 1);
    feed_fini(&feed);
}

static void continue_is_asked_once_while_the_body_is_awaited(void **state)
{
    (void)state;
    struct feed feed;
    struct http_request request;
    feed_init(&feed, 100);
    receive(&feed, bytes_text(POST "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n"));
    assert_int_equal(next(&feed, &request), KR_HTTP_CONTINUE);
    assert_int_equal(next(&feed, &request), KR_HTTP_NEED_MORE);
    receive(&feed, bytes_text("o"));
    assert_int_equal(next(&feed, &request), KR_HTTP_NEED_MORE);
    receive(&feed, bytes_text("k"));
    assert_int_equal(next(&feed, &request), KR_HTTP_REQUEST);
    assert_true(bytes_equal_text(request.body, "ok"));
    assert_true(bytes_equal_text(http_request_value(&request, "content-length"), "2"));
    feed_fini(&feed);
}

static void continue_is_not_asked_when_there_is_nothing_to_wait_for(void **state)
{
    (void)state;
    static const char *const inputs[] = {
        POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\no",
        POST "Expect: 100-continue\r\n\r\n",
        POST "Expect: 100-continue\r\nContent-Length: 101\r\n\r\n",
        "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        POST "Content-Length: 2\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct feed feed;
        feed_init(&feed, 100);
        feed_bytes(&feed, bytes_text(inputs[i]));
        assert_int_equal(feed.continues, 0);
        feed_fini(&feed);
    }
}

static uint64_t limit_of_three(void *ctx, const struct http_request *head)
{
    ++*(unsigned *)ctx;
    assert_true(bytes_equal_text(head->path, "/"));
    return 3;
}

static void the_verb_narrows_the_body_once_a_request(void **state)
{
    (void)state;
    struct feed feed;
    unsigned asked = 0;
    feed_init(&feed, 100);
    feed.options.body_limit = limit_of_three;
    feed.options.ctx = &asked;
    feed_bytes(&feed, bytes_text(POST "Content-Length: 3\r\n\r\n"));
    feed_bytes(&feed, bytes_text("a"));
    feed_bytes(&feed, bytes_text("bc"));
    assert_int_equal(asked, 1);
    assert_int_equal(feed.requests, 1);
    feed_bytes(&feed, bytes_text(POST "Content-Length: 4\r\n\r\n"));
    assert_int_equal(asked, 2);
    assert_int_equal(feed.err, KR_ERR_TOO_LARGE);
    feed_fini(&feed);
}

static void feed_large(struct feed *feed, size_t count)
{
    uint8_t *body = mem_zalloc(count);
    feed_bytes(feed, bytes_of(body, count));
    mem_free(body);
}

// A buffer doubles, and the one before goes.
static void a_large_body_is_received_where_there_is_room_for_it(void **state)
{
    (void)state;
    struct feed feed;
    feed_init(&feed, 1 << 20);
    http_pool_bound(feed.pool, 131072);
    feed_bytes(&feed, bytes_text(POST "Content-Length: 90000\r\n\r\n"));
    feed_large(&feed, 90000);
    assert_int_equal(feed.requests, 1);
    assert_true(http_pool_reserve(feed.pool, 131072));
    feed_bytes(&feed, bytes_text(POST "Content-Length: 16000\r\n\r\n"));
    feed_large(&feed, 16000);
    assert_int_equal(feed.requests, 2);
    feed_bytes(&feed, bytes_text(POST "Content-Length: 90000\r\n\r\n"));
    feed_large(&feed, 16000);
    assert_false(feed.is_refused);
    feed_large(&feed, 16000);
    assert_int_equal(feed.err, KR_ERR_BUSY);
    assert_int_equal(http_pool_lent(feed.pool), 0);
    feed_large(&feed, 58000);
    assert_int_equal(feed.requests, 2);
    http_pool_unreserve(feed.pool, 131072);
    feed_fini(&feed);
}

// What is behind the body fits a block again.
static void the_room_of_a_large_body_comes_back_behind_it(void **state)
{
    (void)state;
    struct feed feed;
    feed_init(&feed, 1 << 20);
    http_pool_bound(feed.pool, 131072);
    feed_bytes(&feed, bytes_text(POST "Content-Length: 90000\r\n\r\n"));
    feed_large(&feed, 89999);
    feed_bytes(&feed, bytes_text("xGET / HTTP/1.1\r\n"));
    assert_int_equal(feed.requests, 1);
    feed_bytes(&feed, bytes_text("Host: a\r\n"));
    assert_true(http_pool_reserve(feed.pool, 131072));
    feed_bytes(&feed, bytes_text("\r\n"));
    assert_int_equal(feed.requests, 2);
    http_pool_unreserve(feed.pool, 131072);
    feed_fini(&feed);
}

static void what_is_announced_takes_no_room(void **state)
{
    (void)state;
    static const char *const heads[] = {POST "Content-Length: 900000\r\n\r\na",
                                        POST "Transfer-Encoding: chunked\r\n\r\n1\r\na"};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct feed feed;
        feed_init(&feed, 1 << 20);
        http_pool_bound(feed.pool, 100000);
        feed_bytes(&feed, bytes_text(heads[i]));
        assert_false(feed.is_refused);
        assert_true(http_pool_reserve(feed.pool, 100000));
        http_pool_unreserve(feed.pool, 100000);
        feed_fini(&feed);
    }
}

// The parser was in the middle of a chunk when there was no more room.
static void chunks_are_refused_where_there_is_no_room_for_more(void **state)
{
    (void)state;
    struct feed feed;
    feed_init(&feed, 1 << 20);
    http_pool_bound(feed.pool, 65536);
    feed_bytes(&feed, bytes_text(POST "Transfer-Encoding: chunked\r\n\r\n30000\r\n"));
    feed_large(&feed, 20000);
    assert_false(feed.is_refused);
    feed_large(&feed, 100000);
    assert_int_equal(feed.err, KR_ERR_BUSY);
    assert_true(http_pool_reserve(feed.pool, 65536));
    http_pool_unreserve(feed.pool, 65536);
    feed_fini(&feed);
}

static void a_refusal_is_final_and_later_bytes_are_thrown_away(void **state)
{
    (void)state;
    struct feed feed;
    feed_init(&feed, 100);
    feed_bytes(&feed, bytes_text(GET "BAD\r\n"));
    assert_int_equal(feed.requests, 1);
    assert_true(feed.is_refused);
    for (size_t i = 0; i < 5000; i++)
        feed_bytes(&feed, bytes_text(GET));
    assert_int_equal(feed.requests, 1);
    assert_int_equal(feed.err, KR_ERR_INVALID);
    assert_int_equal(http_conn_pending(feed.conn), 0);
    assert_int_equal(http_pool_lent(feed.pool), 0);
    feed_fini(&feed);
}

static void what_was_lent_before_a_refusal_stays_lent(void **state)
{
    (void)state;
    struct feed feed;
    struct http_request request, none;
    feed_init(&feed, 100);
    receive(&feed, bytes_text(POST "Content-Length: 2\r\n\r\nokBAD\r\n"));
    assert_int_equal(next(&feed, &request), KR_HTTP_REQUEST);
    assert_int_equal(next(&feed, &none), KR_HTTP_REFUSED);
    assert_true(bytes_equal_text(request.body, "ok"));
    feed_fini(&feed);
}

static void nothing_is_read_behind_a_request_that_closes(void **state)
{
    (void)state;
    struct feed feed;
    feed_init(&feed, 100);
    feed_bytes(&feed, bytes_text("GET / HTTP/1.0\r\n\r\n" GET));
    feed_bytes(&feed, bytes_text(GET));
    assert_int_equal(feed.requests, 1);
    assert_false(feed.is_refused);
    assert_false(http_conn_is_mid_request(feed.conn));
    assert_int_equal(http_pool_lent(feed.pool), 0);
    feed_fini(&feed);
}

static void the_pool_lends_a_kept_block_again(void **state)
{
    (void)state;
    struct http_pool *pool = http_pool_new(1);
    uint8_t *first = http_pool_take(pool);
    uint8_t *second = http_pool_take(pool);
    http_pool_return(pool, first);
    http_pool_return(pool, second); // exceeds what is kept
    assert_ptr_equal(http_pool_take(pool), first);
    assert_int_equal(http_pool_lent(pool), 1);
    http_pool_return(pool, first);
    http_pool_free(&pool);
    assert_null(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_body_is_received_where_there_is_room_for_it),
        cmocka_unit_test(the_room_of_a_large_body_comes_back_behind_it),
        cmocka_unit_test(what_is_announced_takes_no_room),
        cmocka_unit_test(chunks_are_refused_where_there_is_no_room_for_more),
        cmocka_unit_test(an_idle_connection_holds_no_block),
        cmocka_unit_test(a_read_that_brings_nothing_gives_the_block_back),
        cmocka_unit_test(an_unfinished_request_keeps_its_block),
        cmocka_unit_test(pipelined_requests_are_lent_at_once),
        cmocka_unit_test(released_bytes_are_wiped),
        cmocka_unit_test(a_returned_block_holds_nothing_of_a_request),
        cmocka_unit_test(a_large_body_leaves_the_pool_and_comes_whole),
        cmocka_unit_test(memory_follows_what_came_not_what_was_announced),
        cmocka_unit_test(a_flood_without_taking_requests_ends_with_the_block),
        cmocka_unit_test(chunk_framing_takes_no_memory),
        cmocka_unit_test(continue_is_asked_once_while_the_body_is_awaited),
        cmocka_unit_test(continue_is_not_asked_when_there_is_nothing_to_wait_for),
        cmocka_unit_test(the_verb_narrows_the_body_once_a_request),
        cmocka_unit_test(a_refusal_is_final_and_later_bytes_are_thrown_away),
        cmocka_unit_test(what_was_lent_before_a_refusal_stays_lent),
        cmocka_unit_test(nothing_is_read_behind_a_request_that_closes),
        cmocka_unit_test(the_pool_lends_a_kept_block_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
