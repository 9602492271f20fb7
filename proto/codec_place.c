// SPDX-License-Identifier: Apache-2.0
// An entry's place in the log, written apart from its body: fields 1..3 of LogEntry by hand.
//
// A leader encodes a command when it is submitted and learns its index only when the batch is made.
// Fields of a protobuf message may be concatenated, so the place goes in front of the body without
// moving it. Fields with value 0 are left out, as proto3 does.
#include "proto/codec.h"

enum { KR_PLACE_INDEX = 1, KR_PLACE_EPOCH, KR_PLACE_AT };

static void add_varint(struct buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_add_u8(out, (uint8_t)(value | 0x80));
    buf_add_u8(out, (uint8_t)value);
}

static void add_field(struct buf *out, unsigned number, uint64_t value)
{
    if (value == 0)
        return;
    add_varint(out, number << 3);
    add_varint(out, value);
}

void codec_add_entry_place(struct buf *out, uint64_t index, uint64_t epoch, int64_t at_unix_us)
{
    add_field(out, KR_PLACE_INDEX, index);
    add_field(out, KR_PLACE_EPOCH, epoch);
    add_field(out, KR_PLACE_AT, (uint64_t)at_unix_us);
}

// The size of the varint field with this number at the start, or 0 when there is none.
static size_t leading_field_size(struct bytes in, unsigned number)
{
    if (in.size < 2 || in.data[0] != number << 3)
        return 0;
    for (size_t i = 1; i < in.size; i++)
        if (in.data[i] < 0x80)
            return i + 1;
    return 0;
}

struct bytes codec_entry_body(struct bytes entry)
{
    for (unsigned number = KR_PLACE_INDEX; number <= KR_PLACE_AT; number++) {
        size_t size = leading_field_size(entry, number);
        entry = bytes_of(entry.data + size, entry.size - size);
    }
    return entry;
}
