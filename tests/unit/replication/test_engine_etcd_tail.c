// SPDX-License-Identifier: Apache-2.0
// The etcd engine over an etcd in memory: take-overs, trimming, and the quota.
#include "etcd_fixture.h"

// --- take-over -----------------------------------------------------------------------------------

static void fill_log(struct etcd_fixture *fixture, uint64_t last)
{
    lead(fixture);
    for (uint64_t first = 1; first <= last; first += 2)
        append_and_apply(fixture, first, 2);
    stop(fixture, &fixture->a);
}

static void a_new_leader_reads_the_tail_behind_its_own_index(void **state)
{
    struct etcd_fixture *fixture = *state;
    fill_log(fixture, 40);
    apply(fixture, &fixture->b, 7); // in the middle of a batch
    start(fixture, &fixture->b, "node-b");
    run(fixture, 2000);
    assert_int_equal(fixture->b.role, KR_ENGINE_LEADER);
    assert_int_equal(read_all(fixture, &fixture->b), 33);
    assert_true(hash_equal(fixture->b.chain, fixture->a.chain));
}

static void a_node_that_has_all_leads_without_reading(void **state)
{
    struct etcd_fixture *fixture = *state;
    fill_log(fixture, 6);
    apply(fixture, &fixture->b, 6);
    start(fixture, &fixture->b, "node-b");
    run(fixture, 1000);
    assert_int_equal(fixture->b.role, KR_ENGINE_LEADER);
    assert_int_equal(read_all(fixture, &fixture->b), 0);
}

static void assert_refused(struct etcd_fixture *fixture, const char *why)
{
    struct engine_etcd_figures figures;
    start(fixture, &fixture->b, "node-b");
    run(fixture, 900);
    assert_int_equal(fixture->b.role, KR_ENGINE_STANDBY);
    if (strstr(fixture->b.refusal, why) == NULL)
        fail_msg("refused with \"%s\"", fixture->b.refusal);
    assert_null(fake_find(&fixture->fake, "/clst_test/leader")); // given back
    engine_etcd_figures(fixture->b.engine, &figures);
    assert_int_equal(figures.refusals, 1);
}

static void a_hole_keeps_a_node_from_leading(void **state)
{
    struct etcd_fixture *fixture = *state;
    fill_log(fixture, 10);
    fake_free_kv(&fixture->fake, fake_place(&fixture->fake, "/clst_test/log/0000000000000005"));
    assert_refused(fixture, "index 5: the log has a hole");
}

static void a_log_that_begins_too_late_keeps_a_node_from_leading(void **state)
{
    struct etcd_fixture *fixture = *state;
    fill_log(fixture, 4);
    fake_free_kv(&fixture->fake, fake_place(&fixture->fake, log_1));
    assert_refused(fixture, "begins at index 3, but this node has applied only 0");
}

static void a_chain_that_does_not_fit_keeps_a_node_from_leading(void **state)
{
    struct etcd_fixture *fixture = *state;
    fill_log(fixture, 10);
    apply(fixture, &fixture->b, 5);
    fixture->b.chain.low ^= 1;
    assert_refused(fixture, "does not fit this node's state");
}

static void a_log_that_ends_too_early_keeps_a_node_from_leading(void **state)
{
    struct etcd_fixture *fixture = *state;
    fill_log(fixture, 10);
    apply(fixture, &fixture->b, 10);
    fake_free_kv(&fixture->fake, fake_place(&fixture->fake, "/clst_test/log/0000000000000009"));
    fake_free_kv(&fixture->fake, fake_place(&fixture->fake, "/clst_test/log/0000000000000007"));
    assert_refused(fixture, "ends at index 6, but this node has applied 10");
}

static void an_empty_etcd_keeps_a_node_with_a_state_from_leading(void **state)
{
    struct etcd_fixture *fixture = *state;
    fixture->b.index = 3;
    assert_refused(fixture, "holds no log");
}

static void put_start(struct etcd_fixture *fixture, const char *value)
{
    struct fake_kv *kv = &fixture->fake.kvs[fixture->fake.count++];
    *kv = (struct fake_kv){.key = "/clst_test/start", .create_revision = 1, .version = 1};
    buf_init(&kv->value, 64);
    buf_add_text(&kv->value, value);
}

static void a_new_log_begins_where_the_operator_says(void **state)
{
    struct etcd_fixture *fixture = *state;
    fixture->a.index = 3;
    fixture->a.chain.low = 77;
    put_start(fixture, "3");
    lead(fixture);
    append_and_apply(fixture, 4, 2);
    stop(fixture, &fixture->a);
    fixture->b.index = 3;
    fixture->b.chain.low = 77;
    start(fixture, &fixture->b, "node-b");
    run(fixture, 1000);
    assert_int_equal(fixture->b.role, KR_ENGINE_LEADER);
    assert_int_equal(read_all(fixture, &fixture->b), 2);
}

static void a_new_log_begins_at_no_other_index(void **state)
{
    struct etcd_fixture *fixture = *state;
    fixture->b.index = 3;
    put_start(fixture, "4");
    assert_refused(fixture, "etcdctl put /clst_test/start 3");
}

static void a_damaged_batch_keeps_a_node_from_leading(void **state)
{
    struct etcd_fixture *fixture = *state;
    fill_log(fixture, 4);
    struct fake_kv *kv = fake_find(&fixture->fake, "/clst_test/log/0000000000000003");
    kv->value.data[kv->value.size - 1] ^= 1;
    assert_refused(fixture, "index 3: the batch is damaged");
}

static void an_epoch_that_went_back_keeps_a_node_from_leading(void **state)
{
    struct etcd_fixture *fixture = *state;
    fixture->b.epoch = 1000;
    assert_refused(fixture, "another etcd");
}

static void lost_calls_of_a_take_over_are_repeated(void **state)
{
    struct etcd_fixture *fixture = *state;
    fill_log(fixture, 40);
    start(fixture, &fixture->b, "node-b");
    run(fixture, KR_STEP_MS * 4);
    fixture->fake.fault_path = KR_ETCD_RANGE;
    fixture->fake.fault = KR_FAKE_LOSE_ANSWER;
    fixture->fake.fault_count = 2;
    run(fixture, 3000);
    assert_int_equal(fixture->b.role, KR_ENGINE_LEADER);
    assert_int_equal(read_all(fixture, &fixture->b), 40);
}

// --- upkeep --------------------------------------------------------------------------------------

static void a_trim_deletes_and_compacts_but_the_last_batch(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    for (uint64_t first = 1; first < 12; first += 2)
        append_and_apply(fixture, first, 2);
    fixture->a.engine->verbs->trim(fixture->a.engine, 6);
    run(fixture, 11000);
    assert_null(fake_find(&fixture->fake, "/clst_test/log/0000000000000003"));
    assert_non_null(fake_find(&fixture->fake, "/clst_test/log/0000000000000005"));
    assert_int_equal(fixture->fake.compactions, 1);
    fixture->a.engine->verbs->trim(fixture->a.engine, 1000);
    run(fixture, 11000);
    assert_null(fake_find(&fixture->fake, "/clst_test/log/0000000000000009"));
    assert_non_null(fake_find(&fixture->fake, "/clst_test/log/000000000000000b"));
    append_and_apply(fixture, 13, 1);
    stop(fixture, &fixture->a);
    apply(fixture, &fixture->b, 12);
    start(fixture, &fixture->b, "node-b");
    run(fixture, 1000);
    assert_int_equal(fixture->b.role, KR_ENGINE_LEADER);
    assert_int_equal(read_all(fixture, &fixture->b), 1);
}

static void out_of_space_appends_fail_until_it_is_freed(void **state)
{
    struct etcd_fixture *fixture = *state;
    struct engine_etcd_figures figures;
    lead(fixture);
    append_and_apply(fixture, 1, 1);
    fixture->fake.is_full = true;
    fixture->fake.database_bytes = fixture->fake.used_bytes = 990000;
    fixture->a.done[0] = '\0';
    assert_int_equal(append(fixture, &fixture->a, 2, 1), KR_ERR_OK);
    assert_int_equal(append(fixture, &fixture->a, 3, 1), KR_ERR_OK);
    run(fixture, 100);
    assert_string_equal(fixture->a.done, "disk full;disk full;");
    run(fixture, 30000);
    engine_etcd_figures(fixture->a.engine, &figures);
    assert_true(figures.is_out_of_space);
    assert_int_equal(figures.database_bytes, 990000);
    assert_int_equal(fixture->a.role, KR_ENGINE_LEADER); // keep-alives need no space
    assert_int_equal(fixture->fake.defragmentations, 0); // there is nothing to win
    fixture->fake.used_bytes = 100000;                   // as after a compaction
    run(fixture, 30000);
    assert_int_equal(fixture->fake.defragmentations, 1);
    assert_false(fixture->fake.is_full);
    engine_etcd_figures(fixture->a.engine, &figures);
    assert_false(figures.is_out_of_space);
    append_and_apply(fixture, 2, 1);
}

// etcd has no room for the entry; then upkeep has milliseconds.
static void append_in_vain(struct etcd_fixture *fixture, uint64_t index, uint64_t milliseconds)
{
    fixture->a.done[0] = '\0';
    assert_int_equal(append(fixture, &fixture->a, index, 1), KR_ERR_OK);
    run(fixture, milliseconds);
    assert_string_equal(fixture->a.done, "disk full;");
}

static void a_trim_frees_space_at_once_though_a_defragmentation_was_in_vain(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    append_and_apply(fixture, 1, 1);
    append_and_apply(fixture, 2, 1);
    fixture->fake.is_full = true;
    fixture->fake.database_bytes = 990000;
    fixture->fake.used_bytes = 850000;
    append_in_vain(fixture, 3, 1000);
    assert_int_equal(fixture->fake.defragmentations, 1);
    assert_true(fixture->fake.is_full);
    fixture->fake.freed_by_compaction = 100000;
    fixture->fake.tells_old_use = true;
    fixture->a.engine->verbs->trim(fixture->a.engine, 2);
    run(fixture, 1000);
    assert_int_equal(fixture->fake.defragmentations, 2);
    assert_false(fixture->fake.is_full);
    append_and_apply(fixture, 3, 1);
}

// What fills it may be old revisions of somebody else's keys, which nobody has compacted.
static void out_of_space_with_nothing_to_trim_etcd_is_compacted_once(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    append_and_apply(fixture, 1, 1);
    append_and_apply(fixture, 2, 1);
    fixture->a.engine->verbs->trim(fixture->a.engine, 2);
    run(fixture, 11000);
    assert_int_equal(fixture->fake.compactions, 1);
    fixture->fake.is_full = true;
    fixture->fake.database_bytes = fixture->fake.used_bytes = 990000;
    append_in_vain(fixture, 3, 300000);
    assert_int_equal(fixture->fake.compactions, 2); // in vain: all of it is in use
    assert_int_equal(fixture->fake.defragmentations, 1);
    fixture->fake.is_full = false; // somebody has deleted, and disarmed the alarm
    run(fixture, 30000);
    append_and_apply(fixture, 3, 1);
    fixture->fake.is_full = true;
    fixture->fake.freed_by_compaction = 100000;
    append_in_vain(fixture, 4, 1000);
    assert_int_equal(fixture->fake.compactions, 3);
    assert_int_equal(fixture->fake.defragmentations, 2);
    assert_false(fixture->fake.is_full);
    append_and_apply(fixture, 4, 1);
}

// etcd looks at its quota after the effect, too.
static void what_fills_etcd_up_is_committed_though_it_is_answered_with_no_space(void **state)
{
    struct etcd_fixture *fixture = *state;
    struct engine_etcd_figures figures;
    lead(fixture);
    append_and_apply(fixture, 1, 1);
    fixture->fake.database_bytes = fixture->fake.used_bytes = 990000;
    fixture->fake.fills_up = true;
    append_and_apply(fixture, 2, 1);
    fixture->fake.fills_up = false;
    engine_etcd_figures(fixture->a.engine, &figures);
    assert_true(figures.is_out_of_space);
    assert_int_equal(fixture->a.role, KR_ENGINE_LEADER);
    append_in_vain(fixture, 3, 100);
}

// No lease is granted then, and only what nobody needs can be freed.
static void out_of_space_without_a_leader_the_standbys_free_what_they_may(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    append_and_apply(fixture, 1, 1);
    append_and_apply(fixture, 2, 1);
    fixture->fake.is_full = true;
    fixture->fake.database_bytes = fixture->fake.used_bytes = 990000;
    fixture->fake.freed_by_compaction = 100000;
    fixture->fake.has_majority = false;
    fixture->a.engine->verbs->trim(fixture->a.engine, 2);
    run(fixture, 6000);
    assert_int_equal(fixture->a.role, KR_ENGINE_STANDBY);
    fixture->fake.has_majority = true;
    run(fixture, 6000);
    assert_int_equal(fixture->a.role, KR_ENGINE_LEADER);
    assert_int_equal(fixture->fake.defragmentations, 1);
    assert_null(fake_find(&fixture->fake, log_1));
    append_and_apply(fixture, 3, 1);
}

static void members_are_defragmented_at_most_once_an_hour(void **state)
{
    struct etcd_fixture *fixture = *state;
    lead(fixture);
    for (unsigned i = 0; i < 4; i++) {
        fixture->fake.database_bytes = 500000;
        fixture->fake.used_bytes = 100000;
        run(fixture, 60000);
    }
    assert_int_equal(fixture->fake.defragmentations, 1);
}

// A member that is defragmented stands still, and whoever writes waits for it.
static void a_defragmentation_waits_for_a_quiet_time_while_there_is_room(void **state)
{
    struct etcd_fixture *fixture = *state;
    uint64_t index = 1;
    lead(fixture);
    fixture->fake.database_bytes = 500000;
    fixture->fake.used_bytes = 100000;
    for (unsigned i = 0; i < 250; i++) // ten a second, through two rounds
        append_and_apply(fixture, index++, 1);
    assert_int_equal(fixture->fake.defragmentations, 0);
    run(fixture, 25000);
    assert_int_equal(fixture->fake.defragmentations, 1);
}

static void a_defragmentation_that_cannot_wait_comes_while_much_is_written(void **state)
{
    struct etcd_fixture *fixture = *state;
    uint64_t index = 1;
    lead(fixture);
    fixture->fake.database_bytes = 650000;
    fixture->fake.used_bytes = 100000;
    for (unsigned i = 0; i < 250; i++)
        append_and_apply(fixture, index++, 1);
    assert_int_equal(fixture->fake.defragmentations, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_leader_reads_the_tail_behind_its_own_index),
        TEST(a_node_that_has_all_leads_without_reading),
        TEST(a_hole_keeps_a_node_from_leading),
        TEST(a_log_that_begins_too_late_keeps_a_node_from_leading),
        TEST(a_chain_that_does_not_fit_keeps_a_node_from_leading),
        TEST(a_log_that_ends_too_early_keeps_a_node_from_leading),
        TEST(an_empty_etcd_keeps_a_node_with_a_state_from_leading),
        TEST(a_new_log_begins_where_the_operator_says),
        TEST(a_new_log_begins_at_no_other_index),
        TEST(a_damaged_batch_keeps_a_node_from_leading),
        TEST(an_epoch_that_went_back_keeps_a_node_from_leading),
        TEST(lost_calls_of_a_take_over_are_repeated),
        TEST(a_trim_deletes_and_compacts_but_the_last_batch),
        TEST(out_of_space_appends_fail_until_it_is_freed),
        TEST(a_trim_frees_space_at_once_though_a_defragmentation_was_in_vain),
        TEST(out_of_space_with_nothing_to_trim_etcd_is_compacted_once),
        TEST(what_fills_etcd_up_is_committed_though_it_is_answered_with_no_space),
        TEST(out_of_space_without_a_leader_the_standbys_free_what_they_may),
        TEST(members_are_defragmented_at_most_once_an_hour),
        TEST(a_defragmentation_waits_for_a_quiet_time_while_there_is_room),
        TEST(a_defragmentation_that_cannot_wait_comes_while_much_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
