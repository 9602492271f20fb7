// SPDX-License-Identifier: Apache-2.0
// A world's regions, the links between them, and which node is where: a YAML file.
//
// Addresses follow from the order in the file: region R (from 1) is 10.84.R.0/24, its programs come
// from 10.84.R.1, and its n-th node (from 1) is 10.84.R.(10 + n).
#pragma once

#include "bench/link.h"
#include "core/base/fault.h"

#define KR_TOPOLOGY_NAME 32
#define KR_TOPOLOGY_ADDRESS 16
#define KR_TOPOLOGY_NODES 32
#define KR_TOPOLOGY_UPSTREAMS 4

struct topology_node {
    char name[KR_TOPOLOGY_NAME];
    char address[KR_TOPOLOGY_ADDRESS];
    size_t region;
    bool is_core;
    size_t upstreams[KR_TOPOLOGY_UPSTREAMS]; // positions in nodes; none: all core nodes
    size_t upstream_count;
};

struct topology {
    char regions[KR_LINK_PLACES][KR_TOPOLOGY_NAME];
    size_t region_count;
    struct link_shape shapes[KR_LINK_PLACES][KR_LINK_PLACES]; // [from][to]
    struct topology_node nodes[KR_TOPOLOGY_NODES];
    size_t node_count;
};

// Reads a file; path NULL: bench/five-regions.yaml, which the program carries. INVALID names what
// is wrong.
must_use enum kr_err topology_load(const char *path, struct topology *out, struct fault *fault);
// The region's position; region_count: there is none of this name.
size_t topology_region(const struct topology *topology, const char *name);
// 10.84.(region + 1).host
void topology_address(size_t region, unsigned host, char out[KR_TOPOLOGY_ADDRESS]);
// INVALID says which part of the shape is out of its bounds.
must_use enum kr_err topology_check_shape(const struct link_shape *shape, struct fault *fault);
