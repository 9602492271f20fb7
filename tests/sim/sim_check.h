// SPDX-License-Identifier: Apache-2.0
// Who knows everything: the history that is committed, what was promised, and what was answered.
// Compares each step with REPLICATION §8's invariants.
#pragma once

#include "tests/sim/sim.h"

struct sim_check *sim_check_new(void); // gives
void sim_check_free(struct sim_check **check);

// The entry is committed, at this moment: in the service, or synced on the leader's disk.
void sim_check_committed(uint64_t index, uint64_t epoch, struct bytes entry);
// `local`: another node leads by the operator's word, under this epoch and from this index on; what
// older epochs wrote behind it is void.
void sim_check_cut(uint64_t index, uint64_t epoch);
// A node's state stands behind this row now.
void sim_check_applied(struct sim_node *node, uint64_t index, uint64_t epoch, struct hash128 chain,
                       const struct hash128 digest[KR_CLASS_COUNT]);
// What its state stands at now its process has, and others may know that it has.
void sim_check_holds(const struct sim_node *node);
// Its disk is another one now.
void sim_check_wiped(const struct sim_node *node);
// This operation took effect at that entry, on a node that holds all.
void sim_check_effect(uint64_t index, uint64_t epoch, const struct command_op *op);
// A process begins with this.
void sim_check_started(struct sim_node *node);
// A client was told that its write is safe.
void sim_check_acked(uint64_t index, const char *request_id);
// The leader holds that no node can answer VALID for this key any more.
void sim_check_promised(unsigned key, uint64_t index);

struct sim_answer {
    unsigned key;
    uint64_t asked_us, looked_index;
    int64_t max_staleness_ms;
    uint64_t age_ms;
    bool is_valid;
};
void sim_check_answer(struct sim_node *node, const struct sim_answer *answer);
// A node holds less than the leader did so long ago; UINT64_MAX: no entry is missing there.
uint64_t sim_check_age_us(uint64_t applied_index);
uint64_t sim_check_last_index(void);
// Everything is healed: all nodes must be equal, in time.
void sim_check_end(void);
