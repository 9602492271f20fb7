// SPDX-License-Identifier: Apache-2.0
// The request's JSON body: its members by name, type and size, each refusal naming the field.
//
// What is taken is copied into the call's arena, so it outlives the parsed document. A detail names
// fields and never quotes a value, which may be a key.
#include "core/base/clock.h"
#include "core/base/text.h"
#include "node/api/api.h"

enum { KR_TEXTS_ITEM_MAX = 256 };

// The member under inspection.
struct place {
    struct call *call;
    const char *where; // "apiKeys[2].", or ""
    const struct api_member *member;
    const struct json *value;
};

static enum kr_err refuse(const struct place *place, const char *wanted)
{
    return api_problem(place->call, KR_ERR_INVALID, "%s%s: %s", place->where, place->member->name,
                       wanted);
}

static enum kr_err refuse_type(const struct place *place, const char *wanted)
{
    return api_problem(place->call, KR_ERR_INVALID, "%s%s: must be %s, is %s", place->where,
                       place->member->name, wanted, json_type_name(json_type_of(place->value)));
}

static bool is(const struct place *place, enum json_type type)
{
    return json_type_of(place->value) == type;
}

static const char *copy(const struct place *place, const struct json *text)
{
    return arena_text(&place->call->arena, json_text(text));
}

static enum kr_err take_text(const struct place *place)
{
    const char **out = place->member->out;
    *out = NULL;
    if (is(place, KR_JSON_NULL))
        return KR_ERR_OK;
    if (!is(place, KR_JSON_STRING))
        return refuse_type(place, "a string");
    if (text_characters(json_text(place->value)) > (size_t)place->member->max)
        return refuse(place, arena_printf(&place->call->arena, "longer than %lld characters",
                                          (long long)place->member->max));
    *out = copy(place, place->value);
    return KR_ERR_OK;
}

static enum kr_err take_bool(const struct place *place)
{
    if (!is(place, KR_JSON_BOOL))
        return refuse_type(place, "a boolean");
    *(bool *)place->member->out = json_bool(place->value);
    return KR_ERR_OK;
}

static enum kr_err take_number(const struct place *place, int64_t least)
{
    int64_t *out = place->member->out;
    *out = KR_UNBOUNDED;
    if (is(place, KR_JSON_NULL))
        return KR_ERR_OK;
    if (!is(place, KR_JSON_INTEGER))
        return refuse_type(place, "a whole number");
    *out = json_int64(place->value);
    if (*out >= least && *out <= place->member->max)
        return KR_ERR_OK;
    return refuse(place, arena_printf(&place->call->arena, "must be from %lld to %lld",
                                      (long long)least, (long long)place->member->max));
}

static enum kr_err take_time(const struct place *place)
{
    int64_t *out = place->member->out;
    *out = 0;
    if (is(place, KR_JSON_NULL))
        return KR_ERR_OK;
    if (!is(place, KR_JSON_STRING))
        return refuse_type(place, "an ISO 8601 time");
    if (clock_parse(bytes_text(json_text(place->value)), out) != 0)
        return refuse(place, "must be an ISO 8601 time such as 2026-01-31T12:00:00Z");
    if (*out == 0) // which means unset; the first millisecond of 1970 is as long ago
        *out = 1;
    return KR_ERR_OK;
}

static enum kr_err take_tag(const struct place *place, const char *name, const struct json *value,
                            struct tag *tag)
{
    if (json_type_of(value) != KR_JSON_STRING)
        return refuse(place, "every tag's value must be a string");
    if (!rules_is_tag_name(name))
        return refuse(place, "a tag's name has 1 to 64 characters");
    if (!rules_is_tag_value(json_text(value)))
        return refuse(place, "a tag's value has at most 256 characters");
    *tag = (struct tag){arena_text(&place->call->arena, name), copy(place, value)};
    return KR_ERR_OK;
}

static enum kr_err take_tags(const struct place *place)
{
    struct tags *out = place->member->out;
    *out = (struct tags){0};
    if (is(place, KR_JSON_NULL))
        return KR_ERR_OK;
    if (!is(place, KR_JSON_OBJECT))
        return refuse_type(place, "an object of strings");
    if (json_size(place->value) > (size_t)place->member->max)
        return refuse(place, arena_printf(&place->call->arena, "at most %lld pairs",
                                          (long long)place->member->max));
    struct tag *items =
        arena_zalloc(&place->call->arena, sizeof(*items) * (json_size(place->value) + 1));
    void *cursor = NULL;
    const char *name;
    const struct json *value;
    size_t count = 0;
    while (json_next(place->value, &cursor, &name, &value)) {
        enum kr_err err = take_tag(place, name, value, &items[count++]);
        if (err != KR_ERR_OK)
            return err;
    }
    *out = (struct tags){items, count};
    return KR_ERR_OK;
}

static enum kr_err take_metadata(const struct place *place)
{
    const char **out = place->member->out;
    *out = "{}";
    if (is(place, KR_JSON_NULL))
        return KR_ERR_OK;
    if (!is(place, KR_JSON_OBJECT))
        return refuse_type(place, "an object");
    struct buf text;
    buf_init(&text, (size_t)place->member->max);
    json_add(&text, place->value);
    enum kr_err err = buf_result(&text);
    if (err == KR_ERR_OK)
        *out = arena_text_of(&place->call->arena, buf_bytes(&text));
    else
        err = refuse(place, arena_printf(&place->call->arena, "larger than %lld bytes of JSON",
                                         (long long)place->member->max));
    buf_fini(&text);
    return err;
}

static enum kr_err take_texts(const struct place *place)
{
    struct texts *out = place->member->out;
    *out = (struct texts){0};
    if (is(place, KR_JSON_NULL))
        return KR_ERR_OK;
    if (!is(place, KR_JSON_ARRAY))
        return refuse_type(place, "an array of strings");
    size_t count = json_size(place->value);
    if (count > (size_t)place->member->max)
        return refuse(place, arena_printf(&place->call->arena, "at most %lld items",
                                          (long long)place->member->max));
    const char **items = arena_alloc(&place->call->arena, sizeof(*items) * (count + 1));
    for (size_t i = 0; i < count; i++) {
        const struct json *item = json_at(place->value, i);
        if (json_type_of(item) != KR_JSON_STRING || json_text(item)[0] == '\0' ||
            text_characters(json_text(item)) > KR_TEXTS_ITEM_MAX)
            return refuse(place, "every item must be a string of 1 to 256 characters");
        items[i] = copy(place, item);
    }
    *out = (struct texts){items, count};
    return KR_ERR_OK;
}

static enum kr_err take(const struct place *place)
{
    if (place->member->was_given != NULL)
        *place->member->was_given = true;
    switch (place->member->kind) {
    case KR_MEMBER_TEXT:
        return take_text(place);
    case KR_MEMBER_BOOL:
        return take_bool(place);
    case KR_MEMBER_NUMBER:
        return take_number(place, 0);
    case KR_MEMBER_POSITIVE:
        return take_number(place, 1);
    case KR_MEMBER_TIME:
        return take_time(place);
    case KR_MEMBER_TAGS:
        return take_tags(place);
    case KR_MEMBER_METADATA:
        return take_metadata(place);
    case KR_MEMBER_TEXTS:
        return take_texts(place);
    case KR_MEMBER_JSON:
        *(const struct json **)place->member->out = place->value;
        return KR_ERR_OK;
    case KR_MEMBER_FIXED:
        return refuse(place, "cannot be changed after creation");
    }
    return KR_ERR_INTERNAL;
}

static const struct api_member *find(const struct api_member *members, size_t count,
                                     const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(members[i].name, name) == 0)
            return &members[i];
    }
    return NULL;
}

static enum kr_err check_required(struct place *place, const struct json *object,
                                  const struct api_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        place->member = &members[i];
        const struct json *value = json_member(object, members[i].name);
        if (members[i].is_required && (value == NULL || json_type_of(value) == KR_JSON_NULL))
            return refuse(place, "is required");
    }
    return KR_ERR_OK;
}

// A value that was taken for a name is not repeated.
static enum kr_err refuse_unknown(struct call *call, const char *where, const char *name)
{
    if (!format_is_word(bytes_text(name)))
        return api_problem(call, KR_ERR_INVALID, "%san unknown field, whose name is not shown",
                           where);
    return api_problem(call, KR_ERR_INVALID, "%s%s: unknown field", where, name);
}

static enum kr_err take_all(struct call *call, const struct json *object, const char *where,
                            const struct api_member *members, size_t count)
{
    void *cursor = NULL;
    const char *name;
    const struct json *value;
    while (json_next(object, &cursor, &name, &value)) {
        const struct api_member *member = find(members, count, name);
        if (member == NULL)
            return refuse_unknown(call, where, name);
        struct place place = {call, where, member, value};
        enum kr_err err = take(&place);
        if (err != KR_ERR_OK)
            return err;
    }
    struct place place = {.call = call, .where = where};
    return check_required(&place, object, members, count);
}

enum kr_err api_members(struct call *call, const struct json *object, const char *where,
                        const struct api_member *members, size_t count)
{
    if (json_type_of(object) != KR_JSON_OBJECT)
        return api_problem(call, KR_ERR_INVALID, "%s%smust be an object, is %s", where,
                           where[0] == '\0' ? "" : ": ", json_type_name(json_type_of(object)));
    if (where[0] != '\0')
        where = arena_printf(&call->arena, "%s.", where);
    return take_all(call, object, where, members, count);
}

enum kr_err api_parse(struct call *call)
{
    struct fault fault = {0};
    if (json_parse(call->body, &call->json, &fault) == KR_ERR_OK)
        return KR_ERR_OK;
    return api_problem(call, KR_ERR_INVALID, "the body cannot be read as JSON: %s", fault.text);
}

static enum kr_err check_none_required(struct call *call, const struct api_member *members,
                                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].is_required)
            return api_problem(call, KR_ERR_INVALID, "%s: is required", members[i].name);
    }
    return KR_ERR_OK;
}

enum kr_err api_body(struct call *call, const struct api_member *members, size_t count)
{
    if (call->body.size == 0)
        return check_none_required(call, members, count);
    enum kr_err err = api_parse(call);
    if (err != KR_ERR_OK)
        return err;
    if (json_type_of(call->json) != KR_JSON_OBJECT)
        return api_problem(call, KR_ERR_INVALID, "the body must be an object, is %s",
                           json_type_name(json_type_of(call->json)));
    return take_all(call, call->json, "", members, count);
}
