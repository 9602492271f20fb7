// SPDX-License-Identifier: Apache-2.0
// A child's calls: put together, handed on, answered.
//
// Happy path: Forward and its Bodies → serve callback → forward_serve_answer → Answer and its
// Bodies. Ways it can fail: a frame out of place or too large (the link closes); no place for a
// call, or no room for its body (it is not begun, which the child is told); the deadline passes
// (dropped without a word: the child counts the same time); no room for an answer beside those that
// wait (told in its place).
//
// The child keeps the same limits. But its deadlines end first, by the time that a frame takes: it
// may have given places away that are still taken here. So what finds none is no fault, unless
// there are more of these than a child can have made.
#include "replication/forward_serve.h"

#include <assert.h>

#include "replication/forward_parts.h"

// GATHERING ─▶ RUNNING ─▶ REPLYING ─▶ gone
//     └─────▶ REFUSING ─────────────▲
// While it is being refused, more of its body may come, and is passed over.
enum forward_serve_state {
    KR_FORWARD_GATHERING,
    KR_FORWARD_RUNNING,
    KR_FORWARD_REPLYING,
    KR_FORWARD_REFUSING
};

enum { KR_FORWARD_TOLD_MAX = 2 * KR_FORWARD_CALLS_MAX }; // those that are refused with them

struct forward_serve_call {
    struct forward_serve_call *next;
    uint64_t id;
    enum forward_serve_state state;
    struct arena arena;
    struct forward_request request;
    struct buf in;
    struct forward_answer answer;
    struct forward_parts_out out;
};

void forward_serve_init(struct forward_serve *serve, forward_serve_fn *fn, void *ctx)
{
    *serve = (struct forward_serve){.serve = fn, .ctx = ctx};
    serve->last = &serve->first;
}

static void drop(struct forward_serve *serve, struct forward_serve_call **at)
{
    struct forward_serve_call *call = *at;
    *at = call->next;
    if (serve->last == &call->next)
        serve->last = at;
    serve->count--;
    serve->in_bytes -= call->in.size;
    serve->out_bytes -= call->out.body.size;
    buf_fini(&call->in);
    buf_fini(&call->out.body);
    arena_fini(&call->arena);
    mem_free(call);
}

void forward_serve_fini(struct forward_serve *serve)
{
    while (serve->first != NULL)
        drop(serve, &serve->first);
}

static struct forward_serve_call **find(struct forward_serve *serve, uint64_t id)
{
    struct forward_serve_call **at = &serve->first;
    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

// The request is of no use any more.
static void reply(struct forward_serve *serve, struct forward_serve_call *call,
                  enum forward_serve_state state, const struct forward_answer *answer)
{
    call->state = state;
    serve->in_bytes -= call->in.size;
    buf_fini(&call->in);
    call->answer.status = answer->status;
    call->answer.fields = forward_parts_headers(&call->arena, answer->fields);
    buf_add_bytes(&call->out.body, answer->body);
    serve->out_bytes += answer->body.size;
}

// It goes no further, so nothing has happened.
static void refuse(struct forward_serve *serve, struct forward_serve_call *call)
{
    const struct forward_answer refusal = forward_parts_refusal(KR_ERR_NO_LEADER);
    reply(serve, call, KR_FORWARD_REFUSING, &refusal);
}

static enum kr_err add_part(struct forward_serve *serve, struct forward_serve_call *call,
                            struct bytes part, bool has_more, struct fault *fault)
{
    if (!forward_parts_has_room(serve->in_bytes, part.size)) {
        refuse(serve, call);
        return KR_ERR_OK;
    }
    enum kr_err err = forward_parts_add(&call->in, part, &serve->in_bytes, fault);
    if (err != KR_ERR_OK || has_more)
        return err;
    call->state = KR_FORWARD_RUNNING;
    call->request.body = buf_bytes(&call->in);
    serve->serve(serve->ctx, call->id, &call->request);
    return KR_ERR_OK;
}

static struct forward_serve_call *add_call(struct forward_serve *serve,
                                           const struct peer_forward *forward, uint64_t now_ms)
{
    bool is_short = forward->deadline_ms < KR_FORWARD_WAIT_MAX_MS;
    struct forward_serve_call *call = mem_zalloc(sizeof(*call));
    arena_init(&call->arena);
    buf_init(&call->in, KR_FORWARD_BODY_MAX);
    buf_init(&call->out.body, KR_FORWARD_BODY_MAX);
    call->id = forward->id;
    call->request.deadline_ms = now_ms + (is_short ? forward->deadline_ms : KR_FORWARD_WAIT_MAX_MS);
    *serve->last = call;
    serve->last = &call->next;
    serve->count++;
    return call;
}

static void copy_request(struct forward_serve_call *call, const struct peer_forward *forward,
                         uint64_t now_ms)
{
    struct arena *arena = &call->arena;
    struct forward_request *request = &call->request;
    // An older node does not say.
    bool is_said = forward->send_within_ms > 0 && forward->send_within_ms < KR_FORWARD_SEND_MS;
    request->method = arena_text(arena, forward->method);
    request->target = arena_text(arena, forward->target);
    request->fields = forward_parts_headers(arena, forward->fields);
    request->client_address = arena_text(arena, forward->client_address);
    request->request_id = arena_text(arena, forward->request_id);
    request->send_by_ms = now_ms + (is_said ? forward->send_within_ms : KR_FORWARD_SEND_MS);
}

enum kr_err forward_serve_take(struct forward_serve *serve, const struct peer_forward *forward,
                               uint64_t now_ms, struct fault *fault)
{
    bool has_place = serve->count < KR_FORWARD_CALLS_MAX;
    if (serve->count >= KR_FORWARD_TOLD_MAX)
        return fault_set(fault, KR_ERR_INVALID, "peer frame: more than %u calls at once",
                         KR_FORWARD_TOLD_MAX);
    if (forward->id <= serve->last_id)
        return fault_set(fault, KR_ERR_INVALID, "peer frame: call %llu comes behind call %llu",
                         (unsigned long long)forward->id, (unsigned long long)serve->last_id);
    serve->last_id = forward->id;
    struct forward_serve_call *call = add_call(serve, forward, now_ms);
    if (!has_place) {
        refuse(serve, call);
        return KR_ERR_OK;
    }
    copy_request(call, forward, now_ms);
    return add_part(serve, call, forward->body, forward->has_more, fault);
}

enum kr_err forward_serve_take_body(struct forward_serve *serve, const struct peer_body *body,
                                    struct fault *fault)
{
    struct forward_serve_call *call = *find(serve, body->id);
    if (call == NULL || call->state == KR_FORWARD_REFUSING) // or its deadline has passed
        return KR_ERR_OK;
    if (call->state != KR_FORWARD_GATHERING)
        return fault_set(fault, KR_ERR_INVALID, "peer frame: Body behind the end of call %llu",
                         (unsigned long long)body->id);
    return add_part(serve, call, body->body, body->has_more, fault);
}

void forward_serve_answer(struct forward_serve *serve, uint64_t id,
                          const struct forward_answer *answer)
{
    const struct forward_answer no_room = forward_parts_refusal(KR_ERR_BUSY);
    struct forward_serve_call *call = *find(serve, id);
    if (call == NULL)
        return;
    assert(call->state == KR_FORWARD_RUNNING);
    assert(answer->body.size <= KR_FORWARD_BODY_MAX);
    if (!forward_parts_has_room(serve->out_bytes, answer->body.size))
        answer = &no_room;
    reply(serve, call, KR_FORWARD_REPLYING, answer);
}

static void fill(struct forward_serve_call *call, struct peer_frame *out)
{
    bool is_begun = call->out.is_begun, has_more = false;
    struct bytes part = forward_parts_take(&call->out, &has_more);
    if (is_begun) {
        *out = (struct peer_frame){.type = KR_PEER_BODY};
        out->as.body = (struct peer_body){call->id, part, has_more};
    } else {
        *out = (struct peer_frame){.type = KR_PEER_ANSWER};
        out->as.answer = (struct peer_answer){.id = call->id,
                                              .status = call->answer.status,
                                              .fields = call->answer.fields,
                                              .body = part,
                                              .has_more = has_more};
    }
}

// What was sent whole is dropped by the next call, since its last part is lent until then.
bool forward_serve_next(struct forward_serve *serve, struct peer_frame *out)
{
    struct forward_serve_call **at = &serve->first;
    while (*at != NULL) {
        if ((*at)->state < KR_FORWARD_REPLYING) {
            at = &(*at)->next;
        } else if (forward_parts_is_sent(&(*at)->out)) {
            drop(serve, at);
        } else {
            fill(*at, out);
            return true;
        }
    }
    return false;
}

void forward_serve_tick(struct forward_serve *serve, uint64_t now_ms)
{
    struct forward_serve_call **at = &serve->first;
    while (*at != NULL) {
        if ((*at)->request.deadline_ms > now_ms)
            at = &(*at)->next;
        else
            drop(serve, at);
    }
}
