// SPDX-License-Identifier: Apache-2.0
// The control loop: calls in, handlers on the pool, commands to the replica, one append a turn.
//
// Happy path of a call: submitted → rate checked → run on the pool, or passed to the leader →
// command submitted → committed → answered. One that only reads waits for its turn on the pool
// (readers.c). Ways to fail: over the rate (429), too many that read (503), stopping (503), refused
// by the replica (503), the state moved on (run again, at the end 409), given up by its client.
// The stop: no new calls, what is under way ends, the serving loops end, the links close, the
// replica closes, the loop's handles close, the loop ends.
#include "node/control_internal.h"

#include <signal.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "node/dispatch.h"
#include "node/engines.h"
#include "node/listen.h"
#include "node/peering.h"
#include "node/serve.h"
#include "node/signals.h"
#include "replication/roster.h"

enum { KR_TICK_MS = 50, KR_RATE_DIGEST = 12, KR_AT_ONCE_CALLS = 2, KR_AT_ONCE_BYTES = 8192 };

// --- a call's way --------------------------------------------------------------------------------

static bool is_change(const struct call *call)
{
    return call->route->kind == KR_ROUTE_CHANGE;
}

void control_answer(struct task *task)
{
    struct control *control = task->control;
    readers_leave(&control->readers, &task->reader);
    atomic_fetch_sub(&control->changes, is_change(task->call));
    task->answered(task->ctx, task->call);
    atomic_fetch_sub(&control->tasks, 1);
    mem_free(task);
}

static void committed(void *ctx, const struct replica_outcome *outcome)
{
    struct task *task = ctx;
    control_go_on(task, executor_committed(task->call, outcome));
}

static void received(void *ctx)
{
    control_answer(ctx);
}

static void submit(struct task *task)
{
    struct replica *replica = task->control->node->replica;
    enum kr_err err = replica_submit(replica, &task->call->command, committed, task);
    if (err == KR_ERR_OK)
        return;
    struct replica_outcome outcome = {.err = err};
    control_go_on(task, executor_committed(task->call, &outcome));
}

void control_go_on(struct task *task, enum executor_next next)
{
    switch (next) {
    case KR_EXECUTOR_ANSWERED:
        control_answer(task);
        return;
    case KR_EXECUTOR_SUBMIT:
        submit(task);
        return;
    case KR_EXECUTOR_AGAIN:
        control_pool_run(task);
        return;
    case KR_EXECUTOR_ACT:
        task->call->action(task->control->node, task->call);
        control_go_on(task, executor_acted(task->call));
        return;
    case KR_EXECUTOR_RECEIPT:
        readers_leave(&task->control->readers, &task->reader); // it may wait for minutes
        everywhere_answer(task->control->everywhere, task->call, received, task);
        return;
    }
}

// The way to a pool thread and back costs more than a short handler does, so that a change which
// finds hardly any other runs here. Many at a time go to the pool, which has the other cores.
static bool runs_at_once(const struct control *control, const struct call *call)
{
    return is_change(call) && call->body.size <= KR_AT_ONCE_BYTES &&
           atomic_load_explicit(&control->changes, memory_order_relaxed) <= KR_AT_ONCE_CALLS;
}

static void run_at_once(struct task *task)
{
    struct store_view *view = store_view_open(task->control->node->store);
    enum executor_next next = executor_run(task->call, view);
    store_view_close(&view);
    control_go_on(task, next);
}

static void start(struct task *task)
{
    if (runs_at_once(task->control, task->call))
        run_at_once(task);
    else if (is_change(task->call))
        control_pool_gather(task);
    else
        control_pool_run(task);
}

// A token's bucket goes by its digest, which is the same wherever a call comes in.
static bool is_over_rate(struct control *control, const struct call *call)
{
    uint8_t digest[KR_DIGEST_SIZE];
    char id[2 * KR_RATE_DIGEST + 1];
    uint64_t wait_ms = 0;
    if (call->token.size == 0)
        return false;
    digest_sha256(call->token, digest);
    text_hex(digest, KR_RATE_DIGEST, id);
    return !limiter_take(control->limiter, id, clock_boot_ms(), &wait_ms);
}

static bool runs_here(const struct control *control, const struct call *call)
{
    const struct node *node = control->node;
    if (call->route->kind == KR_ROUTE_LOCAL || !node->identity.has_peers)
        return true;
    if (replica_is_leader(node->replica))
        return true;
    return call->route->kind == KR_ROUTE_ANYWHERE && !peering_has_leader(control->peering);
}

// The leader that was known is not there: this node's own word is better than none.
static void remote_answered(void *ctx, struct call *call)
{
    if (call->answer.status == 503 && call->route->kind == KR_ROUTE_ANYWHERE)
        control_pool_run(ctx);
    else
        control_answer(ctx);
}

// False: it reads, and too many others do.
static bool may_read(struct task *task)
{
    return !route_is_reading(task->call->route) ||
           readers_enter(&task->control->readers, &task->reader);
}

static void begin(struct task *task)
{
    struct control *control = task->control;
    struct call *call = task->call;
    if (control->is_stopping) {
        executor_refuse(call, KR_ERR_BUSY, KR_STOPPING_TEXT);
    } else if (is_over_rate(control, call)) {
        executor_refuse(call, KR_ERR_LIMITED, "the token's request rate is used up; slow down");
    } else if (!may_read(task)) {
        executor_refuse(call, KR_ERR_BUSY, KR_READING_TEXT);
    } else if (!runs_here(control, call)) {
        remote_call(control->remote, call, remote_answered, task);
        return;
    } else {
        start(task);
        return;
    }
    control_answer(task);
}

void control_submit(struct control *control, struct call *call, control_answered_fn *answered,
                    void *ctx)
{
    struct task *task = mem_zalloc(sizeof(*task));
    *task = (struct task){.control = control, .call = call, .answered = answered, .ctx = ctx};
    task->reader = (struct reader){.call = call, .owner = task};
    atomic_fetch_add(&control->tasks, 1);
    atomic_fetch_add(&control->changes, is_change(call));
    pthread_mutex_lock(&control->lock);
    *control->submitted_tail = task;
    control->submitted_tail = &task->next;
    pthread_mutex_unlock(&control->lock);
    waker_call(&control->waker);
}

uint64_t control_queued(const struct control *control)
{
    return atomic_load_explicit(&control->tasks, memory_order_relaxed);
}

void control_reads(const struct control *control, struct readers_figures *out)
{
    readers_figures(&control->readers, out);
}

static void on_spin(uv_idle_t *spin)
{
    (void)spin;
}

// --- calls between nodes -------------------------------------------------------------------------

static enum kr_err forward(void *ctx, const struct forward_request *request, forward_done_fn *done,
                           void *done_ctx)
{
    struct control *control = ctx;
    return peers_forward(peering_peers(control->peering), request, done, done_ctx);
}

static void end_forwarded(void *ctx)
{
    struct peers *peers = peering_peers(((struct control *)ctx)->peering);
    if (peers != NULL)
        peers_end_calls(peers);
}

static void run_for_another(void *ctx, struct call *call,
                            void (*answered)(void *ctx, struct call *call), void *answered_ctx)
{
    control_submit(ctx, call, answered, answered_ctx);
}

// --- stopping ------------------------------------------------------------------------------------

static void close_handles(struct control *control)
{
    waker_close(&control->waker);
    uv_close((uv_handle_t *)&control->check, NULL);
    uv_close((uv_handle_t *)&control->spin, NULL);
    uv_close((uv_handle_t *)&control->tick, NULL);
    uv_close((uv_handle_t *)&control->interrupt, NULL);
    uv_close((uv_handle_t *)&control->terminate, NULL);
    uv_close((uv_handle_t *)&control->hangup, NULL);
}

// Without their handles signals would end the process. What came before they are held is told in
// the next turn, what comes later to the node that starts next.
static void step_closed(struct control *control)
{
    if (control->is_deaf) {
        close_handles(control);
        return;
    }
    signals_hold();
    control->is_deaf = true;
    uv_idle_start(&control->spin, on_spin);
}

static void engines_closed(void *ctx)
{
    struct control *control = ctx;
    control->engines = NULL;
    control->is_closed = true;
}

static void replica_closed(void *ctx)
{
    struct control *control = ctx;
    control->node->replica = NULL;
    if (control->engines != NULL)
        engines_close(control->engines, engines_closed, control);
    else
        engines_closed(control);
}

static void peering_closed(void *ctx)
{
    struct control *control = ctx;
    control->peering = NULL;
    if (control->node->replica != NULL)
        replica_close(control->node->replica, replica_closed, control);
    else
        replica_closed(control);
}

// Serving loops end first: they answer what they have begun, and that needs this loop.
static void step_stop(struct control *control)
{
    struct node *node = control->node;
    if (control->is_stopping || !atomic_load(&control->is_asked_to_stop))
        return;
    control->is_stopping = true;
    control->stop_at_ms = uv_now(&control->loop) + (uint64_t)node->config->stop_timeout_ms;
    atomic_store(&node->is_stopping, true);
    LOG_INFO("stopping", LOG_NUMBER("callsUnderWay", control_queued(control)));
    listen_unix_end(node->config);
    for (size_t i = 0; i < node->serve_count; i++)
        if (node->serves[i] != NULL)
            serve_stop(node->serves[i]);
}

// Past the timeout nobody waits for the calls that have not begun, nor for the leader's answers;
// what runs still uses the replica.
static void step_closing(struct control *control)
{
    if (!control->is_stopping || control->is_replica_closing)
        return;
    if (uv_now(&control->loop) >= control->stop_at_ms) {
        atomic_store(&control->is_late, true);
        remote_end(control->remote);
        readers_give_up(&control->readers);
    }
    everywhere_stop(control->everywhere);
    if (control_queued(control) > 0 || serve_any_running(control->node))
        return;
    control->is_replica_closing = true;
    peering_close(control->peering, peering_closed, control);
    uv_idle_start(&control->spin, on_spin);
}

// --- turns ---------------------------------------------------------------------------------------

static struct task *take_submitted(struct control *control)
{
    pthread_mutex_lock(&control->lock);
    struct task *list = control->submitted;
    control->submitted = NULL;
    control->submitted_tail = &control->submitted;
    pthread_mutex_unlock(&control->lock);
    return list;
}

static void on_wake(void *ctx)
{
    struct control *control = ctx;
    struct task *next;
    for (struct task *at = take_submitted(control); at != NULL; at = next) {
        next = at->next;
        begin(at);
    }
    control_pool_start(control);
    step_stop(control);
}

// False as well in a start that failed before there was one, and is being closed.
static bool has_replica(const struct control *control)
{
    return control->node->replica != NULL && !control->is_replica_closing;
}

// What has become due, then everything queued in one append, then what the links have to send.
static bool take_turn(struct control *control)
{
    struct node *node = control->node;
    bool has_more = node->engine != NULL && engine_turn(node->engine);
    if (node->replica != NULL)
        has_more = replica_turn(node->replica) || has_more;
    if (has_replica(control))
        leading_turn(control->leading);
    remote_turn(control->remote);
    peering_turn(control->peering);
    return everywhere_turn(control->everywhere, clock_boot_ms()) || has_more;
}

static void on_check(uv_check_t *check)
{
    struct control *control = check->data;
    if (control->is_closed) {
        step_closed(control);
        return;
    }
    if (take_turn(control) || control->is_closed)
        uv_idle_start(&control->spin, on_spin);
    else
        uv_idle_stop(&control->spin);
}

static void on_tick(uv_timer_t *tick)
{
    struct control *control = tick->data;
    step_stop(control);
    step_closing(control);
    control_pool_refuse_expired(control);
    remote_tick(control->remote, clock_boot_ms());
    everywhere_ask(control->everywhere);
    peering_tick(control->peering, clock_boot_ms());
    secure_tick(control->node->secure, clock_boot_ms());
    if (!has_replica(control))
        return;
    if (!control->node->identity.has_peers)
        alone_tick(&control->alone, control->node, clock_boot_ms());
    readiness_tell(control->node, &control->told);
    housekeeping_tick(control);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct control *control = handle->data;
    if (number == SIGHUP) {
        LOG_INFO("SIGHUP: certificates are read again; settings are read at start",
                 LOG_NUMBER("signal", number));
        peering_reload(control->peering);
        secure_reload(control->node->secure);
        return;
    }
    control->node->must_restart = false;
    control_stop(control);
}

// --- life ----------------------------------------------------------------------------------------

static void watch_signal(struct control *control, uv_signal_t *handle, int number)
{
    uv_signal_init(&control->loop, handle);
    handle->data = control;
    uv_signal_start(handle, on_signal, number);
}

static void init_handles(struct control *control)
{
    uv_loop_init(&control->loop);
    waker_open(&control->waker, &control->loop, on_wake, control);
    uv_check_init(&control->loop, &control->check);
    uv_idle_init(&control->loop, &control->spin);
    uv_timer_init(&control->loop, &control->tick);
    control->check.data = control;
    control->spin.data = control->tick.data = control;
    watch_signal(control, &control->interrupt, SIGINT);
    watch_signal(control, &control->terminate, SIGTERM);
    watch_signal(control, &control->hangup, SIGHUP);
}

struct control *control_new(struct node *node)
{
    struct control *control = mem_zalloc(sizeof(*control));
    const struct remote_port port = {control, forward, run_for_another, end_forwarded};
    control->node = node;
    control->submitted_tail = &control->submitted;
    control_pool_init(control);
    readers_init(&control->readers, node->pool_threads, (uint64_t)node->config->calls_max);
    control->limiter = limiter_new((uint64_t)node->config->rate_limit_per_token, 1000);
    pthread_mutex_init(&control->lock, NULL);
    init_handles(control);
    control->remote = remote_new(node, &port);
    control->leading = leading_new(node);
    if (node->identity.has_peers)
        control->roster = roster_new(node->identity.node_id, clock_boot_ms());
    control->everywhere = everywhere_new(node, control->roster);
    return control;
}

enum kr_err control_open_engine(struct control *control, struct fault *fault)
{
    return engines_open(control->node, &control->loop, &control->engines, fault);
}

static void wake(void *ctx)
{
    struct control *control = ctx;
    waker_call(&control->waker);
}

enum kr_err control_open_peers(struct control *control, struct fault *fault)
{
    control->node->state.wake = wake;
    control->node->state.wake_ctx = control;
    const struct peering_options options = {control->node, &control->loop, control,
                                            control->roster};
    return peering_new(&options, &control->peering, fault);
}

void control_run(struct control *control)
{
    uv_check_start(&control->check, on_check);
    uv_idle_start(&control->spin, on_spin);
    uv_timer_start(&control->tick, on_tick, KR_TICK_MS, KR_TICK_MS);
    uv_run(&control->loop, UV_RUN_DEFAULT);
}

void control_stop(struct control *control)
{
    atomic_store(&control->is_asked_to_stop, true);
    waker_call(&control->waker);
}

void control_restart(struct control *control)
{
    if (atomic_load(&control->is_asked_to_stop))
        return;
    control->node->must_restart = true;
    control_stop(control);
}

enum kr_err control_promote(struct control *control)
{
    const struct peers *peers = peering_peers(control->peering);
    uint64_t known_epoch = peers == NULL ? 0 : peers_known_epoch(peers);
    if (peers != NULL && peers_is_rebuilding(peers))
        return KR_ERR_BUSY;
    enum kr_err err = engines_promote(control->node, known_epoch);
    if (err == KR_ERR_OK) // the replica knows now, and takes what its caller writes
        engine_turn(control->node->engine);
    return err;
}

enum engine_fitness control_fitness(void *ctx, struct fault *why)
{
    const struct node *node = ctx;
    struct peers *peers = peering_peers(node->control->peering);
    return peers == NULL ? KR_ENGINE_FIT : peers_fitness(peers, why);
}

void control_leader_is(struct control *control, const char *member_id, const char *peer_address)
{
    peering_leader_is(control->peering, member_id, peer_address);
}

void control_free(struct control **control)
{
    everywhere_free(&(*control)->everywhere);
    remote_free(&(*control)->remote);
    leading_free(&(*control)->leading);
    if ((*control)->roster != NULL)
        roster_free(&(*control)->roster);
    limiter_free(&(*control)->limiter);
    pthread_mutex_destroy(&(*control)->lock);
    uv_loop_close(&(*control)->loop);
    waker_fini(&(*control)->waker);
    mem_free(*control);
    *control = NULL;
}
