// SPDX-License-Identifier: Apache-2.0
// The boot clock: two readings, and a closer look when their distance has changed.
#include "core/base/clock_boot.h"

#include <stdatomic.h>

enum {
    KR_CLOCK_BOOT_TRIES = 64,
    KR_CLOCK_BOOT_NEAR_NS = 50000, // two readings without an interruption between them
    KR_CLOCK_BOOT_CHANGED_NS = 1000000
};

// The smallest difference is the one that was interrupted least, and so is its distance, which is
// kept with it: a sleep behind it is seen by the next call.
static void look(struct clock_boot *boot, clock_boot_read_fn *read)
{
    int64_t slept_ns = INT64_MAX, gap_ns = 0;
    for (int i = 0; i < KR_CLOCK_BOOT_TRIES; i++) {
        int64_t before_ns = read(CLOCK_MONOTONIC), raw_ns = read(CLOCK_MONOTONIC_RAW);
        int64_t boot_ns = read(CLOCK_BOOTTIME), after_ns = read(CLOCK_MONOTONIC);
        if (boot_ns - before_ns < slept_ns) {
            slept_ns = boot_ns - before_ns;
            gap_ns = boot_ns - raw_ns;
        }
        if (after_ns - before_ns < KR_CLOCK_BOOT_NEAR_NS)
            break;
    }
    int64_t known_ns = atomic_load(&boot->slept_ns);
    while (slept_ns > known_ns + KR_CLOCK_BOOT_CHANGED_NS &&
           !atomic_compare_exchange_weak(&boot->slept_ns, &known_ns, slept_ns))
        ;
    atomic_store(&boot->gap_ns, gap_ns);
}

// The distance changes as NTP turns the other clock's rate, a little at a time, and leaps when the
// machine has slept.
uint64_t clock_boot_ns(struct clock_boot *boot, clock_boot_read_fn *read)
{
    int64_t raw_ns = read(CLOCK_MONOTONIC_RAW), boot_ns = read(CLOCK_BOOTTIME);
    int64_t change_ns =
        boot_ns - raw_ns - atomic_load_explicit(&boot->gap_ns, memory_order_acquire);
    if (change_ns > KR_CLOCK_BOOT_CHANGED_NS || change_ns < -KR_CLOCK_BOOT_CHANGED_NS)
        look(boot, read);
    return (uint64_t)(raw_ns + atomic_load_explicit(&boot->slept_ns, memory_order_relaxed));
}
