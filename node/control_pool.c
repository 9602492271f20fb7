// SPDX-License-Identifier: Apache-2.0
// The control loop's pool: handlers on other threads, those that read in their turns, short changes
// several at a time.
//
// A change that comes with others shares a thread's turn and a view with some of them: a hand-over
// and a snapshot cost as much as a short handler does. Each is a run of its own otherwise.
#include "core/base/clock.h"
#include "core/base/priority.h"
#include "node/control_internal.h"
#include "node/dispatch.h"

enum {
    KR_POOL_TOGETHER = 32,   // changes of one hand-over
    KR_TOKEN_FRESH_MS = 1000 // a token that was looked at longer ago is looked at again
};

// What one thread runs, one after another.
struct pool_run {
    uv_work_t work;
    struct control *control;
    struct task *first; // by next
};

void control_pool_init(struct control *control)
{
    control->gathered = (struct control_gathered){.tail = &control->gathered.first};
}

// The pool starts its threads by itself, and tells nobody.
static void take_priority(void)
{
    static _Thread_local bool has_priority;
    if (!has_priority)
        priority_take(KR_PRIORITY_WORK);
    has_priority = true;
}

static void run_on(struct task *task, struct store_view *view)
{
    if (!atomic_load(&task->control->is_late)) {
        task->outcome = (int)executor_run(task->call, view);
        return;
    }
    executor_refuse(task->call, KR_ERR_BUSY, KR_STOPPING_TEXT);
    task->outcome = KR_EXECUTOR_ANSWERED;
}

static void run(uv_work_t *work)
{
    const struct pool_run *run = work->data;
    take_priority();
    struct store_view *view = store_view_open(run->control->node->store);
    for (struct task *at = run->first; at != NULL; at = at->next) {
        if (run->first->next != NULL)
            store_view_reuse(view);
        run_on(at, view);
    }
    store_view_close(&view);
}

static void start_readers(struct control *control);

static void end_run(struct task *task)
{
    struct control *control = task->control;
    if (route_is_reading(task->call->route)) {
        readers_ran(&control->readers, &task->reader);
        start_readers(control);
    }
    control_go_on(task, (enum executor_next)task->outcome);
}

static void ran(uv_work_t *work, int status)
{
    struct pool_run *run = work->data;
    struct task *next;
    (void)status; // never cancelled
    for (struct task *at = run->first; at != NULL; at = next) {
        next = at->next;
        end_run(at);
    }
    mem_free(run);
}

static void start(struct control *control, struct task *first)
{
    struct pool_run *it = mem_alloc(sizeof(*it));
    *it = (struct pool_run){.control = control, .first = first};
    it->work.data = it;
    uv_queue_work(&control->loop, &it->work, run, ran);
}

static void start_one(struct task *task)
{
    task->next = NULL;
    start(task->control, task);
}

static void start_readers(struct control *control)
{
    struct reader *reader;
    while ((reader = readers_next(&control->readers)) != NULL) {
        uint64_t since_ms = reader->waits_until_ms - KR_READERS_WAIT_MS;
        reader->call->must_check_token |= clock_boot_ms() - since_ms > KR_TOKEN_FRESH_MS;
        start_one(reader->owner);
    }
}

void control_pool_run(struct task *task)
{
    struct control *control = task->control;
    if (!route_is_reading(task->call->route)) {
        start_one(task);
        return;
    }
    readers_wait(&control->readers, &task->reader, clock_boot_ms());
    start_readers(control);
}

void control_pool_gather(struct task *task)
{
    struct control_gathered *gathered = &task->control->gathered;
    task->next = NULL;
    *gathered->tail = task;
    gathered->tail = &task->next;
    gathered->count++;
}

// Cuts the list behind so many.
static struct task *cut(struct task *first, size_t count)
{
    while (--count > 0 && first->next != NULL)
        first = first->next;
    struct task *rest = first->next;
    first->next = NULL;
    return rest;
}

// All threads get about as many, and none so many that the first of them waits long for the last.
void control_pool_start(struct control *control)
{
    struct task *first = control->gathered.first, *rest;
    size_t threads = control->node->pool_threads;
    size_t share = (control->gathered.count + threads - 1) / threads;
    for (; first != NULL; first = rest) {
        rest = cut(first, share < KR_POOL_TOGETHER ? share : KR_POOL_TOGETHER);
        start(control, first);
    }
    control_pool_init(control);
}

// What waits in vain makes room.
void control_pool_refuse_expired(struct control *control)
{
    struct reader *reader;
    while ((reader = readers_expired(&control->readers, clock_boot_ms())) != NULL) {
        executor_refuse(reader->call, KR_ERR_BUSY, KR_READING_TEXT);
        control_answer(reader->owner);
    }
}
