// SPDX-License-Identifier: Apache-2.0
// A serving loop's thread: its listeners, the hooks of its turns, its stop.
//
// libuv's turn: timers → idle → prepare → poll → check → closing. Readers of the hot table are
// online in the check hook (and where a suspended job is finished) only, so the loop is quiescent
// each turn and offline while it sleeps. To stop: no accepts, no new requests; what is under way is
// answered; the thread ends when nothing is open any more, or at the stop timeout.
#include "node/serve_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/json.h"
#include "core/base/priority.h"
#include "core/base/rand.h"
#include "core/base/text.h"
#include "core/http/http2_stream.h"
#include "node/listen.h"

enum {
    KR_SWEEP_MS = 100,
    KR_POOL_BLOCKS = 256,
    KR_POOL_STREAMS = 512,
    KR_BODIES_MIN_BYTES = 48 << 20,
    KR_UNTAKEN_MIN_BYTES = 128 << 20,
    KR_LAST_MS = 1000 // for refusals, beyond the stop timeout
};

// --- hooks ---------------------------------------------------------------------------------------

static void on_check(uv_check_t *check)
{
    struct serve *serve = check->data;
    uv_idle_stop(&serve->spin);
    if (serve->ready.first == NULL && !binary_is_due(serve->binary))
        return;
    hot_online();
    binary_run(serve->binary);
    turn_run(serve);
    hot_offline();
}

static void each_listener(struct serve *serve, void (*visit)(struct listener *listener))
{
    for (size_t i = 0; i < KR_LISTEN_COUNT; i++) {
        visit(&serve->listeners[i]);
        visit(&serve->unix_listeners[i]);
    }
}

static void on_wake(void *ctx)
{
    struct serve *serve = ctx;
    serve_call_drain(serve);
    if (!atomic_load(&serve->is_asked_to_stop) || serve->is_stopping)
        return;
    serve->is_stopping = true;
    serve->stop_at_ms = uv_now(&serve->loop) + (uint64_t)serve->node->config->stop_timeout_ms;
    each_listener(serve, accept_close);
}

static void close_own_handles(struct serve *serve)
{
    uv_close((uv_handle_t *)&serve->check, NULL);
    uv_close((uv_handle_t *)&serve->spin, NULL);
    uv_close((uv_handle_t *)&serve->sweep, NULL);
    uv_close((uv_handle_t *)&serve->wait, NULL);
    waker_close(&serve->waker);
    binary_close(serve->binary);
}

static void on_sweep(uv_timer_t *timer)
{
    struct serve *serve = timer->data;
    connection_sweep(timer);
    each_listener(serve, accept_tick);
    if (!serve->is_stopping)
        return;
    // The control loop refuses what is under way at that time, and its refusals are sent.
    if (uv_now(&serve->loop) >= serve->stop_at_ms + (serve->calls > 0 ? KR_LAST_MS : 0)) {
        for (struct connection *at = serve->connections; at != NULL; at = at->next)
            connection_close(at);
    }
    // Calls and look-ups under way still refer to this loop; they end by themselves.
    if (serve->connection_count == 0 && serve->works == 0 && serve->calls == 0 &&
        serve->waits == NULL)
        close_own_handles(serve);
}

static void *run(void *ctx)
{
    struct serve *serve = ctx;
    char name[16]; // as long as the kernel takes
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    snprintf(name, sizeof(name), "kr-serve-%zu", serve->number);
    pthread_setname_np(pthread_self(), name);
    priority_take(KR_PRIORITY_ANSWERS);
    hot_thread_register();
    hot_offline();
    uv_run(&serve->loop, UV_RUN_DEFAULT);
    hot_online();
    hot_thread_unregister();
    atomic_store(&serve->is_running, false);
    return NULL;
}

// --- construction --------------------------------------------------------------------------------

// A block at most, by its own words, to which every version of HTTP holds it.
static bool is_short(const struct http_request *head)
{
    uint64_t size;
    return text_decimal(http_request_value(head, "Content-Length"), KR_HTTP_BLOCK_BYTES, &size);
}

// Room for a long body is for those who show a good token.
static uint64_t body_limit(void *ctx, const struct http_request *head)
{
    const struct serve *serve = ctx;
    struct dispatch_match match;
    dispatch_find(head, &match);
    if (match.route == NULL)
        return KR_HTTP_BLOCK_BYTES;
    uint64_t limit = match.route->body_limit_bytes;
    if (limit > KR_HTTP_BLOCK_BYTES && !is_short(head) &&
        !serve_call_admits(serve, match.route, head))
        return KR_HTTP_BLOCK_BYTES;
    return limit;
}

static void init_handles(struct serve *serve)
{
    uv_loop_init(&serve->loop);
    uv_check_init(&serve->loop, &serve->check);
    uv_idle_init(&serve->loop, &serve->spin);
    uv_timer_init(&serve->loop, &serve->sweep);
    uv_timer_init(&serve->loop, &serve->wait);
    waker_open(&serve->waker, &serve->loop, on_wake, serve);
    serve->check.data = serve->sweep.data = serve->wait.data = serve;
    serve->spin.data = serve;
    uv_check_start(&serve->check, on_check);
    uv_timer_start(&serve->sweep, on_sweep, KR_SWEEP_MS, KR_SWEEP_MS);
}

static void init_memory(struct serve *serve)
{
    serve_line_init(&serve->ready);
    waits_init(&serve->wait_bounds);
    serve->batch = mem_alloc(KR_VALIDATION_BATCH_MAX * sizeof(*serve->batch));
    serve->pool = http_pool_new(KR_POOL_BLOCKS);
    serve->streams = http2_streams_new(KR_POOL_STREAMS);
    buf_init(&serve->trailers, KR_SERVE_TRAILERS_BYTES);
    size_t share = KR_SERVE_BODIES_BYTES / serve->node->serve_count;
    http_pool_bound(serve->pool, share > KR_BODIES_MIN_BYTES ? share : KR_BODIES_MIN_BYTES);
    share = KR_SERVE_UNTAKEN_BYTES / serve->node->serve_count;
    serve->untaken_bound = share > KR_UNTAKEN_MIN_BYTES ? share : KR_UNTAKEN_MIN_BYTES;
    serve->http_options = (struct http_conn_options){
        .limits = {.head_bytes = 16384, .body_bytes = 32u << 20},
        .pool = serve->pool,
        .body_limit = body_limit,
        .ctx = serve,
    };
    buf_init(&serve->out, KR_SERVE_OUT_LIMIT_BYTES);
    buf_init(&serve->body, KR_SERVE_BODY_LIMIT_BYTES);
    buf_init(&serve->sealed_out, 2 * KR_SERVE_OUT_LIMIT_BYTES);
    buf_init(&serve->node_json, 4096);
    arena_init(&serve->scratch);
    rand_base62(serve->id_prefix, sizeof(serve->id_prefix) - 1);
    struct json_writer writer;
    json_begin(&writer, &serve->node_json);
    json_write_string(&writer, "node", serve->node->identity.node_id);
    json_write_string(&writer, "region", serve->node->identity.region);
}

static enum kr_err open_tcp(struct serve *serve, const struct listen_plan *plan,
                            enum listen_number number, struct fault *fault)
{
    int fd = -1;
    struct listener *listener = &serve->listeners[number];
    if (plan->address[0] == '\0')
        return KR_ERR_OK;
    enum kr_err err = listen_tcp(plan, number, &fd, fault);
    if (err != KR_ERR_OK)
        return err;
    *listener = (struct listener){.serve = serve,
                                  .serves = plan->serves,
                                  .is_binary = number == KR_LISTEN_BINARY,
                                  .is_tls = plan->is_tls,
                                  .needs_client = plan->needs_client};
    if (accept_open(listener, fd) != KR_ERR_OK)
        return fault_set(fault, KR_ERR_IO, "%s: cannot listen on %s: %s", plan->setting,
                         plan->address, strerror(errno));
    return KR_ERR_OK;
}

static enum kr_err open_unix(struct serve *serve, const struct listen_plan *plan,
                             enum listen_number number, struct fault *fault)
{
    int fd = -1;
    struct listener *listener = &serve->unix_listeners[number];
    enum kr_err err = listen_unix(plan, number, &fd, fault);
    if (err != KR_ERR_OK || fd < 0)
        return err;
    *listener = (struct listener){.serve = serve,
                                  .serves = plan->serves,
                                  .is_binary = number == KR_LISTEN_BINARY,
                                  .is_unix = true};
    if (accept_open(listener, fd) != KR_ERR_OK)
        return fault_set(fault, KR_ERR_IO, "%s: cannot listen on %s: %s", plan->unix_setting,
                         plan->unix_path, strerror(errno));
    return KR_ERR_OK;
}

static enum kr_err open_listeners(struct serve *serve, struct fault *fault)
{
    struct listen_plan plans[KR_LISTEN_COUNT];
    enum kr_err err = listen_plan(serve->node->config, plans, fault);
    for (enum listen_number i = 0; i < KR_LISTEN_COUNT && err == KR_ERR_OK; i++) {
        err = open_tcp(serve, &plans[i], i, fault);
        if (err == KR_ERR_OK)
            err = open_unix(serve, &plans[i], i, fault);
    }
    return err;
}

static void free_serve(struct serve **serve)
{
    struct serve *old = *serve;
    uv_loop_close(&old->loop);
    waker_fini(&old->waker);
    binary_free(&old->binary);
    buf_fini(&old->out);
    buf_fini(&old->body);
    buf_fini(&old->sealed_out);
    buf_fini(&old->node_json);
    arena_fini(&old->scratch);
    http_pool_free(&old->pool);
    http2_streams_free(&old->streams);
    buf_fini(&old->trailers);
    pthread_mutex_destroy(&old->answered_lock);
    mem_zero(old->jobs, sizeof(old->jobs));
    mem_zero(old->sealed_in, sizeof(old->sealed_in));
    mem_free(old->batch);
    mem_free(old);
    *serve = NULL;
}

enum kr_err serve_new(struct node *node, size_t number, struct serve **out, struct fault *fault)
{
    struct serve *serve = mem_zalloc(sizeof(*serve));
    serve->node = node;
    serve->number = number;
    serve->metrics = node->metrics[number];
    pthread_mutex_init(&serve->answered_lock, NULL);
    init_memory(serve);
    init_handles(serve);
    serve->binary = binary_new(serve);
    enum kr_err err = open_listeners(serve, fault);
    if (err != KR_ERR_OK) {
        each_listener(serve, accept_close);
        close_own_handles(serve);
        uv_run(&serve->loop, UV_RUN_DEFAULT);
        free_serve(&serve);
        return err;
    }
    *out = serve;
    return KR_ERR_OK;
}

void serve_start(struct serve *serve)
{
    serve->is_started = true;
    atomic_store(&serve->is_running, true);
    if (pthread_create(&serve->thread, NULL, run, serve) != 0)
        abort();
}

void serve_stop(struct serve *serve)
{
    atomic_store(&serve->is_asked_to_stop, true);
    waker_call(&serve->waker);
}

void serve_tell_losses(struct serve *serve)
{
    if (binary_has_subscribers(serve->binary))
        waker_call(&serve->waker);
}

bool serve_any_running(const struct node *node)
{
    for (size_t i = 0; i < node->serve_count; i++) {
        if (node->serves[i] != NULL && atomic_load(&node->serves[i]->is_running))
            return true;
    }
    return false;
}

void serve_join(struct serve **serve)
{
    if ((*serve)->is_started) {
        pthread_join((*serve)->thread, NULL);
    } else {
        each_listener(*serve, accept_close);
        close_own_handles(*serve);
        uv_run(&(*serve)->loop, UV_RUN_DEFAULT);
    }
    free_serve(serve);
}
