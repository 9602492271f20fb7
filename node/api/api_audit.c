// SPDX-License-Identifier: Apache-2.0
// The audit row of a call, and the small JSON objects that say what changed.
//
// Details hold names of fields, ids and counts; never a value of a key.
#include "node/api/api.h"
#include "node/denials.h"
#include "node/dispatch.h"
#include "node/node.h"

enum { KR_AUDIT_DETAIL_MAX = 8192 };

static const char *actor_label(struct call *call)
{
    return names_label(call->node->names, call->view, call->actor.token_id, &call->arena);
}

void api_audit(struct call *call, const char *action, const char *target, const char *target_name,
               const char *detail)
{
    struct audit *audit = arena_zalloc(&call->arena, sizeof(*audit));
    bool has_actor = call->actor.token_id[0] != '\0';
    *audit = (struct audit){.action = action,
                            .actor_id = has_actor ? call->actor.token_id : "system",
                            .actor_label = has_actor ? actor_label(call) : NULL,
                            .target = target,
                            .target_name = target_name,
                            .detail = detail,
                            .client_address = call->client_address,
                            .request_id = call->request_id,
                            .is_success = call->answer.status < 400};
    if (!audit->is_success) // the row of a denial stands alone, whatever was prepared before it
        call->command.op_count = 0;
    call->command.audit = audit;
    call->has_command = true;
}

static void audit_denial(struct call *call, const char *target, const char *target_name)
{
    uint64_t left_out = 0;
    const char *detail = NULL;
    if (!denials_tell(call->node->denials, call->actor.token_id, call->route->name, call->now_ms,
                      &left_out)) {
        call->has_command = false;
        return;
    }
    if (left_out > 0)
        detail = arena_printf(&call->arena, "{\"leftOut\":%llu}", (unsigned long long)left_out);
    api_audit(call, "access.denied", target, target_name, detail);
}

enum kr_err api_deny(struct call *call, const char *target, const char *target_name,
                     const char *detail)
{
    enum kr_err err = api_problem(call, KR_ERR_FORBIDDEN, "%s", detail);
    audit_denial(call, target, target_name);
    return err;
}

void api_denied_lost(const struct call *call)
{
    denials_untell(call->node->denials, call->actor.token_id, call->route->name);
}

enum kr_err api_check_unlimited(struct call *call, const char *detail)
{
    if (!access_is_limited(&call->actor))
        return KR_ERR_OK;
    return api_deny(call, call->actor.token_id, call->route->name, detail);
}

static const char *detail_text(struct call *call, struct buf *text)
{
    const char *detail = text->has_failed ? NULL : arena_text_of(&call->arena, buf_bytes(text));
    buf_fini(text);
    return detail;
}

const char *api_detail(struct call *call, const char *name, const char *value)
{
    struct buf text;
    struct json_writer writer;
    buf_init(&text, KR_AUDIT_DETAIL_MAX);
    json_begin(&writer, &text);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, name, value);
    json_close(&writer, '}');
    return detail_text(call, &text);
}

const char *api_detail_changed(struct call *call)
{
    struct buf text;
    struct json_writer writer;
    void *cursor = NULL;
    const char *name;
    const struct json *value;
    buf_init(&text, KR_AUDIT_DETAIL_MAX);
    json_begin(&writer, &text);
    json_open(&writer, NULL, '{');
    json_open(&writer, "changed", '[');
    while (call->json != NULL && json_next(call->json, &cursor, &name, &value))
        json_write_string(&writer, NULL, name);
    json_close(&writer, ']');
    // The one row of a change that also shows values must say so.
    const char *format = api_parameter(call, "key-format");
    if (format != NULL && strcmp(format, "visible") == 0)
        json_write_string(&writer, "keyFormat", format);
    json_close(&writer, '}');
    return detail_text(call, &text);
}
