// SPDX-License-Identifier: Apache-2.0
// Batches of log entries, field by field: a batch is mostly entries, which nobody needs to copy.
#include "proto/codec_batch.h"

#include "proto/codec_wire.h"

enum batch_field {
    KR_BATCH_FIRST_INDEX = 1,
    KR_BATCH_EPOCH = 2,
    KR_BATCH_NONCE = 3,
    KR_BATCH_PREVIOUS_CHAIN = 4,
    KR_BATCH_CHAIN = 5,
    KR_BATCH_PART_COUNT = 6,
    KR_BATCH_ENTRIES = 7
};

static void put_chain(uint8_t out[16], struct hash128 chain)
{
    for (unsigned i = 0; i < 8; i++) {
        out[i] = (uint8_t)(chain.low >> (8 * i));
        out[8 + i] = (uint8_t)(chain.high >> (8 * i));
    }
}

static struct hash128 get_chain(const uint8_t in[16])
{
    struct hash128 chain = {0};
    for (unsigned i = 0; i < 8; i++) {
        chain.low |= (uint64_t)in[i] << (8 * i);
        chain.high |= (uint64_t)in[8 + i] << (8 * i);
    }
    return chain;
}

void codec_add_batch(struct buf *out, const struct codec_batch *batch)
{
    uint8_t previous[16], chain[16];
    put_chain(previous, batch->previous_chain);
    put_chain(chain, batch->chain);
    codec_wire_add_number(out, KR_BATCH_FIRST_INDEX, batch->first_index);
    codec_wire_add_number(out, KR_BATCH_EPOCH, batch->epoch);
    codec_wire_add_bytes(out, KR_BATCH_NONCE, bytes_of(batch->nonce, sizeof(batch->nonce)));
    codec_wire_add_bytes(out, KR_BATCH_PREVIOUS_CHAIN, bytes_of(previous, sizeof(previous)));
    codec_wire_add_bytes(out, KR_BATCH_CHAIN, bytes_of(chain, sizeof(chain)));
    codec_wire_add_number(out, KR_BATCH_PART_COUNT, batch->part_count);
    for (size_t i = 0; i < batch->count; i++)
        codec_wire_add_bytes(out, KR_BATCH_ENTRIES, batch->entries[i]);
}

// The 16 bytes of a nonce or a chain; at most once.
static bool take_16(const struct codec_field *field, unsigned *seen, uint8_t out[16])
{
    unsigned bit = 1u << field->number;
    if (field->type != KR_WIRE_BYTES || field->bytes.size != 16 || (*seen & bit) != 0)
        return false;
    *seen |= bit;
    memcpy(out, field->bytes.data, 16);
    return true;
}

static bool take_number(const struct codec_field *field, unsigned *seen, uint64_t max,
                        uint64_t *out)
{
    unsigned bit = 1u << field->number;
    if (field->type != KR_WIRE_VARINT || field->value > max || (*seen & bit) != 0)
        return false;
    *seen |= bit;
    *out = field->value;
    return true;
}

static bool take_entry(const struct codec_field *field, size_t *count)
{
    (*count)++;
    return field->type == KR_WIRE_BYTES && field->bytes.size > 0 &&
           *count <= KR_CODEC_BATCH_ENTRIES_MAX;
}

struct reading {
    unsigned seen;
    uint64_t part_count;
    uint8_t previous_chain[16], chain[16];
};

static bool take(const struct codec_field *field, struct reading *reading, struct codec_batch *out)
{
    switch (field->number) {
    case KR_BATCH_FIRST_INDEX:
        return take_number(field, &reading->seen, UINT64_MAX - KR_CODEC_BATCH_ENTRIES_MAX,
                           &out->first_index);
    case KR_BATCH_EPOCH:
        return take_number(field, &reading->seen, UINT64_MAX, &out->epoch);
    case KR_BATCH_NONCE:
        return take_16(field, &reading->seen, out->nonce);
    case KR_BATCH_PREVIOUS_CHAIN:
        return take_16(field, &reading->seen, reading->previous_chain);
    case KR_BATCH_CHAIN:
        return take_16(field, &reading->seen, reading->chain);
    case KR_BATCH_PART_COUNT:
        return take_number(field, &reading->seen, KR_CODEC_BATCH_PARTS_MAX, &reading->part_count);
    case KR_BATCH_ENTRIES:
        return take_entry(field, &out->count);
    }
    return true;
}

static void gather(struct bytes in, struct bytes *entries)
{
    struct codec_wire wire = codec_wire_of(in);
    struct codec_field field;
    while (codec_wire_next(&wire, &field))
        if (field.number == KR_BATCH_ENTRIES)
            *entries++ = field.bytes;
}

enum kr_err codec_batch(struct bytes in, struct arena *arena, struct codec_batch *out)
{
    struct codec_wire wire = codec_wire_of(in);
    struct reading reading = {0};
    struct codec_field field;
    const unsigned needed =
        1u << KR_BATCH_NONCE | 1u << KR_BATCH_PREVIOUS_CHAIN | 1u << KR_BATCH_CHAIN;
    *out = (struct codec_batch){0};
    while (codec_wire_next(&wire, &field))
        if (!take(&field, &reading, out))
            return KR_ERR_CORRUPT;
    out->part_count = (uint32_t)reading.part_count;
    bool is_whole = (reading.seen & needed) == needed && out->first_index > 0 && out->epoch > 0;
    if (wire.is_bad || !is_whole || (out->count > 0) == (out->part_count > 0))
        return KR_ERR_CORRUPT;
    out->previous_chain = get_chain(reading.previous_chain);
    out->chain = get_chain(reading.chain);
    if (out->count > 0) {
        struct bytes *entries = arena_alloc(arena, out->count * sizeof(*entries));
        gather(in, entries);
        out->entries = entries;
    }
    return KR_ERR_OK;
}
