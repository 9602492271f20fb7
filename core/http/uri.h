// SPDX-License-Identifier: Apache-2.0
// Paths and queries: splitting, percent-decoding (RFC 3986), form parameters.
#pragma once

#include "core/base/mem.h"
#include "core/http/request.h"

#define KR_URI_SEGMENTS_MAX 12

// Splits "/v1/a%20b/c" into decoded segments "v1", "a b", "c". Refuses (false): malformed escapes,
// decoded NUL, control characters or '/', invalid UTF-8, "." and "..", empty segments (but one
// trailing '/' is dropped), more than KR_URI_SEGMENTS_MAX. Segments are NUL-terminated in the
// arena.
bool uri_split_path(struct bytes path, struct arena *arena, const char *segments[],
                    size_t *segment_count);

struct uri_parameter {
    const char *name, *value; // decoded ('+' is a space), NUL-terminated, in the arena
};

// "a=1&b=2"; at most max parameters; false when malformed or there are more.
bool uri_split_query(struct bytes query, struct arena *arena, struct uri_parameter *parameters,
                     size_t max, size_t *count);

// One value of a query, decoded into the arena and NUL-terminated; '+' stays, for what holds no
// spaces. NULL when it is malformed.
const char *uri_decode(struct bytes value, struct arena *arena);

// The raw value of one parameter without decoding or allocation, for the serving path; empty and
// false when it is absent.
bool uri_query_value(struct bytes query, const char *name, struct bytes *value);
