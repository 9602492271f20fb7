// SPDX-License-Identifier: Apache-2.0
// Reading JSON through jansson.
//
// A `struct json` is a json_t by another name; nothing but this file knows that.
#include "core/base/json.h"

#include <assert.h>
#include <jansson.h>
#include <pthread.h>

#include "core/base/mem.h"

// What jansson allocates lies in one arena a document: the values of a body are many and small, and
// go together. So does what the parser leaves behind, and the arena zeroes both. Each allocation
// says where it lies, for the sake of the root.
struct allocation {
    _Alignas(16) struct arena *arena;
};

static _Thread_local struct arena *reading; // of the document that this thread parses

static void *allocate(size_t size_bytes)
{
    struct allocation *allocation = arena_alloc(reading, sizeof(*allocation) + size_bytes);
    allocation->arena = reading;
    return allocation + 1;
}

static void release(void *memory)
{
    (void)memory;
}

static void free_arena(struct arena *arena)
{
    arena_fini(arena);
    mem_free(arena);
}

static void configure(void)
{
    json_set_alloc_funcs(allocate, release);
    json_object_seed(0); // random: the order of the hash table cannot be foreseen
}

static const json_t *inner(const struct json *value)
{
    return (const json_t *)value;
}

// Where a scan is, and how deep.
struct scan {
    unsigned line, column, depth;
    uint64_t parts; // what takes memory: values, members; an object counts for more
    bool is_in_string, is_escaped;
};

static void step(struct scan *scan, uint8_t byte)
{
    scan->column++;
    if (scan->is_in_string) {
        if (byte == '"' && !scan->is_escaped)
            scan->is_in_string = false;
        scan->is_escaped = byte == '\\' && !scan->is_escaped;
        return;
    }
    if (byte == '"')
        scan->is_in_string = true;
    else if (byte == '[' || byte == '{') {
        scan->depth++;
        scan->parts += byte == '{' ? 4 : 1;
    } else if (byte == ',' || byte == ':')
        scan->parts++;
    else if ((byte == ']' || byte == '}') && scan->depth > 0)
        scan->depth--;
    else if (byte == '\n') {
        scan->line++;
        scan->column = 0;
    }
}

// jansson descends by recursion and stops at 2048 only, and takes two hundred times the memory of a
// text of empty objects; the text is scanned before it gets there.
static enum kr_err check_bounds(struct bytes text, struct fault *fault)
{
    struct scan scan = {.line = 1};
    for (size_t i = 0; i < text.size; i++) {
        step(&scan, text.data[i]);
        if (scan.depth > KR_JSON_DEPTH_MAX)
            return fault_set(fault, KR_ERR_INVALID,
                             "line %u, column %u: nested deeper than %d levels", scan.line,
                             scan.column, KR_JSON_DEPTH_MAX);
        if (scan.parts > KR_JSON_PARTS_MAX)
            return fault_set(fault, KR_ERR_INVALID, "line %u, column %u: too many values",
                             scan.line, scan.column);
        if (text.data[i] == '\0')
            return fault_set(fault, KR_ERR_INVALID, "line %u, column %u: NUL byte", scan.line,
                             scan.column);
    }
    return KR_ERR_OK;
}

bool json_is_excessive(struct bytes text)
{
    return check_bounds(text, NULL) != KR_ERR_OK;
}

// jansson ends its reasons with the text that it stumbled over: " near '…'". What JSON allows and
// we do not is said in words of our own.
static enum kr_err tell(struct json_error_t *error, struct fault *fault)
{
    const char *reason = error->text;
    char *quote = strstr(error->text, " near '");
    if (quote != NULL)
        *quote = '\0';
    if (json_error_code(error) == json_error_numeric_overflow)
        reason = "a number is beyond what 64 bits hold";
    else if (json_error_code(error) == json_error_null_character)
        reason = "a text has a NUL in it";
    enum kr_err err = fault_set(fault, KR_ERR_INVALID, "line %d, column %d: %s", error->line,
                                error->column, reason);
    mem_zero(error, sizeof(*error));
    return err;
}

// true, false and null are jansson's own, and lie in no arena.
static bool is_static(const json_t *value)
{
    return json_is_boolean(value) || json_is_null(value);
}

enum kr_err json_parse(struct bytes text, struct json **out, struct fault *fault)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct json_error_t error;
    *out = NULL;
    pthread_once(&once, configure);
    if (text.size == 0)
        return fault_set(fault, KR_ERR_INVALID, "line 1, column 0: empty text");
    enum kr_err err = check_bounds(text, fault);
    if (err != KR_ERR_OK)
        return err;
    struct arena *arena = mem_alloc(sizeof(*arena));
    arena_init(arena);
    reading = arena;
    json_t *root = json_loadb((const char *)text.data, text.size,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    reading = NULL;
    if (root == NULL || is_static(root))
        free_arena(arena);
    if (root == NULL)
        return tell(&error, fault);
    *out = (struct json *)root;
    return KR_ERR_OK;
}

void json_free(struct json **root)
{
    if (*root != NULL && !is_static(inner(*root)))
        free_arena(((struct allocation *)*root - 1)->arena);
    *root = NULL;
}

enum json_type json_type_of(const struct json *value)
{
    switch (json_typeof(inner(value))) {
    case JSON_OBJECT:
        return KR_JSON_OBJECT;
    case JSON_ARRAY:
        return KR_JSON_ARRAY;
    case JSON_STRING:
        return KR_JSON_STRING;
    case JSON_INTEGER:
        return KR_JSON_INTEGER;
    case JSON_REAL:
        return KR_JSON_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return KR_JSON_BOOL;
    case JSON_NULL:
        return KR_JSON_NULL;
    }
    return KR_JSON_NULL;
}

const char *json_type_name(enum json_type type)
{
    switch (type) {
    case KR_JSON_NULL:
        return "null";
    case KR_JSON_BOOL:
        return "a boolean";
    case KR_JSON_INTEGER:
        return "an integer";
    case KR_JSON_REAL:
        return "a decimal number";
    case KR_JSON_STRING:
        return "a string";
    case KR_JSON_ARRAY:
        return "an array";
    case KR_JSON_OBJECT:
        return "an object";
    }
    return "unknown";
}

bool json_bool(const struct json *value)
{
    assert(json_is_boolean(inner(value)));
    return json_is_true(inner(value));
}

int64_t json_int64(const struct json *value)
{
    assert(json_is_integer(inner(value)));
    return json_integer_value(inner(value));
}

double json_double(const struct json *value)
{
    assert(json_is_number(inner(value)));
    return json_number_value(inner(value));
}

const char *json_text(const struct json *value)
{
    assert(json_is_string(inner(value)));
    return json_string_value(inner(value));
}

size_t json_size(const struct json *value)
{
    return json_is_array(inner(value)) ? json_array_size(inner(value))
                                       : json_object_size(inner(value));
}

const struct json *json_at(const struct json *array, size_t position)
{
    return (const struct json *)json_array_get(inner(array), position);
}

const struct json *json_member(const struct json *object, const char *name)
{
    return (const struct json *)json_object_get(inner(object), name);
}

bool json_next(const struct json *object, void **cursor, const char **name,
               const struct json **value)
{
    // jansson's iterators want a mutable object, but do not change it.
    json_t *mutable_object = (json_t *)(uintptr_t)object;
    *cursor = *cursor == NULL ? json_object_iter(mutable_object)
                              : json_object_iter_next(mutable_object, *cursor);
    if (*cursor == NULL)
        return false;
    *name = json_object_iter_key(*cursor);
    *value = (const struct json *)json_object_iter_value(*cursor);
    return true;
}
