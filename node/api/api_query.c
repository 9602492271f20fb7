// SPDX-License-Identifier: Apache-2.0
// The query's parameters: flags, numbers, times, pages, tag filters, and how a key is shown.
#include <limits.h>

#include "core/base/clock.h"
#include "core/base/text.h"
#include "node/api/api.h"
#include "node/dispatch.h"

enum { KR_CURSOR_MAX = 256 };

const char *api_parameter(const struct call *call, const char *name)
{
    for (size_t i = 0; i < call->parameter_count; i++) {
        if (strcmp(call->parameters[i].name, name) == 0)
            return call->parameters[i].value;
    }
    return NULL;
}

enum kr_err api_parameter_bool(struct call *call, const char *name, bool *out)
{
    const char *value = api_parameter(call, name);
    if (value == NULL)
        return KR_ERR_OK;
    bool is_true = strcmp(value, "true") == 0 || value[0] == '\0';
    if (!is_true && strcmp(value, "false") != 0)
        return api_problem(call, KR_ERR_INVALID, "parameter %s: true or false", name);
    *out = is_true;
    return KR_ERR_OK;
}

enum kr_err api_parameter_number(struct call *call, const char *name, uint64_t least, uint64_t most,
                                 uint64_t *out)
{
    const char *value = api_parameter(call, name);
    if (value == NULL || (text_decimal(bytes_text(value), most, out) && *out >= least))
        return KR_ERR_OK;
    if (most >= INT64_MAX)
        return api_problem(call, KR_ERR_INVALID, "parameter %s: a whole number, %llu or more", name,
                           (unsigned long long)least);
    return api_problem(call, KR_ERR_INVALID, "parameter %s: a whole number from %llu to %llu", name,
                       (unsigned long long)least, (unsigned long long)most);
}

enum kr_err api_parameter_time(struct call *call, const char *name, int64_t *unix_ms)
{
    const char *value = api_parameter(call, name);
    if (value == NULL || clock_parse(bytes_text(value), unix_ms) == 0)
        return KR_ERR_OK;
    return api_problem(call, KR_ERR_INVALID,
                       "parameter %s: an ISO 8601 time such as 2026-01-31T12:00:00Z", name);
}

// --- pages ---------------------------------------------------------------------------------------

// A cursor is the name or id behind which the next page begins, in base64url: opaque, and safe in a
// query.
static enum kr_err take_cursor(struct call *call, struct api_page *page)
{
    const char *cursor = api_parameter(call, "cursor");
    if (cursor == NULL)
        return KR_ERR_OK;
    uint8_t after[KR_CURSOR_MAX];
    size_t size = 0;
    if (!text_from_base64(bytes_text(cursor), after, sizeof(after), &size) || size == 0 ||
        memchr(after, '\0', size) != NULL || !text_is_utf8(bytes_of(after, size)))
        return api_problem(call, KR_ERR_INVALID, "parameter cursor: not one that a list gave");
    if (page->offset > 0)
        return api_problem(call, KR_ERR_INVALID, "parameter cursor: it excludes an offset");
    page->after = arena_text_of(&call->arena, bytes_of(after, size));
    return KR_ERR_OK;
}

enum kr_err api_page(struct call *call, uint64_t default_limit, uint64_t max, struct api_page *page)
{
    *page = (struct api_page){.limit = default_limit};
    enum kr_err err = api_parameter_number(call, "limit", 1, UINT64_MAX, &page->limit);
    if (err == KR_ERR_OK)
        err = api_parameter_number(call, "offset", 0, INT64_MAX, &page->offset);
    if (err == KR_ERR_OK)
        err = take_cursor(call, page);
    if (page->limit > max)
        page->limit = max;
    return err;
}

enum kr_err api_refuse_cursor(struct call *call)
{
    return api_problem(call, KR_ERR_INVALID, "parameter cursor: not one that this list gave");
}

enum kr_err api_page_place(struct call *call, const struct api_page *page, int64_t *at_ms,
                           const char **rest)
{
    uint64_t at = 0;
    *rest = NULL;
    if (page->after == NULL)
        return KR_ERR_OK;
    const char *dot = strchr(page->after, '.');
    if (dot == NULL ||
        !text_decimal(bytes_of(page->after, (size_t)(dot - page->after)), INT64_MAX - 1, &at))
        return api_refuse_cursor(call);
    *at_ms = (int64_t)at;
    *rest = dot + 1;
    return KR_ERR_OK;
}

enum kr_err api_page_key(struct call *call, const struct api_page *page, struct key *after)
{
    *after = (struct key){0};
    enum kr_err err = api_page_place(call, page, &after->created_ms, &after->id);
    if (err == KR_ERR_OK && after->id != NULL && !format_is_id(after->id, "key"))
        err = api_refuse_cursor(call);
    return err;
}

const char *api_key_place(struct call *call, const struct key *key)
{
    return arena_printf(&call->arena, "%lld.%s", (long long)key->created_ms, key->id);
}

void api_write_page(struct json_writer *writer, const struct api_page *page, uint64_t total,
                    const char *next)
{
    json_write_integer(writer, "limit", (int64_t)page->limit);
    json_write_integer(writer, "offset", (int64_t)page->offset);
    json_write_integer(writer, "total", (int64_t)total);
    if (next == NULL)
        return;
    char text[KR_CURSOR_MAX * 2];
    struct buf cursor;
    buf_init_fixed(&cursor, text, sizeof(text) - 1);
    text_add_base64url(&cursor, bytes_text(next));
    text[cursor.size] = '\0';
    json_write_string(writer, "cursor", text);
}

// --- tags ----------------------------------------------------------------------------------------

static bool has_tag(const struct tags *tags, const char *name, const char *value)
{
    for (size_t i = 0; i < tags->count; i++) {
        if (strcmp(tags->items[i].name, name) == 0)
            return strcmp(tags->items[i].value, value) == 0;
    }
    return false;
}

bool api_tags_asked(const struct call *call)
{
    for (size_t i = 0; i < call->parameter_count; i++) {
        if (strncmp(call->parameters[i].name, "tag.", 4) == 0)
            return true;
    }
    return false;
}

bool api_tags_match(const struct call *call, const struct tags *tags)
{
    for (size_t i = 0; i < call->parameter_count; i++) {
        const struct uri_parameter *parameter = &call->parameters[i];
        if (strncmp(parameter->name, "tag.", 4) == 0 &&
            !has_tag(tags, parameter->name + 4, parameter->value))
            return false;
    }
    return true;
}

// --- how keys are shown --------------------------------------------------------------------------

static enum kr_err check_visible(struct call *call, const struct bucket *bucket)
{
    if (!access_allows(&call->actor, KR_RIGHT_REVEAL))
        return api_deny(call, bucket->id, bucket->name,
                        "the token's roles do not allow key-format=visible");
    if (!bucket->is_retrievable)
        return api_problem(call, KR_ERR_CONFLICT,
                           "the bucket %s keeps no values; key-format is masked or none",
                           bucket->name);
    struct buf detail;
    struct json_writer writer;
    char text[512];
    buf_init_fixed(&detail, text, sizeof(text) - 1);
    json_begin(&writer, &detail);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "route", call->route->name);
    if (call->consumer_name != NULL)
        json_write_string(&writer, "consumer", call->consumer_name);
    if (call->item != NULL)
        json_write_string(&writer, "key", call->item);
    json_close(&writer, '}');
    text[detail.size] = '\0';
    api_audit(call, "key.reveal", bucket->id, bucket->name,
              detail.has_failed ? NULL : arena_text(&call->arena, text));
    return KR_ERR_OK;
}

enum kr_err api_key_format(struct call *call, const struct bucket *bucket,
                           enum api_key_format *format)
{
    const char *value = api_parameter(call, "key-format");
    *format = KR_KEY_MASKED;
    if (value == NULL || strcmp(value, "masked") == 0)
        return KR_ERR_OK;
    if (strcmp(value, "none") == 0) {
        *format = KR_KEY_NONE;
        return KR_ERR_OK;
    }
    if (strcmp(value, "visible") != 0)
        return api_problem(call, KR_ERR_INVALID, "parameter key-format: none, masked or visible");
    *format = KR_KEY_VISIBLE;
    return check_visible(call, bucket);
}
