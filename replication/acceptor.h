// SPDX-License-Identifier: Apache-2.0
// A listening socket on a loop that goes on when the process has no descriptor left.
//
// libuv's own closes a spare descriptor then and throws away whoever waits; where another thread is
// quicker to take the spare one, it calls accept(2) for ever, and its loop does nothing else. Here
// they wait in the kernel's queue until the owner's next tick; so too when memory is short. One
// loop.
#pragma once

#include <stdbool.h>

struct uv_loop_s;
struct acceptor; // opaque

// Takes the descriptor, which does not block.
typedef void acceptor_fn(void *ctx, int fd);

struct acceptor_options {
    struct uv_loop_s *loop; // keeps
    int fd;                 // a bound socket
    int backlog;
    acceptor_fn *accepted;
    void *ctx;
};

// Gives; takes the socket, also on failure, and listens. NULL: errno says why it cannot.
struct acceptor *acceptor_new(const struct acceptor_options *options);
// Some ten times a second: accepts again after a pause. True: there was one.
bool acceptor_tick(struct acceptor *acceptor);
// Closes the socket at once, clears the pointer, and frees later. closed, which may be NULL, comes
// in a later turn, with the ctx of all.
void acceptor_close(struct acceptor **acceptor, void (*closed)(void *ctx));
