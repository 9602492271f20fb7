// SPDX-License-Identifier: Apache-2.0
// The tables of the peer link's frames: numbers of peer.proto, places in the structs, limits.
#include "proto/codec_peer_internal.h"

enum {
    KR_PEER_ID_MAX = 63,
    KR_PEER_ADDRESS_MAX = 255,
    KR_PEER_REASON_MAX = 1024,
    KR_PEER_TARGET_MAX = 16384,
    KR_PEER_VALUE_MAX = 16384,
    KR_PEER_HEADERS_MAX = 64,
    KR_PEER_DIGESTS_MAX = 16,
    KR_PEER_KEY_MAX = 65536
};

#define AT(type, member) offsetof(struct type, member)
#define NUMBER(n, type, m)                                                                         \
    {                                                                                              \
#m, n, KR_PEER_FIELD_NUMBER, AT(type, m), UINT64_MAX, .is_required = 0                     \
    }
#define NUMBER_REQUIRED(n, type, m)                                                                \
    {                                                                                              \
#m, n, KR_PEER_FIELD_NUMBER, AT(type, m), UINT64_MAX, .is_required = 1                     \
    }
#define NUMBER_TO(n, type, m, max)                                                                 \
    {                                                                                              \
#m, n, KR_PEER_FIELD_NUMBER, AT(type, m), max, .is_required = 0                            \
    }
#define EPOCH(n, type) NUMBER_TO(n, type, epoch, KR_PEER_EPOCH_MAX)
#define SMALL(n, type, m, max)                                                                     \
    {                                                                                              \
#m, n, KR_PEER_FIELD_SMALL, AT(type, m), max, .is_required = 0                             \
    }
#define SMALL_REQUIRED(n, type, m, max)                                                            \
    {                                                                                              \
#m, n, KR_PEER_FIELD_SMALL, AT(type, m), max, .is_required = 1                             \
    }
#define FLAG(n, type, m)                                                                           \
    {                                                                                              \
#m, n, KR_PEER_FIELD_FLAG, AT(type, m), 1, .is_required = 0                                \
    }
#define TEXT(n, type, m, max)                                                                      \
    {                                                                                              \
#m, n, KR_PEER_FIELD_TEXT, AT(type, m), max, .is_required = 0                              \
    }
#define TEXT_REQUIRED(n, type, m, max)                                                             \
    {                                                                                              \
#m, n, KR_PEER_FIELD_TEXT, AT(type, m), max, .is_required = 1                              \
    }
#define BYTES(n, type, m, max)                                                                     \
    {                                                                                              \
#m, n, KR_PEER_FIELD_BYTES, AT(type, m), max, .is_required = 0                             \
    }
#define HASH(n, type, m)                                                                           \
    {                                                                                              \
#m, n, KR_PEER_FIELD_HASH, AT(type, m), 16, .is_required = 0                               \
    }
#define PATH(n, type)                                                                              \
    {                                                                                              \
        "path", n, KR_PEER_FIELD_TEXTS, AT(type, path), KR_PEER_ID_MAX, KR_PEER_PATH_MAX, NULL, 0  \
    }
#define LIST(n, type, m, name, max, of)                                                            \
    {                                                                                              \
        name, n, KR_PEER_FIELD_RECORDS, AT(type, m), UINT64_MAX, max, of, 0                        \
    }
#define SHAPE(what, type, count)                                                                   \
    .name = what, .size_bytes = sizeof(struct type), .field_count = (count)

static const struct codec_peer_shape digest = {
    SHAPE("Digest", peer_digest, 2),
    {SMALL(1, peer_digest, class, KR_PEER_DIGESTS_MAX), HASH(2, peer_digest, sum)}};

#define DIGESTS(n, type) LIST(n, type, digests, "digests", KR_PEER_DIGESTS_MAX, &digest)

static const struct codec_peer_shape position = {
    SHAPE("Position", peer_position, 4),
    {NUMBER(1, peer_position, index), EPOCH(2, peer_position), HASH(3, peer_position, chain),
     DIGESTS(4, peer_position)}};

static const struct codec_peer_shape header = {
    SHAPE("Header", peer_header, 2),
    {TEXT_REQUIRED(1, peer_header, name, 256), BYTES(2, peer_header, value, KR_PEER_VALUE_MAX)}};

static const struct codec_peer_shape hello = {
    SHAPE("Hello", peer_hello, 14),
    {TEXT_REQUIRED(1, peer_hello, cluster_id, KR_PEER_ID_MAX),
     TEXT_REQUIRED(2, peer_hello, node.id, KR_PEER_ID_MAX),
     TEXT_REQUIRED(3, peer_hello, node.region, KR_PEER_ID_MAX),
     SMALL_REQUIRED(4, peer_hello, node.role, KR_PEER_FOLLOWER),
     SMALL_REQUIRED(5, peer_hello, feature_level, UINT32_MAX), NUMBER(6, peer_hello, applied_index),
     EPOCH(7, peer_hello), HASH(8, peer_hello, chain),
     SMALL_REQUIRED(9, peer_hello, holding, KR_PEER_HOLDS_VALIDATION),
     TEXT(10, peer_hello, node.peer_address, KR_PEER_ADDRESS_MAX),
     TEXT(11, peer_hello, node.http_address, KR_PEER_ADDRESS_MAX),
     TEXT(12, peer_hello, version, KR_PEER_ID_MAX), PATH(13, peer_hello),
     NUMBER(14, peer_hello, started_ms)}};

static const struct codec_peer_shape welcome = {
    SHAPE("Welcome", peer_welcome, 8),
    {TEXT_REQUIRED(1, peer_welcome, node_id, KR_PEER_ID_MAX),
     TEXT_REQUIRED(2, peer_welcome, region, KR_PEER_ID_MAX),
     SMALL_REQUIRED(3, peer_welcome, role, KR_PEER_FOLLOWER), PATH(4, peer_welcome),
     EPOCH(5, peer_welcome), NUMBER(6, peer_welcome, commit_index),
     TEXT(7, peer_welcome, leader_id, KR_PEER_ID_MAX),
     TEXT(8, peer_welcome, leader_http, KR_PEER_ADDRESS_MAX)}};

static const struct codec_peer_shape need_snapshot = {
    SHAPE("NeedSnapshot", peer_position, 1),
    {{"position", 1, KR_PEER_FIELD_RECORD, 0, UINT64_MAX, 0, &position, 1}}};

static const struct codec_peer_shape reject = {
    SHAPE("Reject", peer_reject, 3),
    {SMALL_REQUIRED(1, peer_reject, code, UINT32_MAX),
     TEXT_REQUIRED(2, peer_reject, reason, KR_PEER_REASON_MAX), EPOCH(3, peer_reject)}};

static const struct codec_peer_shape row = {
    SHAPE("Row", peer_row, 6),
    {NUMBER_REQUIRED(1, peer_row, index), EPOCH(2, peer_row), HASH(3, peer_row, chain),
     BYTES(4, peer_row, entry, KR_PEER_BODY_MAX),
     NUMBER_TO(5, peer_row, entry_size, KR_PEER_ENTRY_MAX),
     NUMBER_TO(6, peer_row, entry_offset, KR_PEER_ENTRY_MAX)}};

static const struct codec_peer_shape entries = {
    SHAPE("Entries", peer_entries, 2),
    {LIST(1, peer_entries, items, "rows", KR_PEER_ROWS_MAX, &row),
     NUMBER(2, peer_entries, commit_index)}};

static const struct codec_peer_shape node_report = {
    SHAPE("NodeReport", peer_node_report, 6),
    {TEXT_REQUIRED(1, peer_node_report, id, KR_PEER_ID_MAX),
     NUMBER(2, peer_node_report, applied_index), NUMBER(3, peer_node_report, age_ms),
     NUMBER(4, peer_node_report, started_ms), EPOCH(5, peer_node_report),
     NUMBER(6, peer_node_report, unflushed)}};

static const struct codec_peer_shape ack = {
    SHAPE("Ack", peer_ack, 7),
    {NUMBER(1, peer_ack, applied_index),
     LIST(2, peer_ack, items, "nodes", KR_PEER_NODES_MAX, &node_report),
     NUMBER(3, peer_ack, others_age_ms), DIGESTS(4, peer_ack), NUMBER(5, peer_ack, covered_index),
     EPOCH(6, peer_ack), NUMBER(7, peer_ack, unflushed)}};

static const struct codec_peer_shape renew = {
    .name = "Renew",
    .size_bytes = sizeof(uint64_t),
    .field_count = 1,
    .fields = {{"seq", 1, KR_PEER_FIELD_NUMBER, 0, UINT64_MAX, 0, NULL, 1}}};

static const struct codec_peer_shape probe = {
    SHAPE("Probe", peer_lease, 2), {NUMBER_REQUIRED(1, peer_lease, seq), EPOCH(2, peer_lease)}};
static const struct codec_peer_shape echo = {
    SHAPE("Echo", peer_lease, 2), {NUMBER_REQUIRED(1, peer_lease, seq), EPOCH(2, peer_lease)}};

static const struct codec_peer_shape lease = {SHAPE("Lease", peer_lease, 4),
                                              {NUMBER_REQUIRED(1, peer_lease, seq),
                                               NUMBER(2, peer_lease, remaining_ms),
                                               NUMBER(3, peer_lease, index), EPOCH(4, peer_lease)}};

static const struct codec_peer_shape digests = {
    SHAPE("Digests", peer_index_digests, 2),
    {NUMBER_REQUIRED(1, peer_index_digests, index), DIGESTS(2, peer_index_digests)}};

static const struct codec_peer_shape snapshot_request = {
    SHAPE("SnapshotRequest", peer_snapshot_request, 3),
    {NUMBER(1, peer_snapshot_request, index), SMALL(2, peer_snapshot_request, family, 255),
     BYTES(3, peer_snapshot_request, last_key, KR_PEER_KEY_MAX)}};

static const struct codec_peer_shape snapshot_chunk = {
    SHAPE("SnapshotChunk", peer_snapshot_chunk, 9),
    {SMALL(1, peer_snapshot_chunk, family, 255),
     BYTES(2, peer_snapshot_chunk, rows, KR_PEER_BODY_MAX),
     BYTES(3, peer_snapshot_chunk, last_key, KR_PEER_KEY_MAX),
     NUMBER(4, peer_snapshot_chunk, row_count), NUMBER(5, peer_snapshot_chunk, checksum),
     FLAG(6, peer_snapshot_chunk, is_last), NUMBER(7, peer_snapshot_chunk, estimated_bytes),
     NUMBER_TO(8, peer_snapshot_chunk, rows_size, KR_PEER_ENTRY_MAX),
     NUMBER_TO(9, peer_snapshot_chunk, rows_offset, KR_PEER_ENTRY_MAX)}};

static const struct codec_peer_shape snapshot_end = {
    SHAPE("SnapshotEnd", peer_position, 1),
    {{"position", 1, KR_PEER_FIELD_RECORD, 0, UINT64_MAX, 0, &position, 1}}};

static const struct codec_peer_shape registration = {
    SHAPE("Register", peer_member, 5),
    {TEXT_REQUIRED(1, peer_member, id, KR_PEER_ID_MAX),
     TEXT_REQUIRED(2, peer_member, region, KR_PEER_ID_MAX),
     SMALL_REQUIRED(3, peer_member, role, KR_PEER_FOLLOWER),
     TEXT(4, peer_member, peer_address, KR_PEER_ADDRESS_MAX),
     TEXT(5, peer_member, http_address, KR_PEER_ADDRESS_MAX)}};

static const struct codec_peer_shape forward = {
    SHAPE("Forward", peer_forward, 10),
    {NUMBER_REQUIRED(1, peer_forward, id), NUMBER_REQUIRED(2, peer_forward, deadline_ms),
     TEXT_REQUIRED(3, peer_forward, method, 32),
     TEXT_REQUIRED(4, peer_forward, target, KR_PEER_TARGET_MAX),
     LIST(5, peer_forward, fields, "fields", KR_PEER_HEADERS_MAX, &header),
     BYTES(6, peer_forward, body, KR_PEER_BODY_MAX), TEXT(7, peer_forward, client_address, 64),
     TEXT(8, peer_forward, request_id, 256), FLAG(9, peer_forward, has_more),
     NUMBER(10, peer_forward, send_within_ms)}};

static const struct codec_peer_shape answer = {
    SHAPE("Answer", peer_answer, 5),
    {NUMBER_REQUIRED(1, peer_answer, id), SMALL_REQUIRED(2, peer_answer, status, 599),
     LIST(3, peer_answer, fields, "fields", KR_PEER_HEADERS_MAX, &header),
     BYTES(4, peer_answer, body, KR_PEER_BODY_MAX), FLAG(5, peer_answer, has_more)}};

static const struct codec_peer_shape body = {SHAPE("Body", peer_body, 3),
                                             {NUMBER_REQUIRED(1, peer_body, id),
                                              BYTES(2, peer_body, body, KR_PEER_BODY_MAX),
                                              FLAG(3, peer_body, has_more)}};

static const struct codec_peer_shape node_usage = {
    SHAPE("NodeUsage", peer_node_usage, 9),
    {TEXT_REQUIRED(1, peer_node_usage, id, KR_PEER_ID_MAX),
     TEXT(2, peer_node_usage, upstream_id, KR_PEER_ID_MAX),
     TEXT(3, peer_node_usage, version, KR_PEER_ID_MAX), NUMBER(4, peer_node_usage, applied_index),
     NUMBER(5, peer_node_usage, age_ms), NUMBER(6, peer_node_usage, validations_per_second),
     NUMBER(7, peer_node_usage, round_trip_us), FLAG(8, peer_node_usage, is_unfit),
     NUMBER(9, peer_node_usage, vault_mark)}};

static const struct codec_peer_shape usage = {
    SHAPE("Usage", peer_usage, 1),
    {LIST(1, peer_usage, items, "nodes", KR_PEER_NODES_MAX, &node_usage)}};

const struct codec_peer_shape *codec_peer_shape(unsigned type)
{
    static const struct codec_peer_shape *const shapes[] = {
        [KR_PEER_HELLO] = &hello,
        [KR_PEER_WELCOME] = &welcome,
        [KR_PEER_NEED_SNAPSHOT] = &need_snapshot,
        [KR_PEER_REJECT] = &reject,
        [KR_PEER_ENTRIES] = &entries,
        [KR_PEER_ACK] = &ack,
        [KR_PEER_RENEW] = &renew,
        [KR_PEER_LEASE] = &lease,
        [KR_PEER_DIGESTS] = &digests,
        [KR_PEER_SNAPSHOT_REQUEST] = &snapshot_request,
        [KR_PEER_SNAPSHOT_CHUNK] = &snapshot_chunk,
        [KR_PEER_SNAPSHOT_END] = &snapshot_end,
        [KR_PEER_REGISTER] = &registration,
        [KR_PEER_FORWARD] = &forward,
        [KR_PEER_ANSWER] = &answer,
        [KR_PEER_BODY] = &body,
        [KR_PEER_PROBE] = &probe,
        [KR_PEER_ECHO] = &echo,
        [KR_PEER_USAGE] = &usage,
    };
    return type < sizeof(shapes) / sizeof(shapes[0]) ? shapes[type] : NULL;
}
