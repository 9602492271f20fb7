// SPDX-License-Identifier: Apache-2.0
// The audit trail, newest first: filtered, page by page, over at most 30 days.
//
// Without a filter the total is counted without decoding. A cursor names the last row shown, so
// that rows added meanwhile move nothing.
#include "core/base/text.h"
#include "node/api/api.h"
#include "node/api/handlers.h"
#include "node/dispatch.h"
#include "node/node.h"

#define KR_RANGE_MAX_MS ((int64_t)30 * 24 * 60 * 60 * 1000)

enum { KR_LIST_LIMIT = 20, KR_LIST_LIMIT_MAX = 100 };

struct trail {
    struct call *call;
    struct api_page page;
    int64_t from_ms, until_ms;  // from ≤ at < until
    const char *action, *actor; // NULL: any
    bool has_success, is_success;
    int64_t after_ms; // of the cursor's row
    uint64_t after_index;
    struct json_writer writer;
    struct arena scratch;
    uint64_t total, behind, shown;
    const char *last;
};

// --- query ---------------------------------------------------------------------------------------

static enum kr_err read_range(struct call *call, struct trail *trail)
{
    int64_t start_ms = 0, end_ms = 0;
    enum kr_err err = api_parameter_time(call, "startDate", &start_ms);
    if (err == KR_ERR_OK)
        err = api_parameter_time(call, "endDate", &end_ms);
    if (err != KR_ERR_OK)
        return err;
    bool has_start = api_parameter(call, "startDate") != NULL;
    bool has_end = api_parameter(call, "endDate") != NULL;
    if (!has_end)
        end_ms = has_start && start_ms + KR_RANGE_MAX_MS < call->now_ms ? start_ms + KR_RANGE_MAX_MS
                                                                        : call->now_ms;
    if (!has_start)
        start_ms = end_ms - KR_RANGE_MAX_MS;
    if (has_start && has_end && start_ms > end_ms)
        return api_problem(call, KR_ERR_INVALID, "parameter startDate: must not be after endDate");
    if (end_ms - start_ms > KR_RANGE_MAX_MS)
        return api_problem(call, KR_ERR_INVALID,
                           "parameter startDate: at most 30 days before endDate");
    trail->from_ms = start_ms;
    // Rows bear the time of their commit, which may be a little ahead of this call's.
    trail->until_ms = has_end ? end_ms + 1 : end_ms + 60000;
    return KR_ERR_OK;
}

static enum kr_err read_cursor(struct call *call, struct trail *trail)
{
    const char *index = NULL;
    enum kr_err err = api_page_place(call, &trail->page, &trail->after_ms, &index);
    if (err == KR_ERR_OK && index != NULL &&
        !text_decimal(bytes_text(index), UINT64_MAX, &trail->after_index))
        err = api_refuse_cursor(call);
    return err;
}

static enum kr_err read_query(struct call *call, struct trail *trail)
{
    enum kr_err err = api_account(call);
    if (err == KR_ERR_OK)
        err = api_check_unlimited(call, "the token is limited; the audit trail is the account's");
    if (err == KR_ERR_OK)
        err = api_page(call, KR_LIST_LIMIT, KR_LIST_LIMIT_MAX, &trail->page);
    if (err == KR_ERR_OK)
        err = read_range(call, trail);
    if (err == KR_ERR_OK)
        err = read_cursor(call, trail);
    if (err == KR_ERR_OK)
        err = api_parameter_bool(call, "success", &trail->is_success);
    trail->has_success = api_parameter(call, "success") != NULL;
    trail->action = api_parameter(call, "action");
    trail->actor = api_parameter(call, "actor");
    return err;
}

// --- rows ----------------------------------------------------------------------------------------

static bool is_same(const char *asked, const char *text)
{
    return text != NULL && strcmp(asked, text) == 0;
}

static bool matches(const struct trail *trail, const struct audit *row)
{
    if (trail->action != NULL && !is_same(trail->action, row->action))
        return false;
    if (trail->actor != NULL && !is_same(trail->actor, row->actor_id) &&
        !is_same(trail->actor, row->actor_label))
        return false;
    return !trail->has_success || trail->is_success == row->is_success;
}

static bool is_behind_cursor(const struct trail *trail, const struct audit *row)
{
    if (trail->page.after == NULL)
        return true;
    return row->at_ms < trail->after_ms ||
           (row->at_ms == trail->after_ms && row->index < trail->after_index);
}

static void write_row(struct trail *trail, const struct audit *row)
{
    struct json_writer *writer = &trail->writer;
    json_open(writer, NULL, '{');
    json_write_integer(writer, "index", (int64_t)row->index);
    json_write_stamp(writer, "timestamp", row->at_ms);
    json_write_string(writer, "action", row->action);
    json_write_string(writer, "actor", row->actor_id);
    json_write_string(writer, "actorLabel", row->actor_label);
    json_write_string(writer, "target", row->target);
    json_write_string(writer, "targetName", row->target_name);
    if (row->detail == NULL)
        json_write_null(writer, "detail");
    else
        json_write_raw(writer, "detail", bytes_text(row->detail));
    json_write_bool(writer, "success", row->is_success);
    json_write_string(writer, "clientAddress", row->client_address);
    json_write_string(writer, "requestId", row->request_id);
    json_close(writer, '}');
}

static void take(struct trail *trail, const struct audit *row)
{
    if (!is_behind_cursor(trail, row))
        return;
    trail->behind++;
    if (trail->behind <= trail->page.offset || trail->shown == trail->page.limit)
        return;
    write_row(trail, row);
    trail->shown++;
    if (trail->shown == trail->page.limit)
        trail->last = arena_printf(&trail->call->arena, "%lld.%llu", (long long)row->at_ms,
                                   (unsigned long long)row->index);
}

static void walk_filtered(struct trail *trail)
{
    struct audit row;
    struct store_cursor *cursor = store_audits(trail->call->view, trail->from_ms, trail->until_ms);
    while (store_next_audit(cursor, &trail->scratch, &row)) {
        if (matches(trail, &row)) {
            trail->total++;
            take(trail, &row);
        }
        arena_reset(&trail->scratch);
    }
    store_cursor_close(&cursor);
}

static void walk_page(struct trail *trail)
{
    struct audit row;
    int64_t until_ms = trail->until_ms;
    if (trail->page.after != NULL && trail->after_ms + 1 < until_ms)
        until_ms = trail->after_ms + 1;
    struct store_cursor *cursor = store_audits(trail->call->view, trail->from_ms, until_ms);
    trail->behind = store_cursor_skip(cursor, trail->page.offset);
    while (trail->behind <= trail->page.offset + trail->page.limit &&
           store_next_audit(cursor, &trail->scratch, &row)) {
        take(trail, &row);
        arena_reset(&trail->scratch);
    }
    store_cursor_close(&cursor);
    cursor = store_audits(trail->call->view, trail->from_ms, trail->until_ms);
    trail->total = store_cursor_skip(cursor, UINT64_MAX);
    store_cursor_close(&cursor);
}

static void write_pagination(struct trail *trail)
{
    bool has_more = trail->behind > trail->page.offset + trail->shown;
    json_open(&trail->writer, "pagination", '{');
    api_write_page(&trail->writer, &trail->page, trail->total, has_more ? trail->last : NULL);
    json_write_bool(&trail->writer, "hasMore", has_more);
    json_close(&trail->writer, '}');
}

enum kr_err api_audit_list(struct call *call)
{
    struct trail trail = {.call = call};
    enum kr_err err = read_query(call, &trail);
    if (err != KR_ERR_OK)
        return err;
    arena_init(&trail.scratch);
    api_json_begin(call, &trail.writer);
    json_open(&trail.writer, NULL, '{');
    json_open(&trail.writer, "data", '[');
    if (trail.action != NULL || trail.actor != NULL || trail.has_success)
        walk_filtered(&trail);
    else
        walk_page(&trail);
    json_close(&trail.writer, ']');
    write_pagination(&trail);
    json_close(&trail.writer, '}');
    arena_fini(&trail.scratch);
    return api_json_end(call, &trail.writer);
}
