// SPDX-License-Identifier: Apache-2.0
// Both ends of forwarded calls, without a link: how long a call waits, and what becomes of answers
// that nobody takes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "replication/forward_serve.h"

enum { KR_TEST_NOW_MS = 1000, KR_TEST_CALLS = 3, KR_TEST_LARGE = 30 << 20 };

struct told {
    enum kr_err err;
    size_t count, size;
};

struct ends {
    struct forward *forward;
    struct forward_serve serve;
    uint64_t deadline_ms, last_id; // of the last call that arrived
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

// A call that has arrived at the other end; its id there.
static uint64_t ask(struct ends *ends, struct told *told, uint64_t wait_ms)
{
    struct fault fault = {0};
    struct peer_frame frame;
    const struct forward_request request = {.method = "GET",
                                            .target = "/v1/who-am-i",
                                            .client_address = "10.0.0.9",
                                            .request_id = "req_1",
                                            .deadline_ms = KR_TEST_NOW_MS + wait_ms};
    *told = (struct told){0};
    assert_int_equal(forward_submit(ends->forward, &request, on_told, told), KR_ERR_OK);
    assert_true(forward_next(ends->forward, KR_TEST_NOW_MS, &frame));
    assert_int_equal(forward_serve_take(&ends->serve, &frame.as.forward, KR_TEST_NOW_MS, &fault),
                     KR_ERR_OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_waits_as_long_as_a_receipt_may_take),
        cmocka_unit_test(an_answer_without_room_beside_those_that_wait_is_told_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
