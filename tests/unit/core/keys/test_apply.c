// SPDX-License-Identifier: Apache-2.0
// Tests of apply on buckets, consumers and keys: results, records, revocations, counters.
#include "core/keys/apply.h"

#include "apply_room.h"

// --- puts ----------------------------------------------------------------------------------------
static void a_created_record_has_version_1_and_the_entrys_revision(void **state)
{
    (void)state;
    assert_int_equal(bucket("b1").version, 1);
    assert_int_equal(bucket("b1").revision, 1);
    assert_int_equal(consumer("c1").version, 1);
    assert_int_equal(consumer("c1").revision, 1);
    assert_int_equal(key(1).version, 1);
    assert_int_equal(key(1).revision, 1);
    assert_int_equal(count('c', "b1"), 2);
    assert_int_equal(count('b', "b1"), 3);
    assert_int_equal(count('k', "c1"), 2);
    assert_int_equal(count('k', "c2"), 1);
}

static void an_id_name_or_digest_in_use_is_refused(void **state)
{
    (void)state;
    add_bucket("b1", "another", 0);
    assert_int_equal(commit(), KR_APPLY_EXISTS);
    add_bucket("b2", "bucket-1", 0);
    assert_int_equal(commit(), KR_APPLY_EXISTS);
    add_consumer("b1", "c1", "three", 0);
    assert_int_equal(commit(), KR_APPLY_EXISTS);
    add_consumer("b1", "c3", "one", 0);
    assert_int_equal(commit(), KR_APPLY_EXISTS);
    add_key(key_of("c2", "k4", 1), 0);
    assert_int_equal(commit(), KR_APPLY_EXISTS);
    add_key(key_of("c2", "k1", 4), 0);
    assert_int_equal(commit(), KR_APPLY_EXISTS);
    struct key alike = key_of("c2", "k4", 1);
    alike.digest[KR_DIGEST_UNIQUE_BYTES] = 1; // the hot table could not tell it from key 1
    add_key(alike, 0);
    assert_int_equal(commit(), KR_APPLY_EXISTS);
    alike.digest[KR_DIGEST_UNIQUE_BYTES - 1] = 1;
    add_key(alike, 0);
    assert_int_equal(commit(), KR_APPLY_OK);
    add_bucket("b2", "bucket-2", 0);
    add_consumer("b2", "c3", "one", 0); // the name is another bucket's
    assert_int_equal(commit(), KR_APPLY_OK);
}

static void a_consumer_made_if_absent_leaves_the_one_of_its_name_alone(void **state)
{
    (void)state;
    add_consumer("b1", "c3", "one", 0);
    room.entry.command.ops[0].as.consumer_put.is_if_absent = true;
    add_key(key_of("c3", "k4", 4), 0);
    room.entry.command.ops[1].as.key_put.consumer_name = "one";
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(consumer("c1").version, 1);
    assert_string_equal(key(4).consumer_id, "c1");
    assert_int_equal(count('c', "b1"), 2);
    assert_int_equal(count('k', "c1"), 3);

    add_consumer("b1", "c4", "four", 0);
    room.entry.command.ops[0].as.consumer_put.is_if_absent = true;
    add_key(key_of("c4", "k5", 5), 0);
    room.entry.command.ops[1].as.key_put.consumer_name = "four";
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_string_equal(key(5).consumer_id, "c4");
    assert_int_equal(count('c', "b1"), 3);

    add_key(key_of("c1", "k6", 6), 0);
    room.entry.command.ops[0].as.key_put.consumer_name = "nobody";
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_consumer("b1", "c1", "five", 0); // an id in use is in use
    room.entry.command.ops[0].as.consumer_put.is_if_absent = true;
    assert_int_equal(commit(), KR_APPLY_EXISTS);
}

static void a_put_into_what_is_not_there_is_missing(void **state)
{
    (void)state;
    add_bucket("b9", "bucket-9", 1);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_consumer("b9", "c9", "nine", 0);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_consumer("b1", "c9", "nine", 1);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_key(key_of("c9", "k9", 9), 0);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_key(key_of("c1", "k9", 9), 1);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_bucket("b2", "bucket-2", 0);
    add_consumer("b2", "c3", "three", 0);
    add_key(key_of("c3", "k9", 9), 0); // says b1
    assert_int_equal(commit(), KR_APPLY_MISSING);
    assert_int_equal(room.result.op, 2);
}

static void an_update_needs_the_stored_version_and_raises_it(void **state)
{
    (void)state;
    add_bucket("b1", "bucket-1", 2);
    assert_int_equal(commit(), KR_APPLY_STALE);
    add_consumer("b1", "c1", "one", 2);
    assert_int_equal(commit(), KR_APPLY_STALE);
    add_key(key_of("c1", "k1", 1), 2);
    assert_int_equal(commit(), KR_APPLY_STALE);
    add_bucket("b1", "bucket-1", 1);
    add_consumer("b1", "c1", "one", 1);
    add_key(key_of("c1", "k1", 1), 1);
    add_key(key_of("c1", "k1", 1), 2);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(bucket("b1").version, 2);
    assert_int_equal(consumer("c1").version, 2);
    assert_int_equal(key(1).version, 3);
    assert_int_equal(key(1).revision, last_index());
    assert_int_equal(count('c', "b1"), 2);
    assert_int_equal(count('k', "c1"), 2);
}

static void an_update_keeps_what_was_fixed_at_creation(void **state)
{
    (void)state;
    static const char *const scopes[] = {"read"};
    struct key changed = key_of("c1", "k1", 1);
    changed.created_ms = 99;
    changed.is_custom = true;
    changed.is_revoked = true;
    changed.masked = "other";
    changed.scopes = (struct texts){scopes, 1};
    changed.description = "new";
    changed.expires_ms = 77;
    add_key(changed, 1);
    add(KR_OP_BUCKET_PUT)->as.bucket_put =
        (struct command_bucket_put){{.id = "b1",
                                     .name = "bucket-1",
                                     .is_retrievable = true,
                                     .is_system = true,
                                     .is_deleted = true,
                                     .created_ms = 99,
                                     .updated_ms = 55,
                                     .revocation.last.before = 99},
                                    1};
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(key(1).created_ms, 31);
    assert_false(key(1).is_custom);
    assert_false(key(1).is_revoked);
    assert_null(key(1).masked);
    assert_int_equal(key(1).scopes.count, 0);
    assert_string_equal(key(1).description, "new");
    assert_int_equal(key(1).expires_ms, 77);
    struct bucket stored = bucket("b1");
    assert_false(stored.is_retrievable || stored.is_system || stored.is_deleted);
    assert_int_equal(stored.created_ms, 11);
    assert_int_equal(stored.updated_ms, 55);
    assert_int_equal(stored.revocation.last.before, 0);
}

static void names_digests_and_owners_do_not_change(void **state)
{
    (void)state;
    add_bucket("b1", "renamed", 1);
    assert_int_equal(commit(), KR_APPLY_REFUSED);
    add_consumer("b1", "c1", "renamed", 1);
    assert_int_equal(commit(), KR_APPLY_REFUSED);
    add_bucket("b2", "bucket-2", 0);
    add_consumer("b2", "c1", "one", 1);
    assert_int_equal(commit(), KR_APPLY_REFUSED);
    assert_int_equal(room.result.op, 1);
    add_key(key_of("c1", "k1", 9), 1); // another digest for k1
    assert_int_equal(commit(), KR_APPLY_REFUSED);
    add_key(key_of("c1", "k9", 1), 1); // another id for digest 1
    assert_int_equal(commit(), KR_APPLY_REFUSED);
    add_key(key_of("c2", "k1", 1), 1);
    assert_int_equal(commit(), KR_APPLY_REFUSED);
}

// --- revocation ----------------------------------------------------------------------------------
static void a_revoked_key_says_when_and_why_and_has_a_receipt(void **state)
{
    (void)state;
    add_key_revoke(1, 1, 0);
    room.entry.command.requested_ms = 1234;
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(room.result.keys, 1);
    assert_true(key(1).is_revoked);
    assert_int_equal(key(1).revoked_ms, last_ms());
    assert_int_equal(key(1).updated_ms, last_ms());
    assert_int_equal(key(1).revoke_reason, KR_REASON_SUPERSEDED);
    assert_int_equal(key(1).version, 2);
    assert_int_equal(key(1).revision, last_index());
    assert_int_equal(room.fake.receipt_count, 1);
    struct receipt receipt = room.fake.receipts[0];
    assert_int_equal(receipt.index, last_index());
    assert_string_equal(receipt.target, "k1");
    assert_int_equal(receipt.requested_ms, 1234);
    assert_int_equal(receipt.committed_ms, last_ms());
    assert_int_equal(receipt.keys, 1);
    assert_int_equal(room.fake.due_count, 1);
    assert_int_equal(room.fake.due[0].kind, KR_DUE_RECEIPT);
    assert_int_equal(room.fake.due[0].at_ms, last_ms() + 30 * DAY_MS);
}

static void revoking_again_changes_nothing_but_may_add_a_purge(void **state)
{
    (void)state;
    add_key_revoke(1, 0, 0);
    assert_int_equal(commit(), KR_APPLY_OK);
    struct key before = key(1);
    add_key_revoke(1, 0, START_MS + DAY_MS);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(room.result.keys, 0);
    assert_int_equal(key(1).revision, before.revision);
    assert_int_equal(key(1).revoked_ms, before.revoked_ms);
    assert_int_equal(room.fake.receipt_count, 2);
    struct apply_due_row row = {START_MS + DAY_MS, KR_DUE_KEY, bytes_of(before.digest, 32)};
    assert_true(fake_due(&room.fake, &row) < room.fake.due_count);
    add_key_revoke(1, 1, 0);
    assert_int_equal(commit(), KR_APPLY_STALE);
    add_key_revoke(9, 0, 0);
    assert_int_equal(commit(), KR_APPLY_MISSING);
}

static void an_entry_has_one_receipt_for_all_its_keys(void **state)
{
    (void)state;
    add_key_revoke(1, 0, 0);
    add_key_revoke(2, 0, 0);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(room.result.keys, 2);
    assert_int_equal(room.fake.receipt_count, 1);
    assert_int_equal(room.fake.receipts[0].keys, 2);
    assert_string_equal(room.fake.receipts[0].target, "k1");
}

static void one_record_revokes_every_key_of_a_consumer_or_bucket(void **state)
{
    (void)state;
    add_target(KR_OP_CONSUMER_REVOKE, "c1", 1);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(room.result.keys, 2);
    assert_int_equal(consumer("c1").revocation.last.before, last_index());
    assert_int_equal(consumer("c1").revocation.last.at_ms, last_ms());
    assert_int_equal(consumer("c1").revocation.last.reason, KR_REASON_KEY_COMPROMISE);
    assert_int_equal(consumer("c1").version, 2);
    assert_false(key(1).is_revoked); // not touched: the consumer says it
    add_target(KR_OP_BUCKET_REVOKE, "b1", 0);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(room.result.keys, 3);
    assert_int_equal(bucket("b1").revocation.last.before, last_index());
    assert_string_equal(room.fake.receipts[1].target, "b1");
    add_target(KR_OP_BUCKET_REVOKE, "b1", 1);
    assert_int_equal(commit(), KR_APPLY_STALE);
    add_target(KR_OP_CONSUMER_REVOKE, "c1", 1);
    assert_int_equal(commit(), KR_APPLY_STALE);
    add_target(KR_OP_CONSUMER_REVOKE, "c9", 0);
    assert_int_equal(commit(), KR_APPLY_MISSING);
}

static void a_key_made_after_a_bulk_revocation_is_not_revoked_by_it(void **state)
{
    (void)state;
    add_target(KR_OP_CONSUMER_REVOKE, "c1", 0);
    assert_int_equal(commit(), KR_APPLY_OK);
    add_key(key_of("c1", "k4", 4), 0);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_true(key(4).revision > consumer("c1").revocation.last.before);
}

static void an_update_writes_the_earliest_bulk_revocation_into_the_key(void **state)
{
    (void)state;
    add_target(KR_OP_CONSUMER_REVOKE, "c1", 0);
    assert_int_equal(commit(), KR_APPLY_OK);
    int64_t first_ms = last_ms();
    add(KR_OP_BUCKET_REVOKE)->as.target =
        (struct command_target){.id = "b1", .reason = KR_REASON_AFFILIATION_CHANGED};
    assert_int_equal(commit(), KR_APPLY_OK);
    int64_t second_ms = last_ms();
    add_key(key_of("c1", "k1", 1), 1);
    add_key(key_of("c2", "k3", 3), 1);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_true(key(1).revision > bucket("b1").revocation.last.before);
    assert_true(key(1).is_revoked);
    assert_int_equal(key(1).revoked_ms, first_ms);
    assert_int_equal(key(1).revoke_reason, KR_REASON_KEY_COMPROMISE);
    assert_true(key(3).is_revoked);
    assert_int_equal(key(3).revoked_ms, second_ms);
    assert_int_equal(key(3).revoke_reason, KR_REASON_AFFILIATION_CHANGED);
}

static void a_later_bulk_revocation_leaves_the_first_ones_time_and_reason(void **state)
{
    (void)state;
    add_target(KR_OP_CONSUMER_REVOKE, "c1", 0);
    assert_int_equal(commit(), KR_APPLY_OK);
    uint64_t first = last_index();
    int64_t first_ms = last_ms();
    add_consumer("b1", "c1", "one", 2); // an update keeps what has been
    add(KR_OP_CONSUMER_REVOKE)->as.target =
        (struct command_target){.id = "c1", .reason = KR_REASON_SUPERSEDED};
    assert_int_equal(commit(), KR_APPLY_OK);
    struct consumer after = consumer("c1");
    assert_int_equal(after.revocation.last.before, last_index());
    assert_int_equal(after.revocation.earlier.count, 1);
    assert_int_equal(after.revocation.earlier.items[0].before, first);
    add_key(key_of("c1", "k1", 1), 1);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(key(1).revoked_ms, first_ms);
    assert_int_equal(key(1).revoke_reason, KR_REASON_KEY_COMPROMISE);
    for (int i = 0; i < 2; i++) {
        add_target(KR_OP_BUCKET_REVOKE, "b1", 0);
        assert_int_equal(commit(), KR_APPLY_OK);
    }
    assert_int_equal(bucket("b1").revocation.earlier.count, 1);
    assert_int_equal(bucket("b1").revocation.earlier.items[0].before, last_index() - 1);
}

static void an_update_keeps_the_keys_own_revocation(void **state)
{
    (void)state;
    add_key_revoke(1, 0, 0);
    assert_int_equal(commit(), KR_APPLY_OK);
    int64_t own_ms = last_ms();
    add_target(KR_OP_BUCKET_REVOKE, "b1", 0);
    assert_int_equal(commit(), KR_APPLY_OK);
    add_key(key_of("c1", "k1", 1), 2);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_true(key(1).is_revoked);
    assert_int_equal(key(1).revoked_ms, own_ms);
    assert_int_equal(key(1).revoke_reason, KR_REASON_SUPERSEDED);
}

// --- deletion ------------------------------------------------------------------------------------
static void a_deleted_consumer_hides_frees_its_name_and_revokes(void **state)
{
    (void)state;
    add_target(KR_OP_CONSUMER_DELETE, "c1", 1);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(room.result.keys, 2);
    assert_true(consumer("c1").is_deleted);
    assert_int_equal(consumer("c1").revocation.last.before, last_index());
    assert_int_equal(count('c', "b1"), 1);
    add_key(key_of("c1", "k4", 4), 0);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_key(key_of("c1", "k1", 1), 1);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_consumer("b1", "c1", "one", 2);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_target(KR_OP_CONSUMER_DELETE, "c1", 0);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add(KR_OP_MANAGER_PUT)->as.manager_put = (struct manager){.id = "m1", .consumer_id = "c1"};
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_consumer("b1", "c3", "one", 0);
    assert_int_equal(commit(), KR_APPLY_OK);
    add_key_revoke(1, 0, 0);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(room.result.keys, 0);
}

static void a_deleted_bucket_hides_all_that_is_in_it(void **state)
{
    (void)state;
    add_target(KR_OP_BUCKET_DELETE, "b1", 1);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(room.result.keys, 3);
    assert_true(bucket("b1").is_deleted);
    add_consumer("b1", "c3", "three", 0);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_consumer("b1", "c1", "one", 1);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_target(KR_OP_CONSUMER_REVOKE, "c1", 0);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_key(key_of("c1", "k4", 4), 0);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_target(KR_OP_BUCKET_REVOKE, "b1", 0);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_bucket("b2", "bucket-1", 0);
    assert_int_equal(commit(), KR_APPLY_OK);
}

static void protected_and_system_buckets_are_not_deleted(void **state)
{
    (void)state;
    add(KR_OP_BUCKET_PUT)->as.bucket_put = (struct command_bucket_put){
        {.id = "b1", .name = "bucket-1", .is_delete_protected = true}, 1};
    add(KR_OP_BUCKET_PUT)->as.bucket_put =
        (struct command_bucket_put){{.id = "b0", .name = KR_SYSTEM_BUCKET, .is_system = true}, 0};
    assert_int_equal(commit(), KR_APPLY_OK);
    add_target(KR_OP_BUCKET_DELETE, "b1", 0);
    assert_int_equal(commit(), KR_APPLY_REFUSED);
    add_target(KR_OP_BUCKET_DELETE, "b0", 0);
    assert_int_equal(commit(), KR_APPLY_REFUSED);
}

// Puts bucket-1 with this bound, at the stored version, and reads it back.
static struct bucket bucket_with_bound(int64_t max_staleness_ms, uint64_t version)
{
    struct bucket stored;
    add(KR_OP_BUCKET_PUT)->as.bucket_put = (struct command_bucket_put){
        {.id = "b1", .name = "bucket-1", .max_staleness_ms = max_staleness_ms}, version};
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_true(fake_get_bucket(&room.fake, "b1", &stored));
    return stored;
}

static void a_lowered_staleness_bound_remembers_the_greatest_before_it(void **state)
{
    (void)state;
    struct bucket bucket = bucket_with_bound(5000, 1); // from 0: raised
    assert_int_equal(bucket.lowered_at, 0);
    bucket = bucket_with_bound(1000, 2);
    assert_int_equal(bucket.lowered_at, last_index());
    assert_int_equal(bucket.was_staleness_ms, 5000);
    bucket = bucket_with_bound(2000, 3); // raised, but not beyond what was
    assert_int_equal(bucket.lowered_at, last_index() - 1);
    bucket = bucket_with_bound(500, 4);
    assert_int_equal(bucket.lowered_at, last_index());
    assert_int_equal(bucket.was_staleness_ms, 5000);
    bucket = bucket_with_bound(KR_UNBOUNDED, 5);
    bucket = bucket_with_bound(60000, 6);
    assert_int_equal(bucket.lowered_at, last_index());
    assert_int_equal(bucket.was_staleness_ms, KR_UNBOUNDED);
    bucket = bucket_with_bound(1, 7);
    assert_int_equal(bucket.was_staleness_ms, KR_UNBOUNDED);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_created_record_has_version_1_and_the_entrys_revision),
        CASE(an_id_name_or_digest_in_use_is_refused),
        CASE(a_consumer_made_if_absent_leaves_the_one_of_its_name_alone),
        CASE(a_put_into_what_is_not_there_is_missing),
        CASE(an_update_needs_the_stored_version_and_raises_it),
        CASE(an_update_keeps_what_was_fixed_at_creation),
        CASE(names_digests_and_owners_do_not_change),
        CASE(a_revoked_key_says_when_and_why_and_has_a_receipt),
        CASE(revoking_again_changes_nothing_but_may_add_a_purge),
        CASE(an_entry_has_one_receipt_for_all_its_keys),
        CASE(one_record_revokes_every_key_of_a_consumer_or_bucket),
        CASE(a_key_made_after_a_bulk_revocation_is_not_revoked_by_it),
        CASE(an_update_writes_the_earliest_bulk_revocation_into_the_key),
        CASE(an_update_keeps_the_keys_own_revocation),
        CASE(a_deleted_consumer_hides_frees_its_name_and_revokes),
        CASE(a_deleted_bucket_hides_all_that_is_in_it),
        CASE(protected_and_system_buckets_are_not_deleted),
        CASE(a_lowered_staleness_bound_remembers_the_greatest_before_it),
        CASE(a_later_bulk_revocation_leaves_the_first_ones_time_and_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
