// SPDX-License-Identifier: Apache-2.0
// JSON (RFC 8259): reading through jansson, whose types stop in json.c; writing straight into a
// buf.
//
// A document owns all its values; a `const struct json *` is lent until json_free. Duplicate member
// names, invalid UTF-8, "\u0000", bytes behind the value, nesting above the limit and numbers
// beyond int64_t or double are refused. No function here bears a name that jansson exports: the
// linker would put ours in the place of its own. Documents are used by one thread at a time.
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
#define KR_JSON_PARTS_MAX 1000000 // commas, colons, brackets; a '{' counts four

// Gives a document; INVALID with "line L, column C: reason" otherwise, which quotes nothing of the
// text, because the text may hold a key.
must_use enum kr_err json_parse(struct bytes text, struct json **out, struct fault *fault);
// Does json_parse refuse it for its depth, or for how many values it has?
bool json_is_excessive(struct bytes text);
// Takes the root; its memory is zeroed first, because bodies hold keys. Clears the caller's
// pointer.
void json_free(struct json **root);

enum json_type json_type_of(const struct json *value);
const char *json_type_name(enum json_type type); // "a string", "an object", …
bool json_bool(const struct json *value);        // of a BOOL
int64_t json_int64(const struct json *value);    // of an INTEGER
double json_double(const struct json *value);    // of a REAL or an INTEGER
const char *json_text(const struct json *value); // of a STRING: NUL-terminated UTF-8
size_t json_size(const struct json *value);      // members or elements
const struct json *json_at(const struct json *array, size_t position);
const struct json *json_member(const struct json *object, const char *name); // NULL when absent

// Walks an object's members in their order in the text: start with *cursor = NULL.
bool json_next(const struct json *object, void **cursor, const char **name,
               const struct json **value);
// The value in compact form, members in their order.
void json_add(struct buf *out, const struct json *value);

// --- writing -------------------------------------------------------------------------------------
// A writer puts commas where they belong. Names and strings are escaped (RFC 8259 §7); of a text
// that is not UTF-8, every byte above 0x7f becomes U+FFFD.
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
