// SPDX-License-Identifier: Apache-2.0
// Writing a frame by its table: check, measure, write.
#include "proto/codec_peer.h"

#include <assert.h>

#include "proto/codec_peer_internal.h"
#include "proto/codec_wire.h"

static const void *item_of(struct codec_peer_list list, const struct codec_peer_field *field,
                           size_t i)
{
    return (const uint8_t *)list.items + i * field->shape->size_bytes;
}

static struct bytes text_of(struct codec_peer_list list, size_t i)
{
    return codec_peer_text(((const char *const *)list.items)[i]);
}

static enum kr_err check_record(const struct codec_peer_shape *shape, const void *record,
                                struct fault *fault);

static enum kr_err check_list(const struct codec_peer_place *place, struct codec_peer_list list)
{
    enum kr_err err = codec_peer_check_count(place, list.count);
    for (size_t i = 0; err == KR_ERR_OK && i < list.count; i++) {
        if (place->field->kind == KR_PEER_FIELD_TEXTS)
            err = codec_peer_check_text(place, text_of(list, i));
        else
            err = check_record(place->field->shape, item_of(list, place->field, i), place->fault);
    }
    return err;
}

static enum kr_err check_field(const struct codec_peer_place *place, const void *record)
{
    const struct codec_peer_field *field = place->field;
    if (field->is_required && codec_peer_is_empty(record, field))
        return codec_peer_refuse(place, KR_ERR_INVALID, "is missing");
    switch (field->kind) {
    case KR_PEER_FIELD_NUMBER:
    case KR_PEER_FIELD_SMALL:
    case KR_PEER_FIELD_FLAG:
        return codec_peer_check_number(place, codec_peer_number_in(record, field));
    case KR_PEER_FIELD_TEXT:
        return codec_peer_check_text(place, codec_peer_bytes_in(record, field));
    case KR_PEER_FIELD_BYTES:
    case KR_PEER_FIELD_HASH:
        return codec_peer_check_bytes(place, codec_peer_bytes_in(record, field));
    case KR_PEER_FIELD_TEXTS:
    case KR_PEER_FIELD_RECORDS:
        return check_list(place, codec_peer_list_in(record, field));
    case KR_PEER_FIELD_RECORD:
        return check_record(field->shape, codec_peer_at(record, field), place->fault);
    }
    return KR_ERR_INTERNAL;
}

static enum kr_err check_record(const struct codec_peer_shape *shape, const void *record,
                                struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 0; err == KR_ERR_OK && i < shape->field_count; i++)
        err = check_field(&(struct codec_peer_place){shape, &shape->fields[i], fault}, record);
    return err;
}

static size_t varint_size(uint64_t value)
{
    uint8_t unused[10];
    return codec_wire_put_varint(unused, value);
}

// With the head; every field number is below 16, so that a tag is one byte.
static size_t sized(size_t content)
{
    return 1 + varint_size(content) + content;
}

static size_t record_size(const struct codec_peer_shape *shape, const void *record);

static size_t field_size(const struct codec_peer_field *field, const void *record)
{
    struct codec_peer_list list;
    size_t size = 0;
    if (codec_peer_is_empty(record, field))
        return 0;
    switch (field->kind) {
    case KR_PEER_FIELD_NUMBER:
    case KR_PEER_FIELD_SMALL:
    case KR_PEER_FIELD_FLAG:
        return 1 + varint_size(codec_peer_number_in(record, field));
    case KR_PEER_FIELD_TEXT:
    case KR_PEER_FIELD_BYTES:
    case KR_PEER_FIELD_HASH:
        return sized(codec_peer_bytes_in(record, field).size);
    case KR_PEER_FIELD_RECORD:
        return sized(record_size(field->shape, codec_peer_at(record, field)));
    case KR_PEER_FIELD_TEXTS:
        list = codec_peer_list_in(record, field);
        for (size_t i = 0; i < list.count; i++)
            size += sized(text_of(list, i).size);
        return size;
    case KR_PEER_FIELD_RECORDS:
        list = codec_peer_list_in(record, field);
        for (size_t i = 0; i < list.count; i++)
            size += sized(record_size(field->shape, item_of(list, field, i)));
        return size;
    }
    return 0;
}

static size_t record_size(const struct codec_peer_shape *shape, const void *record)
{
    size_t size = 0;
    for (size_t i = 0; i < shape->field_count; i++)
        size += field_size(&shape->fields[i], record);
    return size;
}

static void add_record(struct buf *out, const struct codec_peer_shape *shape, const void *record);

static void add_message(struct buf *out, const struct codec_peer_field *field, const void *record)
{
    codec_wire_add_head(out, field->number, record_size(field->shape, record));
    add_record(out, field->shape, record);
}

static void add_field(struct buf *out, const struct codec_peer_field *field, const void *record)
{
    struct codec_peer_list list;
    if (codec_peer_is_empty(record, field))
        return;
    switch (field->kind) {
    case KR_PEER_FIELD_NUMBER:
    case KR_PEER_FIELD_SMALL:
    case KR_PEER_FIELD_FLAG:
        codec_wire_add_number(out, field->number, codec_peer_number_in(record, field));
        return;
    case KR_PEER_FIELD_TEXT:
    case KR_PEER_FIELD_BYTES:
    case KR_PEER_FIELD_HASH:
        codec_wire_add_bytes(out, field->number, codec_peer_bytes_in(record, field));
        return;
    case KR_PEER_FIELD_RECORD:
        add_message(out, field, codec_peer_at(record, field));
        return;
    case KR_PEER_FIELD_TEXTS:
        list = codec_peer_list_in(record, field);
        for (size_t i = 0; i < list.count; i++) {
            codec_wire_add_head(out, field->number, text_of(list, i).size);
            buf_add_bytes(out, text_of(list, i));
        }
        return;
    case KR_PEER_FIELD_RECORDS:
        list = codec_peer_list_in(record, field);
        for (size_t i = 0; i < list.count; i++)
            add_message(out, field, item_of(list, field, i));
        return;
    }
}

static void add_record(struct buf *out, const struct codec_peer_shape *shape, const void *record)
{
    for (size_t i = 0; i < shape->field_count; i++)
        add_field(out, &shape->fields[i], record);
}

enum kr_err codec_peer_add(struct buf *out, const struct peer_frame *frame, struct fault *fault)
{
    const struct codec_peer_shape *shape = codec_peer_shape(frame->type);
    assert(shape != NULL && !out->has_failed);
    enum kr_err err = check_record(shape, &frame->as, fault);
    if (err != KR_ERR_OK)
        return err;
    size_t size = 1 + record_size(shape, &frame->as);
    if (size > KR_PEER_FRAME_MAX)
        return fault_set(fault, KR_ERR_TOO_LARGE, "peer frame: %s is over %u bytes", shape->name,
                         KR_PEER_FRAME_MAX);
    if (size + KR_PEER_HEAD_SIZE - 1 > out->limit - out->size)
        return fault_set(fault, KR_ERR_TOO_LARGE, "peer frame: no room for %s", shape->name);
    uint32_t length = (uint32_t)size;
    buf_add(out, &length, sizeof(length));
    buf_add_u8(out, (uint8_t)frame->type);
    add_record(out, shape, &frame->as);
    return buf_result(out);
}

const char *codec_peer_name(enum peer_frame_type type)
{
    const struct codec_peer_shape *shape = codec_peer_shape(type);
    return shape == NULL ? NULL : shape->name;
}
