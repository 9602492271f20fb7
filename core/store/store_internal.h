// SPDX-License-Identifier: Apache-2.0
// The inside of the store, shared by store*.c alone.
//
// hot_lock is the hot table's writer lock: taken by the control loop behind each commit, by the
// loading threads, and for the few look-ups of threads that are no registered readers. It is never
// held over a disk access.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "core/store/index.h"
#include "core/store/rows.h"
#include "core/store/stage.h"
#include "core/store/store.h"
#include "core/store/watermark.h"
#include "proto/codec.h"

#define KR_STORE_RECORD_MAX (64u << 20) // bytes of an encoded record or log row

struct store_load;

// Where the due rows of a group begin, or the audit rows.
struct store_due {
    int64_t from_ms; // no row is before this
    bool is_known;   // from_ms is exactly the first one's time
};

// How many keys each consumer has, by its number in the hot table. Under hot_lock.
struct store_counts {
    bool is_kept;   // from the snapshot on which the loaders work
    uint32_t *keys; // modulo 2^32: while loading, a removal may come before what it removes
    uint32_t capacity;
};

// The walk that writes last-used times back. Minutes are Unix minutes.
struct store_sweep {
    uint64_t position; // of hot_visit
    bool is_running;
    uint32_t changed_since; // times before this minute were written by an earlier sweep
    uint32_t started_min;
    int64_t started_ms, stepped_ms;
};

struct store {
    struct store_options options; // directory: index_directory
    struct index *index;
    struct hot *hot;
    pthread_mutex_t hot_lock;
    uint64_t environments; // under hot_lock: counts the changes that render subjects anew
    struct store_counts counts;

    // control loop
    struct rows_applied applied;
    struct watermark *watermark;
    uint64_t safe_index;               // see store_flush.h
    bool may_lack;                     // see store_flush.h
    bool is_marked, has_told_unmarked; // by this boot's mark, unless may_lack
    _Atomic uint64_t applied_index;
    _Atomic uint64_t log_first;
    struct stage *stage;
    struct index_batch *batch;
    struct arena arena;         // of the commit under way
    struct buf record, scratch; // a record's encoding; a row on its way into a sum
    bool must_reopen;           // RocksDB met a full disk: it refuses writes until it is reopened
    int64_t log_first_at_ms;    // time of the oldest retained entry; INT64_MIN: not looked at
    int64_t log_last_at_ms;     // of the newest
    struct store_due due[KR_DUE_GROUP_COUNT], audits;
    struct store_sweep sweep;

    store_lost_fn *lost; // NULL: nobody watches
    void *lost_ctx;

    struct store_load *load;
    _Atomic bool is_closing; // what reads at length on another thread ends early
    _Atomic bool is_loaded;
    _Atomic uint64_t load_done, load_total;
};

// --- store_hot.c: records as the hot table wants them, and its changes behind a commit -----------
// Everything but the subject's number; what it points to lies in the arena. False: an id or address
// block in it is not one.
must_use bool store_hot_put(const struct key *key, struct arena *arena, struct hot_put *out);
// The same of a key without scopes, address blocks and a start.
must_use bool store_hot_fill(const struct codec_key_hot *key, struct hot_put *out);

enum store_change_kind {
    KR_CHANGE_BUCKET,
    KR_CHANGE_BUCKET_GONE,
    KR_CHANGE_CONSUMER,
    KR_CHANGE_CONSUMER_GONE,
    KR_CHANGE_KEY,
    KR_CHANGE_KEY_GONE
};

struct store_consumer_change {
    struct consumer consumer;
    struct bucket bucket;
};

struct store_key_change {
    struct hot_put put; // KEY_GONE: its digest alone
    const char *consumer_id;
    bool is_new;
};

// One change of the hot table that follows a commit. Pointers lie in the commit's arena.
struct store_change {
    enum store_change_kind kind;
    bool is_rendered_anew; // BUCKET: its subjects show something that changed
    uint64_t revision;     // of the entry
    const char *id;        // of …_GONE, but keys
    union {
        const struct bucket *bucket;
        const struct store_consumer_change *consumer;
        const struct store_key_change *key; // KEY_GONE as well
    } as;
};

void store_hot_apply(struct store *store, const struct store_change *changes, size_t count);
// The number of the key's subject, which is read from the index when the table has not loaded it
// yet. Called and returns with hot_lock held, which it gives up meanwhile. NOT_FOUND: the index has
// no such consumer.
must_use enum kr_err store_hot_subject(struct store *store, struct bytes consumer_id,
                                       struct arena *arena, uint32_t *number, struct fault *fault);

// --- store_health.c ------------------------------------------------------------------------------
// DISK_FULL: a batch of that size would not leave free what is to be kept.
must_use enum kr_err store_check_space(const struct store *store, uint64_t batch_bytes,
                                       struct fault *fault);

// --- store_counts.c ------------------------------------------------------------------------------
void store_counts_fini(struct store *store);
void store_counts_begin(
    struct store *store); // with the loaders' snapshot; what was before is in it
// A key of the subject more, or less. Called with hot_lock held.
void store_counts_add(struct store *store, uint32_t subject, int32_t by);
// These will be added to soon: asks for their places in memory, with hot_lock held.
void store_counts_expect(const struct store *store, const uint32_t *subjects, size_t count);
// Keys that the consumer has now. False: the table is not loaded, so only the index can tell.
bool store_counts_find(struct store *store, const char *consumer_id, uint64_t *count);
// The same by the consumer's rows in the index, at most `limit`. snapshot NULL: now.
must_use enum kr_err store_counts_scan(struct store *store, const struct index_snapshot *snapshot,
                                       const char *consumer_id, uint64_t limit, uint64_t *count,
                                       struct fault *fault);

// --- store_format.c ------------------------------------------------------------------------------
// Reads where the state stands; makes a new directory one of this format and holding, and brings
// one of an earlier format up to this.
must_use enum kr_err store_format_open(struct store *store, struct fault *fault);
// store_upgrade.c: from format 1; applied is its row. Any crash leaves a directory of format 1 that
// can be upgraded again.
must_use enum kr_err store_upgrade(struct store *store, struct bytes applied, struct fault *fault);

// --- store_log.c ---------------------------------------------------------------------------------
must_use enum kr_err store_log_check_tail(struct store *store, struct fault *fault);
// A bounded step of trimming by age and size. True: more to do.
bool store_log_trim(struct store *store, int64_t now_ms);
// Writes `applied` beside the batch's other rows.
void store_put_applied(struct store *store, const struct rows_applied *applied);
// One row, with its checksum verified; its entry lies in the arena. NOT_FOUND: it is not there.
must_use enum kr_err store_log_row(struct store *store, uint64_t index, struct arena *arena,
                                   struct rows_log *out, struct fault *fault);

// --- store_flush.c -------------------------------------------------------------------------------
bool store_is_synced(const struct store *store); // commits wait for the disk
// Does the next one? Where no mark could tell a power cut, it does as well.
bool store_waits_for_disk(struct store *store);
void store_safe(struct store *store, uint64_t index); // everything up to it is safe

// --- store_usage.c -------------------------------------------------------------------------------
void store_usage_step(struct store *store, int64_t now_ms); // bounded by the time since the last
void store_usage_finish(struct store *store);               // everything that is not written yet

// --- store_load.c --------------------------------------------------------------------------------
void store_load_stop(struct store *store); // waits for its threads
// Reads every bucket into the hot table.
must_use enum kr_err store_load_buckets(struct store *store, struct fault *fault);

// --- shared by readers ---------------------------------------------------------------------------
// Fault for a row whose value is not what its family holds.
enum kr_err store_damaged(const struct store *store, enum index_family family, struct fault *fault);
