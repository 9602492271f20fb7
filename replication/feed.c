// SPDX-License-Identifier: Apache-2.0
// One attached child: dispatching, what is owed to it, and the order in which it is sent.
//
// Happy path: Hello → checked → a member → Welcome → Entries as they are committed, a Lease for
// each Renew, Digests once a second. Far behind, or found to differ: NeedSnapshot →
// SnapshotRequest → chunks → SnapshotEnd, and the child comes back with its new state.
// Ways it can fail: refused (Reject says why, then the link closes); a frame out of place or out of
// bounds; a deadline; damage in the log or the snapshot here. Each closes the link with a fault.
#include "replication/feed_internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/hash.h"
#include "proto/codec_peer.h"

//  HELLO ──▶ ENLISTING ──▶ STREAMING ──▶ OFFERING ──▶ EXPORTING ──▶ EXPORTED
//    │ ▲         │             ▲ │          ▲ │           (the link closes)
//    │ └─────────┼─────────────┼─┴──────────┘ │
//    └───────────┴──────▶ REJECTING ──▶ ENDED ┘
enum {
    KR_FEED_PROBES_MAX = 64, // before a Hello
};

const char *feed_state_text(enum feed_state state)
{
    static const char *const texts[] = {
        [KR_FEED_HELLO] = "hello",         [KR_FEED_ENLISTING] = "enlisting",
        [KR_FEED_STREAMING] = "streaming", [KR_FEED_OFFERING] = "offering",
        [KR_FEED_EXPORTING] = "exporting", [KR_FEED_EXPORTED] = "exported",
        [KR_FEED_REJECTING] = "rejecting", [KR_FEED_ENDED] = "ended"};
    return texts[state];
}

void feed_enter(struct feed *feed, enum feed_state state, uint64_t now_ms)
{
    // Rows: from.
    static const bool is_allowed[8][8] = {
        [KR_FEED_HELLO] = {[KR_FEED_ENLISTING] = true,
                           [KR_FEED_STREAMING] = true,
                           [KR_FEED_OFFERING] = true,
                           [KR_FEED_REJECTING] = true},
        [KR_FEED_ENLISTING] =
            {[KR_FEED_STREAMING] = true, [KR_FEED_OFFERING] = true, [KR_FEED_REJECTING] = true},
        [KR_FEED_STREAMING] =
            {[KR_FEED_OFFERING] = true, [KR_FEED_EXPORTING] = true, [KR_FEED_REJECTING] = true},
        [KR_FEED_OFFERING] =
            {[KR_FEED_OFFERING] = true, [KR_FEED_EXPORTING] = true, [KR_FEED_REJECTING] = true},
        [KR_FEED_EXPORTING] = {[KR_FEED_EXPORTED] = true, [KR_FEED_REJECTING] = true},
        [KR_FEED_EXPORTED] = {[KR_FEED_REJECTING] = true},
        [KR_FEED_REJECTING] = {[KR_FEED_ENDED] = true},
        [KR_FEED_ENDED] = {false},
    };
    assert(is_allowed[feed->state][state]);
    feed->state = state;
    feed->since_ms = now_ms;
}

void feed_standing_now(struct feed *feed, uint64_t now_ms, struct feed_standing *out)
{
    struct store_position position;
    const struct state *state = feed->options.state;
    *out = (struct feed_standing){.leader_id = "", .leader_http = ""};
    feed->options.owner.standing(feed->options.owner.ctx, now_ms, out);
    state->position(state->ctx, &position);
    if (position.epoch > out->epoch)
        out->epoch = position.epoch;
}

void feed_refuse(struct feed *feed, enum peer_reject_code code, uint64_t epoch, uint64_t now_ms,
                 const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(feed->reason, sizeof(feed->reason), format, arguments);
    va_end(arguments);
    feed->reject = (struct peer_reject){.code = code, .reason = feed->reason, .epoch = epoch};
    feed_enter(feed, KR_FEED_REJECTING, now_ms);
}

enum kr_err feed_add(struct buf *out, const struct peer_frame *frame, struct fault *fault)
{
    return codec_peer_add(out, frame, fault);
}

// --- life ----------------------------------------------------------------------------------------

static void serve_call(void *ctx, uint64_t id, const struct forward_request *request)
{
    struct feed *feed = ctx;
    feed->options.owner.forward(feed->options.owner.ctx, feed, id, request);
}

struct feed *feed_new(const struct feed_options *options, uint64_t now_ms)
{
    struct feed *feed = mem_zalloc(sizeof(*feed));
    feed->options = *options;
    feed->state = KR_FEED_HELLO;
    feed->since_ms = now_ms;
    arena_init(&feed->names);
    arena_init(&feed->hellos);
    arena_init(&feed->frame);
    arena_init(&feed->large);
    feed->child = (struct peer_member){.id = arena_text(&feed->names, options->child.id),
                                       .region = arena_text(&feed->names, options->child.region),
                                       .role = options->child.role,
                                       .peer_address = "",
                                       .http_address = ""};
    feed->options.child = feed->child;
    feed->version = "";
    forward_serve_init(&feed->serve, serve_call, feed);
    return feed;
}

void feed_free(struct feed **feed, uint64_t now_ms)
{
    feed_export_drop(*feed, now_ms);
    forward_serve_fini(&(*feed)->serve);
    arena_fini(&(*feed)->names);
    arena_fini(&(*feed)->hellos);
    arena_fini(&(*feed)->frame);
    arena_fini(&(*feed)->large);
    mem_free(*feed);
    *feed = NULL;
}

// --- taking --------------------------------------------------------------------------------------

static enum kr_err out_of_place(const struct feed *feed, const struct peer_frame *frame,
                                struct fault *fault)
{
    return fault_set(fault, KR_ERR_INVALID, "peer frame: %s out of place: the link is %s",
                     codec_peer_name(frame->type), feed_state_text(feed->state));
}

// A stranger may measure the way before it says Hello, but not forever. A leader that was replaced
// may learn of it here, since nobody follows it any more.
static enum kr_err take_probe(struct feed *feed, const struct peer_frame *frame, uint64_t now_ms,
                              struct fault *fault)
{
    const struct peer_lease *probe = &frame->as.probe;
    struct feed_standing standing;
    if (feed->state == KR_FEED_HELLO && ++feed->probes > KR_FEED_PROBES_MAX)
        return out_of_place(feed, frame, fault);
    feed->owes_echo = true;
    feed->probe_seq = probe->seq;
    feed_standing_now(feed, now_ms, &standing);
    if (standing.is_leader && probe->epoch > standing.epoch && !feed_is_removed(feed))
        feed->options.owner.outranked(feed->options.owner.ctx, probe->epoch);
    return KR_ERR_OK;
}

// The child found that this node is not the one to follow, which a Welcome or a Lease has told it:
// before them it has nothing to leave.
static enum kr_err take_reject(struct feed *feed, const struct peer_frame *frame,
                               struct fault *fault)
{
    const struct peer_reject *reject = &frame->as.reject;
    struct feed_standing standing;
    if (feed->state < KR_FEED_STREAMING)
        return out_of_place(feed, frame, fault);
    feed_standing_now(feed, feed->since_ms, &standing);
    if (reject->code == KR_PEER_OLD_EPOCH && reject->epoch > standing.epoch &&
        !feed_is_removed(feed))
        feed->options.owner.outranked(feed->options.owner.ctx, reject->epoch);
    return fault_set(fault, KR_ERR_CONFLICT, "%s left: %s", feed->child.id, reject->reason);
}

static enum kr_err take_streaming(struct feed *feed, const struct peer_frame *frame,
                                  uint64_t now_ms, struct fault *fault)
{
    struct feed_owner *owner = &feed->options.owner;
    if (feed->state != KR_FEED_STREAMING)
        return out_of_place(feed, frame, fault);
    if (frame->type == KR_PEER_ACK)
        return feed_take_ack(feed, &frame->as.ack, now_ms, fault);
    if (frame->type == KR_PEER_RENEW) {
        feed->owes_lease = true;
        feed->renew_seq = frame->as.seq;
    } else if (frame->type == KR_PEER_REGISTER) {
        owner->enlist(owner->ctx, &frame->as.member);
    } else {
        owner->used(owner->ctx, feed, &frame->as.usage);
    }
    return KR_ERR_OK;
}

// What a child sent before it could know that the stream has ended.
static bool is_late(const struct feed *feed, const struct peer_frame *frame)
{
    bool is_of_stream = frame->type == KR_PEER_ACK || frame->type == KR_PEER_RENEW ||
                        frame->type == KR_PEER_REGISTER || frame->type == KR_PEER_USAGE;
    return feed->state == KR_FEED_REJECTING || feed->state == KR_FEED_ENDED ||
           (is_of_stream && feed->state == KR_FEED_OFFERING);
}

enum kr_err feed_take(struct feed *feed, const struct peer_frame *frame, uint64_t now_ms,
                      struct fault *fault)
{
    if (is_late(feed, frame))
        return KR_ERR_OK;
    switch (frame->type) {
    case KR_PEER_HELLO:
        if (feed->state != KR_FEED_HELLO)
            return out_of_place(feed, frame, fault);
        return feed_take_hello(feed, &frame->as.hello, now_ms, fault);
    case KR_PEER_PROBE:
        return take_probe(feed, frame, now_ms, fault);
    case KR_PEER_REJECT:
        return take_reject(feed, frame, fault);
    case KR_PEER_ACK:
    case KR_PEER_RENEW:
    case KR_PEER_REGISTER:
    case KR_PEER_USAGE:
        return take_streaming(feed, frame, now_ms, fault);
    case KR_PEER_SNAPSHOT_REQUEST:
        return feed_take_request(feed, &frame->as.snapshot_request, now_ms, fault);
    case KR_PEER_FORWARD:
        if (feed->state < KR_FEED_STREAMING)
            return out_of_place(feed, frame, fault);
        return forward_serve_take(&feed->serve, &frame->as.forward, now_ms, fault);
    case KR_PEER_BODY:
        return forward_serve_take_body(&feed->serve, &frame->as.body, fault);
    case KR_PEER_WELCOME:
    case KR_PEER_NEED_SNAPSHOT:
    case KR_PEER_ENTRIES:
    case KR_PEER_LEASE:
    case KR_PEER_DIGESTS:
    case KR_PEER_SNAPSHOT_CHUNK:
    case KR_PEER_SNAPSHOT_END:
    case KR_PEER_ANSWER:
    case KR_PEER_ECHO:
        return out_of_place(feed, frame, fault);
    }
    return out_of_place(feed, frame, fault);
}

// --- sending -------------------------------------------------------------------------------------

static uint64_t hash_path(struct texts path)
{
    uint64_t hash = path.count + 1;
    for (size_t i = 0; i < path.count; i++)
        hash = hash_u64(bytes_text(path.items[i]), hash);
    return hash;
}

static enum kr_err next_reject(struct feed *feed, uint64_t now_ms, struct buf *out,
                               struct fault *fault)
{
    const struct peer_frame frame = {.type = KR_PEER_REJECT, .as.reject = feed->reject};
    feed_enter(feed, KR_FEED_ENDED, now_ms);
    return feed_add(out, &frame, fault);
}

static enum kr_err next_welcome(struct feed *feed, uint64_t now_ms, struct buf *out,
                                struct fault *fault)
{
    const struct state *state = feed->options.state;
    struct feed_standing standing;
    feed_standing_now(feed, now_ms, &standing);
    feed->owes_welcome = false;
    feed->welcomed_path_hash = hash_path(standing.path);
    struct peer_frame frame = {.type = KR_PEER_WELCOME};
    frame.as.welcome = (struct peer_welcome){.node_id = feed->options.own.id,
                                             .region = feed->options.own.region,
                                             .role = feed->options.own.role,
                                             .path = standing.path,
                                             .epoch = standing.epoch,
                                             .commit_index = state->applied_index(state->ctx),
                                             .leader_id = standing.leader_id,
                                             .leader_http = standing.leader_http};
    return feed_add(out, &frame, fault);
}

// The lease is what is left at this moment, and holds for who has applied all that is applied here.
static enum kr_err next_lease(struct feed *feed, uint64_t now_ms, struct buf *out,
                              struct fault *fault)
{
    const struct state *state = feed->options.state;
    struct feed_standing standing;
    feed_standing_now(feed, now_ms, &standing);
    feed->owes_lease = false;
    struct peer_frame frame = {.type = KR_PEER_LEASE};
    frame.as.lease = (struct peer_lease){.seq = feed->renew_seq,
                                         .remaining_ms = standing.lease_left_ms,
                                         .index = state->applied_index(state->ctx),
                                         .epoch = standing.epoch};
    feed->options.owner.granted(feed->options.owner.ctx, feed, standing.lease_left_ms, now_ms);
    return feed_add(out, &frame, fault);
}

static enum kr_err next_echo(struct feed *feed, uint64_t now_ms, struct buf *out,
                             struct fault *fault)
{
    struct feed_standing standing;
    feed_standing_now(feed, now_ms, &standing);
    const struct peer_frame frame = {.type = KR_PEER_ECHO,
                                     .as.probe = {.seq = feed->probe_seq, .epoch = standing.epoch}};
    feed->owes_echo = false;
    return feed_add(out, &frame, fault);
}

static enum kr_err next_answer(struct feed *feed, struct buf *out, struct fault *fault)
{
    struct peer_frame frame;
    return forward_serve_next(&feed->serve, &frame) ? feed_add(out, &frame, fault)
                                                    : KR_ERR_NOT_FOUND;
}

// Entries first, since revocations travel in them; the window makes room for the rest.
static enum kr_err next_bulk(struct feed *feed, uint64_t now_ms, struct buf *out,
                             struct fault *fault)
{
    enum kr_err err = KR_ERR_NOT_FOUND;
    if (feed->state == KR_FEED_STREAMING)
        err = feed_next_entries(feed, now_ms, out, fault);
    if (err == KR_ERR_NOT_FOUND && feed->state == KR_FEED_STREAMING)
        err = feed_next_digests(feed, now_ms, out, fault);
    if (err == KR_ERR_NOT_FOUND && feed->owes_offer)
        return feed_next_offer(feed, out, fault);
    if (err == KR_ERR_NOT_FOUND)
        err = next_answer(feed, out, fault);
    if (err == KR_ERR_NOT_FOUND && feed->state == KR_FEED_EXPORTING)
        err = feed_next_chunk(feed, now_ms, out, fault);
    return err;
}

enum kr_err feed_next(struct feed *feed, uint64_t now_ms, struct buf *out, struct fault *fault)
{
    arena_reset(&feed->frame);
    if (feed->state == KR_FEED_ENDED)
        return KR_ERR_NOT_FOUND;
    if (feed->state == KR_FEED_REJECTING)
        return next_reject(feed, now_ms, out, fault);
    if (feed->owes_echo)
        return next_echo(feed, now_ms, out, fault);
    if (feed->owes_welcome && feed->state == KR_FEED_STREAMING)
        return next_welcome(feed, now_ms, out, fault);
    if (feed->owes_lease && feed->state == KR_FEED_STREAMING)
        return next_lease(feed, now_ms, out, fault);
    return next_bulk(feed, now_ms, out, fault);
}

// --- time ----------------------------------------------------------------------------------------

// Whoever is above us may have changed.
static void watch_path(struct feed *feed, uint64_t now_ms)
{
    struct feed_standing standing;
    feed_standing_now(feed, now_ms, &standing);
    if (feed_path_has(standing.path, feed->child.id))
        feed_refuse(feed, KR_PEER_DESCENDANT, 0, now_ms, "%s is above %s now", feed->child.id,
                    feed->options.own.id);
    else if (hash_path(standing.path) != feed->welcomed_path_hash)
        feed->owes_welcome = true;
}

enum kr_err feed_tick(struct feed *feed, uint64_t now_ms, struct fault *fault)
{
    bool is_late = now_ms >= feed->since_ms + KR_FEED_HELLO_MS;
    forward_serve_tick(&feed->serve, now_ms);
    switch (feed->state) {
    case KR_FEED_HELLO:
        return is_late ? fault_set(fault, KR_ERR_TIMEOUT, "no Hello came within %d ms",
                                   KR_FEED_HELLO_MS)
                       : KR_ERR_OK;
    case KR_FEED_ENLISTING:
        if (is_late) {
            feed_refuse(feed, KR_PEER_NOT_READY, 0, now_ms,
                        "%s could not be registered: no leader did it within %d ms", feed->child.id,
                        KR_FEED_HELLO_MS);
            return KR_ERR_OK;
        }
        return feed_admit(feed, now_ms, fault);
    case KR_FEED_STREAMING:
        watch_path(feed, now_ms);
        return KR_ERR_OK;
    case KR_FEED_OFFERING:
        if (now_ms >= feed->since_ms + KR_FEED_OFFER_MS)
            return fault_set(fault, KR_ERR_TIMEOUT, "the snapshot was not asked for within %d ms",
                             KR_FEED_OFFER_MS);
        return KR_ERR_OK;
    case KR_FEED_EXPORTING:
    case KR_FEED_EXPORTED:
    case KR_FEED_REJECTING:
    case KR_FEED_ENDED:
        return KR_ERR_OK;
    }
    return KR_ERR_OK;
}

// --- figures -------------------------------------------------------------------------------------

void feed_answer(struct feed *feed, uint64_t id, const struct forward_answer *answer)
{
    forward_serve_answer(&feed->serve, id, answer);
}

enum feed_state feed_state(const struct feed *feed)
{
    return feed->state;
}

const struct peer_member *feed_child(const struct feed *feed)
{
    return &feed->child;
}

const char *feed_version(const struct feed *feed)
{
    return feed->version;
}

uint64_t feed_acked_index(const struct feed *feed)
{
    return feed->acked_index;
}

void feed_progress(const struct feed *feed, struct state_export_progress *out)
{
    *out = (struct state_export_progress){0};
    if (feed->export != NULL)
        feed->options.state->export_progress(feed->export, out);
}
