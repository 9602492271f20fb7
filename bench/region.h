// SPDX-License-Identifier: Apache-2.0
// A region of an emulated world: a network namespace with a TUN device, whose packets the caller
// reads and writes, and with whole subnets of addresses.
//
// Namespace and device have no name outside and are held by their descriptors alone, so that they
// are gone when these are closed, however that comes about, and no process is in the namespace.
#pragma once

#include <stddef.h>

#include "bench/topology.h"

#define KR_REGION_MTU 1500
#define KR_REGION_PACKET 2048 // what a packet is read into

struct region {
    int net_fd; // the namespace, for setns(2)
    int tun_fd; // whole IP packets, non-blocking
};

// number from 0. FORBIDDEN: without the rights; NOT_FOUND: this machine has no TUN. The calling
// thread is in its own namespace again afterwards.
must_use enum kr_err region_open(const struct topology *topology, size_t number, struct region *out,
                                 struct fault *fault);
void region_close(struct region *region);
