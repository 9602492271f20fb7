// SPDX-License-Identifier: Apache-2.0
// What goes from one node's state to another's: rows of the log as a child holds them, and pieces
// of a snapshot.
//
// Plain values; bytes lie in the arena or the export that gave them. Control loop only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"
#include "core/base/fault.h"
#include "core/base/hash.h"
#include "core/base/mem.h"

struct store;

// What a node keeps: a core node everything, a follower what validation needs (no vault, users,
// audit, receipts, idempotent answers).
enum store_holding { KR_HOLD_ALL, KR_HOLD_VALIDATION };

// One entry on its way to a child. The chain is the whole entry's, which a child that gets less of
// it adopts.
struct store_stream_row {
    uint64_t index, epoch;
    struct hash128 chain;
    struct bytes entry; // empty: nothing for this child
};

// The row at an index as a child of that holding gets it; the entry lies in the arena. NOT_FOUND
// outside the retained range. A follower has nothing for a child that holds all (UNSUPPORTED).
must_use enum kr_err store_stream_read(struct store *store, uint64_t index,
                                       enum store_holding child, struct arena *arena,
                                       struct store_stream_row *out, struct fault *fault);
// Applies rows that continue the applied index, in one batch, and then to the hot table; in more
// batches where they change very much: one entry of a purge takes a thousand keys away, and
// thousands of such may come at once. It is synced on a core node with its own log; else not, since
// a crash leaves a prefix and the rest lies elsewhere (store_flush.h). On an error nothing was
// written behind the applied index. CONFLICT: chain or epoch do not fit,
// the histories differ. CORRUPT: an index is not the next, an entry cannot be read, or one that had
// effect at the leader has none here. VERSION: a later one wrote it; what is before it is applied.
// The others as store_apply.
must_use enum kr_err store_stream_apply(struct store *store, const struct store_stream_row *rows,
                                        size_t count, struct fault *fault);

// Rows of one family in key order, at most 256 KiB unless one row is larger.
struct store_chunk {
    uint8_t family;
    struct bytes rows; // row_count × {u32 key size, u32 value size, key, value}, little-endian
    struct bytes last_key;
    uint64_t row_count;
    uint64_t checksum; // XXH3-64 of rows
    bool is_last;      // of the snapshot
};
