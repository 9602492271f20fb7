// SPDX-License-Identifier: Apache-2.0
// A client's first and last moments.
#include "client/libkeyreeve/client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/mem.h"

// How often this process has come out of a fork. A child has its parent's sockets: what each of
// them read would be missing to the other, and who gets whose answer would be chance.
static atomic_uint forks;

static void note_fork(void)
{
    atomic_fetch_add(&forks, 1);
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, note_fork);
}

bool client_is_inherited(const struct keyreeve *client)
{
    return client->forks != atomic_load_explicit(&forks, memory_order_relaxed);
}

static struct keyreeve *new_client(const struct keyreeve_options *options)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct keyreeve *client = mem_zalloc(sizeof(*client));
    pthread_once(&once, watch_forks);
    client->forks = atomic_load(&forks);
    client->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : 1000;
    client->stepped_ms = clock_boot_ms();
    client->home = KR_CLIENT_NO_LINK;
    buf_init(&client->body, KR_BINARY_BODY_MAX);
    for (size_t i = 0; i < KR_KEYREEVE_NODES_MAX; i++)
        link_init(&client->links[i]);
    for (size_t i = 0; i < KR_KEYREEVE_OUTSTANDING_MAX; i++) {
        client->asks[i].tag = (uint32_t)i;
        client->asks[i].next = client->free;
        client->free = &client->asks[i];
    }
    if (options->cache_entries > 0)
        client->cache = cache_new(options->cache_entries);
    return client;
}

enum keyreeve_error keyreeve_open(const struct keyreeve_options *options, struct keyreeve **out)
{
    struct fault fault = {.text = "a time-out is at most an hour, and some node must be named"};
    struct keyreeve *client = NULL;
    enum keyreeve_error error = KR_KEYREEVE_INVALID;
    if (options->nodes != NULL && options->timeout_ms <= 3600000) {
        client = new_client(options);
        error = client_resolve(client, options->nodes, &fault);
    }
    if (error == KR_KEYREEVE_OK)
        error = client_secure(client, options, &fault);
    if (error == KR_KEYREEVE_OK)
        client_step(client);
    else
        keyreeve_close(&client);
    if (options->why != NULL && options->why_size > 0)
        snprintf(options->why, options->why_size, "%s", error == KR_KEYREEVE_OK ? "" : fault.text);
    *out = client;
    return error;
}

void keyreeve_close(struct keyreeve **client)
{
    struct keyreeve *it = *client;
    if (it == NULL)
        return;
    client_abandon(it);
    if (it->end != NULL)
        it->end(it->loop);
    for (size_t i = 0; i < KR_KEYREEVE_NODES_MAX; i++)
        link_fini(&it->links[i]);
    tls_context_free(&it->tls);
    cache_free(&it->cache);
    buf_fini(&it->body);
    mem_zero(it->asks, sizeof(it->asks));
    mem_free(it);
    *client = NULL;
}
