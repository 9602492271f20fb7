// SPDX-License-Identifier: Apache-2.0
// Running a client by a libuv loop: one uv_poll_t a link, one timer.
//
// A step is made behind every event, and once in a turn behind questions that were asked in it, so
// that they leave together. A handle goes before its socket is closed, for the next socket may get
// the same number.
#include <uv.h>

#include "client/libkeyreeve/client.h"
#include "core/base/mem.h"

struct watch {
    uv_poll_t poll;
    struct loop *loop;
    size_t link;
    int events; // that it is started for
};

struct loop {
    struct keyreeve *client;
    uv_loop_t *uv;
    uv_timer_t *timer;
    struct watch *watches[KR_KEYREEVE_NODES_MAX];
};

static void free_handle(uv_handle_t *handle)
{
    mem_free(handle);
}

static void unwatch(struct loop *loop, size_t link)
{
    if (loop->watches[link] == NULL)
        return;
    uv_close((uv_handle_t *)&loop->watches[link]->poll, free_handle);
    loop->watches[link] = NULL;
}

static void step(struct loop *loop);

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    struct loop *loop = watch->loop;
    if (client_is_inherited(loop->client)) {
        uv_poll_stop(poll); // the parent's, which would be ready for ever
        return;
    }
    client_ready(loop->client, watch->link, status < 0 || (events & UV_READABLE) != 0,
                 (events & UV_WRITABLE) != 0);
    step(loop);
}

static void on_timer(uv_timer_t *timer)
{
    step(timer->data);
}

static void watch_link(struct loop *loop, size_t number)
{
    const struct link *link = &loop->client->links[number];
    struct watch *watch = loop->watches[number];
    int events = UV_READABLE | (link_wants_write(link) ? UV_WRITABLE : 0);
    if (link->fd < 0)
        return;
    if (watch == NULL) {
        watch = mem_zalloc(sizeof(*watch));
        watch->loop = loop;
        watch->link = number;
        uv_poll_init(loop->uv, &watch->poll, link->fd);
        watch->poll.data = watch;
        loop->watches[number] = watch;
    }
    if (watch->events == events)
        return;
    watch->events = events;
    uv_poll_start(&watch->poll, events, on_poll);
}

static void step(struct loop *loop)
{
    if (client_is_inherited(loop->client))
        return;
    client_step(loop->client);
    for (size_t i = 0; i < loop->client->link_count; i++)
        watch_link(loop, i);
    uv_timer_start(loop->timer, on_timer, client_pause_ms(loop->client), 0);
}

// Something was asked: it leaves at the end of this turn.
static void on_changed(void *ctx)
{
    struct loop *loop = ctx;
    uv_timer_start(loop->timer, on_timer, 0, 0);
}

static void on_closing(void *ctx, size_t link)
{
    unwatch(ctx, link);
}

static void on_end(void *ctx)
{
    struct loop *loop = ctx;
    for (size_t i = 0; i < KR_KEYREEVE_NODES_MAX; i++)
        unwatch(loop, i);
    uv_close((uv_handle_t *)loop->timer, free_handle);
    mem_free(loop);
}

int keyreeve_attach(struct keyreeve *client, struct uv_loop_s *uv)
{
    struct loop *loop = mem_zalloc(sizeof(*loop));
    loop->client = client;
    loop->uv = uv;
    loop->timer = mem_alloc(sizeof(*loop->timer));
    int status = uv_timer_init(uv, loop->timer);
    if (status < 0) {
        mem_free(loop->timer);
        mem_free(loop);
        return status;
    }
    loop->timer->data = loop;
    client->changed = on_changed;
    client->closing = on_closing;
    client->end = on_end;
    client->loop = loop;
    step(loop);
    return 0;
}
