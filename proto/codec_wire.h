// SPDX-License-Identifier: Apache-2.0
// The protobuf wire format, one field at a time, without allocating: for hot paths, and to look
// over bytes before protobuf-c builds a message of them.
//
// Stricter than protobuf-c: no groups, no field number 0, no numbers that overflow.
// https://protobuf.dev/programming-guides/encoding/
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/bytes.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are read by the word");

enum codec_wire_type {
    KR_WIRE_VARINT = 0,
    KR_WIRE_FIXED64 = 1,
    KR_WIRE_BYTES = 2,
    KR_WIRE_FIXED32 = 5
};

// A reader over a message's bytes. is_bad is sticky: the bytes are no message.
struct codec_wire {
    const uint8_t *at, *end;
    bool is_bad;
};

struct codec_field {
    uint32_t number, type; // type: enum codec_wire_type
    uint64_t value;        // set for a VARINT alone
    struct bytes bytes;    // set for BYTES alone: a text, bytes or a message. Lends
};

static inline struct codec_wire codec_wire_of(struct bytes in)
{
    return (struct codec_wire){.at = in.data, .end = in.size > 0 ? in.data + in.size : in.data};
}

// At most ten bytes, of which the last holds one bit. Near the end of the bytes, and for the
// longest numbers.
static inline uint64_t codec_wire_varint_slowly(struct codec_wire *wire)
{
    uint64_t value = 0;
    for (unsigned shift = 0; wire->at < wire->end && shift < 64; shift += 7) {
        uint8_t byte = *wire->at++;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    wire->is_bad = true;
    return 0;
}

// Up to eight bytes at once: finds the one that ends the number, drops what is behind it, and moves
// the groups of seven bits together. Times have six bytes, so that a loop mispredicts too often.
static inline uint64_t codec_wire_varint(struct codec_wire *wire)
{
    uint64_t word, ends;
    if (wire->end - wire->at < 8)
        return codec_wire_varint_slowly(wire);
    memcpy(&word, wire->at, sizeof(word));
    ends = ~word & 0x8080808080808080;
    if (ends == 0)
        return codec_wire_varint_slowly(wire);
    wire->at += __builtin_ctzll(ends) / 8 + 1;
    word &= (ends ^ (ends - 1)) & 0x7f7f7f7f7f7f7f7f;
    word = (word & 0x7f007f007f007f00) >> 1 | (word & 0x007f007f007f007f);
    word = (word & 0x3fff00003fff0000) >> 2 | (word & 0x00003fff00003fff);
    return (word & 0x0fffffff00000000) >> 4 | (word & 0x0fffffff);
}

// The same where one byte is what to expect.
static inline uint64_t codec_wire_short_varint(struct codec_wire *wire)
{
    if (wire->at < wire->end && *wire->at < 0x80)
        return *wire->at++;
    return codec_wire_varint(wire);
}

// A field's number and type; 0, which is no tag, and is_bad when there is none. Mostly one byte or
// two; protobuf-c reads at most five.
static inline uint32_t codec_wire_tag(struct codec_wire *wire)
{
    const uint8_t *start = wire->at;
    ptrdiff_t left = wire->end - start;
    if (left >= 1 && start[0] >= 8 && start[0] < 0x80) {
        wire->at += 1;
        return start[0];
    }
    if (left >= 2 && start[0] >= 0x80 && start[1] > 0 && start[1] < 0x80) {
        wire->at += 2;
        return (start[0] & 0x7fu) | (uint32_t)start[1] << 7;
    }
    uint64_t tag = codec_wire_varint(wire);
    if (tag <= UINT32_MAX && tag >= 8 && wire->at - start <= 5)
        return (uint32_t)tag;
    wire->is_bad = true;
    return 0;
}

static inline void codec_wire_skip(struct codec_wire *wire, uint64_t size_bytes)
{
    if (size_bytes > (uint64_t)(wire->end - wire->at))
        wire->is_bad = true;
    else
        wire->at += size_bytes;
}

// The next field; false at the end, or when the bytes are bad.
static inline bool codec_wire_next(struct codec_wire *wire, struct codec_field *field)
{
    if (wire->at == wire->end || wire->is_bad)
        return false;
    uint32_t tag = codec_wire_tag(wire);
    field->number = tag >> 3;
    field->type = tag & 7;
    if (field->type == KR_WIRE_BYTES) {
        uint64_t size = codec_wire_short_varint(wire);
        field->bytes = bytes_of(wire->at, size);
        codec_wire_skip(wire, size);
    } else if (field->type == KR_WIRE_VARINT) {
        field->value = codec_wire_short_varint(wire);
    } else if (field->type == KR_WIRE_FIXED64) {
        codec_wire_skip(wire, 8);
    } else if (field->type == KR_WIRE_FIXED32) {
        codec_wire_skip(wire, 4);
    } else {
        wire->is_bad = true;
    }
    return !wire->is_bad;
}

// --- writing: canonical, so that a number 0 and an empty text are left out -----------------------
static inline size_t codec_wire_put_varint(uint8_t out[10], uint64_t value)
{
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        out[size++] = (uint8_t)(value | 0x80);
    out[size++] = (uint8_t)value;
    return size;
}

static inline void codec_wire_add_number(struct buf *out, unsigned number, uint64_t value)
{
    uint8_t head[20];
    if (value == 0)
        return;
    size_t size = codec_wire_put_varint(head, (uint64_t)number << 3 | KR_WIRE_VARINT);
    size += codec_wire_put_varint(head + size, value);
    buf_add(out, head, size);
}

// The head of a field that size_bytes of content follow.
static inline void codec_wire_add_head(struct buf *out, unsigned number, size_t size_bytes)
{
    uint8_t head[20];
    size_t size = codec_wire_put_varint(head, (uint64_t)number << 3 | KR_WIRE_BYTES);
    size += codec_wire_put_varint(head + size, size_bytes);
    buf_add(out, head, size);
}

static inline void codec_wire_add_bytes(struct buf *out, unsigned number, struct bytes content)
{
    if (content.size == 0)
        return;
    codec_wire_add_head(out, number, content.size);
    buf_add_bytes(out, content);
}
