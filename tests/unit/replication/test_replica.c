// SPDX-License-Identifier: Apache-2.0
// The replica over a scripted engine: what it asks of the engine and tells its submitters, as
// transcripts.
#include "replica_fixture.h"

static void without_leadership_nothing_is_taken(void **state)
{
    struct replica_fixture *fixture = *state;
    assert_int_equal(submit_sized(fixture, "aaa", 4), KR_ERR_NO_LEADER);
    scripted_role(&fixture->engine, KR_ENGINE_STANDBY, 0);
    assert_int_equal(submit_sized(fixture, "aaa", 4), KR_ERR_NO_LEADER);
    assert_false(replica_turn(fixture->base.replica));
    assert_false(replica_is_leader(fixture->base.replica));
    assert_happened(&fixture->base, "");
}

static void a_turn_is_one_append_answered_when_it_is_committed(void **state)
{
    struct replica_fixture *fixture = *state;
    lead(fixture);
    submit(fixture, "aaa");
    submit(fixture, "bbb");
    submit(fixture, "aaa");
    assert_happened(&fixture->base, "");
    replica_turn(fixture->base.replica);
    assert_happened(&fixture->base, "append 1..3 epoch 1\n");
    assert_int_equal(store_applied_index(fixture->base.store), 0);
    scripted_answer(&fixture->engine, 0, KR_ERR_OK, true);
    assert_happened(&fixture->base, "aaa: index 1 epoch 1\n"
                                    "bbb: index 2 epoch 1\n"
                                    "aaa: index 3 epoch 1 refused by apply\n");
    assert_int_equal(store_applied_index(fixture->base.store), 3);
}

static void several_appends_are_in_flight_and_answered_in_order(void **state)
{
    struct replica_fixture *fixture = *state;
    lead(fixture);
    submit_in_a_turn(fixture, "aaa");
    submit_in_a_turn(fixture, "bbb");
    submit_in_a_turn(fixture, "ccc");
    assert_happened(&fixture->base, "append 1..1 epoch 1\n"
                                    "append 2..2 epoch 1\n"
                                    "append 3..3 epoch 1\n");
    scripted_answer(&fixture->engine, 0, KR_ERR_OK, true);
    submit_in_a_turn(fixture, "ddd");
    scripted_answer(&fixture->engine, 0, KR_ERR_OK, true);
    scripted_answer(&fixture->engine, 0, KR_ERR_OK, true);
    scripted_answer(&fixture->engine, 0, KR_ERR_OK, true);
    assert_happened(&fixture->base, "aaa: index 1 epoch 1\n"
                                    "append 4..4 epoch 1\n"
                                    "bbb: index 2 epoch 1\n"
                                    "ccc: index 3 epoch 1\n"
                                    "ddd: index 4 epoch 1\n");
}

static void appends_in_flight_are_bounded(void **state)
{
    struct replica_fixture *fixture = *state;
    char name[16];
    lead(fixture);
    for (int i = 0; i < KR_REPLICA_APPENDS + 1; i++) {
        snprintf(name, sizeof(name), "b%02d", i);
        submit_in_a_turn(fixture, name);
    }
    assert_int_equal(fixture->engine.pending_count, KR_REPLICA_APPENDS);
    buf_clear(&fixture->base.transcript);
    scripted_answer(&fixture->engine, 0, KR_ERR_OK, true);
    replica_turn(fixture->base.replica);
    assert_happened(&fixture->base, "b00: index 1 epoch 1\nappend 17..17 epoch 1\n");
}

static void a_failed_append_gives_its_indexes_back(void **state)
{
    struct replica_fixture *fixture = *state;
    lead(fixture);
    submit_in_a_turn(fixture, "aaa");
    submit_in_a_turn(fixture, "bbb");
    submit_in_a_turn(fixture, "ccc");
    buf_clear(&fixture->base.transcript);
    scripted_answer(&fixture->engine, 0, KR_ERR_OK, true);
    scripted_answer(&fixture->engine, 0, KR_ERR_DISK_FULL, false);
    submit_in_a_turn(fixture, "ddd");
    assert_happened(&fixture->base, "aaa: index 1 epoch 1\nbbb: disk full\n");
    scripted_answer(&fixture->engine, 0, KR_ERR_DISK_FULL, false);
    assert_happened(&fixture->base, "ccc: disk full\n");
    assert_true(replica_is_leader(fixture->base.replica));
    replica_turn(fixture->base.replica);
    assert_happened(&fixture->base, "append 2..2 epoch 1\n");
    scripted_answer(&fixture->engine, 0, KR_ERR_OK, true);
    assert_happened(&fixture->base, "ddd: index 2 epoch 1\n");
}

static void an_append_refused_at_once_is_answered(void **state)
{
    struct replica_fixture *fixture = *state;
    lead(fixture);
    fixture->engine.refuse_next = KR_ERR_BUSY;
    submit_in_a_turn(fixture, "aaa");
    assert_happened(&fixture->base, "append 1..1 epoch 1 refused\naaa: too busy\n");
    submit_in_a_turn(fixture, "bbb");
    assert_happened(&fixture->base, "append 1..1 epoch 1\n");
}

static void a_lost_leadership_fails_the_queue_and_waits_for_what_is_in_flight(void **state)
{
    struct replica_fixture *fixture = *state;
    lead(fixture);
    submit_in_a_turn(fixture, "aaa");
    submit_in_a_turn(fixture, "bbb");
    submit(fixture, "ccc");
    buf_clear(&fixture->base.transcript);
    scripted_role(&fixture->engine, KR_ENGINE_STANDBY, 0);
    assert_false(replica_is_leader(fixture->base.replica));
    replica_turn(fixture->base.replica);
    assert_happened(&fixture->base, "ccc: no leader\n");
    scripted_answer(&fixture->engine, 0, KR_ERR_OK, true);
    scripted_answer(&fixture->engine, 0, KR_ERR_NO_LEADER, false);
    assert_happened(&fixture->base, "aaa: index 1 epoch 1\nbbb: no leader\n");
}

static void it_is_at_rest_when_it_stands_by_and_all_is_settled(void **state)
{
    struct replica_fixture *fixture = *state;
    const struct replica *replica = fixture->base.replica;
    assert_true(replica_is_at_rest(replica));
    fixture->engine.refuse_read = KR_ERR_BUSY;
    scripted_role(&fixture->engine, KR_ENGINE_LEADER, 1);
    assert_false(replica_is_at_rest(replica));
    fixture->engine.refuse_read = KR_ERR_OK;
    lead(fixture);
    submit_in_a_turn(fixture, "aaa");
    scripted_role(&fixture->engine, KR_ENGINE_STANDBY, 0);
    assert_false(replica_is_at_rest(replica));
    scripted_answer(&fixture->engine, 0, KR_ERR_NO_LEADER, false);
    assert_true(replica_is_at_rest(replica));
}

static void a_batch_that_was_applied_meanwhile_is_of_unknown_fate(void **state)
{
    struct replica_fixture *fixture = *state;
    struct apply_result result;
    struct fault fault = {0};
    lead(fixture);
    submit_in_a_turn(fixture, "aaa");
    scripted_role(&fixture->engine, KR_ENGINE_STANDBY, 0);
    const struct store_row row = {1, buf_bytes(&fixture->engine.pending[0].entries[0])};
    assert_int_equal(fixture->base.state.apply(fixture->base.store, &row, 1, &result, &fault),
                     KR_ERR_OK);
    buf_clear(&fixture->base.transcript);
    scripted_answer(&fixture->engine, 0, KR_ERR_OK, true);
    assert_happened(&fixture->base, "aaa: deadline exceeded\n");
}

static void a_new_leader_applies_the_log_before_it_appends(void **state)
{
    struct replica_fixture *fixture = *state;
    lead(fixture);
    submit_in_a_turn(fixture, "aaa");
    scripted_answer(&fixture->engine, 0, KR_ERR_OK, true);
    scripted_role(&fixture->engine, KR_ENGINE_STANDBY, 0);
    log_foreign(fixture, 2, 2, "foreign1");
    log_foreign(fixture, 3, 2, "foreign2");
    scripted_role(&fixture->engine, KR_ENGINE_LEADER, 3);
    assert_false(replica_is_leader(fixture->base.replica));
    buf_clear(&fixture->base.transcript);
    submit_in_a_turn(fixture, "bbb");
    assert_happened(&fixture->base, "read 2\nread 3\nappend 4..4 epoch 3\n");
    assert_true(replica_is_leader(fixture->base.replica));
    assert_int_equal(replica_epoch(fixture->base.replica), 3);
    assert_int_equal(store_applied_index(fixture->base.store), 3);
}

static void an_unknown_fate_is_looked_up_in_the_log(void **state)
{
    struct replica_fixture *fixture = *state;
    lead(fixture);
    submit_in_a_turn(fixture, "aaa");
    buf_clear(&fixture->base.transcript);
    scripted_answer(&fixture->engine, 0, KR_ERR_TIMEOUT, true);
    submit_in_a_turn(fixture, "bbb");
    assert_happened(&fixture->base, "aaa: deadline exceeded\nread 1\nappend 2..2 epoch 1\n");
    assert_int_equal(store_applied_index(fixture->base.store), 1);
}

static void an_error_of_the_disk_is_fatal_once(void **state)
{
    struct replica_fixture *fixture = *state;
    lead(fixture);
    submit_in_a_turn(fixture, "aaa");
    submit_in_a_turn(fixture, "bbb");
    submit(fixture, "ccc");
    buf_clear(&fixture->base.transcript);
    scripted_answer(&fixture->engine, 0, KR_ERR_IO, false);
    scripted_answer(&fixture->engine, 0, KR_ERR_IO, false);
    replica_turn(fixture->base.replica);
    assert_happened(&fixture->base, "fatal: scripted: input/output error\n"
                                    "aaa: deadline exceeded\n"
                                    "bbb: deadline exceeded\n"
                                    "ccc: no leader\n");
    assert_int_equal(submit_sized(fixture, "ddd", 4), KR_ERR_NO_LEADER);
    assert_false(replica_is_leader(fixture->base.replica));
    scripted_role(&fixture->engine, KR_ENGINE_LEADER, 2);
    assert_false(replica_is_leader(fixture->base.replica));
}

static void a_commit_out_of_order_is_fatal(void **state)
{
    struct replica_fixture *fixture = *state;
    lead(fixture);
    submit_in_a_turn(fixture, "aaa");
    submit_in_a_turn(fixture, "bbb");
    buf_clear(&fixture->base.transcript);
    scripted_answer(&fixture->engine, 1, KR_ERR_OK, false);
    assert_happened(&fixture->base,
                    "fatal: log engine scripted committed index 2 out of order, applied is 0\n");
    scripted_answer(&fixture->engine, 0, KR_ERR_NO_LEADER, false);
    assert_happened(&fixture->base, "aaa: no leader\nbbb: deadline exceeded\n");
}

static void a_log_that_does_not_fit_is_fatal(void **state)
{
    struct replica_fixture *fixture = *state;
    log_foreign(fixture, 7, 1, "foreign1");
    scripted_role(&fixture->engine, KR_ENGINE_LEADER, 1);
    replica_turn(fixture->base.replica);
    assert_happened(&fixture->base, "read 1\nfatal: log entry 7 of epoch 1 does not follow entry "
                                    "0 of epoch 0\n");
    assert_int_equal(submit_sized(fixture, "aaa", 4), KR_ERR_NO_LEADER);
}

static void a_close_waits_for_what_is_in_flight(void **state)
{
    struct replica_fixture *fixture = *state;
    struct replica *replica = fixture->base.replica;
    lead(fixture);
    submit_in_a_turn(fixture, "aaa");
    submit(fixture, "bbb");
    buf_clear(&fixture->base.transcript);
    replica_close(replica, on_closed, fixture);
    assert_happened(&fixture->base, "");
    assert_int_equal(submit_sized(fixture, "ccc", 4), KR_ERR_NO_LEADER);
    replica_turn(replica);
    assert_happened(&fixture->base, "bbb: no leader\n");
    scripted_answer(&fixture->engine, 0, KR_ERR_OK, true);
    assert_happened(&fixture->base, "aaa: index 1 epoch 1\n");
    replica_turn(replica);
    assert_happened(&fixture->base, "closed\n");
}

static void the_age_is_nought_while_a_leader_is_valid(void **state)
{
    struct replica_fixture *fixture = *state;
    const struct replica *replica = fixture->base.replica;
    assert_true(replica_age_ms(replica, 5) == UINT64_MAX);
    fixture->engine.valid_until_ms = 10000;
    lead(fixture);
    assert_int_equal(replica_age_ms(replica, 9999), 0);
    assert_int_equal(replica_age_ms(replica, 10000), KR_REPLICA_WINDOW_MS);
    assert_int_equal(replica_age_ms(replica, 10500), KR_REPLICA_WINDOW_MS + 500);
    fixture->engine.valid_until_ms = 20000;
    replica_turn(fixture->base.replica);
    assert_int_equal(replica_age_ms(replica, 15000), 0);
    scripted_role(&fixture->engine, KR_ENGINE_STANDBY, 0);
    assert_int_equal(replica_age_ms(replica, 19000), 1000);
}

static void a_leader_that_nobody_replaces_ages_from_its_end_on(void **state)
{
    struct replica_fixture *fixture = *state;
    const struct replica *replica = fixture->base.replica;
    lead(fixture);
    assert_int_equal(replica_age_ms(replica, UINT64_MAX - 1), 0);
    uint64_t before_ms = clock_boot_ms();
    scripted_role(&fixture->engine, KR_ENGINE_STOPPED, 0);
    uint64_t after_ms = clock_boot_ms();
    assert_in_range(replica_age_ms(replica, after_ms + 700), 700, 700 + after_ms - before_ms);
}

static void a_leader_without_end_that_is_deposed_knows_nothing(void **state)
{
    struct replica_fixture *fixture = *state;
    const struct replica *replica = fixture->base.replica;
    lead(fixture);
    scripted_role(&fixture->engine, KR_ENGINE_STANDBY, 0);
    assert_true(replica_age_ms(replica, 5) == UINT64_MAX);
}

static void a_follower_ages_by_its_lease(void **state)
{
    struct replica_fixture *fixture = *state;
    struct replica *replica = fixture->base.replica;
    replica_note_lease(replica, 12000);
    assert_int_equal(replica_age_ms(replica, 10300), 300);
    assert_int_equal(replica_age_ms(replica, 20000), 10000);
    replica_note_lease(replica, 0);
    assert_true(replica_age_ms(replica, 10300) == UINT64_MAX);
    fixture->engine.valid_until_ms = 30000;
    lead(fixture);
    replica_note_lease(replica, 12000); // the engine says it
    assert_int_equal(replica_age_ms(replica, 20000), 0);
}

static void a_lease_that_comes_later_does_not_make_what_was_found_fresh(void **state)
{
    struct replica_fixture *fixture = *state;
    struct replica *replica = fixture->base.replica;
    replica_note_lease(replica, 12000);
    const struct replica_known before = replica_known(replica);
    replica_note_lease(replica, 30000);
    assert_int_equal(replica_known_age_ms(&before, 28000), 18000);
    assert_int_equal(replica_age_ms(replica, 28000), 0);
    replica_note_lease(replica, 0);
    const struct replica_known nothing = replica_known(replica);
    assert_true(replica_known_age_ms(&nothing, 5) == UINT64_MAX);
}

static void a_leader_that_slept_beyond_its_validity_is_not_fresh(void **state)
{
    struct replica_fixture *fixture = *state;
    fixture->engine.valid_until_ms = 10000;
    lead(fixture);
    const struct replica_known known = replica_known(fixture->base.replica);
    assert_int_equal(replica_known_age_ms(&known, 9999), 0);
    assert_int_equal(replica_known_age_ms(&known, 17000), KR_REPLICA_WINDOW_MS + 7000);
}

static void a_log_that_is_being_fetched_is_asked_again(void **state)
{
    struct replica_fixture *fixture = *state;
    fixture->engine.refuse_read = KR_ERR_BUSY;
    scripted_role(&fixture->engine, KR_ENGINE_LEADER, 1);
    assert_false(replica_turn(fixture->base.replica));
    assert_false(replica_is_leader(fixture->base.replica));
    fixture->engine.refuse_read = KR_ERR_NO_LEADER;
    assert_false(replica_turn(fixture->base.replica));
    fixture->engine.refuse_read = KR_ERR_OK;
    replica_turn(fixture->base.replica);
    assert_true(replica_is_leader(fixture->base.replica));
    assert_happened(&fixture->base, "");
}

static void a_leader_that_gives_its_place_away_ages_at_once(void **state)
{
    struct replica_fixture *fixture = *state;
    const struct replica *replica = fixture->base.replica;
    uint64_t before_ms = clock_boot_ms();
    fixture->engine.valid_until_ms = before_ms + 60000;
    lead(fixture);
    scripted_role(&fixture->engine, KR_ENGINE_STANDBY, 0);
    uint64_t after_ms = clock_boot_ms();
    assert_in_range(replica_age_ms(replica, after_ms + 700), 700, 700 + after_ms - before_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_leadership_nothing_is_taken),
        TEST(a_turn_is_one_append_answered_when_it_is_committed),
        TEST(several_appends_are_in_flight_and_answered_in_order),
        TEST(appends_in_flight_are_bounded),
        TEST(a_failed_append_gives_its_indexes_back),
        TEST(an_append_refused_at_once_is_answered),
        TEST(a_lost_leadership_fails_the_queue_and_waits_for_what_is_in_flight),
        TEST(it_is_at_rest_when_it_stands_by_and_all_is_settled),
        TEST(a_batch_that_was_applied_meanwhile_is_of_unknown_fate),
        TEST(a_new_leader_applies_the_log_before_it_appends),
        TEST(an_unknown_fate_is_looked_up_in_the_log),
        TEST(an_error_of_the_disk_is_fatal_once),
        TEST(a_commit_out_of_order_is_fatal),
        TEST(a_log_that_does_not_fit_is_fatal),
        TEST(a_close_waits_for_what_is_in_flight),
        TEST(the_age_is_nought_while_a_leader_is_valid),
        TEST(a_leader_that_nobody_replaces_ages_from_its_end_on),
        TEST(a_leader_without_end_that_is_deposed_knows_nothing),
        TEST(a_follower_ages_by_its_lease),
        TEST(a_lease_that_comes_later_does_not_make_what_was_found_fresh),
        TEST(a_leader_that_slept_beyond_its_validity_is_not_fresh),
        TEST(a_log_that_is_being_fetched_is_asked_again),
        TEST(a_leader_that_gives_its_place_away_ages_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
