// SPDX-License-Identifier: Apache-2.0
// Calls for the leader, on their way up: each waits for its answer or its deadline, whatever
// happens to the links meanwhile.
//
// Pure: frames come in and go out through whoever owns the link. What was sent when a link was lost
// has an unknown fate and fails with TIMEOUT; what was not yet sent waits for the next link. Times
// are boot time ms. Control loop only.
#pragma once

#include "core/base/buf.h"
#include "core/base/fault.h"
#include "core/base/mem.h"
#include "proto/peer.h"

#define KR_FORWARD_SEND_MS 4500           // for a leader: another one is there within 4 s
#define KR_FORWARD_BODY_MAX (33u << 20)   // of one call or answer
#define KR_FORWARD_HELD_MAX (64u << 20)   // bodies of all calls of one table or link
#define KR_FORWARD_CALLS_MAX 1024         // of one table or link
#define KR_FORWARD_PART_BYTES (64u << 10) // of a body in one frame: entries pass between them
#define KR_FORWARD_WAIT_MAX_MS 610000     // a deadline from a peer counts for no more

struct forward_request {
    const char *method, *target;
    struct peer_headers fields;
    struct bytes body;
    const char *client_address, *request_id;
    uint64_t deadline_ms; // when nobody waits any more
    uint64_t send_by_ms;  // if it is not on its way to the leader by then, it is given up; 0: never
};

struct forward_answer {
    uint32_t status;
    struct peer_headers fields;
    struct bytes body;
};

// Called once, never before forward_submit has returned. OK: answer, lent for the call. NO_LEADER:
// there was no link in time, or there will be none; nothing has happened. TIMEOUT: nobody knows.
// BUSY: the leader has answered, and a link on the way has no room for it.
typedef void forward_done_fn(void *ctx, enum kr_err err, const struct forward_answer *answer);

struct forward;

struct forward *forward_new(void); // gives
// Every call that waits fails: as if its deadline had passed.
void forward_free(struct forward **forward);
// Copies the request. On an error the callback is not called: BUSY (too many calls wait), TOO_LARGE
// (the body).
must_use enum kr_err forward_submit(struct forward *forward, const struct forward_request *request,
                                    forward_done_fn *done, void *ctx);
// The next frame for the link, lent until the next call; false: nothing to send.
bool forward_next(struct forward *forward, uint64_t now_ms, struct peer_frame *out);
// An Answer, or a Body of one. INVALID: it breaks the rules, close the link. One for a call that is
// no longer waited for is passed over.
must_use enum kr_err forward_take_answer(struct forward *forward, const struct peer_answer *answer,
                                         struct fault *fault);
must_use enum kr_err forward_take_body(struct forward *forward, const struct peer_body *body,
                                       struct fault *fault);
// The link is to be left: until it is gone, no call is begun on it. True: none waits for an answer.
bool forward_retire(struct forward *forward);
// The link is gone.
void forward_lost(struct forward *forward);
// There will be none: this node leads. What was not yet sent has not happened (NO_LEADER).
void forward_end_waiting(struct forward *forward);
// Ends what is past its deadline, or was not sent in time.
void forward_tick(struct forward *forward, uint64_t now_ms);
