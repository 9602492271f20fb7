// SPDX-License-Identifier: Apache-2.0
// The state of a node: the RocksDB index, the hot table over it, and the log rows beside it.
//
// Order of truth: log → index → hot table. One write batch a commit holds the state changes, the
// log rows and meta/applied together; so a crash leaves a prefix, never a half. The hot table is
// changed behind the batch, which is synced where the log is here. Threading: store_apply,
// store_maintain and the log functions by the control loop alone; store_find* by registered reader
// threads (hot.h); views by any thread.
#pragma once

#include "core/base/fault.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/keys/apply.h"
#include "core/store/hot.h"
#include "core/store/store_stream.h"

#define KR_STORE_FORMAT 2 // of the data directory

enum store_class {
    KR_CLASS_BUCKET,
    KR_CLASS_CONSUMER,
    KR_CLASS_KEY,
    KR_CLASS_MEMBER, // the cluster's members, its leader, its name
    KR_CLASS_DUE,    // reminders to purge records of the classes above
    KR_CLASS_CORE,   // what only core nodes hold
    KR_CLASS_COUNT
};

// Where the state stands. Nodes with equal index have equal chain and equal digests.
struct store_position {
    uint64_t index, epoch;
    struct hash128 chain;
    struct hash128 digest[KR_CLASS_COUNT]; // commutative sums over the records of each class
};

struct store_options {
    const char *directory;        // <data>/db
    enum store_holding holding;   // of the node; what a directory was made for it stays
    size_t block_cache_bytes;     // RocksDB's
    uint64_t disk_reserve_bytes;  // refuse writes (DISK_FULL) when less than this is free
    uint64_t log_retention_bytes; // of the log family; 0: no limit
    int64_t log_retention_ms;     // 0: no limit
    unsigned load_threads;        // start-up; 0: two
    bool is_log_elsewhere;        // commits do not wait for this disk, see store_flush.h
};

struct store;
// Opens or creates, verifies the format version and the tail of the log (rows' checksums, chain,
// and that it fits meta/applied), loads the buckets. A directory of an earlier format is brought up
// to this one, and keeps no log. The fault names file or row and the mend; CONFLICT: the directory
// was made for another holding.
must_use enum kr_err store_open(const struct store_options *options, struct store **out,
                                struct fault *fault);
void store_close(struct store **store);

// --- start-up loading ----------------------------------------------------------------------------
// Starts threads that fill the hot table; answers come from the index meanwhile. done is called on
// one of them, once, with the error (CORRUPT names the file), unless store_close came first.
typedef void store_loaded_fn(void *ctx, enum kr_err err, const struct fault *fault);
void store_load(struct store *store, store_loaded_fn *done, void *ctx);
bool store_is_loaded(const struct store *store);                                      // any thread
void store_load_progress(const struct store *store, uint64_t *done, uint64_t *total); // the same
// Verifies every retained log row below the tail that store_open read; slow, any thread that
// store_close waits for. BUSY: the store is being closed.
must_use enum kr_err store_verify_log(struct store *store, struct fault *fault);

// --- validation ----------------------------------------------------------------------------------
enum store_lookup { KR_STORE_FOUND, KR_STORE_ABSENT, KR_STORE_ASK_INDEX };

struct store_found {
    enum store_lookup lookup;
    const struct hot_record *record;
    const struct hot_subject *subject; // for the answer; verdicts do without it
    uint64_t revoked_before;           // the subject's
    const struct hot_bucket *bucket;
    const struct hot_extra *extra; // NULL: none
};

// From memory alone, with the keys' digests. ASK_INDEX only while loading, and for KR_HOT_SHARED.
void store_find_many(const struct store *store, const struct bytes *keys, size_t count,
                     uint8_t (*digests)[KR_DIGEST_SIZE], struct store_found found[]);
// From the index (disk): on a pool thread, which need not be registered. What is found lies in the
// arena, the bucket included. CORRUPT or IO when it cannot tell.
must_use enum kr_err store_find_index(const struct store *store,
                                      const uint8_t digest[KR_DIGEST_SIZE], struct arena *arena,
                                      struct store_found *found);
const struct hot *store_hot(const struct store *store);

// --- writing -------------------------------------------------------------------------------------
struct store_row {
    uint64_t index;
    struct bytes entry; // an encoded LogEntry (proto/codec)
};

// Applies count rows, which continue the applied index without a gap, in one batch, and then to the
// hot table. results[i] says what each did. On an error nothing was written: DISK_FULL (may be
// tried again), IO (of an fsync: the process must stop), CORRUPT, VERSION (unknown operation).
must_use enum kr_err store_apply(struct store *store, const struct store_row *rows, size_t count,
                                 struct apply_result results[], struct fault *fault);
void store_position(const struct store *store, struct store_position *out); // control loop
struct store_options store_options_of(const struct store *store); // lends the directory until close
enum store_holding store_holds(const struct store *store);        // any thread
uint64_t store_applied_index(const struct store *store);          // any thread, acquire
int64_t store_last_entry_ms(const struct store *store);           // Unix; 0: none. Control loop
// Told of each key that a commit changed or removed, behind the hot table and before the applied
// index shows it. digest NULL: many at once, of a bucket or consumer. One watcher; control loop.
typedef void store_lost_fn(void *ctx, const uint8_t digest[KR_DIGEST_SIZE], uint64_t revision);
void store_watch(struct store *store, store_lost_fn *lost, void *ctx);

// One stored log row; NOT_FOUND outside the retained range, CORRUPT when checksum or chain differ.
must_use enum kr_err store_log_read(struct store *store, uint64_t index, struct arena *arena,
                                    struct bytes *entry, struct hash128 *chain,
                                    struct fault *fault);
uint64_t store_log_first(const struct store *store); // oldest retained index; 0 when empty

// A bounded step of growth, reclamation, log trimming and last-used times. True: more to do soon.
bool store_maintain(struct store *store, int64_t now_ms);
bool store_is_due(struct store *store, int64_t now_ms, int64_t audit_until_ms); // a PURGE?

// --- reading: consistent views -------------------------------------------------------------------
struct store_view;                                       // a snapshot of the index
struct store_view *store_view_open(struct store *store); // gives
void store_view_close(struct store_view **view);
// For another caller, behind the last: its damage is forgotten, rows that all read are kept.
void store_view_reuse(struct store_view *view);
uint64_t store_view_index(struct store_view *view);                     // applied
void store_view_heed(struct store_view *view, const _Atomic bool *end); // keeps; true ends cursors
// The first damage that a read of it met; BUSY: it was given up. All answer "not there" behind it.
enum kr_err store_view_error(const struct store_view *view, struct fault *fault);

struct store_cluster {
    const char *cluster_id, *account_id, *account_name; // NULL: not bootstrapped
};
bool store_get_cluster(struct store_view *view, struct arena *arena, struct store_cluster *out);
bool store_get_leader(struct store_view *view, struct arena *arena, struct leader *out);
// One that was removed is found too.
bool store_get_member(struct store_view *view, const char *id, struct arena *arena,
                      struct member *out);
bool store_get_bucket(struct store_view *view, const char *id, struct arena *arena,
                      struct bucket *out);
bool store_get_bucket_named(struct store_view *view, const char *name, struct arena *arena,
                            struct bucket *out);
bool store_get_consumer(struct store_view *view, const char *id, struct arena *arena,
                        struct consumer *out);
// Of a consumer that is not deleted: a deletion frees the name.
bool store_get_consumer_id(struct store_view *view, const char *bucket_id, const char *name,
                           struct arena *arena, const char **id);
bool store_get_consumer_named(struct store_view *view, const char *bucket_id, const char *name,
                              struct arena *arena, struct consumer *out);
bool store_get_key(struct store_view *view, const uint8_t digest[KR_DIGEST_SIZE],
                   struct arena *arena, struct key *out);
// Do a key's KR_DIGEST_UNIQUE_BYTES begin so? The loaded hot table may deny what only the view has.
bool store_has_digest(struct store_view *view, const uint8_t digest[KR_DIGEST_SIZE]);
bool store_get_key_by_id(struct store_view *view, const char *id, struct arena *arena,
                         struct key *out);
bool store_get_sealed(struct store_view *view, const char *key_id, struct arena *arena,
                      struct sealed *out);
bool store_get_idempotency(struct store_view *view, const uint8_t scope[KR_DIGEST_SIZE],
                           struct arena *arena, struct idempotency *out);
bool store_get_receipt(struct store_view *view, uint64_t index, struct arena *arena,
                       struct receipt *out);
uint64_t store_get_count(struct store_view *view, char what, const char *id); // as apply's counters
// The later of what is stored and what the hot table has seen; 0: never. Any thread.
int64_t store_last_used_ms(struct store_view *view, const struct key *key);

// Cursors walk a view in a fixed order. A `next` puts the record's texts into the arena.
struct store_cursor;
// Buckets by name, deleted ones left out, the system bucket too.
struct store_cursor *store_buckets(struct store_view *view, const char *after_name);
// Consumers of a bucket by name, those whose name begins with prefix (NULL: all), from behind
// after_name (NULL: the start).
struct store_cursor *store_consumers(struct store_view *view, const char *bucket_id,
                                     const char *prefix, const char *after_name);
// Keys of a consumer by created_ms and id, behind the place of `after` (NULL, or its id is: all).
struct store_cursor *store_keys(struct store_view *view, const char *consumer_id,
                                const struct key *after);
// Members by id, those that were removed too.
struct store_cursor *store_members(struct store_view *view);
struct store_cursor *store_managers(struct store_view *view, const char *consumer_id);
// Audit rows, newest first, from_ms ≤ at < until_ms.
struct store_cursor *store_audits(struct store_view *view, int64_t from_ms, int64_t until_ms);
void store_cursor_close(struct store_cursor **cursor);

bool store_next_bucket(struct store_cursor *cursor, struct arena *arena, struct bucket *out);
bool store_next_consumer(struct store_cursor *cursor, struct arena *arena, struct consumer *out);
bool store_next_key(struct store_cursor *cursor, struct arena *arena, struct key *out);
bool store_next_member(struct store_cursor *cursor, struct arena *arena, struct member *out);
bool store_next_manager(struct store_cursor *cursor, struct arena *arena, struct manager *out);
bool store_next_audit(struct store_cursor *cursor, struct arena *arena, struct audit *out);
uint64_t store_cursor_skip(struct store_cursor *cursor, uint64_t count); // how many it could

// --- figures -------------------------------------------------------------------------------------
struct store_figures {
    struct hot_figures hot;
    uint64_t applied_index, log_first_index, log_bytes;
    uint64_t memtable_bytes, block_cache_bytes, disk_bytes, disk_free_bytes;
    bool is_loaded;
};
void store_figures(struct store *store, struct store_figures *out); // control loop
