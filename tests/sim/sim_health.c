// SPDX-License-Identifier: Apache-2.0
// What the state says of itself: whether its disk has room, and whether it is known to be wrong.
#include "tests/sim/sim.h"
#include "tests/sim/sim_faults.h"

enum kr_err sim_state_check_room(void *ctx, uint64_t size_bytes, struct fault *fault)
{
    const struct sim_state *state = ctx;
    return state->is_full ? fault_set(fault, KR_ERR_DISK_FULL, "no room for %llu bytes",
                                      (unsigned long long)size_bytes)
                          : KR_ERR_OK;
}

static bool is_wrong(void *ctx)
{
    return ((struct sim_state *)ctx)->is_wrong;
}

static enum kr_err mark_wrong(void *ctx, const char *why, struct fault *fault)
{
    struct sim_state *state = ctx;
    (void)fault;
    sim_say("its state is wrong: %s", why);
    state->is_wrong |= !state->node->is_dying;
    sim_faults_found(state->node);
    return KR_ERR_OK;
}

void sim_state_health(struct state *out)
{
    out->check_room = sim_state_check_room;
    out->is_wrong = is_wrong;
    out->mark_wrong = mark_wrong;
}
