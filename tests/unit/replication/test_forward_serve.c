// SPDX-License-Identifier: Apache-2.0
// Both ends of forwarded calls, without a link: how long a call waits, what becomes of calls that
// find no room, and of answers that nobody takes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "replication/forward_serve.h"

enum { KR_TEST_NOW_MS = 1000, KR_TEST_CALLS = 3, KR_TEST_WAIT_MS = 5000, KR_TEST_LARGE = 30 << 20 };

struct told {
    enum kr_err err;
    size_t count, size;
};

struct ends {
    struct forward *forward;
    struct forward_serve serve;
    uint64_t deadline_ms, last_id; // of the last call that arrived
    size_t served;
};

static void on_told(void *ctx, enum kr_err err, const struct forward_answer *answer)
{
    struct told *told = ctx;
    told->err = err;
    told->count++;
    told->size = answer == NULL ? 0 : answer->body.size;
}

static void on_served(void *ctx, uint64_t id, const struct forward_request *request)
{
    struct ends *ends = ctx;
    ends->served++;
    ends->last_id = id;
    ends->deadline_ms = request->deadline_ms;
}

static void open_ends(struct ends *ends)
{
    *ends = (struct ends){.forward = forward_new()};
    forward_serve_init(&ends->serve, on_served, ends);
}

static void close_ends(struct ends *ends)
{
    forward_free(&ends->forward);
    forward_serve_fini(&ends->serve);
}

// Everything that the child has to send.
static enum kr_err send_all(struct ends *ends)
{
    struct fault fault = {0};
    struct peer_frame frame;
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && forward_next(ends->forward, KR_TEST_NOW_MS, &frame))
        err = frame.type == KR_PEER_FORWARD
                  ? forward_serve_take(&ends->serve, &frame.as.forward, KR_TEST_NOW_MS, &fault)
                  : forward_serve_take_body(&ends->serve, &frame.as.body, &fault);
    return err;
}

static void submit(struct ends *ends, struct told *told, struct bytes body, uint64_t wait_ms)
{
    const struct forward_request request = {.method = "GET",
                                            .target = "/v1/who-am-i",
                                            .client_address = "10.0.0.9",
                                            .request_id = "req_1",
                                            .body = body,
                                            .deadline_ms = KR_TEST_NOW_MS + wait_ms};
    *told = (struct told){0};
    assert_int_equal(forward_submit(ends->forward, &request, on_told, told), KR_ERR_OK);
}

// A call that has arrived at the other end; its id there.
static uint64_t ask(struct ends *ends, struct told *told, uint64_t wait_ms)
{
    submit(ends, told, (struct bytes){0}, wait_ms);
    assert_int_equal(send_all(ends), KR_ERR_OK);
    return ends->last_id;
}

static void take_answers(struct ends *ends)
{
    struct fault fault = {0};
    struct peer_frame frame;
    while (forward_serve_next(&ends->serve, &frame)) {
        enum kr_err err = frame.type == KR_PEER_ANSWER
                              ? forward_take_answer(ends->forward, &frame.as.answer, &fault)
                              : forward_take_body(ends->forward, &frame.as.body, &fault);
        assert_int_equal(err, KR_ERR_OK);
    }
}

static void a_call_waits_as_long_as_a_receipt_may_take(void **state)
{
    struct ends ends;
    struct told told;
    const uint64_t wait_ms = 602000;
    (void)state;
    open_ends(&ends);
    uint64_t id = ask(&ends, &told, wait_ms);
    assert_int_equal(ends.deadline_ms, KR_TEST_NOW_MS + wait_ms);
    forward_serve_tick(&ends.serve, KR_TEST_NOW_MS + wait_ms - 1);
    forward_tick(ends.forward, KR_TEST_NOW_MS + wait_ms - 1);
    const struct forward_answer answer = {.status = 204};
    forward_serve_answer(&ends.serve, id, &answer);
    take_answers(&ends);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.err, KR_ERR_OK);
    close_ends(&ends);
}

static void an_answer_without_room_beside_those_that_wait_is_told_as_such(void **state)
{
    struct ends ends;
    struct told told[KR_TEST_CALLS], later;
    uint64_t ids[KR_TEST_CALLS];
    uint8_t *body = calloc(1, KR_TEST_LARGE);
    const struct forward_answer answer = {.status = 200, .body = bytes_of(body, KR_TEST_LARGE)};
    (void)state;
    open_ends(&ends);
    for (size_t i = 0; i < KR_TEST_CALLS; i++)
        ids[i] = ask(&ends, &told[i], 5000);
    for (size_t i = 0; i < KR_TEST_CALLS; i++)
        forward_serve_answer(&ends.serve, ids[i], &answer);
    take_answers(&ends);
    for (size_t i = 0; i < KR_TEST_CALLS; i++) {
        bool has_room = i < KR_TEST_CALLS - 1;
        assert_int_equal(told[i].count, 1);
        assert_int_equal(told[i].err, has_room ? KR_ERR_OK : KR_ERR_BUSY);
        assert_int_equal(told[i].size, has_room ? KR_TEST_LARGE : 0);
    }
    forward_serve_answer(&ends.serve, ask(&ends, &later, 5000), &answer);
    take_answers(&ends);
    assert_int_equal(later.err, KR_ERR_OK);
    close_ends(&ends);
    free(body);
}

// The child's clock is ahead by the way: its calls are over, and ours are not yet.
static void forget_at_child(struct ends *ends)
{
    forward_tick(ends->forward, KR_TEST_NOW_MS + KR_TEST_WAIT_MS);
}

static void a_call_that_finds_no_place_has_not_happened(void **state)
{
    struct ends ends;
    struct told ended, told[2];
    static const uint8_t body[300000];
    (void)state;
    open_ends(&ends);
    for (size_t i = 0; i < KR_FORWARD_CALLS_MAX; i++)
        ask(&ends, &ended, KR_TEST_WAIT_MS);
    forget_at_child(&ends);
    submit(&ends, &told[0], (struct bytes){0}, 3 * KR_TEST_WAIT_MS);
    submit(&ends, &told[1], bytes_of(body, sizeof(body)), 3 * KR_TEST_WAIT_MS); // in parts
    assert_int_equal(send_all(&ends), KR_ERR_OK);
    take_answers(&ends);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(told[i].count, 1);
        assert_int_equal(told[i].err, KR_ERR_NO_LEADER);
    }
    assert_int_equal(ends.served, KR_FORWARD_CALLS_MAX);
    forward_serve_tick(&ends.serve, KR_TEST_NOW_MS + KR_TEST_WAIT_MS);
    ask(&ends, &ended, KR_TEST_WAIT_MS);
    assert_int_equal(ends.served, KR_FORWARD_CALLS_MAX + 1);
    close_ends(&ends);
}

static void a_body_that_finds_no_room_is_of_a_call_that_has_not_happened(void **state)
{
    struct ends ends;
    struct told ended[2], told;
    uint8_t *body = calloc(1, KR_TEST_LARGE);
    (void)state;
    open_ends(&ends);
    for (size_t i = 0; i < 2; i++)
        submit(&ends, &ended[i], bytes_of(body, KR_TEST_LARGE), KR_TEST_WAIT_MS);
    assert_int_equal(send_all(&ends), KR_ERR_OK);
    assert_int_equal(ends.served, 2);
    forget_at_child(&ends);
    submit(&ends, &told, bytes_of(body, KR_TEST_LARGE), 3 * KR_TEST_WAIT_MS);
    assert_int_equal(send_all(&ends), KR_ERR_OK);
    take_answers(&ends);
    assert_int_equal(told.err, KR_ERR_NO_LEADER);
    assert_int_equal(ends.served, 2);
    assert_true(ends.serve.in_bytes <= KR_FORWARD_HELD_MAX);
    close_ends(&ends);
    free(body);
}

static void who_goes_on_without_hearing_that_there_is_no_place_is_cut_off(void **state)
{
    struct ends ends;
    struct fault fault;
    struct peer_forward forward = {.id = 1,
                                   .deadline_ms = 5000,
                                   .method = "GET",
                                   .target = "/v1/who-am-i",
                                   .client_address = "10.0.0.9",
                                   .request_id = "req_1"};
    (void)state;
    open_ends(&ends);
    while (forward_serve_take(&ends.serve, &forward, KR_TEST_NOW_MS, &fault) == KR_ERR_OK)
        forward.id++;
    assert_int_equal(fault.err, KR_ERR_INVALID);
    assert_int_equal(ends.served, KR_FORWARD_CALLS_MAX);
    assert_in_range(ends.serve.count, KR_FORWARD_CALLS_MAX + 1, 2 * KR_FORWARD_CALLS_MAX);
    close_ends(&ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_waits_as_long_as_a_receipt_may_take),
        cmocka_unit_test(a_call_that_finds_no_place_has_not_happened),
        cmocka_unit_test(a_body_that_finds_no_room_is_of_a_call_that_has_not_happened),
        cmocka_unit_test(who_goes_on_without_hearing_that_there_is_no_place_is_cut_off),
        cmocka_unit_test(an_answer_without_room_beside_those_that_wait_is_told_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
