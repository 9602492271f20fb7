// SPDX-License-Identifier: Apache-2.0
// protobuf-c over an arena and a buf, with a check of the bytes before it sees them.
#include "proto/codec_internal.h"

static void *alloc_in_arena(void *ctx, size_t size_bytes)
{
    return arena_alloc(ctx, size_bytes);
}

static void leave_to_arena(void *ctx, void *memory)
{
    (void)ctx;
    (void)memory;
}

// The bit of this field in the set of fields seen. All alternatives of an operation share one.
static uint64_t field_bit(const ProtobufCMessageDescriptor *type,
                          const ProtobufCFieldDescriptor *field)
{
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return (uint64_t)1 << 63;
    size_t position = (size_t)(field - type->fields);
    assert(position < 63);
    return (uint64_t)1 << position;
}

// protobuf-c does not look at the wire type of a bool. No message of ours has numbers of fixed size
// or packed ones.
static uint32_t wire_type_of(const ProtobufCFieldDescriptor *field)
{
    bool is_number = field->type != PROTOBUF_C_TYPE_STRING &&
                     field->type != PROTOBUF_C_TYPE_BYTES && field->type != PROTOBUF_C_TYPE_MESSAGE;
    return is_number ? KR_WIRE_VARINT : KR_WIRE_BYTES;
}

// Nesting ends where the descriptors do: no message of ours contains itself.
static bool looks_like(const ProtobufCMessageDescriptor *type, struct bytes in)
{
    struct codec_wire wire = codec_wire_of(in);
    struct codec_field found;
    uint64_t seen = 0;
    while (codec_wire_next(&wire, &found)) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(type, found.number);
        if (field == NULL)
            continue;
        uint64_t bit = field_bit(type, field);
        if ((seen & bit) != 0 && field->label != PROTOBUF_C_LABEL_REPEATED)
            return false;
        seen |= bit;
        if (found.type != wire_type_of(field))
            return false;
        if (field->type == PROTOBUF_C_TYPE_STRING && found.bytes.size > 0 &&
            memchr(found.bytes.data, '\0', found.bytes.size) != NULL)
            return false;
        if (field->type == PROTOBUF_C_TYPE_MESSAGE && !looks_like(field->descriptor, found.bytes))
            return false;
    }
    return !wire.is_bad;
}

ProtobufCMessage *codec_unpack(const ProtobufCMessageDescriptor *type, struct bytes in,
                               struct arena *arena)
{
    ProtobufCAllocator allocator = {alloc_in_arena, leave_to_arena, arena};
    static const uint8_t nothing[1];
    if (!looks_like(type, in))
        return NULL;
    return protobuf_c_message_unpack(type, &allocator, in.size, in.size > 0 ? in.data : nothing);
}

static void pack_sized(struct buf *out, const ProtobufCMessage *message, size_t size_bytes)
{
    uint8_t *place = size_bytes > 0 ? buf_extend(out, size_bytes) : NULL;
    if (place != NULL)
        protobuf_c_message_pack(message, place);
}

void codec_pack(struct buf *out, const ProtobufCMessage *message)
{
    pack_sized(out, message, protobuf_c_message_get_packed_size(message));
}

void codec_pack_field(struct buf *out, unsigned number, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    codec_wire_add_head(out, number, size);
    pack_sized(out, message, size);
}

Keyreeve__V1__Tag **codec_tags_fill(struct codec_tags *list, struct tags tags)
{
    Keyreeve__V1__Tag *items = list->items;
    Keyreeve__V1__Tag **pointers = list->pointers;
    if (tags.count > KR_CODEC_TAGS) {
        list->heap = mem_alloc(tags.count * (sizeof(*items) + sizeof(*pointers)));
        items = list->heap;
        pointers = (Keyreeve__V1__Tag **)(items + tags.count);
    }
    for (size_t i = 0; i < tags.count; i++) {
        items[i] = (Keyreeve__V1__Tag)KEYREEVE__V1__TAG__INIT;
        items[i].name = codec_lend_required(tags.items[i].name);
        items[i].value = codec_lend_required(tags.items[i].value);
        pointers[i] = &items[i];
    }
    return pointers;
}

void codec_tags_fini(struct codec_tags *list)
{
    mem_free(list->heap);
    list->heap = NULL;
}

enum kr_err codec_tags_read(Keyreeve__V1__Tag *const *items, size_t count, struct arena *arena,
                            struct tags *out)
{
    *out = (struct tags){0};
    if (count == 0)
        return KR_ERR_OK;
    struct tag *tags = arena_alloc(arena, count * sizeof(*tags));
    for (size_t i = 0; i < count; i++) {
        if (items[i]->name == NULL || items[i]->value == NULL)
            return KR_ERR_CORRUPT;
        tags[i] = (struct tag){.name = items[i]->name, .value = items[i]->value};
    }
    *out = (struct tags){.items = tags, .count = count};
    return KR_ERR_OK;
}

Keyreeve__V1__RevokeMark **codec_marks_fill(struct codec_tags *list,
                                            const struct revoke_marks *marks)
{
    assert(marks->count <= KR_REVOKE_MARKS_MAX);
    for (size_t i = 0; i < marks->count; i++) {
        Keyreeve__V1__RevokeMark *item = &list->earlier[i];
        keyreeve__v1__revoke_mark__init(item);
        KR_CODEC_SET(item, before, marks->items[i].before);
        KR_CODEC_SET(item, at_ms, marks->items[i].at_ms);
        KR_CODEC_SET(item, reason, (Keyreeve__V1__RevokeReason)marks->items[i].reason);
        list->earlier_pointers[i] = item;
    }
    return list->earlier_pointers;
}

// Lowest first, which core/keys/revoke relies on.
enum kr_err codec_marks_read(Keyreeve__V1__RevokeMark *const *items, size_t count,
                             struct revoke_marks *out)
{
    uint64_t before = 0;
    *out = (struct revoke_marks){.count = 0};
    if (count > KR_REVOKE_MARKS_MAX)
        return KR_ERR_CORRUPT;
    for (size_t i = 0; i < count; i++) {
        struct revoke_mark *mark = &out->items[out->count++];
        *mark = (struct revoke_mark){.before = items[i]->before, .at_ms = items[i]->at_ms};
        if (mark->before <= before)
            return KR_ERR_CORRUPT;
        before = mark->before;
        enum kr_err err = codec_read_reason(items[i]->reason, &mark->reason);
        if (err != KR_ERR_OK)
            return err;
    }
    return KR_ERR_OK;
}

_Static_assert((int)KEYREEVE__V1__REVOKE_REASON__REVOKE_REASON_UNSPECIFIED ==
                       KR_REASON_UNSPECIFIED &&
                   (int)KEYREEVE__V1__REVOKE_REASON__REVOKE_REASON_KEY_COMPROMISE ==
                       KR_REASON_KEY_COMPROMISE &&
                   (int)KEYREEVE__V1__REVOKE_REASON__REVOKE_REASON_SUPERSEDED ==
                       KR_REASON_SUPERSEDED &&
                   (int)KEYREEVE__V1__REVOKE_REASON__REVOKE_REASON_CESSATION_OF_OPERATION ==
                       KR_REASON_CESSATION_OF_OPERATION &&
                   (int)KEYREEVE__V1__REVOKE_REASON__REVOKE_REASON_AFFILIATION_CHANGED ==
                       KR_REASON_AFFILIATION_CHANGED &&
                   (int)KEYREEVE__V1__REVOKE_REASON__REVOKE_REASON_PRIVILEGE_WITHDRAWN ==
                       KR_REASON_PRIVILEGE_WITHDRAWN,
               "reasons have the same numbers in memory and in bytes");

enum kr_err codec_read_reason(Keyreeve__V1__RevokeReason value, enum revoke_reason *out)
{
    if ((unsigned)value > KR_REASON_PRIVILEGE_WITHDRAWN)
        return KR_ERR_VERSION;
    *out = (enum revoke_reason)value;
    return KR_ERR_OK;
}
