// SPDX-License-Identifier: Apache-2.0
// Start-up loading: buckets at once, then subjects, then keys, from the index into the hot table.
//
// One thread leads; for each phase it starts `load_threads` workers, each with a range of the
// family's keys of its own. A worker decodes a group of rows, then takes the table's lock for the
// group. Commits go on meanwhile: the table keeps the newer revision, and remembers removals, so
// that a row which a worker read earlier cannot bring back an old state.
//
// All workers read one snapshot, and sum up what they read: if a sum is not the state digest of
// that moment, rows are missing or old, which no checksum of a file shows.
//
// It ends well when both phases have read everything; or at the first damage, which names the file;
// or when store_close asks it to stop. Until it has ended well, absence means "ask the index".
#include "core/store/store_load.h"

#include <stdio.h>

#define KR_LOAD_THREADS_MAX 32

struct store_load {
    struct store *store;
    store_loaded_fn *done;
    void *ctx;
    pthread_t leader;
    _Atomic bool is_stopping; // by store_close, or by a worker's error
    struct index_snapshot *snapshot;
    struct fault snapshot_fault;
    struct rows_applied applied; // of the snapshot
};

// --- buckets -------------------------------------------------------------------------------------
static enum kr_err check_sum(const struct store *store, const struct store_position *position,
                             enum store_class class, struct hash128 sum, struct fault *fault)
{
    static const enum index_family families[] = {[KR_CLASS_BUCKET] = KR_INDEX_BUCKETS,
                                                 [KR_CLASS_CONSUMER] = KR_INDEX_SUBJECTS,
                                                 [KR_CLASS_KEY] = KR_INDEX_KEYS};
    if (hash_equal(sum, position->digest[class])) {
        return KR_ERR_OK;
    }
    return fault_set(fault, KR_ERR_CORRUPT,
                     "%s: the rows of %s are not those of entry %llu (their digest differs), so "
                     "its MANIFEST or a table (*.sst) is damaged; restore this directory from a "
                     "backup, or empty it and let the node join again",
                     index_directory(store->index), index_family_name(families[class]),
                     (unsigned long long)position->index);
}

enum kr_err store_load_buckets(struct store *store, struct fault *fault)
{
    struct load_buckets buckets = {0};
    struct hash128 sum;
    enum kr_err err = store_load_read_buckets(store, &buckets, &sum, fault);
    if (err == KR_ERR_OK) {
        err = check_sum(store, &store->applied.position, KR_CLASS_BUCKET, sum, fault);
    }
    pthread_mutex_lock(&store->hot_lock);
    hot_loading_begin(store->hot); // removals are remembered from the first commit on
    for (size_t i = 0; i < buckets.count && err == KR_ERR_OK; i++) {
        hot_put_bucket(store->hot, &buckets.items[i]);
    }
    pthread_mutex_unlock(&store->hot_lock);
    store_load_fini_buckets(&buckets);
    return err;
}

// --- workers -------------------------------------------------------------------------------------
static enum index_family family_of(enum load_phase phase)
{
    return phase == KR_LOAD_SUBJECTS ? KR_INDEX_SUBJECTS : KR_INDEX_KEYS;
}

static enum kr_err scan(struct load_worker *worker, struct index_cursor *cursor)
{
    struct bytes key, value;
    enum kr_err err = KR_ERR_OK;
    index_cursor_first(cursor);
    for (; err == KR_ERR_OK && index_cursor_row(cursor, &key, &value); index_cursor_next(cursor)) {
        if (atomic_load_explicit(&worker->load->is_stopping, memory_order_relaxed)) {
            return KR_ERR_OK;
        }
        err = store_load_decode(worker, key, value);
        worker->sum = hash_sum_add(
            worker->sum, rows_term(&worker->scratch, family_of(worker->phase), key, value));
        if (err == KR_ERR_OK && worker->count == KR_LOAD_GROUP) {
            err = store_load_put_group(worker);
        }
    }
    if (err == KR_ERR_OK) {
        err = store_load_put_group(worker);
    }
    return err == KR_ERR_OK ? index_cursor_result(cursor, &worker->fault) : err;
}

static void *run_worker(void *ctx)
{
    struct load_worker *worker = ctx;
    arena_init(&worker->arena);
    buf_init(&worker->scratch, KR_STORE_RECORD_MAX);
    struct index_range range = {.family = family_of(worker->phase),
                                .snapshot = worker->load->snapshot,
                                .lower = rows_key_bytes(&worker->lower),
                                .upper = rows_key_bytes(&worker->upper),
                                .is_scan = true};
    struct index_cursor *cursor = index_cursor_open(worker->load->store->index, &range);
    worker->err = scan(worker, cursor);
    index_cursor_close(&cursor);
    store_load_fini_buckets(&worker->buckets);
    buf_fini(&worker->scratch);
    arena_fini(&worker->arena);
    if (worker->err != KR_ERR_OK) {
        atomic_store_explicit(&worker->load->is_stopping, true, memory_order_relaxed);
    }
    return NULL;
}

// The start of range number `range` of `ranges`: digests are uniform in their first bytes, ids in
// the character behind "csmr_".
static void range_start(enum load_phase phase, unsigned range, unsigned ranges,
                        struct rows_key *key)
{
    static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char id[8];
    if (phase == KR_LOAD_KEYS) {
        uint32_t at = (uint32_t)(((uint64_t)range << 32) / ranges);
        uint8_t prefix[4];
        rows_put_u32(prefix, at);
        rows_digest(key, prefix, range == 0 ? 0 : sizeof prefix);
        key->size = range == ranges ? 0 : key->size;
    } else if (range == 0 || range == ranges) {
        rows_text(key, range == 0 ? "i" : "j");
    } else {
        snprintf(id, sizeof id, "csmr_%c", base62[range * 62 / ranges]);
        rows_tagged(key, 'i', id);
    }
}

static enum kr_err run_phase(struct store_load *load, enum load_phase phase, struct fault *fault)
{
    unsigned count = load->store->options.load_threads, started = 0;
    count = count > KR_LOAD_THREADS_MAX ? KR_LOAD_THREADS_MAX : count;
    struct load_worker *workers = mem_zalloc(count * sizeof *workers);
    struct hash128 sum = {0};
    enum kr_err err = KR_ERR_OK;
    for (; started < count && err == KR_ERR_OK; started++) {
        struct load_worker *worker = &workers[started];
        worker->store = load->store;
        worker->load = load;
        worker->phase = phase;
        range_start(phase, started, count, &worker->lower);
        range_start(phase, started + 1, count, &worker->upper);
        if (pthread_create(&worker->thread, NULL, run_worker, worker) != 0) {
            err = fault_set(fault, KR_ERR_IO, "no thread can be started for loading the table");
            atomic_store(&load->is_stopping, true);
            break;
        }
    }
    for (unsigned i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        sum = hash_sum_add(sum, workers[i].sum);
        if (err == KR_ERR_OK && workers[i].err != KR_ERR_OK) {
            err = workers[i].err;
            *fault = workers[i].fault;
        }
    }
    mem_free(workers);
    if (err == KR_ERR_OK && !atomic_load(&load->is_stopping)) {
        err = check_sum(load->store, &load->applied.position,
                        phase == KR_LOAD_SUBJECTS ? KR_CLASS_CONSUMER : KR_CLASS_KEY, sum, fault);
    }
    return err;
}

// A snapshot, and where the state stood in it: on the control loop, so that each commit is either
// in it or behind it.
static enum kr_err take_snapshot(struct store_load *load, struct fault *fault)
{
    struct index *index = load->store->index;
    struct arena arena;
    struct bytes value;
    load->snapshot = index_snapshot_open(index);
    struct index_reader reader = {.index = index, .snapshot = load->snapshot};
    enum kr_err err = KR_ERR_OK;
    arena_init(&arena);
    if (index_read(&reader, KR_INDEX_META, bytes_text(KR_ROWS_APPLIED), &arena, &value) &&
        !rows_get_applied(value, &load->applied)) {
        err = store_damaged(load->store, KR_INDEX_META, fault);
    } else if (reader.fault.err != KR_ERR_OK) {
        *fault = reader.fault;
        err = reader.fault.err;
    }
    arena_fini(&arena);
    return err;
}

static void *run_leader(void *ctx)
{
    struct store_load *load = ctx;
    struct store *store = load->store;
    struct fault fault = {.err = KR_ERR_OK};
    enum kr_err err = load->snapshot_fault.err;
    if (err != KR_ERR_OK) {
        fault = load->snapshot_fault;
    } else {
        err = run_phase(load, KR_LOAD_SUBJECTS, &fault);
    }
    if (err == KR_ERR_OK) {
        err = run_phase(load, KR_LOAD_KEYS, &fault);
    }
    index_snapshot_close(store->index, &load->snapshot);
    // A worker's error stops the others too; only the close asks to stop without one.
    if (err == KR_ERR_OK && atomic_load(&load->is_stopping)) {
        return NULL;
    }
    if (err == KR_ERR_OK) {
        pthread_mutex_lock(&store->hot_lock);
        hot_loading_end(store->hot);
        pthread_mutex_unlock(&store->hot_lock);
        atomic_store_explicit(&store->is_loaded, true, memory_order_release);
    }
    load->done(load->ctx, err, &fault);
    return NULL;
}

// --- from outside --------------------------------------------------------------------------------
void store_load(struct store *store, store_loaded_fn *done, void *ctx)
{
    struct store_load *load = mem_zalloc(sizeof *load);
    *load = (struct store_load){.store = store, .done = done, .ctx = ctx};
    atomic_store(&store->load_total, index_estimate_rows(store->index, KR_INDEX_KEYS));
    store->load = load;
    load->snapshot_fault.err = take_snapshot(load, &load->snapshot_fault);
    store_counts_begin(store);
    if (pthread_create(&load->leader, NULL, run_leader, load) != 0) {
        struct fault fault;
        enum kr_err err =
            fault_set(&fault, KR_ERR_IO, "no thread can be started for loading the table");
        index_snapshot_close(store->index, &load->snapshot);
        mem_free(load);
        store->load = NULL;
        done(ctx, err, &fault);
    }
}

void store_load_stop(struct store *store)
{
    atomic_store(&store->is_closing, true);
    if (!store->load) {
        return;
    }
    atomic_store(&store->load->is_stopping, true);
    pthread_join(store->load->leader, NULL);
    mem_free(store->load);
    store->load = NULL;
}

bool store_is_loaded(const struct store *store)
{
    return atomic_load_explicit(&store->is_loaded, memory_order_acquire);
}

void store_load_progress(const struct store *store, uint64_t *done, uint64_t *total)
{
    uint64_t loaded = atomic_load_explicit(&store->load_done, memory_order_relaxed);
    uint64_t estimate = atomic_load_explicit(&store->load_total, memory_order_relaxed);
    *done = loaded;
    *total = store_is_loaded(store) || estimate < loaded ? loaded : estimate;
}
