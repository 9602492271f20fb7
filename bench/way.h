// SPDX-License-Identifier: Apache-2.0
// The way from one region of a world to another, one direction: what is sent at the one end comes
// out at the other, stamped by the kernel that received it. Both ends are this process's, so that
// there is one clock. UDP where the world carries packets, one TCP connection where it relays.
#pragma once

#include "bench/site.h"
#include "bench/stamp.h"

#define KR_WAY_MESSAGE 1472 // the largest; fills an Ethernet frame

struct way {
    int out, in; // -1: closed
    bool is_stream;
    uint8_t partial[KR_WAY_MESSAGE]; // of a stream: what has come of the next message
    size_t partial_bytes;
};

// Must be closed, also when it fails. The fault names the two regions.
must_use enum kr_err way_open(struct way *way, const struct site *from, const struct site *to,
                              struct fault *fault);
void way_close(struct way *way);
// False: it takes nothing now. Messages of a way that way_receive is called for have one size.
bool way_send(const struct way *way, const void *bytes, size_t size_bytes);
// A whole message of this size and when (the last of) it came; false: there is none.
bool way_receive(struct way *way, const struct stamp *stamp, void *bytes, size_t size_bytes,
                 uint64_t *at_ns);
// Of whatever has come, how many bytes, and when; 0: nothing. Behind this no message is whole.
size_t way_drain(const struct way *way, const struct stamp *stamp, uint64_t *at_ns);
