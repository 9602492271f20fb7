// SPDX-License-Identifier: Apache-2.0
// The log entry: its operations, its audit row and its idempotent answer.
//
// An entry may hold many thousands of operations, so they are encoded one after the other from the
// stack. protobuf allows a message to be written in parts; in number order the bytes are the same
// as those of the whole.
#include "proto/codec_internal.h"

enum { KR_FIELD_OPS = 7 }; // of LogEntry in log.proto

// --- audit row, idempotent answer ----------------------------------------------------------------
void codec_fill_audit(Keyreeve__V1__AuditRecord *message, const struct audit *record)
{
    keyreeve__v1__audit_record__init(message);
    message->action = codec_lend_required(record->action);
    message->actor_id = codec_lend(record->actor_id);
    message->actor_label = codec_lend(record->actor_label);
    message->target = codec_lend(record->target);
    message->target_name = codec_lend(record->target_name);
    message->detail = codec_lend(record->detail);
    message->client_address = codec_lend(record->client_address);
    message->request_id = codec_lend(record->request_id);
    KR_CODEC_SET(message, is_success, record->is_success);
    KR_CODEC_SET(message, at_ms, record->at_ms);
    KR_CODEC_SET(message, index, record->index);
}

enum kr_err codec_read_audit(const Keyreeve__V1__AuditRecord *message, struct audit *out)
{
    *out = (struct audit){
        .action = message->action,
        .actor_id = message->actor_id,
        .actor_label = message->actor_label,
        .target = message->target,
        .target_name = message->target_name,
        .detail = message->detail,
        .client_address = message->client_address,
        .request_id = message->request_id,
        .is_success = message->is_success != 0,
        .at_ms = message->at_ms,
        .index = message->index,
    };
    return out->action != NULL ? KR_ERR_OK : KR_ERR_CORRUPT;
}

void codec_add_audit(struct buf *out, const struct audit *record)
{
    Keyreeve__V1__AuditRecord message;
    codec_fill_audit(&message, record);
    codec_pack(out, &message.base);
}

enum kr_err codec_audit(struct bytes in, struct arena *arena, struct audit *out)
{
    ProtobufCMessage *message = codec_unpack(&keyreeve__v1__audit_record__descriptor, in, arena);
    if (message == NULL)
        return KR_ERR_CORRUPT;
    return codec_read_audit((Keyreeve__V1__AuditRecord *)message, out);
}

void codec_fill_idempotency(Keyreeve__V1__IdempotencyRecord *message,
                            const struct idempotency *record)
{
    keyreeve__v1__idempotency_record__init(message);
    message->has_scope = message->has_body = true;
    message->scope = codec_lend_bytes(record->scope, KR_DIGEST_SIZE);
    message->body = codec_lend_bytes(record->body, KR_DIGEST_SIZE);
    message->has_answer = record->answer.size > 0;
    message->answer = codec_lend_bytes(record->answer.data, record->answer.size);
    KR_CODEC_SET(message, expires_ms, record->expires_ms);
    KR_CODEC_SET(message, index, record->index);
}

enum kr_err codec_read_idempotency(const Keyreeve__V1__IdempotencyRecord *message,
                                   struct idempotency *out)
{
    if (message->scope.len != KR_DIGEST_SIZE || message->body.len != KR_DIGEST_SIZE)
        return KR_ERR_CORRUPT;
    *out = (struct idempotency){
        .answer = bytes_of(message->answer.data, message->answer.len),
        .expires_ms = message->expires_ms,
        .index = message->index,
    };
    memcpy(out->scope, message->scope.data, KR_DIGEST_SIZE);
    memcpy(out->body, message->body.data, KR_DIGEST_SIZE);
    return KR_ERR_OK;
}

void codec_add_idempotency(struct buf *out, const struct idempotency *record)
{
    Keyreeve__V1__IdempotencyRecord message;
    codec_fill_idempotency(&message, record);
    codec_pack(out, &message.base);
}

enum kr_err codec_idempotency(struct bytes in, struct arena *arena, struct idempotency *out)
{
    ProtobufCMessage *message =
        codec_unpack(&keyreeve__v1__idempotency_record__descriptor, in, arena);
    if (message == NULL)
        return KR_ERR_CORRUPT;
    return codec_read_idempotency((Keyreeve__V1__IdempotencyRecord *)message, out);
}

// --- entry ---------------------------------------------------------------------------------------
static void add_head(struct buf *out, const struct entry *entry)
{
    Keyreeve__V1__LogEntry message = KEYREEVE__V1__LOG_ENTRY__INIT;
    KR_CODEC_SET(&message, index, entry->index);
    KR_CODEC_SET(&message, epoch, entry->epoch);
    KR_CODEC_SET(&message, at_unix_us, entry->at_unix_us);
    message.request_id = codec_lend(entry->command.request_id);
    message.actor = codec_lend(entry->command.actor);
    KR_CODEC_SET(&message, requested_ms, entry->command.requested_ms);
    codec_pack(out, &message.base);
}

static void add_tail(struct buf *out, const struct command *command)
{
    Keyreeve__V1__LogEntry message = KEYREEVE__V1__LOG_ENTRY__INIT;
    Keyreeve__V1__AuditRecord audit;
    Keyreeve__V1__IdempotencyRecord idempotency;
    if (command->audit != NULL) {
        codec_fill_audit(&audit, command->audit);
        message.audit = &audit;
    }
    if (command->idempotency != NULL) {
        codec_fill_idempotency(&idempotency, command->idempotency);
        message.idempotency = &idempotency;
    }
    codec_pack(out, &message.base);
}

void codec_add_entry(struct buf *out, const struct entry *entry)
{
    add_head(out, entry);
    for (size_t i = 0; i < entry->command.op_count; i++)
        codec_add_op(out, KR_FIELD_OPS, &entry->command.ops[i]);
    add_tail(out, &entry->command);
}

static enum kr_err read_audit(const Keyreeve__V1__AuditRecord *message, struct arena *arena,
                              const struct audit **out)
{
    if (message == NULL)
        return KR_ERR_OK;
    struct audit *audit = arena_alloc(arena, sizeof(*audit));
    *out = audit;
    return codec_read_audit(message, audit);
}

static enum kr_err read_idempotency(const Keyreeve__V1__IdempotencyRecord *message,
                                    struct arena *arena, const struct idempotency **out)
{
    if (message == NULL)
        return KR_ERR_OK;
    struct idempotency *idempotency = arena_alloc(arena, sizeof(*idempotency));
    *out = idempotency;
    return codec_read_idempotency(message, idempotency);
}

static enum kr_err read_command(const Keyreeve__V1__LogEntry *message, struct arena *arena,
                                struct command *out)
{
    enum kr_err err = KR_ERR_OK;
    *out = (struct command){
        .request_id = message->request_id,
        .actor = message->actor,
        .requested_ms = message->requested_ms,
        .op_count = message->n_ops,
        .op_capacity = message->n_ops,
    };
    if (message->n_ops > 0)
        out->ops = arena_alloc(arena, message->n_ops * sizeof(*out->ops));
    for (size_t i = 0; err == KR_ERR_OK && i < message->n_ops; i++)
        err = codec_read_op(message->ops[i], arena, &out->ops[i]);
    if (err == KR_ERR_OK)
        err = read_audit(message->audit, arena, &out->audit);
    if (err == KR_ERR_OK)
        err = read_idempotency(message->idempotency, arena, &out->idempotency);
    return err;
}

enum kr_err codec_entry(struct bytes in, struct arena *arena, struct entry *out)
{
    const Keyreeve__V1__LogEntry *message =
        (Keyreeve__V1__LogEntry *)codec_unpack(&keyreeve__v1__log_entry__descriptor, in, arena);
    if (message == NULL || message->index == 0)
        return KR_ERR_CORRUPT;
    *out = (struct entry){
        .index = message->index,
        .epoch = message->epoch,
        .at_unix_us = message->at_unix_us,
    };
    return read_command(message, arena, &out->command);
}
