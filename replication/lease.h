// SPDX-License-Identifier: Apache-2.0
// The freshness lease: until when this node's knowledge counts as known, and what it may lend on.
//
// Pure arithmetic over boot time in ms, which the caller reads. The age of an answer is
// now - (end - KR_LEASE_WINDOW_MS). A node asks its upstream, notes when it asked, and gets back
// what is left of the upstream's own lease at the moment of the answer: so the end lies before the
// leader's, through any number of relays, and no two clocks are compared. One thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"

#define KR_LEASE_WINDOW_MS 2000 // L: what a leader grants at most
#define KR_LEASE_RENEW_MS 100   // how often a node asks
#define KR_LEASE_DRIFT_PPM 500  // how wrong a clock's rate may be
#define KR_LEASE_ASKED 32       // questions without an answer
#define KR_LEASE_PENDING 64     // answers whose index is not applied yet

// How far two clocks may come apart in that time, by one of them; at least 1 ms.
uint64_t lease_drift_ms(uint64_t span_ms);

struct lease {
    uint64_t since_ms; // this process's begin
    uint64_t last_seq, applied_index;
    uint64_t until_ms; // 0: nothing was ever known
    struct {
        uint64_t seq, at_ms;
    } asked[KR_LEASE_ASKED];
    struct lease_grant {
        uint64_t index, until_ms;
    } pending[KR_LEASE_PENDING]; // both ascending
    uint32_t pending_count;
};

// A process begins: nothing is known, and everything up to this index is applied. Knowledge that is
// older than the process is passed over: the process before it may have said that it had applied
// more, and lost it with the machine's power. What is known now includes all that was said.
void lease_init(struct lease *lease, uint64_t applied_index, uint64_t now_ms);
// The state is another one now (a snapshot, a divergence): what was known does not hold for it.
// Answers to what was asked before are passed over.
void lease_forget(struct lease *lease, uint64_t applied_index);

// This node led, and what it holds is known until then (0: nothing is). The same of earlier
// answers.
void lease_led(struct lease *lease, uint64_t applied_index, uint64_t until_ms);

// A Renew is being sent: its number, which never comes again.
must_use uint64_t lease_ask(struct lease *lease, uint64_t now_ms);
// The answer to it. False: passed over, since that number is unknown, was answered, or is older
// than one that was. Takes effect once index is applied here, else a node that lags would look
// fresh.
bool lease_granted(struct lease *lease, uint64_t seq, uint64_t remaining_ms, uint64_t index);
// Everything up to index is applied.
void lease_applied(struct lease *lease, uint64_t index);

static inline uint64_t lease_until(const struct lease *lease) // 0: never known
{
    return lease->until_ms;
}

// Age of knowledge whose lease ends at until; UINT64_MAX when until is 0.
static inline uint64_t lease_age_at(uint64_t until_ms, uint64_t now_ms)
{
    if (until_ms == 0)
        return UINT64_MAX;
    return now_ms + KR_LEASE_WINDOW_MS > until_ms ? now_ms + KR_LEASE_WINDOW_MS - until_ms : 0;
}

static inline uint64_t lease_age(const struct lease *lease, uint64_t now_ms)
{
    return lease_age_at(lease->until_ms, now_ms);
}

// What a relay may lend on, with its own applied index; 0 when the lease is over.
uint64_t lease_left(const struct lease *lease, uint64_t now_ms);
// The same on a leader, of its validity by the engine (UINT64_MAX: always a full window), with its
// commit index.
uint64_t lease_left_of_leader(uint64_t valid_until_ms, uint64_t now_ms);
