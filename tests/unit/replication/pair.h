// SPDX-License-Identifier: Apache-2.0
// A feed and an upstream session wired back to back in memory, through the codec, with a clock of
// the test's and a link that breaks after as many frames as it says.
#pragma once

#include "fake_state.h"

#include "proto/codec_peer.h"
#include "replication/feed.h"
#include "replication/follow.h"

struct pair {
    struct fake *up, *down; // keeps
    struct exports *exports;
    struct feed *feed;     // NULL: no link
    struct follow *follow; // NULL: no link
    struct lease lease;
    struct forward *forward;
    struct follow_carry carry;
    uint64_t now_ms, frames, frames_until_break;     // 0: never
    bool is_broken, enlists, is_loud, is_quiet_down; // is_quiet_down: the child does not read
    struct buf transcript;
    enum kr_err err; // that closed the link
    struct fault fault;
    // standing of the upper node
    uint64_t epoch, lease_left_ms;
    struct pair *above; // whose lease the upper node lives on; NULL: it leads
    struct texts path;
    // what was seen
    size_t differences, outranked, snapshots;
    struct state_import *import; // of the snapshot that has arrived
    uint64_t acked, granted, applied, forwarded_id, echoes;
    struct peer_hello hello;
    struct peer_member child;
};

#define pair_note(pair, ...) buf_printf(&(pair)->transcript, __VA_ARGS__)

// --- the upper node ------------------------------------------------------------------------------

static inline void pair_standing(void *ctx, uint64_t now_ms, struct feed_standing *out)
{
    struct pair *pair = ctx;
    out->is_leader = pair->above == NULL && pair->lease_left_ms > 0;
    out->lease_left_ms =
        pair->above == NULL ? pair->lease_left_ms : lease_left(&pair->above->lease, now_ms);
    out->epoch = pair->epoch;
    out->leader_id = "leader";
    out->leader_http = "http://leader";
    out->path = pair->path;
}

static inline void pair_enlist(void *ctx, const struct peer_member *member)
{
    struct pair *pair = ctx;
    struct state_member row = {.is_core = member->role == KR_PEER_CORE};
    pair_note(pair, "enlist %s\n", member->id);
    if (!pair->enlists)
        return;
    snprintf(row.id, sizeof(row.id), "%s", member->id);
    snprintf(row.region, sizeof(row.region), "%s", member->region);
    snprintf(row.peer_address, sizeof(row.peer_address), "%s", member->peer_address);
    snprintf(row.http_address, sizeof(row.http_address), "%s", member->http_address);
    fake_add_member(pair->up, &row);
}

static inline void pair_attached(void *ctx, struct feed *feed, const struct peer_hello *hello)
{
    (void)feed;
    pair_note((struct pair *)ctx, "attached at %llu\n", (unsigned long long)hello->applied_index);
}

static inline void pair_acked(void *ctx, struct feed *feed, const struct peer_ack *ack,
                              uint64_t now_ms)
{
    (void)feed;
    (void)now_ms;
    ((struct pair *)ctx)->acked = ack->applied_index;
}

static inline void pair_granted(void *ctx, struct feed *feed, uint64_t remaining_ms,
                                uint64_t now_ms)
{
    (void)feed;
    ((struct pair *)ctx)->granted = now_ms + remaining_ms;
}

static inline void pair_used(void *ctx, struct feed *feed, const struct peer_usage *usage)
{
    (void)ctx;
    (void)feed;
    for (size_t i = 0; i < usage->count; i++)
        assert(usage->items[i].id != NULL);
}

static inline void pair_forward(void *ctx, struct feed *feed, uint64_t id,
                                const struct forward_request *request)
{
    struct pair *pair = ctx;
    (void)feed;
    pair->forwarded_id = id;
    pair_note(pair, "call %s %s with %zu bytes\n", request->method, request->target,
              request->body.size);
}

static inline void pair_outranked(void *ctx, uint64_t epoch)
{
    struct pair *pair = ctx;
    pair->outranked++;
    pair_note(pair, "outranked by epoch %llu\n", (unsigned long long)epoch);
}

// --- the lower node ------------------------------------------------------------------------------

static inline void pair_introduce(void *ctx, struct peer_hello *out)
{
    *out = ((struct pair *)ctx)->hello;
}

static inline void pair_welcomed(void *ctx, const struct peer_welcome *welcome)
{
    (void)ctx;
    assert(welcome->leader_id != NULL);
}

static inline void pair_applied(void *ctx, uint64_t index)
{
    ((struct pair *)ctx)->applied = index;
}

static inline void pair_report(void *ctx, uint64_t now_ms, struct arena *arena,
                               struct peer_ack *out)
{
    (void)ctx;
    (void)now_ms;
    (void)arena;
    *out = (struct peer_ack){0};
}

static inline void pair_usage(void *ctx, struct arena *arena, struct peer_usage *out)
{
    struct peer_node_usage *items = arena_zalloc(arena, sizeof(*items));
    items->id = ((struct pair *)ctx)->child.id;
    *out = (struct peer_usage){items, 1};
}

static inline void pair_probing(void *ctx, uint64_t seq)
{
    (void)ctx;
    assert(seq > 0);
}

static inline void pair_echoed(void *ctx, uint64_t seq)
{
    (void)seq;
    ((struct pair *)ctx)->echoes++;
}

static inline void pair_differs(void *ctx, const struct fault *fault)
{
    struct pair *pair = ctx;
    pair->differences++;
    pair_note(pair, "differs: %s\n", fault->text);
}

static inline void pair_received(void *ctx, struct state_import *import)
{
    ((struct pair *)ctx)->import = import;
    ((struct pair *)ctx)->snapshots++;
}

// --- the link ------------------------------------------------------------------------------------

static inline void pair_attach(struct pair *pair)
{
    const struct feed_options feed = {.state = &pair->up->verbs,
                                      .exports = pair->exports,
                                      .owner = {pair, pair_standing, pair_enlist, pair_attached,
                                                pair_acked, pair_granted, pair_used, pair_forward,
                                                pair_outranked},
                                      .cluster_id = "clst_a",
                                      .own = {.id = "upper", .region = "eu", .role = KR_PEER_CORE},
                                      .child = pair->child};
    const struct follow_options follow = {
        .state = &pair->down->verbs,
        .lease = &pair->lease,
        .forward = pair->forward,
        .carry = &pair->carry,
        .owner = {pair, pair_introduce, pair_welcomed, pair_applied, pair_report, pair_usage,
                  pair_probing, pair_echoed, pair_differs, pair_received},
        .own_id = pair->child.id,
        .upstream_id = "upper"};
    pair->is_broken = false;
    pair->err = KR_ERR_OK;
    pair->fault = (struct fault){0};
    pair->feed = feed_new(&feed, pair->now_ms);
    pair->follow = follow_new(&follow, pair->now_ms);
}

static inline void pair_fail(struct pair *pair, enum kr_err err)
{
    if (err == KR_ERR_OK || pair->is_broken)
        return;
    pair->is_broken = true;
    pair->err = err;
    pair_note(pair, "closed: %s\n", pair->fault.text);
}

static inline void pair_finish_import(struct pair *pair)
{
    struct fault fault = {0};
    enum kr_err err = pair->down->verbs.import_finish(pair->import, &fault);
    pair_fail(pair, follow_finished(pair->follow, err, &fault, pair->now_ms, &pair->fault));
}

static inline void pair_detach(struct pair *pair)
{
    if (pair->feed == NULL)
        return;
    if (follow_state(pair->follow) == KR_FOLLOW_FINISHING)
        pair_finish_import(pair);
    feed_free(&pair->feed, pair->now_ms);
    follow_free(&pair->follow);
    forward_lost(pair->forward);
}

static inline struct pair *pair_new(struct fake *up, struct fake *down, const char *child)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    bool is_core = down->verbs.holding == KR_HOLD_ALL;
    *pair = (struct pair){.up = up,
                          .down = down,
                          .exports = exports_new(&up->verbs),
                          .forward = forward_new(),
                          .now_ms = 1000000,
                          .enlists = true,
                          .epoch = 1,
                          .lease_left_ms = 2000};
    pair->child = (struct peer_member){.id = child,
                                       .region = "us",
                                       .role = is_core ? KR_PEER_CORE : KR_PEER_FOLLOWER,
                                       .peer_address = "127.0.0.1:1",
                                       .http_address = "http://127.0.0.1:2"};
    pair->hello = (struct peer_hello){.cluster_id = "clst_a", .node = pair->child, .version = "1"};
    buf_init(&pair->transcript, 1 << 20);
    lease_init(&pair->lease, down->verbs.applied_index(down->verbs.ctx), 0);
    pair_attach(pair);
    return pair;
}

static inline void pair_free(struct pair *pair)
{
    pair_detach(pair);
    exports_free(&pair->exports);
    forward_free(&pair->forward);
    buf_fini(&pair->transcript);
    free(pair);
}

static inline void pair_tell(struct pair *pair, const char *arrow, const struct peer_frame *frame)
{
    enum peer_frame_type type = frame->type;
    bool is_noise = type == KR_PEER_PROBE || type == KR_PEER_ECHO || type == KR_PEER_USAGE ||
                    type == KR_PEER_RENEW || type == KR_PEER_LEASE || type == KR_PEER_ACK ||
                    type == KR_PEER_DIGESTS;
    if (is_noise && !pair->is_loud)
        return;
    pair_note(pair, "%s %s", arrow, codec_peer_name(type));
    if (type == KR_PEER_ENTRIES)
        pair_note(pair, " %llu..%llu", (unsigned long long)frame->as.entries.items[0].index,
                  (unsigned long long)frame->as.entries.items[frame->as.entries.count - 1].index);
    if (type == KR_PEER_REJECT)
        pair_note(pair, " %d", frame->as.reject.code);
    if (type == KR_PEER_NEED_SNAPSHOT)
        pair_note(pair, " at %llu", (unsigned long long)frame->as.position.index);
    if (type == KR_PEER_SNAPSHOT_REQUEST)
        pair_note(pair, " at %llu%s", (unsigned long long)frame->as.snapshot_request.index,
                  frame->as.snapshot_request.last_key.size > 0 ? " from the middle" : "");
    pair_note(pair, "\n");
}

// Decodes what one end wrote and gives it to the other.
static inline void pair_deliver(struct pair *pair, struct buf *bytes, bool is_down)
{
    struct peer_frame frame;
    struct arena arena;
    size_t consumed = 0;
    arena_init(&arena);
    enum peer_read read =
        codec_peer_read(buf_bytes(bytes), &arena, &frame, &consumed, &pair->fault);
    assert(read == KR_PEER_READ_FRAME && consumed == bytes->size);
    if (pair->frames_until_break != 0 && ++pair->frames >= pair->frames_until_break) {
        pair->frames_until_break = 0;
        fault_set(&pair->fault, KR_ERR_IO, "lost");
        pair_fail(pair, KR_ERR_IO);
    } else {
        pair_tell(pair, is_down ? ">" : "<", &frame);
        pair_fail(pair, is_down ? follow_take(pair->follow, &frame, pair->now_ms, &pair->fault)
                                : feed_take(pair->feed, &frame, pair->now_ms, &pair->fault));
    }
    arena_fini(&arena);
}

// One frame in that direction; false: there was none.
static inline bool pair_step(struct pair *pair, bool is_down)
{
    struct buf bytes;
    struct fault *fault = &pair->fault;
    bool has_some = false;
    if (pair->is_broken || (is_down && pair->is_quiet_down))
        return false;
    buf_init(&bytes, KR_PEER_HEAD_SIZE + KR_PEER_FRAME_MAX);
    enum kr_err err = is_down ? feed_next(pair->feed, pair->now_ms, &bytes, fault)
                              : follow_next(pair->follow, pair->now_ms, &bytes, fault);
    if (err == KR_ERR_OK) {
        has_some = true;
        pair_deliver(pair, &bytes, is_down);
    } else if (err != KR_ERR_NOT_FOUND) {
        pair_fail(pair, err);
    }
    buf_fini(&bytes);
    return has_some;
}

// Answers the call that came last, unless it has been.
static inline void pair_answer(struct pair *pair)
{
    const struct forward_answer answer = {.status = 200};
    if (pair->forwarded_id > 0)
        feed_answer(pair->feed, pair->forwarded_id, &answer);
    pair->forwarded_id = 0;
}

// What one end has to say, said to nobody.
static inline void pair_drain(struct pair *pair, bool is_up)
{
    enum kr_err err = pair->is_broken ? KR_ERR_NOT_FOUND : KR_ERR_OK;
    struct buf bytes;
    buf_init(&bytes, KR_PEER_HEAD_SIZE + KR_PEER_FRAME_MAX);
    while (err == KR_ERR_OK) {
        buf_clear(&bytes);
        err = is_up ? feed_next(pair->feed, pair->now_ms, &bytes, &pair->fault)
                    : follow_next(pair->follow, pair->now_ms, &bytes, &pair->fault);
    }
    if (err != KR_ERR_NOT_FOUND)
        pair_fail(pair, err);
    buf_fini(&bytes);
}

// Until neither has anything to say.
static inline void pair_run(struct pair *pair)
{
    bool has_some = true;
    while (has_some && !pair->is_broken) {
        has_some = false;
        while (pair_step(pair, true))
            has_some = true;
        if (!pair->is_broken)
            pair_fail(pair, follow_turn(pair->follow, pair->now_ms, &pair->fault));
        if (follow_state(pair->follow) == KR_FOLLOW_FINISHING)
            pair_finish_import(pair);
        while (pair_step(pair, false))
            has_some = true;
    }
}

static inline void pair_advance(struct pair *pair, uint64_t span_ms)
{
    for (uint64_t until_ms = pair->now_ms + span_ms; pair->now_ms < until_ms && !pair->is_broken;) {
        pair->now_ms += 20;
        pair_fail(pair, feed_tick(pair->feed, pair->now_ms, &pair->fault));
        pair_fail(pair, follow_tick(pair->follow, pair->now_ms, &pair->fault));
        pair_run(pair);
    }
}
