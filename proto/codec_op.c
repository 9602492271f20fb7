// SPDX-License-Identifier: Apache-2.0
// The operations of a log entry: the closed set of core/keys/command.
#include "proto/codec_internal.h"

#define KR_SAME_NUMBER(kind)                                                                       \
    _Static_assert((int)KEYREEVE__V1__OP__OP_##kind == KR_OP_##kind,                               \
                   "operations have the same numbers in memory and in bytes")
KR_SAME_NUMBER(CLUSTER_INIT);
KR_SAME_NUMBER(BUCKET_PUT);
KR_SAME_NUMBER(BUCKET_DELETE);
KR_SAME_NUMBER(BUCKET_REVOKE);
KR_SAME_NUMBER(CONSUMER_PUT);
KR_SAME_NUMBER(CONSUMER_DELETE);
KR_SAME_NUMBER(CONSUMER_REVOKE);
KR_SAME_NUMBER(KEY_PUT);
KR_SAME_NUMBER(KEY_REVOKE);
KR_SAME_NUMBER(MANAGER_PUT);
KR_SAME_NUMBER(MANAGER_DELETE);
KR_SAME_NUMBER(VAULT_PUT);
KR_SAME_NUMBER(PURGE);
KR_SAME_NUMBER(MEMBER_PUT);
KR_SAME_NUMBER(MEMBER_REMOVE);
KR_SAME_NUMBER(LEAD);
KR_SAME_NUMBER(VAULT_VERSION);

// --- encoding ------------------------------------------------------------------------------------
// The messages of one operation.
struct op_messages {
    Keyreeve__V1__Op op;
    union {
        Keyreeve__V1__ClusterInit cluster_init;
        Keyreeve__V1__BucketPut bucket_put;
        Keyreeve__V1__ConsumerPut consumer_put;
        Keyreeve__V1__KeyPut key_put;
        Keyreeve__V1__Target target;
        Keyreeve__V1__KeyRevoke key_revoke;
        Keyreeve__V1__ManagerRecord manager;
        Keyreeve__V1__ManagerDelete manager_delete;
        Keyreeve__V1__SealedRecord sealed;
        Keyreeve__V1__Purge purge;
        Keyreeve__V1__MemberRecord member;
        Keyreeve__V1__MemberRemove member_remove;
        Keyreeve__V1__Lead lead;
        Keyreeve__V1__VaultVersion vault_version;
    } as;
    union {
        Keyreeve__V1__BucketRecord bucket;
        Keyreeve__V1__ConsumerRecord consumer;
        Keyreeve__V1__KeyRecord key;
        Keyreeve__V1__SealedVersion sealed_version;
    } record;
    struct codec_tags tags;
};

static void fill_cluster_init(struct op_messages *out, const struct command_cluster_init *in)
{
    Keyreeve__V1__ClusterInit *message = &out->as.cluster_init;
    keyreeve__v1__cluster_init__init(message);
    message->cluster_id = codec_lend_required(in->cluster_id);
    message->account_id = codec_lend_required(in->account_id);
    message->account_name = codec_lend_required(in->account_name);
    out->op.cluster_init = message;
}

static void fill_bucket_put(struct op_messages *out, const struct command_bucket_put *in)
{
    Keyreeve__V1__BucketPut *message = &out->as.bucket_put;
    keyreeve__v1__bucket_put__init(message);
    codec_fill_bucket(&out->record.bucket, &in->record, &out->tags);
    message->record = &out->record.bucket;
    KR_CODEC_SET(message, expected_version, in->expected_version);
    out->op.bucket_put = message;
}

static void fill_consumer_put(struct op_messages *out, const struct command_consumer_put *in)
{
    Keyreeve__V1__ConsumerPut *message = &out->as.consumer_put;
    keyreeve__v1__consumer_put__init(message);
    codec_fill_consumer(&out->record.consumer, &in->record, &out->tags);
    message->record = &out->record.consumer;
    KR_CODEC_SET(message, expected_version, in->expected_version);
    KR_CODEC_SET(message, is_if_absent, in->is_if_absent);
    out->op.consumer_put = message;
}

static void fill_key_put(struct op_messages *out, const struct command_key_put *in)
{
    Keyreeve__V1__KeyPut *message = &out->as.key_put;
    keyreeve__v1__key_put__init(message);
    codec_fill_key(&out->record.key, &in->record, &out->tags);
    message->record = &out->record.key;
    KR_CODEC_SET(message, expected_version, in->expected_version);
    message->consumer_name = codec_lend(in->consumer_name);
    out->op.key_put = message;
}

// Gives the message to whichever of the four operations it is for.
static Keyreeve__V1__Target *fill_target(struct op_messages *out, const struct command_target *in)
{
    Keyreeve__V1__Target *message = &out->as.target;
    keyreeve__v1__target__init(message);
    message->id = codec_lend_required(in->id);
    KR_CODEC_SET(message, expected_version, in->expected_version);
    KR_CODEC_SET(message, reason, (Keyreeve__V1__RevokeReason)in->reason);
    KR_CODEC_SET(message, purge_ms, in->purge_ms);
    return message;
}

static void fill_key_revoke(struct op_messages *out, const struct command_key_revoke *in)
{
    Keyreeve__V1__KeyRevoke *message = &out->as.key_revoke;
    keyreeve__v1__key_revoke__init(message);
    message->has_digest = true;
    message->digest = codec_lend_bytes(in->digest, KR_DIGEST_SIZE);
    KR_CODEC_SET(message, expected_version, in->expected_version);
    KR_CODEC_SET(message, reason, (Keyreeve__V1__RevokeReason)in->reason);
    KR_CODEC_SET(message, purge_ms, in->purge_ms);
    out->op.key_revoke = message;
}

static void fill_manager_delete(struct op_messages *out, const struct command_manager_delete *in)
{
    Keyreeve__V1__ManagerDelete *message = &out->as.manager_delete;
    keyreeve__v1__manager_delete__init(message);
    message->consumer_id = codec_lend_required(in->consumer_id);
    message->manager_id = codec_lend_required(in->manager_id);
    out->op.manager_delete = message;
}

static void fill_purge(struct op_messages *out, const struct command_purge *in)
{
    Keyreeve__V1__Purge *message = &out->as.purge;
    keyreeve__v1__purge__init(message);
    KR_CODEC_SET(message, now_ms, in->now_ms);
    KR_CODEC_SET(message, limit, in->limit);
    KR_CODEC_SET(message, audit_until_ms, in->audit_until_ms);
    out->op.purge = message;
}

static void fill_member_remove(struct op_messages *out, const struct command_member_remove *in)
{
    Keyreeve__V1__MemberRemove *message = &out->as.member_remove;
    keyreeve__v1__member_remove__init(message);
    message->id = codec_lend_required(in->id);
    out->op.member_remove = message;
}

static void fill_lead(struct op_messages *out, const struct command_lead *in)
{
    Keyreeve__V1__Lead *message = &out->as.lead;
    keyreeve__v1__lead__init(message);
    message->member_id = codec_lend_required(in->member_id);
    KR_CODEC_SET(message, epoch, in->epoch);
    out->op.lead = message;
}

static void fill_vault_version(struct op_messages *out, const struct command_vault_version *in)
{
    Keyreeve__V1__VaultVersion *message = &out->as.vault_version;
    keyreeve__v1__vault_version__init(message);
    codec_fill_sealed_version(&out->record.sealed_version, &in->current);
    message->current = &out->record.sealed_version;
    KR_CODEC_SET(message, is_only, in->is_only);
    out->op.vault_version = message;
}

static void fill_op(struct op_messages *out, const struct command_op *in)
{
    keyreeve__v1__op__init(&out->op);
    out->op.op_case = (Keyreeve__V1__Op__OpCase)in->kind;
    switch (in->kind) {
    case KR_OP_CLUSTER_INIT:
        fill_cluster_init(out, &in->as.cluster_init);
        break;
    case KR_OP_BUCKET_PUT:
        fill_bucket_put(out, &in->as.bucket_put);
        break;
    case KR_OP_BUCKET_DELETE:
        out->op.bucket_delete = fill_target(out, &in->as.target);
        break;
    case KR_OP_BUCKET_REVOKE:
        out->op.bucket_revoke = fill_target(out, &in->as.target);
        break;
    case KR_OP_CONSUMER_PUT:
        fill_consumer_put(out, &in->as.consumer_put);
        break;
    case KR_OP_CONSUMER_DELETE:
        out->op.consumer_delete = fill_target(out, &in->as.target);
        break;
    case KR_OP_CONSUMER_REVOKE:
        out->op.consumer_revoke = fill_target(out, &in->as.target);
        break;
    case KR_OP_KEY_PUT:
        fill_key_put(out, &in->as.key_put);
        break;
    case KR_OP_KEY_REVOKE:
        fill_key_revoke(out, &in->as.key_revoke);
        break;
    case KR_OP_MANAGER_PUT:
        codec_fill_manager(&out->as.manager, &in->as.manager_put);
        out->op.manager_put = &out->as.manager;
        break;
    case KR_OP_MANAGER_DELETE:
        fill_manager_delete(out, &in->as.manager_delete);
        break;
    case KR_OP_VAULT_PUT:
        codec_fill_sealed(&out->as.sealed, &in->as.vault_put);
        out->op.vault_put = &out->as.sealed;
        break;
    case KR_OP_PURGE:
        fill_purge(out, &in->as.purge);
        break;
    case KR_OP_MEMBER_PUT:
        codec_fill_member(&out->as.member, &in->as.member_put);
        out->op.member_put = &out->as.member;
        break;
    case KR_OP_MEMBER_REMOVE:
        fill_member_remove(out, &in->as.member_remove);
        break;
    case KR_OP_LEAD:
        fill_lead(out, &in->as.lead);
        break;
    case KR_OP_VAULT_VERSION:
        fill_vault_version(out, &in->as.vault_version);
        break;
    }
}

void codec_add_op(struct buf *out, unsigned number, const struct command_op *op)
{
    struct op_messages messages;
    assert(op->kind >= KR_OP_CLUSTER_INIT && op->kind <= KR_OP_VAULT_VERSION);
    codec_tags_init(&messages.tags);
    fill_op(&messages, op);
    codec_pack_field(out, number, &messages.op.base);
    codec_tags_fini(&messages.tags);
}

// --- decoding ------------------------------------------------------------------------------------
static enum kr_err read_cluster_init(const Keyreeve__V1__ClusterInit *message,
                                     struct command_cluster_init *out)
{
    *out = (struct command_cluster_init){
        .cluster_id = message->cluster_id,
        .account_id = message->account_id,
        .account_name = message->account_name,
    };
    bool is_whole = out->cluster_id != NULL && out->account_id != NULL && out->account_name != NULL;
    return is_whole ? KR_ERR_OK : KR_ERR_CORRUPT;
}

static enum kr_err read_bucket_put(const Keyreeve__V1__BucketPut *message, struct arena *arena,
                                   struct command_bucket_put *out)
{
    out->expected_version = message->expected_version;
    return message->record == NULL ? KR_ERR_CORRUPT
                                   : codec_read_bucket(message->record, arena, &out->record);
}

static enum kr_err read_consumer_put(const Keyreeve__V1__ConsumerPut *message, struct arena *arena,
                                     struct command_consumer_put *out)
{
    out->expected_version = message->expected_version;
    out->is_if_absent = message->is_if_absent;
    return message->record == NULL ? KR_ERR_CORRUPT
                                   : codec_read_consumer(message->record, arena, &out->record);
}

static enum kr_err read_key_put(const Keyreeve__V1__KeyPut *message, struct arena *arena,
                                struct command_key_put *out)
{
    out->expected_version = message->expected_version;
    out->consumer_name = arena_text(arena, message->consumer_name);
    return message->record == NULL ? KR_ERR_CORRUPT
                                   : codec_read_key(message->record, arena, &out->record);
}

static enum kr_err read_target(const Keyreeve__V1__Target *message, struct command_target *out)
{
    *out = (struct command_target){
        .id = message->id,
        .expected_version = message->expected_version,
        .purge_ms = message->purge_ms,
    };
    return out->id == NULL ? KR_ERR_CORRUPT : codec_read_reason(message->reason, &out->reason);
}

static enum kr_err read_key_revoke(const Keyreeve__V1__KeyRevoke *message,
                                   struct command_key_revoke *out)
{
    if (message->digest.len != KR_DIGEST_SIZE)
        return KR_ERR_CORRUPT;
    memcpy(out->digest, message->digest.data, KR_DIGEST_SIZE);
    out->expected_version = message->expected_version;
    out->purge_ms = message->purge_ms;
    return codec_read_reason(message->reason, &out->reason);
}

static enum kr_err read_manager_delete(const Keyreeve__V1__ManagerDelete *message,
                                       struct command_manager_delete *out)
{
    *out = (struct command_manager_delete){
        .consumer_id = message->consumer_id,
        .manager_id = message->manager_id,
    };
    bool is_whole = out->consumer_id != NULL && out->manager_id != NULL;
    return is_whole ? KR_ERR_OK : KR_ERR_CORRUPT;
}

static enum kr_err read_member_remove(const Keyreeve__V1__MemberRemove *message,
                                      struct command_member_remove *out)
{
    *out = (struct command_member_remove){.id = message->id};
    return out->id != NULL ? KR_ERR_OK : KR_ERR_CORRUPT;
}

static enum kr_err read_lead(const Keyreeve__V1__Lead *message, struct command_lead *out)
{
    *out = (struct command_lead){.member_id = message->member_id, .epoch = message->epoch};
    return out->member_id != NULL ? KR_ERR_OK : KR_ERR_CORRUPT;
}

static enum kr_err read_vault_version(const Keyreeve__V1__VaultVersion *message,
                                      struct command_vault_version *out)
{
    out->is_only = message->is_only != 0;
    return message->current == NULL ? KR_ERR_CORRUPT
                                    : codec_read_sealed_version(message->current, &out->current);
}

enum kr_err codec_read_op(const Keyreeve__V1__Op *message, struct arena *arena,
                          struct command_op *out)
{
    memset(out, 0, sizeof(*out));
    out->kind = (enum command_kind)message->op_case;
    switch (message->op_case) {
    case KEYREEVE__V1__OP__OP_CLUSTER_INIT:
        return read_cluster_init(message->cluster_init, &out->as.cluster_init);
    case KEYREEVE__V1__OP__OP_BUCKET_PUT:
        return read_bucket_put(message->bucket_put, arena, &out->as.bucket_put);
    case KEYREEVE__V1__OP__OP_BUCKET_DELETE:
        return read_target(message->bucket_delete, &out->as.target);
    case KEYREEVE__V1__OP__OP_BUCKET_REVOKE:
        return read_target(message->bucket_revoke, &out->as.target);
    case KEYREEVE__V1__OP__OP_CONSUMER_PUT:
        return read_consumer_put(message->consumer_put, arena, &out->as.consumer_put);
    case KEYREEVE__V1__OP__OP_CONSUMER_DELETE:
        return read_target(message->consumer_delete, &out->as.target);
    case KEYREEVE__V1__OP__OP_CONSUMER_REVOKE:
        return read_target(message->consumer_revoke, &out->as.target);
    case KEYREEVE__V1__OP__OP_KEY_PUT:
        return read_key_put(message->key_put, arena, &out->as.key_put);
    case KEYREEVE__V1__OP__OP_KEY_REVOKE:
        return read_key_revoke(message->key_revoke, &out->as.key_revoke);
    case KEYREEVE__V1__OP__OP_MANAGER_PUT:
        return codec_read_manager(message->manager_put, &out->as.manager_put);
    case KEYREEVE__V1__OP__OP_MANAGER_DELETE:
        return read_manager_delete(message->manager_delete, &out->as.manager_delete);
    case KEYREEVE__V1__OP__OP_VAULT_PUT:
        return codec_read_sealed(message->vault_put, &out->as.vault_put);
    case KEYREEVE__V1__OP__OP_PURGE:
        out->as.purge.now_ms = message->purge->now_ms;
        out->as.purge.limit = message->purge->limit;
        out->as.purge.audit_until_ms = message->purge->audit_until_ms;
        return KR_ERR_OK;
    case KEYREEVE__V1__OP__OP_MEMBER_PUT:
        return codec_read_member(message->member_put, &out->as.member_put);
    case KEYREEVE__V1__OP__OP_MEMBER_REMOVE:
        return read_member_remove(message->member_remove, &out->as.member_remove);
    case KEYREEVE__V1__OP__OP_LEAD:
        return read_lead(message->lead, &out->as.lead);
    case KEYREEVE__V1__OP__OP_VAULT_VERSION:
        return read_vault_version(message->vault_version, &out->as.vault_version);
    case KEYREEVE__V1__OP__OP__NOT_SET:
    case _KEYREEVE__V1__OP__OP__CASE_IS_INT_SIZE:
        break;
    }
    return KR_ERR_VERSION;
}
