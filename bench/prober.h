// SPDX-License-Identifier: Apache-2.0
// Asks every node of a cluster the same keys, over and over, and notes when each first refuses
// which; beside it measures the ways from the first node's region, on the same clock.
//
// A node is asked from within its own region, so that no link but the cluster's own is in what is
// measured. One thread, which spins while it watches: give it a core of its own.
#pragma once

#include "bench/channel.h"
#include "bench/cluster.h"
#include "bench/way.h"

#define KR_PROBER_KEYS KR_BINARY_KEYS_MAX
#define KR_PROBER_WAYS 512 // packets a region and round

struct prober_key {
    uint64_t refused_ns; // first time that the node said REVOKED; 0: not yet
    uint64_t valid_ns;   // last time that it said VALID
};

struct prober_node {
    const struct cluster_node *at;
    bool is_watched;
    struct channel probes, load;
    struct prober_key keys[KR_PROBER_KEYS];
    size_t left;         // keys that it has not refused
    uint64_t watched_ns; // time spent on watching it
    uint64_t probes_sent, load_keys;
};

struct prober {
    const struct cluster *cluster;
    struct prober_node *nodes; // in the cluster's order
    size_t count, key_count;
    double rate;       // probes a second and node
    uint64_t since_ns; // of this watching
    bool is_loaded;
    struct stamp stamp;
    struct way ways[KR_TOPOLOGY_REGIONS]; // from the first node's region; closed: it has no node
    double ways_us[KR_TOPOLOGY_REGIONS][KR_PROBER_WAYS];
    size_t way_counts[KR_TOPOLOGY_REGIONS];
    uint64_t next_way_ns, ways_since_ns; // what set out before does not count
    size_t next_region;
    struct fault *fault;
};

// Connects to every node. Must be closed, also when it fails. Keeps cluster and fault.
must_use enum kr_err prober_open(struct prober *prober, const struct cluster *cluster, double rate,
                                 struct fault *fault);
void prober_close(struct prober *prober);
// Connects anew to a node that was started again, and watches it.
must_use enum kr_err prober_rejoin(struct prober *prober, size_t node);
// Leaves a node out until prober_rejoin.
void prober_leave(struct prober *prober, size_t node);

// From now on asks these keys (count ≤ KR_PROBER_KEYS); waits until all nodes that are watched know
// them as VALID.
must_use enum kr_err prober_begin(struct prober *prober, const struct bytes *keys, size_t count);
// One turn: asks who has not refused everything, and hears what they say.
must_use enum kr_err prober_turn(struct prober *prober);
// Nodes that are watched and have not refused every key.
size_t prober_left(const struct prober *prober);
// The median of a region's one-way delay since prober_begin; NAN: no packet has come. Zero in the
// first node's region.
double prober_way_us(struct prober *prober, size_t region);

// Validations beside the probes: the same keys, at most so many a second and node in all; 0 ends
// them.
void prober_load(struct prober *prober, const struct bytes *keys, size_t count, double per_second);
// Validations a second of all nodes together that are answered when each has always some to answer.
must_use enum kr_err prober_measure_capacity(struct prober *prober, const struct bytes *keys,
                                             size_t count, double seconds, double *per_second);
