// SPDX-License-Identifier: Apache-2.0
// A replica that must not lead, or whose disk is full: what it says, gives away and takes.
#include "replica_fixture.h"

// The state's apply behind a disk that may be full.
static bool is_disk_full;
static uint64_t room_bytes; // for entries, where it is not
static enum kr_err (*real_apply)(void *ctx, const struct store_row *rows, size_t count,
                                 struct apply_result results[], struct fault *fault);

static enum kr_err apply_if_room(void *ctx, const struct store_row *rows, size_t count,
                                 struct apply_result results[], struct fault *fault)
{
    if (is_disk_full)
        return fault_set(fault, KR_ERR_DISK_FULL, "full");
    return real_apply(ctx, rows, count, results, fault);
}

static enum kr_err check_if_room(void *ctx, uint64_t size_bytes, struct fault *fault)
{
    (void)ctx;
    assert_true(size_bytes > 0);
    return is_disk_full || size_bytes > room_bytes ? fault_set(fault, KR_ERR_DISK_FULL, "full")
                                                   : KR_ERR_OK;
}

// From now on the test says how full the disk is.
static void watch_disk(struct replica_fixture *fixture)
{
    is_disk_full = false;
    room_bytes = UINT64_MAX;
    real_apply = fixture->base.state.apply;
    fixture->base.state.apply = apply_if_room;
    fixture->base.state.check_room = check_if_room;
}

static void what_a_full_disk_kept_out_is_applied_from_the_log_later(void **state)
{
    struct replica_fixture *fixture = *state;
    watch_disk(fixture);
    lead(fixture);
    submit_in_a_turn(fixture, "aaa");
    submit_in_a_turn(fixture, "bbb");
    buf_clear(&fixture->base.transcript);
    is_disk_full = true;
    scripted_answer(&fixture->engine, 0, KR_ERR_OK, true);
    is_disk_full = false; // what is behind must not jump over what is missing
    scripted_answer(&fixture->engine, 0, KR_ERR_OK, true);
    assert_happened(&fixture->base, "aaa: deadline exceeded\nbbb: deadline exceeded\n");
    is_disk_full = true;
    submit(fixture, "ccc");
    assert_false(replica_turn(fixture->base.replica));
    assert_happened(&fixture->base, "read 1\nread 2\nccc: disk full\n");
    is_disk_full = false;
    replica_turn(fixture->base.replica);
    assert_int_equal(store_applied_index(fixture->base.store), 2);
    submit_in_a_turn(fixture, "ddd");
    assert_happened(&fixture->base, "read 1\nread 2\nappend 3..3 epoch 1\n");
}

static void without_room_nothing_goes_to_the_log(void **state)
{
    struct replica_fixture *fixture = *state;
    const struct replica *replica = fixture->base.replica;
    watch_disk(fixture);
    fixture->engine.valid_until_ms = 10000;
    lead(fixture);
    is_disk_full = true;
    fixture->engine.valid_until_ms = 20000;
    submit_in_a_turn(fixture, "aaa");
    assert_happened(&fixture->base, "aaa: disk full\n");
    assert_true(replica_is_leader(replica));
    assert_int_equal(replica_age_ms(replica, 19999), 0);
    is_disk_full = false;
    submit_in_a_turn(fixture, "bbb");
    assert_happened(&fixture->base, "append 1..1 epoch 1\n");
}

static void what_has_no_room_takes_nothing_with_it(void **state)
{
    struct replica_fixture *fixture = *state;
    watch_disk(fixture);
    lead(fixture);
    assert_int_equal(submit_sized(fixture, "aaa", 4), KR_ERR_OK);
    assert_int_equal(submit_sized(fixture, "big", 5000), KR_ERR_OK);
    assert_int_equal(submit_sized(fixture, "bbb", 4), KR_ERR_OK);
    room_bytes = 4000;
    buf_clear(&fixture->base.transcript);
    while (replica_turn(fixture->base.replica))
        continue;
    assert_happened(&fixture->base, "append 1..1 epoch 1\nbig: disk full\nappend 2..2 epoch 1\n");
}

// Nobody else can have applied what it has not.
static void a_leader_that_cannot_apply_its_own_stays_valid_and_takes_no_write(void **state)
{
    struct replica_fixture *fixture = *state;
    const struct replica *replica = fixture->base.replica;
    watch_disk(fixture);
    fixture->engine.valid_until_ms = 10000;
    lead(fixture);
    submit_in_a_turn(fixture, "aaa");
    is_disk_full = true;
    scripted_answer(&fixture->engine, 0, KR_ERR_OK, true);
    fixture->engine.valid_until_ms = 20000;
    buf_clear(&fixture->base.transcript);
    submit_in_a_turn(fixture, "bbb");
    assert_happened(&fixture->base, "read 1\nbbb: disk full\n");
    assert_true(replica_is_leader(replica));
    assert_int_equal(replica_age_ms(replica, 19999), 0);
}

static void who_cannot_apply_what_was_there_before_resigns(void **state)
{
    struct replica_fixture *fixture = *state;
    const struct replica *replica = fixture->base.replica;
    watch_disk(fixture);
    is_disk_full = true;
    log_foreign(fixture, 1, 1, "foreign1");
    scripted_role(&fixture->engine, KR_ENGINE_LEADER, 2);
    assert_false(replica_turn(fixture->base.replica));
    assert_happened(&fixture->base, "read 1\nresign: full\n");
    assert_false(replica_is_leader(replica));
    assert_true(replica_age_ms(replica, 5) == UINT64_MAX);
}

// What it has applied last may say that it was removed.
static void who_is_unfit_resigns_before_it_leads(void **state)
{
    struct replica_fixture *fixture = *state;
    fixture->fitness = KR_ENGINE_UNFIT;
    log_foreign(fixture, 1, 1, "foreign1");
    scripted_role(&fixture->engine, KR_ENGINE_LEADER, 2);
    assert_int_equal(submit_sized(fixture, "aaa", 4), KR_ERR_OK);
    assert_false(replica_turn(fixture->base.replica));
    assert_happened(&fixture->base, "read 1\nresign: as the test says\n");
    assert_false(replica_is_leader(fixture->base.replica));
    assert_int_equal(store_applied_index(fixture->base.store), 1);
    scripted_role(&fixture->engine, KR_ENGINE_STANDBY, 0);
    replica_turn(fixture->base.replica);
    assert_happened(&fixture->base, "aaa: no leader\n");
}

static void a_leader_that_becomes_unfit_resigns(void **state)
{
    struct replica_fixture *fixture = *state;
    fixture->fitness = KR_ENGINE_LAST_RESORT;
    lead(fixture);
    fixture->fitness = KR_ENGINE_UNFIT;
    uint64_t deadline_ms = clock_boot_ms() + 20000;
    while (fixture->base.transcript.size == 0 && clock_boot_ms() < deadline_ms)
        replica_turn(fixture->base.replica);
    assert_happened(&fixture->base, "resign: as the test says\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_a_full_disk_kept_out_is_applied_from_the_log_later),
        TEST(without_room_nothing_goes_to_the_log),
        TEST(what_has_no_room_takes_nothing_with_it),
        TEST(a_leader_that_cannot_apply_its_own_stays_valid_and_takes_no_write),
        TEST(who_cannot_apply_what_was_there_before_resigns),
        TEST(who_is_unfit_resigns_before_it_leads),
        TEST(a_leader_that_becomes_unfit_resigns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
