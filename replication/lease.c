// SPDX-License-Identifier: Apache-2.0
// The freshness lease's rules. See also roster.c, which bounds from outside what these allow.
#include "replication/lease.h"

#include <string.h>

uint64_t lease_drift_ms(uint64_t span_ms)
{
    uint64_t drift_ms = span_ms / 1000000 * KR_LEASE_DRIFT_PPM +
                        (span_ms % 1000000 * KR_LEASE_DRIFT_PPM + 999999) / 1000000;
    return drift_ms > 0 ? drift_ms : 1;
}

void lease_init(struct lease *lease, uint64_t applied_index, uint64_t now_ms)
{
    *lease = (struct lease){.since_ms = now_ms, .applied_index = applied_index};
}

void lease_forget(struct lease *lease, uint64_t applied_index)
{
    uint64_t last_seq = lease->last_seq;
    lease_init(lease, applied_index, lease->since_ms);
    lease->last_seq = last_seq;
}

void lease_led(struct lease *lease, uint64_t applied_index, uint64_t until_ms)
{
    lease_forget(lease, applied_index);
    lease->until_ms = until_ms;
}

uint64_t lease_ask(struct lease *lease, uint64_t now_ms)
{
    uint64_t seq = ++lease->last_seq;
    lease->asked[seq % KR_LEASE_ASKED].seq = seq;
    lease->asked[seq % KR_LEASE_ASKED].at_ms = now_ms;
    return seq;
}

static void extend(struct lease *lease, uint64_t until_ms)
{
    if (until_ms > lease->until_ms)
        lease->until_ms = until_ms;
}

// Keeps both columns ascending: what ends no earlier and asks for no more makes others needless.
// Without room the last one gives way, since the first will be applied first.
static void add_pending(struct lease *lease, struct lease_grant grant)
{
    uint32_t count = lease->pending_count;
    while (count > 0 && lease->pending[count - 1].index >= grant.index &&
           lease->pending[count - 1].until_ms <= grant.until_ms)
        count--;
    bool is_needless = count > 0 && lease->pending[count - 1].until_ms >= grant.until_ms;
    if (!is_needless) {
        if (count == KR_LEASE_PENDING)
            count--;
        lease->pending[count++] = grant;
    }
    lease->pending_count = count;
}

// Everything asked up to seq is settled.
static void settle(struct lease *lease, uint64_t seq)
{
    for (int i = 0; i < KR_LEASE_ASKED; i++) {
        if (lease->asked[i].seq <= seq)
            lease->asked[i].seq = 0;
    }
}

bool lease_granted(struct lease *lease, uint64_t seq, uint64_t remaining_ms, uint64_t index)
{
    uint64_t asked_ms = lease->asked[seq % KR_LEASE_ASKED].at_ms;
    if (seq == 0 || lease->asked[seq % KR_LEASE_ASKED].seq != seq)
        return false;
    settle(lease, seq);
    if (remaining_ms > KR_LEASE_WINDOW_MS)
        remaining_ms = KR_LEASE_WINDOW_MS;
    uint64_t drift_ms = lease_drift_ms(remaining_ms);
    uint64_t until_ms = asked_ms + (remaining_ms > drift_ms ? remaining_ms - drift_ms : 0);
    bool is_older = until_ms < lease->since_ms + KR_LEASE_WINDOW_MS;
    if (remaining_ms == 0 || is_older) // 0: the upstream knows nothing itself
        return true;
    if (index <= lease->applied_index)
        extend(lease, until_ms);
    else
        add_pending(lease, (struct lease_grant){index, until_ms});
    return true;
}

void lease_applied(struct lease *lease, uint64_t index)
{
    uint32_t done = 0;
    if (index > lease->applied_index)
        lease->applied_index = index;
    while (done < lease->pending_count && lease->pending[done].index <= lease->applied_index)
        extend(lease, lease->pending[done++].until_ms);
    lease->pending_count -= done;
    memmove(lease->pending, lease->pending + done, lease->pending_count * sizeof(*lease->pending));
}

uint64_t lease_left(const struct lease *lease, uint64_t now_ms)
{
    return lease->until_ms > now_ms ? lease->until_ms - now_ms : 0;
}

uint64_t lease_left_of_leader(uint64_t valid_until_ms, uint64_t now_ms)
{
    if (valid_until_ms <= now_ms)
        return 0;
    uint64_t left_ms = valid_until_ms - now_ms;
    return left_ms < KR_LEASE_WINDOW_MS ? left_ms : KR_LEASE_WINDOW_MS;
}
