// SPDX-License-Identifier: Apache-2.0
// The skins for gateways over HTTP: /authz/forward (Traefik, Caddy, APISIX), /authz/nginx
// (auth_request), /authz/haproxy (Lua actions) and /authz/envoy (ext_authz over HTTP).
//
// All answer 200 with the whole fixed set of identity headers, empty where there is no value, so
// that forged ones of the client cannot pass; a denial carries none of them. They differ in what a
// denial may look like: nginx understands 401 and 403 alone and must get no body; the others hand
// the answer to the client as it is, so it is a real one and says nothing about why a 401 is one.
#include "node/serve_internal.h"

#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/text.h"
#include "core/http/uri.h"

// --- asking --------------------------------------------------------------------------------------

enum { KR_AUTHZ_PARAMETERS_MAX = 16 };

// The scopes parameter of the route: "a,b". False when there are more than can be judged.
static bool read_scopes(struct bytes list, struct validation_ask *ask)
{
    while (list.size > 0) {
        const uint8_t *comma = memchr(list.data, ',', list.size);
        size_t size = comma == NULL ? list.size : (size_t)(comma - list.data);
        if (size > 0 && ask->scope_count == KR_VALIDATION_SCOPES_MAX)
            return false;
        if (size > 0)
            ask->scopes[ask->scope_count++] = bytes_of(list.data, size);
        size_t step = comma == NULL ? size : size + 1;
        list = bytes_of(list.data + step, list.size - step);
    }
    return true;
}

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

// What the route requires of the key. False when that cannot be understood: to let anyone in then
// would require less than the operator wrote.
static bool read_route(struct job *job, struct validation_ask *ask)
{
    struct uri_parameter parameters[KR_AUTHZ_PARAMETERS_MAX];
    size_t count = 0;
    if (!uri_split_query(route_question(job), &job->connection->serve->scratch, parameters,
                         KR_AUTHZ_PARAMETERS_MAX, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct bytes value = bytes_text(parameters[i].value);
        if (strcmp(parameters[i].name, "bucket") == 0) {
            if (value.size == 0 || ask->bucket.size > 0)
                return false; // a variable that was empty is no permission for every bucket
            ask->bucket = value;
        } else if (strcmp(parameters[i].name, "scopes") == 0 && !read_scopes(value, ask)) {
            return false;
        }
    }
    return true;
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
    job->credential = credential_find(&job->request, config, original_query(config, job),
                                      &serve->scratch, &question->ask.key);
    if (!read_route(job, &question->ask)) {
        question->code = KR_VERDICT_UNAVAILABLE;
        return false;
    }
    read_client(job);
    return job->credential == KR_CREDENTIAL_FOUND;
}

// --- answering -----------------------------------------------------------------------------------

static void add_scopes(struct serve *serve, const struct hot_extra *extra)
{
    struct buf *joined = &serve->body;
    if (extra == NULL) {
        KR_REPLY_LINES(&serve->out, "X-Key-Scopes: \r\n");
        return;
    }
    buf_clear(joined);
    for (size_t i = 0; i < extra->scopes.count; i++) {
        if (i > 0)
            buf_add_text(joined, ",");
        buf_add_text(joined, extra->scopes.items[i]);
    }
    http_reply_field(&serve->out, "X-Key-Scopes", buf_bytes(joined));
}

static void add_expiry(struct serve *serve, const struct hot_record *record)
{
    char stamp[KR_STAMP_SIZE];
    uint64_t expires_ms = hot_record_u48(record->expires);
    if (expires_ms == 0) {
        KR_REPLY_LINES(&serve->out, "X-Key-Expires: \r\n");
        return;
    }
    clock_stamp((int64_t)expires_ms, stamp);
    KR_REPLY_CLEAN(&serve->out, "X-Key-Expires", bytes_text(stamp));
}

static void add_identity(struct serve *serve, const struct store_found *found)
{
    struct buf *out = &serve->out;
    const struct hot_subject *subject = found->subject;
    const char *texts = subject->texts;
    char key_id[KR_ID_SIZE];
    validate_key_id(found->record, key_id);
    // Ids and base64url hold letters, digits and a few signs; a name may hold what the operator
    // likes.
    KR_REPLY_CLEAN(out, "X-Consumer-Id", bytes_of(texts + subject->id_at, subject->id_size));
    http_reply_field(out, "X-Consumer-Name",
                     bytes_of(texts + subject->name_at, subject->name_size));
    KR_REPLY_CLEAN(out, "X-Consumer-Metadata",
                   bytes_of(texts + subject->json_size, subject->header_size));
    KR_REPLY_CLEAN(out, "X-Key-Id", bytes_of(key_id, 28));
    add_scopes(serve, found->extra);
    add_expiry(serve, found->record);
    KR_REPLY_CLEAN(out, "X-Environment", bytes_text(environment_text(found->bucket->environment)));
}

// The application behind Envoy does not see the key.
static void add_removal(struct job *job)
{
    struct serve *serve = job->connection->serve;
    buf_clear(&serve->body);
    credential_add_carriers(&job->request, serve->node->config, &serve->scratch, &serve->body);
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

// RFC 6750 §3: without a credential there is no error to name.
static void add_challenge(struct job *job)
{
    struct serve *serve = job->connection->serve;
    char text[256];
    snprintf(text, sizeof(text), "Bearer realm=\"%.128s\"%s", serve->node->config->realm,
             job->credential == KR_CREDENTIAL_NONE ? "" : ", error=\"invalid_token\"");
    http_reply_field_text(&serve->out, "WWW-Authenticate", text);
}

static const char *denial_detail(unsigned status)
{
    switch (status) {
    case 401:
        return "a valid API key is required";
    case 403:
        return "this API key may not be used for this request";
    case 429:
        return "too many requests with this API key";
    }
    return "the API key cannot be checked at the moment; try again";
}

// The client sees this answer: one and the same for every reason that ends in 401.
static void write_denial(struct serve *serve, unsigned status)
{
    struct json_writer writer;
    char type[64];
    snprintf(type, sizeof(type), "https://httpproblems.com/http-status/%u", status);
    buf_clear(&serve->body);
    json_begin(&writer, &serve->body);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "type", type);
    json_write_string(&writer, "title", http_status_text(status));
    json_write_integer(&writer, "status", status);
    json_write_string(&writer, "detail", denial_detail(status));
    json_close(&writer, '}');
}

// A real status with a body that the client may see. Envoy takes a 503 for no answer at all, and
// its own setting decides.
static void reply_denied(struct job *job, bool tells_reason)
{
    struct serve *serve = job->connection->serve;
    unsigned status = verdict_http_status(job->question.code);
    write_denial(serve, status);
    serve_reply_begin(job, status);
    if (status == 401)
        add_challenge(job);
    if (status == 503 || status == 429)
        http_reply_field_text(&serve->out, "Retry-After", "1");
    if (tells_reason)
        http_reply_field_text(&serve->out, "X-Auth-Reason", verdict_text(job->question.code));
    http_reply_end(&serve->out, &job->request, status, "application/problem+json",
                   buf_bytes(&serve->body));
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
