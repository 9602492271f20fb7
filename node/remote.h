// SPDX-License-Identifier: Apache-2.0
// Management calls that run on another node: this node's clients' at the leader, and, where this
// node leads, those that others pass on.
//
// A call that may safely be made again (a GET, or one to which its Idempotency-Key applies) is,
// when the link or the leader is lost on the way, until its deadline, and runs here when this node
// leads by then; of any other, nobody knows whether it took effect, and its answer says so. Control
// loop only.
#pragma once

#include "node/api/call.h"
#include "replication/forward.h"

// Reads whose client has gone, and which the leader goes on with: more keep waiting for it.
#define KR_REMOTE_LEFT_MAX 256

struct node;
struct remote;

struct remote_port {
    void *ctx;
    // As forward_submit.
    enum kr_err (*submit)(void *ctx, const struct forward_request *request, forward_done_fn *done,
                          void *done_ctx);
    // Runs the call here; answered comes once, later.
    void (*run)(void *ctx, struct call *call, void (*answered)(void *ctx, struct call *call),
                void *answered_ctx);
    // What was submitted fails at once, as at its deadline.
    void (*end)(void *ctx);
};

// Keeps node; copies the port.
struct remote *remote_new(const struct node *node, const struct remote_port *port);
void remote_free(struct remote **remote); // nothing is under way

// Has the call run at the leader and fills in its answer. done comes once, never before this has
// returned.
typedef void remote_done_fn(void *ctx, struct call *call);
void remote_call(struct remote *remote, struct call *call, remote_done_fn *done, void *ctx);
// Takes up what waits to be tried again, and ends what nobody waits for. Every tick.
void remote_tick(struct remote *remote, uint64_t now_boot_ms);
// Nobody waits any more: what is on its way to the leader is refused now, and nothing is tried
// again.
void remote_end(struct remote *remote);

// A call from another node, lent; this node leads. answer comes once, never before this has
// returned.
typedef void remote_answer_fn(void *ctx, void *asked, const struct forward_answer *answer);
struct remote_origin {
    remote_answer_fn *answer;
    void *ctx, *asked;
};
void remote_serve(struct remote *remote, const struct forward_request *request,
                  const struct remote_origin *origin);
// Answers what could not be answered within remote_serve. Each turn.
void remote_turn(struct remote *remote);
