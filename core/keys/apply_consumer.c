// SPDX-License-Identifier: Apache-2.0
// Operations on consumers and their managers.
#include "core/keys/apply_internal.h"

static enum apply_code create(struct apply *apply, const struct command_consumer_put *put)
{
    const struct apply_state *state = apply->state;
    struct consumer stored;
    struct bucket bucket;
    const char *id;
    if (!apply_get_live_bucket(apply, put->record.bucket_id, &bucket))
        return KR_APPLY_MISSING;
    if (state->get_consumer(state->ctx, put->record.id, &stored))
        return KR_APPLY_EXISTS;
    if (state->get_consumer_id(state->ctx, put->record.bucket_id, put->record.name, &id))
        return put->is_if_absent ? KR_APPLY_OK : KR_APPLY_EXISTS;
    struct consumer record = put->record;
    record.is_deleted = false;
    record.version = 1;
    record.revision = apply->entry->index;
    record.revocation = (struct revocation){.last.before = 0};
    state->put_consumer(state->ctx, &record);
    state->add_count(state->ctx, 'c', record.bucket_id, 1);
    return KR_APPLY_OK;
}

static enum apply_code update(struct apply *apply, const struct command_consumer_put *put)
{
    struct consumer stored;
    struct bucket bucket;
    if (!apply_get_live_consumer(apply, put->record.id, &stored, &bucket))
        return KR_APPLY_MISSING;
    if (stored.version != put->expected_version)
        return KR_APPLY_STALE;
    if (apply_differs(put->record.name, stored.name) ||
        apply_differs(put->record.bucket_id, stored.bucket_id))
        return KR_APPLY_REFUSED;
    struct consumer record = put->record;
    record.id = stored.id;
    record.bucket_id = stored.bucket_id;
    record.name = stored.name;
    record.is_deleted = false;
    record.created_ms = stored.created_ms;
    record.version = stored.version + 1;
    record.revision = apply->entry->index;
    record.revocation = stored.revocation;
    apply->state->put_consumer(apply->state->ctx, &record);
    return KR_APPLY_OK;
}

enum apply_code apply_consumer_put(struct apply *apply, const struct command_consumer_put *put)
{
    return put->expected_version == 0 ? create(apply, put) : update(apply, put);
}

static enum apply_code get_target(const struct apply *apply, const struct command_target *target,
                                  struct consumer *record)
{
    struct bucket bucket;
    if (!apply_get_live_consumer(apply, target->id, record, &bucket))
        return KR_APPLY_MISSING;
    if (target->expected_version != 0 && record->version != target->expected_version)
        return KR_APPLY_STALE;
    return KR_APPLY_OK;
}

static void revoke_all(struct apply *apply, const struct command_target *target,
                       struct consumer *record)
{
    const struct revoke_mark mark = {apply->entry->index, apply->at_ms, target->reason};
    revocation_add(&record->revocation, &mark);
    record->version++;
    record->revision = apply->entry->index;
    record->updated_ms = apply->at_ms;
    apply->state->put_consumer(apply->state->ctx, record);
    apply_note_revoked(apply, record->id,
                       apply->state->get_count(apply->state->ctx, 'k', record->id));
}

enum apply_code apply_consumer_revoke(struct apply *apply, const struct command_target *target)
{
    struct consumer record;
    enum apply_code code = get_target(apply, target, &record);
    if (code == KR_APPLY_OK)
        revoke_all(apply, target, &record);
    return code;
}

// The consumer stays, hidden, so that its keys are answered REVOKED until the purge.
enum apply_code apply_consumer_delete(struct apply *apply, const struct command_target *target)
{
    struct consumer record;
    enum apply_code code = get_target(apply, target, &record);
    if (code != KR_APPLY_OK)
        return code;
    apply->state->free_consumer_name(apply->state->ctx, &record);
    record.is_deleted = true;
    revoke_all(apply, target, &record);
    apply->state->add_count(apply->state->ctx, 'c', record.bucket_id, -1);
    apply_put_due(apply, target->purge_ms, KR_DUE_CONSUMER, bytes_text(record.id));
    return KR_APPLY_OK;
}

enum apply_code apply_manager_put(struct apply *apply, const struct manager *put)
{
    struct consumer consumer;
    struct bucket bucket;
    if (!apply_get_live_consumer(apply, put->consumer_id, &consumer, &bucket))
        return KR_APPLY_MISSING;
    const struct apply_state *state = apply->state;
    struct manager stored, record = *put;
    if (state->get_manager(state->ctx, put->consumer_id, put->id, &stored))
        record.created_ms = stored.created_ms; // an invite that is being accepted
    record.revision = apply->entry->index;
    state->put_manager(state->ctx, &record);
    return KR_APPLY_OK;
}

enum apply_code apply_manager_delete(struct apply *apply,
                                     const struct command_manager_delete *target)
{
    const struct apply_state *state = apply->state;
    struct consumer consumer;
    struct bucket bucket;
    struct manager record;
    if (!apply_get_live_consumer(apply, target->consumer_id, &consumer, &bucket) ||
        !state->get_manager(state->ctx, target->consumer_id, target->manager_id, &record))
        return KR_APPLY_MISSING;
    state->delete_manager(state->ctx, &record);
    return KR_APPLY_OK;
}
