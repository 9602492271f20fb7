// SPDX-License-Identifier: Apache-2.0
// What beside measures: systems in which a change at a primary is seen at a replica.
//
// A round of a system: ready (the key is there and good at the replica) → change (its key is taken
// away at the primary) → look, over and over, until the replica shows it → settle (the primary's
// answer is read). All functions return the error of the first thing that failed.
#pragma once

#include "bench/api.h"
#include "bench/program.h"

// One system's processes and connections. What it does not need stays empty.
struct beside_state {
    struct site near, far; // the primary is near, the replica far
    char directory[256];   // its own, for its user
    struct program_user user;
    struct program programs[2];
    uint16_t ports[2];
    struct talk primary, replica;
    uint64_t round;
    // Keyreeve's:
    const char *world, *near_region, *far_region; // world NULL: loopback
    const char *folder;                           // of keyreeved and keyreeve
    char token[KR_API_TOKEN], consumer[64];
    struct api_key key;
    struct fault *fault;
};

struct beside_system {
    const char *name, *label;
    const char *settings; // what its answer waits for, for the rows
    int stop_signal;
    enum kr_err (*start)(struct beside_state *state);
    enum kr_err (*ready)(struct beside_state *state);
    enum kr_err (*change)(struct beside_state *state);
    enum kr_err (*look)(struct beside_state *state, bool *is_seen);
    enum kr_err (*settle)(struct beside_state *state);
};

extern const struct beside_system beside_redis, beside_postgres, beside_etcd, beside_keyreeve;
