// SPDX-License-Identifier: Apache-2.0
// How many questions of a loop wait for an index, and when the first of them may be over.
//
// Anybody may ask for an index that will not come. So there is an end to how many wait, and nobody
// looks at each of them before one can be over. Serving loop only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KR_WAITS_MAX 1024  // of a loop and a protocol; whoever comes behind them is not waited for
#define KR_WAITS_MS 1000   // how long one waits
#define KR_WAITS_POLL_MS 2 // how often it is asked whether one is over

struct waits {
    size_t count;
    uint64_t lowest_index, first_end_ms; // of them all, or below
};

void waits_init(struct waits *waits);
// One more, for that index, until then. False: there are as many as there may be.
bool waits_add(struct waits *waits, uint64_t index, uint64_t end_ms);
void waits_remove(struct waits *waits); // one less
// May one be over, now that the node has applied so much? Then look at each: init, and add those
// that still wait.
bool waits_are_due(const struct waits *waits, uint64_t applied_index, uint64_t now_ms);
