// SPDX-License-Identifier: Apache-2.0
// Management calls as a serving loop sees them: copied out, handed over, answered when they return.
//
// Happy path: token resolved → call built → control loop → answered queue → wake → reply → resumed.
// Failures: no valid token (401 at once), a malformed path or query (400/404 at once), the
// connection gone meanwhile (the answer is dropped, the change stands).
#include "node/serve_internal.h"

#include "core/base/clock.h"
#include "core/http/uri.h"

// --- building ------------------------------------------------------------------------------------

static const char *copy_field(struct call *call, const struct http_request *request,
                              const char *name)
{
    const struct http_field *field = http_request_field(request, name);
    return field == NULL ? NULL : arena_text_of(&call->arena, field->value);
}

// Gives the decoded segment its place by the name that the route's path has there.
static void place_parameter(struct call *call, struct bytes name, const char *segment)
{
    if (bytes_equal_text(name, "{account}"))
        call->account = segment;
    else if (bytes_equal_text(name, "{bucket}"))
        call->bucket_name = segment;
    else if (bytes_equal_text(name, "{consumer}"))
        call->consumer_name = segment;
    else
        call->item = segment;
}

static bool split_path(struct call *call, const struct http_request *request)
{
    const char *segments[KR_URI_SEGMENTS_MAX];
    size_t count = 0;
    if (!uri_split_path(request->path, &call->arena, segments, &count))
        return false;
    call->path = arena_text_of(&call->arena, request->path);
    const char *template = call->route->path;
    for (size_t i = 0; i < count && *template == '/'; i++) {
        template ++;
        size_t size = strcspn(template, "/");
        if (*template == '{')
            place_parameter(call, bytes_of(template, size), segments[i]);
        template += size;
    }
    return true;
}

static void copy_address(struct call *call, const struct job *job)
{
    const struct connection *connection = job->connection;
    struct cidr client = {.prefix_bits = 128};
    char text[KR_CIDR_TEXT_SIZE];
    call->client_address = "unix";
    if (!connection->has_peer)
        return;
    if (!credential_client(&job->request, call->node->config, connection->is_trusted,
                           &connection->peer, &client.network))
        client.network = connection->peer;
    cidr_text(&client, text);
    text[strcspn(text, "/")] = '\0';
    call->client_address = arena_text(&call->arena, text);
}

static bool fill_call(struct call *call, const struct job *job)
{
    const struct http_request *request = &job->request;
    char id[KR_REQUEST_ID_SIZE];
    turn_request_id(job->connection->serve, id);
    call->request_id = arena_text(&call->arena, id);
    if (!split_path(call, request) ||
        !uri_split_query(request->query, &call->arena, call->parameters, KR_CALL_PARAMETERS_MAX,
                         &call->parameter_count))
        return false;
    call->body = bytes_of(arena_text_of(&call->arena, request->body), request->body.size);
    call->content_type = copy_field(call, request, "content-type");
    call->accept = copy_field(call, request, "accept");
    call->if_match = copy_field(call, request, "if-match");
    call->idempotency_key = copy_field(call, request, "idempotency-key");
    copy_address(call, job);
    return true;
}

static struct call *new_call(const struct job *job)
{
    struct serve *serve = job->connection->serve;
    struct call *call = mem_zalloc(sizeof(*call));
    call->node = serve->node;
    call->route = job->match.route;
    call->now_ms = serve->now_ms;
    arena_init(&call->arena);
    buf_init(&call->answer.body, KR_SERVE_OUT_LIMIT_BYTES);
    return call;
}

static void free_call(struct call **call)
{
    buf_fini(&(*call)->answer.body);
    arena_fini(&(*call)->arena);
    mem_free(*call);
    *call = NULL;
}

// What stands behind "Authorization: Bearer". Of two such fields, a proxy in front may have checked
// the other one.
static bool find_token(const struct http_request *request, struct bytes *token)
{
    size_t count = 0;
    for (size_t i = 0; i < request->field_count; i++)
        count += bytes_equal_text_nocase(request->fields[i].name, "authorization");
    struct bytes value = http_request_value(request, "authorization");
    if (count != 1 || value.size <= 7 ||
        !bytes_equal_text_nocase(bytes_of(value.data, 7), "bearer "))
        return false;
    *token = bytes_of(value.data + 7, value.size - 7);
    return true;
}

bool serve_call_token(const struct serve *serve, const struct http_request *request,
                      struct access *actor)
{
    struct bytes token;
    return find_token(request, &token) &&
           access_resolve(serve->node->store, token, serve->now_ms, actor);
}

// The token is checked by the same hot table as every key.
static bool resolve_token(struct call *call, const struct http_request *request)
{
    struct bytes token;
    if (!find_token(request, &token))
        return false;
    call->token = bytes_of(arena_text_of(&call->arena, token), token.size);
    return access_resolve(call->node->store, call->token, call->now_ms, &call->actor);
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
    uv_async_send(&serve->wake);
}

bool serve_call_admits(const struct serve *serve, const struct route *route,
                       const struct http_request *request)
{
    struct access actor;
    return route->kind != KR_ROUTE_CALL || route->right == KR_RIGHT_NONE ||
           serve_call_token(serve, request, &actor);
}

static enum kr_err why_unknown(const struct serve *serve, const char **reason)
{
    bool is_loaded = store_is_loaded(serve->node->store);
    *reason = is_loaded ? "send a valid management token: Authorization: Bearer kr_mgmt_…"
                        : "the node is loading its keys; try again";
    return is_loaded ? KR_ERR_UNAUTHORIZED : KR_ERR_BUSY;
}

void serve_call_refused(struct job *job)
{
    const struct serve *serve = job->connection->serve;
    struct dispatch_match match;
    dispatch_find(&job->request, &match);
    if (match.route != NULL && !serve_call_admits(serve, match.route, &job->request))
        job->refusal = why_unknown(serve, &job->reason);
}

void serve_call_begin(struct job *job)
{
    struct call *call = new_call(job);
    if (!fill_call(call, job)) {
        free_call(&call);
        serve_reply_problem(job, KR_ERR_INVALID, "the path or query is malformed");
        return;
    }
    if (!resolve_token(call, &job->request) && call->route->right != KR_RIGHT_NONE) {
        free_call(&call);
        const char *reason;
        enum kr_err err = why_unknown(job->connection->serve, &reason);
        serve_reply_problem(job, err, reason);
        return;
    }
    struct suspended *suspended = suspend_job(job, KR_SUSPENDED_CALL);
    suspended->call = call;
    suspended->serve->calls++;
    control_submit(suspended->serve->node->control, call, answered, suspended);
}

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
        if (!at->is_abandoned)
            turn_finish(at);
        free_call(&at->call);
        suspend_free(&at);
    }
}
