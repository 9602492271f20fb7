// SPDX-License-Identifier: Apache-2.0
// The session's stream: rows gathered over a turn, applied in one commit, and compared with the
// upstream's digests.
#include "replication/follow_internal.h"

#include <assert.h>

void follow_rows_begin(struct follow *follow, uint64_t applied_index)
{
    follow_rows_drop(follow);
    follow->next_index = applied_index + 1;
}

void follow_rows_drop(struct follow *follow)
{
    follow->row_count = follow->rows_bytes = 0;
    arena_reset(&follow->rows_arena);
    buf_fini(&follow->large);
    buf_init(&follow->large, KR_PEER_ENTRY_MAX);
    follow->large_row = (struct store_stream_row){0};
}

// --- gathering -----------------------------------------------------------------------------------

static void add_row(struct follow *follow, const struct peer_row *row, struct bytes entry)
{
    uint8_t *copy = arena_alloc(&follow->rows_arena, entry.size + 1);
    assert(follow->row_count < KR_FOLLOW_PENDING_ROWS);
    if (entry.size > 0)
        memcpy(copy, entry.data, entry.size);
    follow->rows[follow->row_count++] =
        (struct store_stream_row){.index = row->index,
                                  .epoch = row->epoch,
                                  .chain = row->chain,
                                  .entry = bytes_of(copy, entry.size)};
    follow->rows_bytes += entry.size;
    follow->next_index = row->index + 1;
}

static enum kr_err refuse_part(const struct peer_row *row, struct fault *fault)
{
    return fault_set(fault, KR_ERR_INVALID,
                     "peer frame: part of entry %llu at %llu is out of place",
                     (unsigned long long)row->index, (unsigned long long)row->entry_offset);
}

static enum kr_err add_part(struct follow *follow, const struct peer_row *row, struct fault *fault)
{
    struct store_stream_row *large = &follow->large_row;
    if (row->entry_offset != follow->large.size || row->entry.size == 0 ||
        row->entry_offset + row->entry.size > row->entry_size ||
        (large->index != 0 && large->entry.size != row->entry_size))
        return refuse_part(row, fault);
    *large = (struct store_stream_row){.index = row->index, .entry.size = row->entry_size};
    buf_add_bytes(&follow->large, row->entry);
    enum kr_err err = buf_result(&follow->large);
    if (err != KR_ERR_OK || follow->large.size < row->entry_size)
        return err;
    add_row(follow, row, buf_bytes(&follow->large));
    buf_fini(&follow->large);
    buf_init(&follow->large, KR_PEER_ENTRY_MAX);
    *large = (struct store_stream_row){0};
    return KR_ERR_OK;
}

static bool is_full(const struct follow *follow, const struct peer_row *row)
{
    return follow->row_count == KR_FOLLOW_PENDING_ROWS ||
           (follow->row_count > 0 &&
            follow->rows_bytes + row->entry.size > KR_FOLLOW_PENDING_BYTES);
}

static enum kr_err take_row(struct follow *follow, const struct peer_row *row, uint64_t now_ms,
                            struct fault *fault)
{
    enum kr_err err = is_full(follow, row) ? follow_apply(follow, now_ms, fault) : KR_ERR_OK;
    if (err != KR_ERR_OK || follow->state != KR_FOLLOW_STREAMING)
        return err;
    if (row->index != follow->next_index)
        return fault_set(fault, KR_ERR_INVALID,
                         "peer frame: Entries hold entry %llu where %llu should follow",
                         (unsigned long long)row->index, (unsigned long long)follow->next_index);
    if (row->entry_size != 0)
        return add_part(follow, row, fault);
    if (follow->large_row.index != 0)
        return refuse_part(row, fault);
    add_row(follow, row, row->entry);
    return KR_ERR_OK;
}

enum kr_err follow_take_entries(struct follow *follow, const struct peer_entries *entries,
                                uint64_t now_ms, struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    follow->commit_index = entries->commit_index;
    for (size_t i = 0; i < entries->count && err == KR_ERR_OK; i++) {
        if (follow->state != KR_FOLLOW_STREAMING)
            break;
        err = take_row(follow, &entries->items[i], now_ms, fault);
    }
    return err;
}

// --- applying ------------------------------------------------------------------------------------

// A core node whose log does not fit may hold writes that are nowhere else, so people decide; what
// an entry does is the same everywhere, so a state that answers otherwise is damaged, and replaced.
static enum kr_err differ(struct follow *follow, enum kr_err err, uint64_t now_ms,
                          struct fault *fault)
{
    bool is_replaceable =
        err == KR_ERR_CORRUPT || follow->options.state->holding == KR_HOLD_VALIDATION;
    lease_forget(follow->options.lease, 0);
    follow_rows_drop(follow);
    if (!is_replaceable) {
        follow->options.owner.differs(follow->options.owner.ctx, fault);
        return err;
    }
    follow_rebuild(follow, now_ms, fault);
    return follow_request(follow, now_ms, fault);
}

enum kr_err follow_apply(struct follow *follow, uint64_t now_ms, struct fault *fault)
{
    const struct state *state = follow->options.state;
    if (follow->row_count == 0)
        return KR_ERR_OK;
    enum kr_err err = state->stream_apply(state->ctx, follow->rows, follow->row_count, fault);
    if (err == KR_ERR_CONFLICT || err == KR_ERR_CORRUPT)
        return differ(follow, err, now_ms, fault);
    if (err != KR_ERR_OK)
        return err;
    uint64_t index = follow->rows[follow->row_count - 1].index;
    follow->row_count = follow->rows_bytes = 0;
    arena_reset(&follow->rows_arena);
    follow->owes_ack = true;
    lease_applied(follow->options.lease, index);
    follow->options.owner.applied(follow->options.owner.ctx, index);
    return KR_ERR_OK;
}

// --- comparing -----------------------------------------------------------------------------------

enum kr_err follow_take_digests(struct follow *follow, const struct peer_index_digests *digests,
                                uint64_t now_ms, struct fault *fault)
{
    const struct state *state = follow->options.state;
    struct store_position position;
    enum kr_err err = follow_apply(follow, now_ms, fault);
    if (err != KR_ERR_OK || follow->state != KR_FOLLOW_STREAMING)
        return err;
    state->position(state->ctx, &position);
    if (position.index != digests->index)
        return KR_ERR_OK;
    for (size_t i = 0; i < digests->digests.count; i++) {
        const struct peer_digest *one = &digests->digests.items[i];
        if (one->class >= KR_CLASS_COUNT || hash_equal(one->sum, position.digest[one->class]))
            continue;
        fault_set(fault, KR_ERR_CORRUPT, "the records of class %u differ from %s's at entry %llu",
                  one->class, follow->options.upstream_id, (unsigned long long)position.index);
        return differ(follow, KR_ERR_CORRUPT, now_ms, fault);
    }
    return KR_ERR_OK;
}
