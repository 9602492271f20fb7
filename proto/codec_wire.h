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
    uint64_t value;        // of a VARINT
    struct bytes bytes;    // of BYTES: a text, bytes or a message. Lends
};

static inline struct codec_wire codec_wire_of(struct bytes in)
{
    return (struct codec_wire){.at = in.data, .end = in.size > 0 ? in.data + in.size : in.data};
}

// At most ten bytes, of which the last holds one bit.
static inline uint64_t codec_wire_varint(struct codec_wire *wire)
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
    const uint8_t *start = wire->at;
    uint64_t tag = codec_wire_varint(wire);
    // protobuf-c reads at most five bytes of a tag.
    if (tag > UINT32_MAX || tag >> 3 == 0 || wire->at - start > 5)
        wire->is_bad = true;
    *field = (struct codec_field){.number = (uint32_t)tag >> 3, .type = tag & 7};
    if (field->type == KR_WIRE_VARINT) {
        field->value = codec_wire_varint(wire);
    } else if (field->type == KR_WIRE_BYTES) {
        uint64_t size = codec_wire_varint(wire);
        field->bytes = bytes_of(wire->at, size);
        codec_wire_skip(wire, size);
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
