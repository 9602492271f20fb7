// SPDX-License-Identifier: Apache-2.0
// Operations on keys. A revocation, wherever it came from, outlives every later write of the key.
#include <string.h>

#include "core/keys/apply_internal.h"

static enum apply_code create(struct apply *apply, const struct command_key_put *put)
{
    const struct apply_state *state = apply->state;
    struct bucket bucket;
    struct key record = put->record;
    const char *bucket_id;
    if (put->consumer_name != NULL &&
        !state->get_consumer_id(state->ctx, record.bucket_id, put->consumer_name,
                                &record.consumer_id))
        return KR_APPLY_MISSING;
    if (!state->get_live_consumer_bucket(state->ctx, record.consumer_id, &bucket_id) ||
        strcmp(bucket_id, record.bucket_id) != 0 ||
        !apply_get_live_bucket(apply, bucket_id, &bucket))
        return KR_APPLY_MISSING;
    if (state->has_digest(state->ctx, put->record.digest) ||
        state->has_key_id(state->ctx, put->record.id))
        return KR_APPLY_EXISTS;
    record.version = 1;
    record.revision = apply->entry->index;
    state->put_key(state->ctx, &record);
    state->add_count(state->ctx, 'b', record.bucket_id, 1);
    state->add_count(state->ctx, 'k', record.consumer_id, 1);
    return KR_APPLY_OK;
}

// The update raises the revision above a revoked_before that covers the stored one, so what that
// says is written into the record.
static void keep_revocation(struct key *record, const struct key *stored,
                            const struct consumer *consumer, const struct bucket *bucket)
{
    struct revoke_mark mark;
    record->is_revoked = key_revocation_of(stored, consumer, bucket, &mark);
    record->revoked_ms = mark.at_ms;
    record->revoke_reason = mark.reason;
}

// What is fixed at creation. The scopes are: a key must not gain rights after it was handed out.
static void keep_identity(struct key *record, const struct key *stored)
{
    record->id = stored->id;
    record->bucket_id = stored->bucket_id;
    record->consumer_id = stored->consumer_id;
    record->scopes = stored->scopes;
    record->masked = stored->masked;
    record->created_by = stored->created_by;
    record->rotated_from = stored->rotated_from;
    record->is_custom = stored->is_custom;
    record->created_ms = stored->created_ms;
}

static enum apply_code update(struct apply *apply, const struct command_key_put *put)
{
    const struct apply_state *state = apply->state;
    struct key stored;
    struct consumer consumer;
    struct bucket bucket;
    if (!state->get_key(state->ctx, put->record.digest, &stored))
        // An id that is in use, under another digest.
        return put->record.id != NULL && state->has_key_id(state->ctx, put->record.id)
                   ? KR_APPLY_REFUSED
                   : KR_APPLY_MISSING;
    if (!apply_get_live_consumer(apply, stored.consumer_id, &consumer, &bucket))
        return KR_APPLY_MISSING;
    if (stored.version != put->expected_version)
        return KR_APPLY_STALE;
    if (apply_differs(put->record.id, stored.id) ||
        apply_differs(put->record.bucket_id, stored.bucket_id) ||
        apply_differs(put->record.consumer_id, stored.consumer_id))
        return KR_APPLY_REFUSED;
    struct key record = put->record;
    keep_identity(&record, &stored);
    keep_revocation(&record, &stored, &consumer, &bucket);
    record.version = stored.version + 1;
    record.revision = apply->entry->index;
    state->put_key(state->ctx, &record);
    return KR_APPLY_OK;
}

enum apply_code apply_key_put(struct apply *apply, const struct command_key_put *put)
{
    return put->expected_version == 0 ? create(apply, put) : update(apply, put);
}

bool apply_key_is_revoked(const struct apply *apply, const struct key *key)
{
    const struct apply_state *state = apply->state;
    struct consumer consumer;
    struct bucket bucket;
    if (key->is_revoked)
        return true;
    if (state->get_consumer(state->ctx, key->consumer_id, &consumer) &&
        key->revision <= consumer.revocation.last.before)
        return true;
    return state->get_bucket(state->ctx, key->bucket_id, &bucket) &&
           key->revision <= bucket.revocation.last.before;
}

// A key that is revoked already keeps its time and reason; the caller still gets a receipt. It
// works in a deleted bucket or consumer too: there everything is revoked.
enum apply_code apply_key_revoke(struct apply *apply, const struct command_key_revoke *revoke)
{
    const struct apply_state *state = apply->state;
    struct key record;
    if (!state->get_key(state->ctx, revoke->digest, &record))
        return KR_APPLY_MISSING;
    if (revoke->expected_version != 0 && record.version != revoke->expected_version)
        return KR_APPLY_STALE;
    bool is_new = !apply_key_is_revoked(apply, &record);
    if (is_new) {
        record.is_revoked = true;
        record.revoked_ms = apply->at_ms;
        record.revoke_reason = revoke->reason;
        record.updated_ms = apply->at_ms;
        record.version++;
        record.revision = apply->entry->index;
        state->put_key(state->ctx, &record);
    }
    apply_note_revoked(apply, record.id, is_new ? 1 : 0);
    if (revoke->purge_ms > 0)
        apply_put_due(apply, revoke->purge_ms, KR_DUE_KEY, bytes_of(record.digest, KR_DIGEST_SIZE));
    return KR_APPLY_OK;
}

// What was sealed before a newer version was there is sealed again: else the old key could never
// go.
enum apply_code apply_vault_put(struct apply *apply, const struct sealed *put)
{
    const struct apply_state *state = apply->state;
    struct sealed_versions versions;
    if (!state->has_key_id(state->ctx, put->key_id))
        return KR_APPLY_MISSING;
    state->get_sealed_versions(state->ctx, &versions);
    if (versions.count > 0 && put->vault_version < versions.items[versions.count - 1].version)
        return KR_APPLY_STALE;
    state->put_sealed(state->ctx, put);
    return KR_APPLY_OK;
}

// A version's check never changes, and no version comes back.
static bool may_follow(const struct sealed_versions *versions,
                       const struct command_vault_version *put)
{
    if (versions->count == 0)
        return !put->is_only;
    const struct sealed_version *last = &versions->items[versions->count - 1];
    if (put->current.version == last->version)
        return memcmp(put->current.check, last->check, KR_SEALED_CHECK_SIZE) == 0;
    return put->current.version > last->version && !put->is_only &&
           versions->count < KR_SEALED_VERSIONS_MAX;
}

enum apply_code apply_vault_version(struct apply *apply, const struct command_vault_version *put)
{
    const struct apply_state *state = apply->state;
    struct sealed_versions versions;
    state->get_sealed_versions(state->ctx, &versions);
    if (!may_follow(&versions, put))
        return KR_APPLY_REFUSED;
    if (put->is_only)
        versions.count = 0;
    else if (versions.count > 0 &&
             versions.items[versions.count - 1].version == put->current.version)
        return KR_APPLY_OK;
    versions.items[versions.count++] = put->current;
    state->put_sealed_versions(state->ctx, &versions);
    return KR_APPLY_OK;
}
