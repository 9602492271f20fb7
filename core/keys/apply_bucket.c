// SPDX-License-Identifier: Apache-2.0
// Operations on buckets.
#include "core/keys/apply_internal.h"

static enum apply_code create(struct apply *apply, const struct command_bucket_put *put)
{
    const struct apply_state *state = apply->state;
    struct bucket stored;
    const char *id;
    if (state->get_bucket(state->ctx, put->record.id, &stored) ||
        state->get_bucket_id(state->ctx, put->record.name, &id))
        return KR_APPLY_EXISTS;
    struct bucket record = put->record;
    record.is_deleted = false;
    record.version = 1;
    record.revision = apply->entry->index;
    record.revocation = (struct revocation){.last.before = 0};
    record.was_staleness_ms = 0;
    record.lowered_at = 0;
    state->put_bucket(state->ctx, &record);
    return KR_APPLY_OK;
}

// A bound as a number that compares: none at all is the greatest.
static uint64_t bound_of(int64_t max_staleness_ms)
{
    return max_staleness_ms == KR_UNBOUNDED ? UINT64_MAX : (uint64_t)max_staleness_ms;
}

// Receipts must not trust a lower bound at a node that does not know of it yet.
static void note_bound(const struct apply *apply, const struct bucket *stored,
                       struct bucket *record)
{
    record->was_staleness_ms = stored->was_staleness_ms;
    record->lowered_at = stored->lowered_at;
    if (bound_of(record->max_staleness_ms) >= bound_of(stored->max_staleness_ms))
        return;
    if (stored->lowered_at == 0 ||
        bound_of(stored->max_staleness_ms) > bound_of(stored->was_staleness_ms))
        record->was_staleness_ms = stored->max_staleness_ms;
    record->lowered_at = apply->entry->index;
}

static enum apply_code update(struct apply *apply, const struct command_bucket_put *put)
{
    struct bucket stored;
    if (!apply_get_live_bucket(apply, put->record.id, &stored))
        return KR_APPLY_MISSING;
    if (stored.version != put->expected_version)
        return KR_APPLY_STALE;
    if (apply_differs(put->record.name, stored.name))
        return KR_APPLY_REFUSED;
    struct bucket record = put->record;
    record.id = stored.id;
    record.name = stored.name;
    record.is_retrievable = stored.is_retrievable;
    record.is_system = stored.is_system;
    record.is_deleted = false;
    record.created_ms = stored.created_ms;
    record.version = stored.version + 1;
    record.revision = apply->entry->index;
    record.revocation = stored.revocation;
    note_bound(apply, &stored, &record);
    apply->state->put_bucket(apply->state->ctx, &record);
    return KR_APPLY_OK;
}

enum apply_code apply_bucket_put(struct apply *apply, const struct command_bucket_put *put)
{
    return put->expected_version == 0 ? create(apply, put) : update(apply, put);
}

static enum apply_code get_target(const struct apply *apply, const struct command_target *target,
                                  struct bucket *record)
{
    if (!apply_get_live_bucket(apply, target->id, record))
        return KR_APPLY_MISSING;
    if (target->expected_version != 0 && record->version != target->expected_version)
        return KR_APPLY_STALE;
    return KR_APPLY_OK;
}

static void revoke_all(struct apply *apply, const struct command_target *target,
                       struct bucket *record)
{
    const struct revoke_mark mark = {apply->entry->index, apply->at_ms, target->reason};
    revocation_add(&record->revocation, &mark);
    record->version++;
    record->revision = apply->entry->index;
    record->updated_ms = apply->at_ms;
    apply->state->put_bucket(apply->state->ctx, record);
    apply_note_revoked(apply, record->id,
                       apply->state->get_count(apply->state->ctx, 'b', record->id));
}

enum apply_code apply_bucket_revoke(struct apply *apply, const struct command_target *target)
{
    struct bucket record;
    enum apply_code code = get_target(apply, target, &record);
    if (code == KR_APPLY_OK)
        revoke_all(apply, target, &record);
    return code;
}

// The bucket stays, hidden, so that its keys are answered REVOKED until the purge.
enum apply_code apply_bucket_delete(struct apply *apply, const struct command_target *target)
{
    struct bucket record;
    enum apply_code code = get_target(apply, target, &record);
    if (code != KR_APPLY_OK)
        return code;
    // Without the system bucket nobody could manage anything any more.
    if (record.is_delete_protected || record.is_system)
        return KR_APPLY_REFUSED;
    apply->state->free_bucket_name(apply->state->ctx, &record);
    record.is_deleted = true;
    revoke_all(apply, target, &record);
    apply_put_due(apply, target->purge_ms, KR_DUE_BUCKET, bytes_text(record.id));
    return KR_APPLY_OK;
}
