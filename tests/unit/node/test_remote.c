// SPDX-License-Identifier: Apache-2.0
// Calls at a node that does not lead: how long they may take, and what their caller hears when no
// answer comes back.
#include "tests/unit/node/replica_fixture.h"

#include "core/base/clock.h"
#include "node/remote.h"

#define KR_TEST_READ "/v1/accounts/default/key-buckets"
#define KR_TEST_BUCKET "/v1/accounts/default/key-buckets/production"
#define KR_TEST_REVEAL KR_TEST_BUCKET "/consumers/a/keys/b/reveal"
#define KR_TEST_RECEIPT "/v1/receipts/7?wait=everywhere&timeoutMs=600000"
#define KR_TEST_WRITE "/v1/accounts/default/key-buckets/production/revoke"

struct remote_world {
    struct api_world api;
    struct remote *remote;
    // Of the last call: what was passed upwards, and how often.
    uint64_t deadline_ms;
    size_t submitted, answered;
    forward_done_fn *done;
    void *done_ctx;
};

static enum kr_err on_submit(void *ctx, const struct forward_request *request,
                             forward_done_fn *done, void *done_ctx)
{
    struct remote_world *world = ctx;
    world->deadline_ms = request->deadline_ms;
    world->submitted++;
    world->done = done;
    world->done_ctx = done_ctx;
    return KR_ERR_OK;
}

static void on_run(void *ctx, struct call *call, void (*answered)(void *ctx, struct call *call),
                   void *answered_ctx)
{
    (void)ctx;
    assert_true(call->must_check_token);
    answered(answered_ctx, call);
}

static void on_answered(void *ctx, struct call *call)
{
    (void)call;
    ((struct remote_world *)ctx)->answered++;
}

static int setup(void **state)
{
    struct remote_world *world = calloc(1, sizeof(*world));
    struct node *node = &world->api.node;
    api_start(&world->api);
    replica_start(node, false);
    world->remote =
        remote_new(node, &(struct remote_port){.ctx = world, .submit = on_submit, .run = on_run});
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct remote_world *world = *state;
    remote_free(&world->remote);
    replica_end(&world->api.node);
    api_end(&world->api);
    free(world);
    return 0;
}

// A call that has been passed upwards.
static void pass(struct remote_world *world, const char *method, const char *target)
{
    api_end_call(&world->api);
    api_make(&world->api, method, target, bytes_text(""));
    world->submitted = world->answered = 0;
    remote_call(world->remote, world->api.call, on_answered, world);
    assert_int_equal(world->submitted, 1);
}

// What comes back; true: the caller has its answer.
static bool come_back(struct remote_world *world, enum kr_err err)
{
    world->done(world->done_ctx, err, NULL);
    return world->answered == 1;
}

static void assert_refused(struct remote_world *world, const char *detail)
{
    const struct call_answer *answer = &world->api.call->answer;
    assert_int_equal(answer->status, 503);
    assert_string_equal(api_answer_field(&world->api, "Retry-After"), "1");
    if (strstr(answer->problem, detail) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", answer->problem, detail);
}

static void a_receipt_may_be_waited_for_as_long_as_it_may_take(void **state)
{
    struct remote_world *world = *state;
    static const struct {
        const char *target;
        uint64_t least_ms;
    } cases[] = {{KR_TEST_WRITE, 12000},
                 {KR_TEST_WRITE "?wait=everywhere&timeoutMs=1", 12000},
                 {KR_TEST_WRITE "?wait=everywhere&timeoutMs=298001", 300001},
                 {KR_TEST_WRITE "?wait=everywhere&timeoutMs=600000", 602000}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t now_ms = clock_boot_ms();
        pass(world, "POST", cases[i].target);
        assert_true(world->deadline_ms >= now_ms + cases[i].least_ms);
        assert_true(world->deadline_ms <= clock_boot_ms() + cases[i].least_ms);
        assert_true(come_back(world, KR_ERR_TIMEOUT));
    }
}

static void a_read_whose_answer_has_no_room_is_refused_at_once(void **state)
{
    struct remote_world *world = *state;
    pass(world, "GET", KR_TEST_READ);
    assert_true(come_back(world, KR_ERR_BUSY));
    assert_refused(world, "try again");
    assert_null(strstr(world->api.call->answer.problem, "change"));
}

static void a_write_whose_answer_is_lost_says_that_nobody_knows(void **state)
{
    struct remote_world *world = *state;
    static const enum kr_err ways[] = {KR_ERR_BUSY, KR_ERR_TIMEOUT};
    for (size_t i = 0; i < 2; i++) {
        pass(world, "POST", KR_TEST_WRITE);
        assert_true(come_back(world, ways[i]));
        assert_refused(world, "nobody knows whether the change was made");
    }
}

// What it knew of the token when it let the call in was a follower's knowledge.
static void who_has_come_to_lead_looks_at_the_token_again(void **state)
{
    struct remote_world *world = *state;
    pass(world, "GET", KR_TEST_READ);
    assert_false(world->api.call->must_check_token);
    replica_end(&world->api.node);
    replica_start(&world->api.node, true);
    assert_false(come_back(world, KR_ERR_NO_LEADER));
    remote_tick(world->remote, UINT64_MAX);
    assert_int_equal(world->answered, 1);
    assert_int_equal(world->submitted, 1);
}

static void what_may_be_sent_again_is(void **state)
{
    struct remote_world *world = *state;
    static const struct {
        const char *method, *target, *idempotency_key;
        enum kr_err err;
    } cases[] = {{"GET", KR_TEST_READ, NULL, KR_ERR_TIMEOUT},
                 {"POST", KR_TEST_WRITE, "once", KR_ERR_TIMEOUT},
                 {"POST", KR_TEST_WRITE, "once", KR_ERR_BUSY},
                 {"POST", KR_TEST_WRITE, NULL, KR_ERR_NO_LEADER}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world->api.idempotency_key = cases[i].idempotency_key;
        pass(world, cases[i].method, cases[i].target);
        assert_false(come_back(world, cases[i].err));
        remote_tick(world->remote, clock_boot_ms() + 1000);
        assert_int_equal(world->submitted, 2);
        const struct forward_answer answer = {.status = 204};
        world->done(world->done_ctx, KR_ERR_OK, &answer);
        assert_int_equal(world->answered, 1);
        assert_int_equal(world->api.call->answer.status, 204);
    }
}

// An Idempotency-Key makes no second effect of a POST alone.
static void a_change_that_would_be_made_twice_is_not_sent_again(void **state)
{
    struct remote_world *world = *state;
    static const struct {
        const char *method, *target;
    } cases[] = {{"PATCH", KR_TEST_BUCKET}, {"DELETE", KR_TEST_BUCKET}, {"POST", KR_TEST_REVEAL}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world->api.idempotency_key = "once";
        pass(world, cases[i].method, cases[i].target);
        assert_true(come_back(world, KR_ERR_TIMEOUT));
        assert_refused(world, "nobody knows whether the change was made");
        assert_null(strstr(world->api.call->answer.problem, "Idempotency-Key"));
        pass(world, cases[i].method, cases[i].target);
        assert_false(come_back(world, KR_ERR_NO_LEADER)); // nothing has happened
        remote_tick(world->remote, clock_boot_ms() + 1000);
        assert_int_equal(world->submitted, 2);
        assert_true(come_back(world, KR_ERR_TIMEOUT));
    }
}

static void give_up(struct remote_world *world)
{
    atomic_store(&world->api.call->is_given_up, true);
    remote_tick(world->remote, clock_boot_ms());
}

static void a_read_ends_when_its_client_has_gone(void **state)
{
    struct remote_world *world = *state;
    const struct forward_answer late = {.status = 200};
    pass(world, "GET", KR_TEST_RECEIPT);
    remote_tick(world->remote, clock_boot_ms());
    assert_int_equal(world->answered, 0);
    give_up(world);
    assert_int_equal(world->answered, 1);
    remote_tick(world->remote, clock_boot_ms());
    world->done(world->done_ctx, KR_ERR_OK, &late);
    assert_int_equal(world->answered, 1);
    pass(world, "GET", KR_TEST_RECEIPT);
    assert_false(come_back(world, KR_ERR_NO_LEADER)); // it waits to be sent again
    give_up(world);
    assert_int_equal(world->answered, 1);
    assert_int_equal(world->submitted, 1);
}

static void a_change_goes_on_without_its_client(void **state)
{
    struct remote_world *world = *state;
    pass(world, "POST", KR_TEST_WRITE);
    give_up(world);
    assert_int_equal(world->answered, 0);
    assert_false(come_back(world, KR_ERR_NO_LEADER));
    remote_tick(world->remote, clock_boot_ms() + 1000);
    assert_int_equal(world->submitted, 2);
    assert_true(come_back(world, KR_ERR_TIMEOUT));
}

// What the leader goes on with keeps its place on the link, where changes need some.
static void not_too_many_leave_what_the_leader_goes_on_with(void **state)
{
    struct remote_world *world = *state;
    void *left[KR_REMOTE_LEFT_MAX];
    for (size_t i = 0; i < KR_REMOTE_LEFT_MAX; i++) {
        pass(world, "GET", KR_TEST_RECEIPT);
        give_up(world);
        assert_int_equal(world->answered, 1);
        left[i] = world->done_ctx;
    }
    pass(world, "GET", KR_TEST_RECEIPT);
    give_up(world);
    assert_int_equal(world->answered, 0);
    world->done(left[0], KR_ERR_TIMEOUT, NULL);
    void *last = world->done_ctx;
    remote_tick(world->remote, clock_boot_ms());
    assert_int_equal(world->answered, 1);
    world->done(last, KR_ERR_TIMEOUT, NULL);
    for (size_t i = 1; i < KR_REMOTE_LEFT_MAX; i++)
        world->done(left[i], KR_ERR_TIMEOUT, NULL);
    assert_int_equal(world->answered, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_receipt_may_be_waited_for_as_long_as_it_may_take, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_read_whose_answer_has_no_room_is_refused_at_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_write_whose_answer_is_lost_says_that_nobody_knows, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_may_be_sent_again_is, setup, teardown),
        cmocka_unit_test_setup_teardown(a_change_that_would_be_made_twice_is_not_sent_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_read_ends_when_its_client_has_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_change_goes_on_without_its_client, setup, teardown),
        cmocka_unit_test_setup_teardown(not_too_many_leave_what_the_leader_goes_on_with, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_has_come_to_lead_looks_at_the_token_again, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
