// SPDX-License-Identifier: Apache-2.0
// One turn of a serving loop: gather requests, look up together, answer in order.
//
//   ready connections → jobs (parsed) → questions → digests, look-ups → verdicts → answers →
//   sockets
//
// A connection has at most one job at a time; what it pipelined behind it waits for the next round
// of the same turn, or, when the job is suspended, for its answer. So the order of answers holds.
// With HTTP/2 it has as many jobs as streams are whole, which are answered in any order.
#include "node/serve_internal.h"

#include <assert.h>

#include "core/base/clock.h"
#include "core/base/rand.h"
#include "core/base/text.h"

void turn_request_count(struct serve *serve, char out[KR_REQUEST_ID_COUNT])
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz"; // Crockford's base 32
    uint64_t count = serve->id_count++;
    for (size_t i = 0; i < KR_REQUEST_ID_COUNT; i++)
        out[KR_REQUEST_ID_COUNT - 1 - i] = digits[(count >> (5 * i)) & 31];
}

void turn_request_id(struct serve *serve, char out[KR_REQUEST_ID_SIZE])
{
    memcpy(out, "req_", 4);
    memcpy(out + 4, serve->id_prefix, 12);
    turn_request_count(serve, out + 16);
    out[24] = '\0';
}

void turn_count(struct job *job, unsigned status)
{
    struct serve *serve = job->connection->serve;
    size_t number = KR_METRICS_ROUTES_MAX - 1;
    if (job->match.route != NULL)
        number = (size_t)(job->match.route - dispatch_routes);
    metrics_requests(serve->metrics, number, status, clock_mono_ns() - job->started_ns, 1);
    if (job->has_question)
        metrics_bump(&serve->metrics->verdicts[job->question.code], 1);
}

// --- gathering -----------------------------------------------------------------------------------

static void match_nothing(struct dispatch_match *match)
{
    match->route = NULL;
    match->allow[0] = '\0';
}

// What another listener serves is not here.
static void keep_to_listener(const struct listener *listener, struct dispatch_match *match)
{
    if (match->route == NULL || (dispatch_serves(match->route) & listener->serves) != 0)
        return;
    match_nothing(match);
}

static void find_route(struct job *job)
{
    const struct listener *listener = job->connection->listener;
    dispatch_find(&job->request, &job->match);
    if (listener->serves != KR_SERVES_ALL)
        keep_to_listener(listener, &job->match);
    if (job->is_grpc && job->match.route != NULL && job->match.route->kind != KR_ROUTE_GRPC)
        match_nothing(&job->match);
}

static enum http_next next_request(struct connection *connection, struct job *job)
{
    if (connection->http2 != NULL)
        return http2_next(connection->http2, &job->request, &job->stream, &job->refusal,
                          &job->reason);
    job->stream = NULL;
    for (;;) {
        enum http_next next =
            http_conn_next(connection->http, &job->request, &job->refusal, &job->reason);
        if (next != KR_HTTP_NEED_MORE || !connection_tls_has_more(connection))
            return next;
        connection_tls_unseal(connection); // it finds space behind what was taken
    }
}

// Of a request whose body is too large the head is known; of any other nothing is believed.
static void refused(struct job *job)
{
    bool has_head = job->refusal == KR_ERR_TOO_LARGE && job->request.field_count > 0;
    struct bytes path = has_head ? job->request.path : bytes_of(NULL, 0);
    if (has_head)
        serve_call_refused(job);
    if (job->stream == NULL)
        job->request =
            (struct http_request){.method = KR_HTTP_GET, .minor_version = 1, .path = path};
}

// A long answer is there before anybody knows whether its peer takes it. So of a connection's calls
// that change nothing no more than some are under way, and of its batches one, behind which it is
// looked at what the peer has taken. What changes something is held up by none.
static enum serve_held held_as(const struct job *job)
{
    const struct route *route = job->match.route;
    if (job->stream == NULL || job->refusal != KR_ERR_OK || route == NULL)
        return KR_HELD_NOT;
    if (route_is_batch(route))
        return KR_HELD_BATCH;
    return route_is_asking(route) ? KR_HELD_READ : KR_HELD_NOT;
}

static bool must_wait(const struct connection *connection, enum serve_held held)
{
    static const size_t most[] = {
        [KR_HELD_NOT] = SIZE_MAX, [KR_HELD_READ] = KR_CONNECTION_READS, [KR_HELD_BATCH] = 1};
    return connection->held[held] >= most[held];
}

// The next request of one connection becomes a job, or is put off; false when none is whole yet.
static bool gather(struct serve *serve, struct connection *connection)
{
    struct job *job = &serve->jobs[serve->job_count];
    job->refusal = KR_ERR_OK;
    job->retry_ms = 0;
    job->request.field_count = 0;
    switch (next_request(connection, job)) {
    case KR_HTTP_NEED_MORE:
        return false;
    case KR_HTTP_CONTINUE:
        buf_add_text(&serve->out, http_conn_continue_text);
        connection_flush(connection);
        return connection->state == KR_CONNECTION_OPEN && gather(serve, connection);
    case KR_HTTP_REFUSED:
        job->connection = connection;
        refused(job);
        break;
    case KR_HTTP_REQUEST:
        break;
    }
    job->connection = connection;
    job->started_ns = serve->round_ns;
    job->has_question = job->is_suspended = false;
    job->fault = KR_ERR_OK;
    job->deadline_ms = UINT64_MAX;
    match_nothing(&job->match);
    job->is_grpc = job->stream != NULL && serve_grpc_is_call(&job->request);
    // A call that is too large is still one of its method.
    if (job->refusal == KR_ERR_OK || (job->is_grpc && job->refusal == KR_ERR_TOO_LARGE))
        find_route(job);
    job->held = held_as(job);
    if (must_wait(connection, job->held)) {
        http2_put_off(connection->http2, job->stream, (uint8_t)job->held);
    } else {
        connection->held[job->held] += job->held != KR_HELD_NOT;
        serve->job_count++;
    }
    return true;
}

// --- asking --------------------------------------------------------------------------------------

static bool ask(struct job *job)
{
    if (job->refusal != KR_ERR_OK || job->match.route == NULL)
        return false;
    switch (job->match.route->kind) {
    case KR_ROUTE_VALIDATE:
        return serve_validate_ask(job);
    case KR_ROUTE_FORWARD:
    case KR_ROUTE_ENVOY:
    case KR_ROUTE_NGINX:
    case KR_ROUTE_HAPROXY:
        return authz_ask(job);
    case KR_ROUTE_GRPC:
        return serve_grpc_ask(job);
    case KR_ROUTE_VALIDATE_BATCH:
    case KR_ROUTE_PROBE:
    case KR_ROUTE_CALL:
    case KR_ROUTE_CHANGE:
    case KR_ROUTE_LOCAL:
    case KR_ROUTE_ANYWHERE:
        return false;
    }
    return false;
}

static void ask_all(struct serve *serve)
{
    struct validate_question *questions[KR_SERVE_JOBS];
    size_t count = 0;
    for (size_t i = 0; i < serve->job_count; i++) {
        struct job *job = &serve->jobs[i];
        if (!ask(job))
            continue;
        job->has_question = true;
        questions[count++] = &job->question;
    }
    if (count == 0)
        return;
    validate_look_up(serve->node, questions, count);
    serve->boot_ms = clock_boot_ms();
}

// --- answering -----------------------------------------------------------------------------------

static void answer_question(struct job *job)
{
    struct serve *serve = job->connection->serve;
    validate_judge(serve->node, &job->question, serve->now_ms, serve->boot_ms);
    switch (job->match.route->kind) {
    case KR_ROUTE_FORWARD:
    case KR_ROUTE_ENVOY:
        authz_forward_reply(job);
        return;
    case KR_ROUTE_NGINX:
        authz_nginx_reply(job);
        return;
    case KR_ROUTE_HAPROXY:
        authz_haproxy_reply(job);
        return;
    case KR_ROUTE_GRPC:
        serve_grpc_reply(job);
        return;
    case KR_ROUTE_VALIDATE:
    case KR_ROUTE_VALIDATE_BATCH:
    case KR_ROUTE_PROBE:
    case KR_ROUTE_CALL:
    case KR_ROUTE_CHANGE:
    case KR_ROUTE_LOCAL:
    case KR_ROUTE_ANYWHERE:
        serve_validate_reply(job);
        return;
    }
}

static void answer_route(struct job *job)
{
    switch (job->match.route->kind) {
    case KR_ROUTE_PROBE:
        serve_reply_probe(job);
        return;
    case KR_ROUTE_VALIDATE_BATCH:
        serve_validate_batch(job);
        return;
    case KR_ROUTE_CALL:
    case KR_ROUTE_CHANGE:
    case KR_ROUTE_LOCAL:
    case KR_ROUTE_ANYWHERE:
        serve_call_begin(job);
        return;
    case KR_ROUTE_VALIDATE: // not asked: the reply says why
        serve_validate_reply(job);
        return;
    case KR_ROUTE_FORWARD:
    case KR_ROUTE_ENVOY:
        authz_forward_reply(job);
        return;
    case KR_ROUTE_NGINX:
        authz_nginx_reply(job);
        return;
    case KR_ROUTE_HAPROXY:
        authz_haproxy_reply(job);
        return;
    case KR_ROUTE_GRPC: // refused, or it looks up for itself
        serve_grpc_reply(job);
        return;
    }
}

static const char *no_such_path(const struct listener *listener)
{
    return listener->serves == KR_SERVES_ALL
               ? "no such path; GET /openapi lists them"
               : "no such path on this listener, which serves a part of the node's";
}

// What is no request, or for no route.
static void answer_refused(struct job *job)
{
    bool has_other_method = job->match.allow[0] != '\0';
    metrics_bump(&job->connection->serve->metrics->requests_refused, job->refusal != KR_ERR_OK);
    if (job->is_grpc)
        serve_grpc_refuse(job);
    else if (job->refusal != KR_ERR_OK)
        serve_reply_problem(job, job->refusal, job->reason);
    else if (has_other_method)
        serve_reply_problem(job, KR_ERR_METHOD, "this path has other methods; see Allow");
    else
        serve_reply_problem(job, KR_ERR_NOT_FOUND, no_such_path(job->connection->listener));
}

static void wait_for_index(struct job *job)
{
    if (suspend_wait(job))
        return;
    validate_give_up(&job->question);
    answer_question(job);
}

static void ask_index(struct job *job)
{
    if (!suspend_index(job))
        answer_question(job); // UNAVAILABLE
}

static void answer(struct job *job)
{
    if (job->refusal != KR_ERR_OK || job->match.route == NULL) {
        answer_refused(job);
    } else if (!job->has_question) {
        answer_route(job);
    } else if (validate_is_ahead(&job->question)) {
        wait_for_index(job);
    } else if (job->question.needs_look_up && job->question.found.lookup == KR_STORE_ASK_INDEX) {
        ask_index(job);
    } else {
        answer_question(job);
    }
}

// What becomes of a connection behind its job (NULL: it had no whole request).
static void settle(struct connection *connection, const struct job *job)
{
    if (connection->state == KR_CONNECTION_SUSPENDED) {
        connection_flush(connection);
        return;
    }
    bool is_last = job != NULL ? !job->request.is_keep_alive : connection->has_ended;
    if (is_last && connection->state == KR_CONNECTION_OPEN) {
        connection->state = KR_CONNECTION_DRAINING;
        uv_read_stop(&connection->uv.stream);
    }
    connection_flush(connection);
    if (connection->state == KR_CONNECTION_CLOSING || job == NULL)
        return;
    http_conn_release(connection->http);
    connection_deadline(connection);
    if (connection->state == KR_CONNECTION_OPEN)
        connection_go_on(connection);
}

// The last stream of a connection in this round sends the answers of all.
static void settle_stream(struct serve *serve, size_t i)
{
    struct job *job = &serve->jobs[i];
    if (!job->is_suspended)
        connection_http2_answer(job);
    if (i + 1 == serve->job_count || serve->jobs[i + 1].connection != job->connection)
        connection_http2_settle(job->connection, true);
}

static void answer_all(struct serve *serve)
{
    for (size_t i = 0; i < serve->job_count; i++) {
        struct job *job = &serve->jobs[i];
        answer(job);
        if (job->stream != NULL)
            settle_stream(serve, i);
        else
            settle(job->connection, job);
    }
    arena_reset(&serve->scratch);
}

static void write_opening(struct serve *serve)
{
    struct buf out;
    buf_init_fixed(&out, serve->opening, sizeof(serve->opening));
    buf_add_text(&out, "Date: ");
    buf_add_text(&out, serve->date);
    buf_add_text(&out, "\r\nX-Request-Id: req_");
    buf_add_text(&out, serve->id_prefix);
    assert(buf_result(&out) == KR_ERR_OK && out.size == sizeof(serve->opening));
}

static void read_clock(struct serve *serve)
{
    serve->now_ms = clock_unix_ms();
    serve->boot_ms = clock_boot_ms();
    if (serve->now_ms / 1000 == serve->date_s)
        return;
    serve->date_s = serve->now_ms / 1000;
    http_date(serve->now_ms, serve->date);
    write_opening(serve);
}

// All whole requests of one connection, as far as HTTP and the round allow.
static void gather_all(struct serve *serve, struct connection *connection)
{
    size_t first = serve->job_count;
    if (connection->http2 == NULL) {
        if (!gather(serve, connection))
            settle(connection, NULL);
        return;
    }
    while (serve->job_count < KR_SERVE_JOBS && gather(serve, connection))
        ;
    if (serve->job_count == KR_SERVE_JOBS)
        connection_mark_ready(connection); // there may be more, for the next round
    else if (serve->job_count == first)
        connection_http2_settle(connection, false);
}

void turn_run(struct serve *serve)
{
    if (serve->ready.first == NULL)
        return;
    read_clock(serve);
    while (serve->ready.first != NULL) {
        serve->job_count = 0;
        serve->round_ns = clock_mono_ns();
        while (serve->ready.first != NULL && serve->job_count < KR_SERVE_JOBS) {
            struct connection *connection = serve_line_take(&serve->ready);
            if (connection->state == KR_CONNECTION_OPEN)
                gather_all(serve, connection);
        }
        ask_all(serve);
        answer_all(serve);
    }
}

void turn_finish(struct suspended *suspended)
{
    struct connection *connection = suspended->job.connection;
    struct serve *serve = connection->serve;
    read_clock(serve);
    suspend_end(suspended);
    switch (suspended->kind) {
    case KR_SUSPENDED_CALL:
        serve_call_reply(suspended);
        break;
    case KR_SUSPENDED_INDEX:
    case KR_SUSPENDED_WAIT:
        answer_question(&suspended->job);
        break;
    }
    if (suspended->job.stream != NULL) {
        connection_http2_answer(&suspended->job);
        connection_http2_settle(connection, true);
        return;
    }
    connection->state =
        suspended->job.request.is_keep_alive ? KR_CONNECTION_OPEN : KR_CONNECTION_DRAINING;
    connection_flush(connection);
    if (connection->state == KR_CONNECTION_CLOSING)
        return;
    http_conn_release(connection->http);
    connection_deadline(connection);
    if (connection->state == KR_CONNECTION_OPEN)
        connection_resume(connection);
}
