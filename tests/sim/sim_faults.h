// SPDX-License-Identifier: Apache-2.0
// The cluster that a seed makes, and what befalls it.
#pragma once

#include "tests/sim/sim.h"

// Makes the nodes and the ways between them, and plans the faults.
void sim_faults_begin(void);
