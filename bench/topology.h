// SPDX-License-Identifier: Apache-2.0
// A world's regions, the links between them, and which node is where: a YAML file.
//
// Addresses follow from the order in the file: region R (from 1) is 10.84.R.0/24, its programs come
// from 10.84.R.1, and its n-th node (from 1) is 10.84.R.(10 + n). A world of relays has another
// network in place of 10.84 (world.h).
#pragma once

#include "bench/link.h"
#include "core/base/fault.h"

#define KR_TOPOLOGY_NAME 32
#define KR_TOPOLOGY_ADDRESS 16
#define KR_TOPOLOGY_REGIONS 16
#define KR_TOPOLOGY_NODES 32
#define KR_TOPOLOGY_UPSTREAMS 4

struct topology_node {
    char name[KR_TOPOLOGY_NAME];
    char address[KR_TOPOLOGY_ADDRESS];
    size_t region;
    unsigned host; // the address's last part
    bool is_core;
    size_t upstreams[KR_TOPOLOGY_UPSTREAMS]; // positions in nodes; none: all core nodes
    size_t upstream_count;
};

struct topology {
    uint8_t net[2]; // of all addresses: 10, 84
    char regions[KR_TOPOLOGY_REGIONS][KR_TOPOLOGY_NAME];
    size_t region_count;
    struct link_shape shapes[KR_TOPOLOGY_REGIONS][KR_TOPOLOGY_REGIONS]; // [from][to]
    struct topology_node nodes[KR_TOPOLOGY_NODES];
    size_t node_count;
};

// Reads a file; path NULL: bench/five-regions.yaml, which the program carries. INVALID names what
// is wrong.
must_use enum kr_err topology_load(const char *path, struct topology *out, struct fault *fault);
// The region's position; region_count: there is none of this name.
size_t topology_region(const struct topology *topology, const char *name);
// 10.84.(region + 1).host
void topology_address(const struct topology *topology, size_t region, unsigned host,
                      char out[KR_TOPOLOGY_ADDRESS]);
// Gives all addresses another network.
void topology_move(struct topology *topology, const uint8_t net[2]);
// INVALID says which part of the shape is out of its bounds, or not to be had by this kind of link.
must_use enum kr_err topology_check_shape(enum link_kind kind, const struct link_shape *shape,
                                          struct fault *fault);
// INVALID names a link that this kind cannot be.
must_use enum kr_err topology_check_kind(const struct topology *topology, enum link_kind kind,
                                         struct fault *fault);
