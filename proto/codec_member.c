// SPDX-License-Identifier: Apache-2.0
// The records of the cluster: its members, and who of them leads.
#include "proto/codec_internal.h"

_Static_assert((int)KEYREEVE__V1__MEMBER_ROLE__MEMBER_ROLE_CORE == KR_MEMBER_CORE &&
                   (int)KEYREEVE__V1__MEMBER_ROLE__MEMBER_ROLE_FOLLOWER == KR_MEMBER_FOLLOWER,
               "roles have the same numbers in memory and in bytes");

// --- member --------------------------------------------------------------------------------------
void codec_fill_member(Keyreeve__V1__MemberRecord *message, const struct member *record)
{
    keyreeve__v1__member_record__init(message);
    message->id = codec_lend_required(record->id);
    message->region = codec_lend_required(record->region);
    KR_CODEC_SET(message, role, (Keyreeve__V1__MemberRole)record->role);
    message->peer_address = codec_lend(record->peer_address);
    message->http_address = codec_lend(record->http_address);
    KR_CODEC_SET(message, added_ms, record->added_ms);
    KR_CODEC_SET(message, revision, record->revision);
    KR_CODEC_SET(message, is_removed, record->is_removed);
}

enum kr_err codec_read_member(const Keyreeve__V1__MemberRecord *message, struct member *out)
{
    if (message->id == NULL || message->region == NULL)
        return KR_ERR_CORRUPT;
    if ((unsigned)message->role > KR_MEMBER_FOLLOWER)
        return KR_ERR_VERSION;
    *out = (struct member){
        .id = message->id,
        .region = message->region,
        .role = (enum member_role)message->role,
        .peer_address = message->peer_address,
        .http_address = message->http_address,
        .is_removed = message->is_removed != 0,
        .added_ms = message->added_ms,
        .revision = message->revision,
    };
    return KR_ERR_OK;
}

void codec_add_member(struct buf *out, const struct member *record)
{
    Keyreeve__V1__MemberRecord message;
    codec_fill_member(&message, record);
    codec_pack(out, &message.base);
}

enum kr_err codec_member(struct bytes in, struct arena *arena, struct member *out)
{
    ProtobufCMessage *message = codec_unpack(&keyreeve__v1__member_record__descriptor, in, arena);
    if (message == NULL)
        return KR_ERR_CORRUPT;
    return codec_read_member((Keyreeve__V1__MemberRecord *)message, out);
}

// --- leader --------------------------------------------------------------------------------------
void codec_add_leader(struct buf *out, const struct leader *record)
{
    Keyreeve__V1__LeaderRecord message = KEYREEVE__V1__LEADER_RECORD__INIT;
    message.member_id = codec_lend_required(record->member_id);
    KR_CODEC_SET(&message, epoch, record->epoch);
    KR_CODEC_SET(&message, since_ms, record->since_ms);
    KR_CODEC_SET(&message, revision, record->revision);
    codec_pack(out, &message.base);
}

enum kr_err codec_leader(struct bytes in, struct arena *arena, struct leader *out)
{
    const Keyreeve__V1__LeaderRecord *message = (Keyreeve__V1__LeaderRecord *)codec_unpack(
        &keyreeve__v1__leader_record__descriptor, in, arena);
    if (message == NULL || message->member_id == NULL)
        return KR_ERR_CORRUPT;
    *out = (struct leader){
        .member_id = message->member_id,
        .epoch = message->epoch,
        .since_ms = message->since_ms,
        .revision = message->revision,
    };
    return KR_ERR_OK;
}
