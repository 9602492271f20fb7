// SPDX-License-Identifier: Apache-2.0
// The slots of the hot table: search, insertion, removal, and moving to a larger table. Writer's
// side; readers search in hot.c. The order of stores is the contract at the top of that file.
#include "core/store/hot_internal.h"

#include <assert.h>
#include <sys/mman.h>

#define KR_HOT_LOAD_MAX_PERCENT 85

enum { KR_HOT_PAGE_BYTES = 4096, KR_HOT_BUCKET_BYTES = KR_HOT_SLOTS * sizeof(struct hot_slot) };

static uint64_t load_word(const struct hot_slot *slot)
{
    return atomic_load_explicit(&slot->record, memory_order_relaxed); // the writer's own stores
}

struct hot_table *hot_table_new(uint64_t buckets)
{
    struct hot_table *table = mem_zalloc(sizeof(*table));
    size_t size = (size_t)buckets * KR_HOT_BUCKET_BYTES;
    size_t unit = size < KR_HOT_HUGE_BYTES ? KR_HOT_PAGE_BYTES : KR_HOT_HUGE_BYTES;
    table->mapped_bytes = (size + unit - 1) / unit * unit;
    table->slots = hot_map(table->mapped_bytes);
    table->buckets = buckets;
    return table;
}

void hot_table_free(struct hot_table *table)
{
    hot_unmap(table->slots, table->mapped_bytes);
    mem_free(table);
}

uint64_t hot_table_buckets_for(uint64_t keys, double load)
{
    return (uint64_t)((double)keys / (KR_HOT_SLOTS * load)) + 1;
}

bool hot_table_is_full(const struct hot_table *table)
{
    return table->used * 100 >= table->buckets * KR_HOT_SLOTS * KR_HOT_LOAD_MAX_PERCENT;
}

static bool is_record(const struct hot_slot *slot, uint64_t hash, const uint8_t *digest)
{
    uint64_t word = load_word(slot);
    if (word <= KR_HOT_GONE || atomic_load_explicit(&slot->hash, memory_order_relaxed) != hash)
        return false;
    return hot_digest_equal(hot_word_record(word)->digest, digest);
}

struct hot_place hot_table_locate(struct hot_table *table, uint64_t hash, const uint8_t *digest)
{
    struct hot_place free_place = {.table = table};
    uint64_t bucket = hot_table_home(table, hash);
    for (uint64_t seen = 0; seen < table->buckets; seen++) {
        struct hot_slot *slots = &table->slots[bucket * KR_HOT_SLOTS];
        bool is_end = false;
        for (unsigned i = 0; i < KR_HOT_SLOTS; i++) {
            if (is_record(&slots[i], hash, digest))
                return (struct hot_place){table, &slots[i], load_word(&slots[i])};
            is_end = is_end || load_word(&slots[i]) == KR_HOT_EMPTY;
            if (free_place.slot == NULL && load_word(&slots[i]) <= KR_HOT_GONE)
                free_place.slot = &slots[i];
        }
        if (is_end)
            break;
        bucket = bucket + 1 == table->buckets ? 0 : bucket + 1;
    }
    return free_place;
}

uint64_t hot_word(const struct hot_record *record, uint32_t subject)
{
    uint64_t address = (uintptr_t)record;
    assert(address % sizeof(*record) == 0 && address >> 48 == 0);
    return address >> 6 << KR_HOT_HINT_BITS | (subject & ((1u << KR_HOT_HINT_BITS) - 1));
}

void hot_table_insert(struct hot_place place, uint64_t hash, uint64_t word)
{
    struct hot_table *table = place.table;
    if (load_word(place.slot) == KR_HOT_GONE)
        table->tombstones--;
    else
        table->used++;
    atomic_store_explicit(&place.slot->hash, hash, memory_order_relaxed);
    atomic_store_explicit(&place.slot->record, word, memory_order_release);
}

// A bucket that has an empty slot has never been full, so no search passes it, and the cleared slot
// may become empty too. A table that is being replaced keeps its tombstones: there, an empty slot
// is what tells how far searches that begin in moved buckets can reach.
void hot_table_clear(struct hot_place place)
{
    struct hot_table *table = place.table;
    size_t at = (size_t)(place.slot - table->slots) / KR_HOT_SLOTS * KR_HOT_SLOTS;
    bool has_empty = false;
    for (unsigned i = 0; i < KR_HOT_SLOTS; i++)
        has_empty = has_empty || load_word(&table->slots[at + i]) == KR_HOT_EMPTY;
    bool is_replaced = atomic_load_explicit(&table->next, memory_order_relaxed) != NULL;
    uint64_t word = has_empty && !is_replaced ? KR_HOT_EMPTY : KR_HOT_GONE;
    if (word == KR_HOT_EMPTY)
        table->used--;
    else
        table->tombstones++;
    atomic_store_explicit(&place.slot->record, word, memory_order_release);
}

bool hot_table_is_ahead(struct hot_place place, uint64_t hash)
{
    const struct hot_table *table = place.table;
    uint64_t home = hot_table_home(table, hash);
    uint64_t bucket = (uint64_t)(place.slot - table->slots) / KR_HOT_SLOTS;
    return place.slot != NULL && home >= table->position && bucket >= home;
}

// The first slot for a key that the table does not hold.
static struct hot_place find_free(struct hot_table *table, uint64_t hash)
{
    uint64_t bucket = hot_table_home(table, hash);
    for (;;) {
        struct hot_slot *slots = &table->slots[bucket * KR_HOT_SLOTS];
        for (unsigned i = 0; i < KR_HOT_SLOTS; i++)
            if (load_word(&slots[i]) <= KR_HOT_GONE)
                return (struct hot_place){.table = table, .slot = &slots[i]};
        bucket = bucket + 1 == table->buckets ? 0 : bucket + 1;
    }
}

// Published in the next table before it is cleared here. True: searches end at this bucket.
static bool move_bucket(struct hot_table *table, struct hot_table *next, uint64_t bucket)
{
    struct hot_slot *slots = &table->slots[bucket * KR_HOT_SLOTS];
    bool is_end = false;
    for (unsigned i = 0; i < KR_HOT_SLOTS; i++) {
        uint64_t word = load_word(&slots[i]);
        is_end = is_end || word == KR_HOT_EMPTY;
        if (word <= KR_HOT_GONE)
            continue;
        uint64_t hash = atomic_load_explicit(&slots[i].hash, memory_order_relaxed);
        hot_table_insert(find_free(next, hash), hash, word);
        atomic_store_explicit(&slots[i].record, KR_HOT_GONE, memory_order_release);
    }
    return is_end;
}

// The pages of buckets below moved read as empty from now on, which is what a reader who still
// searches them may believe: nothing that it could look for is left there.
static void return_pages(struct hot_table *table, uint64_t moved)
{
    size_t done = (size_t)moved * KR_HOT_BUCKET_BYTES / KR_HOT_HUGE_BYTES * KR_HOT_HUGE_BYTES;
    if (done <= table->returned_bytes)
        return;
    madvise((uint8_t *)table->slots + table->returned_bytes, done - table->returned_bytes,
            MADV_DONTNEED);
    table->returned_bytes = done;
}

bool hot_table_move(struct hot_table *table, uint64_t count)
{
    struct hot_table *next = atomic_load_explicit(&table->next, memory_order_relaxed);
    uint64_t moved = atomic_load_explicit(&table->moved, memory_order_relaxed);
    for (; count > 0 && table->position < table->buckets; count--) {
        uint64_t bucket = table->position++;
        if (move_bucket(table, next, bucket))
            moved = bucket + 1;
    }
    if (table->position == table->buckets)
        moved = table->buckets;
    atomic_store_explicit(&table->moved, moved, memory_order_release);
    return_pages(table, moved);
    return table->position == table->buckets;
}
