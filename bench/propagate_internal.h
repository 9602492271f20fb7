// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench propagate --world: what its files share.
#pragma once

#include "bench/prober.h"
#include "bench/propagate_samples.h"

#define KR_PROPAGATE_BURST 32 // keys, each revoked by a call of its own
#define KR_PROPAGATE_BUCKETS "/v1/accounts/default/key-buckets"
#define KR_PROPAGATE_CONSUMER KR_PROPAGATE_BUCKETS "/production/consumers/propagate"

struct propagate_key {
    char value[128], id[64];
};

struct propagate_bench {
    const char *topology_path, *engine, *programs;
    uint64_t rounds, bursts, cuts, bulk_keys, seed;
    double rate;
    bool is_relay;
    struct topology topology;
    struct world world;
    char name[KR_WORLD_NAME], world_name[64], directory[256], own_programs[512];
    struct cluster cluster;
    struct prober prober;
    struct manage calls[KR_PROPAGATE_BURST]; // beside the cluster's own
    size_t call_count;
    struct propagate_key *keys; // made and not yet revoked, from key_next
    size_t key_count, key_next;
    double *joins_ms; // of a follower from empty until it was ready; room for one a round and one
    size_t join_count;
    uint64_t join_began_ns; // of the one under way; 0: none is
    struct result_run results;
    struct fault fault;
};

// Imports the keys of the bucket that is revoked at once, which load and bulk draw from.
must_use enum kr_err propagate_import(struct propagate_bench *bench);
// All phases, one after the other; each writes its rows when it is over.
must_use enum kr_err propagate_phases(struct propagate_bench *bench);
