// SPDX-License-Identifier: Apache-2.0
// The key's record: whole, and the part of it that validations need.
#include "proto/codec_internal.h"

static const char id_type[] = "key_";
enum { KR_KEY_ID_TYPE_SIZE = sizeof(id_type) - 1, KR_KEY_ID_SIZE = KR_KEY_ID_TYPE_SIZE + 24 };

// Its length and type; whether the rest is base62 is for those to see who pack it.
static bool is_key_id(struct bytes id)
{
    return id.size == KR_KEY_ID_SIZE && memcmp(id.data, id_type, KR_KEY_ID_TYPE_SIZE) == 0;
}

void codec_fill_key(Keyreeve__V1__KeyRecord *message, const struct key *record,
                    struct codec_tags *tags)
{
    assert(record->id != NULL && is_key_id(bytes_text(record->id)));
    keyreeve__v1__key_record__init(message);
    message->has_digest = true;
    message->digest = codec_lend_bytes(record->digest, KR_DIGEST_SIZE);
    message->id = codec_lend(record->id);
    message->bucket_id = codec_lend_required(record->bucket_id);
    message->consumer_id = codec_lend_required(record->consumer_id);
    KR_CODEC_SET(message, expires_ms, record->expires_ms);
    KR_CODEC_SET(message, not_before_ms, record->not_before_ms);
    KR_CODEC_SET(message, revision, record->revision);
    KR_CODEC_SET(message, is_enabled, record->is_enabled);
    KR_CODEC_SET(message, is_revoked, record->is_revoked);
    KR_CODEC_SET(message, is_custom, record->is_custom);
    message->n_scopes = record->scopes.count;
    message->scopes = (char **)(uintptr_t)record->scopes.items;
    message->n_ip_allow = record->ip_allow.count;
    message->ip_allow = (char **)(uintptr_t)record->ip_allow.items;
    KR_CODEC_SET(message, is_sealed, record->is_sealed);
    KR_CODEC_SET(message, version, record->version);
    KR_CODEC_SET(message, created_ms, record->created_ms);
    KR_CODEC_SET(message, updated_ms, record->updated_ms);
    KR_CODEC_SET(message, revoked_ms, record->revoked_ms);
    KR_CODEC_SET(message, revoke_reason, (Keyreeve__V1__RevokeReason)record->revoke_reason);
    message->masked = codec_lend(record->masked);
    message->metadata = codec_lend_object(record->metadata);
    message->description = codec_lend(record->description);
    message->created_by = codec_lend(record->created_by);
    message->rotated_from = codec_lend(record->rotated_from);
    message->n_tags = record->tags.count;
    message->tags = codec_tags_fill(tags, record->tags);
}

static struct texts texts_of(char **items, size_t count)
{
    return (struct texts){.items = (const char *const *)items, .count = count};
}

enum kr_err codec_read_key(const Keyreeve__V1__KeyRecord *message, struct arena *arena,
                           struct key *out)
{
    *out = (struct key){
        .id = message->id,
        .bucket_id = message->bucket_id,
        .consumer_id = message->consumer_id,
        .description = message->description,
        .metadata = codec_read_object(message->metadata),
        .scopes = texts_of(message->scopes, message->n_scopes),
        .ip_allow = texts_of(message->ip_allow, message->n_ip_allow),
        .masked = message->masked,
        .created_by = message->created_by,
        .rotated_from = message->rotated_from,
        .is_enabled = message->is_enabled != 0,
        .is_custom = message->is_custom != 0,
        .is_sealed = message->is_sealed != 0,
        .is_revoked = message->is_revoked != 0,
        .created_ms = message->created_ms,
        .updated_ms = message->updated_ms,
        .expires_ms = message->expires_ms,
        .not_before_ms = message->not_before_ms,
        .revoked_ms = message->revoked_ms,
        .version = message->version,
        .revision = message->revision,
    };
    if (message->digest.len != KR_DIGEST_SIZE || out->bucket_id == NULL ||
        out->consumer_id == NULL || out->id == NULL || !is_key_id(bytes_text(out->id)))
        return KR_ERR_CORRUPT;
    memcpy(out->digest, message->digest.data, KR_DIGEST_SIZE);
    enum kr_err err = codec_read_reason(message->revoke_reason, &out->revoke_reason);
    if (err == KR_ERR_OK)
        err = codec_tags_read(message->tags, message->n_tags, arena, &out->tags);
    return err;
}

void codec_add_key(struct buf *out, const struct key *record)
{
    Keyreeve__V1__KeyRecord message;
    struct codec_tags tags;
    codec_tags_init(&tags);
    codec_fill_key(&message, record, &tags);
    codec_pack(out, &message.base);
    codec_tags_fini(&tags);
}

enum kr_err codec_key(struct bytes in, struct arena *arena, struct key *out)
{
    ProtobufCMessage *message = codec_unpack(&keyreeve__v1__key_record__descriptor, in, arena);
    if (message == NULL)
        return KR_ERR_CORRUPT;
    return codec_read_key((Keyreeve__V1__KeyRecord *)message, arena, out);
}

// Fields of KeyRecord in record.proto: first the texts, then the numbers, then what may repeat.
enum {
    KR_FIELD_DIGEST = 1,
    KR_FIELD_ID,
    KR_FIELD_BUCKET_ID,
    KR_FIELD_CONSUMER_ID,
    KR_FIELD_EXPIRES,
    KR_FIELD_NOT_BEFORE,
    KR_FIELD_REVISION,
    KR_FIELD_IS_ENABLED,
    KR_FIELD_IS_REVOKED,
    KR_FIELD_IS_CUSTOM,
    KR_FIELD_SCOPES,
    KR_FIELD_IP_ALLOW,
    KR_FIELD_HOT_END
};

enum {
    KR_FIELDS_REQUIRED = 1u << KR_FIELD_DIGEST | 1u << KR_FIELD_ID | 1u << KR_FIELD_BUCKET_ID |
                         1u << KR_FIELD_CONSUMER_ID,
    KR_FIELDS_REPEATED = 1u << KR_FIELD_SCOPES | 1u << KR_FIELD_IP_ALLOW
};

// What one pass finds. A text that is not in seen was not set.
struct hot_fields {
    uint32_t seen; // bit: field number
    struct bytes texts[KR_FIELD_CONSUMER_ID + 1];
    uint64_t numbers[KR_FIELD_IS_CUSTOM - KR_FIELD_EXPIRES + 1];
};

static inline uint64_t number_of(const struct hot_fields *found, unsigned field)
{
    return found->numbers[field - KR_FIELD_EXPIRES];
}

static inline bool read_hot_fields(struct bytes in, struct hot_fields *out)
{
    struct codec_wire wire = codec_wire_of(in);
    struct codec_field field;
    while (codec_wire_next(&wire, &field)) {
        if (field.number >= KR_FIELD_HOT_END)
            continue;
        uint32_t bit = 1u << field.number;
        bool is_number = field.number >= KR_FIELD_EXPIRES && field.number <= KR_FIELD_IS_CUSTOM;
        if (field.type != (is_number ? KR_WIRE_VARINT : KR_WIRE_BYTES) ||
            (out->seen & bit & ~(uint32_t)KR_FIELDS_REPEATED) != 0)
            return false;
        out->seen |= bit;
        if (is_number)
            out->numbers[field.number - KR_FIELD_EXPIRES] = field.value;
        else if (field.number <= KR_FIELD_CONSUMER_ID)
            out->texts[field.number] = field.bytes;
    }
    return !wire.is_bad;
}

enum kr_err codec_key_hot(struct bytes in, struct codec_key_hot *out)
{
    struct hot_fields found;
    found.seen = 0;
    memset(found.numbers, 0, sizeof(found.numbers));
    if (!read_hot_fields(in, &found) || (~found.seen & KR_FIELDS_REQUIRED) != 0 ||
        found.texts[KR_FIELD_DIGEST].size != KR_DIGEST_SIZE || !is_key_id(found.texts[KR_FIELD_ID]))
        return KR_ERR_CORRUPT;
    memcpy(out->digest, found.texts[KR_FIELD_DIGEST].data, KR_DIGEST_SIZE);
    out->id = bytes_of(found.texts[KR_FIELD_ID].data + KR_KEY_ID_TYPE_SIZE, 24);
    out->bucket_id = found.texts[KR_FIELD_BUCKET_ID];
    out->consumer_id = found.texts[KR_FIELD_CONSUMER_ID];
    out->expires_ms = (int64_t)number_of(&found, KR_FIELD_EXPIRES);
    out->not_before_ms = (int64_t)number_of(&found, KR_FIELD_NOT_BEFORE);
    out->revision = number_of(&found, KR_FIELD_REVISION);
    out->is_enabled = number_of(&found, KR_FIELD_IS_ENABLED) != 0;
    out->is_revoked = number_of(&found, KR_FIELD_IS_REVOKED) != 0;
    out->is_custom = number_of(&found, KR_FIELD_IS_CUSTOM) != 0;
    out->has_extra = (found.seen & KR_FIELDS_REPEATED) != 0;
    return KR_ERR_OK;
}
