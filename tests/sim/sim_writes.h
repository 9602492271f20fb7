// SPDX-License-Identifier: Apache-2.0
// Clients that write, through any node, and what the leader does for them: commands, calls passed
// on, receipts that wait for everywhere.
#pragma once

#include "tests/sim/sim.h"

struct sim_writes;

struct sim_writes *sim_writes_new(void); // gives
// The process ends: nobody is told any more.
void sim_writes_drop(struct sim_node *node);
void sim_writes_free(struct sim_writes **writes);
void sim_writes_turn(struct sim_node *node); // what a leader has to say and to wait for
void sim_writes_enlist(struct sim_node *node, const struct peer_member *member);
void sim_writes_remove(struct sim_node *node, const char *id);
void sim_writes_forwarded(struct sim_node *node, struct peers_call *call,
                          const struct forward_request *request);
// A client's write, now and then, until the time is over.
void sim_writes_begin(void);
// Writes go on, steadily, from the leader on.
void sim_writes_again(void);
// What key number i is called.
void sim_writes_digest(unsigned key, uint8_t digest[KR_DIGEST_SIZE]);
// Is it a key of this consumer?
bool sim_writes_is_of(unsigned key, const char *consumer_id);
