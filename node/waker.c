// SPDX-License-Identifier: Apache-2.0
// An eventfd in a loop's epoll set, written to by who finds that nobody has since it was read.
#include "node/waker.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct waker *waker = poll->data;
    uint64_t count;
    (void)status;
    (void)events;
    if (read(waker->fd, &count, sizeof(count)) < 0 && errno != EAGAIN && errno != EINTR)
        abort();
    // Behind the read and before the look at what there is to do: a call from here on writes again.
    (void)atomic_exchange(&waker->is_called, false);
    waker->come(waker->ctx);
}

void waker_open(struct waker *waker, uv_loop_t *loop, waker_fn *come, void *ctx)
{
    waker->come = come;
    waker->ctx = ctx;
    atomic_init(&waker->is_called, false);
    waker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (waker->fd < 0 || uv_poll_init(loop, &waker->poll, waker->fd) != 0)
        abort();
    waker->poll.data = waker;
    uv_poll_start(&waker->poll, UV_READABLE, on_readable);
}

void waker_call(struct waker *waker)
{
    const uint64_t one = 1;
    if (atomic_exchange(&waker->is_called, true))
        return;
    // It cannot be full: it is read before the next write.
    while (write(waker->fd, &one, sizeof(one)) < 0)
        if (errno != EINTR)
            abort();
}

void waker_close(struct waker *waker)
{
    uv_close((uv_handle_t *)&waker->poll, NULL);
}

void waker_fini(struct waker *waker)
{
    close(waker->fd);
}
