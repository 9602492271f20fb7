// SPDX-License-Identifier: Apache-2.0
// Sockets that tell when the kernel received what they receive, on the clock by which it was sent.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct stamp {
    uint64_t epoch_ns; // CLOCK_REALTIME, by which the kernel stamps, less CLOCK_MONOTONIC
};

// Compares the clocks; again before each measurement, since one of them is corrected.
void stamp_init(struct stamp *stamp);
// From now on the socket tells; of a stream, when the last part of what is read came. False, with
// errno.
bool stamp_ask(int fd);
// The size of what has come and when it came, by CLOCK_MONOTONIC; -1: there is none.
ssize_t stamp_receive(const struct stamp *stamp, int fd, void *bytes, size_t size_bytes,
                      uint64_t *at_ns);
