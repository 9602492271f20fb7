// SPDX-License-Identifier: Apache-2.0
// The `local` engine: the log is this node's own RocksDB, one fsync a batch; one leader, embedded.
//
// Leadership is the operator's word: this node leads from its first campaign on, under the epoch
// stored with the applied position (1 at first). An append applies the batch to the store, which
// makes it durable; the callback comes on the next turn.
#pragma once

#include "replication/engine.h"

// Gives; keeps store. events may be NULL: replica_new sets its own.
struct engine *engine_local_new(struct store *store, const struct engine_events *events);
