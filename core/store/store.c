// SPDX-License-Identifier: Apache-2.0
// The store's life: opening with its checks, closing, upkeep, position and figures.
#include "core/store/store_internal.h"

#include "core/base/log.h"
#include "core/store/boot_mark.h"
#include "core/store/store_flush.h"
#include "core/store/store_snapshot.h"
#include "core/store/store_switch.h"

#define KR_STORE_LOAD_THREADS 2

enum kr_err store_damaged(const struct store *store, enum index_family family, struct fault *fault)
{
    return fault_set(fault, KR_ERR_CORRUPT,
                     "%s: a row of %s is damaged; restore this directory from a backup, or empty "
                     "it and let the node join again",
                     index_directory(store->index), index_family_name(family));
}

// --- opening -------------------------------------------------------------------------------------
// That the state was not cut short: see watermark.h.
static enum kr_err check_watermark(struct store *store, struct fault *fault)
{
    const char *directory = index_directory(store->index);
    uint64_t applied = store->applied.position.index, written = watermark_index(store->watermark);
    if (applied >= written) {
        return KR_ERR_OK;
    }
    return fault_set(fault, KR_ERR_CORRUPT,
                     "%s: the state ends at entry %llu, but entry %llu was written: the end of its "
                     "MANIFEST or of a write-ahead log (*.log) is missing; restore this directory "
                     "from a backup, or empty it and let the node join again",
                     directory, (unsigned long long)applied, (unsigned long long)written);
}

static void mark_boot(struct store *store)
{
    struct fault fault;
    bool was_told = store->has_told_unmarked;
    store->is_marked = boot_mark_write(index_directory(store->index), &fault) == KR_ERR_OK;
    store->has_told_unmarked = !store->is_marked;
    if (!store->is_marked && !was_told) {
        LOG_WARN(
            "the next start could not tell a power cut: commits wait for the disk until it can",
            LOG_TEXT("why", fault.text));
    }
}

bool store_waits_for_disk(struct store *store)
{
    if (store_is_synced(store)) {
        return true;
    }
    if (!store->may_lack && !store->is_marked) {
        mark_boot(store);
    }
    return !store->may_lack && !store->is_marked;
}

// The mark of another boot stays until what is missing is there.
static void begin_run(struct store *store)
{
    if (store_is_synced(store)) {
        return;
    }
    store->may_lack = boot_mark_is_of_another(index_directory(store->index));
    if (!store->may_lack) {
        mark_boot(store);
    }
}

static enum kr_err open_index(struct store *store, struct fault *fault)
{
    struct index_options options = {.directory = store->options.directory,
                                    .block_cache_bytes = store->options.block_cache_bytes,
                                    .is_unsynced = !store_is_synced(store)};
    enum kr_err err = index_open(&options, &store->index, fault);
    if (err != KR_ERR_OK) {
        return err;
    }
    store->stage = stage_new(store->index);
    err = watermark_open(options.directory, &store->watermark, fault);
    if (err == KR_ERR_OK) {
        err = store_format_open(store, fault);
    }
    if (err == KR_ERR_OK) {
        err = check_watermark(store, fault);
    }
    return err == KR_ERR_OK ? store_log_check_tail(store, fault) : err;
}

enum kr_err store_open(const struct store_options *options, struct store **out, struct fault *fault)
{
    struct fault unread;
    fault = fault ? fault : &unread;
    struct store *store = mem_zalloc(sizeof *store);
    store->options = *options;
    if (store->options.load_threads == 0) {
        store->options.load_threads = KR_STORE_LOAD_THREADS;
    }
    store->batch = index_batch_new();
    store->log_first_at_ms = INT64_MIN;
    for (size_t i = 0; i < KR_DUE_GROUP_COUNT; i++) {
        store->due[i].from_ms = INT64_MIN;
    }
    store->audits.from_ms = INT64_MIN;
    pthread_mutex_init(&store->hot_lock, NULL);
    arena_init(&store->arena);
    buf_init(&store->record, KR_STORE_RECORD_MAX);
    buf_init(&store->scratch, KR_STORE_RECORD_MAX);
    enum kr_err err = store_switch(options->directory, fault);
    if (err == KR_ERR_OK) {
        err = open_index(store, fault);
    }
    if (err != KR_ERR_OK) {
        goto fail;
    }
    begin_run(store); // before anything can fail whose closing ends the run
    store_import_forget(options, store->applied.position.index);
    store->options.directory = index_directory(store->index);
    store->hot = hot_new(index_estimate_rows(store->index, KR_INDEX_KEYS));
    err = store_load_buckets(store, fault);
    if (err != KR_ERR_OK) {
        goto fail;
    }
    if (options->holding == KR_HOLD_ALL) {
        store->safe_index = store->applied.position.index;
    }
    atomic_store(&store->log_first, store->applied.log_first);
    atomic_store(&store->applied_index, store->applied.position.index);
    arena_reset(&store->arena);
    *out = store;
    return KR_ERR_OK;
fail:
    store_close(&store);
    *out = NULL;
    return err;
}

// A node that was stopped leaves nothing to a power cut. What the disk refuses now, the next start
// reads as it can.
static void finish_flush(struct store *store)
{
    struct store_flush flush;
    struct fault fault;
    if (!store_flush_begin(store, &flush)) {
        return;
    }
    store_flush_run(store, &flush);
    if (store_flush_end(store, &flush, &fault) != KR_ERR_OK) {
        LOG_WARN("the last entries may not be on the disk", LOG_TEXT("why", fault.text));
    }
}

static void end_run(struct store *store)
{
    struct fault fault;
    if (store_is_synced(store) || store->may_lack) {
        return;
    }
    enum kr_err err = index_sync(store->index, &fault);
    if (err == KR_ERR_OK) {
        err = boot_mark_remove(index_directory(store->index), &fault);
    }
    if (err != KR_ERR_OK) {
        LOG_WARN("the last entries may not be on the disk", LOG_TEXT("why", fault.text));
    }
}

void store_close(struct store **store)
{
    struct store *it = *store;
    if (!it) {
        return;
    }
    store_load_stop(it);
    if (it->hot) {
        store_usage_finish(it);
        finish_flush(it);
        end_run(it);
        hot_free(&it->hot);
    }
    store_counts_fini(it);
    stage_free(&it->stage);
    index_batch_free(&it->batch);
    watermark_close(&it->watermark);
    index_close(&it->index);
    buf_fini(&it->record);
    buf_fini(&it->scratch);
    arena_fini(&it->arena);
    pthread_mutex_destroy(&it->hot_lock);
    mem_free(it);
    *store = NULL;
}

bool store_may_lack(const struct store *store)
{
    return store->may_lack;
}

void store_caught_up(struct store *store)
{
    if (store->may_lack) {
        store->may_lack = false;
        mark_boot(store);
    }
}

// --- position, upkeep, figures -------------------------------------------------------------------
void store_position(const struct store *store, struct store_position *out)
{
    *out = store->applied.position;
}

struct store_options store_options_of(const struct store *store)
{
    struct store_options options = store->options;
    options.directory = index_directory(store->index);
    return options;
}

enum store_holding store_holds(const struct store *store)
{
    return store->options.holding;
}

int64_t store_last_entry_ms(const struct store *store)
{
    return store->log_last_at_ms;
}

uint64_t store_applied_index(const struct store *store)
{
    return atomic_load_explicit(&store->applied_index, memory_order_acquire);
}

void store_watch(struct store *store, store_lost_fn *lost, void *ctx)
{
    store->lost = lost;
    store->lost_ctx = ctx;
}

const struct hot *store_hot(const struct store *store)
{
    return store->hot;
}

bool store_maintain(struct store *store, int64_t now_ms)
{
    pthread_mutex_lock(&store->hot_lock);
    bool has_more = hot_maintain(store->hot);
    pthread_mutex_unlock(&store->hot_lock);
    has_more |= store_log_trim(store, now_ms);
    store_usage_step(store, now_ms);
    return has_more;
}

// Looks for the first row from where the last one was: what a purge has deleted before it would
// have to be stepped over each time.
static void find_first(struct store *store, struct store_due *first, enum index_family family,
                       const struct rows_key *from, const struct rows_key *end)
{
    struct bytes key, value;
    struct apply_due_row row;
    uint64_t index;
    struct index_cursor *cursor =
        index_cursor_open(store->index, &(struct index_range){.family = family,
                                                              .lower = rows_key_bytes(from),
                                                              .upper = rows_key_bytes(end)});
    index_cursor_first(cursor);
    if (!index_cursor_row(cursor, &key, &value)) {
        // Damage is no end: the purge that is then asked for meets it and reports it.
        bool is_end = index_cursor_result(cursor, NULL) == KR_ERR_OK;
        first->from_ms = is_end ? INT64_MAX : first->from_ms;
    } else if (family == KR_INDEX_AUDIT ? rows_read_audit(key, &row.at_ms, &index)
                                        : rows_read_due(key, &row)) {
        first->from_ms = row.at_ms;
    }
    first->is_known = true;
    index_cursor_close(&cursor);
}

static bool is_due(struct store *store, enum apply_due_group group, int64_t now_ms)
{
    struct store_due *due = &store->due[group];
    struct rows_key from, prefix, end;
    if (!due->is_known) {
        rows_due_from(&from, group, due->from_ms);
        rows_due_group(&prefix, group);
        rows_prefix_end(&end, rows_key_bytes(&prefix));
        find_first(store, due, KR_INDEX_DUE, &from, &end);
    }
    return due->from_ms <= now_ms;
}

bool store_is_due(struct store *store, int64_t now_ms, int64_t audit_until_ms)
{
    struct rows_key from, end = {.size = 0};
    if (!store->audits.is_known) {
        rows_time(&from, store->audits.from_ms);
        find_first(store, &store->audits, KR_INDEX_AUDIT, &from, &end);
    }
    bool is_due_now = audit_until_ms > 0 && store->audits.from_ms < audit_until_ms;
    for (size_t i = 0; i < KR_DUE_GROUP_COUNT; i++) {
        is_due_now |= is_due(store, (enum apply_due_group)i, now_ms);
    }
    return is_due_now;
}

void store_figures(struct store *store, struct store_figures *out)
{
    struct index_figures index;
    index_figures(store->index, &index);
    *out = (struct store_figures){
        .applied_index = store->applied.position.index,
        .log_first_index = store->applied.log_first,
        .log_bytes = store->applied.log_bytes,
        .memtable_bytes = index.memtable_bytes,
        .block_cache_bytes = index.block_cache_bytes,
        .disk_bytes = index.disk_bytes,
        .disk_free_bytes = index_disk_free(store->index),
        .is_loaded = store_is_loaded(store),
    };
    hot_figures(store->hot, &out->hot);
}
