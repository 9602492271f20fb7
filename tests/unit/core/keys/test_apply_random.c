// SPDX-License-Identifier: Apache-2.0
// Random entries against a model: once revoked, never valid; counters right; replay gives the same.
//
// KEYREEVE_TEST_SEED repeats a run; the seed is printed.
#include "core/keys/apply.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/base/rand.h"
#include "core/keys/verdict.h"
#include "fake_state.h"

enum {
    RUNS = 40,
    ENTRIES = 400,
    BUCKETS = 3,
    CONSUMERS = 6,
    KEYS = 12,
    OPS_MAX = 3,
    FOREVER = 2000
};

#define DAY_MS ((int64_t)24 * 60 * 60 * 1000)

static const char *const bucket_ids[BUCKETS] = {"b0", "b1", "b2"};
static const char *const consumer_ids[CONSUMERS] = {"c0", "c1", "c2", "c3", "c4", "c5"};
static const char *const key_ids[KEYS] = {"k0", "k1", "k2", "k3", "k4",  "k5",
                                          "k6", "k7", "k8", "k9", "k10", "k11"};

struct run {
    struct fake state, replay;
    struct arena texts, replay_texts, entry_texts;
    struct entry entry;
    uint64_t random;
    bool is_dead[KEYS]; // the model: revoked since it was created
    unsigned applied, refused;
};

static struct run run;

// SplitMix64 (Steele, Lea, Flood 2014): every seed gives a full-length sequence.
static uint64_t next_random(void)
{
    uint64_t z = run.random += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static unsigned below(unsigned limit)
{
    return (unsigned)(next_random() % limit);
}

static void set_digest(uint8_t digest[KR_DIGEST_SIZE], unsigned key)
{
    memset(digest, 0, KR_DIGEST_SIZE);
    digest[0] = (uint8_t)(key + 1);
}

// Mostly the stored one (0 when there is none), at times a wrong one.
static uint64_t expected(bool is_there, uint64_t version)
{
    if (below(8) == 0)
        return below(5);
    return is_there ? version : 0;
}

static void add_bucket_put(void)
{
    struct bucket stored = {0};
    const char *id = bucket_ids[below(BUCKETS)];
    bool is_there = fake_get_bucket(&run.state, id, &stored);
    struct command_op *op = command_add(&run.entry.command, KR_OP_BUCKET_PUT, &run.entry_texts);
    op->as.bucket_put.record = (struct bucket){
        .id = id, .name = id, .is_delete_protected = below(4) == 0, .created_ms = 1};
    op->as.bucket_put.expected_version = expected(is_there, stored.version);
}

static void add_consumer_put(void)
{
    struct consumer stored = {0};
    const char *id = consumer_ids[below(CONSUMERS)];
    bool is_there = fake_get_consumer(&run.state, id, &stored);
    struct command_op *op = command_add(&run.entry.command, KR_OP_CONSUMER_PUT, &run.entry_texts);
    op->as.consumer_put.record =
        (struct consumer){.id = id,
                          .bucket_id = is_there ? stored.bucket_id : bucket_ids[below(BUCKETS)],
                          .name = id};
    op->as.consumer_put.expected_version = expected(is_there, stored.version);
}

static void add_key_put(void)
{
    struct key stored = {0};
    struct consumer consumer = {.bucket_id = "b0"};
    unsigned key = below(KEYS);
    struct command_op *op = command_add(&run.entry.command, KR_OP_KEY_PUT, &run.entry_texts);
    struct key *record = &op->as.key_put.record;
    set_digest(record->digest, key);
    bool is_there = fake_get_key(&run.state, record->digest, &stored);
    record->id = key_ids[key];
    record->consumer_id = is_there ? stored.consumer_id : consumer_ids[below(CONSUMERS)];
    (void)fake_get_consumer(&run.state, record->consumer_id, &consumer);
    record->bucket_id = consumer.bucket_id;
    record->is_enabled = true;
    record->created_ms = run.entry.at_unix_us / 1000;
    op->as.key_put.expected_version = expected(is_there, stored.version);
}

static int64_t some_purge_ms(void)
{
    return run.entry.at_unix_us / 1000 + (int64_t)below(30) * DAY_MS;
}

static void add_key_revoke(void)
{
    struct command_op *op = command_add(&run.entry.command, KR_OP_KEY_REVOKE, &run.entry_texts);
    set_digest(op->as.key_revoke.digest, below(KEYS));
    op->as.key_revoke.reason = (enum revoke_reason)below(6);
    op->as.key_revoke.purge_ms = below(2) == 0 ? some_purge_ms() : 0;
}

static void add_target(enum command_kind kind, const char *id)
{
    struct command_op *op = command_add(&run.entry.command, kind, &run.entry_texts);
    op->as.target = (struct command_target){
        .id = id, .reason = (enum revoke_reason)below(6), .purge_ms = some_purge_ms()};
}

static void add_manager(void)
{
    const char *consumer_id = consumer_ids[below(CONSUMERS)];
    bool is_put = below(2) == 0;
    struct command_op *op = command_add(
        &run.entry.command, is_put ? KR_OP_MANAGER_PUT : KR_OP_MANAGER_DELETE, &run.entry_texts);
    if (is_put)
        op->as.manager_put = (struct manager){.id = "m", .consumer_id = consumer_id};
    else
        op->as.manager_delete = (struct command_manager_delete){consumer_id, "m"};
}

static void add_sealed(void)
{
    struct command_op *op = command_add(&run.entry.command, KR_OP_VAULT_PUT, &run.entry_texts);
    op->as.vault_put = (struct sealed){.key_id = key_ids[below(KEYS)], .box = bytes_text("box")};
}

static void add_member(void)
{
    static const char *const ids[] = {"n0", "n1", "n2"};
    const char *id = ids[below(3)];
    unsigned kind = below(8);
    if (kind == 0)
        command_add(&run.entry.command, KR_OP_MEMBER_REMOVE, &run.entry_texts)
            ->as.member_remove.id = id;
    else if (kind < 3)
        command_add(&run.entry.command, KR_OP_LEAD, &run.entry_texts)->as.lead =
            (struct command_lead){id, run.entry.epoch += below(2)};
    else
        command_add(&run.entry.command, KR_OP_MEMBER_PUT, &run.entry_texts)->as.member_put =
            (struct member){.id = id, .region = "eu", .added_ms = run.entry.at_unix_us / 1000};
}

static void add_op(void)
{
    unsigned kind = below(100);
    if (kind < 10)
        add_bucket_put();
    else if (kind < 30)
        add_consumer_put();
    else if (kind < 70)
        add_key_put();
    else if (kind < 82)
        add_key_revoke();
    else if (kind < 86)
        add_target(KR_OP_CONSUMER_REVOKE, consumer_ids[below(CONSUMERS)]);
    else if (kind < 89)
        add_target(KR_OP_CONSUMER_DELETE, consumer_ids[below(CONSUMERS)]);
    else if (kind < 91)
        add_target(KR_OP_BUCKET_REVOKE, bucket_ids[below(BUCKETS)]);
    else if (kind < 92)
        add_target(KR_OP_BUCKET_DELETE, bucket_ids[below(BUCKETS)]);
    else if (kind < 95)
        add_manager();
    else if (kind < 97)
        add_member();
    else
        add_sealed();
}

// A purge stands alone, so that the model can tell what it removed.
static void build_entry(void)
{
    run.entry.command = (struct command){0};
    run.entry.index++;
    run.entry.at_unix_us += (int64_t)below(3) * DAY_MS * 1000;
    if (below(8) == 0) {
        struct command_op *op = command_add(&run.entry.command, KR_OP_PURGE, &run.entry_texts);
        op->as.purge = (struct command_purge){run.entry.at_unix_us / 1000, below(20), 0};
        return;
    }
    for (unsigned ops = 1 + below(OPS_MAX); ops > 0; ops--)
        add_op();
    if (below(4) > 0)
        return;
    struct idempotency *answer = arena_zalloc(&run.entry_texts, sizeof(*answer));
    answer->scope[0] = (uint8_t)below(FAKE_FEW);
    answer->expires_ms = run.entry.at_unix_us / 1000 + DAY_MS;
    answer->answer = bytes_text("answer");
    run.entry.command.idempotency = answer;
}

static unsigned slot_of(const struct key *key)
{
    return key->digest[0] - 1U;
}

// What the model learns from an operation of an applied entry, seen at the entry's end: everything
// that a bulk revocation found or that came into its target by the same entry is revoked.
static void learn(const struct command_op *op)
{
    for (size_t i = 0; i < run.state.key_count; i++) {
        const struct key *key = &run.state.keys[i];
        bool is_bucket = op->kind == KR_OP_BUCKET_REVOKE || op->kind == KR_OP_BUCKET_DELETE;
        bool is_consumer = op->kind == KR_OP_CONSUMER_REVOKE || op->kind == KR_OP_CONSUMER_DELETE;
        bool is_hit = op->kind == KR_OP_KEY_REVOKE &&
                      memcmp(key->digest, op->as.key_revoke.digest, KR_DIGEST_SIZE) == 0;
        is_hit |= is_bucket && strcmp(key->bucket_id, op->as.target.id) == 0;
        is_hit |= is_consumer && strcmp(key->consumer_id, op->as.target.id) == 0;
        run.is_dead[slot_of(key)] |= is_hit;
    }
}

static void forget_removed_keys(const struct fake *before)
{
    for (size_t i = 0; i < before->key_count; i++) {
        if (fake_has_digest(&run.state, before->keys[i].digest))
            continue;
        assert_true(run.is_dead[slot_of(&before->keys[i])]); // a good key is never removed
        run.is_dead[slot_of(&before->keys[i])] = false;
    }
}

static enum verdict_code judge(const struct key *key)
{
    struct bucket bucket;
    struct consumer consumer;
    assert_true(fake_get_bucket(&run.state, key->bucket_id, &bucket));
    assert_true(fake_get_consumer(&run.state, key->consumer_id, &consumer));
    uint64_t before = bucket.revocation.last.before > consumer.revocation.last.before
                          ? bucket.revocation.last.before
                          : consumer.revocation.last.before;
    struct verdict_key known = {.revision = key->revision,
                                .revoked_before = before,
                                .is_revoked = key->is_revoked,
                                .is_enabled = key->is_enabled};
    struct verdict_request request = {.bucket = KR_VERDICT_ANY_BUCKET};
    enum verdict_code code = verdict_judge(&known, &request);
    assert_int_equal(code == KR_VERDICT_REVOKED,
                     key_status_of(key, &consumer, &bucket, 0) == KR_KEY_REVOKED);
    return code;
}

static void check_verdicts(void)
{
    for (size_t i = 0; i < run.state.key_count; i++) {
        const struct key *key = &run.state.keys[i];
        assert_int_equal(judge(key),
                         run.is_dead[slot_of(key)] ? KR_VERDICT_REVOKED : KR_VERDICT_VALID);
    }
}

static void check_counters(void)
{
    for (size_t b = 0; b < BUCKETS; b++) {
        uint64_t consumers = 0, keys = 0;
        for (size_t i = 0; i < run.state.consumer_count; i++)
            consumers += !run.state.consumers[i].is_deleted &&
                         strcmp(run.state.consumers[i].bucket_id, bucket_ids[b]) == 0;
        for (size_t i = 0; i < run.state.key_count; i++)
            keys += strcmp(run.state.keys[i].bucket_id, bucket_ids[b]) == 0;
        assert_int_equal(fake_get_count(&run.state, 'c', bucket_ids[b]), consumers);
        assert_int_equal(fake_get_count(&run.state, 'b', bucket_ids[b]), keys);
    }
    for (size_t c = 0; c < CONSUMERS; c++) {
        uint64_t keys = 0;
        for (size_t i = 0; i < run.state.key_count; i++)
            keys += strcmp(run.state.keys[i].consumer_id, consumer_ids[c]) == 0;
        assert_int_equal(fake_get_count(&run.state, 'k', consumer_ids[c]), keys);
    }
}

// Every row, as text, in the order in which it stands.
static void dump(struct buf *out, const struct fake *fake)
{
    for (size_t i = 0; i < fake->bucket_count; i++) {
        const struct bucket *row = &fake->buckets[i];
        buf_printf(out, "b %s %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %d %zu\n", row->id,
                   row->is_deleted, row->version, row->revision, row->revocation.last.before,
                   row->revocation.last.at_ms, (int)row->revocation.last.reason,
                   row->revocation.earlier.count);
    }
    for (size_t i = 0; i < fake->consumer_count; i++) {
        const struct consumer *row = &fake->consumers[i];
        buf_printf(out, "c %s %s %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %d %zu\n",
                   row->id, row->bucket_id, row->is_deleted, row->version, row->revision,
                   row->revocation.last.before, row->revocation.last.at_ms,
                   (int)row->revocation.last.reason, row->revocation.earlier.count);
    }
    for (size_t i = 0; i < fake->key_count; i++) {
        const struct key *row = &fake->keys[i];
        buf_printf(out, "k %s %s %d %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 " %d\n", row->id,
                   row->consumer_id, row->is_revoked, row->version, row->revision, row->updated_ms,
                   row->revoked_ms, (int)row->revoke_reason);
    }
    for (size_t i = 0; i < fake->name_count; i++)
        buf_printf(out, "n %s %s %s\n", fake->names[i].scope, fake->names[i].name,
                   fake->names[i].id);
    for (size_t i = 0; i < fake->manager_count; i++)
        buf_printf(out, "m %s %" PRIu64 "\n", fake->managers[i].consumer_id,
                   fake->managers[i].revision);
    for (size_t i = 0; i < fake->sealed_count; i++)
        buf_printf(out, "v %s\n", fake->sealed[i].key_id);
    for (size_t i = 0; i < fake->receipt_count; i++)
        buf_printf(out, "r %" PRIu64 " %s %" PRIu64 "\n", fake->receipts[i].index,
                   fake->receipts[i].target, fake->receipts[i].keys);
    for (size_t i = 0; i < fake->member_count; i++)
        buf_printf(out, "o %s %d %" PRIu64 "\n", fake->members[i].id, fake->members[i].is_removed,
                   fake->members[i].revision);
    buf_printf(out, "l %" PRIu64 " %" PRIu64 "\n", fake->leader.epoch, fake->leader.revision);
    for (size_t i = 0; i < fake->due_count; i++)
        buf_printf(out, "d %" PRId64 " %d\n", fake->due[i].at_ms, (int)fake->due[i].kind);
    buf_printf(out, "a %zu\n", fake->answer_count);
}

static void check_replay(void)
{
    struct buf one, other;
    buf_init(&one, 1 << 20);
    buf_init(&other, 1 << 20);
    dump(&one, &run.state);
    dump(&other, &run.replay);
    assert_int_equal(buf_result(&one), KR_ERR_OK);
    assert_true(bytes_equal(buf_bytes(&one), buf_bytes(&other)));
    buf_fini(&one);
    buf_fini(&other);
}

static void step(void)
{
    static struct fake before;
    before = run.state;
    build_entry();
    struct apply_result result = fake_apply(&run.state, &run.entry);
    struct apply_result again = fake_apply(&run.replay, &run.entry);
    assert_memory_equal(&result, &again, sizeof(result));
    run.applied += result.code == KR_APPLY_OK;
    run.refused += result.code != KR_APPLY_OK;
    if (result.code == KR_APPLY_OK) {
        for (size_t i = 0; i < run.entry.command.op_count; i++)
            learn(&run.entry.command.ops[i]);
        forget_removed_keys(&before);
    }
    check_verdicts();
    check_counters();
    arena_reset(&run.entry_texts); // nothing of an entry may be held on to
}

// When everything is deleted and all due rows are worked off, nothing is left behind.
static void delete_everything(void)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct bucket stored;
        if (!fake_get_bucket(&run.state, bucket_ids[i], &stored) || stored.is_deleted)
            continue;
        run.entry.command = (struct command){0};
        run.entry.index++;
        struct command_op *op = command_add(&run.entry.command, KR_OP_BUCKET_PUT, &run.entry_texts);
        op->as.bucket_put.record = (struct bucket){.id = bucket_ids[i], .name = bucket_ids[i]};
        op->as.bucket_put.expected_version = stored.version;
        add_target(KR_OP_BUCKET_DELETE, bucket_ids[i]);
        assert_int_equal(fake_apply(&run.state, &run.entry).code, KR_APPLY_OK);
    }
    run.entry.command = (struct command){0};
    run.entry.index++;
    struct command_op *op = command_add(&run.entry.command, KR_OP_PURGE, &run.entry_texts);
    op->as.purge = (struct command_purge){INT64_MAX, FOREVER, 0};
    assert_int_equal(fake_apply(&run.state, &run.entry).code, KR_APPLY_OK);
    const struct fake *left = &run.state;
    assert_int_equal(left->bucket_count + left->consumer_count + left->key_count +
                         left->manager_count + left->sealed_count + left->name_count,
                     0);
    assert_int_equal(left->answer_count + left->receipt_count + left->due_count, 0);
    check_counters();
}

static void random_entries_never_undo_a_revocation(void **state)
{
    (void)state;
    const char *given = getenv("KEYREEVE_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : rand_u64();
    print_message("KEYREEVE_TEST_SEED=0x%" PRIx64 "\n", seed);
    unsigned applied = 0, refused = 0;
    for (uint64_t i = 0; i < RUNS; i++) {
        memset(&run, 0, sizeof(run));
        arena_init(&run.texts);
        arena_init(&run.replay_texts);
        arena_init(&run.entry_texts);
        run.state.texts = &run.texts;
        run.replay.texts = &run.replay_texts;
        run.random = seed + i;
        run.entry.at_unix_us = INT64_C(1767225600000000);
        for (unsigned entry = 0; entry < ENTRIES; entry++)
            step();
        check_replay();
        delete_everything();
        applied += run.applied;
        refused += run.refused;
        arena_fini(&run.texts);
        arena_fini(&run.replay_texts);
        arena_fini(&run.entry_texts);
    }
    print_message("%u entries applied, %u refused\n", applied, refused);
    assert_true(applied > RUNS * ENTRIES / 10);
}

int main(void)
{
    rand_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_entries_never_undo_a_revocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
