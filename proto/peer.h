// SPDX-License-Identifier: Apache-2.0
// The frames of the peer link, as its two ends handle them. Their bytes are codec_peer.h's.
//
// Plain values: texts are NUL-terminated UTF-8 in some arena, never NULL when read; NULL is empty.
#pragma once

#include "core/base/hash.h"
#include "core/keys/model.h"

#define KR_PEER_BODY_MAX (1u << 20)                   // one entry, body or chunk of rows
#define KR_PEER_FRAME_MAX (KR_PEER_BODY_MAX + 131072) // length: type, body and its heads
#define KR_PEER_HEAD_SIZE 5                           // length and type
#define KR_PEER_ENTRY_MAX (64u << 20)                 // in parts, and so the rows of a chunk
#define KR_PEER_ROWS_MAX 1000
#define KR_PEER_NODES_MAX 4096
#define KR_PEER_PATH_MAX 32
#define KR_PEER_FEATURE_LEVEL 1

// Numbers on the wire.
enum peer_frame_type {
    KR_PEER_HELLO = 1,
    KR_PEER_WELCOME,
    KR_PEER_NEED_SNAPSHOT,
    KR_PEER_REJECT,
    KR_PEER_ENTRIES,
    KR_PEER_ACK,
    KR_PEER_RENEW,
    KR_PEER_LEASE,
    KR_PEER_DIGESTS,
    KR_PEER_SNAPSHOT_REQUEST,
    KR_PEER_SNAPSHOT_CHUNK,
    KR_PEER_SNAPSHOT_END,
    KR_PEER_REGISTER,
    KR_PEER_FORWARD,
    KR_PEER_ANSWER,
    KR_PEER_BODY,
    KR_PEER_PROBE,
    KR_PEER_ECHO,
    KR_PEER_USAGE
};
enum peer_role { KR_PEER_CORE = 1, KR_PEER_FOLLOWER };
enum peer_holding { KR_PEER_HOLDS_ALL = 1, KR_PEER_HOLDS_VALIDATION };
enum peer_reject_code {
    KR_PEER_OTHER_CLUSTER = 1,
    KR_PEER_NOT_A_MEMBER, // removed, or the certificate says something else than Hello
    KR_PEER_DIVERGED,     // the chain does not fit at the child's index
    KR_PEER_FROM_FUTURE,  // the child's index is beyond what is committed
    KR_PEER_OTHER_LEVEL,  // the feature levels do not go together
    KR_PEER_DESCENDANT,   // the child is an ancestor of this node
    KR_PEER_OLD_EPOCH,    // who speaks of an older epoch than is known here
    KR_PEER_NOT_READY,    // this node has no state or no upstream to pass on; try another
    KR_PEER_OTHER_HOLDING // this node holds less than the child needs
};

struct peer_digest {
    uint32_t class;
    struct hash128 sum;
};
struct peer_digests {
    const struct peer_digest *items;
    size_t count;
};
struct peer_position {
    uint64_t index, epoch;
    struct hash128 chain;
    struct peer_digests digests;
};
struct peer_member {
    const char *id, *region;
    enum peer_role role;
    const char *peer_address, *http_address;
};
struct peer_header {
    const char *name;
    struct bytes value;
};
struct peer_headers {
    const struct peer_header *items;
    size_t count;
};

struct peer_hello {
    const char *cluster_id;
    struct peer_member node;
    uint32_t feature_level;
    uint64_t applied_index, epoch;
    struct hash128 chain;
    enum peer_holding holding;
    const char *version;
    struct texts path;   // nearest first
    uint64_t started_ms; // Unix; the later of two processes of one node counts
};
struct peer_welcome {
    const char *node_id, *region;
    enum peer_role role;
    struct texts path; // nearest first
    uint64_t epoch, commit_index;
    const char *leader_id, *leader_http;
};
struct peer_reject {
    enum peer_reject_code code;
    const char *reason;
    uint64_t epoch;
};

// entry_size 0: entry is whole (empty: nothing for this child). Else it is the part at entry_offset
// of entry_size bytes; parts come in order, in rows of one index, and the last ends at entry_size.
struct peer_row {
    uint64_t index, epoch;
    struct hash128 chain;
    struct bytes entry;
    uint64_t entry_size, entry_offset;
};
struct peer_entries {
    const struct peer_row *items;
    size_t count;
    uint64_t commit_index;
};
struct peer_node_report {
    const char *id;
    uint64_t applied_index, age_ms, started_ms, epoch, unflushed;
};
struct peer_ack {
    uint64_t applied_index, covered_index, epoch, unflushed; // see replication/roster.h
    const struct peer_node_report *items;
    size_t count;
    uint64_t others_age_ms;
    struct peer_digests digests; // at applied_index
};
struct peer_lease {
    uint64_t seq, remaining_ms, index, epoch;
};
struct peer_index_digests {
    uint64_t index;
    struct peer_digests digests;
};

struct peer_snapshot_request {
    uint64_t index; // 0: a new snapshot
    uint32_t family;
    struct bytes last_key;
};
struct peer_snapshot_chunk {
    uint32_t family;
    struct bytes rows, last_key;
    uint64_t row_count, checksum; // of the whole
    bool is_last;
    uint64_t estimated_bytes, rows_size, rows_offset; // the last two of a part, as of an entry's
};
struct peer_forward {
    uint64_t id, deadline_ms, send_within_ms; // the last 0: not said
    const char *method, *target;
    struct peer_headers fields;
    struct bytes body;
    const char *client_address, *request_id;
    bool has_more;
};
struct peer_answer {
    uint64_t id;
    uint32_t status;
    struct peer_headers fields;
    struct bytes body;
    bool has_more;
};
struct peer_body {
    uint64_t id;
    struct bytes body;
    bool has_more;
};

struct peer_node_usage {
    const char *id, *upstream_id, *version;
    uint64_t applied_index, age_ms, validations_per_second, round_trip_us, vault_mark;
    bool is_unfit; // a core node that would rather not lead now
};
struct peer_usage {
    const struct peer_node_usage *items;
    size_t count;
};
struct peer_frame {
    enum peer_frame_type type;
    union {
        struct peer_hello hello;
        struct peer_welcome welcome;
        struct peer_position position; // NEED_SNAPSHOT, SNAPSHOT_END
        struct peer_reject reject;
        struct peer_entries entries;
        struct peer_ack ack;
        uint64_t seq;                   // RENEW
        struct peer_lease lease, probe; // PROBE and ECHO: seq and epoch alone
        struct peer_index_digests digests;
        struct peer_snapshot_request snapshot_request;
        struct peer_snapshot_chunk snapshot_chunk;
        struct peer_member member; // REGISTER
        struct peer_forward forward;
        struct peer_answer answer;
        struct peer_body body;
        struct peer_usage usage;
    } as;
};
