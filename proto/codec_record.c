// SPDX-License-Identifier: Apache-2.0
// The records but for the key's: bucket, consumer, manager, and what is kept beside them.
#include "proto/codec_internal.h"

_Static_assert((int)KEYREEVE__V1__ENVIRONMENT__ENVIRONMENT_PRODUCTION == KR_ENV_PRODUCTION &&
                   (int)KEYREEVE__V1__ENVIRONMENT__ENVIRONMENT_PREVIEW == KR_ENV_PREVIEW &&
                   (int)KEYREEVE__V1__ENVIRONMENT__ENVIRONMENT_DEVELOPMENT == KR_ENV_DEVELOPMENT,
               "environments have the same numbers in memory and in bytes");

// --- what revokes the keys of a bucket or a consumer ---------------------------------------------
// Both messages have it in fields of these names.
#define FILL_REVOCATION(message, from, tags)                                                       \
    do {                                                                                           \
        KR_CODEC_SET(message, revoked_before, (from)->last.before);                                \
        KR_CODEC_SET(message, revoked_ms, (from)->last.at_ms);                                     \
        KR_CODEC_SET(message, revoke_reason, (Keyreeve__V1__RevokeReason)(from)->last.reason);     \
        (message)->n_earlier = (from)->earlier.count;                                              \
        (message)->earlier = codec_marks_fill((tags), &(from)->earlier);                           \
    } while (0)
#define READ_REVOCATION(message, out)                                                              \
    read_revocation((message)->revoked_before, (message)->revoked_ms, (message)->revoke_reason,    \
                    (message)->earlier, (message)->n_earlier, (out))

static enum kr_err read_revocation(uint64_t before, int64_t at_ms,
                                   Keyreeve__V1__RevokeReason reason,
                                   Keyreeve__V1__RevokeMark *const *earlier, size_t count,
                                   struct revocation *out)
{
    out->last = (struct revoke_mark){.before = before, .at_ms = at_ms};
    enum kr_err err = codec_read_reason(reason, &out->last.reason);
    return err == KR_ERR_OK ? codec_marks_read(earlier, count, &out->earlier) : err;
}

// --- bucket --------------------------------------------------------------------------------------
void codec_fill_bucket(Keyreeve__V1__BucketRecord *message, const struct bucket *record,
                       struct codec_tags *tags)
{
    keyreeve__v1__bucket_record__init(message);
    message->id = codec_lend_required(record->id);
    message->name = codec_lend_required(record->name);
    KR_CODEC_SET(message, version, record->version);
    KR_CODEC_SET(message, revision, record->revision);
    KR_CODEC_SET(message, created_ms, record->created_ms);
    KR_CODEC_SET(message, updated_ms, record->updated_ms);
    KR_CODEC_SET(message, environment, (Keyreeve__V1__Environment)record->environment);
    message->key_prefix = codec_lend(record->key_prefix);
    KR_CODEC_SET(message, is_retrievable, record->is_retrievable);
    KR_CODEC_SET(message, is_system, record->is_system);
    KR_CODEC_SET(message, is_delete_protected, record->is_delete_protected);
    KR_CODEC_SET(message, is_deleted, record->is_deleted);
    KR_CODEC_SET(message, default_expiry_days, record->default_expiry_days);
    KR_CODEC_SET(message, max_staleness_ms, record->max_staleness_ms);
    KR_CODEC_SET(message, was_staleness_ms, record->was_staleness_ms);
    KR_CODEC_SET(message, lowered_at, record->lowered_at);
    KR_CODEC_SET(message, metadata_limit_bytes, record->metadata_limit_bytes);
    message->description = codec_lend(record->description);
    message->n_tags = record->tags.count;
    message->tags = codec_tags_fill(tags, record->tags);
    FILL_REVOCATION(message, &record->revocation, tags);
}

enum kr_err codec_read_bucket(const Keyreeve__V1__BucketRecord *message, struct arena *arena,
                              struct bucket *out)
{
    *out = (struct bucket){
        .id = message->id,
        .name = message->name,
        .description = message->description,
        .key_prefix = message->key_prefix,
        .is_retrievable = message->is_retrievable != 0,
        .is_system = message->is_system != 0,
        .is_delete_protected = message->is_delete_protected != 0,
        .is_deleted = message->is_deleted != 0,
        .default_expiry_days = message->default_expiry_days,
        .max_staleness_ms = message->max_staleness_ms,
        .was_staleness_ms = message->was_staleness_ms,
        .lowered_at = message->lowered_at,
        .metadata_limit_bytes = message->metadata_limit_bytes,
        .created_ms = message->created_ms,
        .updated_ms = message->updated_ms,
        .version = message->version,
        .revision = message->revision,
    };
    if (out->id == NULL || out->name == NULL)
        return KR_ERR_CORRUPT;
    if ((unsigned)message->environment > KR_ENV_DEVELOPMENT)
        return KR_ERR_VERSION;
    out->environment = (enum environment)message->environment;
    enum kr_err err = READ_REVOCATION(message, &out->revocation);
    return err == KR_ERR_OK ? codec_tags_read(message->tags, message->n_tags, arena, &out->tags)
                            : err;
}

void codec_add_bucket(struct buf *out, const struct bucket *record)
{
    Keyreeve__V1__BucketRecord message;
    struct codec_tags tags;
    codec_tags_init(&tags);
    codec_fill_bucket(&message, record, &tags);
    codec_pack(out, &message.base);
    codec_tags_fini(&tags);
}

enum kr_err codec_bucket(struct bytes in, struct arena *arena, struct bucket *out)
{
    ProtobufCMessage *message = codec_unpack(&keyreeve__v1__bucket_record__descriptor, in, arena);
    if (message == NULL)
        return KR_ERR_CORRUPT;
    return codec_read_bucket((Keyreeve__V1__BucketRecord *)message, arena, out);
}

// --- consumer ------------------------------------------------------------------------------------
void codec_fill_consumer(Keyreeve__V1__ConsumerRecord *message, const struct consumer *record,
                         struct codec_tags *tags)
{
    keyreeve__v1__consumer_record__init(message);
    message->id = codec_lend_required(record->id);
    message->bucket_id = codec_lend_required(record->bucket_id);
    message->name = codec_lend_required(record->name);
    KR_CODEC_SET(message, version, record->version);
    KR_CODEC_SET(message, revision, record->revision);
    KR_CODEC_SET(message, is_deleted, record->is_deleted);
    message->metadata = codec_lend_object(record->metadata);
    KR_CODEC_SET(message, created_ms, record->created_ms);
    KR_CODEC_SET(message, updated_ms, record->updated_ms);
    message->description = codec_lend(record->description);
    message->n_tags = record->tags.count;
    message->tags = codec_tags_fill(tags, record->tags);
    FILL_REVOCATION(message, &record->revocation, tags);
}

enum kr_err codec_read_consumer(const Keyreeve__V1__ConsumerRecord *message, struct arena *arena,
                                struct consumer *out)
{
    *out = (struct consumer){
        .id = message->id,
        .bucket_id = message->bucket_id,
        .name = message->name,
        .description = message->description,
        .metadata = codec_read_object(message->metadata),
        .is_deleted = message->is_deleted != 0,
        .created_ms = message->created_ms,
        .updated_ms = message->updated_ms,
        .version = message->version,
        .revision = message->revision,
    };
    if (out->id == NULL || out->bucket_id == NULL || out->name == NULL)
        return KR_ERR_CORRUPT;
    enum kr_err err = READ_REVOCATION(message, &out->revocation);
    return err == KR_ERR_OK ? codec_tags_read(message->tags, message->n_tags, arena, &out->tags)
                            : err;
}

void codec_add_consumer(struct buf *out, const struct consumer *record)
{
    Keyreeve__V1__ConsumerRecord message;
    struct codec_tags tags;
    codec_tags_init(&tags);
    codec_fill_consumer(&message, record, &tags);
    codec_pack(out, &message.base);
    codec_tags_fini(&tags);
}

enum kr_err codec_consumer(struct bytes in, struct arena *arena, struct consumer *out)
{
    ProtobufCMessage *message = codec_unpack(&keyreeve__v1__consumer_record__descriptor, in, arena);
    if (message == NULL)
        return KR_ERR_CORRUPT;
    return codec_read_consumer((Keyreeve__V1__ConsumerRecord *)message, arena, out);
}

// --- manager -------------------------------------------------------------------------------------
void codec_fill_manager(Keyreeve__V1__ManagerRecord *message, const struct manager *record)
{
    keyreeve__v1__manager_record__init(message);
    message->id = codec_lend_required(record->id);
    message->consumer_id = codec_lend_required(record->consumer_id);
    message->email = codec_lend_required(record->email);
    message->sub = codec_lend(record->sub);
    KR_CODEC_SET(message, created_ms, record->created_ms);
    KR_CODEC_SET(message, revision, record->revision);
}

enum kr_err codec_read_manager(const Keyreeve__V1__ManagerRecord *message, struct manager *out)
{
    *out = (struct manager){
        .id = message->id,
        .consumer_id = message->consumer_id,
        .email = message->email,
        .sub = message->sub,
        .created_ms = message->created_ms,
        .revision = message->revision,
    };
    bool is_whole = out->id != NULL && out->consumer_id != NULL && out->email != NULL;
    return is_whole ? KR_ERR_OK : KR_ERR_CORRUPT;
}

void codec_add_manager(struct buf *out, const struct manager *record)
{
    Keyreeve__V1__ManagerRecord message;
    codec_fill_manager(&message, record);
    codec_pack(out, &message.base);
}

enum kr_err codec_manager(struct bytes in, struct arena *arena, struct manager *out)
{
    ProtobufCMessage *message = codec_unpack(&keyreeve__v1__manager_record__descriptor, in, arena);
    if (message == NULL)
        return KR_ERR_CORRUPT;
    return codec_read_manager((Keyreeve__V1__ManagerRecord *)message, out);
}

// --- sealed value --------------------------------------------------------------------------------
void codec_fill_sealed(Keyreeve__V1__SealedRecord *message, const struct sealed *record)
{
    keyreeve__v1__sealed_record__init(message);
    message->key_id = codec_lend_required(record->key_id);
    KR_CODEC_SET(message, vault_version, record->vault_version);
    message->has_box = true;
    message->box = codec_lend_bytes(record->box.data, record->box.size);
}

enum kr_err codec_read_sealed(const Keyreeve__V1__SealedRecord *message, struct sealed *out)
{
    *out = (struct sealed){
        .key_id = message->key_id,
        .vault_version = message->vault_version,
        .box = bytes_of(message->box.data, message->box.len),
    };
    return out->key_id != NULL && message->has_box ? KR_ERR_OK : KR_ERR_CORRUPT;
}

void codec_add_sealed(struct buf *out, const struct sealed *record)
{
    Keyreeve__V1__SealedRecord message;
    codec_fill_sealed(&message, record);
    codec_pack(out, &message.base);
}

enum kr_err codec_sealed(struct bytes in, struct arena *arena, struct sealed *out)
{
    ProtobufCMessage *message = codec_unpack(&keyreeve__v1__sealed_record__descriptor, in, arena);
    if (message == NULL)
        return KR_ERR_CORRUPT;
    return codec_read_sealed((Keyreeve__V1__SealedRecord *)message, out);
}

// --- versions of the vault key -------------------------------------------------------------------
void codec_fill_sealed_version(Keyreeve__V1__SealedVersion *message,
                               const struct sealed_version *record)
{
    keyreeve__v1__sealed_version__init(message);
    KR_CODEC_SET(message, version, record->version);
    message->has_check = true;
    message->check = codec_lend_bytes(record->check, sizeof(record->check));
}

enum kr_err codec_read_sealed_version(const Keyreeve__V1__SealedVersion *message,
                                      struct sealed_version *out)
{
    if (message->version == 0 || message->check.len != sizeof(out->check))
        return KR_ERR_CORRUPT;
    out->version = message->version;
    memcpy(out->check, message->check.data, sizeof(out->check));
    return KR_ERR_OK;
}

void codec_add_sealed_versions(struct buf *out, const struct sealed_versions *record)
{
    Keyreeve__V1__SealedVersionsRecord message = KEYREEVE__V1__SEALED_VERSIONS_RECORD__INIT;
    Keyreeve__V1__SealedVersion items[KR_SEALED_VERSIONS_MAX], *pointers[KR_SEALED_VERSIONS_MAX];
    assert(record->count > 0 && record->count <= KR_SEALED_VERSIONS_MAX);
    for (size_t i = 0; i < record->count; i++) {
        codec_fill_sealed_version(&items[i], &record->items[i]);
        pointers[i] = &items[i];
    }
    message.n_versions = record->count;
    message.versions = pointers;
    codec_pack(out, &message.base);
}

enum kr_err codec_sealed_versions(struct bytes in, struct arena *arena, struct sealed_versions *out)
{
    const Keyreeve__V1__SealedVersionsRecord *message =
        (Keyreeve__V1__SealedVersionsRecord *)codec_unpack(
            &keyreeve__v1__sealed_versions_record__descriptor, in, arena);
    enum kr_err err = KR_ERR_OK;
    uint32_t last = 0;
    if (message == NULL || message->n_versions == 0 || message->n_versions > KR_SEALED_VERSIONS_MAX)
        return KR_ERR_CORRUPT;
    *out = (struct sealed_versions){.count = message->n_versions};
    for (size_t i = 0; i < out->count && err == KR_ERR_OK; i++) {
        err = codec_read_sealed_version(message->versions[i], &out->items[i]);
        if (err == KR_ERR_OK && out->items[i].version <= last)
            err = KR_ERR_CORRUPT;
        last = out->items[i].version;
    }
    return err;
}

// --- receipt -------------------------------------------------------------------------------------
void codec_add_receipt(struct buf *out, const struct receipt *record)
{
    Keyreeve__V1__ReceiptRecord message = KEYREEVE__V1__RECEIPT_RECORD__INIT;
    assert(record->index > 0);
    KR_CODEC_SET(&message, index, record->index);
    message.target = codec_lend_required(record->target);
    KR_CODEC_SET(&message, requested_ms, record->requested_ms);
    KR_CODEC_SET(&message, committed_ms, record->committed_ms);
    KR_CODEC_SET(&message, keys, record->keys);
    codec_pack(out, &message.base);
}

enum kr_err codec_receipt(struct bytes in, struct arena *arena, struct receipt *out)
{
    const Keyreeve__V1__ReceiptRecord *message = (Keyreeve__V1__ReceiptRecord *)codec_unpack(
        &keyreeve__v1__receipt_record__descriptor, in, arena);
    if (message == NULL || message->index == 0 || message->target == NULL)
        return KR_ERR_CORRUPT;
    *out = (struct receipt){
        .index = message->index,
        .target = message->target,
        .requested_ms = message->requested_ms,
        .committed_ms = message->committed_ms,
        .keys = message->keys,
    };
    return KR_ERR_OK;
}
