// SPDX-License-Identifier: Apache-2.0
// A TCP connection over which one request at a time is asked and answered. One thread.
#pragma once

#include "bench/site.h"
#include "core/base/buf.h"

struct talk {
    const char *name; // of whom it is with, for what is wrong; keeps
    int fd;           // -1: not open
    struct buf out, in;
    uint64_t sent_ns;    // when the last request had left, by CLOCK_MONOTONIC
    struct fault *fault; // keeps
};

// Must be called before everything else, also for a talk that is never opened.
void talk_init(struct talk *talk, const char *name, struct fault *fault);
// Anew, if it was open.
must_use enum kr_err talk_open(struct talk *talk, const struct site *from, const char *address,
                               uint16_t port);
// The same, with a port of another site.
must_use enum kr_err talk_reach(struct talk *talk, const struct site *from, const struct site *to,
                                uint16_t port);
// Takes a connected socket; what is waited for comes within patience_ms.
void talk_take(struct talk *talk, int fd, unsigned patience_ms);
void talk_close(struct talk *talk);
// Sends what is in out, and empties in.
must_use enum kr_err talk_send(struct talk *talk);
// Adds to in what has arrived; waits for something. TIMEOUT: too long. IO: also when a signal ends
// the run.
must_use enum kr_err talk_wait(struct talk *talk);
// The same without waiting; NOT_FOUND: nothing has.
must_use enum kr_err talk_look(struct talk *talk);
// Where this stands in what has arrived; NULL: nowhere.
const uint8_t *talk_find(const struct talk *talk, struct bytes wanted);
