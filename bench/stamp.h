// SPDX-License-Identifier: Apache-2.0
// UDP sockets that tell when the kernel received a packet, on the clock by which it was sent.
#pragma once

#include <netinet/in.h>
#include <sys/types.h>

#include "bench/world.h"

struct stamp {
    uint64_t epoch_ns; // CLOCK_REALTIME, by which the kernel stamps, less CLOCK_MONOTONIC
};

// Compares the clocks; again before each measurement, since one of them is corrected.
void stamp_init(struct stamp *stamp);
// A non-blocking socket of the place, bound to the address; -1 with errno.
int stamp_open(const struct world_place *place, const struct sockaddr_in *address);
// The size of a packet and when it came, by CLOCK_MONOTONIC; -1: there is none.
ssize_t stamp_receive(const struct stamp *stamp, int fd, void *bytes, size_t size_bytes,
                      uint64_t *at_ns);
