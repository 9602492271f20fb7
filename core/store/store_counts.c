// SPDX-License-Identifier: Apache-2.0
// How many keys a consumer has: counted in memory, since every new key would change a row on disk.
//
// The loaders count what they read of their snapshot, the commits behind it count what they change.
// Until both have met, at the end of loading, the consumer's rows in the index are counted instead.
#include "core/store/store_internal.h"

#define KR_COUNTS_FIRST 1024u

void store_counts_fini(struct store *store)
{
    mem_free(store->counts.keys);
    store->counts = (struct store_counts){0};
}

void store_counts_begin(struct store *store)
{
    pthread_mutex_lock(&store->hot_lock);
    store->counts.is_kept = true;
    pthread_mutex_unlock(&store->hot_lock);
}

static void grow(struct store_counts *counts, uint32_t subject)
{
    uint64_t capacity = counts->capacity ? counts->capacity : KR_COUNTS_FIRST;
    while (capacity <= subject) {
        capacity *= 2;
    }
    capacity = capacity < UINT32_MAX ? capacity : UINT32_MAX;
    counts->keys = mem_realloc(counts->keys, capacity * sizeof counts->keys[0]);
    memset(counts->keys + counts->capacity, 0,
           (capacity - counts->capacity) * sizeof counts->keys[0]);
    counts->capacity = (uint32_t)capacity;
}

void store_counts_add(struct store *store, uint32_t subject, int32_t by)
{
    struct store_counts *counts = &store->counts;
    if (!counts->is_kept) {
        return;
    }
    if (subject >= counts->capacity) {
        grow(counts, subject);
    }
    counts->keys[subject] += (uint32_t)by;
}

void store_counts_expect(const struct store *store, const uint32_t *subjects, size_t count)
{
    const struct store_counts *counts = &store->counts;
    for (size_t i = 0; i < count; i++) {
        if (subjects[i] < counts->capacity) {
            __builtin_prefetch(&counts->keys[subjects[i]], 1);
        }
    }
}

bool store_counts_find(struct store *store, const char *consumer_id, uint64_t *count)
{
    uint32_t subject = 0;
    if (!store_is_loaded(store)) {
        return false;
    }
    pthread_mutex_lock(&store->hot_lock);
    bool is_counted = hot_subject_number(store->hot, bytes_text(consumer_id), &subject) &&
                      subject < store->counts.capacity;
    *count = is_counted ? store->counts.keys[subject] : 0;
    pthread_mutex_unlock(&store->hot_lock);
    return true;
}

enum kr_err store_counts_scan(struct store *store, const struct index_snapshot *snapshot,
                              const char *consumer_id, uint64_t limit, uint64_t *count,
                              struct fault *fault)
{
    struct rows_key prefix, end;
    struct bytes key, value;
    rows_pair(&prefix, consumer_id, NULL);
    rows_prefix_end(&end, rows_key_bytes(&prefix));
    struct index_cursor *cursor =
        index_cursor_open(store->index, &(struct index_range){.family = KR_INDEX_CONSUMER_KEYS,
                                                              .snapshot = snapshot,
                                                              .lower = rows_key_bytes(&prefix),
                                                              .upper = rows_key_bytes(&end)});
    *count = 0;
    index_cursor_first(cursor);
    while (*count < limit && index_cursor_row(cursor, &key, &value)) {
        ++*count;
        index_cursor_next(cursor);
    }
    enum kr_err err = index_cursor_result(cursor, fault);
    index_cursor_close(&cursor);
    return err;
}
