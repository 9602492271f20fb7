// SPDX-License-Identifier: Apache-2.0
// Start-up loading: buckets at once, then subjects, then keys, from the index into the hot table.
//
// One thread leads; for each phase it starts `load_threads` workers, each with a range of the
// family's keys of its own. A worker decodes a group of rows, then takes the table's lock for the
// group. Commits go on meanwhile: the table keeps the newer revision, and remembers removals, so
// that a row which a worker read earlier cannot bring back an old state.
//
// It ends well when both phases have read everything; or at the first damage, which names the file;
// or when store_close asks it to stop. Until it has ended well, absence means "ask the index".
#include "core/store/store_internal.h"

#include <stdio.h>

#include "core/base/text.h"
#include "proto/codec.h"

#define KR_LOAD_GROUP 256
#define KR_LOAD_THREADS_MAX 64

enum load_phase { KR_LOAD_SUBJECTS, KR_LOAD_KEYS };

// The buckets, for rendering subjects: sorted by id, as the family is.
struct load_buckets {
    struct arena arena;
    struct bucket *items;
    size_t count, capacity;
    uint64_t environments; // store->environments when they were read
};

struct store_load {
    struct store *store;
    store_loaded_fn *done;
    void *ctx;
    pthread_t leader;
    _Atomic bool is_stopping; // by store_close, or by a worker's error
};

struct worker {
    struct store_load *load;
    pthread_t thread;
    enum load_phase phase;
    struct rows_key lower, upper; // upper of size 0: to the end
    struct arena arena;           // of a group
    struct load_buckets buckets;
    size_t count;
    struct consumer consumers[KR_LOAD_GROUP];
    struct hot_put puts[KR_LOAD_GROUP];
    struct bytes consumer_ids[KR_LOAD_GROUP];
    enum kr_err err;
    struct fault fault;
};

// --- buckets -------------------------------------------------------------------------------------
static void fini_buckets(struct load_buckets *buckets)
{
    arena_fini(&buckets->arena);
    mem_free(buckets->items);
    *buckets = (struct load_buckets){0};
}

// Reads all bucket records. environments must have been read before.
static enum kr_err read_buckets(struct store *store, struct load_buckets *buckets,
                                struct fault *fault)
{
    struct bytes key, value;
    enum kr_err err = KR_ERR_OK;
    fini_buckets(buckets);
    arena_init(&buckets->arena);
    struct index_cursor *cursor =
        index_cursor_open(store->index, &(struct index_range){.family = KR_INDEX_BUCKETS,
                                                              .lower = bytes_text("i"),
                                                              .upper = bytes_text("j")});
    index_cursor_first(cursor);
    for (; index_cursor_row(cursor, &key, &value); index_cursor_next(cursor)) {
        if (buckets->count == buckets->capacity) {
            buckets->capacity = buckets->capacity ? 2 * buckets->capacity : 16;
            buckets->items =
                mem_realloc(buckets->items, buckets->capacity * sizeof *buckets->items);
        }
        if (codec_bucket(value, &buckets->arena, &buckets->items[buckets->count]) != KR_ERR_OK) {
            err = store_damaged(store, KR_INDEX_BUCKETS, fault);
            goto done;
        }
        buckets->count++;
    }
    err = index_cursor_result(cursor, fault);
done:
    index_cursor_close(&cursor);
    return err;
}

static const struct bucket *find_bucket(const struct load_buckets *buckets, const char *id)
{
    size_t low = 0, high = buckets->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(id, buckets->items[middle].id);
        if (order == 0) {
            return &buckets->items[middle];
        }
        low = order < 0 ? low : middle + 1;
        high = order < 0 ? middle : high;
    }
    return NULL;
}

enum kr_err store_load_buckets(struct store *store, struct fault *fault)
{
    struct load_buckets buckets = {0};
    enum kr_err err = read_buckets(store, &buckets, fault);
    pthread_mutex_lock(&store->hot_lock);
    hot_loading_begin(store->hot); // removals are remembered from the first commit on
    for (size_t i = 0; i < buckets.count && err == KR_ERR_OK; i++) {
        hot_put_bucket(store->hot, &buckets.items[i]);
    }
    pthread_mutex_unlock(&store->hot_lock);
    fini_buckets(&buckets);
    return err;
}

// --- subjects ------------------------------------------------------------------------------------
static enum kr_err decode_subject(struct worker *worker, struct bytes value)
{
    struct store *store = worker->load->store;
    if (codec_consumer(value, &worker->arena, &worker->consumers[worker->count]) != KR_ERR_OK) {
        return store_damaged(store, KR_INDEX_SUBJECTS, &worker->fault);
    }
    worker->count++;
    return KR_ERR_OK;
}

// The buckets as they are now, with the table's lock held on return: what subjects show of them is
// then not older than what the table has rendered anew.
static enum kr_err lock_with_buckets(struct worker *worker)
{
    struct store *store = worker->load->store;
    enum kr_err err = KR_ERR_OK;
    pthread_mutex_lock(&store->hot_lock);
    while (err == KR_ERR_OK &&
           (!worker->buckets.items || worker->buckets.environments != store->environments)) {
        uint64_t environments = store->environments;
        pthread_mutex_unlock(&store->hot_lock);
        err = read_buckets(store, &worker->buckets, &worker->fault);
        worker->buckets.environments = environments;
        if (!worker->buckets.items) {
            worker->buckets.items = mem_alloc(sizeof(struct bucket)); // none, but read
        }
        pthread_mutex_lock(&store->hot_lock);
    }
    return err;
}

// A consumer whose bucket is not among them: created or purged since, or damage.
static enum kr_err put_stray(struct worker *worker, const struct consumer *consumer)
{
    uint32_t number = 0;
    enum kr_err err = store_hot_subject(worker->load->store, bytes_text(consumer->id),
                                        &worker->arena, &number, &worker->fault);
    return err == KR_ERR_NOT_FOUND ? KR_ERR_OK : err;
}

static enum kr_err put_subjects(struct worker *worker)
{
    struct store *store = worker->load->store;
    enum kr_err err = lock_with_buckets(worker);
    for (size_t i = 0; i < worker->count && err == KR_ERR_OK; i++) {
        const struct consumer *consumer = &worker->consumers[i];
        const struct bucket *bucket = find_bucket(&worker->buckets, consumer->bucket_id);
        if (bucket && worker->buckets.environments == store->environments) {
            hot_put_subject(store->hot, consumer, bucket);
        } else {
            err = put_stray(worker, consumer);
        }
    }
    pthread_mutex_unlock(&store->hot_lock);
    return err;
}

// --- keys ----------------------------------------------------------------------------------------
static bool fill_put(const struct codec_key_hot *key, struct hot_put *out)
{
    char id[24];
    *out = (struct hot_put){
        .flags = (uint16_t)((key->is_revoked ? KR_HOT_REVOKED : 0) |
                            (key->is_enabled ? 0 : KR_HOT_DISABLED) |
                            (key->is_custom ? KR_HOT_CUSTOM : 0)),
        .expires_ms = store_hot_time(key->expires_ms),
        .revision = key->revision,
    };
    memcpy(out->digest, key->digest, sizeof out->digest);
    memcpy(id, key->id.data, sizeof id);
    return text_pack24(id, out->id);
}

// Most keys need no more than a pass over their bytes; those with scopes, address lists or a start
// are decoded whole.
static enum kr_err decode_key(struct worker *worker, struct bytes row_key, struct bytes value)
{
    struct store *store = worker->load->store;
    struct hot_put *put = &worker->puts[worker->count];
    struct codec_key_hot hot;
    struct key key;
    if (codec_key_hot(value, &hot) != KR_ERR_OK ||
        !bytes_equal(row_key, bytes_of(hot.digest, KR_DIGEST_SIZE))) {
        goto damaged;
    }
    if (hot.has_extra || hot.not_before_ms != 0) {
        if (codec_key(value, &worker->arena, &key) != KR_ERR_OK ||
            !store_hot_put(&key, &worker->arena, put)) {
            goto damaged;
        }
    } else if (!fill_put(&hot, put)) {
        goto damaged;
    }
    // value is lent until the cursor's next move.
    uint8_t *id = arena_alloc(&worker->arena, hot.consumer_id.size + 1);
    memcpy(id, hot.consumer_id.data, hot.consumer_id.size);
    worker->consumer_ids[worker->count++] = bytes_of(id, hot.consumer_id.size);
    return KR_ERR_OK;
damaged:
    return store_damaged(store, KR_INDEX_KEYS, &worker->fault);
}

// A key without a consumer: removed with it since it was read, or damage.
static enum kr_err check_orphan(struct worker *worker, const struct hot_put *put)
{
    struct store *store = worker->load->store;
    struct index_reader reader = {.index = store->index};
    struct rows_key key;
    struct bytes value;
    rows_digest(&key, put->digest, KR_DIGEST_SIZE);
    bool is_there =
        index_read(&reader, KR_INDEX_KEYS, rows_key_bytes(&key), &worker->arena, &value);
    if (reader.fault.err != KR_ERR_OK) {
        worker->fault = reader.fault;
        return reader.fault.err;
    }
    return is_there ? store_damaged(store, KR_INDEX_SUBJECTS, &worker->fault) : KR_ERR_OK;
}

static enum kr_err put_keys(struct worker *worker)
{
    struct store *store = worker->load->store;
    enum kr_err err = KR_ERR_OK;
    size_t known = 0;
    pthread_mutex_lock(&store->hot_lock);
    for (size_t i = 0; i < worker->count && err == KR_ERR_OK; i++) {
        struct hot_put *put = &worker->puts[i];
        err = store_hot_subject(store, worker->consumer_ids[i], &worker->arena, &put->subject,
                                &worker->fault);
        if (err == KR_ERR_OK) {
            worker->puts[known++] = *put;
        } else if (err == KR_ERR_NOT_FOUND) {
            pthread_mutex_unlock(&store->hot_lock);
            err = check_orphan(worker, put);
            pthread_mutex_lock(&store->hot_lock);
        }
    }
    if (err == KR_ERR_OK) {
        hot_put_many(store->hot, worker->puts, known);
    }
    pthread_mutex_unlock(&store->hot_lock);
    atomic_fetch_add_explicit(&store->load_done, worker->count, memory_order_relaxed);
    return err;
}

// --- workers -------------------------------------------------------------------------------------
static enum kr_err put_group(struct worker *worker)
{
    enum kr_err err = worker->phase == KR_LOAD_SUBJECTS ? put_subjects(worker) : put_keys(worker);
    worker->count = 0;
    arena_reset(&worker->arena);
    return err;
}

static enum kr_err scan(struct worker *worker, struct index_cursor *cursor)
{
    struct bytes key, value;
    enum kr_err err = KR_ERR_OK;
    index_cursor_first(cursor);
    for (; err == KR_ERR_OK && index_cursor_row(cursor, &key, &value); index_cursor_next(cursor)) {
        if (atomic_load_explicit(&worker->load->is_stopping, memory_order_relaxed)) {
            return KR_ERR_OK;
        }
        err = worker->phase == KR_LOAD_SUBJECTS ? decode_subject(worker, value)
                                                : decode_key(worker, key, value);
        if (err == KR_ERR_OK && worker->count == KR_LOAD_GROUP) {
            err = put_group(worker);
        }
    }
    if (err == KR_ERR_OK) {
        err = put_group(worker);
    }
    return err == KR_ERR_OK ? index_cursor_result(cursor, &worker->fault) : err;
}

static void *run_worker(void *ctx)
{
    struct worker *worker = ctx;
    arena_init(&worker->arena);
    struct index_cursor *cursor = index_cursor_open(
        worker->load->store->index,
        &(struct index_range){.family = worker->phase == KR_LOAD_SUBJECTS ? KR_INDEX_SUBJECTS
                                                                          : KR_INDEX_KEYS,
                              .lower = rows_key_bytes(&worker->lower),
                              .upper = rows_key_bytes(&worker->upper),
                              .is_scan = true});
    worker->err = scan(worker, cursor);
    index_cursor_close(&cursor);
    fini_buckets(&worker->buckets);
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
    struct worker *workers = mem_zalloc(count * sizeof *workers);
    enum kr_err err = KR_ERR_OK;
    for (; started < count && err == KR_ERR_OK; started++) {
        struct worker *worker = &workers[started];
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
        if (err == KR_ERR_OK && workers[i].err != KR_ERR_OK) {
            err = workers[i].err;
            *fault = workers[i].fault;
        }
    }
    mem_free(workers);
    return err;
}

static void *run_leader(void *ctx)
{
    struct store_load *load = ctx;
    struct store *store = load->store;
    struct fault fault = {.err = KR_ERR_OK};
    enum kr_err err = run_phase(load, KR_LOAD_SUBJECTS, &fault);
    if (err == KR_ERR_OK) {
        err = run_phase(load, KR_LOAD_KEYS, &fault);
    }
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
    if (pthread_create(&load->leader, NULL, run_leader, load) != 0) {
        struct fault fault;
        enum kr_err err =
            fault_set(&fault, KR_ERR_IO, "no thread can be started for loading the table");
        mem_free(load);
        store->load = NULL;
        done(ctx, err, &fault);
    }
}

void store_load_stop(struct store *store)
{
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
