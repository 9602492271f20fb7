// SPDX-License-Identifier: Apache-2.0
// How far a log that lies elsewhere (etcd) may be trimmed.
//
// INVARIANT. What is trimmed is on the disk of every core node that is waited for: any of them
// takes over from its own disk and the rest of the log, even after all have lost their power. So a
// node that is away for a restart is waited for, however full the log's place is of other things.
#pragma once

#include "replication/roster.h"
#include "replication/state.h"

#define KR_TRIMMING_MARKS 64

// How many bytes this leader had appended when the log ended where: what a node lacks.
struct trimming_tail {
    struct {
        uint64_t end_index, bytes;
    } marks[KR_TRIMMING_MARKS]; // oldest first; a ring
    size_t first, count;
};

// The log ends there, behind so many bytes of this leadership; most_bytes as below. Each second.
void trimming_note(struct trimming_tail *tail, uint64_t end_index, uint64_t bytes,
                   uint64_t most_bytes);
// Who has all up to this index lacks most_bytes at most, of a log noted just now. What lay there
// before this leadership is taken to have entry_bytes an entry.
uint64_t trimming_near(const struct trimming_tail *tail, uint64_t bytes, uint64_t most_bytes,
                       uint64_t entry_bytes);

// Whom the log does not wait for: core nodes that are not attached, and
struct trimming_limit {
    uint64_t near_index; // do not have all up to there,
    bool is_unheard;     // or have not been heard of since this node leads
};

// The entries below this index may go; 1: none. Who is passed over comes back from another node's
// log, or by a snapshot. Leader, control loop.
uint64_t trimming_below(const struct state *state, struct roster *roster,
                        const struct trimming_limit *limit, uint64_t now_ms);
