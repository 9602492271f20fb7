// SPDX-License-Identifier: Apache-2.0
// Weights and slices of threads, by sched_setattr(2), for which the C library has no function.
#include "core/base/priority.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

// Who has slept is picked before who has been running, if its slice is the shorter one; else it
// waits until the other's is over, some milliseconds. 100 us is the shortest that the kernel takes,
// and 100 ms the longest. On the core of who spins the kernel's own work waits as well, such as a
// file system's behind an interrupt of the disk, and with it a flush of what is waited for.
static const struct {
    uint32_t policy;
    int32_t nice; // at least
    uint64_t slice_ns, flags;
} classes[] = {
    [KR_PRIORITY_ANSWERS] = {SCHED_NORMAL, -20, UINT64_C(100000), 0},
    [KR_PRIORITY_ORDERS] = {SCHED_BATCH, 5, 0, 0},
    [KR_PRIORITY_WORK] = {SCHED_BATCH, 10, 0, 0},
    [KR_PRIORITY_SPIN] = {SCHED_NORMAL, -20, UINT64_C(100000000), SCHED_FLAG_RESET_ON_FORK},
};

void priority_take(enum priority priority)
{
    int nice = getpriority(PRIO_PROCESS, 0); // of this thread alone
    struct sched_attr attr = {
        .size = sizeof(attr),
        .sched_policy = classes[priority].policy,
        .sched_flags = classes[priority].flags,
        .sched_nice = nice > classes[priority].nice ? nice : classes[priority].nice,
        .sched_runtime = classes[priority].slice_ns,
    };
    (void)syscall(SYS_sched_setattr, 0, &attr, 0U);
}
