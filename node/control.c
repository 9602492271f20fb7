// SPDX-License-Identifier: Apache-2.0
// The control loop: calls in, handlers on the pool, commands to the replica, one append a turn.
//
// Happy path of a call: submitted → rate checked → run on the pool → command submitted → committed
// → answered. Ways to fail: over the rate (429), stopping (503), refused by the replica (503), the
// state moved on (run again, at the end 409).
// The stop: no new calls, what is under way ends, the serving loops end, the replica closes, the
// loop's handles close, the loop ends.
#include "node/control_internal.h"

#include <signal.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "node/executor.h"
#include "node/serve.h"

enum { KR_TICK_MS = 50 };

static const char stopping_text[] = "the node is stopping; ask another one";

// --- a call's way --------------------------------------------------------------------------------

static void answer(struct task *task)
{
    struct control *control = task->control;
    task->answered(task->ctx, task->call);
    atomic_fetch_sub(&control->tasks, 1);
    mem_free(task);
}

static void start_run(struct task *task);

static void go_on(struct task *task, enum executor_next next);

static void committed(void *ctx, const struct replica_outcome *outcome)
{
    struct task *task = ctx;
    go_on(task, executor_committed(task->call, outcome));
}

static void submit(struct task *task)
{
    struct replica *replica = task->control->node->replica;
    enum kr_err err = replica_submit(replica, &task->call->command, committed, task);
    if (err == KR_ERR_OK)
        return;
    struct replica_outcome outcome = {.err = err};
    go_on(task, executor_committed(task->call, &outcome));
}

static void go_on(struct task *task, enum executor_next next)
{
    switch (next) {
    case KR_EXECUTOR_ANSWERED:
        answer(task);
        return;
    case KR_EXECUTOR_SUBMIT:
        submit(task);
        return;
    case KR_EXECUTOR_AGAIN:
        start_run(task);
        return;
    }
}

static void run(uv_work_t *work)
{
    struct task *task = work->data;
    if (!atomic_load(&task->control->is_late)) {
        task->outcome = (int)executor_run(task->call);
        return;
    }
    executor_refuse(task->call, KR_ERR_BUSY, stopping_text);
    task->outcome = KR_EXECUTOR_ANSWERED;
}

static void ran(uv_work_t *work, int status)
{
    struct task *task = work->data;
    (void)status; // never cancelled
    go_on(task, (enum executor_next)task->outcome);
}

static void start_run(struct task *task)
{
    task->work.data = task;
    uv_queue_work(&task->control->loop, &task->work, run, ran);
}

static void begin(struct task *task)
{
    struct control *control = task->control;
    struct call *call = task->call;
    uint64_t wait_ms = 0;
    if (control->is_stopping) {
        executor_refuse(call, KR_ERR_BUSY, stopping_text);
    } else if (call->actor.token_id[0] != '\0' &&
               !limiter_take(control->limiter, call->actor.token_id, clock_boot_ms(), &wait_ms)) {
        executor_refuse(call, KR_ERR_LIMITED, "the token's request rate is used up; slow down");
    } else {
        start_run(task);
        return;
    }
    answer(task);
}

void control_submit(struct control *control, struct call *call, control_answered_fn *answered,
                    void *ctx)
{
    struct task *task = mem_zalloc(sizeof(*task));
    *task = (struct task){.control = control, .call = call, .answered = answered, .ctx = ctx};
    atomic_fetch_add(&control->tasks, 1);
    pthread_mutex_lock(&control->lock);
    *control->submitted_tail = task;
    control->submitted_tail = &task->next;
    pthread_mutex_unlock(&control->lock);
    uv_async_send(&control->wake);
}

uint64_t control_queued(const struct control *control)
{
    return atomic_load_explicit(&control->tasks, memory_order_relaxed);
}

static void on_spin(uv_idle_t *spin)
{
    (void)spin;
}

// --- stopping ------------------------------------------------------------------------------------

static void close_handles(struct control *control)
{
    uv_close((uv_handle_t *)&control->wake, NULL);
    uv_close((uv_handle_t *)&control->check, NULL);
    uv_close((uv_handle_t *)&control->spin, NULL);
    uv_close((uv_handle_t *)&control->tick, NULL);
    uv_close((uv_handle_t *)&control->interrupt, NULL);
    uv_close((uv_handle_t *)&control->terminate, NULL);
    uv_close((uv_handle_t *)&control->hangup, NULL);
}

static void replica_closed(void *ctx)
{
    struct control *control = ctx;
    control->is_closed = true;
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
    for (size_t i = 0; i < node->serve_count; i++)
        serve_stop(node->serves[i]);
}

// Past the timeout nobody waits for the calls that have not begun; what runs still uses the
// replica.
static void step_closing(struct control *control)
{
    if (!control->is_stopping || control->is_replica_closing)
        return;
    if (uv_now(&control->loop) >= control->stop_at_ms)
        atomic_store(&control->is_late, true);
    if (control_queued(control) > 0 || serve_any_running(control->node))
        return;
    control->is_replica_closing = true;
    replica_close(control->node->replica, replica_closed, control);
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

static void on_wake(uv_async_t *wake)
{
    struct control *control = wake->data;
    struct task *next;
    for (struct task *at = take_submitted(control); at != NULL; at = next) {
        next = at->next;
        begin(at);
    }
    step_stop(control);
}

// The end of a turn: callbacks that are due, then everything queued in one append.
static void on_check(uv_check_t *check)
{
    struct control *control = check->data;
    if (control->is_closed) {
        close_handles(control);
        return;
    }
    bool has_more = engine_turn(control->node->engine);
    if (!control->is_closed)
        has_more = replica_turn(control->node->replica) || has_more;
    if (has_more || control->is_closed)
        uv_idle_start(&control->spin, on_spin);
    else
        uv_idle_stop(&control->spin);
}

static void on_tick(uv_timer_t *tick)
{
    struct control *control = tick->data;
    step_stop(control);
    step_closing(control);
    if (!control->is_replica_closing)
        housekeeping_tick(control);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct control *control = handle->data;
    if (number == SIGHUP) {
        LOG_INFO("ignored SIGHUP: settings are read at start", LOG_NUMBER("signal", number));
        return;
    }
    control_stop(control);
}

// --- life ----------------------------------------------------------------------------------------

static void watch_signal(struct control *control, uv_signal_t *handle, int number)
{
    uv_signal_init(&control->loop, handle);
    handle->data = control;
    uv_signal_start(handle, on_signal, number);
}

struct control *control_new(struct node *node)
{
    struct control *control = mem_zalloc(sizeof(*control));
    control->node = node;
    control->submitted_tail = &control->submitted;
    control->limiter = limiter_new((uint64_t)node->config->rate_limit_per_token);
    pthread_mutex_init(&control->lock, NULL);
    uv_loop_init(&control->loop);
    uv_async_init(&control->loop, &control->wake, on_wake);
    uv_check_init(&control->loop, &control->check);
    uv_idle_init(&control->loop, &control->spin);
    uv_timer_init(&control->loop, &control->tick);
    control->wake.data = control->check.data = control;
    control->spin.data = control->tick.data = control;
    watch_signal(control, &control->interrupt, SIGINT);
    watch_signal(control, &control->terminate, SIGTERM);
    watch_signal(control, &control->hangup, SIGHUP);
    return control;
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
    uv_async_send(&control->wake);
}

void control_free(struct control **control)
{
    limiter_free(&(*control)->limiter);
    pthread_mutex_destroy(&(*control)->lock);
    uv_loop_close(&(*control)->loop);
    mem_free(*control);
    *control = NULL;
}
