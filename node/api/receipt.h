// SPDX-License-Identifier: Apache-2.0
// The revocation receipt (API §3): which nodes no longer let the key in, and how long each took.
//
// Handlers say that an answer is to be one (receipt_expect, receipt_again); the control loop, which
// knows what the other nodes have applied, writes it (node/everywhere).
#pragma once

#include "node/api/call.h"

#define KR_RECEIPT_WAIT_MAX_MS 600000 // timeoutMs

enum receipt_state {
    KR_RECEIPT_APPLIED,
    KR_RECEIPT_EXPIRED,
    KR_RECEIPT_UNBOUNDED,
    KR_RECEIPT_PENDING
};

struct receipt_node {
    const char *id, *region; // lent
    enum receipt_state state;
    int64_t after_ms; // from the request on; -1: not known, or not yet
};

// Reads `wait` (committed, the default, or everywhere) and timeoutMs; marks the answer to become a
// receipt at its commit, judged by this bucket's bound. 400 for anything else.
enum kr_err receipt_expect(struct call *call, const struct bucket *bucket);
// What this bucket, whose texts last as long as the call, says of how old knowledge may be.
void receipt_take_bound(struct call_receipt *receipt, const struct bucket *bucket);
// Marks the answer to become the stored receipt of this index; 404 when there is none (any more).
// It says how far it is; a revocation that is replayed waits as it did the first time.
enum kr_err receipt_again(struct call *call, uint64_t index);
enum kr_err receipt_replay(struct call *call, uint64_t index);
// Takes over what the commit says of the revocation.
void receipt_committed(struct call *call, const struct replica_outcome *outcome);
// Milliseconds from the request to the commit.
int64_t receipt_commit_ms(const struct call *call);
// Writes the answer: 200 (204 where it has no body), or 202 while a node is pending or unbounded
// and everywhere was asked for.
enum kr_err receipt_write(struct call *call, const struct receipt_node *nodes, size_t count);
