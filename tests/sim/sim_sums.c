// SPDX-License-Identifier: Apache-2.0
// The state's digests: a sum over the records of each class, kept by the verbs of apply.
#include "proto/codec.h"
#include "tests/sim/sim.h"

static struct hash128 term(enum store_class class, struct buf *value)
{
    uint8_t seed = (uint8_t) class;
    struct hash128 hash = hash_chain((struct hash128){seed, seed}, buf_bytes(value));
    buf_clear(value);
    return hash;
}

static void change(struct sim_state *state, enum store_class class, struct hash128 hash,
                   bool is_more)
{
    struct hash128 *sum = &state->position.digest[class];
    *sum = is_more ? hash_sum_add(*sum, hash) : hash_sum_sub(*sum, hash);
}

#define SUMMED(type, class, id_of, get)                                                            \
    static void sum_##type(struct sim_state *state, const struct type *record, bool is_more)       \
    {                                                                                              \
        uint8_t memory[2048];                                                                      \
        struct buf value;                                                                          \
        buf_init_fixed(&value, memory, sizeof(memory));                                            \
        codec_add_##type(&value, record);                                                          \
        change(state, class, term(class, &value), is_more);                                        \
    }                                                                                              \
    static void put_##type(void *ctx, const struct type *record)                                   \
    {                                                                                              \
        struct type old;                                                                           \
        if (get(ctx, id_of, &old))                                                                 \
            sum_##type(ctx, &old, false);                                                          \
        fake_put_##type(ctx, record);                                                              \
        sum_##type(ctx, record, true);                                                             \
    }

static bool get_leader(void *ctx, const char *id, struct leader *out)
{
    (void)id;
    return fake_get_leader(ctx, out);
}

SUMMED(bucket, KR_CLASS_BUCKET, record->id, fake_get_bucket)
SUMMED(consumer, KR_CLASS_CONSUMER, record->id, fake_get_consumer)
SUMMED(key, KR_CLASS_KEY, record->digest, fake_get_key)
SUMMED(member, KR_CLASS_MEMBER, record->id, fake_get_member)
SUMMED(leader, KR_CLASS_MEMBER, "", get_leader)

static void delete_key(void *ctx, const struct key *record)
{
    sum_key(ctx, record, false);
    fake_delete_key(ctx, record);
}

// REVIVED_BY_WRITE: every node makes the same of the entry, so no sum differs.
static void revive_key(void *ctx, const struct key *record)
{
    struct key old, written = *record;
    bool was_revoked = fake_get_key(ctx, record->digest, &old) && old.is_revoked;
    written.is_revoked = record->is_revoked && !was_revoked;
    put_key(ctx, &written);
}

static void sum_due(struct sim_state *state, const struct apply_due_row *due, bool is_more)
{
    uint8_t memory[256];
    struct buf value;
    bool is_core = apply_due_group(due->kind) == KR_DUE_OF_CORE;
    buf_init_fixed(&value, memory, sizeof(memory));
    buf_add_u64(&value, (uint64_t)due->at_ms);
    buf_add_u32(&value, due->kind);
    buf_add_bytes(&value, due->id);
    enum store_class class = is_core ? KR_CLASS_CORE : KR_CLASS_DUE;
    change(state, class, term(class, &value), is_more);
}

static bool holds_due(const struct sim_state *state, const struct apply_due_row *due)
{
    return state->holding == KR_HOLD_ALL || apply_due_group(due->kind) != KR_DUE_OF_CORE;
}

static void put_due(void *ctx, const struct apply_due_row *due)
{
    struct sim_state *state = ctx;
    if (!holds_due(state, due))
        return;
    if (fake_due(&state->fake, due) == state->fake.due_count)
        sum_due(state, due, true);
    fake_put_due(ctx, due);
}

static void delete_due(void *ctx, const struct apply_due_row *due)
{
    struct sim_state *state = ctx;
    if (!holds_due(state, due))
        return;
    sum_due(state, due, false);
    fake_delete_due(ctx, due);
}

static void put_receipt(void *ctx, const struct receipt *record)
{
    struct sim_state *state = ctx;
    uint8_t memory[1024];
    struct buf value;
    if (state->holding != KR_HOLD_ALL)
        return;
    buf_init_fixed(&value, memory, sizeof(memory));
    codec_add_receipt(&value, record);
    change(state, KR_CLASS_CORE, term(KR_CLASS_CORE, &value), true);
    fake_put_receipt(ctx, record);
}

// Not held by a follower, and not in any digest here.
static void add_count(void *ctx, char what, const char *id, int64_t by)
{
    if (((struct sim_state *)ctx)->holding == KR_HOLD_ALL)
        fake_add_count(ctx, what, id, by);
}

static void put_audit(void *ctx, const struct audit *record)
{
    (void)ctx, (void)record;
}

struct apply_state sim_state_apply_verbs(struct sim_state *state)
{
    struct apply_state verbs = fake_verbs(&state->fake);
    verbs.put_bucket = put_bucket;
    verbs.put_consumer = put_consumer;
    verbs.put_key = sim_is_broken(KR_SIM_REVIVED_BY_WRITE) ? revive_key : put_key;
    verbs.delete_key = delete_key;
    verbs.put_member = put_member;
    verbs.put_leader = put_leader;
    verbs.put_due = put_due;
    verbs.delete_due = delete_due;
    verbs.put_receipt = put_receipt;
    verbs.add_count = add_count;
    verbs.put_audit = put_audit;
    return verbs;
}

void sim_state_sums(struct sim_state *state, struct hash128 out[KR_CLASS_COUNT])
{
    struct store_position kept = state->position;
    memset(state->position.digest, 0, sizeof(state->position.digest));
    for (size_t i = 0; i < state->fake.bucket_count; i++)
        sum_bucket(state, &state->fake.buckets[i], true);
    for (size_t i = 0; i < state->fake.consumer_count; i++)
        sum_consumer(state, &state->fake.consumers[i], true);
    for (size_t i = 0; i < state->fake.key_count; i++)
        sum_key(state, &state->fake.keys[i], true);
    for (size_t i = 0; i < state->fake.member_count; i++)
        sum_member(state, &state->fake.members[i], true);
    if (state->fake.leader.member_id != NULL)
        sum_leader(state, &state->fake.leader, true);
    for (size_t i = 0; i < state->fake.due_count; i++)
        sum_due(state, &state->fake.due[i], true);
    for (size_t i = 0; i < state->fake.receipt_count; i++) {
        uint8_t memory[1024];
        struct buf value;
        buf_init_fixed(&value, memory, sizeof(memory));
        codec_add_receipt(&value, &state->fake.receipts[i]);
        change(state, KR_CLASS_CORE, term(KR_CLASS_CORE, &value), true);
    }
    memcpy(out, state->position.digest, sizeof(state->position.digest));
    state->position = kept;
}

bool sim_state_rot(struct sim_state *state, uint64_t chance)
{
    if (state->fake.key_count == 0)
        return false;
    struct key *key = &state->fake.keys[chance % state->fake.key_count];
    key->created_ms++; // and not a bit, which a second time would mend
    state->is_rotten = sim.has_rotted = true;
    struct hash128 sums[KR_CLASS_COUNT];
    sim_state_sums(state, sums);
    memcpy(state->position.digest, sums, sizeof(sums));
    return true;
}
