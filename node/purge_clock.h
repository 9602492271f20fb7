// SPDX-License-Identifier: Apache-2.0
// Whether the wall clock is to be believed in what is due: a purge is for good, and on all nodes.
//
// A clock that goes on from where it was, with the machine's own, is believed. One that has leapt
// ahead by more than a week, while the node ran or since its newest entry, is not before it has
// stood by that for an hour, in which somebody may set it right. Pure; one thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define KR_PURGE_LEAP_MS (INT64_C(7) * 86400000)
#define KR_PURGE_DOUBT_MS UINT64_C(3600000)

struct purge_clock {
    int64_t unix_ms;  // believed last …
    uint64_t boot_ms; // … at this time of the machine's own clock
    uint64_t doubt_boot_ms;
    bool is_in_doubt; // since doubt_boot_ms
};

// entry_ms: of the node's newest entry; 0: it has none.
void purge_clock_init(struct purge_clock *clock, int64_t entry_ms, int64_t unix_ms,
                      uint64_t boot_ms);
bool purge_clock_believes(struct purge_clock *clock, int64_t unix_ms, uint64_t boot_ms);
