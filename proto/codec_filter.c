// SPDX-License-Identifier: Apache-2.0
// A follower's part of a log entry, cut out of the bytes without building the message.
//
// What is kept is listed, not what is left out: a field of a later version may be something that a
// follower must not see.
#include "proto/codec_internal.h"

enum { KR_FIELD_AT = 3, KR_FIELD_OPS = 7 }; // of LogEntry in log.proto; 1 to AT are its place

static bool is_held(enum command_kind kind)
{
    switch (kind) {
    case KR_OP_CLUSTER_INIT:
    case KR_OP_BUCKET_PUT:
    case KR_OP_BUCKET_DELETE:
    case KR_OP_BUCKET_REVOKE:
    case KR_OP_CONSUMER_PUT:
    case KR_OP_CONSUMER_DELETE:
    case KR_OP_CONSUMER_REVOKE:
    case KR_OP_KEY_PUT:
    case KR_OP_KEY_REVOKE:
    case KR_OP_PURGE:
    case KR_OP_MEMBER_PUT:
    case KR_OP_MEMBER_REMOVE:
    case KR_OP_LEAD:
        return true;
    case KR_OP_MANAGER_PUT:
    case KR_OP_MANAGER_DELETE:
    case KR_OP_VAULT_PUT:
    case KR_OP_VAULT_VERSION:
        break;
    }
    return false;
}

// Which operation a message is; beside it there may be fields of a later version.
static enum kr_err kind_of(struct bytes op, enum command_kind *out)
{
    struct codec_wire wire = codec_wire_of(op);
    struct codec_field field;
    while (codec_wire_next(&wire, &field)) {
        if (field.number >= KR_OP_CLUSTER_INIT && field.number <= KR_OP_VAULT_VERSION) {
            *out = (enum command_kind)field.number;
            return KR_ERR_OK;
        }
    }
    return wire.is_bad ? KR_ERR_CORRUPT : KR_ERR_VERSION;
}

enum kr_err codec_entry_filter(struct bytes entry, struct buf *out)
{
    struct codec_wire wire = codec_wire_of(entry);
    struct codec_field field;
    enum command_kind kind = KR_OP_CLUSTER_INIT;
    enum kr_err err = KR_ERR_OK;
    size_t start = out->size;
    bool has_ops = false;
    for (const uint8_t *at = wire.at; err == KR_ERR_OK && codec_wire_next(&wire, &field);
         at = wire.at) {
        bool is_kept = field.number <= KR_FIELD_AT;
        if (field.number == KR_FIELD_OPS) {
            err = field.type == KR_WIRE_BYTES ? kind_of(field.bytes, &kind) : KR_ERR_CORRUPT;
            is_kept = err == KR_ERR_OK && is_held(kind);
            has_ops |= is_kept;
        }
        if (is_kept)
            buf_add(out, at, (size_t)(wire.at - at));
    }
    if (err == KR_ERR_OK && wire.is_bad)
        err = KR_ERR_CORRUPT;
    if ((err != KR_ERR_OK || !has_ops) && !out->has_failed)
        out->size = start;
    return err;
}
