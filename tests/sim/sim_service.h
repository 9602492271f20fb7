// SPDX-License-Identifier: Apache-2.0
// The register service under the engines: linearizable transactions over one leader key and the
// log's keys, leases that run out by its own clock, and calls that are lost before their effect or
// behind it.
#pragma once

#include "tests/sim/sim.h"

#define KR_SIM_TTL_MS 2000
#define KR_SIM_CALL_MS 700 // then nobody knows

enum sim_call_kind {
    KR_SIM_CAMPAIGN,
    KR_SIM_LOOK, // who leads
    KR_SIM_KEEP_ALIVE,
    KR_SIM_APPEND,
    KR_SIM_READ,
    KR_SIM_RESIGN,
};

enum sim_call_result {
    KR_SIM_UNKNOWN, // no answer came
    KR_SIM_DONE,
    KR_SIM_REFUSED, // the leader key is another's, or nobody's
    KR_SIM_TAKEN    // that log key is there already
};

struct sim_call {
    enum sim_call_kind kind;
    uint64_t epoch, index; // the guard; the first row, or where to read from
    struct bytes *rows;    // of APPEND, and what READ found; heap
    size_t count;
    // what came of it
    enum sim_call_result result;
    uint64_t first, last; // READ: what the service has
    struct sim_node *leader;
    uint64_t sent_ms; // by the caller's clock
    // the service's own
    struct sim_node *node;
    uint64_t incarnation, number;
    bool is_answered;
};

typedef void sim_call_fn(struct sim_node *node, struct sim_call *call);

void sim_service_new(void);
void sim_service_free(void);
// Copies what to ask; done comes once to that process, in a later event. The call is lent for it.
void sim_service_ask(struct sim_node *node, const struct sim_call *call, sim_call_fn *done);
// Cuts a node off for so long, behind the effect of its append and before its answer.
void sim_service_cut_next(uint64_t duration_us);
void sim_service_trim(uint64_t below_index);
uint64_t sim_service_count(void); // entries of the log
uint64_t sim_service_last(void);
