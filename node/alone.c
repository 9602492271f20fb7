// SPDX-License-Identifier: Apache-2.0
// A node without peers, put on the board now and then.
#include "node/alone.h"

#include <stdio.h>

void alone_tick(struct alone *alone, const struct node *node, uint64_t now_boot_ms)
{
    throughput_measure(&alone->throughput, node, now_boot_ms);
    if (now_boot_ms < alone->board_at_ms)
        return;
    alone->board_at_ms = now_boot_ms + KR_BOARD_MS;
    bool is_leader = replica_is_leader(node->replica);
    struct board_node self = {.state = atomic_load(&node->is_loaded) ? KR_BOARD_SERVING
                                                                     : KR_BOARD_LOADING,
                              .index = store_applied_index(node->store),
                              .lag_ms = replica_age_ms(node->replica, now_boot_ms),
                              .lease_ms = is_leader ? KR_REPLICA_WINDOW_MS : 0,
                              .round_trip_us = KR_BOARD_UNKNOWN,
                              .validations_per_second = alone->throughput.per_second};
    struct board_facts facts = {.nodes = &self, .count = 1, .epoch = replica_epoch(node->replica)};
    snprintf(self.id, sizeof(self.id), "%s", node->identity.node_id);
    snprintf(self.version, sizeof(self.version), "%s", KR_VERSION);
    if (is_leader)
        snprintf(facts.leader_id, sizeof(facts.leader_id), "%s", node->identity.node_id);
    board_put(node->board, &facts);
}
