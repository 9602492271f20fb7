// SPDX-License-Identifier: Apache-2.0
// Running a management call: checks that all routes share, the handler, the outcome.
#include "node/executor.h"

#include <stdio.h>
#include <strings.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "node/api/api.h"
#include "node/api/idempotency.h"
#include "node/api/receipt.h"
#include "node/dispatch.h"
#include "node/node.h"

static void reset(struct call *call)
{
    call->answer.status = 200;
    call->answer.content_type = NULL;
    call->answer.field_count = 0;
    call->answer.wants_receipt = false;
    buf_clear(&call->answer.body);
    call->command = (struct command){.request_id = call->request_id,
                                     .actor = call->actor.token_id,
                                     .requested_ms = call->now_ms};
    call->has_command = false;
    call->action = NULL;
    call->attempts++;
}

static bool is_json(const char *type)
{
    size_t size = strcspn(type, "; ");
    return size == strlen("application/json") && strncasecmp(type, "application/json", size) == 0;
}

static enum kr_err check_form(struct call *call)
{
    if (call->body.size == 0 || call->content_type == NULL || is_json(call->content_type))
        return KR_ERR_OK;
    return api_problem(call, KR_ERR_MEDIA_TYPE, "send the body as Content-Type: application/json");
}

// A denial of someone who is known is told in the audit trail; the answer does not wait for more.
static enum kr_err check_right(struct call *call)
{
    if (access_allows(&call->actor, call->route->right))
        return KR_ERR_OK;
    char roles[64] = "";
    for (unsigned role = KR_ROLE_OWNER; role <= KR_ROLE_VIEWER; role <<= 1) {
        if ((call->actor.roles & role) == 0)
            continue;
        size_t used = strlen(roles);
        snprintf(roles + used, sizeof(roles) - used, "%s%s", used > 0 ? ", " : "",
                 access_role_text((enum access_role)role));
    }
    return api_deny(call, call->actor.token_id, call->route->name,
                    arena_printf(&call->arena, "the token's roles (%s) do not allow %s", roles,
                                 call->route->name));
}

// A call that another node passes on is believed no more than one of a client, and one that has
// waited no more than one that comes now.
static enum kr_err check_token(struct call *call)
{
    if (!call->must_check_token || call->token.size == 0)
        return KR_ERR_OK;
    enum kr_err err = access_resolve_index(call->node->store, call->token, call->now_ms,
                                           &call->arena, &call->actor);
    if (err == KR_ERR_OK)
        call->command.actor = call->actor.token_id;
    else if (err == KR_ERR_UNAUTHORIZED)
        api_problem(call, err, "send a valid management token: Authorization: Bearer kr_mgmt_…");
    else
        api_problem(call, err, "the token cannot be looked up");
    return err;
}

static enum kr_err handle(struct call *call)
{
    enum kr_err err = check_token(call);
    if (err == KR_ERR_OK)
        err = check_right(call);
    if (err == KR_ERR_OK)
        err = check_form(call);
    if (err != KR_ERR_OK)
        return err;
    bool is_replayed = false;
    err = idempotency_begin(call, &is_replayed);
    if (err != KR_ERR_OK || is_replayed)
        return err;
    err = call->route->handler(call);
    if (err == KR_ERR_OK && call->has_command)
        err = idempotency_keep(call);
    return err;
}

enum executor_next executor_run(struct call *call, struct store_view *view)
{
    reset(call);
    call->view = view;
    if (route_is_reading(call->route))
        store_view_heed(call->view, &call->is_given_up);
    enum kr_err err = handle(call);
    // A damaged row reads as an absence; nobody shall take that for the truth.
    if (api_check_view(call) != KR_ERR_OK)
        call->has_command = false;
    else if (err != KR_ERR_OK && err != KR_ERR_FORBIDDEN)
        call->has_command = false;
    if (err != KR_ERR_OK)
        call->command.op_count = 0; // a denial leaves its audit row and nothing else
    call->view = NULL;
    json_free(&call->json);
    if (err == KR_ERR_OK && call->action != NULL)
        return KR_EXECUTOR_ACT;
    return executor_acted(call);
}

enum executor_next executor_acted(const struct call *call)
{
    if (call->has_command)
        return KR_EXECUTOR_SUBMIT;
    return call->answer.wants_receipt ? KR_EXECUTOR_RECEIPT : KR_EXECUTOR_ANSWERED;
}

static void add_index(struct call *call, uint64_t index)
{
    api_field(call, "Keyreeve-Index",
              arena_printf(&call->arena, "%llu", (unsigned long long)index));
}

static enum executor_next not_committed(struct call *call, enum kr_err err)
{
    const char *detail = err_text(err);
    if (err == KR_ERR_DISK_FULL)
        detail = "the node's disk is full, or etcd's quota is; free space there, then try again";
    else if (err == KR_ERR_NO_LEADER)
        detail = "no leader accepts writes at the moment; try again with the Idempotency-Key";
    else if (err == KR_ERR_BUSY)
        detail = "too many writes are waiting; try again";
    else if (err == KR_ERR_TOO_LARGE)
        detail = "the change is too large for one log entry; send fewer items";
    executor_refuse(call, err, detail);
    return KR_EXECUTOR_ANSWERED;
}

// A denial stands whether its row could be written or not: a standby, for one, writes none.
static bool is_denial(const struct call *call)
{
    return call->answer.status == err_http_status(KR_ERR_FORBIDDEN);
}

static enum executor_next denied_unwritten(struct call *call, enum kr_err err)
{
    api_denied_lost(call);
    LOG_WARN("a denial has no row in the audit trail", LOG_TEXT("reason", err_text(err)),
             LOG_TEXT("actor", call->actor.token_id), LOG_TEXT("route", call->route->name),
             LOG_TEXT("requestId", call->request_id));
    return KR_EXECUTOR_ANSWERED;
}

enum executor_next executor_committed(struct call *call, const struct replica_outcome *outcome)
{
    if (outcome->err != KR_ERR_OK)
        return is_denial(call) ? denied_unwritten(call, outcome->err)
                               : not_committed(call, outcome->err);
    if (outcome->result.code != KR_APPLY_OK) {
        if (call->attempts < KR_EXECUTOR_ATTEMPTS)
            return KR_EXECUTOR_AGAIN;
        executor_refuse(call, KR_ERR_BUSY, "others change the same resource; try again");
        return KR_EXECUTOR_ANSWERED;
    }
    commits_note(call->node->commits, outcome->index, outcome->committed_ms);
    add_index(call, outcome->index);
    if (!call->answer.wants_receipt)
        return KR_EXECUTOR_ANSWERED;
    receipt_committed(call, outcome);
    return KR_EXECUTOR_RECEIPT;
}

void executor_refuse(struct call *call, enum kr_err err, const char *detail)
{
    call->has_command = false;
    call->answer.field_count = 0;
    api_problem(call, err, "%s", detail);
}
