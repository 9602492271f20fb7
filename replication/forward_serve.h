// SPDX-License-Identifier: Apache-2.0
// The other end of a forwarded call: puts a child's calls together, hands them on, and sends the
// answers.
//
// Pure, embedded in a feed. What is not whole at its deadline is dropped; so is an answer that
// comes after it. Times are boot time ms. Control loop only.
#pragma once

#include "replication/forward.h"

// A whole call; the request is lent for the call. It is to be answered by forward_serve_answer with
// this id, before its deadline.
typedef void forward_serve_fn(void *ctx, uint64_t id, const struct forward_request *request);

struct forward_serve_call;

struct forward_serve {
    forward_serve_fn *serve;
    void *ctx;
    struct forward_serve_call *first, **last; // in order of arrival
    uint64_t last_id;                         // ids ascend, so that none ever means two calls
    size_t count, in_bytes, out_bytes;
};

void forward_serve_init(struct forward_serve *serve, forward_serve_fn *fn, void *ctx);
void forward_serve_fini(struct forward_serve *serve);
// A Forward, or a Body of one. Over KR_FORWARD_CALLS_MAX or KR_FORWARD_HELD_MAX the child hears
// that nothing has happened (NO_LEADER). INVALID, TOO_LARGE: it breaks the rules, close the link.
must_use enum kr_err forward_serve_take(struct forward_serve *serve,
                                        const struct peer_forward *forward, uint64_t now_ms,
                                        struct fault *fault);
must_use enum kr_err forward_serve_take_body(struct forward_serve *serve,
                                             const struct peer_body *body, struct fault *fault);
// Copies the answer, whose body is at most KR_FORWARD_BODY_MAX. An id that is no longer waited for
// is passed over. When the child does not take its answers, and this one would bring them over
// KR_FORWARD_HELD_MAX, it hears that instead (BUSY).
void forward_serve_answer(struct forward_serve *serve, uint64_t id,
                          const struct forward_answer *answer);
// The next frame of an answer, lent until the next call; false: nothing to send.
bool forward_serve_next(struct forward_serve *serve, struct peer_frame *out);
void forward_serve_tick(struct forward_serve *serve, uint64_t now_ms);
