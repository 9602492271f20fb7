// SPDX-License-Identifier: Apache-2.0
// Copies a request into a call: path, query, body, and the fields that handlers look at.
#include "node/call_build.h"

#include "core/http/uri.h"
#include "node/dispatch.h"

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

static bool fill(struct call *call, const struct http_request *request)
{
    struct bytes token;
    if (!split_path(call, request) ||
        !uri_split_query(request->query, &call->arena, call->parameters, KR_CALL_PARAMETERS_MAX,
                         &call->parameter_count))
        return false;
    call->target = arena_text_of(&call->arena, request->target);
    call->body = arena_bytes_of(&call->arena, request->body);
    call->content_type = copy_field(call, request, "content-type");
    call->accept = copy_field(call, request, "accept");
    call->if_match = copy_field(call, request, "if-match");
    call->idempotency_key = copy_field(call, request, "idempotency-key");
    if (call_find_token(request, &token))
        call->token = arena_bytes_of(&call->arena, token);
    return true;
}

struct call *call_build(const struct node *node, const struct route *route,
                        const struct http_request *request, const struct call_origin *origin)
{
    struct call *call = mem_zalloc(sizeof(*call));
    call->node = node;
    call->route = route;
    call->now_ms = origin->now_ms;
    arena_init(&call->arena);
    buf_init(&call->answer.body, KR_CALL_ANSWER_BYTES);
    call->request_id = arena_text(&call->arena, origin->request_id);
    call->client_address = arena_text(&call->arena, origin->client_address);
    if (!fill(call, request))
        call_free(&call);
    return call;
}

void call_free(struct call **call)
{
    buf_fini(&(*call)->answer.body);
    arena_fini(&(*call)->arena);
    mem_free(*call);
    *call = NULL;
}

bool call_find_token(const struct http_request *request, struct bytes *token)
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
