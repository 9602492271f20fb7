// SPDX-License-Identifier: Apache-2.0
// The log's rows on their way to other nodes, and in from them.
//
// A child that holds all gets entries as they are, applies them as the leader did, and comes to the
// same chain. A follower gets its part of an entry (codec_entry_filter), or nothing where nothing
// is left of it or it had no effect; it adopts the chain, and is held against the digests of the
// classes that it has.
#include "core/store/store_stream.h"

#include "core/store/store_commit.h"
#include "proto/codec.h"

enum { KR_STREAM_CHANGES_MAX = 16384 }; // of a batch, before its last entry

// --- out -----------------------------------------------------------------------------------------
// The row as a follower holds it.
static enum kr_err filter(struct rows_log *row, struct arena *arena)
{
    struct buf part;
    if (!row->has_effect || row->entry.size == 0) {
        row->entry = (struct bytes){0};
        return KR_ERR_OK;
    }
    buf_init_fixed(&part, arena_alloc(arena, row->entry.size), row->entry.size);
    enum kr_err err = codec_entry_filter(row->entry, &part);
    row->entry = buf_bytes(&part);
    return err;
}

enum kr_err store_stream_read(struct store *store, uint64_t index, enum store_holding child,
                              struct arena *arena, struct store_stream_row *out,
                              struct fault *fault)
{
    const struct rows_applied *applied = &store->applied;
    struct rows_log row;
    if (child == KR_HOLD_ALL && store->options.holding != KR_HOLD_ALL) {
        return fault_set(fault, KR_ERR_UNSUPPORTED, "a follower cannot feed a core node");
    }
    if (applied->log_first == 0 || index < applied->log_first || index > applied->position.index) {
        return KR_ERR_NOT_FOUND;
    }
    enum kr_err err = store_log_row(store, index, arena, &row, fault);
    if (err == KR_ERR_NOT_FOUND) {
        err = store_damaged(store, KR_INDEX_LOG, fault);
    }
    if (err == KR_ERR_OK && child != store->options.holding) {
        err = filter(&row, arena);
        if (err != KR_ERR_OK) {
            err = store_damaged(store, KR_INDEX_LOG, fault);
        }
    }
    if (err == KR_ERR_OK) {
        *out = (struct store_stream_row){
            .index = index, .epoch = row.epoch, .chain = row.chain, .entry = row.entry};
    }
    return err;
}

// --- in ------------------------------------------------------------------------------------------
static enum kr_err differs(const struct store_stream_row *row, const char *what,
                           struct fault *fault)
{
    return fault_set(
        fault, KR_ERR_CONFLICT,
        "log entry %llu of epoch %llu does not fit this node's log (%s): the histories "
        "differ, and the node must take a snapshot",
        (unsigned long long)row->index, (unsigned long long)row->epoch, what);
}

static enum kr_err add_whole(struct store_commit *commit, const struct store_stream_row *row,
                             struct fault *fault)
{
    struct apply_result result;
    struct hash128 chain = hash_chain(commit->state.position.chain, row->entry);
    if (!hash_equal(chain, row->chain)) {
        return differs(row, "chain", fault);
    }
    enum kr_err err = store_commit_apply(commit, row->index, row->entry, &result, fault);
    if (err != KR_ERR_OK) {
        return err;
    }
    if (commit->epoch != row->epoch) {
        return differs(row, "epoch", fault);
    }
    store_commit_add(commit, &(struct rows_log){.chain = chain,
                                                .epoch = row->epoch,
                                                .has_effect = result.code == KR_APPLY_OK,
                                                .entry = row->entry});
    return KR_ERR_OK;
}

static enum kr_err apply_part(struct store_commit *commit, const struct store_stream_row *row,
                              struct fault *fault)
{
    struct apply_result result;
    if (row->entry.size == 0) {
        return KR_ERR_OK;
    }
    enum kr_err err = store_commit_apply(commit, row->index, row->entry, &result, fault);
    if (err != KR_ERR_OK) {
        return err;
    }
    if (commit->epoch != row->epoch) {
        return differs(row, "epoch", fault);
    }
    if (result.code != KR_APPLY_OK) {
        return fault_set(
            fault, KR_ERR_CORRUPT,
            "log entry %llu took effect at the leader and has none here (operation %u, "
            "code %d): this state is damaged, and the node must take a snapshot",
            (unsigned long long)row->index, result.op, (int)result.code);
    }
    return KR_ERR_OK;
}

static enum kr_err add_part(struct store_commit *commit, const struct store_stream_row *row,
                            struct fault *fault)
{
    enum kr_err err = apply_part(commit, row, fault);
    if (err == KR_ERR_OK) {
        store_commit_add(commit, &(struct rows_log){.chain = row->chain,
                                                    .epoch = row->epoch,
                                                    .has_effect = row->entry.size > 0,
                                                    .entry = row->entry});
    }
    return err;
}

static enum kr_err add_row(struct store_commit *commit, const struct store_stream_row *row,
                           struct fault *fault)
{
    const struct store_position *position = &commit->state.position;
    if (row->index != position->index + 1) {
        return fault_set(fault, KR_ERR_CORRUPT, "log entry %llu was sent behind entry %llu",
                         (unsigned long long)row->index, (unsigned long long)position->index);
    }
    if (row->epoch < position->epoch) {
        return differs(row, "epoch", fault);
    }
    return commit->state.store->options.holding == KR_HOLD_ALL ? add_whole(commit, row, fault)
                                                               : add_part(commit, row, fault);
}

// The rows from *done on, or as many as change so much that they are written before the rest, or as
// this version can read.
static enum kr_err commit_some(struct store *store, const struct store_stream_row *rows,
                               size_t count, size_t *done, struct fault *fault)
{
    struct store_commit commit;
    enum kr_err err = KR_ERR_OK;
    store_commit_begin(&commit, store, count - *done);
    while (*done < count && err == KR_ERR_OK && commit.state.change_count < KR_STREAM_CHANGES_MAX) {
        err = add_row(&commit, &rows[(*done)++], fault);
    }
    if (err == KR_ERR_OK || err == KR_ERR_VERSION) {
        enum kr_err written = store_commit_write(&commit, fault);
        err = written == KR_ERR_OK ? err : written;
    }
    store_commit_end(&commit);
    return err;
}

enum kr_err store_stream_apply(struct store *store, const struct store_stream_row *rows,
                               size_t count, struct fault *fault)
{
    struct fault unread = {.err = KR_ERR_OK};
    enum kr_err err = KR_ERR_OK;
    fault = fault ? fault : &unread;
    for (size_t done = 0; done < count && err == KR_ERR_OK;) {
        err = commit_some(store, rows, count, &done, fault);
    }
    return err;
}
