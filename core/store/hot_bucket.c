// SPDX-License-Identifier: Apache-2.0
// Buckets of the hot table, and the map by which readers find one by its name or id.
//
// The map is an open table of words that are replaced one at a time; a word only says where to
// look, the bucket there says whether it is the one. It is copied to grow.
#include "core/store/hot_internal.h"

#include <assert.h>

enum { KR_HOT_NAMES_LEAST = 64 };

#define KR_HOT_NAME_GONE UINT64_MAX

struct hot_names {
    size_t size;              // a power of two
    size_t used, gone;        // the writer's: words that are not empty, and tombstones among them
    _Atomic uint64_t words[]; // a hash's high half above a number + 1; 0: empty
};

struct box {
    bool is_listed; // found by name and id
    size_t size;
    struct hot_bucket bucket;
    char name[];
};

// --- the map -------------------------------------------------------------------------------------
static size_t names_size(const struct hot_names *names)
{
    return sizeof(*names) + names->size * sizeof(names->words[0]);
}

static struct hot_names *names_new(size_t size)
{
    struct hot_names *names = mem_zalloc(sizeof(*names) + size * sizeof(names->words[0]));
    names->size = size;
    return names;
}

static struct hot_names *names_of(const struct hot *hot)
{
    return atomic_load_explicit(&hot->names, memory_order_acquire);
}

static uint64_t load_word(const struct hot_names *names, size_t position)
{
    return atomic_load_explicit(&names->words[position], memory_order_acquire);
}

static size_t word_home(const struct hot_names *names, uint64_t word)
{
    return (size_t)(word >> 32) & (names->size - 1);
}

static uint64_t word_of(const struct hot *hot, struct bytes text, uint32_t number)
{
    return (hot_hash(hot, text.data, text.size) & 0xffffffff00000000u) | (number + 1);
}

static void insert_word(struct hot_names *names, uint64_t word)
{
    size_t position = word_home(names, word);
    while (load_word(names, position) != 0 && load_word(names, position) != KR_HOT_NAME_GONE)
        position = (position + 1) & (names->size - 1);
    if (load_word(names, position) == 0)
        names->used++;
    else
        names->gone--;
    atomic_store_explicit(&names->words[position], word, memory_order_release);
}

static void grow_names(struct hot *hot)
{
    struct hot_names *old = names_of(hot);
    size_t size = KR_HOT_NAMES_LEAST;
    while (size < (old->used - old->gone + 1) * 4)
        size *= 2;
    struct hot_names *names = names_new(size);
    for (size_t i = 0; i < old->size; i++)
        if (load_word(old, i) != 0 && load_word(old, i) != KR_HOT_NAME_GONE)
            insert_word(names, load_word(old, i));
    atomic_store_explicit(&hot->names, names, memory_order_release);
    hot_count(&hot->subject_bytes, (int64_t)names_size(names) - (int64_t)names_size(old));
    hot_retire(hot, KR_HOT_RETIRED_HEAP, old);
}

static void add_name(struct hot *hot, const char *text, uint32_t number)
{
    if ((names_of(hot)->used + 1) * 4 > names_of(hot)->size * 3)
        grow_names(hot);
    insert_word(names_of(hot), word_of(hot, bytes_text(text), number));
}

static void remove_name(struct hot *hot, const char *text, uint32_t number)
{
    struct hot_names *names = names_of(hot);
    uint64_t word = word_of(hot, bytes_text(text), number);
    size_t position = word_home(names, word);
    while (load_word(names, position) != word) {
        assert(load_word(names, position) != 0);
        position = (position + 1) & (names->size - 1);
    }
    atomic_store_explicit(&names->words[position], KR_HOT_NAME_GONE, memory_order_release);
    names->gone++;
}

// --- buckets -------------------------------------------------------------------------------------
static const struct box *at(const struct hot *hot, uint32_t number)
{
    return hot_numbers_at(&hot->buckets, number);
}

// A bucket without a name is kept while loading because it was removed.
static bool is_marker(const struct box *box)
{
    return box->name[0] == '\0';
}

const struct hot_bucket *hot_bucket_at(const struct hot *hot, uint32_t number)
{
    const struct box *box = at(hot, number);
    return box == NULL || is_marker(box) ? NULL : &box->bucket;
}

const struct hot_bucket *hot_bucket_named(const struct hot *hot, struct bytes name_or_id)
{
    const struct hot_names *names = names_of(hot);
    uint64_t tag = word_of(hot, name_or_id, 0) >> 32;
    for (size_t position = (size_t)tag & (names->size - 1);;
         position = (position + 1) & (names->size - 1)) {
        uint64_t word = load_word(names, position);
        if (word == 0)
            return NULL;
        if (word >> 32 != tag || word == KR_HOT_NAME_GONE)
            continue;
        const struct hot_bucket *bucket = hot_bucket_at(hot, (uint32_t)word - 1);
        if (bucket != NULL && (bytes_equal_text(name_or_id, bucket->name) ||
                               bytes_equal_text(name_or_id, bucket->id)))
            return bucket;
    }
}

static bool has_id(const struct hot *hot, uint32_t number, struct bytes id)
{
    return bytes_equal_text(id, at(hot, number)->bucket.id);
}

static struct hot_ids_query query_of(const struct hot *hot, const char *id)
{
    struct bytes text = bytes_text(id);
    assert(text.size < KR_ID_SIZE);
    return (struct hot_ids_query){hot_hash(hot, text.data, text.size), text, has_id};
}

static struct box *new_box(const char *id, const char *name)
{
    size_t size = sizeof(struct box) + strlen(name) + 1;
    struct box *box = mem_zalloc(size);
    box->size = size;
    memcpy(box->bucket.id, id, strlen(id) + 1);
    memcpy(box->name, name, strlen(name) + 1);
    box->bucket.name = box->name;
    return box;
}

static void list_names(struct hot *hot, const struct box *box, const struct box *other)
{
    if (other == NULL || !other->is_listed)
        add_name(hot, box->bucket.id, box->bucket.number);
    if (other == NULL || !other->is_listed || strcmp(other->name, box->name) != 0)
        add_name(hot, box->name, box->bucket.number);
}

static void unlist_names(struct hot *hot, const struct box *box, const struct box *other)
{
    if (other == NULL || !other->is_listed)
        remove_name(hot, box->bucket.id, box->bucket.number);
    if (other == NULL || !other->is_listed || strcmp(other->name, box->name) != 0)
        remove_name(hot, box->name, box->bucket.number);
}

// Publishes a bucket, or NULL, at a number: its names first, so that it is found from then on; the
// old one's names last.
static void replace(struct hot *hot, uint32_t number, const struct box *box)
{
    const struct box *old = at(hot, number);
    if (box != NULL && box->is_listed)
        list_names(hot, box, old);
    hot_numbers_set(&hot->buckets, number, box);
    if (box != NULL) {
        hot_count(&hot->subject_bytes, (int64_t)box->size);
        hot_count(&hot->bucket_count, is_marker(box) ? 0 : 1);
    }
    if (old == NULL)
        return;
    if (old->is_listed)
        unlist_names(hot, old, box);
    hot_count(&hot->subject_bytes, -(int64_t)old->size);
    hot_count(&hot->bucket_count, is_marker(old) ? 0 : -1);
    hot_retire(hot, KR_HOT_RETIRED_HEAP, old);
}

static uint32_t add(struct hot *hot, const struct hot_ids_query *query)
{
    uint32_t number = hot_numbers_add(&hot->buckets, &hot->pool);
    hot_ids_add(&hot->bucket_ids, query->hash, number);
    return number;
}

uint32_t hot_put_bucket(struct hot *hot, const struct bucket *record)
{
    uint32_t number = 0;
    struct hot_ids_query query = query_of(hot, record->id);
    bool is_known = hot_ids_find(hot, &hot->bucket_ids, &query, &number);
    if (is_known && record->revision < at(hot, number)->bucket.revision)
        return number;
    if (!is_known)
        number = add(hot, &query);
    struct box *box = new_box(record->id, record->name);
    box->is_listed = !record->is_deleted;
    box->bucket.number = number;
    box->bucket.environment = record->environment;
    box->bucket.is_system = record->is_system;
    box->bucket.max_staleness_ms = record->max_staleness_ms;
    box->bucket.revoked_before = record->revocation.last.before;
    box->bucket.revision = record->revision;
    replace(hot, number, box);
    return number;
}

uint32_t hot_bucket_number(struct hot *hot, const struct bucket *record)
{
    uint32_t number = 0;
    struct hot_ids_query query = query_of(hot, record->id);
    if (hot_ids_find(hot, &hot->bucket_ids, &query, &number))
        return number;
    return hot_put_bucket(hot, record);
}

static void forget(struct hot *hot, uint32_t number)
{
    struct hot_ids_query query = query_of(hot, at(hot, number)->bucket.id);
    hot_ids_remove(&hot->bucket_ids, query.hash, number);
    replace(hot, number, NULL);
}

void hot_remove_bucket(struct hot *hot, const char *id, uint64_t revision)
{
    uint32_t number = 0;
    struct hot_ids_query query = query_of(hot, id);
    bool is_known = hot_ids_find(hot, &hot->bucket_ids, &query, &number);
    if (is_known && revision < at(hot, number)->bucket.revision)
        return;
    if (!hot->is_loading) {
        if (is_known)
            forget(hot, number);
        return;
    }
    if (!is_known)
        number = add(hot, &query);
    struct box *marker = new_box(id, "");
    marker->bucket.number = number;
    marker->bucket.revision = revision;
    replace(hot, number, marker);
    buf_add(&hot->removed_buckets.items, &number, sizeof(number));
}

void hot_forget_bucket(struct hot *hot, const uint8_t *item)
{
    uint32_t number = 0;
    memcpy(&number, item, sizeof(number));
    if (at(hot, number) != NULL && is_marker(at(hot, number)))
        forget(hot, number);
}

void hot_buckets_init(struct hot *hot)
{
    hot_numbers_init(&hot->buckets);
    hot_ids_init(&hot->bucket_ids);
    atomic_store_explicit(&hot->names, names_new(KR_HOT_NAMES_LEAST), memory_order_release);
}

void hot_buckets_fini(struct hot *hot)
{
    for (uint32_t i = 0; i < hot->buckets.count; i++)
        mem_free((void *)(uintptr_t)at(hot, i));
    hot_numbers_fini(&hot->buckets);
    hot_ids_fini(&hot->bucket_ids);
    mem_free(names_of(hot));
}
