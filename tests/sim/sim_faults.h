// SPDX-License-Identifier: Apache-2.0
// The cluster that a seed makes, and what befalls it.
#pragma once

#include "tests/sim/sim.h"

// Makes the nodes and the ways between them, and plans the faults.
void sim_faults_begin(void);
// A node has found that its state is wrong: the leader may die before that is mended.
void sim_faults_found(const struct sim_node *node);
