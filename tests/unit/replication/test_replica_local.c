// SPDX-License-Identifier: Apache-2.0
// The replica over the local engine and a real store: batches and their limits, results, restart.
#include "fixture.h"

#include "replication/engine_local.h"

struct local_fixture {
    struct fixture base;
    struct engine *engine;
    size_t answered, in_order, applied, full;
    uint64_t last_index;
    bool is_closed, submits_again;
};

static void on_fatal(void *ctx, enum kr_err err, const struct fault *fault)
{
    (void)ctx;
    (void)err;
    fail_msg("%s", fault->text);
}

static void on_closed(void *ctx)
{
    struct local_fixture *fixture = ctx;
    fixture->is_closed = true;
}

static void on_outcome(void *ctx, const struct replica_outcome *outcome)
{
    struct local_fixture *fixture = ctx;
    fixture->answered++;
    fixture->in_order += outcome->err == KR_ERR_OK && outcome->index == fixture->last_index + 1;
    fixture->applied += outcome->err == KR_ERR_OK && outcome->result.code == KR_APPLY_OK;
    fixture->full += outcome->err == KR_ERR_DISK_FULL;
    fixture->last_index = outcome->index;
    if (!fixture->submits_again)
        return;
    fixture->submits_again = false;
    assert_int_equal(
        replica_submit(fixture->base.replica, fixture_command("again", 4), on_outcome, fixture),
        KR_ERR_OK);
}

static void start(struct local_fixture *fixture)
{
    fixture->is_closed = false;
    const struct engine_local_options local = {.store = fixture->base.store, .leads = true};
    fixture->engine = engine_local_new(&local, NULL);
    const struct replica_options options = {.state = &fixture->base.state,
                                            .engine = fixture->engine,
                                            .fatal = on_fatal,
                                            .ctx = fixture};
    fixture->base.replica = replica_new(&options);
    assert_true(engine_turn(fixture->engine));
    assert_true(replica_is_leader(fixture->base.replica));
}

static void stop(struct local_fixture *fixture)
{
    replica_close(fixture->base.replica, on_closed, fixture);
    while (!fixture->is_closed) {
        engine_turn(fixture->engine);
        replica_turn(fixture->base.replica);
    }
    fixture->is_closed = false;
    fixture->engine->verbs->close(fixture->engine, on_closed, fixture);
    while (!fixture->is_closed)
        engine_turn(fixture->engine);
}

static void reopen(struct local_fixture *fixture, uint64_t disk_reserve_bytes)
{
    stop(fixture);
    store_close(&fixture->base.store);
    fixture_open_store(&fixture->base, disk_reserve_bytes);
    start(fixture);
}

static int setup(void **state)
{
    struct local_fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_init(&fixture->base);
    start(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct local_fixture *fixture = *state;
    stop(fixture);
    fixture_fini(&fixture->base);
    free(fixture);
    return 0;
}

static enum kr_err submit(struct local_fixture *fixture, const char *name, size_t size)
{
    return replica_submit(fixture->base.replica, fixture_command(name, size), on_outcome, fixture);
}

static void submit_many(struct local_fixture *fixture, size_t count, size_t size)
{
    char name[32];
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "bucket%zu", i);
        assert_int_equal(submit(fixture, name, size), KR_ERR_OK);
    }
}

// One turn: its append, then the callbacks of the next turn's begin. How many were answered?
static size_t turn(struct local_fixture *fixture)
{
    size_t before = fixture->answered;
    replica_turn(fixture->base.replica);
    assert_int_equal(fixture->answered, before);
    engine_turn(fixture->engine);
    return fixture->answered - before;
}

static void a_turn_takes_a_thousand_entries(void **state)
{
    struct local_fixture *fixture = *state;
    submit_many(fixture, 2500, 4);
    assert_true(replica_turn(fixture->base.replica));
    assert_int_equal(fixture->answered, 0);
    assert_int_equal(store_applied_index(fixture->base.store), 1000);
    engine_turn(fixture->engine);
    assert_int_equal(fixture->answered, 1000);
    assert_int_equal(turn(fixture), 1000);
    assert_int_equal(turn(fixture), 500);
    assert_int_equal(turn(fixture), 0);
    assert_false(replica_turn(fixture->base.replica));
    assert_int_equal(fixture->in_order, 2500);
    assert_int_equal(fixture->applied, 2500);
}

static void a_turn_takes_a_mebibyte(void **state)
{
    struct local_fixture *fixture = *state;
    submit_many(fixture, 5, KR_REPLICA_BATCH_BYTES / 2 - 1000);
    assert_int_equal(turn(fixture), 2);
    assert_int_equal(turn(fixture), 2);
    assert_int_equal(turn(fixture), 1);
    assert_int_equal(fixture->in_order, 5);
}

static void a_large_entry_has_a_batch_of_its_own(void **state)
{
    struct local_fixture *fixture = *state;
    assert_int_equal(submit(fixture, "small1", 4), KR_ERR_OK);
    assert_int_equal(submit(fixture, "large", 20u << 20), KR_ERR_OK);
    assert_int_equal(submit(fixture, "small2", 4), KR_ERR_OK);
    assert_int_equal(turn(fixture), 1);
    assert_int_equal(turn(fixture), 1);
    assert_int_equal(turn(fixture), 1);
    assert_int_equal(fixture->applied, 3);
    assert_int_equal(fixture->in_order, 3);
}

static void what_does_not_fit_is_refused_without_a_callback(void **state)
{
    struct local_fixture *fixture = *state;
    assert_int_equal(submit(fixture, "huge", KR_REPLICA_ENTRY_BYTES), KR_ERR_TOO_LARGE);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(submit(fixture, "large", 20u << 20), KR_ERR_OK);
    assert_int_equal(submit(fixture, "large", 20u << 20), KR_ERR_BUSY);
    assert_int_equal(submit(fixture, "small", 4), KR_ERR_OK);
    while (turn(fixture) > 0)
        ;
    assert_int_equal(fixture->answered, 4);
    assert_int_equal(submit(fixture, "large2", 20u << 20), KR_ERR_OK);
    assert_int_equal(turn(fixture), 1);
}

static void each_submitter_gets_the_result_of_its_entry(void **state)
{
    struct local_fixture *fixture = *state;
    submit_many(fixture, 3, 4);
    submit_many(fixture, 2, 4);
    assert_int_equal(turn(fixture), 5);
    assert_int_equal(fixture->applied, 3);
    assert_int_equal(fixture->in_order, 5);
}

static void a_callback_may_submit_again(void **state)
{
    struct local_fixture *fixture = *state;
    fixture->submits_again = true;
    submit_many(fixture, 1, 4);
    assert_int_equal(turn(fixture), 1);
    assert_int_equal(turn(fixture), 1);
    assert_int_equal(fixture->applied, 2);
}

static void a_full_disk_fails_the_batch_and_not_the_leadership(void **state)
{
    struct local_fixture *fixture = *state;
    submit_many(fixture, 2, 4);
    assert_int_equal(turn(fixture), 2);
    reopen(fixture, UINT64_MAX / 4);
    fixture->last_index = 0;
    submit_many(fixture, 3, 4);
    assert_int_equal(turn(fixture), 3);
    assert_int_equal(fixture->full, 3);
    assert_true(replica_is_leader(fixture->base.replica));
    assert_int_equal(submit(fixture, "more", 4), KR_ERR_OK);
    assert_int_equal(turn(fixture), 1);
    assert_int_equal(fixture->full, 4);
    assert_int_equal(store_applied_index(fixture->base.store), 2);
    reopen(fixture, 0);
    fixture->last_index = 2;
    assert_int_equal(submit(fixture, "more", 4), KR_ERR_OK);
    assert_int_equal(turn(fixture), 1);
    assert_int_equal(fixture->last_index, 3);
}

static void a_leader_is_never_old(void **state)
{
    struct local_fixture *fixture = *state;
    assert_int_equal(replica_age_ms(fixture->base.replica, UINT64_MAX - 1), 0);
    assert_int_equal(replica_epoch(fixture->base.replica), 1);
}

static void the_log_goes_on_after_a_restart(void **state)
{
    struct local_fixture *fixture = *state;
    struct store_position before, after;
    submit_many(fixture, 4, 4);
    assert_int_equal(turn(fixture), 4);
    store_position(fixture->base.store, &before);
    reopen(fixture, 0);
    store_position(fixture->base.store, &after);
    assert_int_equal(after.index, 4);
    assert_true(hash_equal(before.chain, after.chain));
    assert_int_equal(submit(fixture, "next", 4), KR_ERR_OK);
    assert_int_equal(turn(fixture), 1);
    assert_int_equal(fixture->last_index, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_turn_takes_a_thousand_entries),
        TEST(a_turn_takes_a_mebibyte),
        TEST(a_large_entry_has_a_batch_of_its_own),
        TEST(what_does_not_fit_is_refused_without_a_callback),
        TEST(each_submitter_gets_the_result_of_its_entry),
        TEST(a_callback_may_submit_again),
        TEST(a_full_disk_fails_the_batch_and_not_the_leadership),
        TEST(a_leader_is_never_old),
        TEST(the_log_goes_on_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
