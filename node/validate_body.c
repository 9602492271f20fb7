// SPDX-License-Identifier: Apache-2.0
// The JSON body of a validation: the in-place scan, and the general form through the JSON library.
#include "node/validate_body.h"

// --- the in-place scan ---------------------------------------------------------------------------

struct scan {
    const uint8_t *at, *end;
};

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

static bool take(struct scan *scan, uint8_t byte)
{
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != byte)
        return false;
    scan->at++;
    return true;
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (uint64_t)(byte))

// Not zero when one of the eight bytes is below limit (≤ 128).
static uint64_t any_below(uint64_t word, uint8_t limit)
{
    return (word - EACH_BYTE(limit)) & ~word & EACH_BYTE(0x80);
}

// Not zero when one of the eight bytes is no printable ASCII, or a backslash.
static uint64_t any_special(uint64_t word)
{
    return any_below(word, 0x20) | any_below(word ^ EACH_BYTE(0x7f), 1) |
           any_below(word ^ EACH_BYTE('\\'), 1) | (word & EACH_BYTE(0x80));
}

// Eight bytes at a time; what is left over is filled up with a letter.
static bool is_plain(const uint8_t *at, size_t size)
{
    uint64_t word, found = 0;
    for (; size >= sizeof(word); at += sizeof(word), size -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        found |= any_special(word);
    }
    word = EACH_BYTE('a');
    memcpy(&word, at, size);
    return (found | any_special(word)) == 0;
}

// A string of printable ASCII without escapes; anything else is for the library.
static bool take_string(struct scan *scan, struct bytes *out)
{
    if (!take(scan, '"'))
        return false;
    const uint8_t *start = scan->at;
    const uint8_t *quote = memchr(start, '"', (size_t)(scan->end - start));
    if (quote == NULL || !is_plain(start, (size_t)(quote - start)))
        return false;
    *out = bytes_of(start, (size_t)(quote - start));
    scan->at = quote + 1;
    return true;
}

static bool take_member(struct scan *scan, struct validation_ask *ask)
{
    struct bytes name, value;
    if (!take_string(scan, &name) || !take(scan, ':') || !take_string(scan, &value))
        return false;
    struct bytes *place = NULL;
    if (bytes_equal_text(name, "key"))
        place = &ask->key;
    else if (bytes_equal_text(name, "bucket"))
        place = &ask->bucket;
    if (place == NULL || place->data != NULL || (place == &ask->bucket && value.size == 0))
        return false; // another member, a repeated one, or a bucket without a name
    *place = value;
    return true;
}

bool validate_body_scan(struct bytes body, struct validation_ask *ask)
{
    struct scan scan = {body.data, body.data + body.size};
    ask->key = ask->bucket = (struct bytes){0};
    bool is_simple = take(&scan, '{') && take_member(&scan, ask);
    if (is_simple && take(&scan, ','))
        is_simple = take_member(&scan, ask);
    is_simple = is_simple && take(&scan, '}');
    skip_space(&scan);
    if (is_simple && scan.at == scan.end && ask->key.data != NULL)
        return true;
    ask->key = ask->bucket = (struct bytes){0};
    return false;
}

// --- the general form ----------------------------------------------------------------------------

static enum kr_err wrong_type(struct fault *fault, const char *name, const char *wanted,
                              const struct json *value)
{
    return fault_set(fault, KR_ERR_INVALID, "%s: expected %s, found %s", name, wanted,
                     json_type_name(json_type_of(value)));
}

static enum kr_err read_text(const char *name, const struct json *value, struct arena *arena,
                             struct bytes *out, struct fault *fault)
{
    if (json_type_of(value) != KR_JSON_STRING)
        return wrong_type(fault, name, "a string", value);
    const char *text = arena_text(arena, json_text(value));
    *out = bytes_text(text);
    return KR_ERR_OK;
}

// A variable that was empty is no permission for every bucket.
static enum kr_err read_bucket(const struct json *value, struct arena *arena,
                               struct validation_ask *ask, struct fault *fault)
{
    enum kr_err err = read_text("bucket", value, arena, &ask->bucket, fault);
    if (err == KR_ERR_OK && ask->bucket.size == 0)
        err = fault_set(fault, KR_ERR_INVALID, "bucket: empty; leave it out to ask for any");
    return err;
}

static enum kr_err read_scopes(const struct json *value, struct arena *arena,
                               struct validation_ask *ask, struct fault *fault)
{
    if (json_type_of(value) != KR_JSON_ARRAY)
        return wrong_type(fault, "scopes", "an array of strings", value);
    size_t count = json_size(value);
    if (count > KR_VALIDATION_SCOPES_MAX)
        return fault_set(fault, KR_ERR_INVALID, "scopes: at most %d", KR_VALIDATION_SCOPES_MAX);
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 0; i < count && err == KR_ERR_OK; i++)
        err = read_text("scopes", json_at(value, i), arena, &ask->scopes[i], fault);
    ask->scope_count = err == KR_ERR_OK ? count : 0;
    return err;
}

static enum kr_err read_number(const char *name, const struct json *value, int64_t *out,
                               struct fault *fault)
{
    if (json_type_of(value) != KR_JSON_INTEGER || json_int64(value) < 0)
        return wrong_type(fault, name, "an integer ≥ 0", value);
    *out = json_int64(value);
    return KR_ERR_OK;
}

static enum kr_err read_explain(const struct json *value, struct validation_ask *ask,
                                struct fault *fault)
{
    if (json_type_of(value) != KR_JSON_BOOL)
        return wrong_type(fault, "explain", "true or false", value);
    ask->wants_explanation = json_bool(value);
    return KR_ERR_OK;
}

static enum kr_err read_min_index(const struct json *value, struct validation_ask *ask,
                                  struct fault *fault)
{
    int64_t number = 0;
    enum kr_err err = read_number("minIndex", value, &number, fault);
    ask->min_index = (uint64_t)number;
    return err;
}

static enum kr_err read_member(const char *name, const struct json *value, struct arena *arena,
                               struct validation_ask *ask, struct fault *fault)
{
    if (strcmp(name, "key") == 0)
        return read_text(name, value, arena, &ask->key, fault);
    if (json_type_of(value) == KR_JSON_NULL)
        return KR_ERR_OK; // every other member may be null: not asked
    if (strcmp(name, "bucket") == 0)
        return read_bucket(value, arena, ask, fault);
    if (strcmp(name, "ip") == 0)
        return read_text(name, value, arena, &ask->ip, fault);
    if (strcmp(name, "method") == 0)
        return read_text(name, value, arena, &ask->method, fault);
    if (strcmp(name, "path") == 0)
        return read_text(name, value, arena, &ask->path, fault);
    if (strcmp(name, "scopes") == 0)
        return read_scopes(value, arena, ask, fault);
    if (strcmp(name, "minIndex") == 0)
        return read_min_index(value, ask, fault);
    if (strcmp(name, "maxStalenessMs") == 0)
        return read_number(name, value, &ask->max_staleness_ms, fault);
    if (strcmp(name, "explain") == 0)
        return read_explain(value, ask, fault);
    if (!format_is_word(bytes_text(name)))
        return fault_set(fault, KR_ERR_INVALID, "an unknown field, whose name is not shown");
    return fault_set(fault, KR_ERR_INVALID, "%s: unknown field", name);
}

enum kr_err validate_body_address(struct validate_question *question, struct fault *fault)
{
    if (question->ask.ip.size == 0)
        return KR_ERR_OK;
    if (!cidr_parse_address(question->ask.ip, &question->address))
        return fault_set(fault, KR_ERR_INVALID, "ip: not an IPv4 or IPv6 address");
    question->has_address = true;
    return KR_ERR_OK;
}

enum kr_err validate_body_element(const struct json *element, struct arena *arena,
                                  struct validate_question *question, struct fault *fault)
{
    if (json_type_of(element) != KR_JSON_OBJECT)
        return wrong_type(fault, "body", "an object", element);
    question->ask.key = (struct bytes){0};
    void *cursor = NULL;
    const char *name;
    const struct json *value;
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && json_next(element, &cursor, &name, &value))
        err = read_member(name, value, arena, &question->ask, fault);
    if (err != KR_ERR_OK)
        return err;
    if (question->ask.key.data == NULL)
        return fault_set(fault, KR_ERR_INVALID, "key: required");
    return validate_body_address(question, fault);
}

enum kr_err validate_body(struct bytes body, struct arena *arena,
                          struct validate_question *question, struct fault *fault)
{
    if (validate_body_scan(body, &question->ask))
        return KR_ERR_OK;
    struct json *root = NULL;
    enum kr_err err = json_parse(body, &root, fault);
    if (err == KR_ERR_OK)
        err = validate_body_element(root, arena, question, fault);
    json_free(&root);
    return err;
}
