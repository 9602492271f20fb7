// SPDX-License-Identifier: Apache-2.0
// Validators.
#pragma once

#include "tests/sim/sim.h"

void sim_asks_begin(void);
// The next node that finds a key VALID is stopped for so long before it answers.
void sim_asks_pause_next(uint64_t duration_us);
