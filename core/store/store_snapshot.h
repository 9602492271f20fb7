// SPDX-License-Identifier: Apache-2.0
// Snapshots: the state at one index, read in chunks at one node and written at another.
//
// An export reads one consistent view, by family and key, without the log. An import gathers sorted
// tables beside the directory in use (<directory>.parts), which a broken link or a crash does not
// cost; finished, they become a database (<directory>.next), which is checked against the digests,
// and which the next store_open puts in the old one's place. Any thread, an export or import by
// one.
#pragma once

#include "core/store/store.h"

#define KR_SNAPSHOT_CHUNK_BYTES (256u << 10)

// --- sending -------------------------------------------------------------------------------------
struct store_export;

// Gives; keeps store, which must be closed later. UNSUPPORTED: a follower has nothing for a child
// that holds all.
must_use enum kr_err store_export_open(struct store *store, enum store_holding child,
                                       struct store_export **out, struct fault *fault);
// Where the snapshot stands; the digest of a class that the child does not hold is 0.
void store_export_position(const struct store_export *export, struct store_position *out);
// The next chunk, lent until the next call. NOT_FOUND behind the last one.
must_use enum kr_err store_export_next(struct store_export *export, struct store_chunk *out,
                                       struct fault *fault);
// Goes on behind this row. INVALID: no such family.
must_use enum kr_err store_export_seek(struct store_export *export, uint8_t family,
                                       struct bytes last_key, struct fault *fault);

struct store_export_progress {
    uint64_t done_rows, done_bytes, total_bytes; // the total is an estimate
};
void store_export_progress(const struct store_export *export, struct store_export_progress *out);
void store_export_close(struct store_export **export);

// --- receiving -----------------------------------------------------------------------------------
struct store_import;

// Begins, or takes up again, the snapshot at this position, for a store with these options
// (holding, directory and cache); parts of another position are dropped. Gives.
must_use enum kr_err store_import_open(const struct store_options *options,
                                       const struct store_position *position,
                                       struct store_import **out, struct fault *fault);
// The position of an unfinished snapshot that lies there; false: none.
bool store_import_pending(const struct store_options *options, struct store_position *out);
// Removes an unfinished snapshot of a position that the state has passed by other means.
void store_import_forget(const struct store_options *options, uint64_t applied_index);
// The last row that was added, or that is safe after a crash; last_key lies in the arena. False:
// none yet.
bool store_import_resume(const struct store_import *import, struct arena *arena, uint8_t *family,
                         struct bytes *last_key);
// CORRUPT: checksum, shape or order is wrong, or a row is none that this node holds; nothing of the
// chunk was kept. DISK_FULL, IO: what is kept, store_import_resume tells.
must_use enum kr_err store_import_add(struct store_import *import, const struct store_chunk *chunk,
                                      struct fault *fault);
// Makes the database, checks it against the position's digests, and marks it as what the next
// store_open opens. Slow. INVALID: the last chunk is missing. CORRUPT: it is not the state of that
// position. On an error but INVALID everything was dropped.
must_use enum kr_err store_import_finish(struct store_import *import, struct fault *fault);
// Drops what finish has made: this node leads now, and its own state is the newer one.
must_use enum kr_err store_import_drop(const struct store_options *options, struct fault *fault);
// Keeps what was added, for another store_import_open.
void store_import_close(struct store_import **import);
