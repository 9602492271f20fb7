// SPDX-License-Identifier: Apache-2.0
// A binary connection on which one frame is asked over and over, at a pace that does not wait for
// answers. Never blocks; the caller turns it. One thread.
#pragma once

#include "bench/site.h"
#include "core/base/buf.h"
#include "proto/binary.h"

#define KR_CHANNEL_IN 131072

struct channel {
    int fd; // -1: closed
    struct buf frame;
    double interval_ns; // between two frames
    size_t most_pending;
    double next_ns; // when the next is due
    size_t pending; // frames without an answer
    size_t out_at;  // bytes of a frame that are sent; 0: none is under way
    uint64_t sent,
        late; // frames; of them, those that were not sent within an interval of their time
    size_t in_size;
    uint8_t in[KR_CHANNEL_IN];
};

typedef void channel_answer_fn(void *ctx, const struct binary_answer *answer, uint64_t at_ns);

// Must be closed. KR_ERR_IO when the node does not take it.
must_use enum kr_err channel_open(struct channel *channel, const struct site *from,
                                  const char *address, uint16_t port, struct fault *fault);
void channel_close(struct channel *channel);
// What is asked from now on, and how often; answers to earlier frames may still come.
void channel_ask(struct channel *channel, const struct bytes *keys, size_t count, double per_second,
                 size_t most_pending);
// Waits until no answer is missing, for ten seconds at most.
must_use enum kr_err channel_drain(struct channel *channel, struct fault *fault);
// Sends what is due, if it may, and hands over what has come. IO: the connection has ended, or the
// node speaks nonsense.
must_use enum kr_err channel_turn(struct channel *channel, bool may_send, channel_answer_fn *answer,
                                  void *ctx, struct fault *fault);
