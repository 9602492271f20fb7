// SPDX-License-Identifier: Apache-2.0
// A byte buffer that is written step by step and checked once: the first step that does not fit
// makes it fail, and every later step is a no-op.
//
// Either growing (heap, up to a ceiling) or fixed (the caller's memory, e.g. a workspace). Numbers
// go in big-endian order, so that rows sort as they count. One thread at a time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/bytes.h"
#include "core/base/err.h"

struct buf {
    uint8_t *data;
    size_t size;     // bytes written
    size_t capacity; // bytes that fit before it grows or fails
    size_t limit;    // a growing buffer never exceeds this; equal to capacity when fixed
    size_t dirty;    // bytes that were written before it was cleared: zeroed when it goes
    bool is_fixed;   // the memory is the caller's
    bool has_failed; // sticky
};

// A growing buffer, empty; nothing is allocated before the first write.
void buf_init(struct buf *buf, size_t limit_bytes);
// A buffer over the caller's memory, which it keeps.
void buf_init_fixed(struct buf *buf, void *memory, size_t size_bytes);
// Frees what it allocated; the bytes are zeroed first.
void buf_fini(struct buf *buf);
// Empties it and clears the failure; the memory stays.
void buf_clear(struct buf *buf);
// The same, but memory beyond kept_bytes is given back: for what is rarely as large as it can be.
void buf_empty(struct buf *buf, size_t kept_bytes);

void buf_add_u32(struct buf *buf, uint32_t value); // big-endian
void buf_add_u64(struct buf *buf, uint64_t value); // big-endian
void buf_add_decimal(struct buf *buf, uint64_t value);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Room for size_bytes at the end, uninitialised and already counted; NULL when it does not fit.
// Lends until the next write.
uint8_t *buf_extend(struct buf *buf, size_t size_bytes);

// Here, so that a literal is copied by the few instructions that its size takes.
static inline void buf_add(struct buf *buf, const void *data, size_t size_bytes)
{
    if (size_bytes == 0)
        return;
    uint8_t *place = NULL;
    if (!buf->has_failed && size_bytes <= buf->capacity - buf->size) {
        place = buf->data + buf->size;
        buf->size += size_bytes;
    } else {
        place = buf_extend(buf, size_bytes);
    }
    if (place != NULL)
        memcpy(place, data, size_bytes);
}

static inline void buf_add_bytes(struct buf *buf, struct bytes bytes)
{
    buf_add(buf, bytes.data, bytes.size);
}

static inline void buf_add_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

static inline void buf_add_u8(struct buf *buf, uint8_t value)
{
    buf_add(buf, &value, 1);
}

// TOO_LARGE when any step did not fit, else OK.
must_use enum kr_err buf_result(const struct buf *buf);

static inline struct bytes buf_bytes(const struct buf *buf) // lends until the next write
{
    return (struct bytes){buf->data, buf->size};
}
