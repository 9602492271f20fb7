// SPDX-License-Identifier: Apache-2.0
// How far a log that lies elsewhere (etcd) may be trimmed.
//
// INVARIANT. What is trimmed is on the disk of every core node that is waited for: any of them
// takes over from its own disk and the rest of the log, even after all have lost their power. So a
// node that is away for a restart is waited for, however full the log's place is of other things.
#pragma once

#include "replication/roster.h"
#include "replication/state.h"

// Whom the log does not wait for: core nodes that are not attached, and
struct trimming_limit {
    uint64_t lacking; // lack more entries than this on their disks,
    bool is_unheard;  // or have not been heard of since this node leads
};

// The entries below this index may go; 1: none. Who is passed over comes back from another node's
// log, or by a snapshot. Leader, control loop.
uint64_t trimming_below(const struct state *state, struct roster *roster,
                        const struct trimming_limit *limit, uint64_t now_ms);
