// SPDX-License-Identifier: Apache-2.0
// The purge: removes what due rows name, a bounded number of rows an entry, in the due rows' order.
//
// A due row is a reminder, not an order: what it names is looked at again, and what is not (any
// longer) to be removed stays. When the limit is met inside a consumer or bucket its due row stays,
// and the next purge goes on there.
//
// First the due rows of validation records, then those of the rest, then audit rows that are older
// than the entry says, each with the limit for itself:
// a follower has only the former, and comes to the same end of them. So a consumer's managers,
// which it does not have, do not count while the consumer goes; a due row of their own takes them.
#include <endian.h>

#include "core/keys/apply_internal.h"

// One group of one operation; end is the value of apply->purged at which it stops.
struct purge {
    struct apply *apply;
    const struct apply_state *state;
    int64_t now_ms;
    uint64_t end;
};

static bool has_room(const struct purge *purge)
{
    return purge->apply->purged < purge->end;
}

static void remove_key(struct purge *purge, const struct key *key)
{
    const struct apply_state *state = purge->state;
    state->delete_key(state->ctx, key);
    state->add_count(state->ctx, 'b', key->bucket_id, -1);
    state->add_count(state->ctx, 'k', key->consumer_id, -1);
    purge->apply->purged++;
}

// With its keys; false when the limit came first. Its managers follow.
static bool remove_consumer(struct purge *purge, const struct consumer *consumer)
{
    const struct apply_state *state = purge->state;
    struct key key;
    struct manager manager;
    while (has_room(purge) && state->first_key(state->ctx, consumer->id, &key))
        remove_key(purge, &key);
    if (!has_room(purge))
        return false;
    if (!consumer->is_deleted) // one that goes with its bucket is still counted
        state->add_count(state->ctx, 'c', consumer->bucket_id, -1);
    if (state->first_manager(state->ctx, consumer->id, &manager))
        apply_put_due(purge->apply, purge->now_ms, KR_DUE_MANAGERS, bytes_text(consumer->id));
    state->delete_consumer(state->ctx, consumer);
    purge->apply->purged++;
    return true;
}

static void purge_key(struct purge *purge, struct bytes digest)
{
    struct key key;
    if (digest.size == KR_DIGEST_SIZE &&
        purge->state->get_key(purge->state->ctx, digest.data, &key) &&
        apply_key_is_revoked(purge->apply, &key))
        remove_key(purge, &key);
}

static bool purge_consumer(struct purge *purge, const char *id)
{
    struct consumer consumer;
    if (!purge->state->get_consumer(purge->state->ctx, id, &consumer) || !consumer.is_deleted)
        return true;
    return remove_consumer(purge, &consumer);
}

static bool purge_bucket(struct purge *purge, const char *id)
{
    const struct apply_state *state = purge->state;
    struct bucket bucket;
    struct consumer consumer;
    if (!state->get_bucket(state->ctx, id, &bucket) || !bucket.is_deleted)
        return true;
    while (has_room(purge) && state->first_consumer(state->ctx, id, &consumer))
        if (!remove_consumer(purge, &consumer))
            return false;
    if (!has_room(purge))
        return false;
    state->delete_bucket(state->ctx, &bucket);
    purge->apply->purged++;
    return true;
}

static void purge_idempotency(struct purge *purge, struct bytes scope)
{
    const struct apply_state *state = purge->state;
    struct idempotency stored;
    if (scope.size == KR_DIGEST_SIZE && state->get_idempotency(state->ctx, scope.data, &stored) &&
        stored.expires_ms <= purge->now_ms) {
        state->delete_idempotency(state->ctx, scope.data);
        purge->apply->purged++;
    }
}

static void purge_receipt(struct purge *purge, struct bytes id)
{
    uint64_t index;
    if (id.size != sizeof(index))
        return;
    memcpy(&index, id.data, sizeof(index));
    purge->state->delete_receipt(purge->state->ctx, be64toh(index));
    purge->apply->purged++;
}

static bool purge_managers(struct purge *purge, const char *consumer_id)
{
    const struct apply_state *state = purge->state;
    struct manager manager;
    while (state->first_manager(state->ctx, consumer_id, &manager)) {
        if (!has_room(purge))
            return false;
        state->delete_manager(state->ctx, &manager);
        purge->apply->purged++;
    }
    return true;
}

// False when the limit came before the end of what the row names.
static bool purge_row(struct purge *purge, const struct apply_due_row *row)
{
    switch (row->kind) {
    case KR_DUE_KEY:
        purge_key(purge, row->id);
        return true;
    case KR_DUE_CONSUMER:
        return purge_consumer(purge, arena_text_of(purge->apply->arena, row->id));
    case KR_DUE_BUCKET:
        return purge_bucket(purge, arena_text_of(purge->apply->arena, row->id));
    case KR_DUE_IDEMPOTENCY:
        purge_idempotency(purge, row->id);
        return true;
    case KR_DUE_RECEIPT:
        purge_receipt(purge, row->id);
        return true;
    case KR_DUE_MANAGERS:
        return purge_managers(purge, arena_text_of(purge->apply->arena, row->id));
    }
    return true;
}

static void purge_group(struct apply *apply, const struct command_purge *command,
                        enum apply_due_group group)
{
    struct purge purge = {.apply = apply,
                          .state = apply->state,
                          .now_ms = command->now_ms,
                          .end = apply->purged + command->limit};
    struct apply_due_row row;
    while (has_room(&purge) &&
           apply->state->first_due(apply->state->ctx, group, command->now_ms, &row)) {
        uint64_t before = apply->purged;
        if (!purge_row(&purge, &row))
            break;
        apply->state->delete_due(apply->state->ctx, &row);
        // A row that names nothing any more counts too, or a purge of such rows had no bound.
        if (apply->purged == before)
            apply->purged++;
    }
}

enum apply_due_group apply_due_group(enum apply_due kind)
{
    switch (kind) {
    case KR_DUE_KEY:
    case KR_DUE_CONSUMER:
    case KR_DUE_BUCKET:
        return KR_DUE_OF_VALIDATION;
    case KR_DUE_IDEMPOTENCY:
    case KR_DUE_RECEIPT:
    case KR_DUE_MANAGERS:
        break;
    }
    return KR_DUE_OF_CORE;
}

// They have no due rows: their own order is that of their times.
static void purge_audits(struct apply *apply, const struct command_purge *command)
{
    const struct apply_state *state = apply->state;
    uint64_t end = apply->purged + command->limit, index;
    int64_t at_ms;
    while (apply->purged < end &&
           state->first_audit(state->ctx, command->audit_until_ms, &at_ms, &index)) {
        state->delete_audit(state->ctx, at_ms, index);
        apply->purged++;
    }
}

enum apply_code apply_purge(struct apply *apply, const struct command_purge *command)
{
    purge_group(apply, command, KR_DUE_OF_VALIDATION);
    purge_group(apply, command, KR_DUE_OF_CORE);
    if (command->audit_until_ms > 0)
        purge_audits(apply, command);
    return KR_APPLY_OK;
}
