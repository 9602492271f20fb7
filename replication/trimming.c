// SPDX-License-Identifier: Apache-2.0
// How far the log may be trimmed: by what core nodes say of their disks. See trimming.h.
#include "replication/trimming.h"

struct trimming {
    const struct state *state;
    uint64_t below_index;
    bool is_crowded;
};

static bool is_core(const struct state *state, const char *id)
{
    struct state_member member;
    return state->member(state->ctx, id, &member) && member.is_core && !member.is_removed;
}

static void note_core(void *ctx, const struct roster_view *seen)
{
    struct trimming *trimming = ctx;
    if (!is_core(trimming->state, seen->id) || (trimming->is_crowded && !seen->is_attached))
        return;
    if (seen->safe_index + 1 < trimming->below_index)
        trimming->below_index = seen->safe_index + 1;
}

uint64_t trimming_below(const struct state *state, struct roster *roster, bool is_crowded,
                        uint64_t now_ms)
{
    struct trimming trimming = {
        .state = state, .below_index = state->safe_index(state->ctx) + 1, .is_crowded = is_crowded};
    const struct roster_demand demand = {0, KR_UNBOUNDED};
    roster_each(roster, &demand, now_ms, note_core, &trimming);
    return trimming.below_index;
}
