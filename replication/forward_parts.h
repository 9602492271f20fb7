// SPDX-License-Identifier: Apache-2.0
// What both ends of a forwarded call share: copies of requests and answers, bodies that cross the
// link in parts, and the answers that are none.
//
// One thread at a time.
#pragma once

#include "core/base/fault.h"
#include "core/base/mem.h"
#include "replication/forward.h"

// A body on its way out: the first part goes with the message itself.
struct forward_parts_out {
    struct buf body;
    size_t sent;
    bool is_begun;
};

// The next part and whether more will follow. Lends.
struct bytes forward_parts_take(struct forward_parts_out *out, bool *has_more);
bool forward_parts_is_sent(const struct forward_parts_out *out);

// Beside the bodies that are held already.
bool forward_parts_has_room(size_t held_bytes, size_t size);
// Adds a part to what has arrived. TOO_LARGE over KR_FORWARD_BODY_MAX, or when held_bytes, which is
// counted up, would pass KR_FORWARD_HELD_MAX.
must_use enum kr_err forward_parts_add(struct buf *body, struct bytes part, size_t *held_bytes,
                                       struct fault *fault);

// What a node on the way answers in the leader's place: no body, which no leader's refusal lacks.
// NO_LEADER, TIMEOUT, BUSY, as forward_done_fn tells them.
struct forward_answer forward_parts_refusal(enum kr_err err);
// OK: the answer is the leader's own.
enum kr_err forward_parts_refused(const struct forward_answer *answer);

// Copies into the arena.
struct peer_headers forward_parts_headers(struct arena *arena, struct peer_headers headers);
