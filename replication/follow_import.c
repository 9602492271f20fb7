// SPDX-License-Identifier: Apache-2.0
// The session's snapshot: asked for, written beside the state in use, checked, and taken up again
// where a lost link left it.
#include "replication/follow_internal.h"

#include "core/base/hash.h"

void follow_rebuild(struct follow *follow, uint64_t now_ms, const struct fault *why)
{
    (void)now_ms;
    follow->options.carry->must_rebuild = true;
    lease_forget(follow->options.lease, 0);
    follow->options.owner.differs(follow->options.owner.ctx, why);
}

// --- asking --------------------------------------------------------------------------------------

static void drop_import(struct follow *follow)
{
    if (follow->import != NULL)
        follow->options.state->import_close(&follow->import);
}

// Asks for the rows behind what is safe of this snapshot.
static enum kr_err ask_for(struct follow *follow, const struct store_position *position,
                           struct fault *fault)
{
    const struct state *state = follow->options.state;
    uint8_t family = 0;
    drop_import(follow);
    arena_reset(&follow->request_arena);
    enum kr_err err = state->import_open(state->ctx, position, &follow->import, fault);
    if (err != KR_ERR_OK)
        return err;
    follow->import_position = *position;
    follow->request = (struct peer_snapshot_request){.index = position->index};
    if (state->import_resume(follow->import, &follow->request_arena, &family,
                             &follow->request.last_key))
        follow->request.family = family;
    follow->owes_request = true;
    return KR_ERR_OK;
}

enum kr_err follow_request(struct follow *follow, uint64_t now_ms, struct fault *fault)
{
    const struct state *state = follow->options.state;
    struct store_position pending;
    follow_enter(follow, KR_FOLLOW_REQUESTING, now_ms);
    if (!follow->has_tried_pending && state->import_pending(state->ctx, &pending)) {
        follow->has_tried_pending = true;
        return ask_for(follow, &pending, fault);
    }
    follow->request = (struct peer_snapshot_request){0};
    follow->owes_request = true;
    return KR_ERR_OK;
}

// --- the offer -----------------------------------------------------------------------------------

static enum kr_err position_of(const struct peer_position *from, struct store_position *out,
                               struct fault *fault)
{
    *out =
        (struct store_position){.index = from->index, .epoch = from->epoch, .chain = from->chain};
    for (size_t i = 0; i < from->digests.count; i++) {
        const struct peer_digest *one = &from->digests.items[i];
        if (one->class >= KR_CLASS_COUNT)
            return fault_set(fault, KR_ERR_VERSION,
                             "peer frame: a snapshot with records of class %u, which this version "
                             "does not know",
                             one->class);
        out->digest[one->class] = one->sum;
    }
    return KR_ERR_OK;
}

// What was begun is taken up when the upstream still has it, which only asking tells: a second
// offer is the answer that it has not.
enum kr_err follow_take_offer(struct follow *follow, const struct peer_position *offer,
                              uint64_t now_ms, struct fault *fault)
{
    const struct state *state = follow->options.state;
    struct store_position position, pending;
    enum kr_err err = position_of(offer, &position, fault);
    if (err != KR_ERR_OK)
        return err;
    lease_forget(follow->options.lease, 0);
    follow_rows_drop(follow);
    follow_enter(follow, KR_FOLLOW_REQUESTING, now_ms);
    if (!follow->has_tried_pending && state->import_pending(state->ctx, &pending)) {
        follow->has_tried_pending = true;
        return ask_for(follow, &pending, fault);
    }
    return ask_for(follow, &position, fault);
}

// --- rows ----------------------------------------------------------------------------------------

// A link that breaks costs the parts: what is taken up again begins behind a row.
static enum kr_err add_part(struct follow *follow, const struct peer_snapshot_chunk *chunk,
                            struct fault *fault)
{
    struct buf *parts = &follow->chunk;
    if (parts->size == 0)
        follow->chunk_size = chunk->rows_size;
    if (chunk->rows_offset != parts->size || chunk->rows.size == 0 ||
        chunk->rows_size != follow->chunk_size ||
        chunk->rows.size > chunk->rows_size - chunk->rows_offset)
        return fault_set(fault, KR_ERR_INVALID,
                         "peer frame: SnapshotChunk's part at %llu of %llu bytes is out of place",
                         (unsigned long long)chunk->rows_offset,
                         (unsigned long long)chunk->rows_size);
    buf_add_bytes(parts, chunk->rows);
    return buf_result(parts);
}

static enum kr_err add_rows(struct follow *follow, const struct peer_snapshot_chunk *chunk,
                            struct bytes rows, struct fault *fault)
{
    const struct store_chunk whole = {.family = (uint8_t)chunk->family,
                                      .rows = rows,
                                      .last_key = chunk->last_key,
                                      .row_count = chunk->row_count,
                                      .checksum = chunk->checksum,
                                      .is_last = chunk->is_last};
    if (hash_u64(rows, 0) != chunk->checksum)
        return fault_set(fault, KR_ERR_CORRUPT, "peer frame: SnapshotChunk's checksum differs");
    enum kr_err err = follow->options.state->import_add(follow->import, &whole, fault);
    if (err != KR_ERR_OK)
        return err;
    follow->snapshot_rows += chunk->row_count;
    follow->snapshot_bytes += rows.size;
    follow->snapshot_total_bytes = chunk->estimated_bytes;
    return KR_ERR_OK;
}

enum kr_err follow_take_chunk(struct follow *follow, const struct peer_snapshot_chunk *chunk,
                              uint64_t now_ms, struct fault *fault)
{
    struct buf *parts = &follow->chunk;
    if (follow->import == NULL || chunk->family > UINT8_MAX)
        return fault_set(fault, KR_ERR_INVALID, "peer frame: SnapshotChunk out of place");
    if (follow->state == KR_FOLLOW_REQUESTING)
        follow_enter(follow, KR_FOLLOW_IMPORTING, now_ms);
    if (chunk->rows_size == 0 && parts->size == 0)
        return add_rows(follow, chunk, chunk->rows, fault);
    enum kr_err err = add_part(follow, chunk, fault);
    if (err != KR_ERR_OK || parts->size < chunk->rows_size)
        return err;
    err = add_rows(follow, chunk, buf_bytes(parts), fault);
    buf_fini(parts);
    buf_init(parts, KR_PEER_ENTRY_MAX);
    return err;
}

static bool is_same(const struct store_position *a, const struct store_position *b)
{
    for (size_t class = 0; class < KR_CLASS_COUNT; class ++)
        if (!hash_equal(a->digest[class], b->digest[class]))
            return false;
    return a->index == b->index && a->epoch == b->epoch && hash_equal(a->chain, b->chain);
}

enum kr_err follow_take_end(struct follow *follow, const struct peer_position *end, uint64_t now_ms,
                            struct fault *fault)
{
    struct store_position position;
    enum kr_err err = position_of(end, &position, fault);
    if (err != KR_ERR_OK)
        return err;
    if (follow->import == NULL || !is_same(&position, &follow->import_position))
        return fault_set(fault, KR_ERR_INVALID,
                         "peer frame: SnapshotEnd of another snapshot than was asked for");
    follow_enter(follow, KR_FOLLOW_FINISHING, now_ms);
    follow->options.owner.received(follow->options.owner.ctx, follow->import);
    return KR_ERR_OK;
}

// What did not stand its check was dropped, so that the next session asks anew.
enum kr_err follow_finished(struct follow *follow, enum kr_err err, const struct fault *finish,
                            uint64_t now_ms, struct fault *fault)
{
    drop_import(follow);
    if (err != KR_ERR_OK) {
        follow_enter(follow, KR_FOLLOW_ENDED, now_ms);
        *fault = *finish;
        return err;
    }
    follow_enter(follow, KR_FOLLOW_REPLACED, now_ms);
    return KR_ERR_OK;
}
