// SPDX-License-Identifier: Apache-2.0
// JSON (RFC 8259): reading through jansson, whose types stop in json.c; writing straight into a
// buf.
//
// A document owns all its values; a `const struct json *` is lent until json_free. Duplicate member
// names, invalid UTF-8, "\u0000", bytes behind the value and nesting above the limit are refused.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/fault.h"

struct json; // a value

enum json_type {
    KR_JSON_NULL,
    KR_JSON_BOOL,
    KR_JSON_INTEGER,
    KR_JSON_REAL,
    KR_JSON_STRING,
    KR_JSON_ARRAY,
    KR_JSON_OBJECT
};

#define KR_JSON_DEPTH_MAX 32

// Gives a document; INVALID with line, column and reason otherwise.
must_use enum kr_err json_parse(struct bytes text, struct json **out, struct fault *fault);
// Takes the root; strings are zeroed first, because bodies hold keys. Clears the caller's pointer.
void json_free(struct json **root);

enum json_type json_type(const struct json *value);
const char *json_type_name(enum json_type type);   // "a string", "an object", …
bool json_bool(const struct json *value);          // of a BOOL
int64_t json_integer(const struct json *value);    // of an INTEGER
const char *json_string(const struct json *value); // of a STRING: NUL-terminated UTF-8
size_t json_size(const struct json *value);        // members or elements
const struct json *json_at(const struct json *array, size_t position);
const struct json *json_member(const struct json *object, const char *name); // NULL when absent

// Walks an object's members in their order in the text: start with *cursor = NULL.
bool json_next(const struct json *object, void **cursor, const char **name,
               const struct json **value);
// The value in compact form, members in their order.
void json_add(struct buf *out, const struct json *value);

// --- writing -------------------------------------------------------------------------------------
// A writer puts commas where they belong. Names and strings are escaped (RFC 8259 §7).
struct json_writer {
    struct buf *out; // keeps
    bool needs_comma;
};

void json_begin(struct json_writer *writer, struct buf *out);
void json_open(struct json_writer *writer, const char *name,
               char bracket);                              // '{' or '['; name NULL in arrays
void json_close(struct json_writer *writer, char bracket); // '}' or ']'
void json_write_string(struct json_writer *writer, const char *name,
                       const char *text); // NULL: null
void json_write_integer(struct json_writer *writer, const char *name, int64_t value);
void json_write_bool(struct json_writer *writer, const char *name, bool value);
void json_write_null(struct json_writer *writer, const char *name);
void json_write_stamp(struct json_writer *writer, const char *name, int64_t unix_ms); // ISO 8601
void json_write_raw(struct json_writer *writer, const char *name,
                    struct bytes json); // already JSON
