// SPDX-License-Identifier: Apache-2.0
// How far a log that lies elsewhere (etcd) may be trimmed.
//
// INVARIANT. What is trimmed is on the disk of every core node that is waited for: any of them
// takes over from its own disk and the rest of the log, even after all have lost their power.
#pragma once

#include "replication/roster.h"
#include "replication/state.h"

// The entries below this index may go; 1: none. is_crowded: the log is large, and a core node that
// is not attached is waited for no more; it comes back by a snapshot. Leader, control loop.
uint64_t trimming_below(const struct state *state, struct roster *roster, bool is_crowded,
                        uint64_t now_ms);
