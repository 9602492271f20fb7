// SPDX-License-Identifier: Apache-2.0
// Reading a frame by its table: count, give room, fill.
#include "proto/codec_peer.h"

#include "proto/codec_peer_internal.h"
#include "proto/codec_wire.h"

_Static_assert(sizeof(enum peer_role) == sizeof(uint32_t), "an enum is read as a number");
_Static_assert(offsetof(struct texts, count) == offsetof(struct codec_peer_list, count) &&
                   offsetof(struct peer_digests, count) == offsetof(struct codec_peer_list, count),
               "every list has its count behind its items");

struct reader {
    struct arena *arena;
    struct fault *fault;
};

static enum kr_err read_record(const struct reader *reader, const struct codec_peer_shape *shape,
                               struct bytes in, void *record);

static const struct codec_peer_field *find_field(const struct codec_peer_shape *shape,
                                                 uint32_t number)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        if (shape->fields[i].number == number)
            return &shape->fields[i];
    }
    return NULL;
}

static bool is_number(const struct codec_peer_field *field)
{
    return field->kind == KR_PEER_FIELD_NUMBER || field->kind == KR_PEER_FIELD_SMALL ||
           field->kind == KR_PEER_FIELD_FLAG;
}

// How often each field occurs, so that what is allocated is bounded before it is.
static enum kr_err count_fields(const struct reader *reader, const struct codec_peer_shape *shape,
                                struct bytes in, size_t counts[KR_PEER_SHAPE_FIELDS])
{
    struct codec_wire wire = codec_wire_of(in);
    struct codec_field found;
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && codec_wire_next(&wire, &found)) {
        const struct codec_peer_field *field = find_field(shape, found.number);
        if (field == NULL)
            continue;
        const struct codec_peer_place place = {shape, field, reader->fault};
        if (found.type != (is_number(field) ? KR_WIRE_VARINT : KR_WIRE_BYTES))
            err = codec_peer_refuse(&place, KR_ERR_INVALID, "has another type");
        else
            err = codec_peer_check_count(&place, ++counts[field - shape->fields]);
    }
    if (err == KR_ERR_OK && wire.is_bad)
        err = fault_set(reader->fault, KR_ERR_INVALID, "peer frame: %s is no message", shape->name);
    return err;
}

// Empty texts and lists with room for what was counted.
static void prepare_fields(const struct reader *reader, const struct codec_peer_shape *shape,
                           const size_t counts[KR_PEER_SHAPE_FIELDS], uint8_t *record)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct codec_peer_field *field = &shape->fields[i];
        struct codec_peer_list list = {0};
        static const char *const nothing = "";
        size_t size =
            field->kind == KR_PEER_FIELD_RECORDS ? field->shape->size_bytes : sizeof(const char *);
        if (field->kind == KR_PEER_FIELD_TEXT)
            memcpy(record + field->offset, &nothing, sizeof(nothing));
        if (field->kind != KR_PEER_FIELD_RECORDS && field->kind != KR_PEER_FIELD_TEXTS)
            continue;
        if (counts[i] > 0)
            list.items = arena_zalloc(reader->arena, counts[i] * size);
        memcpy(record + field->offset, &list, sizeof(list));
    }
}

static enum kr_err read_number(const struct codec_peer_place *place, uint64_t value, void *at)
{
    enum kr_err err = codec_peer_check_number(place, value);
    if (err != KR_ERR_OK)
        return err;
    if (place->field->kind == KR_PEER_FIELD_NUMBER)
        *(uint64_t *)at = value;
    else if (place->field->kind == KR_PEER_FIELD_SMALL)
        *(uint32_t *)at = (uint32_t)value;
    else
        *(bool *)at = value != 0;
    return KR_ERR_OK;
}

static enum kr_err read_text(const struct reader *reader, const struct codec_peer_place *place,
                             struct bytes value, void *at)
{
    enum kr_err err = codec_peer_check_text(place, value);
    if (err == KR_ERR_OK)
        *(const char **)at = arena_text_of(reader->arena, value);
    return err;
}

static enum kr_err read_hash(const struct codec_peer_place *place, struct bytes value, void *at)
{
    if (value.size != sizeof(struct hash128))
        return codec_peer_refuse(place, KR_ERR_INVALID, "is not 16 bytes long");
    memcpy(at, value.data, value.size);
    return KR_ERR_OK;
}

// The next place of a list that was given room.
static void *next_item(const struct codec_peer_field *field, void *at)
{
    struct codec_peer_list list;
    size_t size =
        field->kind == KR_PEER_FIELD_RECORDS ? field->shape->size_bytes : sizeof(const char *);
    memcpy(&list, at, sizeof(list));
    uint8_t *item = (uint8_t *)(uintptr_t)list.items + list.count * size;
    list.count++;
    memcpy(at, &list, sizeof(list));
    return item;
}

static enum kr_err read_field(const struct reader *reader, const struct codec_peer_place *place,
                              const struct codec_field *found, void *at)
{
    const struct codec_peer_field *field = place->field;
    switch (field->kind) {
    case KR_PEER_FIELD_NUMBER:
    case KR_PEER_FIELD_SMALL:
    case KR_PEER_FIELD_FLAG:
        return read_number(place, found->value, at);
    case KR_PEER_FIELD_TEXT:
        return read_text(reader, place, found->bytes, at);
    case KR_PEER_FIELD_TEXTS:
        return read_text(reader, place, found->bytes, next_item(field, at));
    case KR_PEER_FIELD_BYTES:
        *(struct bytes *)at = found->bytes;
        return codec_peer_check_bytes(place, found->bytes);
    case KR_PEER_FIELD_HASH:
        return read_hash(place, found->bytes, at);
    case KR_PEER_FIELD_RECORD:
        return read_record(reader, field->shape, found->bytes, at);
    case KR_PEER_FIELD_RECORDS:
        return read_record(reader, field->shape, found->bytes, next_item(field, at));
    }
    return KR_ERR_INTERNAL;
}

static enum kr_err find_missing(const struct reader *reader, const struct codec_peer_shape *shape,
                                const size_t counts[KR_PEER_SHAPE_FIELDS], const void *record)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct codec_peer_field *field = &shape->fields[i];
        const struct codec_peer_place place = {shape, field, reader->fault};
        if (field->is_required && (counts[i] == 0 || codec_peer_is_empty(record, field)))
            return codec_peer_refuse(&place, KR_ERR_INVALID, "is missing");
    }
    return KR_ERR_OK;
}

static enum kr_err read_record(const struct reader *reader, const struct codec_peer_shape *shape,
                               struct bytes in, void *record)
{
    size_t counts[KR_PEER_SHAPE_FIELDS] = {0};
    struct codec_wire wire = codec_wire_of(in);
    struct codec_field found;
    enum kr_err err = count_fields(reader, shape, in, counts);
    if (err != KR_ERR_OK)
        return err;
    memset(record, 0, shape->size_bytes);
    prepare_fields(reader, shape, counts, record);
    while (err == KR_ERR_OK && codec_wire_next(&wire, &found)) {
        const struct codec_peer_field *field = find_field(shape, found.number);
        if (field != NULL)
            err = read_field(reader, &(struct codec_peer_place){shape, field, reader->fault},
                             &found, (uint8_t *)record + field->offset);
    }
    return err == KR_ERR_OK ? find_missing(reader, shape, counts, record) : err;
}

enum peer_read codec_peer_read(struct bytes in, struct arena *arena, struct peer_frame *out,
                               size_t *consumed, struct fault *fault)
{
    uint32_t length;
    if (in.size < sizeof(length))
        return KR_PEER_READ_MORE;
    memcpy(&length, in.data, sizeof(length));
    if (length == 0 || length > KR_PEER_FRAME_MAX) {
        fault_set(fault, KR_ERR_INVALID, "peer frame: a length of %u, not 1 to %u", length,
                  KR_PEER_FRAME_MAX);
        return KR_PEER_READ_BROKEN;
    }
    if (in.size < KR_PEER_HEAD_SIZE)
        return KR_PEER_READ_MORE;
    const struct codec_peer_shape *shape = codec_peer_shape(in.data[4]);
    if (shape == NULL) {
        fault_set(fault, KR_ERR_VERSION, "peer frame: unknown type %u", in.data[4]);
        return KR_PEER_READ_BROKEN;
    }
    if (in.size - sizeof(length) < length)
        return KR_PEER_READ_MORE;
    const struct reader reader = {arena, fault};
    out->type = (enum peer_frame_type)in.data[4];
    *consumed = sizeof(length) + length;
    struct bytes body = bytes_of(in.data + KR_PEER_HEAD_SIZE, length - 1);
    return read_record(&reader, shape, body, &out->as) == KR_ERR_OK ? KR_PEER_READ_FRAME
                                                                    : KR_PEER_READ_BROKEN;
}
