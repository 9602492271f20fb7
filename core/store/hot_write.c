// SPDX-License-Identifier: Apache-2.0
// The writer's changes to keys: put, remove, growth, loading, and the bounded step of maintenance.
//
// Every put pays for the move of a few buckets while the table grows, so that the next table can
// never fill before the old one is empty: it moves 8 buckets a put and starts at most 57 % full.
#include "core/store/hot_internal.h"

#include <assert.h>

// Live keys over slots of a table that replaces a full one: half as large again.
#define KR_HOT_GROWN_LOAD 0.567

enum {
    KR_HOT_PUT_MOVES = 8,         // buckets
    KR_HOT_MAINTAIN_MOVES = 2048, // buckets, about a quarter of a millisecond
    KR_HOT_MAINTAIN_ITEMS = 1024,
    KR_HOT_PUT_GROUP = 16
};

static struct hot_table *current(const struct hot *hot)
{
    return atomic_load_explicit(&hot->table, memory_order_relaxed);
}

static struct hot_table *next_of(const struct hot_table *table)
{
    return atomic_load_explicit(&table->next, memory_order_relaxed);
}

static void store_u48(uint8_t out[6], uint64_t value)
{
    assert(value >> 48 == 0);
    memcpy(out, &value, 6);
}

// --- growth --------------------------------------------------------------------------------------
void hot_publish_slots(struct hot *hot)
{
    const struct hot_table *table = current(hot);
    const struct hot_table *next = next_of(table);
    uint64_t bytes = table->mapped_bytes - table->returned_bytes;
    uint64_t tombstones = table->tombstones;
    if (next != NULL) {
        bytes += (uint64_t)((double)next->mapped_bytes * (double)table->position /
                            (double)table->buckets); // touched in order as well
        tombstones += next->tombstones;
    }
    const struct hot_table *newest = next == NULL ? table : next;
    atomic_store_explicit(&hot->slot_count, newest->buckets * KR_HOT_SLOTS, memory_order_relaxed);
    atomic_store_explicit(&hot->slot_bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&hot->tombstones, tombstones, memory_order_relaxed);
    atomic_store_explicit(&hot->is_growing, next != NULL, memory_order_relaxed);
}

// Also when only tombstones fill it: then the next one may be as large, or half as large.
static void begin_growth(struct hot *hot)
{
    struct hot_table *table = current(hot);
    uint64_t buckets = hot_table_buckets_for(table->used - table->tombstones, KR_HOT_GROWN_LOAD);
    if (buckets < table->buckets / 2)
        buckets = table->buckets / 2;
    if (buckets < hot->least_buckets)
        buckets = hot->least_buckets;
    atomic_store_explicit(&table->next, hot_table_new(buckets), memory_order_release);
    hot_publish_slots(hot);
}

// True: still growing.
static bool grow(struct hot *hot, uint64_t moves)
{
    struct hot_table *table = current(hot);
    struct hot_table *next = next_of(table);
    if (next == NULL)
        return false;
    bool is_moved = hot_table_move(table, moves);
    if (is_moved) {
        atomic_store_explicit(&hot->table, next, memory_order_release);
        hot_retire(hot, KR_HOT_RETIRED_TABLE, table);
    }
    hot_publish_slots(hot);
    return !is_moved;
}

// --- keys ----------------------------------------------------------------------------------------
// Where the key is, or where it goes.
static struct hot_place locate(const struct hot *hot, uint64_t hash, const uint8_t *digest)
{
    struct hot_table *table = current(hot);
    struct hot_place place = hot_table_locate(table, hash, digest);
    if (place.word != KR_HOT_EMPTY || next_of(table) == NULL)
        return place;
    struct hot_place in_next = hot_table_locate(next_of(table), hash, digest);
    bool is_insert = in_next.word == KR_HOT_EMPTY;
    return is_insert && hot_table_is_ahead(place, hash) ? place : in_next;
}

static void count_record(struct hot *hot, const struct hot_record *record, int64_t change)
{
    if ((record->flags & KR_HOT_REMOVED) != 0)
        return;
    hot_count(&hot->keys, change);
    if ((record->flags & KR_HOT_CUSTOM) != 0)
        hot_count(&hot->custom_keys, change);
}

static void retire_record(struct hot *hot, const struct hot_record *record)
{
    count_record(hot, record, -1);
    hot_slab_set_live(record, false);
    if ((record->flags & KR_HOT_EXTRA) != 0)
        hot_extra_retire(hot, record->number);
    hot_retire(hot, KR_HOT_RETIRED_RECORD, record);
}

// Publishes record at its place, in place of what is there. A use that a reader notes on the old
// record while it is being replaced is lost; the next one is not.
static void publish(struct hot *hot, struct hot_place place, uint64_t hash,
                    struct hot_record *record, uint32_t subject)
{
    count_record(hot, record, 1);
    hot_slab_set_live(record, true);
    if (place.word == KR_HOT_EMPTY) {
        hot_table_insert(place, hash, hot_word(record, subject));
        return;
    }
    const struct hot_record *old = hot_word_record(place.word);
    const _Atomic uint32_t *last_used = (const _Atomic uint32_t *)&old->last_used_min;
    record->last_used_min = atomic_load_explicit(last_used, memory_order_relaxed);
    atomic_store_explicit(&place.slot->record, hot_word(record, subject), memory_order_release);
    retire_record(hot, old);
}

static bool is_older(uint64_t revision, struct hot_place place)
{
    return place.word != KR_HOT_EMPTY &&
           revision < hot_record_u48(hot_word_record(place.word)->revision);
}

static bool is_marked(struct hot_place place, enum hot_flag flag)
{
    return place.word != KR_HOT_EMPTY && (hot_word_record(place.word)->flags & flag) != 0;
}

// Is the record that of another key, or of two?
static bool is_shared(struct hot_place place, const struct hot_put *put)
{
    if (place.word == KR_HOT_EMPTY || is_marked(place, KR_HOT_REMOVED))
        return false;
    return is_marked(place, KR_HOT_SHARED) ||
           memcmp(hot_word_record(place.word)->id, put->id, sizeof(put->id)) != 0;
}

static struct hot_record *new_record(struct hot *hot, const uint8_t *digest, uint64_t revision)
{
    struct hot_record *record = hot_slab_alloc(&hot->slab);
    memset(record, 0, sizeof(*record));
    memcpy(record->digest, digest, KR_HOT_DIGEST_BYTES);
    store_u48(record->revision, revision);
    return record;
}

static void after_insert(struct hot *hot)
{
    struct hot_table *table = current(hot);
    if (next_of(table) == NULL) {
        if (hot_table_is_full(table))
            begin_growth(hot);
        return;
    }
    // By the arithmetic above this is never so; were it, a long step is better than a full table.
    bool is_overrun = hot_table_is_full(next_of(table));
    grow(hot, is_overrun ? UINT64_MAX : KR_HOT_PUT_MOVES);
}

static void put_hashed(struct hot *hot, const struct hot_put *put, uint64_t hash)
{
    struct hot_place place = locate(hot, hash, put->digest);
    bool is_of_two = is_shared(place, put);
    if (!is_of_two && is_older(put->revision, place))
        return;
    assert(put->expires_ms >= 0);
    struct hot_record *record = new_record(hot, put->digest, put->revision);
    memcpy(record->id, put->id, sizeof(record->id));
    store_u48(record->expires, (uint64_t)put->expires_ms);
    record->flags = put->flags & (KR_HOT_REVOKED | KR_HOT_DISABLED | KR_HOT_CUSTOM);
    if (is_of_two)
        record->flags |= KR_HOT_SHARED | (hot_word_record(place.word)->flags & KR_HOT_CUSTOM);
    record->number = put->subject;
    if (put->extra != NULL) {
        record->flags |= KR_HOT_EXTRA;
        record->number = hot_extra_add(hot, put);
    }
    publish(hot, place, hash, record, put->subject);
    after_insert(hot);
}

static void publish_record_bytes(struct hot *hot)
{
    atomic_store_explicit(&hot->record_bytes, hot->slab.count * (uint64_t)KR_HOT_HUGE_BYTES,
                          memory_order_relaxed);
}

void hot_put(struct hot *hot, const struct hot_put *put)
{
    put_hashed(hot, put, hot_hash(hot, put->digest, KR_HOT_DIGEST_BYTES));
    publish_record_bytes(hot);
}

static void prefetch_home(const struct hot_table *table, uint64_t hash)
{
    __builtin_prefetch(&table->slots[hot_table_home(table, hash) * KR_HOT_SLOTS], 1);
}

void hot_put_many(struct hot *hot, const struct hot_put *puts, size_t count)
{
    uint64_t hashes[KR_HOT_PUT_GROUP];
    for (size_t at = 0; at < count; at += KR_HOT_PUT_GROUP) {
        size_t group = count - at < KR_HOT_PUT_GROUP ? count - at : KR_HOT_PUT_GROUP;
        for (size_t i = 0; i < group; i++) {
            hashes[i] = hot_hash(hot, puts[at + i].digest, KR_HOT_DIGEST_BYTES);
            prefetch_home(current(hot), hashes[i]);
            if (next_of(current(hot)) != NULL)
                prefetch_home(next_of(current(hot)), hashes[i]);
        }
        for (size_t i = 0; i < group; i++)
            put_hashed(hot, &puts[at + i], hashes[i]);
    }
    publish_record_bytes(hot);
}

static void put_removed(struct hot *hot, struct hot_place place, uint64_t hash,
                        struct hot_record *record)
{
    record->flags = KR_HOT_REMOVED;
    publish(hot, place, hash, record, 0);
    buf_add(&hot->removed_keys.items, record->digest, KR_HOT_DIGEST_BYTES);
    after_insert(hot);
}

static void unlink_record(struct hot *hot, struct hot_place place)
{
    hot_table_clear(place);
    retire_record(hot, hot_word_record(place.word));
    hot_publish_slots(hot);
}

void hot_remove(struct hot *hot, const uint8_t digest[KR_DIGEST_SIZE], uint64_t revision)
{
    uint64_t hash = hot_hash(hot, digest, KR_HOT_DIGEST_BYTES);
    struct hot_place place = locate(hot, hash, digest);
    if (is_older(revision, place) || is_marked(place, KR_HOT_SHARED))
        return;
    if (hot->is_loading)
        put_removed(hot, place, hash, new_record(hot, digest, revision));
    else if (place.word != KR_HOT_EMPTY)
        unlink_record(hot, place);
}

// --- loading -------------------------------------------------------------------------------------
void hot_prepare(struct hot *hot)
{
    hot_pages_prepare(&hot->pages);
}

void hot_loading_begin(struct hot *hot)
{
    hot->is_loading = true;
}

void hot_loading_end(struct hot *hot)
{
    hot->is_loading = false;
}

static void forget_record(struct hot *hot, const uint8_t *digest)
{
    struct hot_place place = locate(hot, hot_hash(hot, digest, KR_HOT_DIGEST_BYTES), digest);
    if (is_marked(place, KR_HOT_REMOVED))
        unlink_record(hot, place);
}

typedef void forget_fn(struct hot *hot, const uint8_t *item);

// Forgets at most budget of them. True: more to do.
static bool sweep(struct hot *hot, struct hot_removals *removals, size_t item_bytes,
                  forget_fn *forget)
{
    for (size_t budget = KR_HOT_MAINTAIN_ITEMS; budget > 0; budget--) {
        if (removals->swept == removals->items.size)
            break;
        forget(hot, removals->items.data + removals->swept);
        removals->swept += item_bytes;
    }
    if (removals->swept < removals->items.size)
        return true;
    buf_fini(&removals->items);
    buf_init(&removals->items, SIZE_MAX);
    removals->swept = 0;
    return false;
}

static bool sweep_all(struct hot *hot)
{
    bool has_more = sweep(hot, &hot->removed_keys, KR_HOT_DIGEST_BYTES, forget_record);
    has_more |= sweep(hot, &hot->removed_subjects, sizeof(uint32_t), hot_forget_subject);
    has_more |= sweep(hot, &hot->removed_buckets, sizeof(uint32_t), hot_forget_bucket);
    return has_more;
}

// --- maintenance ---------------------------------------------------------------------------------
bool hot_maintain(struct hot *hot)
{
    bool has_more = grow(hot, KR_HOT_MAINTAIN_MOVES);
    if (!hot->is_loading)
        has_more |= sweep_all(hot);
    has_more |= hot_reclaim(hot, KR_HOT_MAINTAIN_ITEMS);
    return has_more;
}

bool hot_visit(const struct hot *hot, uint64_t *position, size_t budget, hot_visit_fn *visit,
               void *ctx)
{
    while (budget > 0 && *position < hot_slab_end(&hot->slab)) {
        const struct hot_record *record = hot_slab_next(&hot->slab, position, &budget);
        if (record != NULL && (record->flags & KR_HOT_REMOVED) == 0)
            visit(ctx, record);
    }
    return *position < hot_slab_end(&hot->slab);
}
