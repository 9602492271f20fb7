// SPDX-License-Identifier: Apache-2.0
// The byte buffer with a sticky error.
#include "core/base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/base/mem.h"

enum { KR_BUF_FIRST = 256 };

void buf_init(struct buf *buf, size_t limit_bytes)
{
    *buf = (struct buf){.limit = limit_bytes};
}

void buf_init_fixed(struct buf *buf, void *memory, size_t size_bytes)
{
    *buf =
        (struct buf){.data = memory, .capacity = size_bytes, .limit = size_bytes, .is_fixed = true};
}

static void zero_and_free(struct buf *buf)
{
    mem_zero(buf->data, buf->size > buf->dirty ? buf->size : buf->dirty);
    mem_free(buf->data);
    buf->dirty = 0;
}

void buf_fini(struct buf *buf)
{
    if (!buf->is_fixed && buf->data != NULL)
        zero_and_free(buf);
    *buf = (struct buf){0};
}

void buf_clear(struct buf *buf)
{
    if (buf->size > buf->dirty)
        buf->dirty = buf->size;
    buf->size = 0;
    buf->has_failed = false;
}

void buf_empty(struct buf *buf, size_t kept_bytes)
{
    buf_clear(buf);
    if (buf->is_fixed || buf->capacity <= kept_bytes)
        return;
    zero_and_free(buf);
    buf->data = NULL;
    buf->capacity = 0;
}

// A plain realloc would leave the old bytes, possibly a key, behind in the heap.
static void move_to(struct buf *buf, size_t capacity)
{
    uint8_t *data = mem_alloc(capacity);
    if (buf->data != NULL) {
        memcpy(data, buf->data, buf->size);
        zero_and_free(buf);
    }
    buf->data = data;
    buf->capacity = capacity;
}

static bool make_room(struct buf *buf, size_t size_bytes)
{
    if (buf->has_failed)
        return false;
    if (size_bytes <= buf->capacity - buf->size)
        return true;
    if (size_bytes > buf->limit - buf->size) {
        buf->has_failed = true;
        return false;
    }
    size_t capacity = buf->capacity < KR_BUF_FIRST ? KR_BUF_FIRST : buf->capacity * 2;
    if (capacity < buf->size + size_bytes)
        capacity = buf->size + size_bytes;
    move_to(buf, capacity < buf->limit ? capacity : buf->limit);
    return true;
}

uint8_t *buf_extend(struct buf *buf, size_t size_bytes)
{
    if (!make_room(buf, size_bytes))
        return NULL;
    uint8_t *place = buf->data + buf->size;
    buf->size += size_bytes;
    return place;
}

void buf_add_u32(struct buf *buf, uint32_t value)
{
    uint32_t wire = __builtin_bswap32(value);
    buf_add(buf, &wire, sizeof(wire));
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
    uint64_t wire = __builtin_bswap64(value);
    buf_add(buf, &wire, sizeof(wire));
}

void buf_add_decimal(struct buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_add(buf, digits + at, sizeof(digits) - at);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    assert(format != NULL);
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    assert(size >= 0);
    // vsnprintf ends with a NUL, for which there must be room but which is not part of the bytes.
    uint8_t *place = buf_extend(buf, (size_t)size + 1);
    if (place != NULL) {
        vsnprintf((char *)place, (size_t)size + 1, format, again);
        buf->size--;
    }
    va_end(again);
    va_end(args);
}

enum kr_err buf_result(const struct buf *buf)
{
    return buf->has_failed ? KR_ERR_TOO_LARGE : KR_ERR_OK;
}
