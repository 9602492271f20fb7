// SPDX-License-Identifier: Apache-2.0
// Which rows are in a snapshot, and in which digest they count; how a chunk holds them.
//
// Pure; any thread.
#pragma once

#include "core/store/rows.h"

// Is it a row that a node of this holding keeps, and that is of the state?
bool snapshot_holds(enum store_holding holding, enum index_family family, struct bytes key);
// The class in whose digest the row counts; false: it follows from other rows, or is an
// observation.
bool snapshot_class(enum index_family family, struct bytes key, enum store_class *out);

void snapshot_add_row(struct buf *chunk, struct bytes key, struct bytes value);
// Takes the next row off rows. False: at the end, or it has no such shape (rows is not empty then).
bool snapshot_take_row(struct bytes *rows, struct bytes *key, struct bytes *value);
int snapshot_compare(struct bytes a, struct bytes b); // keys, in the order of a family
// That a chunk's checksum, shape and order are right, its rows are held, begin behind `after` when
// that is of the same family (data NULL: of none), and its counts are what it says.
bool snapshot_is_sound(const struct store_chunk *chunk, enum store_holding holding,
                       struct bytes after);
