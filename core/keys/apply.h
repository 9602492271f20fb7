// SPDX-License-Identifier: Apache-2.0
// Apply: (state, entry) → changed state and a result. Pure; the state is reached through verbs.
//
// Deterministic: every node that applies the same entries from the same state makes the same
// records. An entry whose precondition fails changes nothing at all (the store rolls it back) but
// keeps its place in the log. A revoked key never becomes valid again: any put on a key that is
// revoked, by itself or by its bucket or consumer, keeps it revoked. An update keeps what was fixed
// at creation (ids, names, owners, times of creation, a key's scopes and origin). An entry that
// revokes has one receipt: the first target, and the keys of all.
#pragma once

#include "core/keys/command.h"

enum apply_code {
    KR_APPLY_OK,
    KR_APPLY_EXISTS,    // id, name or digest (its first KR_DIGEST_UNIQUE_BYTES) in use
    KR_APPLY_MISSING,   // the record, or its bucket or consumer, is not there (or is deleted)
    KR_APPLY_STALE,     // expected_version is not the stored one
    KR_APPLY_DUPLICATE, // an unexpired answer is stored under this idempotency scope
    KR_APPLY_REFUSED // not allowed in this state: delete-protected bucket, change of a digest, …
};

struct apply_result {
    enum apply_code code;
    uint32_t op;     // which operation failed, counted from 0
    uint64_t keys;   // revoked by the entry; of a bulk revocation, all keys of its target
    uint64_t purged; // rows removed by PURGE; a due row counts when it named nothing any more
};

enum apply_due {
    KR_DUE_KEY = 1,
    KR_DUE_CONSUMER,
    KR_DUE_BUCKET,
    KR_DUE_IDEMPOTENCY,
    KR_DUE_RECEIPT,
    KR_DUE_MANAGERS // of a consumer that was purged
};

// Followers hold only the records that validations need, and must purge the same of them at the
// same entry as nodes that hold all. So what is due stands in two orders, with a limit for each.
enum apply_due_group { KR_DUE_OF_VALIDATION, KR_DUE_OF_CORE, KR_DUE_GROUP_COUNT };
enum apply_due_group apply_due_group(enum apply_due kind);

struct apply_due_row {
    int64_t at_ms;
    enum apply_due kind;
    struct bytes id; // the key's digest, the record's id, the scope, the index (8 big-endian bytes)
};

// A follower's state holds no managers, sealed values, answers, receipts, audit rows, due rows of
// KR_DUE_OF_CORE and counts: there such a read answers "not there" (or 0), and a write does
// nothing. What apply does to the other records never depends on these, but through an entry's
// code.
//
// The state as apply sees it: reads see the writes of earlier operations. Reads put texts into the
// arena given at apply and return false when the row is not there. Damage is the implementer's to
// remember (it makes the whole batch fail); it answers false here.
struct apply_state {
    void *ctx;
    bool (*get_bucket)(void *ctx, const char *id, struct bucket *out);
    bool (*get_bucket_id)(void *ctx, const char *name, const char **id);
    void (*put_bucket)(void *ctx, const struct bucket *record);
    void (*delete_bucket)(void *ctx, const struct bucket *record); // with its name, if it holds it
    void (*free_bucket_name)(void *ctx, const struct bucket *record);

    bool (*get_consumer)(void *ctx, const char *id, struct consumer *out);
    bool (*get_consumer_id)(void *ctx, const char *bucket_id, const char *name, const char **id);
    // The bucket of a consumer that is there and not deleted: all that a new key needs of it.
    bool (*get_live_consumer_bucket)(void *ctx, const char *id, const char **bucket_id);
    void (*put_consumer)(void *ctx, const struct consumer *record);
    void (*delete_consumer)(void *ctx, const struct consumer *record);
    void (*free_consumer_name)(void *ctx, const struct consumer *record);

    // Is there a key whose digest begins with the same KR_DIGEST_UNIQUE_BYTES?
    bool (*has_digest)(void *ctx, const uint8_t digest[KR_DIGEST_SIZE]);
    bool (*get_key)(void *ctx, const uint8_t digest[KR_DIGEST_SIZE], struct key *out);
    bool (*has_key_id)(void *ctx, const char *id);
    void (*put_key)(void *ctx, const struct key *record);
    void (*delete_key)(void *ctx, const struct key *record); // with its id, its vault row, its link

    bool (*get_manager)(void *ctx, const char *consumer_id, const char *manager_id,
                        struct manager *out);
    void (*put_manager)(void *ctx, const struct manager *record);
    void (*delete_manager)(void *ctx, const struct manager *record);

    void (*put_sealed)(void *ctx, const struct sealed *record);
    void (*get_sealed_versions)(void *ctx, struct sealed_versions *out); // count 0: none yet
    void (*put_sealed_versions)(void *ctx, const struct sealed_versions *record);
    bool (*get_idempotency)(void *ctx, const uint8_t scope[KR_DIGEST_SIZE],
                            struct idempotency *out);
    void (*put_idempotency)(void *ctx, const struct idempotency *record);
    void (*delete_idempotency)(void *ctx, const uint8_t scope[KR_DIGEST_SIZE]);
    void (*put_receipt)(void *ctx, const struct receipt *record);
    void (*delete_receipt)(void *ctx, uint64_t index);
    void (*put_audit)(void *ctx, const struct audit *record);
    void (*delete_audit)(void *ctx, int64_t at_ms, uint64_t index);
    // The oldest audit row, if it is before until_ms; false when there is none.
    bool (*first_audit)(void *ctx, int64_t until_ms, int64_t *at_ms, uint64_t *index);
    void (*put_cluster)(void *ctx, const struct command_cluster_init *record);
    bool (*get_member)(void *ctx, const char *id, struct member *out); // removed ones too
    void (*put_member)(void *ctx, const struct member *record);
    bool (*get_leader)(void *ctx, struct leader *out);
    void (*put_leader)(void *ctx, const struct leader *record);

    void (*put_due)(void *ctx, const struct apply_due_row *row);
    void (*delete_due)(void *ctx, const struct apply_due_row *row);
    // The group's first due row with at_ms ≤ until_ms that is still there; false when there is
    // none.
    bool (*first_due)(void *ctx, enum apply_due_group group, int64_t until_ms,
                      struct apply_due_row *out);
    // Any consumer (deleted ones too) of the bucket; any key of the consumer; any manager of it.
    bool (*first_consumer)(void *ctx, const char *bucket_id, struct consumer *out);
    bool (*first_key)(void *ctx, const char *consumer_id, struct key *out);
    bool (*first_manager)(void *ctx, const char *consumer_id, struct manager *out);

    // Counters of live rows; apply keeps them: "consumers of bucket", "keys of bucket",
    // "keys of consumer".
    uint64_t (*get_count)(void *ctx, char what, const char *id); // what: 'c', 'b' or 'k'
    void (*add_count)(void *ctx, char what, const char *id, int64_t by);
};

// Applies one entry. arena lends the texts of what was read, until its owner resets it.
struct apply_result apply_entry(const struct apply_state *state, const struct entry *entry,
                                struct arena *arena);
