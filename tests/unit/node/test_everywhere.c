// SPDX-License-Identifier: Apache-2.0
// Receipts that wait: each is answered when its own bounds are met or its time is over, and what
// waits meanwhile costs the roster no questions, which the linker counts (--wrap).
#include "tests/unit/node/replica_fixture.h"

#include "core/base/clock.h"
#include "node/everywhere.h"
#include "replication/roster.h"

enum { KR_TEST_MEMBERS = 7, KR_TEST_WAITING = 1000, KR_TEST_TIMEOUT_MS = 5000 };

static size_t asked, answered;

enum roster_outcome __real_roster_wait(struct roster *roster, const struct roster_demand *demand,
                                       uint64_t deadline_ms, uint64_t now_ms);
enum roster_outcome __wrap_roster_wait(struct roster *roster, const struct roster_demand *demand,
                                       uint64_t deadline_ms, uint64_t now_ms);
void __real_roster_each(struct roster *roster, const struct roster_demand *demand, uint64_t now_ms,
                        roster_visit_fn *visit, void *ctx);
void __wrap_roster_each(struct roster *roster, const struct roster_demand *demand, uint64_t now_ms,
                        roster_visit_fn *visit, void *ctx);

enum roster_outcome __wrap_roster_wait(struct roster *roster, const struct roster_demand *demand,
                                       uint64_t deadline_ms, uint64_t now_ms)
{
    asked++;
    return __real_roster_wait(roster, demand, deadline_ms, now_ms);
}

void __wrap_roster_each(struct roster *roster, const struct roster_demand *demand, uint64_t now_ms,
                        roster_visit_fn *visit, void *ctx)
{
    asked++;
    __real_roster_each(roster, demand, now_ms, visit, ctx);
}

struct scene {
    struct api_world world;
    struct roster *roster;
    struct everywhere *everywhere;
    uint64_t now_ms;
};

static void name_of(int member, char id[32])
{
    snprintf(id, 32, "member-%d", member);
}

// A leader with seven members, none of which has been heard.
static int setup(void **state)
{
    struct scene *scene = mem_zalloc(sizeof(*scene));
    char id[32];
    api_start(&scene->world);
    replica_start(&scene->world.node, true);
    scene->now_ms = clock_boot_ms();
    scene->roster = roster_new("node-1", scene->now_ms);
    for (int i = 0; i < KR_TEST_MEMBERS; i++) {
        name_of(i, id);
        assert_int_equal(roster_member(scene->roster, id, false), KR_ERR_OK);
    }
    roster_take_over(scene->roster, 1, 1, scene->now_ms);
    scene->everywhere = everywhere_new(&scene->world.node, scene->roster);
    asked = answered = 0;
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    everywhere_free(&scene->everywhere);
    roster_free(&scene->roster);
    replica_end(&scene->world.node);
    api_end(&scene->world);
    mem_free(scene);
    return 0;
}

static void ack(struct scene *scene, int member, uint64_t index)
{
    const struct peer_ack one = {
        .applied_index = index, .covered_index = index, .epoch = 1, .others_age_ms = INT64_MAX};
    char id[32];
    name_of(member, id);
    roster_heard(scene->roster, id, &one, scene->now_ms);
    everywhere_ask(scene->everywhere);
}

static void ack_from_all(struct scene *scene, uint64_t index)
{
    for (int member = 0; member < KR_TEST_MEMBERS; member++)
        ack(scene, member, index);
}

static bool turn(struct scene *scene)
{
    return everywhere_turn(scene->everywhere, scene->now_ms);
}

static struct call *make_call(uint64_t index, int64_t bound_ms)
{
    struct call *call = mem_zalloc(sizeof(*call));
    arena_init(&call->arena);
    buf_init(&call->answer.body, 1 << 20);
    call->receipt = (struct call_receipt){.is_everywhere = true,
                                          .timeout_ms = KR_TEST_TIMEOUT_MS,
                                          .bound_ms = bound_ms,
                                          .record.index = index};
    return call;
}

static void free_call(struct call *call)
{
    buf_fini(&call->answer.body);
    arena_fini(&call->arena);
    mem_free(call);
}

static void on_done(void *ctx)
{
    (void)ctx;
    answered++;
}

static void await(struct scene *scene, struct call *call)
{
    everywhere_answer(scene->everywhere, call, on_done, NULL);
}

// Of the answer; 0: it waits.
static unsigned status_of(const struct call *call)
{
    return call->answer.status;
}

static void what_waits_costs_no_questions(void **state)
{
    struct scene *scene = *state;
    struct call *calls[KR_TEST_WAITING];
    for (uint64_t i = 0; i < KR_TEST_WAITING; i++)
        await(scene, calls[i] = make_call(2 + i, 60000));
    asked = 0;
    for (int member = 1; member < KR_TEST_MEMBERS; member++) { // the first never answers
        ack(scene, member, 2 + KR_TEST_WAITING);
        assert_false(turn(scene));
    }
    assert_in_range(asked, 1, KR_TEST_MEMBERS);
    assert_int_equal(answered, 0);
    ack(scene, 0, 1 + KR_TEST_WAITING / 2);
    size_t most = 0, before = 0;
    for (bool has_more = true; has_more;) {
        has_more = turn(scene);
        most = answered - before > most ? answered - before : most;
        before = answered;
    }
    assert_int_equal(answered, KR_TEST_WAITING / 2);
    assert_in_range(most, 1, 200); // leases are lent in between
    for (size_t i = 0; i < KR_TEST_WAITING; i++)
        assert_int_equal(status_of(calls[i]), i < KR_TEST_WAITING / 2 ? 200 : 0);
    ack(scene, 0, 1 + KR_TEST_WAITING);
    while (turn(scene))
        continue;
    assert_int_equal(answered, KR_TEST_WAITING);
    for (size_t i = 0; i < KR_TEST_WAITING; i++)
        free_call(calls[i]);
}

static void each_waits_for_its_own_bounds(void **state)
{
    struct scene *scene = *state;
    struct call *bounded = make_call(3, 1000), *lowered = make_call(3, 1000);
    struct call *longer = make_call(2, 60000), *unbounded = make_call(2, KR_UNBOUNDED);
    lowered->receipt.was_bound_ms = 60000;
    lowered->receipt.bounded_at = 2; // which the silent member has not applied
    await(scene, bounded);
    await(scene, lowered);
    await(scene, longer);
    await(scene, unbounded);
    for (int member = 1; member < KR_TEST_MEMBERS; member++)
        ack(scene, member, 3);
    turn(scene);
    assert_int_equal(answered, 0);
    scene->now_ms += 1100; // the silent member's time is over by one bound
    everywhere_ask(scene->everywhere);
    turn(scene);
    assert_int_equal(answered, 1);
    assert_int_equal(status_of(bounded), 200);
    ack(scene, 0, 2);
    turn(scene);
    assert_int_equal(answered, 4);
    assert_int_equal(status_of(lowered), 200);
    assert_int_equal(status_of(longer), 200);
    assert_int_equal(status_of(unbounded), 200);
    free_call(bounded);
    free_call(lowered);
    free_call(longer);
    free_call(unbounded);
}

static void an_older_entry_may_be_asked_for_again(void **state)
{
    struct scene *scene = *state;
    static const uint64_t indexes[] = {10, 12, 5, 11, 12};
    struct call *calls[5];
    for (size_t i = 0; i < 5; i++)
        await(scene, calls[i] = make_call(indexes[i], 60000));
    for (uint64_t index = 4; index <= 12; index++) {
        ack_from_all(scene, index);
        turn(scene);
        for (size_t i = 0; i < 5; i++)
            assert_int_equal(status_of(calls[i]), indexes[i] <= index ? 200 : 0);
    }
    assert_int_equal(answered, 5);
    for (size_t i = 0; i < 5; i++)
        free_call(calls[i]);
}

static void what_is_late_is_answered_as_it_stands(void **state)
{
    struct scene *scene = *state;
    struct call *patient = make_call(2, 60000), *hasty = make_call(3, 60000);
    struct call *last = make_call(4, 60000);
    hasty->receipt.timeout_ms = last->receipt.timeout_ms = 100;
    await(scene, patient);
    await(scene, hasty);
    await(scene, last);
    scene->now_ms = clock_boot_ms() + 101;
    assert_false(turn(scene)); // nobody has said that time has passed
    assert_int_equal(answered, 0);
    everywhere_ask(scene->everywhere);
    turn(scene);
    assert_int_equal(answered, 2);
    assert_int_equal(status_of(hasty), 202);
    assert_int_equal(status_of(last), 202);
    struct call *behind = make_call(9, 60000);
    await(scene, behind);
    ack_from_all(scene, 9);
    turn(scene);
    assert_int_equal(status_of(patient), 200);
    assert_int_equal(status_of(behind), 200);
    free_call(patient);
    free_call(hasty);
    free_call(last);
    free_call(behind);
}

static void what_nobody_waits_for_any_more_goes(void **state)
{
    struct scene *scene = *state;
    struct call *kept = make_call(2, 60000), *left = make_call(3, 60000);
    kept->receipt.timeout_ms = left->receipt.timeout_ms = 600000;
    await(scene, kept);
    await(scene, left);
    atomic_store(&left->is_given_up, true);
    scene->now_ms = clock_boot_ms() + 1000;
    everywhere_ask(scene->everywhere);
    turn(scene);
    assert_int_equal(answered, 1);
    assert_int_equal(status_of(left), 202);
    assert_int_equal(status_of(kept), 0);
    ack_from_all(scene, 2);
    turn(scene);
    assert_int_equal(status_of(kept), 200);
    free_call(kept);
    free_call(left);
}

// Another node was promoted, which may never have seen the entry: what the others know of it, and
// that their time is over, says nothing any more.
static void who_was_superseded_completes_nothing(void **state)
{
    struct scene *scene = *state;
    struct node *node = &scene->world.node;
    struct call *waiting = make_call(2, 60000), *later = make_call(2, 60000);
    struct call *committed = make_call(2, 60000);
    committed->receipt.is_everywhere = false;
    await(scene, waiting);
    assert_true(engine_local_step_down(node->engine));
    engine_turn(node->engine);
    ack_from_all(scene, 2);
    turn(scene);
    assert_int_equal(status_of(waiting), 202);
    await(scene, later);
    assert_int_equal(status_of(later), 202);
    await(scene, committed);
    assert_int_equal(status_of(committed), 200);
    free_call(waiting);
    free_call(later);
    free_call(committed);
}

static void who_leads_anew_completes_nothing_of_before(void **state)
{
    struct scene *scene = *state;
    struct node *node = &scene->world.node;
    struct call *waiting = make_call(2, 60000);
    await(scene, waiting);
    assert_true(engine_local_step_down(node->engine));
    assert_int_equal(engine_local_promote(node->engine, 7), KR_ERR_OK);
    engine_turn(node->engine);
    ack_from_all(scene, 2);
    turn(scene);
    assert_int_equal(status_of(waiting), 202);
    free_call(waiting);
}

static void many_bounds_are_not_looked_at_in_every_turn(void **state)
{
    struct scene *scene = *state;
    struct call *calls[KR_TEST_WAITING];
    for (size_t i = 0; i < KR_TEST_WAITING; i++)
        await(scene, calls[i] = make_call(2, 60000 + (int64_t)i));
    asked = 0;
    for (int i = 0; i < 50; i++) {
        ack(scene, 1, 2);
        turn(scene);
        scene->now_ms += i % 10 == 0; // ten turns a millisecond
    }
    assert_in_range(asked, 1, 2 * KR_TEST_WAITING);
    ack_from_all(scene, 2);
    scene->now_ms += 5;
    while (turn(scene))
        scene->now_ms += 5;
    assert_int_equal(answered, KR_TEST_WAITING);
    for (size_t i = 0; i < KR_TEST_WAITING; i++)
        free_call(calls[i]);
}

static void a_stop_ends_all_waiting(void **state)
{
    struct scene *scene = *state;
    struct call *calls[KR_TEST_WAITING];
    for (size_t i = 0; i < KR_TEST_WAITING; i++)
        await(scene, calls[i] = make_call(2 + i, 60000));
    everywhere_stop(scene->everywhere);
    while (turn(scene))
        continue;
    assert_int_equal(answered, KR_TEST_WAITING);
    for (size_t i = 0; i < KR_TEST_WAITING; i++) {
        assert_int_equal(status_of(calls[i]), 202);
        free_call(calls[i]);
    }
    struct call *late = make_call(2, 60000);
    await(scene, late);
    assert_int_equal(status_of(late), 202);
    free_call(late);
}

// Runs a call up to its receipt, which then waits or is there.
static struct call *begin(struct scene *scene, const char *method, const char *target,
                          const char *body)
{
    struct api_world *world = &scene->world;
    api_end_call(world);
    api_make(world, method, target, bytes_text(body));
    assert_int_equal(api_execute(world), KR_EXECUTOR_RECEIPT);
    await(scene, world->call);
    return world->call;
}

static void a_replayed_revocation_waits_again(void **state)
{
    static const char target[] = KR_API_BUCKETS "/production/revoke?wait=everywhere";
    static const char body[] = "{\"confirm\":\"production\"}";
    struct scene *scene = *state;
    scene->world.idempotency_key = "once";
    api_expect(&scene->world, 200, "POST", target, body);
    uint64_t index = (uint64_t)api_number(&scene->world, "index");
    char receipt[64];
    snprintf(receipt, sizeof(receipt), "/v1/receipts/%llu?wait=everywhere",
             (unsigned long long)index);
    assert_int_equal(status_of(begin(scene, "GET", receipt, "")), 202);
    scene->world.idempotency_key = "once";
    begin(scene, "POST", target, body);
    assert_int_equal(answered, 1);
    ack_from_all(scene, index);
    turn(scene);
    assert_int_equal(answered, 2);
    assert_int_equal(status_of(scene->world.call), 200);
}

static int64_t slowest_ms(struct call *call)
{
    static const char name[] = "\"slowestMs\":";
    buf_add(&call->answer.body, "", 1);
    const char *at = strstr((const char *)call->answer.body.data, name);
    assert_non_null(at);
    return strtoll(at + strlen(name), NULL, 10);
}

// The members have it 20 s behind the commit, whoever asks.
static void a_receipt_that_is_asked_for_again_counts_from_its_request(void **state)
{
    struct scene *scene = *state;
    ack_from_all(scene, 7);
    for (int is_fresh = 0; is_fresh <= 1; is_fresh++) {
        struct call *call = make_call(7, 3000);
        call->has_command = is_fresh;
        call->receipt.record.committed_ms = clock_unix_ms() - 20000;
        call->receipt.record.requested_ms = call->receipt.record.committed_ms - 5;
        await(scene, call);
        assert_int_equal(status_of(call), 200);
        if (is_fresh) // it was committed a moment ago, whatever the wall clock has done since
            assert_int_equal(slowest_ms(call), 5);
        else
            assert_in_range(slowest_ms(call), 19000, 20005);
        free_call(call);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_waits_costs_no_questions),
        TEST(each_waits_for_its_own_bounds),
        TEST(an_older_entry_may_be_asked_for_again),
        TEST(what_is_late_is_answered_as_it_stands),
        TEST(what_nobody_waits_for_any_more_goes),
        TEST(who_was_superseded_completes_nothing),
        TEST(who_leads_anew_completes_nothing_of_before),
        TEST(many_bounds_are_not_looked_at_in_every_turn),
        TEST(a_stop_ends_all_waiting),
        TEST(a_replayed_revocation_waits_again),
        TEST(a_receipt_that_is_asked_for_again_counts_from_its_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
