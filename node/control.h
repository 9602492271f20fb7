// SPDX-License-Identifier: Apache-2.0
// The control loop: owns everything that changes, and runs management calls.
//
// It takes calls from the serving loops, limits each token's rate, runs handlers on pool threads
// (executor.c), submits their commands to the replica, ends each of its turns with replica_turn,
// and runs the housekeeping (purge, growth, log trimming, last-used times).
#pragma once

#include "node/api/call.h"
#include "replication/engine.h"

struct node;
struct readers_figures;
struct control;

// Gives; keeps node. In this order, before it runs: the engine, which the replica needs, and the
// links, which need the replica. INVALID and LOCKED name the setting.
struct control *control_new(struct node *node);
must_use enum kr_err control_open_engine(struct control *control, struct fault *fault);
must_use enum kr_err control_open_peers(struct control *control, struct fault *fault);
// Runs until control_stop has taken effect: calls under way are answered first, or refused once
// the stop timeout is over; then the replica is closed.
void control_run(struct control *control);
// May this node lead? ctx is the node: an engine_fitness_fn.
enum engine_fitness control_fitness(void *ctx, struct fault *why);
// The operator's word that the leader is down. As engines_promote; BUSY: this node's state is being
// replaced. It leads when this returns OK; what is submitted first then makes its epoch durable.
// Control loop.
must_use enum kr_err control_promote(struct control *control);
void control_stop(struct control *control); // any thread, and signal watchers
// Stops, and the process starts the node again; passed over once a stop was asked for.
void control_restart(struct control *control);
// Another node leads: links upwards go there.
void control_leader_is(struct control *control, const char *member_id, const char *peer_address);
void control_free(struct control **control);

// Hands a call over; any thread. answered comes on the control loop's thread, exactly once; the
// call belongs to the caller again then.
typedef void control_answered_fn(void *ctx, struct call *call);
void control_submit(struct control *control, struct call *call, control_answered_fn *answered,
                    void *ctx);
uint64_t control_queued(const struct control *control); // calls under way; any thread
void control_reads(const struct control *control, struct readers_figures *out); // any thread
