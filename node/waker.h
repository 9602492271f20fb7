// SPDX-License-Identifier: Apache-2.0
// Calls another thread's loop: any number of calls until it comes are one.
//
// In place of uv_async_t, whose receiver waits, spinning, until the sender has left uv_async_send.
// A serving loop drives the control loop off its core in the middle of that call (see priority.h),
// and would spin for the very thread that cannot go on.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

typedef void waker_fn(void *ctx);

struct waker {
    uv_poll_t poll;
    int fd; // an eventfd
    atomic_bool is_called;
    waker_fn *come;
    void *ctx;
};

// On the loop's thread, or before there is one. Out of descriptors, the process ends: it is called
// in a start alone.
void waker_open(struct waker *waker, uv_loop_t *loop, waker_fn *come, void *ctx);

// come runs on the loop's thread soon, once for all calls that it has not come for yet. What the
// caller wrote before is seen by it. Any thread; does not wait.
void waker_call(struct waker *waker);

// On the loop's thread: it does not come any more. Calls are harmless until waker_fini.
void waker_close(struct waker *waker);

// Behind the loop's end and all calls.
void waker_fini(struct waker *waker);
