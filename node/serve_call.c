// SPDX-License-Identifier: Apache-2.0
// Management calls as a serving loop sees them: copied out, handed over, answered when they return.
//
// Happy path: token resolved → call built → control loop → answered queue → wake → reply → resumed.
// Failures: no valid token (401 at once), a malformed path or query (400/404 at once), the
// connection gone meanwhile (the answer is dropped, the change stands; what only reads is given
// up).
#include "node/serve_internal.h"

#include <poll.h>

#include "core/base/clock.h"
#include "core/http/http2_stream.h"
#include "node/call_build.h"

#define KR_CALL_PATIENCE_NS UINT64_C(1000000000)

// --- building ------------------------------------------------------------------------------------

// Whose request it is: a proxy's own where it does not say for whom it asks. Over the unix socket
// nobody has an address: 0.0.0.0, which is no host's (RFC 1122 §3.2.1.3).
static struct cidr_address find_client(const struct job *job)
{
    static const uint8_t nobody[4] = {0};
    const struct connection *connection = job->connection;
    struct cidr_address client;
    if (!connection->has_peer)
        return cidr_of_ipv4(nobody);
    if (!credential_client(&job->request, connection->serve->node->config, connection->is_trusted,
                           &connection->peer, &client))
        return connection->peer;
    return client;
}

static void client_text(const struct job *job, char out[KR_CIDR_TEXT_SIZE])
{
    const struct cidr client = {.network = find_client(job), .prefix_bits = 128};
    if (!job->connection->has_peer) {
        strcpy(out, "unix");
        return;
    }
    cidr_text(&client, out);
    out[strcspn(out, "/")] = '\0';
}

// NULL: the path or the query is malformed.
static struct call *new_call(const struct job *job)
{
    struct serve *serve = job->connection->serve;
    char id[KR_REQUEST_ID_SIZE], client[KR_CIDR_TEXT_SIZE];
    turn_request_id(serve, id);
    client_text(job, client);
    const struct call_origin origin = {id, client, serve->now_ms};
    return call_build(serve->node, job->match.route, &job->request, &origin);
}

bool serve_call_token(const struct serve *serve, const struct http_request *request,
                      struct access *actor)
{
    struct bytes token;
    return call_find_token(request, &token) &&
           access_resolve(serve->node->store, token, serve->now_ms, actor);
}

// The token is checked by the same hot table as every key.
static bool resolve_token(struct call *call)
{
    return call->token.size > 0 &&
           access_resolve(call->node->store, call->token, call->now_ms, &call->actor);
}

// --- there and back ------------------------------------------------------------------------------

static void answered(void *ctx, struct call *call)
{
    struct suspended *suspended = ctx;
    struct serve *serve = suspended->serve;
    (void)call;
    pthread_mutex_lock(&serve->answered_lock);
    suspended->next = serve->answered;
    serve->answered = suspended;
    pthread_mutex_unlock(&serve->answered_lock);
    waker_call(&serve->waker);
}

bool serve_call_admits(const struct serve *serve, const struct route *route,
                       const struct http_request *request)
{
    struct access actor;
    return !route_is_call(route) || route->right == KR_RIGHT_NONE ||
           serve_call_token(serve, request, &actor);
}

// An address that tries token after token is told to wait; one that has a good token goes on, so
// that nobody can shut out who shares an address with him.
enum kr_err serve_call_unknown(struct job *job, const char **reason)
{
    struct serve *serve = job->connection->serve;
    struct bytes token;
    *reason = "send a valid management token: Authorization: Bearer kr_mgmt_…";
    if (!call_find_token(&job->request, &token))
        return KR_ERR_UNAUTHORIZED;
    if (!store_is_loaded(serve->node->store)) {
        *reason = "the node is loading its keys; try again";
        return KR_ERR_BUSY;
    }
    metrics_bump(&serve->metrics->auth_failures, 1);
    const struct cidr_address client = find_client(job);
    if (ceilings_fail(serve->node->ceilings, &client, serve->boot_ms, &job->retry_ms))
        return KR_ERR_UNAUTHORIZED;
    metrics_bump(&serve->metrics->auth_limited, 1);
    *reason = "too many requests with a wrong token came from this address";
    return KR_ERR_LIMITED;
}

void serve_call_refused(struct job *job)
{
    const struct serve *serve = job->connection->serve;
    struct dispatch_match match;
    dispatch_find(&job->request, &match);
    if (match.route != NULL && !serve_call_admits(serve, match.route, &job->request))
        job->refusal = serve_call_unknown(job, &job->reason);
}

static void refuse_unknown(struct job *job)
{
    const char *reason;
    enum kr_err err = serve_call_unknown(job, &reason);
    serve_reply_problem(job, err, reason);
}

// The second half of the node's places is for changes alone: whoever reads much must not keep
// anybody from taking a key back. Of reads, one more is let through than node/readers.c has places
// for, which counts what it refuses. False: there is none.
static bool take_place(struct node *node, const struct route *route)
{
    size_t places = (size_t)node->config->calls_max;
    if (atomic_fetch_add_explicit(&node->calls, 1, memory_order_relaxed) <
        (route_is_reading(route) ? places / 2 + 1 : places))
        return true;
    atomic_fetch_sub_explicit(&node->calls, 1, memory_order_relaxed);
    return false;
}

bool serve_call_owes(const struct serve *serve, bool is_change)
{
    size_t owed = serve->writing_bytes + http2_streams_owed(serve->streams);
    return owed >= (is_change ? serve->untaken_bound : serve->untaken_bound / 2);
}

// A revocation's answer is short, and nobody else's answers shall hold it up.
static bool owes_too_much(const struct serve *serve, const struct route *route)
{
    return route->right != KR_RIGHT_REVOKE && serve_call_owes(serve, !route_is_asking(route));
}

void serve_call_begin(struct job *job)
{
    struct call *call = new_call(job);
    if (call == NULL) {
        serve_reply_problem(job, KR_ERR_INVALID, "the path or query is malformed");
        return;
    }
    if (!resolve_token(call) && call->route->right != KR_RIGHT_NONE) {
        refuse_unknown(job);
        call_free(&call);
        return;
    }
    const char *reason = NULL;
    if (owes_too_much(job->connection->serve, call->route))
        reason = KR_UNTAKEN_TEXT;
    else if (!take_place(job->connection->serve->node, call->route))
        reason = "too many management requests are under way; try again";
    if (reason != NULL) {
        call_free(&call);
        serve_reply_problem(job, KR_ERR_BUSY, reason);
        return;
    }
    struct suspended *suspended = suspend_job(job, KR_SUSPENDED_CALL);
    suspended->call = call;
    suspended->serve->calls++;
    control_submit(suspended->serve->node->control, call, answered, suspended);
}

// A body that fits no buffer would close the connection where it should be answered 413.
_Static_assert(KR_CALL_ANSWER_BYTES <= KR_SERVE_BODY_LIMIT_BYTES, "its head has room beside it");

void serve_call_reply(struct suspended *suspended)
{
    struct job *job = &suspended->job;
    struct serve *serve = suspended->serve;
    const struct call_answer *answer = &suspended->call->answer;
    http_reply_begin(&serve->out, &job->request, answer->status, serve->date);
    http_reply_field_text(&serve->out, "X-Request-Id", suspended->call->request_id);
    for (size_t i = 0; i < answer->field_count; i++)
        http_reply_field_text(&serve->out, answer->fields[i].name, answer->fields[i].value);
    http_reply_end(&serve->out, &job->request, answer->status, answer->content_type,
                   buf_bytes(&answer->body));
    turn_count(job, answer->status);
}

// --- clients that have gone ----------------------------------------------------------------------

// Its end, or a reset: neither is read while a request of HTTP/1.1 is being answered.
static bool has_hung_up(const struct connection *connection)
{
    struct pollfd poll_fd = {.fd = connection->fd, .events = POLLRDHUP};
    return poll(&poll_fd, 1, 0) > 0;
}

// Who ends his side of a connection may still read the answer, so that a short one is not cut off.
static bool has_gone(const struct suspended *suspended)
{
    const struct job *job = &suspended->job;
    const struct connection *connection = job->connection;
    if (job->stream != NULL && http2_is_given_up(job->stream))
        return true;
    return clock_mono_ns() - job->started_ns >= KR_CALL_PATIENCE_NS &&
           (connection->has_ended || has_hung_up(connection));
}

void serve_call_sweep(struct connection *connection)
{
    for (struct suspended *at = connection->suspended; at != NULL; at = at->next_of_connection) {
        if (at->kind == KR_SUSPENDED_CALL && route_is_reading(at->call->route) && has_gone(at))
            serve_call_give_up(at);
    }
}

void serve_call_give_up(struct suspended *suspended)
{
    if (suspended->call != NULL)
        atomic_store_explicit(&suspended->call->is_given_up, true, memory_order_relaxed);
}

static struct suspended *take_answered(struct serve *serve)
{
    pthread_mutex_lock(&serve->answered_lock);
    struct suspended *list = serve->answered;
    serve->answered = NULL;
    pthread_mutex_unlock(&serve->answered_lock);
    return list;
}

void serve_call_drain(struct serve *serve)
{
    struct suspended *next;
    for (struct suspended *at = take_answered(serve); at != NULL; at = next) {
        next = at->next;
        serve->calls--;
        atomic_fetch_sub_explicit(&serve->node->calls, 1, memory_order_relaxed);
        if (!at->is_abandoned)
            turn_finish(at);
        call_free(&at->call);
        suspend_free(&at);
    }
}
