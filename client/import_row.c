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
#include "core/keys/rules.h"

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

// "-" is good here: a consumer of before that name was taken away may have it, and only the node
// knows whether there is one.
static enum kr_err check_consumer(const char *name, const struct json *value, struct fault *reason)
{
    if (is_text(value) &&
        (model_is_consumer_prefix(json_text(value)) || format_is_id(json_text(value), "csmr")))
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

// What keyHash must have, as far as it is there.
struct hash_parts {
    bool has_algorithm, has_value;
};

static enum kr_err take_hash_part(const char *part, const struct json *item,
                                  struct hash_parts *parts, struct fault *reason)
{
    uint8_t digest[KR_DIGEST_SIZE];
    bool is_last4 = strcmp(part, "last4") == 0;
    if (is_last4 && is_null(item))
        return KR_ERR_OK;
    if (!is_text(item))
        return fault_set(reason, KR_ERR_INVALID, "keyHash has a member that is no string");
    if (is_last4)
        return rules_is_last4(json_text(item))
                   ? KR_ERR_OK
                   : wants(reason, "keyHash.last4", "the value's last four characters");
    if (strcmp(part, "algorithm") == 0)
        parts->has_algorithm = strcmp(json_text(item), "sha256") == 0;
    else if (strcmp(part, "value") == 0)
        parts->has_value = digest_read(json_text(item), digest);
    else
        return fault_set(reason, KR_ERR_INVALID, "keyHash has a member that is not known");
    return KR_ERR_OK;
}

static enum kr_err check_hash(const char *name, const struct json *value, struct fault *reason)
{
    void *cursor = NULL;
    const char *part;
    const struct json *item;
    struct hash_parts parts = {0};
    if (json_type_of(value) != KR_JSON_OBJECT)
        return wants(reason, name, "an object");
    while (json_next(value, &cursor, &part, &item)) {
        enum kr_err err = take_hash_part(part, item, &parts, reason);
        if (err != KR_ERR_OK)
            return err;
    }
    if (!parts.has_algorithm)
        return wants(reason, "keyHash.algorithm", "\"sha256\"");
    if (!parts.has_value)
        return wants(reason, "keyHash.value", "a SHA-256: 64 hex digits, or its base64");
    return KR_ERR_OK;
}

static enum kr_err check_text(const char *name, const struct json *value, struct fault *reason)
{
    if (!is_text(value))
        return wants(reason, name, "a string");
    if (text_characters(json_text(value)) > KR_DESCRIPTION_MAX)
        return fault_set(reason, KR_ERR_INVALID, "%s must have at most %d characters", name,
                         KR_DESCRIPTION_MAX);
    return KR_ERR_OK;
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

static enum kr_err check_texts(const char *name, const struct json *value, size_t most,
                               struct fault *reason)
{
    if (json_type_of(value) != KR_JSON_ARRAY)
        return wants(reason, name, "an array of strings");
    if (json_size(value) > most)
        return fault_set(reason, KR_ERR_INVALID, "%s must have at most %zu items", name, most);
    for (size_t i = 0; i < json_size(value); i++)
        if (!is_text(json_at(value, i)))
            return wants(reason, name, "an array of strings");
    return KR_ERR_OK;
}

static enum kr_err check_scopes(const char *name, const struct json *value, struct fault *reason)
{
    enum kr_err err = check_texts(name, value, KR_SCOPES_MAX, reason);
    for (size_t i = 0; err == KR_ERR_OK && i < json_size(value); i++)
        if (!rules_is_scope(json_text(json_at(value, i))))
            err = fault_set(reason, KR_ERR_INVALID,
                            "%s must be of 1 to %d visible ASCII characters each, without space, "
                            "comma, quote or backslash",
                            name, KR_SCOPE_MAX);
    return err;
}

static enum kr_err check_blocks(const char *name, const struct json *value, struct fault *reason)
{
    struct cidr cidr;
    enum kr_err err = check_texts(name, value, KR_CIDRS_MAX, reason);
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
    if (json_size(value) > KR_TAGS_MAX)
        return fault_set(reason, KR_ERR_INVALID, "%s must have at most %d pairs", name,
                         KR_TAGS_MAX);
    while (json_next(value, &cursor, &tag, &item)) {
        if (!is_text(item))
            return wants(reason, name, "an object of strings");
        if (!rules_is_tag_name(tag) || !rules_is_tag_value(json_text(item)))
            return wants(reason, name, "names of 1 to 64 characters with values of at most 256");
    }
    return KR_ERR_OK;
}

static enum kr_err check_metadata(const char *name, const struct json *value, struct fault *reason)
{
    struct buf text;
    if (json_type_of(value) != KR_JSON_OBJECT)
        return wants(reason, name, "an object");
    buf_init(&text, KR_METADATA_LIMIT_MAX);
    json_add(&text, value);
    bool is_too_large = buf_result(&text) != KR_ERR_OK;
    buf_fini(&text);
    if (is_too_large)
        return fault_set(reason, KR_ERR_INVALID,
                         "%s must have at most %d bytes of JSON, or what its bucket allows", name,
                         KR_METADATA_LIMIT_MAX);
    return KR_ERR_OK;
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
    {"scopes", check_scopes, true},
    {"ipAllow", check_blocks, true},
    {"tags", check_tags, true},
    {"metadata", check_metadata, true},
    {"consumerMetadata", check_metadata, true},
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
    if (!format_is_word(bytes_text(name)))
        return fault_set(reason, KR_ERR_INVALID, "a row has a member that no row may have");
    return fault_set(reason, KR_ERR_INVALID, "there is no member \"%s\" in a row", name);
}

static bool has(const struct json *root, const char *name)
{
    const struct json *value = json_member(root, name);
    return value != NULL && !is_null(value);
}

// 0: none is set.
static int64_t time_of(const struct json *root, const char *name)
{
    int64_t unix_ms = 0;
    if (has(root, name) &&
        clock_parse(bytes_text(json_text(json_member(root, name))), &unix_ms) == 0)
        return unix_ms == 0 ? 1 : unix_ms;
    return 0;
}

static enum kr_err check_times(const struct json *root, int64_t now_ms, struct fault *reason)
{
    int64_t expires_ms = time_of(root, "expiresOn");
    if (now_ms != 0 && expires_ms != 0 && expires_ms <= now_ms)
        return fault_set(reason, KR_ERR_INVALID, "expiresOn is in the past");
    if (!rules_is_life(time_of(root, "notBefore"), expires_ms))
        return fault_set(reason, KR_ERR_INVALID, "notBefore must be before expiresOn");
    return KR_ERR_OK;
}

static enum kr_err check_row(const struct json *root, int64_t now_ms, struct fault *reason)
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
    return check_times(root, now_ms, reason);
}

// Of a row that is good.
static void take_owner(struct import_row *row, const struct json *root)
{
    const char *consumer = json_text(json_member(root, "consumer"));
    memcpy(row->consumer, consumer, strlen(consumer) + 1);
    if (has(root, "key"))
        digest_sha256(bytes_text(json_text(json_member(root, "key"))), row->digest);
    else
        (void)digest_read(json_text(json_member(json_member(root, "keyHash"), "value")),
                          row->digest);
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
    err = check_row(root, row->now_ms, reason);
    if (err == KR_ERR_OK)
        take_owner(row, root);
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
