// SPDX-License-Identifier: Apache-2.0
// The inside of the hot table, shared by hot*.c alone: slots, slab, numbers, and retirement.
//
// The concurrency contract stands at the top of hot.c. "Writer" means: under the caller's writer
// lock. Sizes are bytes unless they say otherwise.
#pragma once

#include <stdatomic.h>

#include "core/base/buf.h"
#include "core/base/mem.h"
#include "core/store/hot.h"

enum {
    KR_HOT_SLOTS = 4,             // of a bucket, which is a cache line
    KR_HOT_HUGE_BYTES = 2 << 20,  // a huge page; a chunk of the slab
    KR_HOT_CHUNK_RECORDS = 32768, // 64-byte places of a chunk …
    KR_HOT_CHUNK_FIRST = 64,      // … the first of which hold its bitmap
    KR_HOT_NUMBERS_CHUNK = 16384,
    KR_HOT_NUMBERS_CHUNKS = 262144, // × KR_HOT_NUMBERS_CHUNK = 2^32
    KR_HOT_IDS_PARTS = 4096,
    KR_HOT_POOL_SIZES = 64, // different ones, of pieces of a pool
    KR_HOT_HINT_BITS = 22
};

// A slot's record word: an address and a hint, or one of these. Records are 64-byte aligned, so
// that six of the address's 48 bits and the sixteen above them are free for the low bits of the
// number of the key's subject: its entry is asked for together with the record. Only a prefetch
// relies on it; it may be wrong.
#define KR_HOT_EMPTY UINT64_C(0) // never used since its bucket last had room: ends a search
#define KR_HOT_GONE UINT64_C(1)  // a tombstone, or moved to the next table

struct hot_slot {
    _Atomic uint64_t hash;
    _Atomic uint64_t record;
};

_Static_assert(sizeof(struct hot_slot) == 16, "four slots are one cache line");

static inline const struct hot_record *hot_word_record(uint64_t word)
{
    return (const struct hot_record *)(uintptr_t)(word >> KR_HOT_HINT_BITS << 6);
}

static inline uint32_t hot_word_hint(uint64_t word)
{
    return (uint32_t)word & ((1u << KR_HOT_HINT_BITS) - 1);
}

// --- slots (hot_table.c) -------------------------------------------------------------------------
struct hot_table {
    struct hot_slot *slots;
    uint64_t buckets;
    size_t mapped_bytes;
    _Atomic(struct hot_table *) next; // while it is being replaced
    _Atomic uint64_t moved;           // every key whose home lies below is in next
    // writer
    uint64_t position;     // the bucket to be moved next
    size_t returned_bytes; // given back to the system
    uint64_t used;         // slots that are not empty
    uint64_t tombstones;   // of them
};

// Where a search ended. slot is the record's, or (word KR_HOT_EMPTY) the one to insert into.
struct hot_place {
    struct hot_table *table;
    struct hot_slot *slot;
    uint64_t word;
};

struct hot_table *hot_table_new(uint64_t buckets); // gives
void hot_table_free(struct hot_table *table);      // takes
uint64_t hot_table_buckets_for(uint64_t keys, double load);
bool hot_table_is_full(const struct hot_table *table); // above the highest load
struct hot_place hot_table_locate(struct hot_table *table, uint64_t hash, const uint8_t *digest);
uint64_t hot_word(const struct hot_record *record, uint32_t subject);
void hot_table_insert(struct hot_place place, uint64_t hash, uint64_t word);
void hot_table_clear(struct hot_place place);
// May this hash be inserted there while the table is being replaced? Not behind the sweep, nor
// around the table's end.
bool hot_table_is_ahead(struct hot_place place, uint64_t hash);
// Moves at most count buckets to table->next. True: all are moved.
bool hot_table_move(struct hot_table *table, uint64_t count);

// The bucket where the search for a hash begins. The high bits choose, so that a larger table has
// the same order and moving is one sweep through both.
static inline uint64_t hot_table_home(const struct hot_table *table, uint64_t hash)
{
    __extension__ typedef unsigned __int128 u128;
    return (uint64_t)(((u128)hash * table->buckets) >> 64);
}

static inline uint64_t hot_digest_word(const uint8_t *digest, size_t word)
{
    uint64_t value = 0;
    memcpy(&value, digest + word * sizeof(value), sizeof(value));
    return value;
}

static inline bool hot_digest_equal(const uint8_t *a, const uint8_t *b)
{
    return ((hot_digest_word(a, 0) ^ hot_digest_word(b, 0)) |
            (hot_digest_word(a, 1) ^ hot_digest_word(b, 1)) |
            (hot_digest_word(a, 2) ^ hot_digest_word(b, 2))) == 0;
}

// --- pages (hot_pages.c) -------------------------------------------------------------------------
struct hot_pages {
    _Atomic(void *) spare; // KR_HOT_HUGE_BYTES, touched already; NULL: none
    _Atomic bool is_preparing;
    uint8_t *slots; // of the first table, where they are huge pages …
    size_t slots_bytes;
    _Atomic size_t slots_prepared; // … of which so many have been touched
};

// Gives zeroed pages, aligned to and asked for as huge ones from KR_HOT_HUGE_BYTES on; aborts on
// exhaustion. size is a multiple of the page.
void *hot_map(size_t size);
void hot_unmap(void *memory, size_t size);
void hot_pages_init(struct hot_pages *pages, const struct hot_table *first);
void hot_pages_prepare(struct hot_pages *pages); // any thread; in steps of a page
void *hot_pages_take(struct hot_pages *pages);   // gives KR_HOT_HUGE_BYTES as hot_map does
void hot_pages_fini(struct hot_pages *pages);

// --- records (hot_slab.c) ------------------------------------------------------------------------
struct hot_chunk; // 2 MiB, aligned to 2 MiB: a bitmap of live records, then records

struct hot_slab {
    struct hot_pages *pages;
    struct hot_chunk **chunks;
    size_t count, capacity;
    uint32_t carved;    // of the last chunk
    void *free_records; // linked through their first word
};

void hot_slab_fini(struct hot_slab *slab);
struct hot_record *hot_slab_alloc(struct hot_slab *slab); // uninitialised, not live
void hot_slab_free(struct hot_slab *slab, void *record);  // no reader has it any more
void hot_slab_set_live(const struct hot_record *record, bool is_live);
// The first live record at or behind *position, which it advances past it, looking at no more than
// *budget places; NULL when the budget is spent or (*position == hot_slab_end) none is left.
const struct hot_record *hot_slab_next(const struct hot_slab *slab, uint64_t *position,
                                       size_t *budget);
uint64_t hot_slab_end(const struct hot_slab *slab);

// --- memory behind records (hot_pool.c) ----------------------------------------------------------
struct hot_pool {
    struct hot_pages *pages;
    uint8_t **chunks; // huge pages
    size_t count;
    size_t carved; // of the last one
    void *free[KR_HOT_POOL_SIZES];
};

void hot_pool_fini(struct hot_pool *pool);
void *hot_pool_alloc(struct hot_pool *pool, size_t size); // uninitialised
void hot_pool_free(struct hot_pool *pool, void *memory, size_t size);
void *hot_pool_carve(struct hot_pool *pool, size_t size); // zeroed; stays until the end

// --- numbers and ids (hot_ids.c) -----------------------------------------------------------------
// What is read of a subject by every verdict stands beside its address, so that the subject's own
// lines are read by answers alone. Half a line.
struct hot_entry {
    _Atomic uintptr_t object;        // of a subject's marker: odd (hot_subject.c)
    _Atomic uint64_t revoked_before; // of a subject …
    _Atomic uint32_t bucket;         // … both stored before its address
} __attribute__((aligned(32)));

struct hot_number_chunk {
    struct hot_entry items[KR_HOT_NUMBERS_CHUNK];
};

// number → object, read by any reader, written by the writer.
struct hot_numbers {
    _Atomic(struct hot_number_chunk *) *chunks;
    uint32_t count; // next number
};

void hot_numbers_init(struct hot_numbers *numbers);
void hot_numbers_fini(struct hot_numbers *numbers); // the objects are the caller's
uint32_t hot_numbers_add(struct hot_numbers *numbers, struct hot_pool *pool);
void hot_numbers_set(struct hot_numbers *numbers, uint32_t number, const void *object);

static inline struct hot_entry *hot_numbers_entry(const struct hot_numbers *numbers,
                                                  uint32_t number)
{
    struct hot_number_chunk *chunk =
        atomic_load_explicit(&numbers->chunks[number / KR_HOT_NUMBERS_CHUNK], memory_order_acquire);
    return chunk == NULL ? NULL : &chunk->items[number % KR_HOT_NUMBERS_CHUNK];
}

static inline const void *hot_numbers_at(const struct hot_numbers *numbers, uint32_t number)
{
    const struct hot_entry *entry = hot_numbers_entry(numbers, number);
    return entry == NULL ? NULL
                         : (const void *)atomic_load_explicit(&entry->object, memory_order_acquire);
}

struct hot_ids_part {
    uint64_t *slots; // a hash's low half above a number + 1; 0: empty
    uint32_t size, used;
};

// id → number, the writer's. Many small maps, so that growing one is a short step.
struct hot_ids {
    struct hot_ids_part *parts;
    size_t bytes;
};

// Is this the id of that number's object?
typedef bool hot_ids_match_fn(const struct hot *hot, uint32_t number, struct bytes id);

void hot_ids_init(struct hot_ids *ids);
void hot_ids_fini(struct hot_ids *ids);
void hot_ids_add(struct hot_ids *ids, uint64_t hash, uint32_t number);
void hot_ids_remove(struct hot_ids *ids, uint64_t hash, uint32_t number);
struct hot_ids_query {
    uint64_t hash;
    struct bytes id;
    hot_ids_match_fn *match;
};
bool hot_ids_find(const struct hot *hot, const struct hot_ids *ids,
                  const struct hot_ids_query *query, uint32_t *number);
// The two stages before it, for look-ups that overlap: asks for the slot, then, if that shows what
// may be the number, gives it, unchecked.
void hot_ids_prefetch(const struct hot_ids *ids, uint64_t hash);
bool hot_ids_guess(const struct hot_ids *ids, uint64_t hash, uint32_t *number);

// --- retirement (hot_retire.c; grace periods in hot.c) -------------------------------------------
enum hot_retired {
    KR_HOT_RETIRED_RECORD,
    KR_HOT_RETIRED_EXTRA,
    KR_HOT_RETIRED_SUBJECT,
    KR_HOT_RETIRED_HEAP,
    KR_HOT_RETIRED_TABLE
};

struct hot_retired_block {
    struct hot_retired_block *next;
    size_t count;
    uintptr_t items[510]; // an address, the kind in its low bits
};

struct hot_retired_list {
    struct hot_retired_block *first, *last;
};

void hot_retire(struct hot *hot, enum hot_retired kind, const void *object);
// Starts a grace period or recycles what one has freed, at most budget items. True: more to do now.
bool hot_reclaim(struct hot *hot, size_t budget);
void hot_retired_free(struct hot *hot); // all, at the end

struct hot_grace;
void hot_grace_start(struct hot_grace *grace);         // one at a time
bool hot_grace_is_over(const struct hot_grace *grace); // what was retired before it began is free

// --- the whole -----------------------------------------------------------------------------------
struct hot_names; // name or id → bucket number, read by readers (hot_bucket.c)

// What removals left behind while loading, to be forgotten after it.
struct hot_removals {
    struct buf items;
    size_t swept; // bytes of items
};

struct hot {
    _Atomic(struct hot_table *) table; // where searches begin
    uint64_t seed;
    struct hot_numbers subjects, extras, buckets;
    _Atomic(struct hot_names *) names;

    // figures: written by the writer, read relaxed by anyone
    _Atomic uint64_t keys, custom_keys, subject_count, bucket_count, slot_count, tombstones;
    _Atomic uint64_t record_bytes, slot_bytes, subject_bytes;
    _Atomic bool is_growing;

    // writer
    uint64_t least_buckets; // of a table
    struct hot_pages pages;
    struct hot_slab slab;
    struct hot_pool pool;
    struct hot_ids subject_ids, bucket_ids;
    struct hot_retired_list pending, waiting; // for a grace period to begin, to end
    bool has_grace;                           // waiting has one
    struct hot_grace *grace;
    struct buf free_extras; // numbers (uint32_t) that no reader has any more, as a stack
    bool is_loading;
    struct hot_removals removed_keys, removed_subjects, removed_buckets;
};

void hot_publish_slots(struct hot *hot); // hot_write.c: the slots' figures
uint64_t hot_hash(const struct hot *hot, const void *data, size_t size);

// Writer's counters.
static inline void hot_count(_Atomic uint64_t *counter, int64_t change)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + (uint64_t)change, memory_order_relaxed);
}

// hot_extra.c
uint32_t hot_extra_add(struct hot *hot, const struct hot_put *put); // a copy; gives its number
void hot_extra_retire(struct hot *hot, uint32_t number);
void hot_extra_free(struct hot *hot, const void *extra); // no reader has it any more
void hot_extras_fini(struct hot *hot);

// Forgets one removal that loading left behind: item is a digest, or a number (uint32_t).
void hot_forget_subject(struct hot *hot, const uint8_t *item);
void hot_forget_bucket(struct hot *hot, const uint8_t *item);

void hot_subject_free(struct hot *hot, const void *subject); // no reader has it any more
void hot_subjects_fini(struct hot *hot);
uint32_t hot_bucket_number(struct hot *hot, const struct bucket *record); // puts an unknown one
void hot_buckets_init(struct hot *hot);
void hot_buckets_fini(struct hot *hot);
