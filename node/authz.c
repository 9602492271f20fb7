// SPDX-License-Identifier: Apache-2.0
// The skins for gateways over HTTP: /authz/forward (Traefik, Caddy, APISIX), /authz/nginx
// (auth_request), /authz/haproxy (Lua actions) and /authz/envoy (ext_authz over HTTP).
//
// All answer 200 with the whole fixed set of identity headers, empty where there is no value, so
// that forged ones of the client cannot pass; a denial carries none of them. They differ in what a
// denial may look like: nginx understands 401 and 403 alone and must get no body; the others hand
// the answer to the client as it is, so it is a real one and says nothing about why a 401 is one.
#include "node/serve_internal.h"

#include "core/base/log.h"
#include "core/http/uri.h"
#include "node/skin.h"

// --- asking --------------------------------------------------------------------------------------

enum { KR_AUTHZ_PARAMETERS_MAX = 16, KR_AUTHZ_TELLS_EVERY_MS = 60000, KR_AUTHZ_NAME_MAX = 24 };

// Where the operator's question stands: in the query. Envoy puts the path and the query of its
// client behind the prefix that it is configured with, so there it stands in that prefix, behind a
// ";": what the client sends begins with the next "/".
static struct bytes route_question(const struct job *job)
{
    if (job->match.route->kind != KR_ROUTE_ENVOY)
        return job->request.query;
    struct bytes rest = dispatch_rest(job->match.route, job->request.path);
    if (rest.size == 0 || rest.data[0] != ';')
        return (struct bytes){0};
    const uint8_t *slash = memchr(rest.data, '/', rest.size);
    size_t end = slash == NULL ? rest.size : (size_t)(slash - rest.data);
    return bytes_of(rest.data + 1, end - 1);
}

// Nobody is let in by this route until its operator has mended it, so he is told, now and then.
// What is too long for a name may be a key that stands in a wrong place.
static void tell_operator(struct job *job, const char *parameter, const char *why)
{
    struct serve *serve = job->connection->serve;
    uint64_t now_ms = uv_now(&serve->loop);
    if (now_ms < serve->tells_route_ms)
        return;
    serve->tells_route_ms = now_ms + KR_AUTHZ_TELLS_EVERY_MS;
    if (strlen(parameter) > KR_AUTHZ_NAME_MAX)
        parameter = "(too long for one)";
    LOG_WARN("a gateway's question is not understood, and lets nobody in",
             LOG_TEXT("route", job->match.route->path), LOG_TEXT("parameter", parameter),
             LOG_TEXT("why", why));
}

// Why this parameter cannot be understood; NULL: it can.
static const char *take_parameter(const struct uri_parameter *parameter, struct validation_ask *ask)
{
    struct bytes name = bytes_text(parameter->name);
    if (bytes_equal_text(name, "reason")) // of a refusal, which looks for it itself
        return NULL;
    switch (skin_take(ask, name, bytes_text(parameter->value))) {
    case KR_SKIN_TAKEN:
        return NULL;
    case KR_SKIN_UNKNOWN:
        return "there is none of this name; there are bucket, scopes and reason";
    case KR_SKIN_BAD:
        return "it is empty, there twice, or too long";
    }
    return NULL;
}

// Envoy's client begins with a slash, so a query right behind the prefix is the operator's, in the
// place where other gateways have theirs.
static bool is_misplaced(const struct job *job)
{
    if (job->match.route->kind != KR_ROUTE_ENVOY || job->request.query.size == 0)
        return false;
    struct bytes rest = dispatch_rest(job->match.route, job->request.path);
    return rest.size == 0 || memchr(rest.data, '/', rest.size) == NULL;
}

// What the route requires of the key. False when that cannot be understood: to let anyone in then
// would require less than the operator wrote.
static bool read_route(struct job *job, struct validation_ask *ask)
{
    struct uri_parameter parameters[KR_AUTHZ_PARAMETERS_MAX];
    const char *why = NULL, *name = "";
    size_t count = 0;
    if (is_misplaced(job))
        why = "a question stands behind a semicolon here: /authz/envoy;bucket=NAME";
    else if (!uri_split_query(route_question(job), &job->connection->serve->scratch, parameters,
                              KR_AUTHZ_PARAMETERS_MAX, &count))
        why = "what is asked is no list of NAME=VALUE";
    for (size_t i = 0; i < count && why == NULL; i++) {
        name = parameters[i].name;
        why = take_parameter(&parameters[i], ask);
    }
    if (why != NULL)
        tell_operator(job, name, why);
    return why == NULL;
}

// Where a key may stand in the query of the request that the gateway asks about, that query.
static struct bytes original_query(const struct config *config, const struct job *job)
{
    const struct http_request *request = &job->request;
    if (config->credential_query[0] == '\0')
        return (struct bytes){0};
    if (job->match.route->kind == KR_ROUTE_ENVOY)
        return request->query;
    struct bytes uri = http_request_value(request, "x-forwarded-uri");
    if (uri.size == 0)
        uri = http_request_value(request, "x-original-uri");
    const uint8_t *mark = uri.size > 0 ? memchr(uri.data, '?', uri.size) : NULL;
    if (mark == NULL)
        return (struct bytes){0};
    return bytes_of(mark + 1, uri.size - (size_t)(mark + 1 - uri.data));
}

static void read_client(struct job *job)
{
    struct connection *connection = job->connection;
    struct validate_question *question = &job->question;
    if (!connection->has_peer && !connection->is_trusted)
        return;
    question->has_address =
        credential_client(&job->request, connection->serve->node->config, connection->is_trusted,
                          &connection->peer, &question->address);
}

bool authz_ask(struct job *job)
{
    struct serve *serve = job->connection->serve;
    struct validate_question *question = &job->question;
    validate_init(question);
    question->code = KR_VERDICT_MALFORMED;
    const struct config *config = serve->node->config;
    credential_find(&job->request, config, original_query(config, job), &serve->scratch,
                    &job->credential);
    question->ask.key = job->credential.key;
    if (!read_route(job, &question->ask)) {
        question->code = KR_VERDICT_UNAVAILABLE;
        return false;
    }
    read_client(job);
    return job->credential.result == KR_CREDENTIAL_FOUND;
}

// --- answering -----------------------------------------------------------------------------------

// Ids, base64url and times hold letters, digits and a few signs; names and scopes may hold what the
// operator likes.
static void add_identity(struct serve *serve, const struct store_found *found)
{
    struct buf *out = &serve->out;
    struct skin_identity who;
    skin_identify(found, &serve->scratch, &who);
    KR_REPLY_CLEAN(out, "X-Consumer-Id", who.consumer_id);
    http_reply_field(out, "X-Consumer-Name", who.consumer_name);
    KR_REPLY_CLEAN(out, "X-Consumer-Metadata", who.metadata);
    KR_REPLY_CLEAN(out, "X-Key-Id", who.key_id);
    http_reply_field(out, "X-Key-Scopes", who.scopes);
    KR_REPLY_CLEAN(out, "X-Key-Expires", who.expires);
    KR_REPLY_CLEAN(out, "X-Environment", who.environment);
}

// The application behind Envoy does not see the key.
static void add_removal(struct job *job)
{
    struct serve *serve = job->connection->serve;
    struct bytes names[KR_CREDENTIAL_CARRIERS_MAX];
    size_t count = credential_carriers(&job->credential, serve->node->config, names);
    buf_clear(&serve->body);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_text(&serve->body, ",");
        buf_add_bytes(&serve->body, names[i]);
    }
    http_reply_field(&serve->out, "X-Envoy-Auth-Headers-To-Remove", buf_bytes(&serve->body));
}

static void reply_allowed(struct job *job)
{
    struct serve *serve = job->connection->serve;
    serve_reply_begin(job, 200);
    add_identity(serve, &job->question.found);
    if (job->match.route->kind == KR_ROUTE_ENVOY)
        add_removal(job);
    http_reply_end(&serve->out, &job->request, 200, NULL, (struct bytes){0});
    turn_count(job, 200);
}

static void add_challenge(struct job *job)
{
    struct serve *serve = job->connection->serve;
    http_reply_field(&serve->out, "WWW-Authenticate",
                     skin_challenge(serve->node->config, job->credential.result, &serve->scratch));
}

// A real status with a body that the client may see. Envoy takes a 503 for no answer at all, and
// its own setting decides.
static void reply_denied(struct job *job, bool tells_reason)
{
    struct serve *serve = job->connection->serve;
    unsigned status = verdict_http_status(job->question.code);
    serve_reply_begin(job, status);
    if (status == 401)
        add_challenge(job);
    if (status == 503 || status == 429)
        http_reply_field_text(&serve->out, "Retry-After", "1");
    if (tells_reason)
        http_reply_field_text(&serve->out, "X-Auth-Reason", verdict_text(job->question.code));
    http_reply_end(&serve->out, &job->request, status, "application/problem+json",
                   skin_problem(status));
    turn_count(job, status);
}

void authz_forward_reply(struct job *job)
{
    struct bytes reason;
    if (job->question.code == KR_VERDICT_VALID)
        reply_allowed(job);
    else // the reason only for a gateway whose configuration says that it keeps it to itself
        reply_denied(job, uri_query_value(route_question(job), "reason", &reason) &&
                              bytes_equal_text(reason, "header"));
}

// HAProxy's actions hand on what they are told to, so the reason is safe with them.
void authz_haproxy_reply(struct job *job)
{
    if (job->question.code == KR_VERDICT_VALID)
        reply_allowed(job);
    else
        reply_denied(job, true);
}

void authz_nginx_reply(struct job *job)
{
    struct serve *serve = job->connection->serve;
    if (job->question.code == KR_VERDICT_VALID) {
        reply_allowed(job);
        return;
    }
    unsigned meant = verdict_http_status(job->question.code);
    unsigned status = meant == 401 ? 401 : 403;
    serve_reply_begin(job, status);
    http_reply_field_text(&serve->out, "X-Auth-Reason", verdict_text(job->question.code));
    if (meant == 401)
        add_challenge(job);
    if (meant != status) {
        http_reply_field_number(&serve->out, "X-Error-Status", meant);
        http_reply_field_text(&serve->out, "Retry-After", "1");
    }
    http_reply_end(&serve->out, &job->request, status, NULL, (struct bytes){0});
    turn_count(job, status);
}
