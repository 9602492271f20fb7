// SPDX-License-Identifier: Apache-2.0
// Calls on their way up: how long one waits for a leader, what a relay is told of that, and what a
// relay's refusal says. The way of the frames: test_peer_snapshot.c;
// over real links: test_peers_forward.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replication/forward_parts.h"
#include "replication/forward_serve.h"

struct told {
    enum kr_err err;
    size_t count;
};

static void on_told(void *ctx, enum kr_err err, const struct forward_answer *answer)
{
    struct told *told = ctx;
    (void)answer;
    told->err = err;
    told->count++;
}

static struct forward *with_a_call(struct told *told)
{
    struct forward *forward = forward_new();
    const struct forward_request request = {.method = "POST",
                                            .target = "/v1/keys",
                                            .client_address = "10.0.0.9",
                                            .request_id = "req_1",
                                            .deadline_ms = 12000,
                                            .send_by_ms = 4500};
    *told = (struct told){0};
    assert_int_equal(forward_submit(forward, &request, on_told, told), KR_ERR_OK);
    return forward;
}

static void a_call_that_no_link_takes_in_time_has_not_happened(void **state)
{
    struct told told;
    struct peer_frame frame;
    struct forward *forward = with_a_call(&told);
    (void)state;
    forward_tick(forward, 4499);
    assert_int_equal(told.count, 0);
    assert_false(forward_next(forward, 4500, &frame));
    forward_tick(forward, 4500);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.err, KR_ERR_NO_LEADER);
    forward_free(&forward);
}

static void a_call_that_was_sent_has_until_its_deadline(void **state)
{
    struct told told;
    struct peer_frame frame;
    struct forward *forward = with_a_call(&told);
    (void)state;
    assert_true(forward_next(forward, 1000, &frame));
    assert_int_equal(frame.as.forward.send_within_ms, 3500);
    assert_int_equal(frame.as.forward.deadline_ms, 11000);
    forward_tick(forward, 11999);
    assert_int_equal(told.count, 0);
    forward_tick(forward, 12000);
    assert_int_equal(told.err, KR_ERR_TIMEOUT);
    forward_free(&forward);
}

static void a_link_that_is_left_takes_no_new_call(void **state)
{
    struct told told, later = {0};
    struct peer_frame frame;
    struct forward *forward = with_a_call(&told);
    const struct forward_request request = {
        .method = "POST", .target = "/v1/keys", .deadline_ms = 12000};
    (void)state;
    assert_true(forward_next(forward, 1000, &frame));
    assert_int_equal(forward_submit(forward, &request, on_told, &later), KR_ERR_OK);
    assert_false(forward_retire(forward));
    assert_false(forward_next(forward, 1000, &frame));
    const struct peer_answer answer = {.id = frame.as.forward.id, .status = 201};
    assert_int_equal(forward_take_answer(forward, &answer, &(struct fault){0}), KR_ERR_OK);
    assert_true(told.count == 1 && told.err == KR_ERR_OK);
    assert_true(forward_retire(forward));
    forward_lost(forward);
    assert_true(forward_next(forward, 1000, &frame)); // over the next link
    assert_int_equal(later.count, 0);
    forward_free(&forward);
}

static void on_served(void *ctx, uint64_t id, const struct forward_request *request)
{
    (void)id;
    *(uint64_t *)ctx = request->send_by_ms;
}

// What a relay has left to find a leader in, from 1000 on.
static uint64_t left_ms(uint64_t send_within_ms)
{
    const struct peer_forward forward = {.id = 1,
                                         .deadline_ms = 12000,
                                         .method = "POST",
                                         .target = "/v1/keys",
                                         .client_address = "10.0.0.9",
                                         .request_id = "req_1",
                                         .send_within_ms = send_within_ms};
    struct forward_serve serve;
    struct fault fault;
    uint64_t send_by_ms = 0;
    forward_serve_init(&serve, on_served, &send_by_ms);
    assert_int_equal(forward_serve_take(&serve, &forward, 1000, &fault), KR_ERR_OK);
    forward_serve_fini(&serve);
    return send_by_ms - 1000;
}

static void a_relay_waits_for_the_rest_of_that_time(void **state)
{
    (void)state;
    assert_int_equal(left_ms(3500), 3500);
    assert_int_equal(left_ms(0), KR_FORWARD_SEND_MS); // an older node
    assert_int_equal(left_ms(60000), KR_FORWARD_SEND_MS);
    assert_int_equal(left_ms(UINT64_MAX), KR_FORWARD_SEND_MS);
}

// What the caller is told when this answer comes.
static enum kr_err told_of(const struct forward_answer *from)
{
    struct told told;
    struct fault fault;
    struct peer_frame frame;
    struct forward *forward = with_a_call(&told);
    assert_true(forward_next(forward, 1000, &frame));
    const struct peer_answer answer = {.id = frame.as.forward.id,
                                       .status = from->status,
                                       .fields = from->fields,
                                       .body = from->body};
    assert_int_equal(forward_take_answer(forward, &answer, &fault), KR_ERR_OK);
    assert_int_equal(told.count, 1);
    forward_free(&forward);
    return told.err;
}

static enum kr_err told_of_refusal(enum kr_err err)
{
    const struct forward_answer refusal = forward_parts_refusal(err);
    return told_of(&refusal);
}

static void a_relay_says_whether_a_call_may_have_happened(void **state)
{
    (void)state;
    assert_int_equal(told_of_refusal(KR_ERR_TIMEOUT), KR_ERR_TIMEOUT);
    assert_int_equal(told_of_refusal(KR_ERR_NO_LEADER), KR_ERR_NO_LEADER);
    assert_int_equal(told_of_refusal(KR_ERR_BUSY), KR_ERR_BUSY);
    // An older relay says 503 of both; an older child reads that as nothing has happened.
    const struct forward_answer older = {.status = 503};
    assert_int_equal(told_of(&older), KR_ERR_TIMEOUT);
    assert_int_equal(forward_parts_refusal(KR_ERR_NO_LEADER).status, 503);
}

static void an_answer_of_the_leader_is_no_refusal(void **state)
{
    const struct forward_answer full = {.status = 503, .body = bytes_text("{}")};
    const struct forward_answer empty = {.status = 204};
    (void)state;
    assert_int_equal(told_of(&full), KR_ERR_OK);
    assert_int_equal(told_of(&empty), KR_ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_no_link_takes_in_time_has_not_happened),
        cmocka_unit_test(a_call_that_was_sent_has_until_its_deadline),
        cmocka_unit_test(a_link_that_is_left_takes_no_new_call),
        cmocka_unit_test(a_relay_waits_for_the_rest_of_that_time),
        cmocka_unit_test(a_relay_says_whether_a_call_may_have_happened),
        cmocka_unit_test(an_answer_of_the_leader_is_no_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
