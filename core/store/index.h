// SPDX-License-Identifier: Apache-2.0
// The index: ordered families of rows on disk, written by batches, read through snapshots.
//
// A thin border around RocksDB, whose types and errors stop in index.c. Damage that RocksDB finds
// (a checksum, a missing file) comes out as CORRUPT with the file's name and the mend. Threading:
// one thread writes; reads, snapshots and cursors by any thread, a cursor by one at a time.
#pragma once

#include "core/base/fault.h"
#include "core/base/mem.h"

// Enumerator, name on disk, memtable bytes (KiB), is read by whole keys (filter), is worth packing.
// The names and their order are the disk format.
#define KR_INDEX_FAMILY_TABLE(X)                                                                   \
    X(META, "meta", 256, false, false)                                                             \
    X(LOG, "log", 16384, false, true)                                                              \
    X(KEYS, "keys", 16384, true, true)                                                             \
    X(KEY_IDS, "key_ids", 8192, true, false)                                                       \
    X(SUBJECTS, "subjects", 8192, true, true)                                                      \
    X(CONSUMER_KEYS, "consumer_keys", 8192, false, false)                                          \
    X(BUCKETS, "buckets", 1024, true, true)                                                        \
    X(VAULT, "vault", 4096, true, false)                                                           \
    X(USERS, "users", 1024, true, true)                                                            \
    X(SESSIONS, "sessions", 256, true, false)                                                      \
    X(RECEIPTS, "receipts", 1024, false, true)                                                     \
    X(AUDIT, "audit", 8192, false, true)                                                           \
    X(USAGE, "usage", 4096, true, false)                                                           \
    X(OUTBOX, "outbox", 1024, false, true)                                                         \
    X(IDEMPOTENCY, "idempotency", 2048, true, false)                                               \
    X(DUE, "due", 2048, true, false)                                                               \
    X(COUNTS, "counts", 8192, true, false)

#define KR_INDEX_FILTER_BITS 10.0
#define KR_INDEX_OPEN_FILES 512 // at most

enum index_family {
#define X(name, text, memtable_kib, has_filter, is_packed) KR_INDEX_##name,
    KR_INDEX_FAMILY_TABLE(X)
#undef X
        KR_INDEX_FAMILY_COUNT
};

const char *index_family_name(enum index_family family);

struct index_options {
    const char *directory;    // created when missing, its parent is not
    size_t block_cache_bytes; // data, index and filter blocks together
    bool is_unsynced; // commits are not: a power loss may leave a hole behind a whole prefix
};

struct index;

// Opens or creates. LOCKED, VERSION (families of another format), CORRUPT (names the file), IO.
must_use enum kr_err index_open(const struct index_options *options, struct index **out,
                                struct fault *fault);
void index_close(struct index **index); // every snapshot, cursor and batch is closed before

// --- reading -------------------------------------------------------------------------------------
struct index_snapshot;
struct index_snapshot *index_snapshot_open(struct index *index); // gives
void index_snapshot_close(struct index *index, struct index_snapshot **snapshot);

// Reads that fail once and for all: behind the first damage every read answers "not there", so that
// a caller who takes several steps looks at fault.err once, at the end.
struct index_reader {
    struct index *index;
    const struct index_snapshot *snapshot; // NULL: the newest
    struct fault fault;                    // of the first read that failed
};

// Copies the row's value into the arena. False: not there, or fault.err is set.
bool index_read(struct index_reader *reader, enum index_family family, struct bytes key,
                struct arena *arena, struct bytes *value);

// A walk over the rows lower ≤ key < upper of a family.
struct index_range {
    enum index_family family;
    const struct index_snapshot *snapshot; // NULL: the state at opening
    struct bytes lower, upper;             // copied; upper empty: to the end
    bool is_scan;                          // reads ahead and leaves the block cache alone
};

struct index_cursor;
struct index_cursor *index_cursor_open(struct index *index, const struct index_range *range);
void index_cursor_close(struct index_cursor **cursor);
void index_cursor_first(struct index_cursor *cursor);
void index_cursor_last(struct index_cursor *cursor);
void index_cursor_seek(struct index_cursor *cursor, struct bytes key); // the first row ≥ key
void index_cursor_next(struct index_cursor *cursor);                   // while there is a row
void index_cursor_previous(struct index_cursor *cursor);
// The row here, lent until the next move. False: at the end, or index_cursor_result is no OK.
bool index_cursor_row(const struct index_cursor *cursor, struct bytes *key, struct bytes *value);
must_use enum kr_err index_cursor_result(const struct index_cursor *cursor, struct fault *fault);

// --- writing -------------------------------------------------------------------------------------
struct index_batch;
struct index_batch *index_batch_new(void); // gives
void index_batch_free(struct index_batch **batch);
void index_batch_put(struct index *index, struct index_batch *batch, enum index_family family,
                     struct bytes key, struct bytes value);
void index_batch_delete(struct index *index, struct index_batch *batch, enum index_family family,
                        struct bytes key);
void index_batch_clear(struct index_batch *batch);
size_t index_batch_bytes(const struct index_batch *batch);

// All of the batch or nothing; is_synced: on disk when it returns. DISK_FULL, IO, CORRUPT. After an
// error RocksDB may refuse every later write.
must_use enum kr_err index_write(struct index *index, struct index_batch *batch, bool is_synced,
                                 struct fault *fault);

// Every write before it is on disk when it returns; any thread, beside writes. IO, DISK_FULL.
must_use enum kr_err index_sync(struct index *index, struct fault *fault);

// Moves sorted tables (checkpoint.h) of a family into the database; they may not overlap.
must_use enum kr_err index_ingest(struct index *index, enum index_family family,
                                  const char *const paths[], size_t count, struct fault *fault);

// --- figures -------------------------------------------------------------------------------------
struct index_figures {
    uint64_t memtable_bytes, block_cache_bytes, disk_bytes;
};
void index_figures(struct index *index, struct index_figures *out);
uint64_t index_estimate_rows(struct index *index, enum index_family family);
// Free bytes that this user may take on the directory's file system; UINT64_MAX when unknown.
uint64_t index_disk_free(const struct index *index);
const char *index_directory(const struct index *index);
