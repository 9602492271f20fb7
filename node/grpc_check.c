// SPDX-License-Identifier: Apache-2.0
// Check: the request that a gateway asks about → a question; its verdict → what the gateway does.
//
// As the skins over HTTP (authz.c): who is let in has every identity header overwritten, the header
// that carried the key removed; a refusal is a real one, for the client, and tells the reason in
// the metadata, for the gateway alone. When nobody can tell, the call itself fails, and the
// gateway's own setting decides. So it must not fail by what a client can cause: who sends too much
// is refused.
#include "node/grpc_check.h"

#include "core/http/syntax.h"
#include "node/skin.h"
#include "proto/codec_grpc.h"

// --- asking --------------------------------------------------------------------------------------

// HEADERS_TOO_LARGE: there are more of those that are wanted than can be judged.
static enum kr_err read_check(const struct config *config, struct bytes message,
                              struct codec_check *out)
{
    const struct bytes wanted[] = {
        bytes_text("authorization"),
        bytes_text(config->credential_header),
        bytes_text("x-forwarded-for"),
        bytes_text("cookie"),
    };
    enum kr_err err = codec_check(message, wanted, sizeof(wanted) / sizeof(wanted[0]), out);
    // Extensions are the operator's, headers the client's.
    bool is_full = out->header_count == KR_CHECK_HEADERS_MAX;
    return err == KR_ERR_TOO_LARGE && is_full ? KR_ERR_HEADERS_TOO_LARGE : err;
}

// The fields alone: who looks for a key or an address reads nothing else.
static void as_request(const struct codec_check *check, struct http_request *out)
{
    _Static_assert(KR_CHECK_HEADERS_MAX <= KR_HTTP_FIELDS_MAX, "a check's headers fit a request");
    out->field_count = check->header_count;
    for (size_t i = 0; i < check->header_count; i++)
        out->fields[i] = (struct http_field){check->headers[i].name, check->headers[i].value};
}

static struct bytes query_of(struct bytes path)
{
    const uint8_t *mark = path.size > 0 ? memchr(path.data, '?', path.size) : NULL;
    return mark == NULL ? (struct bytes){0}
                        : bytes_of(mark + 1, path.size - (size_t)(mark + 1 - path.data));
}

// Extensions of other names are not for us.
static bool read_route(const struct codec_check *check, struct validation_ask *ask)
{
    for (size_t i = 0; i < check->extension_count; i++) {
        const struct codec_pair *one = &check->extensions[i];
        if (skin_take(ask, one->name, one->value) == KR_SKIN_BAD)
            return false;
    }
    return true;
}

// A gateway that is no trusted proxy is taken for the client itself. Another one's source is the
// client, or the proxy before it, which has written X-Forwarded-For.
static void read_client(struct job *job, const struct codec_check *check,
                        const struct http_request *request)
{
    const struct connection *connection = job->connection;
    const struct config *config = connection->serve->node->config;
    struct validate_question *question = &job->question;
    struct cidr_address source;
    if (!connection->is_trusted) {
        question->address = connection->peer;
        question->has_address = connection->has_peer;
        return;
    }
    if (!cidr_parse_address(check->source, &source))
        return;
    bool is_proxy =
        cidr_any_contains(config->trusted_proxy_list, config->trusted_proxy_count, &source);
    question->has_address =
        credential_client(request, config, is_proxy, &source, &question->address);
}

bool grpc_check_ask(struct job *job, struct bytes message)
{
    struct serve *serve = job->connection->serve;
    const struct config *config = serve->node->config;
    struct validate_question *question = &job->question;
    struct codec_check check;
    struct http_request request;
    validate_init(question);
    question->code = KR_VERDICT_MALFORMED;
    job->fault = read_check(config, message, &check);
    job->fault_text = "not an envoy.service.auth.v3.CheckRequest that can be judged";
    if (job->fault != KR_ERR_OK)
        return false;
    as_request(&check, &request);
    credential_find(&request, config, query_of(check.path), &serve->scratch, &job->credential);
    question->ask.key = job->credential.key;
    if (!read_route(&check, &question->ask)) {
        question->code = KR_VERDICT_UNAVAILABLE;
        return false;
    }
    read_client(job, &check, &request);
    return job->credential.result == KR_CREDENTIAL_FOUND;
}

// --- answering -----------------------------------------------------------------------------------

enum { KR_CHECK_METADATA_MAX = 8 };

// An answer under construction.
struct reply {
    struct codec_check_answer answer;
    struct codec_pair headers[8];
    struct codec_pair metadata[KR_CHECK_METADATA_MAX];
};

// Inline, so that the size of a name is known when it is compiled.
static inline void add_header(struct reply *reply, const char *name, struct bytes value)
{
    reply->headers[reply->answer.header_count++] = (struct codec_pair){bytes_text(name), value};
}

static inline void add_metadata(struct reply *reply, const char *name, struct bytes value)
{
    reply->metadata[reply->answer.metadata_count++] = (struct codec_pair){bytes_text(name), value};
}

// As it may stand in a header.
static struct bytes clean(struct bytes text, struct arena *arena)
{
    if (syntax_control_at(text) == text.size)
        return text;
    uint8_t *copy = (uint8_t *)arena_text_of(arena, text);
    syntax_blank_controls(copy, text.size);
    return bytes_of(copy, text.size);
}

static void begin(struct reply *reply, const struct job *job)
{
    reply->answer = (struct codec_check_answer){
        .headers = reply->headers,
        .metadata = reply->metadata,
    };
    add_metadata(reply, "code", bytes_text(verdict_text(job->question.code)));
}

static void tell_identity(struct reply *reply, const struct skin_identity *who,
                          const struct store_found *found)
{
    add_metadata(reply, "keyId", who->key_id);
    add_metadata(reply, "consumerId", who->consumer_id);
    add_metadata(reply, "consumerName", who->consumer_name);
    add_metadata(reply, "bucket", bytes_text(found->bucket->name));
    add_metadata(reply, "environment", who->environment);
    if (who->expires.size > 0)
        add_metadata(reply, "expiresOn", who->expires);
    reply->answer.list_name = bytes_text("scopes");
    if (found->extra != NULL) {
        reply->answer.list = found->extra->scopes.items;
        reply->answer.list_count = found->extra->scopes.count;
    }
}

static void write_allowed(struct job *job)
{
    struct serve *serve = job->connection->serve;
    const struct store_found *found = &job->question.found;
    struct bytes removals[KR_CREDENTIAL_CARRIERS_MAX];
    struct skin_identity who;
    struct reply reply;
    skin_identify(found, &serve->scratch, &who);
    begin(&reply, job);
    add_header(&reply, "x-consumer-id", who.consumer_id);
    add_header(&reply, "x-consumer-name", clean(who.consumer_name, &serve->scratch));
    add_header(&reply, "x-consumer-metadata", who.metadata);
    add_header(&reply, "x-key-id", who.key_id);
    add_header(&reply, "x-key-scopes", clean(who.scopes, &serve->scratch));
    add_header(&reply, "x-key-expires", who.expires);
    add_header(&reply, "x-environment", who.environment);
    tell_identity(&reply, &who, found);
    reply.answer.removals = removals;
    reply.answer.removal_count =
        credential_carriers(&job->credential, serve->node->config, removals);
    codec_add_check_answer(&serve->body, &reply.answer);
}

static enum grpc_status denial_status(unsigned http_status)
{
    if (http_status == 401)
        return KR_GRPC_UNAUTHENTICATED;
    return http_status == 429 ? KR_GRPC_RESOURCE_EXHAUSTED : KR_GRPC_PERMISSION_DENIED;
}

static void write_denied(struct job *job, unsigned status)
{
    struct serve *serve = job->connection->serve;
    struct reply reply;
    char key_id[KR_ID_SIZE];
    begin(&reply, job);
    if (status == 401)
        add_header(&reply, "www-authenticate",
                   skin_challenge(serve->node->config, job->credential.result, &serve->scratch));
    if (status == 429)
        add_header(&reply, "retry-after", bytes_text("1"));
    add_header(&reply, "content-type", bytes_text("application/problem+json"));
    add_header(&reply, "cache-control", bytes_text("no-store"));
    if (job->question.found.lookup == KR_STORE_FOUND) {
        validate_key_id(job->question.found.record, key_id);
        add_metadata(&reply, "keyId", bytes_text(key_id));
    }
    reply.answer.status = denial_status(status);
    reply.answer.status_text = bytes_text(verdict_text(job->question.code));
    reply.answer.http_status = status;
    reply.answer.body = skin_problem(status);
    codec_add_check_answer(&serve->body, &reply.answer);
}

struct grpc_end grpc_check_refuse(struct job *job)
{
    validate_init(&job->question);
    job->question.code = KR_VERDICT_MALFORMED;
    write_denied(job, 413);
    return grpc_written(job);
}

struct grpc_end grpc_check_reply(struct job *job, struct bytes message)
{
    (void)message;
    if (job->fault == KR_ERR_HEADERS_TOO_LARGE) {
        write_denied(job, 431);
        return grpc_written(job);
    }
    if (job->fault != KR_ERR_OK)
        return grpc_refuse(job->fault, job->fault_text);
    unsigned status = verdict_http_status(job->question.code);
    if (status == 503)
        return grpc_cannot_tell(job);
    if (status == 200)
        write_allowed(job);
    else
        write_denied(job, status);
    return grpc_written(job);
}
