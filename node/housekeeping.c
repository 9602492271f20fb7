// SPDX-License-Identifier: Apache-2.0
// What the control loop does between requests: bounded steps of maintenance, purges by the log, and
// flushes of what commits have not waited for.
#include "node/control_internal.h"

#include <inttypes.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "node/sealing.h"

#define KR_DAY_MS INT64_C(86400000)

enum { KR_PURGE_ROWS = 1000, KR_SECOND_TICKS = 20, KR_MAINTAIN_BUDGET_NS = 2000000 };

// 0: audit rows are kept for ever.
static int64_t audit_until_ms(const struct config *config, int64_t now_ms)
{
    return config->audit_retention_days == 0 ? 0
                                             : now_ms - config->audit_retention_days * KR_DAY_MS;
}

static void purge(struct control *control);

// What has met its limit goes on in the next turn, so that what comes in at any rate goes as fast;
// what has not waits for the next second, so that a few rows are no reason for an entry.
static void purged(void *ctx, const struct replica_outcome *outcome)
{
    struct control *control = ctx;
    uint64_t rows = outcome->err == KR_ERR_OK ? outcome->result.purged : 0;
    control->is_purging = false;
    control->purged_rows += rows;
    if (rows >= KR_PURGE_ROWS && !control->is_stopping)
        purge(control);
    if (control->is_purging || control->purged_rows == 0)
        return;
    LOG_INFO("purged what was due", LOG_NUMBER("rows", control->purged_rows),
             LOG_NUMBER("index", outcome->index));
    control->purged_rows = 0;
}

// Looked at each second, whether this node leads or not.
static bool is_clock_believed(struct control *control, int64_t now_ms)
{
    struct purge_clock *clock = &control->purge_clock;
    bool was_in_doubt = clock->is_in_doubt;
    int64_t ahead_ms = now_ms - clock->unix_ms;
    bool is_believed = purge_clock_believes(clock, now_ms, clock_boot_ms());
    if (!is_believed && !was_in_doubt)
        LOG_WARN("the clock has leapt ahead: nothing is purged for an hour; set it if it is wrong",
                 LOG_NUMBER("days", (uint64_t)(ahead_ms / KR_DAY_MS)));
    return is_believed;
}

// What is due goes by a log entry, so that every node drops the same rows at the same index.
static void purge(struct control *control)
{
    int64_t now_ms = clock_unix_ms();
    if (!is_clock_believed(control, now_ms))
        return;
    int64_t until_ms = audit_until_ms(control->node->config, now_ms);
    if (control->is_purging || !replica_is_leader(control->node->replica) ||
        !store_is_due(control->node->store, now_ms, until_ms))
        return;
    struct command_op op = {
        .kind = KR_OP_PURGE,
        .as.purge = {.now_ms = now_ms, .limit = KR_PURGE_ROWS, .audit_until_ms = until_ms}};
    struct command command = {.ops = &op, .op_count = 1, .actor = "system", .requested_ms = now_ms};
    control->is_purging =
        replica_submit(control->node->replica, &command, purged, control) == KR_ERR_OK;
}

// --- the flush -----------------------------------------------------------------------------------

static void flush(uv_work_t *work)
{
    struct control *control = work->data;
    store_flush_run(control->node->store, &control->flush);
}

static void flushed(uv_work_t *work, int status)
{
    struct control *control = work->data;
    struct fault fault;
    (void)status; // nobody cancels it
    control->is_flushing = false;
    if (store_flush_end(control->node->store, &control->flush, &fault) != KR_ERR_OK)
        node_die(&fault);
}

// One at a time: a slow disk makes them rarer, and the log elsewhere longer.
static void start_flush(struct control *control)
{
    if (control->is_flushing || !store_flush_begin(control->node->store, &control->flush))
        return;
    control->is_flushing = true;
    control->flush_work.data = control;
    uv_queue_work(&control->loop, &control->flush_work, flush, flushed);
}

static void note_caught_up(const struct node *node)
{
    if (!store_may_lack(node->store) || replica_known(node->replica).is_doubtful)
        return;
    replica_note_doubt(node->replica, false); // it may have led meanwhile
    store_caught_up(node->store);
    LOG_INFO("caught up after the machine had stopped",
             LOG_NUMBER("index", store_applied_index(node->store)));
}

void housekeeping_tick(struct control *control)
{
    uint64_t until_ns = clock_mono_ns() + KR_MAINTAIN_BUDGET_NS;
    if (control->ticks == 0)
        purge_clock_init(&control->purge_clock, store_last_entry_ms(control->node->store),
                         clock_unix_ms(), clock_boot_ms());
    while (store_maintain(control->node->store, clock_unix_ms()) && clock_mono_ns() < until_ns)
        continue;
    if (control->ticks++ % KR_SECOND_TICKS != 0)
        return;
    figures_update(control->node->figures, control->node->store);
    if (control->node->identity.is_core)
        sealing_insist(control->node); // others may have rotated it, or this node has just joined
    purge(control);
    start_flush(control);
    note_caught_up(control->node);
}
