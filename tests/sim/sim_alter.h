// SPDX-License-Identifier: Apache-2.0
// Frames that are changed on their way: what is broken on purpose, and damage.
#pragma once

#include "tests/sim/sim.h"

// The frame at before, the last of out, as the node sends it.
void sim_alter_out(struct sim_node *node, struct buf *out, size_t before);
// A frame as the node gets it. False: it never came.
bool sim_alter_in(struct sim_node *node, struct peer_frame *frame);
// The next chunk of a snapshot that any node sends is damaged.
void sim_alter_rot_chunk(void);
