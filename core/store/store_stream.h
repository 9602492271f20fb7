// SPDX-License-Identifier: Apache-2.0
// What goes from one node's state to another's: rows of the log as a child holds them, and pieces
// of a snapshot.
//
// Plain values; bytes lie in the arena or the export that gave them.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"
#include "core/base/hash.h"

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

// Rows of one family in key order, at most 256 KiB unless one row is larger.
struct store_chunk {
    uint8_t family;
    struct bytes rows; // row_count × {u32 key size, u32 value size, key, value}, little-endian
    struct bytes last_key;
    uint64_t row_count;
    uint64_t checksum; // XXH3-64 of rows
    bool is_last;      // of the snapshot
};
