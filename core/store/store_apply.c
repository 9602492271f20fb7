// SPDX-License-Identifier: Apache-2.0
// The commit: rows of the log → state, log rows and position in one batch → hot table.
//
// The happy path is store_apply. It fails before anything is written when a row does
// not continue the log (CORRUPT) or cannot be decoded (CORRUPT, VERSION), when a read meets damage
// (CORRUPT, IO), or when the disk is too full (DISK_FULL); and at the write itself, of which
// RocksDB keeps all or nothing (DISK_FULL, IO, CORRUPT).
#include "core/store/store_commit.h"

#include <assert.h>

#include "proto/codec.h"

// What an entry whose precondition failed must leave as it was.
struct undo {
    size_t stage_mark, change_count;
    struct hash128 digest[KR_CLASS_COUNT];
};

static struct undo mark(const struct store_state *state)
{
    struct undo undo = {.stage_mark = stage_mark(state->store->stage),
                        .change_count = state->change_count};
    memcpy(undo.digest, state->position.digest, sizeof undo.digest);
    return undo;
}

static void undo(struct store_state *state, const struct undo *undo)
{
    stage_undo(state->store->stage, undo->stage_mark);
    state->change_count = undo->change_count;
    memcpy(state->position.digest, undo->digest, sizeof undo->digest);
}

// The row must be the next one of this log.
static enum kr_err decode(struct store_state *state, uint64_t index, struct bytes bytes,
                          struct entry *entry, struct fault *fault)
{
    const struct store_position *position = &state->position;
    enum kr_err err = codec_entry(bytes, &state->store->arena, entry);
    if (err != KR_ERR_OK) {
        return fault_set(fault, err,
                         "log entry %llu cannot be read: %s; use the version that wrote it, or let "
                         "the node join again",
                         (unsigned long long)index, err_text(err));
    }
    if (index != position->index + 1 || entry->index != index || entry->epoch < position->epoch) {
        return fault_set(fault, KR_ERR_CORRUPT,
                         "log entry %llu of epoch %llu does not follow entry %llu of epoch %llu",
                         (unsigned long long)entry->index, (unsigned long long)entry->epoch,
                         (unsigned long long)position->index, (unsigned long long)position->epoch);
    }
    return KR_ERR_OK;
}

void store_commit_begin(struct store_commit *commit, struct store *store, size_t capacity)
{
    commit->rows = mem_alloc((capacity + 1) * sizeof *commit->rows);
    commit->count = 0;
    commit->at_ms = store->log_last_at_ms;
    store_state_init(&commit->state, store);
}

enum kr_err store_commit_apply(struct store_commit *commit, uint64_t index, struct bytes bytes,
                               struct apply_result *result, struct fault *fault)
{
    struct store_state *state = &commit->state;
    struct store *store = state->store;
    struct apply_state verbs = store_state_verbs(state);
    struct entry entry;
    enum kr_err err = decode(state, index, bytes, &entry, fault);
    if (err != KR_ERR_OK) {
        return err;
    }
    struct undo before = mark(state);
    state->index = index;
    *result = apply_entry(&verbs, &entry, &store->arena);
    if (result->code != KR_APPLY_OK) {
        undo(state, &before);
    }
    commit->epoch = entry.epoch;
    commit->at_ms = entry.at_unix_us / 1000;
    if (state->fault.err != KR_ERR_OK) {
        *fault = state->fault;
        return state->fault.err;
    }
    return stage_result(store->stage, fault);
}

void store_commit_add(struct store_commit *commit, const struct rows_log *row)
{
    struct store_position *position = &commit->state.position;
    commit->rows[commit->count] = *row;
    commit->rows[commit->count++].at_ms = commit->at_ms;
    position->index++;
    position->epoch = row->epoch;
    position->chain = row->chain;
}

static void put_log_row(struct store *store, uint64_t index, const struct rows_log *row)
{
    struct rows_key key;
    uint8_t head[KR_ROWS_LOG_HEAD];
    rows_put_log_head(head, index, row);
    buf_clear(&store->scratch);
    buf_add(&store->scratch, head, sizeof head);
    buf_add_bytes(&store->scratch, row->entry);
    rows_index(&key, index);
    index_batch_put(store->index, store->batch, KR_INDEX_LOG, rows_key_bytes(&key),
                    buf_bytes(&store->scratch));
}

void store_put_applied(struct store *store, const struct rows_applied *applied)
{
    uint8_t value[KR_ROWS_APPLIED_SIZE];
    rows_put_applied(value, applied);
    index_batch_put(store->index, store->batch, KR_INDEX_META, bytes_text(KR_ROWS_APPLIED),
                    bytes_of(value, sizeof value));
}

// Fills the batch with everything that the rows change, and says where that leads.
static void fill_batch(struct store *store, const struct store_commit *commit,
                       struct rows_applied *applied)
{
    uint64_t first = store->applied.position.index + 1;
    *applied = store->applied;
    applied->position = commit->state.position;
    index_batch_clear(store->batch);
    stage_write(store->stage, store->batch);
    for (size_t i = 0; i < commit->count; i++) {
        put_log_row(store, first + i, &commit->rows[i]);
        applied->log_bytes += KR_ROWS_LOG_HEAD + commit->rows[i].entry.size;
    }
    applied->log_first = applied->log_first ? applied->log_first : first;
    store_put_applied(store, applied);
}

static enum kr_err write_batch(struct store *store, const struct rows_applied *applied,
                               struct fault *fault)
{
    enum kr_err err = store_check_space(store, index_batch_bytes(store->batch), fault);
    if (err != KR_ERR_OK) {
        return err;
    }
    // What is safe elsewhere need not wait for this disk: a power loss costs the way back to where
    // the node was, and every answer a wait less.
    bool is_synced = store_is_synced(store);
    err = index_write(store->index, store->batch, store_waits_for_disk(store), fault);
    if (err == KR_ERR_DISK_FULL) {
        store->must_reopen = true;
    }
    if (err == KR_ERR_OK) {
        store->applied = *applied;
    }
    if (err == KR_ERR_OK && is_synced) {
        store_safe(store, applied->position.index);
    }
    return err;
}

enum kr_err store_commit_write(struct store_commit *commit, struct fault *fault)
{
    struct store *store = commit->state.store;
    struct rows_applied applied;
    if (commit->count == 0) {
        return KR_ERR_OK;
    }
    fill_batch(store, commit, &applied);
    enum kr_err err = write_batch(store, &applied, fault);
    if (err != KR_ERR_OK) {
        return err;
    }
    store_hot_apply(store, commit->state.changes, commit->state.change_count);
    store->log_last_at_ms = commit->at_ms;
    atomic_store_explicit(&store->log_first, store->applied.log_first, memory_order_relaxed);
    atomic_store_explicit(&store->applied_index, store->applied.position.index,
                          memory_order_release);
    return KR_ERR_OK;
}

void store_commit_end(struct store_commit *commit)
{
    struct store *store = commit->state.store;
    stage_clear(store->stage);
    arena_reset(&store->arena);
    store_state_fini(&commit->state);
    mem_free(commit->rows);
}

enum kr_err store_apply(struct store *store, const struct store_row *rows, size_t count,
                        struct apply_result results[], struct fault *fault)
{
    struct store_commit commit;
    struct fault unread = {.err = KR_ERR_OK};
    enum kr_err err = KR_ERR_OK;
    assert(store->options.holding == KR_HOLD_ALL);
    fault = fault ? fault : &unread;
    store_commit_begin(&commit, store, count);
    for (size_t i = 0; i < count && err == KR_ERR_OK; i++) {
        err = store_commit_apply(&commit, rows[i].index, rows[i].entry, &results[i], fault);
        if (err == KR_ERR_OK) {
            struct rows_log row = {
                .chain = hash_chain(commit.state.position.chain, rows[i].entry),
                .epoch = commit.epoch,
                .has_effect = results[i].code == KR_APPLY_OK,
                .entry = rows[i].entry,
            };
            store_commit_add(&commit, &row);
        }
    }
    if (err == KR_ERR_OK) {
        err = store_commit_write(&commit, fault);
    }
    store_commit_end(&commit);
    return err;
}
