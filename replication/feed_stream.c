// SPDX-License-Identifier: Apache-2.0
// The feed's stream: entries from the log, as many as the window allows, and digests to compare.
#include "replication/feed_internal.h"

#include <assert.h>

void feed_stream_begin(struct feed *feed, uint64_t applied_index)
{
    feed->next_index = applied_index + 1;
    feed->acked_index = applied_index;
    feed->mark_first = feed->mark_count = feed->unacked_bytes = 0;
    feed->digest_due_ms = 0;
    feed->digested_index = UINT64_MAX;
}

// --- the window ----------------------------------------------------------------------------------

// When the ring is full, the newest mark stands for more frames: it is freed a little later.
static void note_sent(struct feed *feed, uint64_t index, size_t size_bytes)
{
    size_t at = (feed->mark_first + feed->mark_count) % KR_FEED_MARKS;
    feed->unacked_bytes += size_bytes;
    if (feed->mark_count < KR_FEED_MARKS) {
        feed->marks[at] = (struct feed_mark){index, size_bytes};
        feed->mark_count++;
        return;
    }
    struct feed_mark *newest = &feed->marks[(at + KR_FEED_MARKS - 1) % KR_FEED_MARKS];
    newest->index = index;
    newest->size_bytes += size_bytes;
}

static void note_acked(struct feed *feed, uint64_t index)
{
    feed->acked_index = index;
    while (feed->mark_count > 0 && feed->marks[feed->mark_first].index <= index) {
        feed->unacked_bytes -= feed->marks[feed->mark_first].size_bytes;
        feed->mark_first = (feed->mark_first + 1) % KR_FEED_MARKS;
        feed->mark_count--;
    }
}

enum kr_err feed_take_ack(struct feed *feed, const struct peer_ack *ack, uint64_t now_ms,
                          struct fault *fault)
{
    if (ack->applied_index < feed->acked_index || ack->applied_index >= feed->next_index)
        return fault_set(fault, KR_ERR_INVALID,
                         "peer frame: Ack of entry %llu; entries %llu to %llu are on their way",
                         (unsigned long long)ack->applied_index,
                         (unsigned long long)feed->acked_index + 1,
                         (unsigned long long)feed->next_index - 1);
    note_acked(feed, ack->applied_index);
    feed->options.owner.acked(feed->options.owner.ctx, feed, ack, now_ms);
    return KR_ERR_OK;
}

// --- entries -------------------------------------------------------------------------------------

// Rows from next_index on, while they fit one frame. The first row that is too large for a frame
// ends it, or, at the head, begins its parts.
static enum kr_err gather(struct feed *feed, uint64_t last_index, struct peer_row *rows,
                          size_t *count, struct fault *fault)
{
    const struct state *state = feed->options.state;
    size_t size_bytes = 0;
    enum kr_err err = KR_ERR_OK;
    for (uint64_t index = feed->next_index; index <= last_index && *count < KR_PEER_ROWS_MAX;
         index++) {
        bool is_head = *count == 0;
        struct store_stream_row row;
        err = state->stream_read(state->ctx, index, feed->holding,
                                 is_head ? &feed->large : &feed->frame, &row, fault);
        if (err != KR_ERR_OK || size_bytes + row.entry.size > KR_PEER_BODY_MAX) {
            if (err == KR_ERR_OK && is_head)
                feed->large_row = row;
            break;
        }
        size_bytes += row.entry.size;
        rows[(*count)++] = (struct peer_row){
            .index = row.index, .epoch = row.epoch, .chain = row.chain, .entry = row.entry};
    }
    return *count > 0 || feed->large_row.index != 0 ? KR_ERR_OK : err;
}

static enum kr_err add_entries(struct feed *feed, const struct peer_row *rows, size_t count,
                               struct buf *out, struct fault *fault)
{
    const struct state *state = feed->options.state;
    struct peer_frame frame = {.type = KR_PEER_ENTRIES};
    frame.as.entries = (struct peer_entries){
        .items = rows, .count = count, .commit_index = state->applied_index(state->ctx)};
    return feed_add(out, &frame, fault);
}

// Parts do not count against the window: the child cannot acknowledge less than an entry. The link
// is asked for one at a time, and bounds them.
static enum kr_err next_part(struct feed *feed, struct buf *out, struct fault *fault)
{
    const struct store_stream_row *large = &feed->large_row;
    uint64_t left = large->entry.size - feed->large_sent;
    size_t size = left < KR_PEER_BODY_MAX ? (size_t)left : KR_PEER_BODY_MAX;
    struct peer_row row = {.index = large->index,
                           .epoch = large->epoch,
                           .chain = large->chain,
                           .entry = bytes_of(large->entry.data + feed->large_sent, size),
                           .entry_size = large->entry.size,
                           .entry_offset = feed->large_sent};
    enum kr_err err = add_entries(feed, &row, 1, out, fault);
    if (err != KR_ERR_OK)
        return err;
    feed->large_sent += size;
    if (feed->large_sent < large->entry.size)
        return KR_ERR_OK;
    note_sent(feed, large->index, large->entry.size);
    feed->next_index = large->index + 1;
    feed->large_row = (struct store_stream_row){0};
    feed->large_sent = 0;
    arena_fini(&feed->large);
    arena_init(&feed->large);
    return KR_ERR_OK;
}

// The log no longer reaches back to where the child is.
static enum kr_err fell_behind(struct feed *feed, uint64_t now_ms, struct fault *fault)
{
    enum kr_err err = feed_offer(feed, now_ms, fault);
    return err == KR_ERR_OK ? KR_ERR_NOT_FOUND : err;
}

enum kr_err feed_next_entries(struct feed *feed, uint64_t now_ms, struct buf *out,
                              struct fault *fault)
{
    const struct state *state = feed->options.state;
    uint64_t last_index = state->applied_index(state->ctx);
    size_t count = 0;
    if (feed->large_row.index != 0)
        return next_part(feed, out, fault);
    if (feed->next_index > last_index ||
        (feed->unacked_bytes > 0 && feed->unacked_bytes + KR_PEER_BODY_MAX > KR_FEED_WINDOW_BYTES))
        return KR_ERR_NOT_FOUND;
    arena_reset(&feed->large);
    uint64_t left = last_index - feed->next_index + 1;
    size_t room = left < KR_PEER_ROWS_MAX ? (size_t)left : KR_PEER_ROWS_MAX;
    struct peer_row *rows = arena_alloc(&feed->frame, room * sizeof(*rows));
    enum kr_err err = gather(feed, last_index, rows, &count, fault);
    if (err == KR_ERR_NOT_FOUND)
        return fell_behind(feed, now_ms, fault);
    if (err != KR_ERR_OK)
        return err;
    if (count == 0)
        return next_part(feed, out, fault);
    size_t before = out->size;
    err = add_entries(feed, rows, count, out, fault);
    if (err != KR_ERR_OK)
        return err;
    note_sent(feed, rows[count - 1].index, out->size - before);
    feed->next_index = rows[count - 1].index + 1;
    return KR_ERR_OK;
}

// --- digests -------------------------------------------------------------------------------------

struct peer_digests feed_digests(struct feed *feed, const struct store_position *position)
{
    struct peer_digest *items = arena_alloc(&feed->frame, KR_CLASS_COUNT * sizeof(*items));
    size_t count = 0;
    for (uint32_t class = 0; class < KR_CLASS_COUNT; class ++)
        if (feed->holding == KR_HOLD_ALL || class != KR_CLASS_CORE)
            items[count++] = (struct peer_digest){class, position->digest[class]};
    return (struct peer_digests){items, count};
}

// Sent when everything that they sum up has been sent, so that the child is at that index when it
// reads them.
enum kr_err feed_next_digests(struct feed *feed, uint64_t now_ms, struct buf *out,
                              struct fault *fault)
{
    const struct state *state = feed->options.state;
    struct store_position position;
    struct peer_frame frame = {.type = KR_PEER_DIGESTS};
    if (now_ms < feed->digest_due_ms || feed->large_row.index != 0)
        return KR_ERR_NOT_FOUND;
    state->position(state->ctx, &position);
    if (position.index == 0 || position.index + 1 != feed->next_index ||
        position.index == feed->digested_index)
        return KR_ERR_NOT_FOUND;
    feed->digest_due_ms = now_ms + KR_FEED_DIGEST_MS;
    feed->digested_index = position.index;
    frame.as.digests.index = position.index;
    frame.as.digests.digests = feed_digests(feed, &position);
    return feed_add(out, &frame, fault);
}
