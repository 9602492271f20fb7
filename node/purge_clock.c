// SPDX-License-Identifier: Apache-2.0
// The believed time, and how long another one has been claimed.
#include "node/purge_clock.h"

static void believe(struct purge_clock *clock, int64_t unix_ms, uint64_t boot_ms)
{
    *clock = (struct purge_clock){.unix_ms = unix_ms, .boot_ms = boot_ms};
}

void purge_clock_init(struct purge_clock *clock, int64_t entry_ms, int64_t unix_ms,
                      uint64_t boot_ms)
{
    believe(clock, entry_ms != 0 ? entry_ms : unix_ms, boot_ms);
}

bool purge_clock_believes(struct purge_clock *clock, int64_t unix_ms, uint64_t boot_ms)
{
    int64_t expected_ms = clock->unix_ms + (int64_t)(boot_ms - clock->boot_ms);
    bool has_leapt = unix_ms > expected_ms + KR_PURGE_LEAP_MS;
    if (has_leapt && !clock->is_in_doubt) {
        clock->is_in_doubt = true;
        clock->doubt_boot_ms = boot_ms;
    }
    if (has_leapt && boot_ms - clock->doubt_boot_ms < KR_PURGE_DOUBT_MS)
        return false;
    believe(clock, unix_ms, boot_ms);
    return true;
}
