// SPDX-License-Identifier: Apache-2.0
// What both directions of the peer link share: a record's fields, and what they refuse.
#include "proto/codec_peer_internal.h"

#include "core/base/text.h"

// --- a record's fields ---------------------------------------------------------------------------

uint64_t codec_peer_number_in(const void *record, const struct codec_peer_field *field)
{
    const void *at = codec_peer_at(record, field);
    if (field->kind == KR_PEER_FIELD_NUMBER)
        return *(const uint64_t *)at;
    if (field->kind == KR_PEER_FIELD_SMALL)
        return *(const uint32_t *)at;
    return *(const bool *)at ? 1 : 0;
}

struct bytes codec_peer_bytes_in(const void *record, const struct codec_peer_field *field)
{
    const void *at = codec_peer_at(record, field);
    if (field->kind == KR_PEER_FIELD_TEXT)
        return codec_peer_text(*(const char *const *)at);
    if (field->kind == KR_PEER_FIELD_BYTES)
        return *(const struct bytes *)at;
    const struct hash128 *hash = at;
    return bytes_of(hash, hash->low == 0 && hash->high == 0 ? 0 : sizeof(*hash));
}

struct codec_peer_list codec_peer_list_in(const void *record, const struct codec_peer_field *field)
{
    struct codec_peer_list list;
    memcpy(&list, codec_peer_at(record, field), sizeof(list));
    return list;
}

bool codec_peer_is_empty(const void *record, const struct codec_peer_field *field)
{
    switch (field->kind) {
    case KR_PEER_FIELD_NUMBER:
    case KR_PEER_FIELD_SMALL:
    case KR_PEER_FIELD_FLAG:
        return codec_peer_number_in(record, field) == 0;
    case KR_PEER_FIELD_TEXT:
    case KR_PEER_FIELD_BYTES:
    case KR_PEER_FIELD_HASH:
        return codec_peer_bytes_in(record, field).size == 0;
    case KR_PEER_FIELD_TEXTS:
    case KR_PEER_FIELD_RECORDS:
        return codec_peer_list_in(record, field).count == 0;
    case KR_PEER_FIELD_RECORD:
        return false;
    }
    return true;
}

// --- refusals ---------------------------------------------------------------------------------

enum kr_err codec_peer_refuse(const struct codec_peer_place *place, enum kr_err err,
                              const char *what)
{
    return fault_set(place->fault, err, "peer frame: %s.%s %s", place->shape->name,
                     place->field->name, what);
}

static enum kr_err refuse_size(const struct codec_peer_place *place, const char *unit,
                               uint64_t limit)
{
    return fault_set(place->fault, KR_ERR_TOO_LARGE, "peer frame: %s.%s is over %llu%s",
                     place->shape->name, place->field->name, (unsigned long long)limit, unit);
}

enum kr_err codec_peer_check_number(const struct codec_peer_place *place, uint64_t value)
{
    if (value > place->field->limit)
        return refuse_size(place, "", place->field->limit);
    return KR_ERR_OK;
}

enum kr_err codec_peer_check_bytes(const struct codec_peer_place *place, struct bytes value)
{
    if (value.size > place->field->limit)
        return refuse_size(place, " bytes", place->field->limit);
    return KR_ERR_OK;
}

enum kr_err codec_peer_check_text(const struct codec_peer_place *place, struct bytes value)
{
    enum kr_err err = codec_peer_check_bytes(place, value);
    if (err != KR_ERR_OK)
        return err;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < 0x20 || value.data[i] == 0x7f)
            return codec_peer_refuse(place, KR_ERR_INVALID, "holds a control character");
    }
    return text_is_utf8(value) ? KR_ERR_OK
                               : codec_peer_refuse(place, KR_ERR_INVALID, "is no UTF-8");
}

enum kr_err codec_peer_check_count(const struct codec_peer_place *place, size_t count)
{
    bool is_list =
        place->field->kind == KR_PEER_FIELD_TEXTS || place->field->kind == KR_PEER_FIELD_RECORDS;
    if (!is_list && count > 1)
        return codec_peer_refuse(place, KR_ERR_INVALID, "occurs twice");
    if (is_list && count > place->field->count_limit)
        return refuse_size(place, " elements", place->field->count_limit);
    return KR_ERR_OK;
}
