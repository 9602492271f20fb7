// SPDX-License-Identifier: Apache-2.0
// Calls on their way up to the leader.
//
// Happy path: submitted → sent, the body in parts → answer in parts → told. Ways it can fail: no
// link in time, or none any more (NO_LEADER); the deadline passes, or the link goes, after the
// first byte was sent (TIMEOUT); the answer breaks the rules (the link closes, so TIMEOUT); a node
// further up says one of these, or that it had no room for the answer (BUSY).
#include "replication/forward.h"

#include <assert.h>

#include "replication/forward_parts.h"

//                    forward_next              forward_take_answer
//   WAITING ──────────────▶ SENDING ──▶ SENT ──────────▶ ANSWERING ──▶ told
//      │ send_by                 │ deadline, link lost         │
//      └──▶ NO_LEADER            └──────────▶ TIMEOUT ◀────────┘
// An answer may come while the body is still being sent.
enum forward_state {
    KR_FORWARD_WAITING,
    KR_FORWARD_SENDING,
    KR_FORWARD_SENT,
    KR_FORWARD_ANSWERING
};

struct forward_call {
    struct forward_call *next;
    uint64_t id;
    enum forward_state state;
    struct arena arena;
    struct forward_request request; // its texts in the arena; the body is in out
    struct forward_parts_out out;
    struct forward_answer answer; // its texts in the arena; the body is in
    struct buf in;
    forward_done_fn *done;
    void *ctx;
};

struct forward {
    struct forward_call *first, **last; // in order of arrival
    size_t count, out_bytes, in_bytes;
    uint64_t last_id;
    bool is_retiring; // the link is to be left
};

struct forward *forward_new(void)
{
    struct forward *forward = mem_zalloc(sizeof(*forward));
    forward->last = &forward->first;
    return forward;
}

static void enter(struct forward_call *call, enum forward_state state)
{
    assert(call->state < state);
    call->state = state;
}

// Takes the call out of the list, tells, and frees it.
static void finish(struct forward *forward, struct forward_call **at, enum kr_err err)
{
    struct forward_call *call = *at;
    *at = call->next;
    if (forward->last == &call->next)
        forward->last = at;
    forward->count--;
    forward->out_bytes -= call->out.body.size;
    forward->in_bytes -= call->in.size;
    call->done(call->ctx, err, err == KR_ERR_OK ? &call->answer : NULL);
    buf_fini(&call->out.body);
    buf_fini(&call->in);
    arena_fini(&call->arena);
    mem_free(call);
}

static enum kr_err error_of(const struct forward_call *call)
{
    return call->state == KR_FORWARD_WAITING ? KR_ERR_NO_LEADER : KR_ERR_TIMEOUT;
}

void forward_free(struct forward **forward)
{
    while ((*forward)->first != NULL)
        finish(*forward, &(*forward)->first, error_of((*forward)->first));
    mem_free(*forward);
    *forward = NULL;
}

static void copy_request(struct forward_call *call, const struct forward_request *request)
{
    struct arena *arena = &call->arena;
    call->request = (struct forward_request){
        .method = arena_text(arena, request->method),
        .target = arena_text(arena, request->target),
        .fields = forward_parts_headers(arena, request->fields),
        .client_address = arena_text(arena, request->client_address),
        .request_id = arena_text(arena, request->request_id),
        .deadline_ms = request->deadline_ms,
        .send_by_ms = request->send_by_ms,
    };
    if (request->send_by_ms == 0 || request->send_by_ms > request->deadline_ms)
        call->request.send_by_ms = request->deadline_ms;
    buf_init(&call->out.body, KR_FORWARD_BODY_MAX);
    buf_add_bytes(&call->out.body, request->body);
}

enum kr_err forward_submit(struct forward *forward, const struct forward_request *request,
                           forward_done_fn *done, void *ctx)
{
    if (request->body.size > KR_FORWARD_BODY_MAX)
        return KR_ERR_TOO_LARGE;
    if (forward->count >= KR_FORWARD_CALLS_MAX ||
        !forward_parts_has_room(forward->out_bytes, request->body.size))
        return KR_ERR_BUSY;
    struct forward_call *call = mem_zalloc(sizeof(*call));
    arena_init(&call->arena);
    copy_request(call, request);
    buf_init(&call->in, KR_FORWARD_BODY_MAX);
    call->id = ++forward->last_id;
    call->done = done;
    call->ctx = ctx;
    *forward->last = call;
    forward->last = &call->next;
    forward->count++;
    forward->out_bytes += request->body.size;
    return KR_ERR_OK;
}

static void fill_forward(struct forward_call *call, uint64_t now_ms, struct peer_frame *out)
{
    const struct forward_request *request = &call->request;
    *out = (struct peer_frame){.type = KR_PEER_FORWARD};
    out->as.forward = (struct peer_forward){.id = call->id,
                                            .deadline_ms = request->deadline_ms - now_ms,
                                            .send_within_ms = request->send_by_ms - now_ms,
                                            .method = request->method,
                                            .target = request->target,
                                            .fields = request->fields,
                                            .client_address = request->client_address,
                                            .request_id = request->request_id};
    out->as.forward.body = forward_parts_take(&call->out, &out->as.forward.has_more);
}

static void fill_body(struct forward_call *call, struct peer_frame *out)
{
    *out = (struct peer_frame){.type = KR_PEER_BODY, .as.body.id = call->id};
    out->as.body.body = forward_parts_take(&call->out, &out->as.body.has_more);
}

static bool is_over(const struct forward_call *call, uint64_t now_ms)
{
    bool is_waiting = call->state == KR_FORWARD_WAITING;
    return now_ms >= (is_waiting ? call->request.send_by_ms : call->request.deadline_ms);
}

static bool is_next(const struct forward *forward, const struct forward_call *call, uint64_t now_ms)
{
    bool is_held = forward->is_retiring && call->state == KR_FORWARD_WAITING;
    return call->state < KR_FORWARD_SENT && !is_held && !is_over(call, now_ms);
}

// One call after the other, so that a body's parts lie together.
bool forward_next(struct forward *forward, uint64_t now_ms, struct peer_frame *out)
{
    struct forward_call *call = forward->first;
    while (call != NULL && !is_next(forward, call, now_ms))
        call = call->next;
    if (call == NULL)
        return false;
    if (call->state == KR_FORWARD_WAITING) {
        fill_forward(call, now_ms, out);
        enter(call, KR_FORWARD_SENDING);
    } else {
        fill_body(call, out);
    }
    if (forward_parts_is_sent(&call->out))
        enter(call, KR_FORWARD_SENT);
    return true;
}

static struct forward_call **find(struct forward *forward, uint64_t id)
{
    struct forward_call **at = &forward->first;
    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

// An id that was never given out is no late answer but a peer that makes things up.
static enum kr_err check_id(const struct forward *forward, uint64_t id, const char *what,
                            struct fault *fault)
{
    if (id == 0 || id > forward->last_id)
        return fault_set(fault, KR_ERR_INVALID, "peer frame: %s for call %llu, which nobody made",
                         what, (unsigned long long)id);
    return KR_ERR_OK;
}

static enum kr_err add_part(struct forward *forward, struct forward_call **at, struct bytes part,
                            bool has_more, struct fault *fault)
{
    enum kr_err err = forward_parts_add(&(*at)->in, part, &forward->in_bytes, fault);
    if (err == KR_ERR_OK && !has_more) {
        (*at)->answer.body = buf_bytes(&(*at)->in);
        finish(forward, at, forward_parts_refused(&(*at)->answer));
    }
    return err;
}

enum kr_err forward_take_answer(struct forward *forward, const struct peer_answer *answer,
                                struct fault *fault)
{
    enum kr_err err = check_id(forward, answer->id, "an Answer", fault);
    struct forward_call **at = find(forward, answer->id);
    if (err != KR_ERR_OK || *at == NULL)
        return err;
    if ((*at)->state == KR_FORWARD_WAITING || (*at)->state == KR_FORWARD_ANSWERING)
        return fault_set(fault, KR_ERR_INVALID, "peer frame: Answer to call %llu is out of place",
                         (unsigned long long)answer->id);
    enter(*at, KR_FORWARD_ANSWERING);
    (*at)->answer.status = answer->status;
    (*at)->answer.fields = forward_parts_headers(&(*at)->arena, answer->fields);
    return add_part(forward, at, answer->body, answer->has_more, fault);
}

enum kr_err forward_take_body(struct forward *forward, const struct peer_body *body,
                              struct fault *fault)
{
    enum kr_err err = check_id(forward, body->id, "a Body", fault);
    struct forward_call **at = find(forward, body->id);
    if (err != KR_ERR_OK || *at == NULL)
        return err;
    if ((*at)->state != KR_FORWARD_ANSWERING)
        return fault_set(fault, KR_ERR_INVALID, "peer frame: Body of call %llu before its Answer",
                         (unsigned long long)body->id);
    return add_part(forward, at, body->body, body->has_more, fault);
}

// Ends the calls that wait to be sent, or all others.
static void end_those(struct forward *forward, bool is_waiting)
{
    struct forward_call **at = &forward->first;
    while (*at != NULL) {
        if (((*at)->state == KR_FORWARD_WAITING) == is_waiting)
            finish(forward, at, error_of(*at));
        else
            at = &(*at)->next;
    }
}

bool forward_retire(struct forward *forward)
{
    forward->is_retiring = true;
    const struct forward_call *call = forward->first;
    while (call != NULL && call->state == KR_FORWARD_WAITING)
        call = call->next;
    return call == NULL;
}

void forward_lost(struct forward *forward)
{
    forward->is_retiring = false;
    end_those(forward, false);
}

void forward_end_waiting(struct forward *forward)
{
    end_those(forward, true);
}

void forward_tick(struct forward *forward, uint64_t now_ms)
{
    struct forward_call **at = &forward->first;
    while (*at != NULL) {
        if (is_over(*at, now_ms))
            finish(forward, at, error_of(*at));
        else
            at = &(*at)->next;
    }
}
