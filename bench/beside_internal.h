// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench beside: what its files share.
#pragma once

#include "bench/beside.h"
#include "bench/flush.h"
#include "bench/result.h"

enum { KR_BESIDE_SYSTEMS = 4, KR_BESIDE_PATH = 256 };

struct beside_side {
    const struct beside_system *system;
    struct beside_state state;
    double *delays_us, *excesses_us; // one a round
};

struct beside {
    const char *wanted, *programs, *near_region, *far_region;
    uint64_t rounds, ttl_seconds;
    bool is_in_world, is_relay;
    struct world world;
    struct site near, far;
    char directory[KR_BESIDE_PATH], own_programs[KR_BESIDE_PATH];
    struct program_user user;
    struct beside_side sides[KR_BESIDE_SYSTEMS];
    size_t side_count;
    struct program echo;
    struct talk echo_talk;
    struct flush flush;
    double *links_us, *flushes_us; // one a round
    struct result_run results;
    struct fault fault;
};

// Writes the rows of a run that is over, and prints its table.
void beside_results(struct beside *bench);
