// SPDX-License-Identifier: Apache-2.0
// The etcd engine over an etcd in memory: elections and appends, and every way in which their calls
// can be lost.
#include "etcd_fixture.h"

#include "replication/engine_etcd_internal.h"

// --- leadership ----------------------------------------------------------------------------------

static void a_node_alone_leads_under_the_keys_revision(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    const struct fake_kv *kv = fake_find(&fixture->fake, "/clst_test/leader");
    assert_non_null(kv);
    assert_int_equal(kv->create_revision, fixture->a.epoch);
    assert_non_null(memmem(kv->value.data, kv->value.size, "node-a", 6));
    run(fixture, 60000);
    assert_int_equal(fixture->a.role, KR_ENGINE_LEADER);
    assert_int_equal(fake_find(&fixture->fake, "/clst_test/leader")->create_revision,
                     fixture->a.epoch);
}

static void a_second_node_stands_by_and_knows_who_leads(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    start(fixture, &fixture->b, "node-b");
    run(fixture, 3000);
    assert_int_equal(fixture->b.role, KR_ENGINE_STANDBY);
    assert_string_equal(fixture->b.leader, "node-a host:7402");
    assert_int_equal(append(fixture, &fixture->b, 1, 1), KR_ERR_NO_LEADER);
}

static void a_clean_stop_hands_over_at_once(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    append_and_apply(fixture, 1, 2);
    start(fixture, &fixture->b, "node-b");
    run(fixture, 1000);
    uint64_t began_ms = fixture->fake.now_ms;
    stop(fixture, &fixture->a);
    while (fixture->b.role != KR_ENGINE_LEADER && fixture->fake.now_ms < began_ms + 5000)
        run(fixture, KR_STEP_MS);
    assert_in_range(fixture->fake.now_ms, began_ms, began_ms + 500);
    assert_string_equal(fixture->b.leader, "");
    assert_int_equal(read_all(fixture, &fixture->b), 2);
}

static void note_whether_the_key_is_given_back(void *ctx, enum engine_role role, uint64_t epoch)
{
    struct etcd_fixture *fixture = ctx;
    (void)epoch;
    fixture->a.role = role;
    for (size_t i = 0; i < fixture->fake.call_count; i++)
        if (strcmp(fixture->fake.calls[i].path, KR_ETCD_REVOKE) == 0)
            strcat(fixture->a.done, "too late;");
}

// Whoever comes next may write as soon as the key is gone: the one before must know by then.
static void the_owner_is_told_before_the_key_is_given_back(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    fixture->a.engine->events =
        (struct engine_events){.ctx = fixture, .role = note_whether_the_key_is_given_back};
    stop(fixture, &fixture->a);
    assert_int_equal(fixture->a.role, KR_ENGINE_STOPPED);
    assert_string_equal(fixture->a.done, "");
    assert_null(fake_find(&fixture->fake, "/clst_test/leader"));
}

static void validity_ends_before_etcd_can_expire_the_lease(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    run(fixture, 5000);
    fixture->fake.has_majority = false; // nothing is answered any more
    uint64_t until_ms = fixture->a.engine->verbs->valid_until_ms(fixture->a.engine);
    uint64_t expires_ms = 0;
    for (size_t i = 0; i < KR_FAKE_LEASES; i++)
        if (fixture->fake.leases[i].id != 0)
            expires_ms = fixture->fake.leases[i].expires_ms;
    assert_in_range(until_ms, fixture->fake.now_ms + 1000, expires_ms - 1);
    run(fixture, until_ms - KR_STEP_MS - fixture->fake.now_ms);
    assert_int_equal(fixture->a.role, KR_ENGINE_LEADER);
    run(fixture, 2 * KR_STEP_MS);
    assert_int_equal(fixture->a.role, KR_ENGINE_STANDBY);
    assert_int_equal(fixture->a.engine->verbs->valid_until_ms(fixture->a.engine), 0);
}

static void a_keep_alive_of_an_overtaken_member_counts_for_nothing(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    uint64_t epoch = fixture->a.epoch;
    fixture->fake.is_stale_primary = true;
    uint64_t until_ms = fixture->a.engine->verbs->valid_until_ms(fixture->a.engine);
    run(fixture, 1000);
    assert_int_equal(fixture->a.engine->verbs->valid_until_ms(fixture->a.engine), until_ms);
    while (fixture->a.role == KR_ENGINE_LEADER && fixture->fake.now_ms < until_ms + 100)
        run(fixture, KR_STEP_MS);
    assert_in_range(fixture->fake.now_ms, until_ms, until_ms + KR_STEP_MS);
    fixture->fake.is_stale_primary = false;
    run(fixture, 1000);
    assert_int_equal(fixture->a.role, KR_ENGINE_LEADER);
    assert_true(fixture->a.epoch > epoch);
}

static void lost_calls_of_an_election_leave_nobody_stuck(void **state)
{
    static const char *const paths[] = {KR_ETCD_RANGE, KR_ETCD_GRANT, KR_ETCD_TXN};
    struct etcd_fixture *fixture = *state;
    for (unsigned i = 0; i < 6; i++) {
        fixture->fake.fault_path = paths[i / 2];
        fixture->fake.fault = i % 2 == 0 ? KR_FAKE_LOSE_CALL : KR_FAKE_LOSE_ANSWER;
        fixture->fake.fault_count = 1;
        start(fixture, &fixture->a, "node-a");
        run(fixture, 2000);
        assert_int_equal(fixture->fake.fault_count, 0);
        assert_int_equal(fixture->a.role, KR_ENGINE_LEADER);
        stop(fixture, &fixture->a);
        assert_null(fake_find(&fixture->fake, "/clst_test/leader"));
    }
}

// --- fitness -------------------------------------------------------------------------------------

static void resign(struct peer *peer)
{
    struct fault why;
    fault_set(&why, KR_ERR_DISK_FULL, "its disk is full");
    peer->engine->verbs->resign(peer->engine, &why);
}

static void who_is_unfit_never_stands(void **state)
{
    struct etcd_fixture *fixture = *state;
    fixture->a.fitness = KR_ENGINE_UNFIT;
    start(fixture, &fixture->a, "node-a");
    run(fixture, 60000);
    assert_int_equal(fixture->a.role, KR_ENGINE_STANDBY);
    assert_null(fake_find(&fixture->fake, "/clst_test/leader"));
    fixture->a.fitness = KR_ENGINE_FIT;
    run(fixture, 500);
    assert_int_equal(fixture->a.role, KR_ENGINE_LEADER);
}

static void a_last_resort_leads_where_nobody_else_does(void **state)
{
    struct etcd_fixture *fixture = *state;
    fixture->a.fitness = KR_ENGINE_LAST_RESORT;
    start(fixture, &fixture->a, "node-a");
    run(fixture, KR_ETCD_LAST_RESORT_MS - 100);
    assert_int_equal(fixture->a.role, KR_ENGINE_STANDBY);
    run(fixture, 1000);
    assert_int_equal(fixture->a.role, KR_ENGINE_LEADER);
}

static void a_last_resort_leaves_the_place_to_who_is_fit(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    start(fixture, &fixture->b, "node-b");
    for (int i = 0; i < 5; i++) {
        fixture->b.fitness = KR_ENGINE_LAST_RESORT;
        run(fixture, 5000);
        stop(fixture, &fixture->a);
        start(fixture, &fixture->a, "node-a");
        run(fixture, 1000);
        assert_int_equal(fixture->a.role, KR_ENGINE_LEADER);
        assert_int_equal(fixture->b.role, KR_ENGINE_STANDBY);
    }
}

static void who_resigns_stands_back_and_another_leads(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    append_and_apply(fixture, 1, 1);
    start(fixture, &fixture->b, "node-b");
    run(fixture, 1000);
    resign(&fixture->b); // does not lead: nothing happens
    run(fixture, 1000);
    assert_int_equal(fixture->a.role, KR_ENGINE_LEADER);
    resign(&fixture->a);
    assert_string_equal(fixture->a.refusal, "its disk is full");
    assert_int_equal(fixture->a.engine->verbs->valid_until_ms(fixture->a.engine), 0);
    run(fixture, 900);
    assert_int_equal(fixture->a.role, KR_ENGINE_STANDBY);
    assert_int_equal(fixture->b.role, KR_ENGINE_LEADER);
}

// Each leadership that comes to nothing makes the next pause longer; an append ends that.
static void who_resigns_again_and_again_stands_back_for_longer(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    for (uint64_t pause_ms = 1000; pause_ms <= 8000; pause_ms *= 2) {
        resign(&fixture->a);
        run(fixture, pause_ms - 50);
        assert_int_equal(fixture->a.role, KR_ENGINE_STANDBY);
        run(fixture, 600);
        assert_int_equal(fixture->a.role, KR_ENGINE_LEADER);
    }
    append_and_apply(fixture, 1, 1);
    resign(&fixture->a);
    run(fixture, 1600);
    assert_int_equal(fixture->a.role, KR_ENGINE_LEADER);
}

// --- appending -----------------------------------------------------------------------------------

static void appends_are_committed_in_order_under_dense_keys(void **state)
{
    struct etcd_fixture *fixture = *state;
    struct engine_etcd_figures figures;
    lead(fixture);
    assert_int_equal(append(fixture, &fixture->a, 1, 2), KR_ERR_OK);
    assert_int_equal(append(fixture, &fixture->a, 3, 1), KR_ERR_OK);
    assert_int_equal(append(fixture, &fixture->a, 4, 3), KR_ERR_OK);
    assert_string_equal(fixture->a.done, "");
    run(fixture, 100);
    assert_string_equal(fixture->a.done, "ok;ok;ok;");
    assert_non_null(fake_find(&fixture->fake, log_1));
    assert_non_null(fake_find(&fixture->fake, "/clst_test/log/0000000000000003"));
    // What waited went together.
    assert_null(fake_find(&fixture->fake, "/clst_test/log/0000000000000004"));
    engine_etcd_figures(fixture->a.engine, &figures);
    assert_int_equal(figures.transactions, 2);
    assert_int_equal(figures.end_index, 6);
}

static void append_lost(struct etcd_fixture *fixture, enum fake_fault fault)
{
    lead(fixture);
    fixture->fake.fault_path = KR_ETCD_TXN;
    fixture->fake.fault = fault;
    fixture->fake.fault_count = 3;
    assert_int_equal(append(fixture, &fixture->a, 1, 2), KR_ERR_OK);
    run(fixture, 500);
    assert_int_equal(fixture->fake.fault_count, 0);
    assert_string_equal(fixture->a.done, "ok;");
    assert_int_equal(fake_find(&fixture->fake, log_1)->version, 1);
    apply(fixture, &fixture->a, 2);
    append_and_apply(fixture, 3, 1);
    assert_int_equal(fixture->a.role, KR_ENGINE_LEADER);
}

static void an_append_lost_on_its_way_is_sent_again(void **state)
{
    append_lost(*state, KR_FAKE_LOSE_CALL);
}

static void an_append_whose_answer_is_lost_is_found_by_its_nonce(void **state)
{
    append_lost(*state, KR_FAKE_LOSE_ANSWER);
}

static void an_append_that_never_left_is_sent_again(void **state)
{
    append_lost(*state, KR_FAKE_UNSENT);
}

static void without_a_majority_appends_are_answered_in_time(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    fixture->fake.has_majority = false;
    uint64_t began_ms = fixture->fake.now_ms;
    assert_int_equal(append(fixture, &fixture->a, 1, 1), KR_ERR_OK);
    assert_int_equal(append(fixture, &fixture->a, 2, 1), KR_ERR_OK);
    while (fixture->a.done[0] == '\0' && fixture->fake.now_ms < began_ms + 10000)
        run(fixture, KR_STEP_MS);
    assert_string_equal(fixture->a.done, "deadline exceeded;no leader;");
    assert_in_range(fixture->fake.now_ms, began_ms, began_ms + 5000);
    assert_int_equal(fixture->a.role, KR_ENGINE_STANDBY);
    fixture->fake.has_majority = true;
    run(fixture, 3000);
    assert_int_equal(fixture->a.role, KR_ENGINE_LEADER);
    assert_int_equal(read_all(fixture, &fixture->a), 0);
}

static void a_fate_that_stayed_unknown_is_known_after_the_next_election(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    fixture->fake.fault_path = KR_ETCD_TXN;
    fixture->fake.fault = KR_FAKE_LOSE_ANSWER;
    fixture->fake.fault_count = 1;
    assert_int_equal(append(fixture, &fixture->a, 1, 1), KR_ERR_OK);
    fake_turn(&fixture->fake); // it is written, and nobody knows
    fixture->fake.has_majority = false;
    run(fixture, 6000);
    assert_string_equal(fixture->a.done, "deadline exceeded;");
    uint64_t epoch = fixture->a.epoch;
    fixture->fake.has_majority = true;
    run(fixture, 3000);
    assert_int_equal(fixture->a.role, KR_ENGINE_LEADER);
    assert_true(fixture->a.epoch > epoch);
    assert_int_equal(read_all(fixture, &fixture->a), 1);
    append_and_apply(fixture, 2, 1);
}

static void a_deposed_leader_appends_nothing(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    append_and_apply(fixture, 1, 1);
    // Its key goes while it still believes in its validity.
    for (size_t i = 0; i < KR_FAKE_LEASES; i++)
        if (fixture->fake.leases[i].id != 0)
            fake_end_lease(&fixture->fake, i);
    fixture->a.done[0] = '\0';
    assert_int_equal(append(fixture, &fixture->a, 2, 1), KR_ERR_OK);
    assert_int_equal(append(fixture, &fixture->a, 3, 1), KR_ERR_OK);
    run(fixture, 20);
    assert_string_equal(fixture->a.done, "no leader;no leader;");
    assert_int_equal(fixture->a.role, KR_ENGINE_STANDBY);
    assert_null(fake_find(&fixture->fake, "/clst_test/log/0000000000000002"));
}

static void an_entry_too_large_for_a_value_lies_in_parts(void **state)
{
    struct etcd_fixture *fixture = *state;
    size_t size = (size_t)5 << 20;
    uint8_t *large = malloc(size);
    rand_bytes(large, size);
    lead(fixture);
    append_and_apply(fixture, 1, 1);
    fixture->a.done[0] = '\0';
    fixture->rows[2] = (struct store_row){2, bytes_of(large, size)};
    const struct engine_batch batch = {&fixture->rows[2], 1, fixture->a.epoch};
    fixture->fake.fault_path = KR_ETCD_TXN;
    fixture->fake.fault = KR_FAKE_LOSE_ANSWER;
    fixture->fake.fault_count = 2;
    struct engine *engine = fixture->a.engine;
    assert_int_equal(engine->verbs->append(engine, &batch, on_done, &fixture->a), KR_ERR_OK);
    run(fixture, 1000);
    assert_string_equal(fixture->a.done, "ok;");
    assert_in_range(fixture->fake.largest_body, 1 << 20, 3 << 19); // etcd takes 1.5 MiB
    apply(fixture, &fixture->a, 2);
    append_and_apply(fixture, 3, 1);
    stop(fixture, &fixture->a);
    start(fixture, &fixture->b, "node-b");
    run(fixture, 1000);
    assert_int_equal(fixture->b.role, KR_ENGINE_LEADER);
    assert_int_equal(read_all(fixture, &fixture->b), 3);
    assert_true(hash_equal(fixture->b.chain, fixture->a.chain));
    free(large);
}

static void a_close_settles_what_is_in_flight(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    assert_int_equal(append(fixture, &fixture->a, 1, 1), KR_ERR_OK);
    assert_int_equal(append(fixture, &fixture->a, 2, 1), KR_ERR_OK);
    stop(fixture, &fixture->a);
    assert_string_equal(fixture->a.done, "ok;no leader;");
    assert_int_equal(fixture->a.role, KR_ENGINE_STOPPED);
    assert_null(fake_find(&fixture->fake, "/clst_test/leader"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_node_alone_leads_under_the_keys_revision),
        TEST(a_second_node_stands_by_and_knows_who_leads),
        TEST(a_clean_stop_hands_over_at_once),
        TEST(the_owner_is_told_before_the_key_is_given_back),
        TEST(validity_ends_before_etcd_can_expire_the_lease),
        TEST(a_keep_alive_of_an_overtaken_member_counts_for_nothing),
        TEST(lost_calls_of_an_election_leave_nobody_stuck),
        TEST(who_is_unfit_never_stands),
        TEST(a_last_resort_leads_where_nobody_else_does),
        TEST(a_last_resort_leaves_the_place_to_who_is_fit),
        TEST(who_resigns_stands_back_and_another_leads),
        TEST(who_resigns_again_and_again_stands_back_for_longer),
        TEST(appends_are_committed_in_order_under_dense_keys),
        TEST(an_append_lost_on_its_way_is_sent_again),
        TEST(an_append_whose_answer_is_lost_is_found_by_its_nonce),
        TEST(an_append_that_never_left_is_sent_again),
        TEST(without_a_majority_appends_are_answered_in_time),
        TEST(a_fate_that_stayed_unknown_is_known_after_the_next_election),
        TEST(a_deposed_leader_appends_nothing),
        TEST(an_entry_too_large_for_a_value_lies_in_parts),
        TEST(a_close_settles_what_is_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
