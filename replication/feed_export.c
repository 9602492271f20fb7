// SPDX-License-Identifier: Apache-2.0
// The feed's snapshot: offered, asked for from the start or from where it stopped, sent chunk by
// chunk as the link takes them.
#include "replication/feed_internal.h"

static void hold(struct feed *feed, struct state_export *export)
{
    feed->export = export;
    feed->options.state->export_position(export, &feed->offered);
    feed->is_export_at_end = false;
}

static enum kr_err open_new(struct feed *feed, struct fault *fault)
{
    const struct state *state = feed->options.state;
    struct state_export *export = NULL;
    if (feed->export != NULL)
        state->export_close(&feed->export);
    enum kr_err err = state->export_open(state, feed->holding, &export, fault);
    if (err == KR_ERR_OK)
        hold(feed, export);
    return err;
}

enum kr_err feed_offer(struct feed *feed, uint64_t now_ms, struct fault *fault)
{
    enum kr_err err = open_new(feed, fault);
    if (err != KR_ERR_OK)
        return err;
    feed_enter(feed, KR_FEED_OFFERING, now_ms);
    feed->owes_offer = true;
    return KR_ERR_OK;
}

static struct peer_position position_of(struct feed *feed)
{
    const struct store_position *offered = &feed->offered;
    return (struct peer_position){.index = offered->index,
                                  .epoch = offered->epoch,
                                  .chain = offered->chain,
                                  .digests = feed_digests(feed, offered)};
}

enum kr_err feed_next_offer(struct feed *feed, struct buf *out, struct fault *fault)
{
    struct peer_frame frame = {.type = KR_PEER_NEED_SNAPSHOT};
    frame.as.position = position_of(feed);
    feed->owes_offer = false;
    return feed_add(out, &frame, fault);
}

// Finds the snapshot that the child was receiving before its link broke.
static bool take_up(struct feed *feed, uint64_t index)
{
    const struct state *state = feed->options.state;
    if (feed->export != NULL && feed->offered.index == index)
        return true;
    struct state_export *export = exports_claim(feed->options.exports, feed->child.id, index);
    if (export == NULL)
        return false;
    if (feed->export != NULL)
        state->export_close(&feed->export);
    hold(feed, export);
    return true;
}

// Rows have been read, and who got none of them would miss them.
static bool has_begun(struct feed *feed)
{
    struct state_export_progress progress;
    feed->options.state->export_progress(feed->export, &progress);
    return progress.done_rows > 0;
}

// A child in the stream may ask for one too: it has found that its state differs. What it cannot
// have is answered with an offer of what it can.
enum kr_err feed_take_request(struct feed *feed, const struct peer_snapshot_request *request,
                              uint64_t now_ms, struct fault *fault)
{
    const struct state *state = feed->options.state;
    if (feed->state != KR_FEED_OFFERING && feed->state != KR_FEED_STREAMING)
        return fault_set(fault, KR_ERR_INVALID, "peer frame: SnapshotRequest out of place");
    bool is_from_start = request->last_key.size == 0 && request->family == 0;
    if (request->index == 0 || !take_up(feed, request->index) || (is_from_start && has_begun(feed)))
        return feed_offer(feed, now_ms, fault);
    feed->owes_offer = false;
    feed_enter(feed, KR_FEED_EXPORTING, now_ms);
    return is_from_start ? KR_ERR_OK
                         : state->export_seek(feed->export, (uint8_t)request->family,
                                              request->last_key, fault);
}

static enum kr_err next_end(struct feed *feed, uint64_t now_ms, struct buf *out,
                            struct fault *fault)
{
    struct peer_frame frame = {.type = KR_PEER_SNAPSHOT_END};
    frame.as.position = position_of(feed);
    feed_enter(feed, KR_FEED_EXPORTED, now_ms);
    return feed_add(out, &frame, fault);
}

// The whole chunk, or as much of what is left of it as a frame holds.
static enum kr_err add_chunk(struct feed *feed, struct buf *out, struct fault *fault)
{
    const struct store_chunk *chunk = &feed->chunk;
    size_t sent = feed->chunk_sent, left = chunk->rows.size - sent;
    struct bytes rows = chunk->rows;
    struct state_export_progress progress;
    struct peer_frame frame = {.type = KR_PEER_SNAPSHOT_CHUNK};
    bool is_in_parts = rows.size > KR_PEER_BODY_MAX;
    if (is_in_parts)
        rows = bytes_of(rows.data + sent, left < KR_PEER_BODY_MAX ? left : KR_PEER_BODY_MAX);
    feed->options.state->export_progress(feed->export, &progress);
    frame.as.snapshot_chunk =
        (struct peer_snapshot_chunk){.family = chunk->family,
                                     .rows = rows,
                                     .last_key = chunk->last_key,
                                     .row_count = chunk->row_count,
                                     .checksum = chunk->checksum,
                                     .is_last = chunk->is_last,
                                     .estimated_bytes = progress.total_bytes,
                                     .rows_size = is_in_parts ? chunk->rows.size : 0,
                                     .rows_offset = sent};
    feed->chunk_sent = rows.size < left ? sent + rows.size : 0;
    return feed_add(out, &frame, fault);
}

enum kr_err feed_next_chunk(struct feed *feed, uint64_t now_ms, struct buf *out,
                            struct fault *fault)
{
    const struct state *state = feed->options.state;
    if (feed->chunk_sent > 0)
        return add_chunk(feed, out, fault);
    if (feed->is_export_at_end)
        return next_end(feed, now_ms, out, fault);
    enum kr_err err = state->export_next(feed->export, &feed->chunk, fault);
    if (err == KR_ERR_NOT_FOUND)
        return next_end(feed, now_ms, out, fault);
    if (err != KR_ERR_OK)
        return err == KR_ERR_BUSY ? KR_ERR_NOT_FOUND : err;
    feed->is_export_at_end = feed->chunk.is_last;
    return add_chunk(feed, out, fault);
}

void feed_export_drop(struct feed *feed, uint64_t now_ms)
{
    if (feed->export == NULL)
        return;
    exports_park(feed->options.exports, feed->child.id, feed->export, now_ms);
    feed->export = NULL;
}
