// SPDX-License-Identifier: Apache-2.0
// The closed set of changes: what a log entry may ask of the state.
//
// A management request becomes ONE entry: its operations, its audit row and its idempotent answer
// stand or fall together. Time and random values travel in it, so that apply is a function of
// (state, entry) alone. Texts live in the arena of whoever built or decoded it.
#pragma once

#include "core/base/mem.h"
#include "core/keys/model.h"

enum command_kind {
    KR_OP_CLUSTER_INIT = 1,
    KR_OP_BUCKET_PUT,
    KR_OP_BUCKET_DELETE,
    KR_OP_BUCKET_REVOKE,
    KR_OP_CONSUMER_PUT,
    KR_OP_CONSUMER_DELETE,
    KR_OP_CONSUMER_REVOKE,
    KR_OP_KEY_PUT,
    KR_OP_KEY_REVOKE,
    KR_OP_MANAGER_PUT,
    KR_OP_MANAGER_DELETE,
    KR_OP_VAULT_PUT,
    KR_OP_PURGE,
    KR_OP_MEMBER_PUT,
    KR_OP_MEMBER_REMOVE,
    KR_OP_LEAD,
    KR_OP_VAULT_VERSION
};

// A put with expected_version 0 creates and requires that neither id nor name (nor digest) is in
// use; otherwise the stored record must have that version.
struct command_bucket_put {
    struct bucket record;
    uint64_t expected_version;
};

struct command_consumer_put {
    struct consumer record;
    uint64_t expected_version;
    bool is_if_absent; // of a creation: nothing to do when the bucket has a consumer of this name
};

struct command_key_put {
    struct key record;
    uint64_t expected_version;
    const char *consumer_name; // of a creation, not NULL: the key goes to the consumer that bears
                               // this name when it is applied, whatever record.consumer_id says
};

// Delete or revoke everything of a bucket or consumer, by one record. expected_version 0: any.
struct command_target {
    const char *id;
    uint64_t expected_version;
    enum revoke_reason reason;
    int64_t purge_ms; // deletion: when the remains go (the retention period)
};

struct command_key_revoke {
    uint8_t digest[KR_DIGEST_SIZE];
    uint64_t expected_version; // 0: any
    enum revoke_reason reason;
    int64_t purge_ms; // when its row goes (the retention period); 0: not by this revocation
};

struct command_manager_delete {
    const char *consumer_id, *manager_id;
};

struct command_cluster_init {
    const char *cluster_id, *account_id, *account_name;
};

// What is due: apply removes at most limit rows' worth of what `due` rows ≤ now_ms name; of those
// that followers hold, and as many of those that only core nodes hold. As many of the oldest audit
// rows go as well, of those before audit_until_ms; 0: none, as always until there was this field.
struct command_purge {
    int64_t now_ms;
    uint32_t limit;
    int64_t audit_until_ms;
};

// The member stays known as removed, so that its certificate cannot bring it back. The one that
// leads cannot be removed.
struct command_member_remove {
    const char *id;
};

// The first entry of a leadership says whose it is. The member is known; the epoch is the entry's
// own and above that of every LEAD before.
struct command_lead {
    const char *member_id;
    uint64_t epoch;
};

// From this entry on values are sealed under this version: the current one, or one above it. A
// VAULT_PUT of an older version is STALE behind it.
struct command_vault_version {
    struct sealed_version current;
    bool is_only; // no value of an older version is left: these are forgotten
};

struct command_op {
    enum command_kind kind;
    union {
        struct command_cluster_init cluster_init;
        struct command_bucket_put bucket_put;
        struct command_consumer_put consumer_put;
        struct command_key_put key_put;
        struct command_target target; // BUCKET_ and CONSUMER_ DELETE and REVOKE
        struct command_key_revoke key_revoke;
        struct manager manager_put;
        struct command_manager_delete manager_delete;
        struct sealed vault_put;
        struct command_purge purge;
        struct member member_put;
        struct command_member_remove member_remove;
        struct command_lead lead;
        struct command_vault_version vault_version;
    } as;
};

struct command {
    struct command_op *ops;
    size_t op_count, op_capacity;
    const struct audit *audit;             // NULL: none
    const struct idempotency *idempotency; // NULL: none
    const char *request_id, *actor;
    int64_t requested_ms;
};

// A command with its place in the log.
struct entry {
    uint64_t index, epoch;
    int64_t at_unix_us;
    struct command command;
};

// Appends a zeroed operation of this kind, growing in the arena. Lends until the next add.
struct command_op *command_add(struct command *command, enum command_kind kind,
                               struct arena *arena);
