// SPDX-License-Identifier: Apache-2.0
// The roster: which nodes have applied an entry, and from when on the others cannot live on what
// they knew before it. The arithmetic of receipts; its rules and why they hold stand in roster.c.
//
// It relies on this: who has seen an epoch is fed by no lower one; who is behind a child's index is
// no upstream for it; a disk that was replaced joins as another member; a state that was rebuilt
// forgets its lease.
//
// Every node that feeds others keeps one; the leader's is asked. Pure: the time (boot time,
// ms) comes as an argument and never goes back. One thread.
#pragma once

#include "core/base/err.h"
#include "core/base/mem.h"
#include "proto/peer.h"

#define KR_ROSTER_NOTES 512    // of commits, at least KR_ROSTER_NOTE_MS apart
#define KR_ROSTER_NOTE_MS 250  // so that they reach back two minutes
#define KR_ROSTER_ACK_NOTES 16 // per node

struct roster;

// Gives. self is this node's id. Whatever an earlier process of this node granted is taken to be
// as young as now.
struct roster *roster_new(const char *self, uint64_t now_ms);
void roster_free(struct roster **roster);

// This node leads from now on, and everything up to index is committed. What was heard before is
// forgotten; the leader before may have granted until now. Acks count that bear this epoch.
void roster_take_over(struct roster *roster, uint64_t epoch, uint64_t index, uint64_t now_ms);
// Everything up to index is committed, and no lease that is granted from now on says less. Leader.
void roster_committed(struct roster *roster, uint64_t index, uint64_t now_ms);
// A registered node, before it may be fed; again when it is removed. TOO_LARGE beyond
// KR_PEER_NODES_MAX.
must_use enum kr_err roster_member(struct roster *roster, const char *id, bool is_removed);

// A member begins to be fed by this node; its index fits this node's chain. started_ms is of the
// state in the process: a state that was rebuilt takes a new, later one.
void roster_attached(struct roster *roster, const char *id, uint64_t started_ms,
                     uint64_t applied_index);
void roster_detached(struct roster *roster, const char *id);
// A Lease is being sent to a child.
void roster_granted(struct roster *roster, const char *id, uint64_t remaining_ms, uint64_t now_ms);
// Is that a name that was given to it?
bool roster_has(const struct roster *roster, const char *id);
// An Ack of a child has come. Names in it that the roster has not count among the others.
void roster_heard(struct roster *roster, const char *id, const struct peer_ack *ack,
                  uint64_t now_ms);

// Of this node: what it has applied, from which on it grants, and the epoch in the last Lease that
// it got.
struct roster_own {
    uint64_t applied_index, epoch;
    uint64_t unflushed; // of a core node: entries that a power cut would take
};
// The Ack to send upwards, without digests; items in the arena. Texts lend the roster.
void roster_report(struct roster *roster, const struct roster_own *own, uint64_t now_ms,
                   struct arena *arena, struct peer_ack *out);

// What is asked: an entry, and how old an answer may be where it matters (KR_UNBOUNDED: any age).
struct roster_demand {
    uint64_t index;
    int64_t max_staleness_ms;
};

enum roster_state {
    KR_ROSTER_APPLIED,
    KR_ROSTER_EXPIRED,  // has not, as far as is known, but can answer VALID no more
    KR_ROSTER_PENDING,  // may still answer by what it knew
    KR_ROSTER_UNBOUNDED // the same, and no time ends it
};

struct roster_view {
    const char *id; // lends the roster
    enum roster_state state;
    bool is_attached, is_removed;
    uint64_t applied_index; // by its word in this leader's epoch; 0: there is none
    uint64_t said_index;    // by any word since this node leads, its first one too; 0: none
    uint64_t safe_index;    // of a core node: a power cut leaves everything up to it
    uint64_t applied_ms;    // when index was acknowledged; 0: not, or not known any more
    uint64_t expires_ms;    // from when on it is EXPIRED; 0: APPLIED, UNBOUNDED
};

typedef void roster_visit_fn(void *ctx, const struct roster_view *view);

// Every member but this node, by id; the ones that were removed only while they are PENDING.
void roster_each(struct roster *roster, const struct roster_demand *demand, uint64_t now_ms,
                 roster_visit_fn *visit, void *ctx);

enum roster_outcome {
    KR_ROSTER_WAITING,
    KR_ROSTER_COMPLETE, // no node without the entry can answer VALID from now on
    KR_ROSTER_LATE      // the deadline is over and it is not complete
};

// A wait is nothing but the question, asked again behind every Ack and on every tick. By the same
// staleness, no entry is complete before those in front of it.
enum roster_outcome roster_wait(struct roster *roster, const struct roster_demand *demand,
                                uint64_t deadline_ms, uint64_t now_ms);
