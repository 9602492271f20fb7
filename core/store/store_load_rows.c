// SPDX-License-Identifier: Apache-2.0
// Start-up loading, row by row: decoding without the table's lock, putting a group under it.
#include "core/store/store_load.h"

// --- buckets -------------------------------------------------------------------------------------
void store_load_fini_buckets(struct load_buckets *buckets)
{
    arena_fini(&buckets->arena);
    mem_free(buckets->items);
    *buckets = (struct load_buckets){0};
}

enum kr_err store_load_read_buckets(struct store *store, struct load_buckets *buckets,
                                    struct hash128 *sum, struct fault *fault)
{
    struct buf scratch;
    struct bytes key, value;
    enum kr_err err = KR_ERR_OK;
    store_load_fini_buckets(buckets);
    arena_init(&buckets->arena);
    buf_init(&scratch, KR_STORE_RECORD_MAX);
    *sum = (struct hash128){0};
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
        *sum = hash_sum_add(*sum, rows_term(&scratch, KR_INDEX_BUCKETS, key, value));
    }
    err = index_cursor_result(cursor, fault);
done:
    index_cursor_close(&cursor);
    buf_fini(&scratch);
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

// --- subjects ------------------------------------------------------------------------------------
static enum kr_err decode_subject(struct load_worker *worker, struct bytes value)
{
    struct store *store = worker->store;
    if (codec_consumer(value, &worker->arena, &worker->consumers[worker->count]) != KR_ERR_OK) {
        return store_damaged(store, KR_INDEX_SUBJECTS, &worker->fault);
    }
    worker->count++;
    return KR_ERR_OK;
}

// The buckets as they are now, with the table's lock held on return: what subjects show of them is
// then not older than what the table has rendered anew.
static enum kr_err lock_with_buckets(struct load_worker *worker)
{
    struct store *store = worker->store;
    struct hash128 unused;
    enum kr_err err = KR_ERR_OK;
    pthread_mutex_lock(&store->hot_lock);
    while (err == KR_ERR_OK &&
           (!worker->buckets.items || worker->buckets.environments != store->environments)) {
        uint64_t environments = store->environments;
        pthread_mutex_unlock(&store->hot_lock);
        err = store_load_read_buckets(store, &worker->buckets, &unused, &worker->fault);
        worker->buckets.environments = environments;
        if (!worker->buckets.items) {
            worker->buckets.items = mem_alloc(sizeof(struct bucket)); // none, but read
        }
        pthread_mutex_lock(&store->hot_lock);
    }
    return err;
}

// A consumer whose bucket is not among them: created or purged since, or damage.
static enum kr_err put_stray(struct load_worker *worker, const struct consumer *consumer)
{
    uint32_t number = 0;
    enum kr_err err = store_hot_subject(worker->store, bytes_text(consumer->id), &worker->arena,
                                        &number, &worker->fault);
    return err == KR_ERR_NOT_FOUND ? KR_ERR_OK : err;
}

static enum kr_err put_subjects(struct load_worker *worker)
{
    struct store *store = worker->store;
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
// Most keys need no more than a pass over their bytes; those with scopes, address lists or a start
// are decoded whole.
static enum kr_err decode_key(struct load_worker *worker, struct bytes row_key, struct bytes value)
{
    struct store *store = worker->store;
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
    } else if (!store_hot_fill(&hot, put)) {
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
static enum kr_err check_orphan(struct load_worker *worker, const struct hot_put *put)
{
    struct store *store = worker->store;
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

static enum kr_err put_keys(struct load_worker *worker)
{
    struct store *store = worker->store;
    enum kr_err err = KR_ERR_OK;
    size_t known = 0;
    pthread_mutex_lock(&store->hot_lock);
    hot_subject_numbers(store->hot, worker->consumer_ids, worker->count, worker->subjects);
    store_counts_expect(store, worker->subjects, worker->count);
    for (size_t i = 0; i < worker->count && err == KR_ERR_OK; i++) {
        struct hot_put *put = &worker->puts[i];
        put->subject = worker->subjects[i];
        if (put->subject == KR_HOT_NO_SUBJECT) {
            err = store_hot_subject(store, worker->consumer_ids[i], &worker->arena, &put->subject,
                                    &worker->fault);
        }
        if (err == KR_ERR_OK) {
            store_counts_add(store, put->subject, 1);
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

// --- groups --------------------------------------------------------------------------------------
enum kr_err store_load_decode(struct load_worker *worker, struct bytes key, struct bytes value)
{
    return worker->phase == KR_LOAD_SUBJECTS ? decode_subject(worker, value)
                                             : decode_key(worker, key, value);
}

enum kr_err store_load_put_group(struct load_worker *worker)
{
    if (worker->count > 0) {
        hot_prepare(worker->store->hot);
    }
    enum kr_err err = worker->phase == KR_LOAD_SUBJECTS ? put_subjects(worker) : put_keys(worker);
    worker->count = 0;
    arena_reset(&worker->arena);
    return err;
}
