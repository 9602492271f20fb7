// SPDX-License-Identifier: Apache-2.0
// The rest of the state as apply sees it: what only core nodes hold, what is due, and the counts.
#include "core/store/store_state.h"

#include "proto/codec.h"

// --- managers, vault, answers, receipts, audit ---------------------------------------------------
static bool read_manager(struct store_state *state, const struct rows_key *key, struct manager *out)
{
    struct bytes value;
    if (!store_state_get(state, KR_INDEX_USERS, key, &value)) {
        return false;
    }
    enum kr_err err = codec_manager(value, &state->store->arena, out);
    store_state_note(state, KR_INDEX_USERS, err);
    return err == KR_ERR_OK;
}

static bool get_manager(void *ctx, const char *consumer_id, const char *manager_id,
                        struct manager *out)
{
    struct rows_key key;
    rows_pair(&key, consumer_id, manager_id);
    return read_manager(ctx, &key, out);
}

static void put_manager(void *ctx, const struct manager *record)
{
    struct rows_key key;
    struct buf *out = store_state_record(ctx);
    codec_add_manager(out, record);
    rows_pair(&key, record->consumer_id, record->id);
    store_state_put_record(ctx, KR_CLASS_CORE, KR_INDEX_USERS, &key, buf_bytes(out));
}

static void delete_manager(void *ctx, const struct manager *record)
{
    struct rows_key key;
    rows_pair(&key, record->consumer_id, record->id);
    store_state_delete_record(ctx, KR_CLASS_CORE, KR_INDEX_USERS, &key);
}

static void put_sealed(void *ctx, const struct sealed *record)
{
    struct rows_key key;
    struct buf *out = store_state_record(ctx);
    codec_add_sealed(out, record);
    rows_text(&key, record->key_id);
    store_state_put_record(ctx, KR_CLASS_CORE, KR_INDEX_VAULT, &key, buf_bytes(out));
}

static void get_sealed_versions(void *ctx, struct sealed_versions *out)
{
    struct store_state *state = ctx;
    struct rows_key key;
    struct bytes value;
    *out = (struct sealed_versions){0};
    rows_text(&key, KR_ROWS_VAULT_VERSIONS);
    if (store_state_get(state, KR_INDEX_VAULT, &key, &value)) {
        store_state_note(state, KR_INDEX_VAULT,
                         codec_sealed_versions(value, &state->store->arena, out));
    }
}

static void put_sealed_versions(void *ctx, const struct sealed_versions *record)
{
    struct rows_key key;
    struct buf *out = store_state_record(ctx);
    codec_add_sealed_versions(out, record);
    rows_text(&key, KR_ROWS_VAULT_VERSIONS);
    store_state_put_record(ctx, KR_CLASS_CORE, KR_INDEX_VAULT, &key, buf_bytes(out));
}

static bool get_idempotency(void *ctx, const uint8_t scope[KR_DIGEST_SIZE], struct idempotency *out)
{
    struct store_state *state = ctx;
    struct rows_key key;
    struct bytes value;
    rows_digest(&key, scope, KR_DIGEST_SIZE);
    if (!store_state_get(state, KR_INDEX_IDEMPOTENCY, &key, &value)) {
        return false;
    }
    enum kr_err err = codec_idempotency(value, &state->store->arena, out);
    store_state_note(state, KR_INDEX_IDEMPOTENCY, err);
    return err == KR_ERR_OK;
}

static void put_idempotency(void *ctx, const struct idempotency *record)
{
    struct rows_key key;
    struct buf *out = store_state_record(ctx);
    codec_add_idempotency(out, record);
    rows_digest(&key, record->scope, KR_DIGEST_SIZE);
    store_state_put_record(ctx, KR_CLASS_CORE, KR_INDEX_IDEMPOTENCY, &key, buf_bytes(out));
}

static void delete_idempotency(void *ctx, const uint8_t scope[KR_DIGEST_SIZE])
{
    struct rows_key key;
    rows_digest(&key, scope, KR_DIGEST_SIZE);
    store_state_delete_record(ctx, KR_CLASS_CORE, KR_INDEX_IDEMPOTENCY, &key);
}

static void put_receipt(void *ctx, const struct receipt *record)
{
    struct rows_key key;
    struct buf *out = store_state_record(ctx);
    codec_add_receipt(out, record);
    rows_index(&key, record->index);
    store_state_put_record(ctx, KR_CLASS_CORE, KR_INDEX_RECEIPTS, &key, buf_bytes(out));
}

static void delete_receipt(void *ctx, uint64_t index)
{
    struct rows_key key;
    rows_index(&key, index);
    store_state_delete_record(ctx, KR_CLASS_CORE, KR_INDEX_RECEIPTS, &key);
}

// A row was put, which may come before all others; its entry may be undone.
static void note_first(struct store_due *first, int64_t at_ms)
{
    if (at_ms < first->from_ms) {
        first->from_ms = at_ms;
        first->is_known = false;
    }
}

// An entry has one audit row, and its index is in the row's key: there can be no older one.
static void put_audit(void *ctx, const struct audit *record)
{
    struct rows_key key;
    struct buf *out = store_state_record(ctx);
    codec_add_audit(out, record);
    rows_audit(&key, record->at_ms, record->index);
    store_state_put_new_record(ctx, KR_CLASS_CORE, KR_INDEX_AUDIT, &key, buf_bytes(out));
    note_first(&((struct store_state *)ctx)->store->audits, record->at_ms);
}

static void delete_audit(void *ctx, int64_t at_ms, uint64_t index)
{
    struct store_state *state = ctx;
    struct rows_key key;
    rows_audit(&key, at_ms, index);
    store_state_delete_record(state, KR_CLASS_CORE, KR_INDEX_AUDIT, &key);
    state->store->audits.is_known = false;
}

static bool first_audit(void *ctx, int64_t until_ms, int64_t *at_ms, uint64_t *index)
{
    struct store_state *state = ctx;
    struct rows_key from;
    struct bytes key;
    rows_time(&from, state->store->audits.from_ms);
    if (!stage_first(state->store->stage, KR_INDEX_AUDIT, bytes_text(""), rows_key_bytes(&from),
                     &key)) {
        return false;
    }
    if (!rows_read_audit(key, at_ms, index)) {
        store_state_note(state, KR_INDEX_AUDIT, KR_ERR_CORRUPT);
        return false;
    }
    return *at_ms < until_ms;
}

// --- what is due ---------------------------------------------------------------------------------
static enum store_class class_of(const struct apply_due_row *row)
{
    return apply_due_group(row->kind) == KR_DUE_OF_VALIDATION ? KR_CLASS_DUE : KR_CLASS_CORE;
}

static bool is_held(const struct store_state *state, enum apply_due_group group)
{
    return group == KR_DUE_OF_VALIDATION || store_state_holds_core(state);
}

static void put_due(void *ctx, const struct apply_due_row *row)
{
    struct store_state *state = ctx;
    struct store_due *due = &state->store->due[apply_due_group(row->kind)];
    struct rows_key key;
    if (!is_held(state, apply_due_group(row->kind))) {
        return;
    }
    rows_due(&key, row);
    store_state_put_record(state, class_of(row), KR_INDEX_DUE, &key, bytes_text(""));
    note_first(due, row->at_ms);
}

static void delete_due(void *ctx, const struct apply_due_row *row)
{
    struct store_state *state = ctx;
    struct rows_key key;
    if (!is_held(state, apply_due_group(row->kind))) {
        return;
    }
    rows_due(&key, row);
    store_state_delete_record(state, class_of(row), KR_INDEX_DUE, &key);
    state->store->due[apply_due_group(row->kind)].is_known = false;
}

static bool first_due(void *ctx, enum apply_due_group group, int64_t until_ms,
                      struct apply_due_row *out)
{
    struct store_state *state = ctx;
    struct rows_key prefix, from;
    struct bytes key;
    if (!is_held(state, group)) {
        return false;
    }
    rows_due_group(&prefix, group);
    rows_due_from(&from, group, state->store->due[group].from_ms);
    if (!stage_first(state->store->stage, KR_INDEX_DUE, rows_key_bytes(&prefix),
                     rows_key_bytes(&from), &key)) {
        return false;
    }
    if (!rows_read_due(key, out)) {
        store_state_note(state, KR_INDEX_DUE, KR_ERR_CORRUPT);
        return false;
    }
    return out->at_ms <= until_ms;
}

// --- counts --------------------------------------------------------------------------------------
// What the index holds of a consumer's keys, and what this commit has changed of it.
static uint64_t keys_of_consumer(struct store_state *state, const char *id)
{
    struct store *store = state->store;
    uint64_t count = 0;
    if (!store_counts_find(store, id, &count) &&
        store_counts_scan(store, NULL, id, UINT64_MAX, &count, NULL) != KR_ERR_OK) {
        store_state_note(state, KR_INDEX_CONSUMER_KEYS, KR_ERR_CORRUPT);
    }
    for (size_t i = 0; i < state->change_count; i++) {
        const struct store_change *change = &state->changes[i];
        bool is_new = change->kind == KR_CHANGE_KEY && change->as.key->is_new;
        bool is_gone = change->kind == KR_CHANGE_KEY_GONE;
        if ((is_new || is_gone) && strcmp(change->as.key->consumer_id, id) == 0) {
            count += is_new ? 1 : UINT64_MAX;
        }
    }
    return count;
}

static uint64_t get_count(void *ctx, char what, const char *id)
{
    struct store_state *state = ctx;
    struct rows_key key;
    struct bytes value;
    uint64_t count = 0;
    if (what == 'k') {
        return keys_of_consumer(state, id);
    }
    rows_tagged(&key, what, id);
    if (store_state_get(state, KR_INDEX_COUNTS, &key, &value) && !rows_get_u64(value, &count)) {
        store_state_note(state, KR_INDEX_COUNTS, KR_ERR_CORRUPT);
    }
    return count;
}

static void add_count(void *ctx, char what, const char *id, int64_t by)
{
    struct store_state *state = ctx;
    struct rows_key key;
    if (what == 'k') {
        return; // follows from the keys
    }
    uint64_t count = get_count(ctx, what, id) + (uint64_t)by;
    rows_tagged(&key, what, id);
    if (count > INT64_MAX) { // below zero: rows were counted that are not there
        store_state_note(state, KR_INDEX_COUNTS, KR_ERR_CORRUPT);
    } else if (count == 0) {
        store_state_delete(state, KR_INDEX_COUNTS, &key);
    } else {
        uint8_t value[KR_ROWS_U64_SIZE];
        rows_put_u64(value, count);
        store_state_put(state, KR_INDEX_COUNTS, &key, bytes_of(value, sizeof value));
    }
}

// --- the verbs -----------------------------------------------------------------------------------
static bool first_manager(void *ctx, const char *consumer_id, struct manager *out)
{
    struct store_state *state = ctx;
    struct rows_key prefix, found;
    struct bytes key;
    rows_pair(&prefix, consumer_id, NULL);
    if (!stage_first(state->store->stage, KR_INDEX_USERS, rows_key_bytes(&prefix),
                     (struct bytes){0}, &key)) {
        return false;
    }
    rows_digest(&found, key.data, key.size);
    return read_manager(ctx, &found, out);
}

void store_state_add_core(struct apply_state *verbs)
{
    verbs->get_manager = get_manager;
    verbs->put_manager = put_manager;
    verbs->delete_manager = delete_manager;
    verbs->put_sealed = put_sealed;
    verbs->get_sealed_versions = get_sealed_versions;
    verbs->put_sealed_versions = put_sealed_versions;
    verbs->get_idempotency = get_idempotency;
    verbs->put_idempotency = put_idempotency;
    verbs->delete_idempotency = delete_idempotency;
    verbs->put_receipt = put_receipt;
    verbs->delete_receipt = delete_receipt;
    verbs->put_audit = put_audit;
    verbs->delete_audit = delete_audit;
    verbs->first_audit = first_audit;
    verbs->put_due = put_due;
    verbs->delete_due = delete_due;
    verbs->first_due = first_due;
    verbs->first_manager = first_manager;
    verbs->get_count = get_count;
    verbs->add_count = add_count;
}
