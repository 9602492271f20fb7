// SPDX-License-Identifier: Apache-2.0
// What the files of the control loop share: the loop's state and a call under way.
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "core/store/store_flush.h"
#include "node/alone.h"
#include "node/control.h"
#include "node/everywhere.h"
#include "node/executor.h"
#include "node/leading.h"
#include "node/limiter.h"
#include "node/node.h"
#include "node/purge_clock.h"
#include "node/readers.h"
#include "node/readiness.h"
#include "node/remote.h"
#include "node/waker.h"

// A call on its way through the control loop.
struct task {
    struct control *control;
    struct call *call;
    control_answered_fn *answered;
    void *ctx;
    struct task *next; // of the submitted queue, then of those that run together
    struct reader reader;
    int outcome; // enum executor_next of the run
};

// Changes that came in one turn of the loop, and have not begun.
struct control_gathered {
    struct task *first, **tail;
    size_t count;
};

struct control {
    struct node *node;
    uv_loop_t loop;
    struct waker waker;
    uv_check_t check;
    uv_idle_t spin;  // active while the replica or the engine has more to do
    uv_timer_t tick; // housekeeping
    uv_signal_t interrupt, terminate, hangup;
    pthread_mutex_t lock; // of submitted
    struct task *submitted, **submitted_tail;
    struct limiter *limiter;
    struct remote *remote;
    struct everywhere *everywhere;
    struct leading *leading;
    struct roster *roster;   // NULL without peers
    struct peering *peering; // NULL without peers, and once it is closed
    struct alone alone;      // without peers
    struct engines *engines; // NULL before the engine is opened, and once it is closed
    atomic_size_t tasks;     // calls under way
    atomic_size_t changes;   // of them, those of kind CHANGE
    struct control_gathered gathered;
    struct readers readers; // calls that only read
    atomic_bool is_asked_to_stop;
    atomic_bool is_late;      // past stop_at_ms: what has not begun is refused
    struct store_flush flush; // the one under way
    uv_work_t flush_work;
    uint64_t purged_rows; // by the entries that follow one another
    bool is_stopping, is_purging, is_flushing, is_replica_closing, is_closed, is_deaf;
    enum readiness told; // to the log and systemd
    uint64_t stop_at_ms; // uv_now
    struct purge_clock purge_clock;
    uint64_t ticks;
};

#define KR_STOPPING_TEXT "the node is stopping; ask another one"
#define KR_READING_TEXT "too many management requests that read are under way; try again"

// --- control.c -----------------------------------------------------------------------------------
void control_answer(struct task *task); // takes it
void control_go_on(struct task *task, enum executor_next next);

// --- control_pool.c ------------------------------------------------------------------------------
void control_pool_init(struct control *control);
// Runs it on the pool, in its turn where it only reads; then control_go_on.
void control_pool_run(struct task *task);
// The same for a change that came with others: gathered, and started together.
void control_pool_gather(struct task *task);
void control_pool_start(struct control *control);
void control_pool_refuse_expired(struct control *control);

// --- housekeeping.c ------------------------------------------------------------------------------
// One tick: growth, reclamation, log trimming, last-used times; once a second purges, the flush,
// and a look at the vault.
void housekeeping_tick(struct control *control);
