// SPDX-License-Identifier: Apache-2.0
// Calls between nodes: a call's parts as a request for the leader, and its answer as ours.
//
// Happy path: call → request → submitted upwards → answered → done. Ways it can fail: no leader
// within KR_FORWARD_SEND_MS (503, nothing happened); the link or the leader lost meanwhile (again,
// or 503 and nobody knows); more calls wait than are held, or more answers than a link holds (503);
// an answer that no link takes (413, from the leader); its client has gone, and it changes nothing.
#include "node/remote.h"

#include <assert.h>
#include <stdio.h>
#include <strings.h>

#include "core/base/clock.h"
#include "core/base/text.h"
#include "node/api/api.h"
#include "node/api/idempotency.h"
#include "node/api/receipt.h"
#include "node/call_build.h"
#include "node/dispatch.h"
#include "node/executor.h"
#include "node/node.h"

enum {
    KR_REMOTE_DEADLINE_MS = 10000,
    KR_REMOTE_ANYWHERE_MS = 2000,
    KR_REMOTE_GRACE_MS = 2000, // beyond what a receipt waits for
    KR_REMOTE_AGAIN_MS = 100,
    KR_REMOTE_HEADERS = 5
};

static_assert(KR_RECEIPT_WAIT_MAX_MS + KR_REMOTE_GRACE_MS <= KR_FORWARD_WAIT_MAX_MS,
              "a node on the way waits as long as a receipt may take");

// A call of ours on its way.
struct passage {
    struct passage *next, *previous;
    struct remote *remote;
    struct call *call; // NULL: answered, while the leader goes on with it
    remote_done_fn *done;
    void *ctx;
    uint64_t deadline_ms, send_by_ms, again_ms;
    bool may_have_happened; // it changes something, was sent, and its fate is unknown
};

// A call of a child that is run here.
struct visit {
    struct visit *next;
    struct remote *remote;
    struct remote_origin origin;
};

struct remote {
    const struct node *node;
    struct remote_port port;
    struct passage *under_way; // to the leader, or from it
    struct passage *waiting;   // to be tried again
    size_t left;               // of those under way, without a call
    struct visit *refused;
    bool is_ended;
};

struct remote *remote_new(const struct node *node, const struct remote_port *port)
{
    struct remote *remote = mem_zalloc(sizeof(*remote));
    remote->node = node;
    remote->port = *port;
    return remote;
}

void remote_free(struct remote **remote)
{
    mem_free(*remote);
    *remote = NULL;
}

// --- our calls -----------------------------------------------------------------------------------

static void add_header(struct peer_header *headers, size_t *count, const char *name,
                       struct bytes value)
{
    if (value.data != NULL)
        headers[(*count)++] = (struct peer_header){name, value};
}

static struct bytes text_or_none(const char *text)
{
    return text == NULL ? (struct bytes){0} : bytes_text(text);
}

// The headers lie in the call's arena, the token's copy with them: zeroed with it.
static struct peer_headers headers_of(struct call *call)
{
    struct peer_header *headers = arena_zalloc(&call->arena, KR_REMOTE_HEADERS * sizeof(*headers));
    size_t count = 0;
    if (call->token.size > 0) {
        const char *bearer = arena_printf(&call->arena, "Bearer %.*s", (int)call->token.size,
                                          (const char *)call->token.data);
        add_header(headers, &count, "authorization", bytes_text(bearer));
    }
    add_header(headers, &count, "content-type", text_or_none(call->content_type));
    add_header(headers, &count, "accept", text_or_none(call->accept));
    add_header(headers, &count, "if-match", text_or_none(call->if_match));
    add_header(headers, &count, "idempotency-key", text_or_none(call->idempotency_key));
    return (struct peer_headers){headers, count};
}

static bool is_read(const struct call *call)
{
    return strcmp(call->route->method, "GET") == 0;
}

static void put(struct passage **list, struct passage *passage)
{
    passage->previous = NULL;
    passage->next = *list;
    if (*list != NULL)
        (*list)->previous = passage;
    *list = passage;
}

static void take_out(struct passage **list, struct passage *passage)
{
    *(passage->previous != NULL ? &passage->previous->next : list) = passage->next;
    if (passage->next != NULL)
        passage->next->previous = passage->previous;
}

static void finish(struct passage *passage)
{
    passage->done(passage->ctx, passage->call);
    mem_free(passage);
}

static void refuse(struct passage *passage, enum kr_err err)
{
    const char *detail = "the leader cannot be asked";
    if (err == KR_ERR_NO_LEADER && passage->may_have_happened)
        err = KR_ERR_TIMEOUT;
    if (err == KR_ERR_NO_LEADER)
        detail = "no leader is within reach of this node; nothing was changed, try again";
    else if (err == KR_ERR_TIMEOUT && is_read(passage->call))
        detail = "the answer was lost on the way from the leader; try again";
    else if (err == KR_ERR_TIMEOUT && idempotency_applies(passage->call))
        detail = "the answer was lost on the way from the leader and nobody knows whether the "
                 "change was made; send it again with its Idempotency-Key, or look";
    else if (err == KR_ERR_TIMEOUT)
        detail = "the answer was lost on the way from the leader and nobody knows whether the "
                 "change was made; look before you send it again";
    else if (err == KR_ERR_BUSY)
        detail = "too much is on its way to the leader, or from it; try again";
    else if (err == KR_ERR_TOO_LARGE)
        detail = "the body is too large to be passed to the leader; send it there";
    executor_refuse(passage->call, err, detail);
    finish(passage);
}

static void try_later(struct passage *passage)
{
    passage->again_ms = clock_boot_ms() + KR_REMOTE_AGAIN_MS;
    put(&passage->remote->waiting, passage);
}

// A leader is waited for from the call on; anew, where one was lost that a receipt was waited for
// at, and there is as much time left as a new call has.
static void renew_send_by(struct passage *passage)
{
    uint64_t now_ms = clock_boot_ms();
    if (now_ms + KR_REMOTE_DEADLINE_MS + KR_REMOTE_GRACE_MS <= passage->deadline_ms)
        passage->send_by_ms = now_ms + KR_FORWARD_SEND_MS;
}

static bool may_try_again(const struct passage *passage)
{
    bool is_repeatable = !passage->may_have_happened || idempotency_applies(passage->call);
    return is_repeatable && !passage->remote->is_ended &&
           clock_boot_ms() + KR_REMOTE_AGAIN_MS < passage->send_by_ms;
}

static void take_answer(struct call *call, const struct forward_answer *answer)
{
    call->answer.field_count = 0;
    call->answer.content_type = NULL;
    api_answer_status(call, answer->status);
    for (size_t i = 0; i < answer->fields.count; i++) {
        const struct peer_header *field = &answer->fields.items[i];
        const char *value = arena_text_of(&call->arena, field->value);
        if (strcasecmp(field->name, "content-type") == 0)
            call->answer.content_type = value;
        else if (call->answer.field_count < KR_CALL_FIELDS_MAX)
            api_field(call, arena_text(&call->arena, field->name), value);
    }
    buf_clear(&call->answer.body);
    buf_add_bytes(&call->answer.body, answer->body);
}

// Of a write whose answer found no room on the way nobody here knows what it did; a read would only
// fill that link again.
static void conclude(struct passage *passage, enum kr_err err, const struct forward_answer *answer)
{
    if (err == KR_ERR_BUSY && !is_read(passage->call))
        err = KR_ERR_TIMEOUT;
    if (err == KR_ERR_TIMEOUT) {
        passage->may_have_happened |= !is_read(passage->call);
        renew_send_by(passage);
    }
    if (err == KR_ERR_OK) {
        take_answer(passage->call, answer);
        finish(passage);
    } else if (err != KR_ERR_BUSY && may_try_again(passage)) {
        try_later(passage);
    } else {
        refuse(passage, err);
    }
}

static void answered(void *ctx, enum kr_err err, const struct forward_answer *answer)
{
    struct passage *passage = ctx;
    take_out(&passage->remote->under_way, passage);
    if (passage->call != NULL) {
        conclude(passage, err, answer);
        return;
    }
    passage->remote->left--;
    mem_free(passage);
}

static void has_run(void *ctx, struct call *call)
{
    (void)call;
    finish(ctx);
}

// The node that is looked for may be this one by now.
static void submit(struct passage *passage)
{
    struct call *call = passage->call;
    const struct remote_port *port = &passage->remote->port;
    if (replica_is_leader(passage->remote->node->replica)) {
        call->must_check_token = true; // it was let in by what this node knew before it led
        port->run(port->ctx, call, has_run, passage);
        return;
    }
    const struct forward_request request = {.method = call->route->method,
                                            .target = call->target,
                                            .fields = headers_of(call),
                                            .body = call->body,
                                            .client_address = call->client_address,
                                            .request_id = call->request_id,
                                            .deadline_ms = passage->deadline_ms,
                                            .send_by_ms = passage->send_by_ms};
    enum kr_err err = port->submit(port->ctx, &request, answered, passage);
    if (err == KR_ERR_OK)
        put(&passage->remote->under_way, passage);
    else
        refuse(passage, err);
}

// A receipt may be waited for longer than anything else.
static uint64_t deadline_of(struct call *call)
{
    if (call->route->kind == KR_ROUTE_ANYWHERE) // this node can answer too
        return clock_boot_ms() + KR_REMOTE_ANYWHERE_MS;
    uint64_t wait_ms = 0;
    const char *timeout = api_parameter(call, "timeoutMs");
    if (timeout != NULL)
        text_decimal(bytes_text(timeout), KR_RECEIPT_WAIT_MAX_MS, &wait_ms);
    uint64_t usual_ms = KR_REMOTE_DEADLINE_MS + KR_REMOTE_GRACE_MS;
    wait_ms += KR_REMOTE_GRACE_MS;
    return clock_boot_ms() + (wait_ms > usual_ms ? wait_ms : usual_ms);
}

void remote_call(struct remote *remote, struct call *call, remote_done_fn *done, void *ctx)
{
    struct passage *passage = mem_zalloc(sizeof(*passage));
    *passage = (struct passage){
        .remote = remote, .call = call, .done = done, .ctx = ctx, .deadline_ms = deadline_of(call)};
    uint64_t send_by_ms = clock_boot_ms() + KR_FORWARD_SEND_MS;
    passage->send_by_ms = send_by_ms < passage->deadline_ms ? send_by_ms : passage->deadline_ms;
    submit(passage);
}

// Only of reads: a change goes on, whoever has gone.
static bool is_given_up(const struct passage *passage)
{
    return is_read(passage->call) &&
           atomic_load_explicit(&passage->call->is_given_up, memory_order_relaxed);
}

static void take_up(struct remote *remote, uint64_t now_boot_ms)
{
    struct passage *list = remote->waiting, *next;
    remote->waiting = NULL;
    for (struct passage *at = list; at != NULL; at = next) {
        next = at->next;
        if (is_given_up(at))
            refuse(at, KR_ERR_NO_LEADER);
        else if (now_boot_ms >= at->again_ms)
            submit(at);
        else
            put(&remote->waiting, at);
    }
}

// Nobody waits for the answer, but the link has no word for that: its place there stays taken until
// the leader has answered, or the time is over. So that places are left for changes, no more than
// some give back what they hold here.
static void leave(struct passage *passage)
{
    struct call *call = passage->call;
    passage->call = NULL;
    passage->remote->left++;
    executor_refuse(call, KR_ERR_TIMEOUT, "the client has gone");
    passage->done(passage->ctx, call);
}

void remote_tick(struct remote *remote, uint64_t now_boot_ms)
{
    take_up(remote, now_boot_ms);
    for (struct passage *at = remote->under_way; at != NULL; at = at->next)
        if (at->call != NULL && is_given_up(at) && remote->left < KR_REMOTE_LEFT_MAX)
            leave(at);
}

void remote_end(struct remote *remote)
{
    struct passage *list = remote->waiting, *next;
    remote->is_ended = true;
    remote->waiting = NULL;
    for (struct passage *at = list; at != NULL; at = next) {
        next = at->next;
        refuse(at, KR_ERR_NO_LEADER);
    }
    remote->port.end(remote->port.ctx);
}

// --- the calls of others -------------------------------------------------------------------------

static void answer_visit(void *ctx, struct call *call)
{
    struct visit *visit = ctx;
    const struct call_answer *answer = &call->answer;
    struct peer_header headers[KR_CALL_FIELDS_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < answer->field_count; i++)
        add_header(headers, &count, answer->fields[i].name, bytes_text(answer->fields[i].value));
    add_header(headers, &count, "content-type", text_or_none(answer->content_type));
    const struct forward_answer out = {
        answer->status, {headers, count}, buf_bytes(&call->answer.body)};
    visit->origin.answer(visit->origin.ctx, visit->origin.asked, &out);
    call_free(&call);
    mem_free(visit);
}

// The request as a connection would have read it. False: more headers than a request has.
static bool as_http(const struct forward_request *request, struct http_request *out)
{
    *out = (struct http_request){.method = KR_HTTP_OTHER,
                                 .method_name = bytes_text(request->method),
                                 .target = bytes_text(request->target),
                                 .body = request->body,
                                 .minor_version = 1};
    const uint8_t *mark = memchr(out->target.data, '?', out->target.size);
    size_t size = mark == NULL ? out->target.size : (size_t)(mark - out->target.data);
    out->path = bytes_of(out->target.data, size);
    if (mark != NULL)
        out->query = bytes_of(mark + 1, out->target.size - size - 1);
    if (request->fields.count > KR_HTTP_FIELDS_MAX)
        return false;
    for (size_t i = 0; i < request->fields.count; i++)
        out->fields[i] = (struct http_field){bytes_text(request->fields.items[i].name),
                                             request->fields.items[i].value};
    out->field_count = request->fields.count;
    return true;
}

// NULL: it is no call that a leader runs.
static struct call *build(struct remote *remote, const struct forward_request *request)
{
    struct http_request http;
    struct dispatch_match match = {0};
    const struct call_origin origin = {request->request_id, request->client_address,
                                       clock_unix_ms()};
    if (!as_http(request, &http))
        return NULL;
    dispatch_find(&http, &match);
    if (match.route == NULL || !route_is_call(match.route) || match.route->kind == KR_ROUTE_LOCAL)
        return NULL;
    struct call *call = call_build(remote->node, match.route, &http, &origin);
    if (call == NULL)
        return NULL;
    call->must_check_token = true;
    call->until_ms = request->deadline_ms;
    // The handler hears of it, before it changes anything.
    buf_init(&call->answer.body, KR_FORWARD_BODY_MAX);
    return call;
}

// It is no call that a leader runs: a node of another version passes on what we do not know.
static void refuse_visit(struct visit *visit)
{
    const struct forward_answer out = {.status = 400};
    visit->origin.answer(visit->origin.ctx, visit->origin.asked, &out);
    mem_free(visit);
}

void remote_serve(struct remote *remote, const struct forward_request *request,
                  const struct remote_origin *origin)
{
    struct visit *visit = mem_zalloc(sizeof(*visit));
    *visit = (struct visit){.remote = remote, .origin = *origin};
    struct call *call = build(remote, request);
    if (call != NULL) {
        remote->port.run(remote->port.ctx, call, answer_visit, visit);
        return;
    }
    visit->next = remote->refused;
    remote->refused = visit;
}

void remote_turn(struct remote *remote)
{
    struct visit *list = remote->refused, *next;
    remote->refused = NULL;
    for (struct visit *at = list; at != NULL; at = next) {
        next = at->next;
        refuse_visit(at);
    }
}
