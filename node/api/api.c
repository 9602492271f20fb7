// SPDX-License-Identifier: Apache-2.0
// Answers, problems, ETags, and what a handler puts into its command.
#include "node/api/api.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/base/log.h"
#include "core/base/rand.h"
#include "core/http/reply.h"
#include "node/dispatch.h"
#include "node/instance.h"
#include "node/node.h"

enum { KR_DETAIL_MAX = 512, KR_ID_CHARACTERS = 24 };

// --- answers -------------------------------------------------------------------------------------

void api_answer_status(struct call *call, unsigned status)
{
    call->answer.status = status;
    call->answer.content_type = NULL;
    buf_clear(&call->answer.body);
}

void api_field(struct call *call, const char *name, const char *value)
{
    struct call_answer *answer = &call->answer;
    for (size_t i = 0; i < answer->field_count; i++) {
        if (strcmp(answer->fields[i].name, name) == 0) {
            answer->fields[i].value = value;
            return;
        }
    }
    if (answer->field_count < KR_CALL_FIELDS_MAX)
        answer->fields[answer->field_count++] = (struct call_field){name, value};
}

static void write_problem(struct call *call, const char *detail)
{
    unsigned status = call->answer.status;
    char type[64];
    snprintf(type, sizeof(type), "https://httpproblems.com/http-status/%u", status);
    struct json_writer writer;
    json_begin(&writer, &call->answer.body);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "type", type);
    json_write_string(&writer, "title", http_status_text(status));
    json_write_integer(&writer, "status", status);
    json_write_string(&writer, "detail", detail);
    json_write_string(&writer, "instance", instance_of(bytes_text(call->path), &call->arena));
    json_open(&writer, "trace", '{');
    json_write_stamp(&writer, "timestamp", call->now_ms);
    json_write_string(&writer, "requestId", call->request_id);
    json_close(&writer, '}');
    json_close(&writer, '}');
}

enum kr_err api_problem(struct call *call, enum kr_err err, const char *format, ...)
{
    char detail[KR_DETAIL_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    call->answer.field_count = 0;
    call->answer.wants_receipt = false;
    api_answer_status(call, err_http_status(err));
    call->answer.content_type = "application/problem+json";
    call->answer.problem = arena_text(&call->arena, detail);
    write_problem(call, call->answer.problem);
    if (call->answer.status == 503 || call->answer.status == 429)
        api_field(call, "Retry-After", "1");
    if (err == KR_ERR_UNAUTHORIZED)
        api_field(call, "WWW-Authenticate",
                  arena_printf(&call->arena, "Bearer realm=\"%s\"", call->node->config->realm));
    return err;
}

void api_json_begin(struct call *call, struct json_writer *writer)
{
    api_answer_status(call, 200);
    call->answer.content_type = "application/json";
    call->answer.failure = KR_ERR_OK;
    api_field(call, "Cache-Control", "no-store"); // some answers hold a key's value
    json_begin(writer, &call->answer.body);
}

enum kr_err api_json_end(struct call *call, struct json_writer *writer)
{
    (void)writer;
    if (call->answer.failure != KR_ERR_OK)
        return api_problem(call, call->answer.failure, "a stored value cannot be shown");
    if (buf_result(&call->answer.body) != KR_ERR_OK)
        return api_problem(call, KR_ERR_TOO_LARGE, "the answer is too large; ask for fewer items");
    return KR_ERR_OK;
}

enum kr_err api_check_view(struct call *call)
{
    struct fault fault = {0};
    enum kr_err err = store_view_error(call->view, &fault);
    if (err == KR_ERR_OK)
        return KR_ERR_OK;
    if (err == KR_ERR_BUSY)
        return api_problem(call, err, "given up: its client has gone, or the node is stopping");
    LOG_ERROR("stored rows cannot be read", LOG_TEXT("reason", fault.text),
              LOG_TEXT("requestId", call->request_id));
    return api_problem(call, err, "the node cannot read its stored state: %s", err_text(err));
}

// --- concurrency ---------------------------------------------------------------------------------

static const char *etag(struct call *call, const char *id, uint64_t version)
{
    return arena_printf(&call->arena, "\"%s.%llu\"", id, (unsigned long long)version);
}

void api_etag(struct call *call, const char *id, uint64_t version)
{
    api_field(call, "ETag", etag(call, id, version));
}

// RFC 9110 §13.1.1: any of a list, by strong comparison, so a weak one never fits.
static bool etag_matches(const char *list, const char *tag)
{
    size_t size = strlen(tag);
    while (*list != '\0') {
        list += strspn(list, " \t,");
        size_t item = strcspn(list, " \t,");
        if ((item == 1 && *list == '*') || (item == size && memcmp(list, tag, size) == 0))
            return true;
        list += item;
    }
    return false;
}

enum kr_err api_check_match(struct call *call, const char *id, uint64_t version)
{
    if (call->if_match == NULL || etag_matches(call->if_match, etag(call, id, version)))
        return KR_ERR_OK;
    return api_problem(call, KR_ERR_PRECONDITION,
                       "If-Match does not name the current state; read the resource again");
}

// --- the change ----------------------------------------------------------------------------------

struct command_op *api_op(struct call *call, enum command_kind kind)
{
    call->has_command = true;
    return command_add(&call->command, kind, &call->arena);
}

void api_one_at_a_time(struct call *call, const struct consumer *consumer)
{
    api_op(call, KR_OP_CONSUMER_PUT)->as.consumer_put =
        (struct command_consumer_put){.record = *consumer, .expected_version = consumer->version};
}

char *api_new_id(struct call *call, const char *type)
{
    char random[KR_ID_CHARACTERS + 1] = "";
    rand_base62(random, KR_ID_CHARACTERS);
    return arena_printf(&call->arena, "%s_%s", type, random);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **api_new_ids(struct call *call, const char *type, size_t count)
{
    char **ids = arena_alloc(&call->arena, (count + 1) * sizeof(*ids));
    for (size_t i = 0; i < count; i++)
        ids[i] = api_new_id(call, type);
    qsort(ids, count, sizeof(*ids), by_text);
    return ids;
}
