// SPDX-License-Identifier: Apache-2.0
// Our session with an upstream: dispatching, what is due, and the order in which it is sent.
//
// Happy path: Hello → Welcome → Entries gathered and applied at the turn's end → Ack; every 100 ms
// a Renew, whose Lease says how fresh we are; Digests compared. Or: NeedSnapshot →
// SnapshotRequest → chunks → SnapshotEnd → checked on another thread → the node starts again.
// Ways it can fail: refused (Reject); a frame out of place or out of bounds; no answer to the Hello
// in time; an upstream of an older epoch, or one that is below us (we leave, and say why); an entry
// that does not fit (snapshot, or for a core node the end of the session); the disk.
#include "replication/follow_internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "proto/codec_peer.h"

//  NEW ──▶ GREETED ──▶ STREAMING ──▶ REQUESTING ──▶ IMPORTING ──▶ FINISHING ──▶ REPLACED
//             │  └────────────────────▲    │ ▲          │             │      (node starts again)
//             └────────┬─────── LEAVING ◀──┘ └──────────┘             │
//                      └────────▶ ENDED ◀─────────────────────────────┘
const char *follow_state_text(enum follow_state state)
{
    static const char *const texts[] = {
        [KR_FOLLOW_NEW] = "new",
        [KR_FOLLOW_GREETED] = "greeted",
        [KR_FOLLOW_STREAMING] = "streaming",
        [KR_FOLLOW_REQUESTING] = "requesting a snapshot",
        [KR_FOLLOW_IMPORTING] = "receiving a snapshot",
        [KR_FOLLOW_FINISHING] = "checking a snapshot",
        [KR_FOLLOW_REPLACED] = "to start again",
        [KR_FOLLOW_LEAVING] = "leaving",
        [KR_FOLLOW_ENDED] = "ended",
    };
    return texts[state];
}

void follow_enter(struct follow *follow, enum follow_state state, uint64_t now_ms)
{
    // Rows: from.
    static const bool is_allowed[9][9] = {
        [KR_FOLLOW_NEW] = {[KR_FOLLOW_GREETED] = true},
        [KR_FOLLOW_GREETED] = {[KR_FOLLOW_STREAMING] = true,
                               [KR_FOLLOW_REQUESTING] = true,
                               [KR_FOLLOW_LEAVING] = true,
                               [KR_FOLLOW_ENDED] = true},
        [KR_FOLLOW_STREAMING] =
            {[KR_FOLLOW_REQUESTING] = true, [KR_FOLLOW_LEAVING] = true, [KR_FOLLOW_ENDED] = true},
        [KR_FOLLOW_REQUESTING] = {[KR_FOLLOW_REQUESTING] = true,
                                  [KR_FOLLOW_IMPORTING] = true,
                                  [KR_FOLLOW_FINISHING] = true,
                                  [KR_FOLLOW_ENDED] = true},
        [KR_FOLLOW_IMPORTING] = {[KR_FOLLOW_FINISHING] = true, [KR_FOLLOW_ENDED] = true},
        [KR_FOLLOW_FINISHING] = {[KR_FOLLOW_REPLACED] = true, [KR_FOLLOW_ENDED] = true},
        [KR_FOLLOW_REPLACED] = {false},
        [KR_FOLLOW_LEAVING] = {[KR_FOLLOW_ENDED] = true},
        [KR_FOLLOW_ENDED] = {false},
    };
    assert(is_allowed[follow->state][state]);
    follow->state = state;
    follow->since_ms = now_ms;
}

void follow_leave(struct follow *follow, enum peer_reject_code code, uint64_t now_ms,
                  const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(follow->reason, sizeof(follow->reason), format, arguments);
    va_end(arguments);
    // What a leader before that epoch has lent may have been lent when it was deposed already.
    if (follow->options.carry->lease_epoch < follow->options.carry->known_epoch)
        lease_forget(follow->options.lease, 0);
    follow->reject = (struct peer_reject){
        .code = code, .reason = follow->reason, .epoch = follow->options.carry->known_epoch};
    follow_enter(follow, KR_FOLLOW_LEAVING, now_ms);
}

// --- life ----------------------------------------------------------------------------------------

struct follow *follow_new(const struct follow_options *options, uint64_t now_ms)
{
    struct follow *follow = mem_zalloc(sizeof(*follow));
    struct store_position position;
    follow->options = *options;
    follow->since_ms = now_ms;
    follow->rows = mem_alloc(KR_FOLLOW_PENDING_ROWS * sizeof(*follow->rows));
    arena_init(&follow->frame);
    arena_init(&follow->rows_arena);
    arena_init(&follow->enlist_arena);
    arena_init(&follow->request_arena);
    buf_init(&follow->large, KR_PEER_ENTRY_MAX);
    buf_init(&follow->chunk, KR_PEER_ENTRY_MAX);
    options->state->position(options->state->ctx, &position);
    if (position.epoch > options->carry->known_epoch)
        options->carry->known_epoch = position.epoch;
    return follow;
}

void follow_free(struct follow **follow)
{
    struct follow *gone = *follow;
    assert(gone->state != KR_FOLLOW_FINISHING);
    if (gone->import != NULL)
        gone->options.state->import_close(&gone->import);
    buf_fini(&gone->large);
    buf_fini(&gone->chunk);
    arena_fini(&gone->frame);
    arena_fini(&gone->rows_arena);
    arena_fini(&gone->enlist_arena);
    arena_fini(&gone->request_arena);
    mem_free(gone->rows);
    mem_free(gone);
    *follow = NULL;
}

// --- taking --------------------------------------------------------------------------------------

static enum kr_err out_of_place(const struct follow *follow, const struct peer_frame *frame,
                                struct fault *fault)
{
    return fault_set(fault, KR_ERR_INVALID, "peer frame: %s out of place: the session is %s",
                     codec_peer_name(frame->type), follow_state_text(follow->state));
}

// A higher epoch is remembered; false: theirs is older than what is known, so they are not the ones
// to follow.
static bool check_epoch(struct follow *follow, uint64_t epoch, uint64_t now_ms)
{
    struct follow_carry *carry = follow->options.carry;
    if (epoch >= carry->known_epoch) {
        carry->known_epoch = epoch;
        return true;
    }
    follow_leave(follow, KR_PEER_OLD_EPOCH, now_ms, "%s is of epoch %llu, and %s knows %llu",
                 follow->options.upstream_id, (unsigned long long)epoch, follow->options.own_id,
                 (unsigned long long)carry->known_epoch);
    return false;
}

static bool check_path(struct follow *follow, const struct peer_welcome *welcome, uint64_t now_ms)
{
    for (size_t i = 0; i < welcome->path.count; i++)
        if (strcmp(welcome->path.items[i], follow->options.own_id) == 0) {
            follow_leave(follow, KR_PEER_DESCENDANT, now_ms, "%s is below %s",
                         follow->options.upstream_id, follow->options.own_id);
            return false;
        }
    return true;
}

static enum kr_err begin_stream(struct follow *follow, uint64_t now_ms, struct fault *fault)
{
    const struct state *state = follow->options.state;
    uint64_t index = state->applied_index(state->ctx);
    follow_enter(follow, KR_FOLLOW_STREAMING, now_ms);
    follow_rows_begin(follow, index);
    follow->renew_due_ms = follow->usage_due_ms = now_ms;
    if (follow->options.carry->must_rebuild)
        return follow_request(follow, now_ms, fault);
    lease_applied(follow->options.lease, index);
    follow->owes_ack = true;
    return KR_ERR_OK;
}

static enum kr_err take_welcome(struct follow *follow, const struct peer_frame *frame,
                                uint64_t now_ms, struct fault *fault)
{
    const struct peer_welcome *welcome = &frame->as.welcome;
    if (follow->state != KR_FOLLOW_GREETED && follow->state != KR_FOLLOW_STREAMING)
        return out_of_place(follow, frame, fault);
    if (strcmp(welcome->node_id, follow->options.upstream_id) != 0)
        return fault_set(fault, KR_ERR_INVALID, "peer frame: Welcome of %s from %s",
                         welcome->node_id, follow->options.upstream_id);
    if (!check_epoch(follow, welcome->epoch, now_ms) || !check_path(follow, welcome, now_ms))
        return KR_ERR_OK;
    follow->commit_index = welcome->commit_index;
    follow->options.owner.welcomed(follow->options.owner.ctx, welcome);
    return follow->state == KR_FOLLOW_GREETED ? begin_stream(follow, now_ms, fault) : KR_ERR_OK;
}

static enum kr_err take_lease(struct follow *follow, const struct peer_lease *lease,
                              uint64_t now_ms)
{
    if (!check_epoch(follow, lease->epoch, now_ms))
        return KR_ERR_OK;
    follow->options.carry->lease_epoch = lease->epoch;
    if (lease->remaining_ms > 0)
        follow->leaseless_since_ms = 0;
    else if (follow->leaseless_since_ms == 0)
        follow->leaseless_since_ms = now_ms;
    lease_granted(follow->options.lease, lease->seq, lease->remaining_ms, lease->index);
    return KR_ERR_OK;
}

// Not before our Hello; and behind a whole snapshot nothing is left to refuse.
static enum kr_err take_reject(struct follow *follow, const struct peer_frame *frame,
                               uint64_t now_ms, struct fault *fault)
{
    const struct peer_reject *reject = &frame->as.reject;
    if (follow->state < KR_FOLLOW_GREETED || follow->state > KR_FOLLOW_IMPORTING)
        return out_of_place(follow, frame, fault);
    if (reject->code != KR_PEER_NOT_READY && reject->code != KR_PEER_FROM_FUTURE &&
        reject->code != KR_PEER_DESCENDANT && reject->code != KR_PEER_OLD_EPOCH)
        lease_forget(follow->options.lease, 0);
    follow_enter(follow, KR_FOLLOW_ENDED, now_ms);
    follow->reject.code = reject->code;
    return fault_set(fault, KR_ERR_FORBIDDEN, "%s refused this node: %s",
                     follow->options.upstream_id, reject->reason);
}

static enum kr_err take_stream(struct follow *follow, const struct peer_frame *frame,
                               uint64_t now_ms, struct fault *fault)
{
    if (follow->state == KR_FOLLOW_REQUESTING)
        return KR_ERR_OK; // was on its way when we asked for another state
    if (follow->state != KR_FOLLOW_STREAMING)
        return out_of_place(follow, frame, fault);
    if (frame->type == KR_PEER_ENTRIES)
        return follow_take_entries(follow, &frame->as.entries, now_ms, fault);
    if (frame->type == KR_PEER_LEASE)
        return take_lease(follow, &frame->as.lease, now_ms);
    return follow_take_digests(follow, &frame->as.digests, now_ms, fault);
}

static enum kr_err take_offer(struct follow *follow, const struct peer_frame *frame,
                              uint64_t now_ms, struct fault *fault)
{
    if (follow->state != KR_FOLLOW_GREETED && follow->state != KR_FOLLOW_STREAMING &&
        follow->state != KR_FOLLOW_REQUESTING)
        return out_of_place(follow, frame, fault);
    return follow_take_offer(follow, &frame->as.position, now_ms, fault);
}

static enum kr_err take_snapshot(struct follow *follow, const struct peer_frame *frame,
                                 uint64_t now_ms, struct fault *fault)
{
    if (follow->state != KR_FOLLOW_REQUESTING && follow->state != KR_FOLLOW_IMPORTING)
        return out_of_place(follow, frame, fault);
    if (frame->type == KR_PEER_SNAPSHOT_CHUNK)
        return follow_take_chunk(follow, &frame->as.snapshot_chunk, now_ms, fault);
    return follow_take_end(follow, &frame->as.position, now_ms, fault);
}

enum kr_err follow_take(struct follow *follow, const struct peer_frame *frame, uint64_t now_ms,
                        struct fault *fault)
{
    if (follow->state == KR_FOLLOW_LEAVING || follow->state == KR_FOLLOW_ENDED)
        return KR_ERR_OK;
    switch (frame->type) {
    case KR_PEER_WELCOME:
        return take_welcome(follow, frame, now_ms, fault);
    case KR_PEER_NEED_SNAPSHOT:
        return take_offer(follow, frame, now_ms, fault);
    case KR_PEER_REJECT:
        return take_reject(follow, frame, now_ms, fault);
    case KR_PEER_ENTRIES:
    case KR_PEER_LEASE:
    case KR_PEER_DIGESTS:
        return take_stream(follow, frame, now_ms, fault);
    case KR_PEER_SNAPSHOT_CHUNK:
    case KR_PEER_SNAPSHOT_END:
        return take_snapshot(follow, frame, now_ms, fault);
    case KR_PEER_ANSWER:
        return forward_take_answer(follow->options.forward, &frame->as.answer, fault);
    case KR_PEER_BODY:
        return forward_take_body(follow->options.forward, &frame->as.body, fault);
    case KR_PEER_ECHO:
        follow->options.owner.echoed(follow->options.owner.ctx, frame->as.probe.seq);
        return KR_ERR_OK;
    case KR_PEER_HELLO:
    case KR_PEER_ACK:
    case KR_PEER_RENEW:
    case KR_PEER_SNAPSHOT_REQUEST:
    case KR_PEER_REGISTER:
    case KR_PEER_FORWARD:
    case KR_PEER_PROBE:
    case KR_PEER_USAGE:
        return out_of_place(follow, frame, fault);
    }
    return out_of_place(follow, frame, fault);
}

enum kr_err follow_turn(struct follow *follow, uint64_t now_ms, struct fault *fault)
{
    return follow->state == KR_FOLLOW_STREAMING ? follow_apply(follow, now_ms, fault) : KR_ERR_OK;
}

// --- sending -------------------------------------------------------------------------------------

static enum kr_err next_hello(struct follow *follow, uint64_t now_ms, struct buf *out,
                              struct fault *fault)
{
    const struct state *state = follow->options.state;
    struct store_position position;
    struct peer_frame frame = {.type = KR_PEER_HELLO};
    struct peer_hello *hello = &frame.as.hello;
    state->position(state->ctx, &position);
    follow->options.owner.introduce(follow->options.owner.ctx, hello);
    hello->feature_level = KR_PEER_FEATURE_LEVEL;
    hello->applied_index = position.index;
    hello->epoch = position.epoch;
    hello->chain = position.chain;
    hello->holding = state->holding == KR_HOLD_ALL ? KR_PEER_HOLDS_ALL : KR_PEER_HOLDS_VALIDATION;
    follow_enter(follow, KR_FOLLOW_GREETED, now_ms);
    return codec_peer_add(out, &frame, fault);
}

static enum kr_err next_leave(struct follow *follow, uint64_t now_ms, struct buf *out,
                              struct fault *fault)
{
    const struct peer_frame frame = {.type = KR_PEER_REJECT, .as.reject = follow->reject};
    follow_enter(follow, KR_FOLLOW_ENDED, now_ms);
    follow->reject.code = 0; // it was we who left
    return codec_peer_add(out, &frame, fault);
}

// The clock is read before the question leaves, so that the answer's lease counts from then.
static enum kr_err next_renew(struct follow *follow, uint64_t now_ms, struct buf *out,
                              struct fault *fault)
{
    const struct peer_frame frame = {.type = KR_PEER_RENEW,
                                     .as.seq = lease_ask(follow->options.lease, now_ms)};
    follow->renew_due_ms = now_ms + KR_LEASE_RENEW_MS;
    follow->owes_ack = true;
    return codec_peer_add(out, &frame, fault);
}

static enum kr_err next_ack(struct follow *follow, uint64_t now_ms, struct buf *out,
                            struct fault *fault)
{
    const struct state *state = follow->options.state;
    struct peer_frame frame = {.type = KR_PEER_ACK};
    follow->options.owner.report(follow->options.owner.ctx, now_ms, &follow->frame, &frame.as.ack);
    frame.as.ack.applied_index = state->applied_index(state->ctx);
    follow->owes_ack = false;
    return codec_peer_add(out, &frame, fault);
}

static enum kr_err next_probe(struct follow *follow, uint64_t now_ms, struct buf *out,
                              struct fault *fault)
{
    const struct state *state = follow->options.state;
    struct store_position position;
    state->position(state->ctx, &position);
    const struct peer_frame frame = {
        .type = KR_PEER_PROBE, .as.probe = {.seq = ++follow->probe.seq, .epoch = position.epoch}};
    follow->probe.due_ms =
        now_ms +
        (follow->state == KR_FOLLOW_STREAMING ? KR_FOLLOW_PROBE_STREAMING_MS : KR_FOLLOW_PROBE_MS);
    follow->options.owner.probing(follow->options.owner.ctx, frame.as.probe.seq);
    return codec_peer_add(out, &frame, fault);
}

static enum kr_err next_request(struct follow *follow, struct buf *out, struct fault *fault)
{
    const struct peer_frame frame = {.type = KR_PEER_SNAPSHOT_REQUEST,
                                     .as.snapshot_request = follow->request};
    follow->owes_request = false;
    return codec_peer_add(out, &frame, fault);
}

static enum kr_err next_enlist(struct follow *follow, struct buf *out, struct fault *fault)
{
    const struct peer_frame frame = {.type = KR_PEER_REGISTER,
                                     .as.member = follow->enlist[--follow->enlist_count]};
    enum kr_err err = codec_peer_add(out, &frame, fault);
    if (follow->enlist_count == 0)
        arena_reset(&follow->enlist_arena);
    return err;
}

static enum kr_err next_usage(struct follow *follow, uint64_t now_ms, struct buf *out,
                              struct fault *fault)
{
    struct peer_frame frame = {.type = KR_PEER_USAGE};
    follow->usage_due_ms = now_ms + KR_FOLLOW_USAGE_MS;
    follow->options.owner.usage(follow->options.owner.ctx, &follow->frame, &frame.as.usage);
    return codec_peer_add(out, &frame, fault);
}

static enum kr_err next_streaming(struct follow *follow, uint64_t now_ms, struct buf *out,
                                  struct fault *fault)
{
    struct peer_frame frame;
    if (now_ms >= follow->renew_due_ms)
        return next_renew(follow, now_ms, out, fault);
    if (follow->owes_ack)
        return next_ack(follow, now_ms, out, fault);
    if (follow->enlist_count > 0)
        return next_enlist(follow, out, fault);
    if (now_ms >= follow->usage_due_ms)
        return next_usage(follow, now_ms, out, fault);
    if (forward_next(follow->options.forward, now_ms, &frame))
        return codec_peer_add(out, &frame, fault);
    return KR_ERR_NOT_FOUND;
}

enum kr_err follow_next(struct follow *follow, uint64_t now_ms, struct buf *out,
                        struct fault *fault)
{
    arena_reset(&follow->frame);
    if (follow->state == KR_FOLLOW_NEW)
        return next_hello(follow, now_ms, out, fault);
    if (follow->state == KR_FOLLOW_LEAVING)
        return next_leave(follow, now_ms, out, fault);
    if (follow->state == KR_FOLLOW_ENDED || follow->state == KR_FOLLOW_REPLACED)
        return KR_ERR_NOT_FOUND;
    if (follow->owes_request)
        return next_request(follow, out, fault);
    if (now_ms >= follow->probe.due_ms)
        return next_probe(follow, now_ms, out, fault);
    if (follow->state == KR_FOLLOW_STREAMING)
        return next_streaming(follow, now_ms, out, fault);
    return KR_ERR_NOT_FOUND;
}

enum kr_err follow_tick(struct follow *follow, uint64_t now_ms, struct fault *fault)
{
    if (follow->state == KR_FOLLOW_GREETED && now_ms >= follow->since_ms + KR_FOLLOW_GREETING_MS)
        return fault_set(fault, KR_ERR_TIMEOUT, "%s did not answer the Hello within %d ms",
                         follow->options.upstream_id, KR_FOLLOW_GREETING_MS);
    return KR_ERR_OK;
}

// --- what the node tells -------------------------------------------------------------------------

void follow_report(struct follow *follow)
{
    follow->owes_ack = follow->owes_ack || follow->state == KR_FOLLOW_STREAMING;
}

enum kr_err follow_enlist(struct follow *follow, const struct peer_member *member)
{
    struct arena *arena = &follow->enlist_arena;
    for (size_t i = 0; i < follow->enlist_count; i++)
        if (strcmp(follow->enlist[i].id, member->id) == 0)
            return KR_ERR_OK;
    if (follow->enlist_count == KR_FOLLOW_ENLIST_MAX)
        return KR_ERR_BUSY;
    follow->enlist[follow->enlist_count++] =
        (struct peer_member){.id = arena_text(arena, member->id),
                             .region = arena_text(arena, member->region),
                             .role = member->role,
                             .peer_address = arena_text(arena, member->peer_address),
                             .http_address = arena_text(arena, member->http_address)};
    return KR_ERR_OK;
}

enum follow_state follow_state(const struct follow *follow)
{
    return follow->state;
}

enum peer_reject_code follow_reject(const struct follow *follow)
{
    return follow->state == KR_FOLLOW_ENDED ? follow->reject.code : (enum peer_reject_code)0;
}

void follow_figures(const struct follow *follow, struct follow_figures *out)
{
    *out = (struct follow_figures){.commit_index = follow->commit_index,
                                   .leaseless_since_ms = follow->leaseless_since_ms,
                                   .snapshot_rows = follow->snapshot_rows,
                                   .snapshot_bytes = follow->snapshot_bytes,
                                   .snapshot_total_bytes = follow->snapshot_total_bytes};
}
