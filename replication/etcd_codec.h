// SPDX-License-Identifier: Apache-2.0
// Requests to etcd's JSON gateway and its answers (etcd 3.4 and newer): keys and values in base64,
// 64-bit integers as strings, fields that are zero left out.
//
// Encoders append to a buf. Decoders put everything into the arena and answer CORRUPT for what is
// no such answer; fields that this file does not name are passed over. Any thread.
// https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/
#pragma once

#include "core/base/buf.h"
#include "core/base/fault.h"
#include "core/base/mem.h"

#define KR_ETCD_GRANT "/v3/lease/grant"
#define KR_ETCD_KEEPALIVE "/v3/lease/keepalive"
#define KR_ETCD_REVOKE "/v3/lease/revoke"
#define KR_ETCD_RANGE "/v3/kv/range"
#define KR_ETCD_TXN "/v3/kv/txn"
#define KR_ETCD_COMPACTION "/v3/kv/compaction"
#define KR_ETCD_STATUS "/v3/maintenance/status"
#define KR_ETCD_ALARM "/v3/maintenance/alarm"
#define KR_ETCD_DEFRAGMENT "/v3/maintenance/defragment"

// --- requests ------------------------------------------------------------------------------------
struct etcd_range {
    struct bytes key, end; // end.size 0: this key alone; else keys in [key, end)
    uint32_t limit;        // 0: none
    bool is_descending;    // by key
    bool is_keys_only;
};

enum etcd_compared { KR_ETCD_CREATE_REVISION_IS, KR_ETCD_VERSION_IS };

struct etcd_compare {
    enum etcd_compared what;
    struct bytes key;
    uint64_t number;
};

enum etcd_op_kind { KR_ETCD_OP_PUT, KR_ETCD_OP_RANGE, KR_ETCD_OP_DELETE };

struct etcd_op {
    enum etcd_op_kind kind;
    struct bytes key;
    struct bytes end;   // RANGE, DELETE: as in etcd_range
    struct bytes value; // PUT
    uint64_t lease;     // PUT; 0: none
};

struct etcd_txn {
    const struct etcd_compare *compares; // all must hold
    size_t compare_count;
    const struct etcd_op *then, *otherwise;
    size_t then_count, otherwise_count;
};

void etcd_add_grant(struct buf *out, uint64_t ttl_s);
void etcd_add_lease(struct buf *out, uint64_t lease); // KEEPALIVE and REVOKE
void etcd_add_range(struct buf *out, const struct etcd_range *range);
void etcd_add_txn(struct buf *out, const struct etcd_txn *txn);
void etcd_add_compaction(struct buf *out, uint64_t revision); // answered when the space is free
void etcd_add_nothing(struct buf *out);                       // STATUS, DEFRAGMENT
void etcd_add_alarm_get(struct buf *out);
void etcd_add_alarm_off(struct buf *out, const char *member_id); // disarms its NOSPACE

// --- answers -------------------------------------------------------------------------------------
struct etcd_kv {
    struct bytes key, value;
    uint64_t create_revision, version, lease;
};

// One answer's fields, whichever call it answers; what it lacks is zero.
struct etcd_reply {
    uint64_t revision, raft_term; // of the header
    // RANGE, and all ranges of a TXN, in order
    const struct etcd_kv *kvs;
    size_t count;
    bool has_more;
    bool is_succeeded;     // TXN
    uint64_t lease, ttl_s; // GRANT, KEEPALIVE; a lease that is gone has ttl 0
    uint64_t database_bytes, database_used_bytes, quota_bytes; // STATUS
    const char **full_members; // ALARM: ids of members with NOSPACE, decimal
    size_t full_count;
};

#define KR_ETCD_REPLY_KVS_MAX 4096
#define KR_ETCD_REPLY_ALARMS_MAX 64

must_use enum kr_err etcd_read_reply(struct bytes in, struct arena *arena, struct etcd_reply *out);
// The text of an answer that is an error, cut to size, printable; "" when there is none.
void etcd_read_error(struct bytes in, char *out, size_t size);
