// SPDX-License-Identifier: Apache-2.0
// Checking and splicing a row of an import.
//
// The line is parsed by the same parser that the node uses, so that no row can spoil the request
// of its neighbours; its text then goes on as it stands, cut around "bucket", without being
// rendered anew.
#include "client/import_row.h"

#include <string.h>

#include "core/base/cidr.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/keys/format.h"
#include "core/keys/model.h"

// Of a value that is not null where null may stand; name is the member's.
typedef enum kr_err check_fn(const char *name, const struct json *value, struct fault *reason);

static enum kr_err wants(struct fault *reason, const char *name, const char *what)
{
    return fault_set(reason, KR_ERR_INVALID, "%s must be %s", name, what);
}

static bool is_null(const struct json *value)
{
    return json_type_of(value) == KR_JSON_NULL;
}

static bool is_text(const struct json *value)
{
    return json_type_of(value) == KR_JSON_STRING;
}

static enum kr_err check_bucket(const char *name, const struct json *value, struct fault *reason)
{
    if (!is_text(value) || !model_is_bucket_name(json_text(value)))
        return wants(reason, name, "a name of 3 to 128 of a-z, 0-9, _ and -");
    return KR_ERR_OK;
}

static enum kr_err check_consumer(const char *name, const struct json *value, struct fault *reason)
{
    if (is_text(value) &&
        (model_is_consumer_name(json_text(value)) || format_is_id(json_text(value), "csmr")))
        return KR_ERR_OK;
    return wants(reason, name, "a name of 1 to 128 of a-z, 0-9, _ and -, or an id");
}

static enum kr_err check_key(const char *name, const struct json *value, struct fault *reason)
{
    if (!is_text(value) || !format_is_custom(bytes_text(json_text(value))))
        return wants(reason, name, "16 to 512 printable ASCII characters without spaces");
    // Such a key would be turned away before any look-up, whenever it is presented.
    if (format_check(bytes_text(json_text(value))) == KR_FORMAT_CHECKSUM)
        return fault_set(reason, KR_ERR_INVALID,
                         "key ends with a checksum that does not fit: it was damaged on its way");
    return KR_ERR_OK;
}

static bool is_digest(const char *text)
{
    uint8_t digest[KR_DIGEST_SIZE];
    size_t size = 0;
    return text_from_hex(bytes_text(text), digest, sizeof(digest)) ||
           (text_from_base64(bytes_text(text), digest, sizeof(digest), &size) &&
            size == sizeof(digest));
}

static enum kr_err check_hash(const char *name, const struct json *value, struct fault *reason)
{
    void *cursor = NULL;
    const char *part;
    const struct json *item;
    bool has_algorithm = false, has_value = false;
    if (json_type_of(value) != KR_JSON_OBJECT)
        return wants(reason, name, "an object");
    while (json_next(value, &cursor, &part, &item)) {
        if (!is_text(item))
            return fault_set(reason, KR_ERR_INVALID, "keyHash has a member that is no string");
        if (strcmp(part, "algorithm") == 0)
            has_algorithm = strcmp(json_text(item), "sha256") == 0;
        else if (strcmp(part, "value") == 0)
            has_value = is_digest(json_text(item));
        else if (strcmp(part, "last4") != 0)
            return fault_set(reason, KR_ERR_INVALID, "keyHash has a member that is not known");
    }
    if (!has_algorithm)
        return wants(reason, "keyHash.algorithm", "\"sha256\"");
    if (!has_value)
        return wants(reason, "keyHash.value", "a SHA-256: 64 hex digits, or its base64");
    return KR_ERR_OK;
}

static enum kr_err check_text(const char *name, const struct json *value, struct fault *reason)
{
    return is_text(value) ? KR_ERR_OK : wants(reason, name, "a string");
}

static enum kr_err check_bool(const char *name, const struct json *value, struct fault *reason)
{
    return json_type_of(value) == KR_JSON_BOOL ? KR_ERR_OK : wants(reason, name, "true or false");
}

static enum kr_err check_time(const char *name, const struct json *value, struct fault *reason)
{
    int64_t unix_ms;
    if (is_text(value) && clock_parse(bytes_text(json_text(value)), &unix_ms) == 0)
        return KR_ERR_OK;
    return wants(reason, name, "a time like 2027-01-31T12:00:00Z, or null");
}

static enum kr_err check_texts(const char *name, const struct json *value, struct fault *reason)
{
    if (json_type_of(value) != KR_JSON_ARRAY)
        return wants(reason, name, "an array of strings");
    for (size_t i = 0; i < json_size(value); i++)
        if (!is_text(json_at(value, i)))
            return wants(reason, name, "an array of strings");
    return KR_ERR_OK;
}

static enum kr_err check_blocks(const char *name, const struct json *value, struct fault *reason)
{
    struct cidr cidr;
    enum kr_err err = check_texts(name, value, reason);
    for (size_t i = 0; err == KR_ERR_OK && i < json_size(value); i++)
        if (!cidr_parse(bytes_text(json_text(json_at(value, i))), &cidr))
            err = wants(reason, name,
                        "addresses or CIDR blocks without host bits, like 192.0.2.0/24");
    return err;
}

static enum kr_err check_tags(const char *name, const struct json *value, struct fault *reason)
{
    void *cursor = NULL;
    const char *tag;
    const struct json *item;
    if (json_type_of(value) != KR_JSON_OBJECT)
        return wants(reason, name, "an object of strings");
    while (json_next(value, &cursor, &tag, &item))
        if (!is_text(item))
            return wants(reason, name, "an object of strings");
    return KR_ERR_OK;
}

static enum kr_err check_object(const char *name, const struct json *value, struct fault *reason)
{
    return json_type_of(value) == KR_JSON_OBJECT ? KR_ERR_OK : wants(reason, name, "an object");
}

// What the node's $import takes, and the bucket.
static const struct {
    const char *name;
    check_fn *check;
    bool may_be_null; // which means: none
} members[] = {
    {"consumer", check_consumer, false},
    {"key", check_key, true},
    {"keyHash", check_hash, true},
    {"bucket", check_bucket, false},
    {"description", check_text, true},
    {"expiresOn", check_time, true},
    {"notBefore", check_time, true},
    {"enabled", check_bool, false},
    {"scopes", check_texts, true},
    {"ipAllow", check_blocks, true},
    {"tags", check_tags, true},
    {"metadata", check_object, true},
    {"consumerMetadata", check_object, true},
    {"consumerTags", check_tags, true},
    {"consumerDescription", check_text, true},
};

static enum kr_err check_member(const char *name, const struct json *value, struct fault *reason)
{
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (strcmp(name, members[i].name) != 0)
            continue;
        return is_null(value) && members[i].may_be_null ? KR_ERR_OK
                                                        : members[i].check(name, value, reason);
    }
    return fault_set(reason, KR_ERR_INVALID, "there is no member \"%.64s\" in a row", name);
}

static bool has(const struct json *root, const char *name)
{
    const struct json *value = json_member(root, name);
    return value != NULL && !is_null(value);
}

static enum kr_err check_row(const struct json *root, struct fault *reason)
{
    void *cursor = NULL;
    const char *name;
    const struct json *value;
    if (json_type_of(root) != KR_JSON_OBJECT)
        return fault_set(reason, KR_ERR_INVALID, "a row must be a JSON object");
    while (json_next(root, &cursor, &name, &value)) {
        enum kr_err err = check_member(name, value, reason);
        if (err != KR_ERR_OK)
            return err;
    }
    if (json_member(root, "consumer") == NULL)
        return fault_set(reason, KR_ERR_INVALID, "consumer is missing");
    if (has(root, "key") == has(root, "keyHash"))
        return fault_set(reason, KR_ERR_INVALID, "a row has either key or keyHash");
    return KR_ERR_OK;
}

// The end of the JSON value at this place; the text is known to be valid.
static size_t skip_value(struct bytes text, size_t at)
{
    unsigned depth = 0;
    for (bool is_in_string = false; at < text.size; at++) {
        uint8_t byte = text.data[at];
        if (is_in_string && byte == '\\')
            at++;
        else if (byte == '"')
            is_in_string = !is_in_string;
        else if (!is_in_string && (byte == '{' || byte == '['))
            depth++;
        else if (!is_in_string && depth > 0 && (byte == '}' || byte == ']'))
            depth--;
        else if (!is_in_string && depth == 0 && (byte == ',' || byte == '}' || byte == ']'))
            break;
    }
    return at;
}

// Where the member `"bucket": …` stands at the top level, from its first to behind its last byte.
static bool find_bucket(struct bytes text, size_t *from, size_t *to)
{
    static const char name[] = "\"bucket\"";
    for (size_t at = 1; at < text.size && text.data[at - 1] != '}';) {
        size_t end = skip_value(text, at);
        while (at < end && strchr(" \t\r\n", text.data[at]) != NULL)
            at++;
        if (end - at >= sizeof(name) - 1 && memcmp(text.data + at, name, sizeof(name) - 1) == 0) {
            *from = at;
            *to = end;
            return true;
        }
        at = end + 1;
    }
    return false;
}

// Cuts the member out together with one comma beside it.
static bool splice(struct import_row *row, struct bytes line)
{
    size_t from, to;
    if (!find_bucket(line, &from, &to))
        return false;
    bool is_last = line.data[to] != ',';
    if (!is_last)
        to++;
    while (is_last && from > 1 && line.data[from] != ',')
        from--;
    buf_add(&row->scratch, line.data, from);
    buf_add(&row->scratch, line.data + to, line.size - to);
    return true;
}

// For a "bucket" that is written with escapes: the members one by one.
static void render(struct import_row *row, const struct json *root)
{
    struct json_writer writer;
    struct buf value;
    void *cursor = NULL;
    const char *name;
    const struct json *item;
    buf_init(&value, KR_IMPORT_LINE_MAX * 2);
    json_begin(&writer, &row->scratch);
    json_open(&writer, NULL, '{');
    while (json_next(root, &cursor, &name, &item)) {
        if (strcmp(name, "bucket") == 0)
            continue;
        buf_clear(&value);
        json_add(&value, item);
        json_write_raw(&writer, name, buf_bytes(&value));
    }
    json_close(&writer, '}');
    buf_fini(&value);
}

void import_row_init(struct import_row *row)
{
    *row = (struct import_row){0};
    buf_init(&row->scratch, KR_IMPORT_LINE_MAX * 2);
}

void import_row_fini(struct import_row *row)
{
    buf_fini(&row->scratch);
}

static struct bytes trimmed(struct bytes line)
{
    while (line.size > 0 && strchr(" \t\r", line.data[0]) != NULL)
        line = bytes_of(line.data + 1, line.size - 1);
    while (line.size > 0 && strchr(" \t\r", line.data[line.size - 1]) != NULL)
        line.size--;
    return line;
}

// The parser's "line 1, column 8: …" would be read as a line of the input.
static const char *without_line(const char *text)
{
    static const char start[] = "line 1, ";
    return strncmp(text, start, sizeof(start) - 1) == 0 ? text + sizeof(start) - 1 : text;
}

enum kr_err import_row_take(struct import_row *row, struct bytes line, struct fault *reason)
{
    struct json *root = NULL;
    struct fault parsed;
    line = trimmed(line);
    buf_clear(&row->scratch);
    row->bucket[0] = '\0';
    row->text = line;
    enum kr_err err = json_parse(line, &root, &parsed);
    if (err != KR_ERR_OK)
        return fault_set(reason, err, "not JSON: %s", without_line(parsed.text));
    err = check_row(root, reason);
    const struct json *bucket = err == KR_ERR_OK ? json_member(root, "bucket") : NULL;
    if (bucket != NULL) {
        memcpy(row->bucket, json_text(bucket), strlen(json_text(bucket)) + 1);
        if (!splice(row, line))
            render(row, root);
        row->text = buf_bytes(&row->scratch);
        err = buf_result(&row->scratch);
    }
    json_free(&root);
    return err;
}
