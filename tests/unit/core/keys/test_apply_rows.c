// SPDX-License-Identifier: Apache-2.0
// Tests of apply on what stands beside the keys: managers, audit, stored answers, and the purge.
#include "core/keys/apply.h"

#include "apply_room.h"

// --- what stands beside --------------------------------------------------------------------------
static void managers_are_put_and_deleted(void **state)
{
    (void)state;
    struct manager manager = {.id = "m1", .consumer_id = "c1", .email = "a@b.c", .created_ms = 5};
    add(KR_OP_MANAGER_PUT)->as.manager_put = manager;
    assert_int_equal(commit(), KR_APPLY_OK);
    manager.sub = "auth0|1";
    manager.created_ms = 6;
    add(KR_OP_MANAGER_PUT)->as.manager_put = manager;
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(room.fake.manager_count, 1);
    assert_int_equal(room.fake.managers[0].created_ms, 5);
    assert_int_equal(room.fake.managers[0].revision, last_index());
    assert_string_equal(room.fake.managers[0].sub, "auth0|1");
    add(KR_OP_MANAGER_DELETE)->as.manager_delete = (struct command_manager_delete){"c2", "m1"};
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add(KR_OP_MANAGER_DELETE)->as.manager_delete = (struct command_manager_delete){"c1", "m1"};
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(room.fake.manager_count, 0);
}

static void a_sealed_value_needs_its_key(void **state)
{
    (void)state;
    struct sealed sealed = {.key_id = "k9", .vault_version = 1, .box = bytes_text("box")};
    add(KR_OP_VAULT_PUT)->as.vault_put = sealed;
    assert_int_equal(commit(), KR_APPLY_MISSING);
    sealed.key_id = "k1";
    add(KR_OP_VAULT_PUT)->as.vault_put = sealed;
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(room.fake.sealed_count, 1);
}

static void versions_of_the_vault_rise(void **state)
{
    (void)state;
    struct sealed_version first = {.version = 1, .check = "one"},
                          other = {.version = 1, .check = "two"},
                          second = {.version = 2, .check = "two"};
    const struct {
        struct command_vault_version put;
        enum apply_code code;
        size_t count;
    } steps[] = {
        {{first, true}, KR_APPLY_REFUSED, 0},  {{first, false}, KR_APPLY_OK, 1},
        {{first, false}, KR_APPLY_OK, 1},      {{other, false}, KR_APPLY_REFUSED, 1},
        {{second, true}, KR_APPLY_REFUSED, 1}, {{second, false}, KR_APPLY_OK, 2},
        {{first, false}, KR_APPLY_REFUSED, 2}, {{second, true}, KR_APPLY_OK, 1},
        {{first, false}, KR_APPLY_REFUSED, 1}, {{second, true}, KR_APPLY_OK, 1},
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        add(KR_OP_VAULT_VERSION)->as.vault_version = steps[i].put;
        assert_int_equal(commit(), steps[i].code);
        assert_int_equal(room.fake.sealed_versions.count, steps[i].count);
    }
    assert_int_equal(room.fake.sealed_versions.items[0].version, 2);
}

static void nothing_is_sealed_under_an_older_version_any_more(void **state)
{
    (void)state;
    struct sealed sealed = {.key_id = "k1", .vault_version = 1, .box = bytes_text("box")};
    add(KR_OP_VAULT_VERSION)->as.vault_version.current = (struct sealed_version){.version = 2};
    add(KR_OP_VAULT_PUT)->as.vault_put = sealed;
    assert_int_equal(commit(), KR_APPLY_STALE);
    add(KR_OP_VAULT_VERSION)->as.vault_version.current = (struct sealed_version){.version = 2};
    sealed.vault_version = 2;
    add(KR_OP_VAULT_PUT)->as.vault_put = sealed;
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(room.fake.sealed_count, 1);
}

static void the_vault_knows_so_many_versions_at_most(void **state)
{
    (void)state;
    for (uint32_t version = 1; version <= KR_SEALED_VERSIONS_MAX + 1; version++) {
        add(KR_OP_VAULT_VERSION)->as.vault_version.current =
            (struct sealed_version){.version = version};
        assert_int_equal(commit(),
                         version <= KR_SEALED_VERSIONS_MAX ? KR_APPLY_OK : KR_APPLY_REFUSED);
    }
}

static void the_cluster_is_named_once_for_all(void **state)
{
    (void)state;
    add(KR_OP_CLUSTER_INIT)->as.cluster_init =
        (struct command_cluster_init){"cluster", "acct", "default"};
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_string_equal(room.fake.cluster.account_name, "default");
}

static void the_audit_row_gets_the_entrys_time_and_index(void **state)
{
    (void)state;
    struct audit audit = {.action = "key.create", .is_success = true, .at_ms = 1, .index = 1};
    room.entry.command.audit = &audit;
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(room.fake.audit_count, 1);
    assert_string_equal(room.fake.audits[0].action, "key.create");
    assert_int_equal(room.fake.audits[0].at_ms, last_ms());
    assert_int_equal(room.fake.audits[0].index, last_index());
}

static void a_failed_entry_says_which_operation_and_leaves_no_row(void **state)
{
    (void)state;
    struct audit audit = {.action = "key.create"};
    struct idempotency answer = {.expires_ms = INT64_MAX, .answer = bytes_text("x")};
    room.entry.command.audit = &audit;
    room.entry.command.idempotency = &answer;
    add_key_revoke(1, 0, 0);
    add_key(key_of("c9", "k9", 9), 0);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    assert_int_equal(room.result.op, 1);
    assert_int_equal(room.result.keys, 0);
    assert_false(key(1).is_revoked);
    assert_int_equal(room.fake.audit_count + room.fake.answer_count + room.fake.due_count, 0);
}

static enum apply_code commit_with_answer(int64_t expires_ms)
{
    struct idempotency answer = {
        .scope = {7}, .expires_ms = expires_ms, .answer = bytes_text("sealed")};
    room.entry.command.idempotency = &answer;
    return commit();
}

static void an_unexpired_answer_makes_the_entry_a_duplicate(void **state)
{
    (void)state;
    assert_int_equal(commit_with_answer(START_MS + DAY_MS), KR_APPLY_OK);
    assert_int_equal(room.fake.answer_count, 1);
    assert_int_equal(room.fake.answers[0].index, last_index());
    unsigned writes = room.fake.writes;
    add_key_revoke(1, 0, 0);
    assert_int_equal(commit_with_answer(START_MS + DAY_MS), KR_APPLY_DUPLICATE);
    assert_int_equal(room.fake.writes, writes);
    assert_false(key(1).is_revoked);
}

static void an_expired_answer_makes_way_and_takes_its_due_row_with_it(void **state)
{
    (void)state;
    int64_t first_ms = room.entry.at_unix_us / 1000 + 1000; // the next entry's time
    assert_int_equal(commit_with_answer(first_ms), KR_APPLY_OK);
    assert_int_equal(commit_with_answer(START_MS + DAY_MS), KR_APPLY_OK);
    assert_int_equal(room.fake.answer_count, 1);
    assert_int_equal(room.fake.due_count, 1);
    assert_int_equal(purge(START_MS + DAY_MS - 1, 10), KR_APPLY_OK);
    assert_int_equal(room.fake.answer_count, 1);
    assert_int_equal(purge(START_MS + DAY_MS, 10), KR_APPLY_OK);
    assert_int_equal(room.result.purged, 1);
    assert_int_equal(room.fake.answer_count + room.fake.due_count, 0);
}

// --- purge ---------------------------------------------------------------------------------------
// The fake keeps its audit rows in the order of their times; one that is gone has no action.
static bool first_audit(void *ctx, int64_t until_ms, int64_t *at_ms, uint64_t *index)
{
    const struct fake *fake = ctx;
    size_t i = 0;
    while (i < fake->audit_count && fake->audits[i].action == NULL)
        i++;
    if (i == fake->audit_count || fake->audits[i].at_ms >= until_ms)
        return false;
    *at_ms = fake->audits[i].at_ms;
    *index = fake->audits[i].index;
    return true;
}

static void delete_audit(void *ctx, int64_t at_ms, uint64_t index)
{
    struct fake *fake = ctx;
    for (size_t i = 0; i < fake->audit_count; i++) {
        if (fake->audits[i].at_ms == at_ms && fake->audits[i].index == index)
            fake->audits[i].action = NULL;
    }
}

// How many rows it removed.
static uint64_t purge_audits(uint32_t limit, int64_t until_ms)
{
    struct apply_state verbs = fake_verbs(&room.fake);
    struct command_op op = {KR_OP_PURGE, .as.purge = {0, limit, until_ms}};
    const struct entry entry = {.index = 1, .command = {.ops = &op, .op_count = 1}};
    verbs.first_audit = first_audit;
    verbs.delete_audit = delete_audit;
    return apply_entry(&verbs, &entry, &room.texts).purged;
}

static void a_purge_takes_the_oldest_audit_rows_as_far_as_it_says(void **state)
{
    (void)state;
    int64_t at_ms[4];
    for (size_t i = 0; i < 4; i++) {
        struct audit audit = {.action = "key.create"};
        room.entry.command.audit = &audit;
        assert_int_equal(commit(), KR_APPLY_OK);
        at_ms[i] = last_ms();
    }
    assert_int_equal(purge(INT64_MAX, 10), KR_APPLY_OK);
    assert_int_equal(room.result.purged, 0); // it does not say
    assert_int_equal(purge_audits(10, at_ms[0]), 0);
    assert_int_equal(purge_audits(2, at_ms[3]), 2);
    assert_null(room.fake.audits[0].action);
    assert_null(room.fake.audits[1].action);
    assert_int_equal(purge_audits(2, at_ms[3]), 1);
    assert_non_null(room.fake.audits[3].action);
}

static void a_purge_removes_a_revoked_key_when_it_is_due(void **state)
{
    (void)state;
    add(KR_OP_VAULT_PUT)->as.vault_put = (struct sealed){.key_id = "k1", .box = bytes_text("box")};
    add_key_revoke(1, 0, START_MS + DAY_MS);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(purge(START_MS + DAY_MS - 1, 10), KR_APPLY_OK);
    assert_int_equal(room.result.purged, 0);
    assert_true(has_key(1));
    assert_int_equal(purge(START_MS + DAY_MS, 10), KR_APPLY_OK);
    assert_int_equal(room.result.purged, 1);
    assert_false(has_key(1));
    assert_int_equal(room.fake.sealed_count, 0);
    assert_int_equal(count('k', "c1"), 1);
    assert_int_equal(count('b', "b1"), 2);
    assert_int_equal(purge(START_MS + 60 * DAY_MS, 10), KR_APPLY_OK);
    assert_int_equal(room.fake.receipt_count + room.fake.due_count, 0);
}

static void a_stale_due_row_does_not_remove_a_key_that_is_good(void **state)
{
    (void)state;
    add_key_revoke(1, 0, START_MS + DAY_MS);
    add_key_revoke(1, 0, START_MS + 2 * DAY_MS);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(purge(START_MS + DAY_MS, 10), KR_APPLY_OK);
    add_key(key_of("c1", "k1", 1), 0); // the same value, imported anew
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(purge(START_MS + 2 * DAY_MS, 10), KR_APPLY_OK);
    assert_int_equal(room.result.purged, 1); // the row alone
    assert_true(has_key(1));
}

static void a_consumer_goes_with_its_keys_and_managers(void **state)
{
    (void)state;
    add(KR_OP_MANAGER_PUT)->as.manager_put = (struct manager){.id = "m1", .consumer_id = "c1"};
    add_target(KR_OP_CONSUMER_DELETE, "c1", 0);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(purge(START_MS + 30 * DAY_MS, 100), KR_APPLY_OK);
    assert_int_equal(room.result.purged, 4);
    assert_int_equal(room.fake.consumer_count, 1);
    assert_int_equal(room.fake.key_count, 1);
    assert_int_equal(room.fake.manager_count, 0);
    assert_int_equal(count('c', "b1"), 1);
    assert_int_equal(count('b', "b1"), 1);
    assert_int_equal(count('k', "c1"), 0);
}

static void a_purge_stops_at_its_limit_and_the_next_goes_on(void **state)
{
    (void)state;
    add_target(KR_OP_CONSUMER_DELETE, "c2", 0);
    assert_int_equal(commit(), KR_APPLY_OK);
    add_target(KR_OP_BUCKET_DELETE, "b1", 0);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(purge(START_MS + 30 * DAY_MS, 0), KR_APPLY_OK);
    assert_int_equal(room.result.purged, 0);
    unsigned entries = 0;
    for (uint64_t removed = 1; removed > 0; entries++) {
        assert_int_equal(purge(START_MS + 30 * DAY_MS, 1), KR_APPLY_OK);
        assert_true(room.result.purged <= 1);
        removed = room.result.purged;
    }
    assert_int_equal(entries, 6 + 1); // 3 keys, 2 consumers, the bucket; one in vain
    assert_int_equal(room.fake.bucket_count + room.fake.consumer_count + room.fake.key_count, 0);
    assert_int_equal(count('c', "b1") + count('b', "b1") + count('k', "c1"), 0);
    assert_int_equal(room.fake.due_count, 2); // the receipts'
}

static void managers_do_not_decide_when_their_consumer_goes(void **state)
{
    (void)state;
    static const char *const ids[] = {"m1", "m2", "m3", "m4", "m5"};
    for (size_t i = 0; i < 5; i++)
        add(KR_OP_MANAGER_PUT)->as.manager_put =
            (struct manager){.id = ids[i], .consumer_id = "c2"};
    add_target(KR_OP_CONSUMER_DELETE, "c2", 0);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(purge(START_MS + 30 * DAY_MS, 2), KR_APPLY_OK); // the key and the consumer
    assert_int_equal(room.fake.consumer_count, 1);
    assert_int_equal(room.fake.manager_count, 3);
    assert_int_equal(room.result.purged, 4);
    assert_int_equal(purge(START_MS + 30 * DAY_MS, 2), KR_APPLY_OK);
    assert_int_equal(purge(START_MS + 30 * DAY_MS, 2), KR_APPLY_OK);
    assert_int_equal(room.fake.manager_count, 0);
    assert_int_equal(room.fake.due_count, 1); // the receipt's
}

static void answers_do_not_decide_which_keys_go(void **state)
{
    (void)state;
    for (int64_t i = 0; i < 3; i++) {
        struct idempotency answer = {.scope = {(uint8_t)i},
                                     .expires_ms = START_MS + DAY_MS - 1,
                                     .answer = bytes_text("answer")};
        room.entry.command.idempotency = &answer;
        assert_int_equal(commit(), KR_APPLY_OK);
    }
    add_key_revoke(1, 0, START_MS + DAY_MS);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(purge(START_MS + DAY_MS, 1), KR_APPLY_OK);
    assert_false(has_key(1)); // though three answers were due before it
    assert_int_equal(room.fake.answer_count, 2);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(managers_are_put_and_deleted),
        CASE(a_sealed_value_needs_its_key),
        CASE(versions_of_the_vault_rise),
        CASE(nothing_is_sealed_under_an_older_version_any_more),
        CASE(the_vault_knows_so_many_versions_at_most),
        CASE(the_cluster_is_named_once_for_all),
        CASE(the_audit_row_gets_the_entrys_time_and_index),
        CASE(a_failed_entry_says_which_operation_and_leaves_no_row),
        CASE(an_unexpired_answer_makes_the_entry_a_duplicate),
        CASE(an_expired_answer_makes_way_and_takes_its_due_row_with_it),
        CASE(a_purge_takes_the_oldest_audit_rows_as_far_as_it_says),
        CASE(a_purge_removes_a_revoked_key_when_it_is_due),
        CASE(a_stale_due_row_does_not_remove_a_key_that_is_good),
        CASE(a_consumer_goes_with_its_keys_and_managers),
        CASE(a_purge_stops_at_its_limit_and_the_next_goes_on),
        CASE(managers_do_not_decide_when_their_consumer_goes),
        CASE(answers_do_not_decide_which_keys_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
