// SPDX-License-Identifier: Apache-2.0
// Our session with an upstream: what we tell it, and what is made of what it says.
//
// A pure machine, one a link: takes frames and the time (boot time, ms), gives frames when
// asked for the next one. It changes the state (entries, in batches: all that has arrived by the
// end of a turn is one commit) and the lease. Control loop only.
#pragma once

#include "proto/peer.h"
#include "replication/forward.h"
#include "replication/lease.h"
#include "replication/state.h"

#define KR_FOLLOW_GREETING_MS 7000 // from Hello to its answer: a member may have to be registered
#define KR_FOLLOW_PROBE_MS 250     // while no lease is renewed
#define KR_FOLLOW_PROBE_STREAMING_MS 1000
#define KR_FOLLOW_USAGE_MS 1000
#define KR_FOLLOW_ENLIST_MAX 64 // members below us that wait to be passed up

struct follow;

// What outlives a link: one a node, zeroed at a start.
struct follow_carry {
    bool must_rebuild;    // the state here is not what the leader's is
    uint64_t known_epoch; // the highest that was ever told
    uint64_t lease_epoch; // of the last Lease
};

// What the session asks of, and tells to, the node around it.
struct follow_owner {
    void *ctx;
    // Fills in who we are and where our ancestors were; the position is the session's. Lent until
    // the session ends.
    void (*introduce)(void *ctx, struct peer_hello *out);
    void (*welcomed)(void *ctx, const struct peer_welcome *welcome);
    // Entries up to this index were applied: whoever waits for them may be told.
    void (*applied)(void *ctx, uint64_t index);
    // What an Ack says of the nodes below; lists in the arena.
    void (*report)(void *ctx, uint64_t now_ms, struct arena *arena, struct peer_ack *out);
    void (*usage)(void *ctx, struct arena *arena, struct peer_usage *out);
    void (*probing)(void *ctx, uint64_t seq); // a Probe is on its way
    void (*echoed)(void *ctx, uint64_t seq);
    // The state differs from the leader's: nothing is VALID here until it is rebuilt.
    void (*differs)(void *ctx, const struct fault *fault);
    // A snapshot is complete: state.import_finish is to run, on any thread, then follow_finished.
    void (*received)(void *ctx, struct state_import *import);
};

struct follow_options {
    const struct state *state;  // keeps
    struct lease *lease;        // keeps
    struct forward *forward;    // keeps
    struct follow_carry *carry; // keeps
    struct follow_owner owner;
    const char *own_id, *upstream_id; // keeps; the latter by its certificate
};

enum follow_state {
    KR_FOLLOW_NEW,
    KR_FOLLOW_GREETED,
    KR_FOLLOW_STREAMING,
    KR_FOLLOW_REQUESTING,
    KR_FOLLOW_IMPORTING,
    KR_FOLLOW_FINISHING,
    KR_FOLLOW_REPLACED,
    KR_FOLLOW_LEAVING,
    KR_FOLLOW_ENDED
};

struct follow *follow_new(const struct follow_options *options, uint64_t now_ms); // gives
// What was received of a snapshot stays on the disk. Not while FINISHING.
void follow_free(struct follow **follow);

// On an error the link is to be closed; follow_reject tells whether the upstream refused us.
must_use enum kr_err follow_take(struct follow *follow, const struct peer_frame *frame,
                                 uint64_t now_ms, struct fault *fault);
// The end of a turn: applies what has arrived. IO is for the node to stop at, other errors close
// the link.
must_use enum kr_err follow_turn(struct follow *follow, uint64_t now_ms, struct fault *fault);
// Appends the next frame. NOT_FOUND: nothing to send.
must_use enum kr_err follow_next(struct follow *follow, uint64_t now_ms, struct buf *out,
                                 struct fault *fault);
must_use enum kr_err follow_tick(struct follow *follow, uint64_t now_ms, struct fault *fault);
// What import_finish said. OK: the node is to start again, with the new state.
must_use enum kr_err follow_finished(struct follow *follow, enum kr_err err,
                                     const struct fault *finish, uint64_t now_ms,
                                     struct fault *fault);

// What the nodes below have acknowledged has changed: tell it upwards with the next frames.
void follow_report(struct follow *follow);
// Passes a member below us on to be registered. BUSY: too many wait.
must_use enum kr_err follow_enlist(struct follow *follow, const struct peer_member *member);

enum follow_state follow_state(const struct follow *follow);
const char *follow_state_text(enum follow_state state); // "streaming", …
// Why the upstream refused; 0: it did not.
enum peer_reject_code follow_reject(const struct follow *follow);

struct follow_figures {
    uint64_t commit_index; // as the upstream last said
    // Since when the upstream's answers to Renew have had nothing left; 0: the last one had.
    uint64_t leaseless_since_ms;
    uint64_t snapshot_rows, snapshot_bytes, snapshot_total_bytes;
};
void follow_figures(const struct follow *follow, struct follow_figures *out);
