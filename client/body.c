// SPDX-License-Identifier: Apache-2.0
// Request bodies from options.
#include "client/body.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/text.h"

enum { KR_BODY_FILE_MAX = 1 << 16 };

#define KR_BODY_MAX ((size_t)1 << 20)
#define KR_BODY_DIGEST_SIZE 32

enum body_kind {
    KR_BODY_TEXT,
    KR_BODY_TEXTS,
    KR_BODY_NUMBER,
    KR_BODY_STALENESS, // a number, or "unbounded": null
    KR_BODY_BOOL,      // "true", "on", or a flag
    KR_BODY_TIME,
    KR_BODY_TAGS,
    KR_BODY_METADATA,
    KR_BODY_SECRET,
    KR_BODY_HASH
};

static const struct {
    enum spec_option_id option;
    const char *name;
    enum body_kind kind;
} members[] = {
    {KR_OPT_DESCRIPTION, "description", KR_BODY_TEXT},
    {KR_OPT_TAG, "tags", KR_BODY_TAGS},
    {KR_OPT_METADATA, "metadata", KR_BODY_METADATA},
    {KR_OPT_ENVIRONMENT, "environment", KR_BODY_TEXT},
    {KR_OPT_KEY_PREFIX, "keyPrefix", KR_BODY_TEXT},
    {KR_OPT_RETRIEVABLE, "isRetrievable", KR_BODY_BOOL},
    {KR_OPT_EXPIRY_DAYS, "defaultExpiryDays", KR_BODY_NUMBER},
    {KR_OPT_MAX_STALENESS, "maxStalenessMs", KR_BODY_STALENESS},
    {KR_OPT_METADATA_LIMIT, "metadataLimit", KR_BODY_NUMBER},
    {KR_OPT_DELETE_PROTECTION, "deleteProtection", KR_BODY_BOOL},
    {KR_OPT_EXPIRES, "expiresOn", KR_BODY_TIME},
    {KR_OPT_NOT_BEFORE, "notBefore", KR_BODY_TIME},
    {KR_OPT_SCOPE, "scopes", KR_BODY_TEXTS},
    {KR_OPT_IP_ALLOW, "ipAllow", KR_BODY_TEXTS},
    {KR_OPT_ENABLED, "enabled", KR_BODY_BOOL},
    {KR_OPT_REASON, "reason", KR_BODY_TEXT},
    {KR_OPT_SUB, "sub", KR_BODY_TEXT},
    {KR_OPT_ROLE, "roles", KR_BODY_TEXTS},
    {KR_OPT_ALLOW_BUCKET, "buckets", KR_BODY_TEXTS},
    {KR_OPT_IP, "ip", KR_BODY_TEXT},
    {KR_OPT_MIN_INDEX, "minIndex", KR_BODY_NUMBER},
    {KR_OPT_EXPLAIN, "explain", KR_BODY_BOOL},
    {KR_OPT_KEY_FILE, "key", KR_BODY_SECRET},
    {KR_OPT_KEY_SHA256, "keyHash", KR_BODY_HASH},
};

static void refuse(struct body *body, enum spec_option_id option, const char *wants)
{
    body->code = session_fail(body->session, KR_EXIT_USAGE, NULL, "--%s %s",
                              spec_options[option].name, wants);
}

bool body_parse_time(const char *text, int64_t now_ms, int direction, int64_t *unix_ms)
{
    static const struct {
        char letter;
        int64_t ms;
    } units[] = {{'d', 86400000}, {'h', 3600000}, {'m', 60000}, {'s', 1000}};
    size_t size = strlen(text);
    uint64_t count;
    if (clock_parse(bytes_of(text, size), unix_ms) == 0)
        return true;
    for (size_t i = 0; size > 1 && i < sizeof(units) / sizeof(units[0]); i++) {
        if (text[size - 1] != units[i].letter ||
            !text_decimal(bytes_of(text, size - 1), 1000000, &count))
            continue;
        *unix_ms = now_ms + direction * (int64_t)count * units[i].ms;
        return true;
    }
    return false;
}

static void add_time(struct body *body, enum spec_option_id option, const char *name,
                     const char *value)
{
    int64_t unix_ms;
    if (strcmp(value, "never") == 0)
        json_write_null(&body->writer, name);
    else if (body_parse_time(value, clock_unix_ms(), 1, &unix_ms))
        json_write_stamp(&body->writer, name, unix_ms);
    else
        refuse(body, option, "is a time like 2027-01-31, 2027-01-31T12:00:00Z, 90d or never");
}

static void add_texts(struct body *body, const char *name, const struct parse_option *given)
{
    json_open(&body->writer, name, '[');
    for (size_t i = 0; i < given->count; i++)
        json_write_string(&body->writer, NULL, given->values[i]);
    json_close(&body->writer, ']');
}

// A JSON object with a name twice is refused by the node, which knows of no option.
static bool is_name_repeated(const struct parse_option *given, size_t at, size_t size)
{
    for (size_t i = 0; i < at; i++)
        if (strncmp(given->values[i], given->values[at], size + 1) == 0) // with its '='
            return true;
    return false;
}

static void add_tags(struct body *body, const struct parse_option *given)
{
    json_open(&body->writer, "tags", '{');
    for (size_t i = 0; i < given->count && body->code == KR_EXIT_OK; i++) {
        const char *text = given->values[i], *equals = strchr(text, '=');
        if (equals == NULL || equals == text)
            refuse(body, KR_OPT_TAG, "is NAME=VALUE");
        else if (is_name_repeated(given, i, (size_t)(equals - text)))
            refuse(body, KR_OPT_TAG, "gives a name two values; one of them is meant");
        else
            json_write_string(
                &body->writer,
                arena_text_of(&body->session->arena, bytes_of(text, (size_t)(equals - text))),
                equals + 1);
    }
    json_close(&body->writer, '}');
}

static void add_metadata(struct body *body, const char *value)
{
    struct json *json = NULL;
    struct fault fault = {0};
    struct buf text;
    buf_init(&text, KR_BODY_FILE_MAX);
    if (*value == '@' && file_read(value + 1, &text, &fault) != KR_ERR_OK) {
        body->code = session_fail(body->session, KR_EXIT_USAGE, NULL, "%s", fault.text);
        goto done;
    }
    if (*value != '@')
        buf_add_text(&text, value);
    if (buf_result(&text) != KR_ERR_OK ||
        json_parse(buf_bytes(&text), &json, &fault) != KR_ERR_OK ||
        json_type_of(json) != KR_JSON_OBJECT) {
        refuse(body, KR_OPT_METADATA, "is a JSON object like {\"plan\":\"gold\"}");
        goto done;
    }
    json_write_raw(&body->writer, "metadata", buf_bytes(&text));
done:
    if (json != NULL)
        json_free(&json);
    buf_fini(&text);
}

static void add_secret(struct body *body, const char *name, const char *path)
{
    const char *value = NULL;
    body->code = session_read_secret(body->session, path, &value);
    if (body->code == KR_EXIT_OK)
        json_write_string(&body->writer, name, value);
}

static void add_hash(struct body *body, const char *value)
{
    uint8_t digest[KR_BODY_DIGEST_SIZE];
    size_t size = 0;
    const char *last4 = parse_value(body->session->in, KR_OPT_LAST4);
    bool is_digest = text_from_hex(bytes_text(value), digest, sizeof(digest)) ||
                     (text_from_base64(bytes_text(value), digest, sizeof(digest), &size) &&
                      size == sizeof(digest));
    if (!is_digest) {
        refuse(body, KR_OPT_KEY_SHA256, "is a SHA-256: 64 hex digits, or its base64");
        return;
    }
    if (parse_has(body->session->in, KR_OPT_KEY_FILE)) {
        refuse(body, KR_OPT_KEY_SHA256, "and --key-file exclude each other");
        return;
    }
    json_open(&body->writer, "keyHash", '{');
    json_write_string(&body->writer, "algorithm", "sha256");
    json_write_string(&body->writer, "value", value);
    if (last4 != NULL)
        json_write_string(&body->writer, "last4", last4);
    json_close(&body->writer, '}');
}

static void add_staleness(struct body *body, const char *name, const char *value)
{
    uint64_t number;
    if (strcmp(value, "unbounded") == 0)
        json_write_null(&body->writer, name);
    else if (text_decimal(bytes_text(value), INT64_MAX, &number))
        json_write_integer(&body->writer, name, (int64_t)number);
    else
        refuse(body, KR_OPT_MAX_STALENESS, "is a number of milliseconds, or unbounded");
}

static void add_member(struct body *body, size_t i)
{
    const struct invocation *in = body->session->in;
    enum spec_option_id option = members[i].option;
    const char *name = members[i].name, *value = parse_value(in, option);
    switch (members[i].kind) {
    case KR_BODY_TEXT:
        json_write_string(&body->writer, name, value);
        break;
    case KR_BODY_TEXTS:
        add_texts(body, name, &in->options[option]);
        break;
    case KR_BODY_NUMBER:
        json_write_integer(&body->writer, name, (int64_t)parse_number(in, option, 0));
        break;
    case KR_BODY_STALENESS:
        add_staleness(body, name, value);
        break;
    case KR_BODY_BOOL:
        json_write_bool(&body->writer, name,
                        *value == '\0' || strcmp(value, "on") == 0 || strcmp(value, "true") == 0);
        break;
    case KR_BODY_TIME:
        add_time(body, option, name, value);
        break;
    case KR_BODY_TAGS:
        add_tags(body, &in->options[option]);
        break;
    case KR_BODY_METADATA:
        add_metadata(body, value);
        break;
    case KR_BODY_SECRET:
        add_secret(body, name, value);
        break;
    case KR_BODY_HASH:
        add_hash(body, value);
        break;
    }
}

void body_begin(struct body *body, struct session *session)
{
    *body = (struct body){.session = session};
    buf_init(&body->text, KR_BODY_MAX);
    json_begin(&body->writer, &body->text);
    json_open(&body->writer, NULL, '{');
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (body->code != KR_EXIT_OK || !parse_has(session->in, members[i].option))
            continue;
        add_member(body, i);
        body->member_count++;
    }
}

void body_add_text(struct body *body, const char *name, const char *value)
{
    json_write_string(&body->writer, name, value);
    body->member_count++;
}

enum exit_code body_end(struct body *body, bool wants_change)
{
    json_close(&body->writer, '}');
    if (body->code != KR_EXIT_OK)
        return body->code;
    if (wants_change && body->member_count == 0)
        return session_fail(body->session, KR_EXIT_USAGE, "--help lists what can be changed",
                            "nothing to change is given");
    if (buf_result(&body->text) != KR_ERR_OK)
        return session_fail(body->session, KR_EXIT_USAGE, NULL,
                            "the values given are larger than 1 MiB");
    return KR_EXIT_OK;
}

void body_fini(struct body *body)
{
    buf_fini(&body->text);
}
