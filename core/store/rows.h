// SPDX-License-Identifier: Apache-2.0
// The rows of the index: how each family's keys and the store's own values are laid out.
//
//   family         key                                        value
//   meta           "format"                                   KR_STORE_FORMAT, 4 bytes
//                  "applied"                                  struct rows_applied, checked
//                  "cluster"                                  three texts, each behind its length
//                  "leader"                                   Leader
//                  "member/" member id                        Member
//                  "holding"                                  enum store_holding, 4 bytes
//   log            index                                      struct rows_log
//   keys           SHA-256 of the key (32)                    Key
//   key_ids        key id                                     digest
//   subjects       'i' consumer id                            Consumer
//                  'n' bucket id 00 name                      consumer id
//                  'b' bucket id 00 consumer id               (empty)
//   consumer_keys  consumer id 00 created key id              digest
//   buckets        'i' bucket id                              Bucket
//                  'n' name                                   bucket id
//   vault          key id                                     Sealed
//                  "versions"                                 SealedVersions
//   users          consumer id 00 manager id                  Manager
//   receipts       index                                      Receipt
//   audit          at, index                                  Audit
//   usage          the digest's first 24 bytes                last use, Unix minutes (4)
//   idempotency    scope (32)                                 Idempotency
//   due            group, at, kind (1), id                    (empty)
//   counts         'c' or 'b', bucket id                      consumers or keys (8)
//   sessions, outbox                                          (not written by this version)
//
// group: 'v' of validation records, 'c' of those that only core nodes hold. index, created, at: 8
// bytes big-endian (times with the sign bit turned), so that rows sort as they count; ids and names
// hold no NUL, so that one ends them. Values in capitals: proto/codec.
#pragma once

#include "core/base/buf.h"
#include "core/store/index.h"
#include "core/store/store.h"

#define KR_ROWS_KEY_MAX 512

// A row's key under construction. size 0: a text did not fit, which no valid record causes; the
// stage and the readers answer CORRUPT to it.
struct rows_key {
    size_t size;
    uint8_t data[KR_ROWS_KEY_MAX];
};

static inline struct bytes rows_key_bytes(const struct rows_key *key) // lends
{
    return bytes_of(key->data, key->size);
}

void rows_text(struct rows_key *key, const char *text); // the text alone
void rows_digest(struct rows_key *key, const uint8_t *digest, size_t size);
void rows_index(struct rows_key *key, uint64_t index);
void rows_tagged(struct rows_key *key, char tag, const char *text); // 'i' id, 'n' name, counts
// tag, first 00 second; second NULL: the prefix of all of them.
void rows_tagged_pair(struct rows_key *key, char tag, const char *first, const char *second);
void rows_pair(struct rows_key *key, const char *first, const char *second);
void rows_consumer_key(struct rows_key *key, const char *consumer_id, int64_t created_ms,
                       const char *key_id);
void rows_audit(struct rows_key *key, int64_t at_ms, uint64_t index);
void rows_due(struct rows_key *key, const struct apply_due_row *row);
void rows_due_from(struct rows_key *key, enum apply_due_group group, int64_t at_ms); // the first
void rows_due_group(struct rows_key *key, enum apply_due_group group);               // the prefix
void rows_time(struct rows_key *key, int64_t at_ms);    // how audit rows begin
void rows_member(struct rows_key *key, const char *id); // "": the prefix of all
// The place behind the key. False: it is no audit row.
bool rows_read_audit(struct bytes key, int64_t *at_ms, uint64_t *index);
// The row behind the key. False: it is no due row. out->id lends key.
bool rows_read_due(struct bytes key, struct apply_due_row *out);

// A record row's term in the state digest of its class: XXH3-128(family | key size | key | value).
// scratch is overwritten.
struct hash128 rows_term(struct buf *scratch, enum index_family family, struct bytes key,
                         struct bytes value);

// The least key above all that begin with prefix; size 0: there is none.
void rows_prefix_end(struct rows_key *key, struct bytes prefix);

#define KR_ROWS_U64_SIZE 8
void rows_put_u64(uint8_t out[KR_ROWS_U64_SIZE], uint64_t value);
bool rows_get_u64(struct bytes in, uint64_t *value); // false: not 8 bytes
void rows_put_u32(uint8_t out[4], uint32_t value);
bool rows_get_u32(struct bytes in, uint32_t *value); // false: not 4 bytes

// --- meta ----------------------------------------------------------------------------------------
#define KR_ROWS_FORMAT "format"
#define KR_ROWS_APPLIED "applied"
#define KR_ROWS_HOLDING "holding"
#define KR_ROWS_CLUSTER "cluster"
#define KR_ROWS_LEADER "leader"
#define KR_ROWS_MEMBER "member/"

// --- vault ---------------------------------------------------------------------------------------
#define KR_ROWS_VAULT_VERSIONS "versions"
#define KR_ROWS_VAULT_KEYS "key_" // how key ids begin, and that row does not

// Where the state stands, and what the log holds.
struct rows_applied {
    struct store_position position;
    uint64_t log_first; // oldest retained index, 0: none
    uint64_t log_bytes; // of the retained rows' values
};

#define KR_ROWS_APPLIED_SIZE (8 * (2 + 2 + 2 * KR_CLASS_COUNT + 2 + 1))
void rows_put_applied(uint8_t out[KR_ROWS_APPLIED_SIZE], const struct rows_applied *applied);
bool rows_get_applied(struct bytes in, struct rows_applied *out); // false: damaged

void rows_add_cluster(struct buf *out, const struct command_cluster_init *record);
// Texts in the arena. False: damaged.
bool rows_get_cluster(struct bytes in, struct arena *arena, struct store_cluster *out);

// --- log -----------------------------------------------------------------------------------------
#define KR_ROWS_LOG_HEAD (8 + 16 + 8 + 8 + 1)

struct rows_log {
    struct hash128 chain;
    uint64_t epoch;
    int64_t at_ms;      // the entry's time; of one that is empty here, the time before it
    bool has_effect;    // it changed the state of nodes that hold all
    struct bytes entry; // a LogEntry; a follower's part of one, which may be empty
};

// The head of a log row: XXH3-64 over everything behind it and the index, so that a row in a wrong
// place is found too | chain | epoch | at_ms | has_effect (1). The entry follows.
void rows_put_log_head(uint8_t out[KR_ROWS_LOG_HEAD], uint64_t index, const struct rows_log *row);
// out->entry lends in. False: damaged.
bool rows_get_log(struct bytes in, uint64_t index, struct rows_log *out);
