// SPDX-License-Identifier: Apache-2.0
// How far the log may be trimmed: by what core nodes say of their disks. See trimming.h.
#include "replication/trimming.h"

struct trimming {
    const struct state *state;
    const struct trimming_limit *limit;
    uint64_t below_index;
};

// --- what a node lacks ---------------------------------------------------------------------------

static size_t place_of(const struct trimming_tail *tail, size_t number)
{
    return (tail->first + number) % KR_TRIMMING_MARKS;
}

// So far apart that all of them reach back twice as far as anybody is waited for.
void trimming_note(struct trimming_tail *tail, uint64_t end_index, uint64_t bytes,
                   uint64_t most_bytes)
{
    uint64_t step = most_bytes / (KR_TRIMMING_MARKS / 2);
    if (tail->count > 0 && bytes < tail->marks[place_of(tail, tail->count - 1)].bytes + step)
        return;
    if (tail->count == KR_TRIMMING_MARKS) {
        tail->first = place_of(tail, 1);
        tail->count--;
    }
    tail->count++;
    size_t last = place_of(tail, tail->count - 1);
    tail->marks[last].end_index = end_index;
    tail->marks[last].bytes = bytes;
}

uint64_t trimming_near(const struct trimming_tail *tail, uint64_t bytes, uint64_t most_bytes,
                       uint64_t entry_bytes)
{
    for (size_t i = 0; i < tail->count; i++) {
        size_t at = place_of(tail, i);
        uint64_t behind = bytes - tail->marks[at].bytes, index = tail->marks[at].end_index;
        if (behind > most_bytes)
            continue;
        // The oldest mark in reach; what lies before it is bounded by the next one, or guessed.
        uint64_t guessed = i == 0 ? (most_bytes - behind) / entry_bytes : 0;
        return index > guessed ? index - guessed : 0;
    }
    return 0;
}

// --- who is waited for ---------------------------------------------------------------------------

static bool is_core(const struct state *state, const char *id)
{
    struct state_member member;
    return state->member(state->ctx, id, &member) && member.is_core && !member.is_removed;
}

static bool is_passed_over(const struct trimming *trimming, const struct roster_view *seen)
{
    if (seen->is_attached)
        return false;
    if (seen->said_index == 0)
        return trimming->limit->is_unheard;
    // One that has just come, and has not said yet what is safe, lacks about what is beyond that.
    uint64_t index = seen->safe_index > 0 ? seen->safe_index : seen->said_index;
    return index < trimming->limit->near_index;
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
    struct trimming trimming = {
        .state = state, .limit = limit, .below_index = state->safe_index(state->ctx) + 1};
    const struct roster_demand demand = {0, KR_UNBOUNDED};
    roster_each(roster, &demand, now_ms, note_core, &trimming);
    return trimming.below_index;
}
