// SPDX-License-Identifier: Apache-2.0
// The boot clock, made of the kernel's: CLOCK_MONOTONIC_RAW, and how long the machine has slept.
//
// CLOCK_BOOTTIME and CLOCK_MONOTONIC go on at the rate that NTP gives them, and a daemon that mends
// an offset may slow them or speed them up by 10 % (adjtimex(2), ADJ_TICK; chrony.conf(5),
// maxslewrate). Leases allow for KR_LEASE_DRIFT_PPM, which holds for an oscillator and not for
// that. CLOCK_MONOTONIC_RAW is the oscillator; but it stands still while the machine sleeps. The
// two others do not differ but by that sleep, so their difference is added to it.
//
//   INVARIANT. What is told lies between the oscillator's time with all sleep, at the begin of the
//   call less KR_CLOCK_BOOT_LATE_NS, and the same at its end; and it does not go back.
#pragma once

#include <stdint.h>
#include <time.h>

#define KR_CLOCK_BOOT_LATE_NS 3000000

typedef int64_t clock_boot_read_fn(clockid_t id); // ns

// What was seen when the machine's sleep was last measured. Any thread, without a lock.
struct clock_boot {
    _Atomic int64_t slept_ns;
    _Atomic int64_t gap_ns; // from the raw clock to CLOCK_BOOTTIME
};

#define KR_CLOCK_BOOT_INIT                                                                         \
    {                                                                                              \
        .slept_ns = INT64_MIN / 2, .gap_ns = INT64_MIN / 2                                         \
    }

uint64_t clock_boot_ns(struct clock_boot *boot, clock_boot_read_fn *read);
