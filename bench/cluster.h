// SPDX-License-Identifier: Apache-2.0
// A Keyreeve cluster that the bench starts, in an emulated world or on this machine's loopback:
// certificates, an etcd member beside each core node where the engine is etcd, and the nodes of the
// topology. Everything lies in one directory and ends with the world, or with this process.
#pragma once

#include "bench/manage.h"
#include "bench/program.h"
#include "bench/topology.h"

#define KR_CLUSTER_HTTP 7400
#define KR_CLUSTER_BINARY 7401
#define KR_CLUSTER_PEERS 7402

struct cluster_plan {
    const char *world;               // that runs; NULL: loopback, where the nodes' addresses are
    const struct topology *topology; // its nodes; the first is a core node, and leads at first
    const char *engine;              // "local" or "etcd"
    const char *programs;            // the folder of keyreeved and keyreeve
    const char *directory;           // there, empty
};

struct cluster_node {
    const struct topology_node *at;
    struct site site;
    char peer_address[INET_ADDRSTRLEN]; // at which other nodes reach it
    struct program program, etcd;
};

struct cluster {
    struct cluster_plan plan;
    struct cluster_node nodes[KR_TOPOLOGY_NODES];
    size_t count;
    struct manage leader; // the first node's management API, from its own region
    struct fault *fault;
};

// Starts all and waits until every node is ready. Must be ended by cluster_down, also when it
// fails. Keeps the plan's parts and fault.
must_use enum kr_err cluster_up(struct cluster *cluster, const struct cluster_plan *plan,
                                struct fault *fault);
void cluster_down(struct cluster *cluster);

// Ends the node, forgets its state, and starts it again, without waiting for anything.
must_use enum kr_err cluster_restart_empty(struct cluster *cluster, size_t node);
// Whether the node says that it is ready.
bool cluster_is_ready(const struct cluster *cluster, size_t node);
// Waits for that, for five minutes: a million keys over a long link take their time.
must_use enum kr_err cluster_await_ready(struct cluster *cluster, size_t node);
