// SPDX-License-Identifier: Apache-2.0
// This node among the others: the links of replication/peers_link, wired to the control loop.
//
// A node without a bundle has none of it; every function takes NULL then. Control loop only.
#pragma once

#include "node/control.h"
#include "node/node.h"
#include "replication/peers_link.h"

struct peering;

struct peering_options {
    struct node *node;       // keeps
    struct uv_loop_s *loop;  // keeps
    struct control *control; // keeps
    struct roster *roster;   // keeps
};

// Binds the peer listener. Gives; *out is NULL on a node without peers.
must_use enum kr_err peering_new(const struct peering_options *options, struct peering **out,
                                 struct fault *fault);
// The end of a turn, behind replica_turn.
void peering_turn(struct peering *peering);
void peering_tick(struct peering *peering, uint64_t now_boot_ms);
void peering_leader_is(struct peering *peering, const char *member_id, const char *peer_address);
void peering_reload(struct peering *peering); // SIGHUP
// Closes every link, then calls closed and frees itself; at once where there is nothing to close.
void peering_close(struct peering *peering, void (*closed)(void *ctx), void *ctx);

struct peers *peering_peers(struct peering *peering);   // lends; NULL on a node without peers
bool peering_has_leader(const struct peering *peering); // within reach, as far as is known
