// SPDX-License-Identifier: Apache-2.0
// The replica: turns commands into committed, applied entries, in order, many to one fsync.
//
// A submit only queues; replica_turn, called once at the end of each turn of the control loop,
// gives everything queued (≤ 1 MiB, ≤ 1000 entries a batch) to the log engine at once. The callback
// comes after the entry is durable and applied. Control loop only, but for what says "any thread".
#pragma once

#include "replication/engine.h"
#include "replication/lease.h"
#include "replication/state.h"

#define KR_REPLICA_BATCH_BYTES (1u << 20)
#define KR_REPLICA_BATCH_ENTRIES 1000
#define KR_REPLICA_ENTRY_BYTES (32u << 20) // one entry, alone in its batch
#define KR_REPLICA_APPENDS 16              // in flight at most
#define KR_REPLICA_QUEUE_BYTES (64u << 20) // more queued or in flight than this: BUSY
#define KR_REPLICA_WINDOW_MS KR_LEASE_WINDOW_MS

struct replica_outcome {
    enum kr_err err;            // OK: committed and applied, see result. Else nothing was changed:
                                // NO_LEADER, DISK_FULL, BUSY, or TIMEOUT: unknown fate
    struct apply_result result; // of the entry
    uint64_t index, epoch;
    int64_t committed_ms; // wall clock, after durability
};

// Called exactly once, never before the submit has returned.
typedef void replica_done_fn(void *ctx, const struct replica_outcome *outcome);

struct replica_options {
    const struct state *state; // keeps
    struct engine *engine;     // keeps
    // Something that the process cannot survive (an fsync failed, a divergence): stop, loudly.
    void (*fatal)(void *ctx, enum kr_err err, const struct fault *fault);
    void *ctx;
    // Asked before it begins to lead, and several times a second while it does, where the engine
    // can resign. May be NULL: it is fit.
    engine_fitness_fn *fitness;
    // The engine says that another node leads (texts empty: nobody does). May be NULL.
    void (*leader)(void *ctx, const char *member_id, const char *peer_address);
};

struct replica;

// Gives; sets the engine's events to its own and campaigns. Leads after the engine's role event,
// with `local` after the next engine_turn.
struct replica *replica_new(const struct replica_options *options);
// Fails what is queued with NO_LEADER; closed is called when nothing is in flight any more, by a
// later replica_turn, which frees the replica. The engine stays the caller's to close.
void replica_close(struct replica *replica, void (*closed)(void *ctx), void *ctx);

// Encodes the command at once (borrows it) and queues it; an entry over KR_REPLICA_BATCH_BYTES gets
// a batch of its own. On an error the callback is not called: TOO_LARGE over KR_REPLICA_ENTRY_BYTES
// encoded, NO_LEADER, BUSY.
must_use enum kr_err replica_submit(struct replica *replica, const struct command *command,
                                    replica_done_fn *done, void *ctx);
// The end of a turn: starts one append of what is queued. True: call again next turn, without
// sleeping, since more is queued or a store-backed engine has callbacks due.
bool replica_turn(struct replica *replica);

bool replica_is_leader(const struct replica *replica); // any thread
// It stands by, and none of its appends is unsettled: it changes the state no more before the
// engine says that this node leads. Only then may another write to the log. Control loop.
bool replica_is_at_rest(const struct replica *replica);
uint64_t replica_epoch(const struct replica *replica); // any thread
// How long a node that does not lead counts as fresh: the end of its lease, or 0 when what it holds
// is not to be relied on. Passed over on a leader, whose engine says it. Control loop.
void replica_note_lease(struct replica *replica, uint64_t until_ms);
// What this node holds may be wrong, or less than it has held before: none of it is VALID, whatever
// the bound, until the doubt is over. A leader's state is beyond doubt. Control loop.
void replica_note_doubt(struct replica *replica, bool is_doubtful);
// What a leader may grant at this moment; 0 on any other node. Control loop.
uint64_t replica_lease_left_ms(const struct replica *replica, uint64_t now_boot_ms);
// What this node's knowledge is good for at one moment. To be read before a look-up: a lease that
// comes between that and the answer is not about what was found. Any thread.
struct replica_known {
    uint64_t until_ms;
    bool is_leader;
    bool is_doubtful; // for no bound is it fresh enough
};
struct replica_known replica_known(const struct replica *replica);
// Age of that knowledge in ms at boot-clock time now: 0 on a leader whose validity lasts,
// UINT64_MAX when nothing is known.
static inline uint64_t replica_known_age_ms(const struct replica_known *known, uint64_t now_boot_ms)
{
    if (known->is_leader && now_boot_ms < known->until_ms)
        return 0;
    return lease_age_at(known->until_ms, now_boot_ms);
}

// The age of what is known now. Any thread.
static inline uint64_t replica_age_ms(const struct replica *replica, uint64_t now_boot_ms)
{
    const struct replica_known known = replica_known(replica);
    return replica_known_age_ms(&known, now_boot_ms);
}
