// SPDX-License-Identifier: Apache-2.0
// The `local` engine: the log is this node's own RocksDB, one fsync a batch; one leader, embedded.
//
// Leadership is the operator's word: a node that is told to leads from its first campaign on, under
// the epoch stored with the applied position (1 at first); any other stands by until it is
// promoted, which raises the epoch. An append applies the batch to the store, which makes it
// durable; the callback comes on the next turn.
#pragma once

#include "core/keys/model.h"
#include "replication/engine.h"

// What a core node's own disk says, when it starts, of who leads.
struct engine_local_past {
    const char *member_id;       // its own
    const struct leader *leader; // as the state names it; NULL: the state names nobody
    uint64_t epoch;              // of the last applied entry
    bool is_appointed;           // where nobody is named: the operator's settings make it the first
    bool is_wrong;               // the state is marked to be replaced
};

// Is it to lead again? Not when anything in the state is of a later epoch than the leadership that
// the state names: somebody else was promoted, who has not said so here yet.
bool engine_local_was_leader(const struct engine_local_past *past);

struct engine_local_options {
    struct store *store; // keeps
    bool leads;          // from its first campaign on; else it stands by
};

// Gives. events may be NULL: replica_new sets its own.
struct engine *engine_local_new(const struct engine_local_options *options,
                                const struct engine_events *events);
// Leads from the next turn on, under an epoch above the stored one and known_epoch, the highest
// that this node has heard of. The caller has the operator's word that the leader before is down.
// CONFLICT: it leads already, or is closing.
must_use enum kr_err engine_local_promote(struct engine *engine, uint64_t known_epoch);
// Leads from the next turn on, under the stored epoch, as it did before it was stopped: no other
// node has been promoted since. Passed over when it leads already, or is closing.
void engine_local_resume(struct engine *engine);
// Another node leads under a higher epoch: stands by from now on. False: it did so already.
bool engine_local_step_down(struct engine *engine);
