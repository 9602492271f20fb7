// SPDX-License-Identifier: Apache-2.0
// Last-used times: the hot table's minutes, written to the index now and then.
//
// A walk over all records takes about KR_USAGE_SWEEP_MS, a bounded number of records each step, and
// writes the times that changed since the walk before; unsynced and outside the log, since a lost
// minute harms nobody. What was written is not read back into the table: readers take the later of
// both.
#include "core/store/store_internal.h"

#define KR_USAGE_SWEEP_MS 60000
#define KR_USAGE_STEP_RECORDS 8192 // at most
#define KR_USAGE_BATCH_ROWS 4096
#define KR_MINUTE_MS 60000

struct walk {
    struct store *store;
    uint32_t changed_since;
    size_t rows;
    enum kr_err err;
};

static void flush(struct walk *walk)
{
    struct store *store = walk->store;
    bool has_room = index_disk_free(store->index) > store->options.disk_reserve_bytes;
    if (walk->rows > 0 && walk->err == KR_ERR_OK && has_room) {
        walk->err = index_write(store->index, store->batch, false, NULL);
    }
    index_batch_clear(store->batch);
    walk->rows = 0;
}

static void visit(void *ctx, const struct hot_record *record)
{
    struct walk *walk = ctx;
    const _Atomic uint32_t *last_used = (const _Atomic uint32_t *)&record->last_used_min;
    uint32_t minute = atomic_load_explicit(last_used, memory_order_relaxed);
    if (minute == 0 || minute < walk->changed_since) {
        return;
    }
    struct rows_key key;
    uint8_t value[4];
    rows_digest(&key, record->digest, KR_HOT_DIGEST_BYTES);
    rows_put_u32(value, minute);
    index_batch_put(walk->store->index, walk->store->batch, KR_INDEX_USAGE, rows_key_bytes(&key),
                    bytes_of(value, sizeof value));
    walk->rows++;
}

// At least a whole table of this size in KR_USAGE_SWEEP_MS.
static size_t step_budget(const struct store *store, int64_t elapsed_ms)
{
    struct hot_figures figures;
    hot_figures(store->hot, &figures);
    int64_t elapsed = elapsed_ms < 0 ? 0 : elapsed_ms > 1000 ? 1000 : elapsed_ms;
    uint64_t budget = (figures.keys + 1024) * (uint64_t)elapsed / KR_USAGE_SWEEP_MS + 64;
    return budget < KR_USAGE_STEP_RECORDS ? (size_t)budget : KR_USAGE_STEP_RECORDS;
}

static void begin(struct store_sweep *sweep, int64_t now_ms)
{
    sweep->is_running = true;
    sweep->position = 0;
    sweep->started_ms = sweep->stepped_ms = now_ms;
    sweep->started_min = (uint32_t)(now_ms / KR_MINUTE_MS);
}

void store_usage_step(struct store *store, int64_t now_ms)
{
    struct store_sweep *sweep = &store->sweep;
    if (store->must_reopen || !store_is_loaded(store)) {
        return;
    }
    if (!sweep->is_running) {
        if (now_ms >= sweep->started_ms && now_ms - sweep->started_ms < KR_USAGE_SWEEP_MS) {
            return;
        }
        begin(sweep, now_ms);
    }
    size_t budget = step_budget(store, now_ms - sweep->stepped_ms);
    struct walk walk = {.store = store, .changed_since = sweep->changed_since};
    index_batch_clear(store->batch);
    pthread_mutex_lock(&store->hot_lock);
    bool has_more = hot_visit(store->hot, &sweep->position, budget, visit, &walk);
    pthread_mutex_unlock(&store->hot_lock);
    flush(&walk);
    sweep->stepped_ms = now_ms;
    if (!has_more) {
        // A use in the minute of the start may come behind the walk: it counts as changed again.
        sweep->changed_since = sweep->started_min;
        sweep->is_running = false;
    }
}

void store_usage_finish(struct store *store)
{
    uint64_t position = 0;
    struct walk walk = {.store = store, .changed_since = store->sweep.changed_since};
    bool has_more = !store->must_reopen;
    index_batch_clear(store->batch);
    while (has_more && walk.err == KR_ERR_OK) {
        has_more = hot_visit(store->hot, &position, KR_USAGE_BATCH_ROWS, visit, &walk);
        flush(&walk);
    }
}
