// SPDX-License-Identifier: Apache-2.0
// A borrowed run of bytes: a pointer and a length, never an owner.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data; // may be NULL when size is 0
    size_t size;         // bytes
};

// A literal or NUL-terminated text as bytes, without the NUL. Lends text.
static inline struct bytes bytes_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){(const uint8_t *)data, size};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool bytes_equal_text(struct bytes a, const char *text)
{
    return bytes_equal(a, bytes_text(text));
}

// ASCII case-insensitive, as HTTP field names compare (RFC 9110 §5.1).
bool bytes_equal_text_nocase(struct bytes a, const char *text);

static inline bool bytes_starts_with(struct bytes a, struct bytes prefix)
{
    return a.size >= prefix.size && bytes_equal(bytes_of(a.data, prefix.size), prefix);
}
