// SPDX-License-Identifier: Apache-2.0
// Answers that are receipts: written when every node has applied a revocation, or can let nobody in
// by older knowledge any more, or the time that the caller gives is over.
//
// Knows the other nodes through the roster; a node without peers is complete by itself. Control
// loop only.
#pragma once

#include "node/api/call.h"

struct everywhere;
struct roster;

// roster may be NULL: this node is the whole cluster. Keeps both.
struct everywhere *everywhere_new(const struct node *node, struct roster *roster);
void everywhere_free(struct everywhere **everywhere); // nothing waits any more

typedef void everywhere_done_fn(void *ctx);
// Writes the call's receipt as its answer, now or later. done is called once; it may come before
// this has returned.
void everywhere_answer(struct everywhere *everywhere, struct call *call, everywhere_done_fn *done,
                       void *ctx);
// The roster has heard something, or time has passed: what waits may be complete, or late. On every
// tick as well.
void everywhere_ask(struct everywhere *everywhere);
// Answers what is; in the end of each turn. True: there is more to answer at once.
bool everywhere_turn(struct everywhere *everywhere, uint64_t now_boot_ms);
// No waiting any more: the next turns answer what is there as it stands.
void everywhere_stop(struct everywhere *everywhere);
