// SPDX-License-Identifier: Apache-2.0
// Apply: one entry, from the look for a stored answer to the rows that stand beside its changes.
//
// idempotency → operations in order → receipt → audit → stored answer. It ends at the first code
// other than OK; the store then forgets the writes of the operations before it.
#include "core/keys/apply.h"

#include <endian.h>
#include <string.h>

#include "core/keys/apply_internal.h"

#define KR_RECEIPT_KEPT_MS ((int64_t)30 * 24 * 60 * 60 * 1000)

void apply_note_revoked(struct apply *apply, const char *target, uint64_t keys)
{
    if (apply->receipt_target == NULL)
        apply->receipt_target = target;
    apply->keys += keys;
}

bool apply_get_live_bucket(const struct apply *apply, const char *id, struct bucket *out)
{
    return apply->state->get_bucket(apply->state->ctx, id, out) && !out->is_deleted;
}

bool apply_get_live_consumer(const struct apply *apply, const char *id, struct consumer *out,
                             struct bucket *bucket)
{
    return apply->state->get_consumer(apply->state->ctx, id, out) && !out->is_deleted &&
           apply_get_live_bucket(apply, out->bucket_id, bucket);
}

bool apply_differs(const char *given, const char *stored)
{
    return given != NULL && strcmp(given, stored) != 0;
}

void apply_put_due(const struct apply *apply, int64_t at_ms, enum apply_due kind, struct bytes id)
{
    struct apply_due_row row = {.at_ms = at_ms, .kind = kind, .id = id};
    apply->state->put_due(apply->state->ctx, &row);
}

// An answer that has expired makes way, with the due row that would purge the new one too early.
static enum apply_code check_idempotency(struct apply *apply)
{
    const struct idempotency *asked = apply->entry->command.idempotency;
    const struct apply_state *state = apply->state;
    struct idempotency stored;
    if (asked == NULL || !state->get_idempotency(state->ctx, asked->scope, &stored))
        return KR_APPLY_OK;
    if (stored.expires_ms > apply->at_ms)
        return KR_APPLY_DUPLICATE;
    struct apply_due_row row = {.at_ms = stored.expires_ms,
                                .kind = KR_DUE_IDEMPOTENCY,
                                .id = bytes_of(asked->scope, KR_DIGEST_SIZE)};
    state->delete_due(state->ctx, &row);
    return KR_APPLY_OK;
}

static enum apply_code apply_op(struct apply *apply, const struct command_op *op)
{
    switch (op->kind) {
    case KR_OP_CLUSTER_INIT:
        apply->state->put_cluster(apply->state->ctx, &op->as.cluster_init);
        return KR_APPLY_OK;
    case KR_OP_BUCKET_PUT:
        return apply_bucket_put(apply, &op->as.bucket_put);
    case KR_OP_BUCKET_DELETE:
        return apply_bucket_delete(apply, &op->as.target);
    case KR_OP_BUCKET_REVOKE:
        return apply_bucket_revoke(apply, &op->as.target);
    case KR_OP_CONSUMER_PUT:
        return apply_consumer_put(apply, &op->as.consumer_put);
    case KR_OP_CONSUMER_DELETE:
        return apply_consumer_delete(apply, &op->as.target);
    case KR_OP_CONSUMER_REVOKE:
        return apply_consumer_revoke(apply, &op->as.target);
    case KR_OP_KEY_PUT:
        return apply_key_put(apply, &op->as.key_put);
    case KR_OP_KEY_REVOKE:
        return apply_key_revoke(apply, &op->as.key_revoke);
    case KR_OP_MANAGER_PUT:
        return apply_manager_put(apply, &op->as.manager_put);
    case KR_OP_MANAGER_DELETE:
        return apply_manager_delete(apply, &op->as.manager_delete);
    case KR_OP_VAULT_PUT:
        return apply_vault_put(apply, &op->as.vault_put);
    case KR_OP_PURGE:
        return apply_purge(apply, &op->as.purge);
    case KR_OP_MEMBER_PUT:
        return apply_member_put(apply, &op->as.member_put);
    case KR_OP_MEMBER_REMOVE:
        return apply_member_remove(apply, &op->as.member_remove);
    case KR_OP_LEAD:
        return apply_lead(apply, &op->as.lead);
    case KR_OP_VAULT_VERSION:
        return apply_vault_version(apply, &op->as.vault_version);
    }
    return KR_APPLY_REFUSED; // a number that is no operation; the codec lets none through
}

static void put_receipt(struct apply *apply)
{
    if (apply->receipt_target == NULL)
        return;
    struct receipt receipt = {.index = apply->entry->index,
                              .target = apply->receipt_target,
                              .requested_ms = apply->entry->command.requested_ms,
                              .committed_ms = apply->at_ms,
                              .keys = apply->keys};
    apply->state->put_receipt(apply->state->ctx, &receipt);
    uint64_t id = htobe64(receipt.index);
    apply_put_due(apply, apply->at_ms + KR_RECEIPT_KEPT_MS, KR_DUE_RECEIPT,
                  bytes_of(&id, sizeof(id)));
}

static void put_audit(struct apply *apply)
{
    if (apply->entry->command.audit == NULL)
        return;
    struct audit audit = *apply->entry->command.audit;
    audit.at_ms = apply->at_ms;
    audit.index = apply->entry->index;
    apply->state->put_audit(apply->state->ctx, &audit);
}

static void put_idempotency(struct apply *apply)
{
    if (apply->entry->command.idempotency == NULL)
        return;
    struct idempotency answer = *apply->entry->command.idempotency;
    answer.index = apply->entry->index;
    apply->state->put_idempotency(apply->state->ctx, &answer);
    apply_put_due(apply, answer.expires_ms, KR_DUE_IDEMPOTENCY,
                  bytes_of(answer.scope, KR_DIGEST_SIZE));
}

struct apply_result apply_entry(const struct apply_state *state, const struct entry *entry,
                                struct arena *arena)
{
    struct apply apply = {
        .state = state, .entry = entry, .arena = arena, .at_ms = entry->at_unix_us / 1000};
    enum apply_code code = check_idempotency(&apply);
    if (code != KR_APPLY_OK)
        return (struct apply_result){.code = code};
    for (size_t op = 0; op < entry->command.op_count; op++) {
        code = apply_op(&apply, &entry->command.ops[op]);
        if (code != KR_APPLY_OK)
            return (struct apply_result){.code = code, .op = (uint32_t)op};
    }
    put_receipt(&apply);
    put_audit(&apply);
    put_idempotency(&apply);
    return (struct apply_result){.code = code, .keys = apply.keys, .purged = apply.purged};
}
