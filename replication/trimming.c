// SPDX-License-Identifier: Apache-2.0
// How far the log may be trimmed: by what core nodes say of their disks. See trimming.h.
#include "replication/trimming.h"

struct trimming {
    const struct state *state;
    const struct trimming_limit *limit;
    uint64_t applied_index, below_index;
};

static bool is_core(const struct state *state, const char *id)
{
    struct state_member member;
    return state->member(state->ctx, id, &member) && member.is_core && !member.is_removed;
}

static bool is_passed_over(const struct trimming *trimming, const struct roster_view *seen)
{
    if (seen->is_attached)
        return false;
    if (seen->applied_index == 0)
        return trimming->limit->is_unheard;
    return seen->safe_index + trimming->limit->lacking < trimming->applied_index;
}

static void note_core(void *ctx, const struct roster_view *seen)
{
    struct trimming *trimming = ctx;
    if (!is_core(trimming->state, seen->id) || is_passed_over(trimming, seen))
        return;
    if (seen->safe_index + 1 < trimming->below_index)
        trimming->below_index = seen->safe_index + 1;
}

uint64_t trimming_below(const struct state *state, struct roster *roster,
                        const struct trimming_limit *limit, uint64_t now_ms)
{
    struct trimming trimming = {.state = state,
                                .limit = limit,
                                .applied_index = state->applied_index(state->ctx),
                                .below_index = state->safe_index(state->ctx) + 1};
    const struct roster_demand demand = {0, KR_UNBOUNDED};
    roster_each(roster, &demand, now_ms, note_core, &trimming);
    return trimming.below_index;
}
