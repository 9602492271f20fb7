// SPDX-License-Identifier: Apache-2.0
// Calls for the leader from a node that does not lead: how long a leader is waited for, what is
// tried again, and what the refusal says of a call's fate.
#include "api_fixture.h"

#include "core/base/clock.h"
#include "node/remote.h"

static const char nothing_changed[] = "nothing was changed";
static const char nobody_knows[] = "nobody knows";

struct scene {
    struct api_world world;
    struct remote *remote;
    // The last call that was passed up, until it is answered.
    forward_done_fn *done;
    void *done_ctx;
    uint64_t send_by_ms, deadline_ms;
    size_t submitted, answered;
};

// This node does not lead (--wrap).
bool __wrap_replica_is_leader(const struct replica *replica);
bool __wrap_replica_is_leader(const struct replica *replica)
{
    (void)replica;
    return false;
}

static enum kr_err on_submit(void *ctx, const struct forward_request *request,
                             forward_done_fn *done, void *done_ctx)
{
    struct scene *scene = ctx;
    scene->submitted++;
    scene->send_by_ms = request->send_by_ms;
    scene->deadline_ms = request->deadline_ms;
    scene->done = done;
    scene->done_ctx = done_ctx;
    return KR_ERR_OK;
}

static void on_run(void *ctx, struct call *call, void (*answered)(void *ctx, struct call *call),
                   void *answered_ctx)
{
    (void)ctx, (void)call, (void)answered, (void)answered_ctx;
    fail_msg("this node does not lead");
}

static void fails(struct scene *scene, enum kr_err err)
{
    forward_done_fn *done = scene->done;
    scene->done = NULL;
    done(scene->done_ctx, err, NULL);
}

static void on_end(void *ctx)
{
    struct scene *scene = ctx;
    if (scene->done != NULL)
        fails(scene, KR_ERR_TIMEOUT);
}

static void on_answered(void *ctx, struct call *call)
{
    (void)call;
    ((struct scene *)ctx)->answered++;
}

static int setup(void **state)
{
    struct scene *scene = mem_zalloc(sizeof(*scene));
    const struct remote_port port = {scene, on_submit, on_run, on_end};
    api_start(&scene->world);
    scene->remote = remote_new(&scene->world.node, &port);
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    remote_free(&scene->remote);
    api_end(&scene->world);
    mem_free(scene);
    return 0;
}

static void call_at(struct scene *scene, const char *method, const char *target,
                    const char *idempotency_key)
{
    scene->world.idempotency_key = idempotency_key;
    api_make(&scene->world, method, target, bytes_text("{}"));
    remote_call(scene->remote, scene->world.call, on_answered, scene);
    assert_int_equal(scene->submitted, 1);
    assert_int_equal(scene->answered, 0);
}

static void call(struct scene *scene, const char *method, const char *idempotency_key)
{
    call_at(scene, method, KR_API_BUCKETS, idempotency_key);
}

static void assert_refused(const struct scene *scene, const char *part)
{
    const struct call_answer *answer = &scene->world.call->answer;
    assert_int_equal(scene->answered, 1);
    assert_int_equal(answer->status, 503);
    assert_non_null(strstr(answer->problem, part));
}

static void assert_tried_again(struct scene *scene)
{
    assert_int_equal(scene->answered, 0);
    remote_tick(scene->remote, clock_boot_ms() + 1000);
    assert_int_equal(scene->submitted, 2);
}

static void a_leader_is_waited_for_less_than_five_seconds(void **state)
{
    struct scene *scene = *state;
    uint64_t before_ms = clock_boot_ms();
    call(scene, "POST", NULL);
    assert_in_range(scene->send_by_ms, before_ms + 4000, clock_boot_ms() + 4900);
    assert_in_range(scene->deadline_ms, before_ms + 10000, clock_boot_ms() + 13000);
    uint64_t send_by_ms = scene->send_by_ms;
    fails(scene, KR_ERR_NO_LEADER); // this node led for a moment
    assert_tried_again(scene);
    assert_int_equal(scene->send_by_ms, send_by_ms);
    remote_end(scene->remote);
    assert_int_equal(scene->answered, 1);
}

static void another_leader_is_waited_for_within_the_same_time(void **state)
{
    struct scene *scene = *state;
    call(scene, "POST", "a key");
    uint64_t send_by_ms = scene->send_by_ms;
    fails(scene, KR_ERR_TIMEOUT);
    assert_tried_again(scene);
    assert_int_equal(scene->send_by_ms, send_by_ms);
    remote_end(scene->remote);
}

static void a_long_wait_for_a_receipt_begins_anew(void **state)
{
    struct scene *scene = *state;
    call_at(scene, "POST", KR_API_BUCKETS "?timeoutMs=60000", "a key");
    assert_in_range(scene->send_by_ms, clock_boot_ms() + 4000, clock_boot_ms() + 4900);
    scene->send_by_ms = 0;
    fails(scene, KR_ERR_TIMEOUT);
    assert_tried_again(scene);
    assert_in_range(scene->send_by_ms, clock_boot_ms() + 4000, clock_boot_ms() + 4900);
    remote_end(scene->remote);
}

static void what_was_lost_on_the_way_may_have_happened(void **state)
{
    struct scene *scene = *state;
    call(scene, "POST", NULL);
    fails(scene, KR_ERR_TIMEOUT);
    assert_refused(scene, nobody_knows);
}

static void one_lost_try_is_not_forgotten_by_the_next(void **state)
{
    struct scene *scene = *state;
    call(scene, "POST", "a key");
    fails(scene, KR_ERR_TIMEOUT);
    assert_tried_again(scene);
    fails(scene, KR_ERR_NO_LEADER);
    remote_end(scene->remote);
    assert_refused(scene, nobody_knows);
}

static void what_was_not_sent_has_changed_nothing(void **state)
{
    struct scene *scene = *state;
    call(scene, "POST", NULL);
    fails(scene, KR_ERR_NO_LEADER);
    remote_end(scene->remote);
    assert_refused(scene, nothing_changed);
}

static void a_question_changes_nothing_whatever_happens(void **state)
{
    struct scene *scene = *state;
    call(scene, "GET", NULL);
    fails(scene, KR_ERR_TIMEOUT);
    assert_tried_again(scene);
    remote_end(scene->remote);
    assert_refused(scene, "try again");
    assert_null(strstr(scene->world.call->answer.problem, "change"));
}

static void an_end_tries_nothing_again(void **state)
{
    struct scene *scene = *state;
    call(scene, "POST", "a key");
    remote_end(scene->remote);
    assert_refused(scene, nobody_knows);
    remote_tick(scene->remote, UINT64_MAX);
    assert_int_equal(scene->submitted, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_leader_is_waited_for_less_than_five_seconds),
        TEST(another_leader_is_waited_for_within_the_same_time),
        TEST(a_long_wait_for_a_receipt_begins_anew),
        TEST(what_was_lost_on_the_way_may_have_happened),
        TEST(one_lost_try_is_not_forgotten_by_the_next),
        TEST(what_was_not_sent_has_changed_nothing),
        TEST(a_question_changes_nothing_whatever_happens),
        TEST(an_end_tries_nothing_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
