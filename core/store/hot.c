// SPDX-License-Identifier: Apache-2.0
// The hot table's life, its readers, and the grace periods of liburcu (QSBR), which no other file
// includes.
//
// The concurrency contract. One writer at a time (the caller's lock), any number of readers.
//
// A slot is two words: hash, and record: EMPTY, GONE (a tombstone), or an address (and a hint which
// only a prefetch believes). The record word decides; the hash only spares a look at records of
// other keys.
//   insert   the record's bytes, then hash (relaxed), then the record word (release).
//   replace  the new record's bytes, then the record word (release); the slot and hash stay.
//   remove   the record word := GONE, or EMPTY where no search can pass the bucket (hot_table.c).
//   read     hash (relaxed); where it is the key's, the record word (acquire), then the record's
//            bytes; and where no slot of the bucket has the key, all its record words (acquire) for
//            an EMPTY one.
// So who sees an address sees the bytes that belong to it. A slot's reuse may pair a hash with
// another key's address: the reader then compares digests and finds them unequal. Who meets the old
// hash of a slot that is being filled with its key has begun before the key was there; who meets
// the old hash of a key whose slot is being reused looks while the key is in no slot, or comes back
// in another one. Each is a right answer for a moment of the look-up. A bucket that had no EMPTY
// slot never gets one, so it does not matter that the hashes were read before the words.
//
// Growth. table → next; two tables at most, the second begins empty. While next is set, buckets
// move in order: each record is published in next (release) before its old slot becomes GONE
// (release). Replacements and removals happen where the key is. Inserts go to the old table ahead
// of the sweep and to next behind it (so that next's pages are touched in order too); the old
// table's slots behind the sweep are never written again. So a key moves once, in one direction.
//   A reader searches table, and when it has not found the key, loads next (acquire) and searches
// there. If it missed the key in the old table because it had moved, it read that GONE by acquire
// and therefore sees it in next. A reader never finds an older record after a newer one: what a
// slot holds is replaced in place, and a slot behind the sweep, once GONE, stays so.
//   `moved` (release, after the slots) says that every key whose home lies below it is in next; a
// reader (acquire) skips the old table then, and pages below it may be given back: they read as
// EMPTY. It only advances past buckets that end a search, because a key whose home is below may
// otherwise sit above.
//   When all are moved, `table` := next (release) and the old one is retired.
//
// Retirement. Whatever was unlinked (records, extras, subjects, buckets, tables) is reused only
// after a grace period that began after the unlinking: every registered thread has since been
// quiescent or offline. Records are immutable but for last_used_min (relaxed); subjects, extras and
// buckets are immutable. Numbers are published by release into chunks that never move.
#include "core/store/hot_internal.h"

#include <time.h>
#include <urcu/urcu-qsbr.h>

#include "core/base/hash.h"
#include "core/base/rand.h"

#define KR_HOT_PRESIZE_LOAD 0.75

enum { KR_HOT_LEAST_BUCKETS = 16, KR_HOT_GROUP = 16 };

// --- grace periods -------------------------------------------------------------------------------
struct hot_grace {
    struct rcu_head head;
    _Atomic bool is_over;
};

// ThreadSanitizer does not see into liburcu. These say what it guarantees: what a reader did before
// its quiescent state comes before what the writer does after the grace period, and a callback
// comes behind its request.
#if defined(__SANITIZE_THREAD__)
void __tsan_acquire(void *address);
void __tsan_release(void *address);
static char tsan_readers, tsan_request;
#define TSAN_BEFORE(what) __tsan_release(&(what))
#define TSAN_AFTER(what) __tsan_acquire(&(what))
#else
#define TSAN_BEFORE(what) ((void)0)
#define TSAN_AFTER(what) ((void)0)
#endif

static void end_grace(struct rcu_head *head)
{
    struct hot_grace *grace = (struct hot_grace *)((char *)head - offsetof(struct hot_grace, head));
    TSAN_AFTER(tsan_request);
    atomic_store_explicit(&grace->is_over, true, memory_order_release); // it may be freed now
}

// Not urcu_qsbr_barrier, which would say the same, but out of ThreadSanitizer's sight.
static void wait_for_grace(const struct hot_grace *grace)
{
    const struct timespec pause = {.tv_nsec = 500000};
    bool is_reader = urcu_qsbr_read_ongoing() != 0;
    if (is_reader)
        hot_offline();
    while (!hot_grace_is_over(grace))
        nanosleep(&pause, NULL);
    if (is_reader)
        hot_online();
}

void hot_grace_start(struct hot_grace *grace)
{
    atomic_store_explicit(&grace->is_over, false, memory_order_relaxed);
    TSAN_BEFORE(tsan_request);
    urcu_qsbr_call_rcu(&grace->head, end_grace);
}

bool hot_grace_is_over(const struct hot_grace *grace)
{
    if (!atomic_load_explicit(&grace->is_over, memory_order_acquire))
        return false;
    TSAN_AFTER(tsan_readers);
    return true;
}

void hot_thread_register(void)
{
    urcu_qsbr_register_thread();
}

void hot_thread_unregister(void)
{
    TSAN_BEFORE(tsan_readers);
    urcu_qsbr_unregister_thread();
}

void hot_quiescent(void)
{
    TSAN_BEFORE(tsan_readers);
    urcu_qsbr_quiescent_state();
}

void hot_offline(void)
{
    TSAN_BEFORE(tsan_readers);
    urcu_qsbr_thread_offline();
}

void hot_online(void)
{
    urcu_qsbr_thread_online();
}

// --- life ----------------------------------------------------------------------------------------
struct hot *hot_new(size_t expected_keys)
{
    struct hot *hot = mem_zalloc(sizeof(*hot));
    // Its thread takes after the one that asks first: the signals that it holds back, its priority.
    (void)urcu_qsbr_get_default_call_rcu_data();
    hot->grace = mem_zalloc(sizeof(*hot->grace));
    rand_bytes(&hot->seed, sizeof(hot->seed));
    uint64_t buckets = hot_table_buckets_for(expected_keys, KR_HOT_PRESIZE_LOAD);
    hot->least_buckets = buckets < KR_HOT_LEAST_BUCKETS ? KR_HOT_LEAST_BUCKETS : buckets;
    struct hot_table *table = hot_table_new(hot->least_buckets);
    atomic_store_explicit(&hot->table, table, memory_order_release);
    hot_publish_slots(hot);
    hot_pages_init(&hot->pages, table);
    hot->slab.pages = hot->pool.pages = &hot->pages;
    hot_numbers_init(&hot->subjects);
    hot_numbers_init(&hot->extras);
    hot_ids_init(&hot->subject_ids);
    buf_init(&hot->free_extras, SIZE_MAX);
    buf_init(&hot->removed_keys.items, SIZE_MAX);
    buf_init(&hot->removed_subjects.items, SIZE_MAX);
    buf_init(&hot->removed_buckets.items, SIZE_MAX);
    hot_buckets_init(hot);
    return hot;
}

void hot_free(struct hot **slot)
{
    struct hot *hot = *slot;
    if (hot == NULL)
        return;
    *slot = NULL;
    if (hot->has_grace)
        wait_for_grace(hot->grace); // its callback holds it
    TSAN_AFTER(tsan_readers);
    hot_retired_free(hot);
    struct hot_table *table = atomic_load_explicit(&hot->table, memory_order_relaxed);
    while (table != NULL) {
        struct hot_table *next = atomic_load_explicit(&table->next, memory_order_relaxed);
        hot_table_free(table);
        table = next;
    }
    hot_slab_fini(&hot->slab);
    hot_extras_fini(hot);
    hot_subjects_fini(hot);
    hot_buckets_fini(hot);
    hot_pool_fini(&hot->pool);
    hot_pages_fini(&hot->pages);
    buf_fini(&hot->removed_keys.items);
    buf_fini(&hot->removed_subjects.items);
    buf_fini(&hot->removed_buckets.items);
    mem_free(hot->grace);
    mem_zero(&hot->seed, sizeof(hot->seed));
    mem_free(hot);
}

uint64_t hot_hash(const struct hot *hot, const void *data, size_t size)
{
    return hash_u64(bytes_of(data, size), hot->seed);
}

// --- readers -------------------------------------------------------------------------------------
// The table where a search begins: the old one while the key may still be there.
static const struct hot_table *first_table(const struct hot *hot, uint64_t hash)
{
    const struct hot_table *table = atomic_load_explicit(&hot->table, memory_order_acquire);
    for (;;) {
        uint64_t moved = atomic_load_explicit(&table->moved, memory_order_acquire);
        if (hot_table_home(table, hash) >= moved)
            return table;
        table = atomic_load_explicit(&table->next, memory_order_acquire);
    }
}

// What the verdict will read behind the slot. The holder is asked for by the word's hint, so that
// it arrives together with the record.
static void prefetch_record(const struct hot *hot, uint64_t word)
{
    __builtin_prefetch(hot_word_record(word));
    __builtin_prefetch(hot_numbers_entry(&hot->subjects, hot_word_hint(word)));
}

static unsigned is_of_hash(const struct hot_slot *slot, uint64_t hash)
{
    return atomic_load_explicit(&slot->hash, memory_order_relaxed) == hash;
}

// The bucket's slots of this hash, a bit each. Which slot it is cannot be foretold, so there is no
// branch for it.
static unsigned match_slots(const struct hot_slot *slots, uint64_t hash)
{
    _Static_assert(KR_HOT_SLOTS == 4, "a bit a slot");
    return is_of_hash(&slots[0], hash) | is_of_hash(&slots[1], hash) << 1 |
           is_of_hash(&slots[2], hash) << 2 | is_of_hash(&slots[3], hash) << 3;
}

static uint64_t word_of(const struct hot_slot *slot)
{
    return atomic_load_explicit(&slot->record, memory_order_acquire);
}

// Does a search that has not found its key in this bucket end here?
static bool is_end(const struct hot_slot *slots)
{
    bool has_empty = false;
    for (unsigned i = 0; i < KR_HOT_SLOTS; i++)
        has_empty |= word_of(&slots[i]) == KR_HOT_EMPTY;
    return has_empty;
}

// The word of the first record of this hash and, unless digest is NULL, of this digest; else EMPTY.
static uint64_t search_table(const struct hot *hot, const struct hot_table *table, uint64_t hash,
                             const uint8_t *digest)
{
    uint64_t bucket = hot_table_home(table, hash);
    for (;;) {
        const struct hot_slot *slots = &table->slots[bucket * KR_HOT_SLOTS];
        for (unsigned left = match_slots(slots, hash); left != 0; left &= left - 1) {
            uint64_t word = word_of(&slots[__builtin_ctz(left)]);
            if (word <= KR_HOT_GONE)
                continue;
            prefetch_record(hot, word);
            if (digest == NULL || hot_digest_equal(hot_word_record(word)->digest, digest))
                return word;
        }
        if (is_end(slots))
            return KR_HOT_EMPTY;
        bucket = bucket + 1 == table->buckets ? 0 : bucket + 1;
    }
}

static uint64_t search(const struct hot *hot, const struct hot_table *table, uint64_t hash,
                       const uint8_t *digest)
{
    uint64_t word = KR_HOT_EMPTY;
    while (word == KR_HOT_EMPTY && table != NULL) {
        word = search_table(hot, table, hash, digest);
        table = atomic_load_explicit(&table->next, memory_order_acquire);
    }
    return word;
}

static const struct hot_record *record_of(uint64_t word)
{
    const struct hot_record *record = hot_word_record(word);
    return word == KR_HOT_EMPTY || (record->flags & KR_HOT_REMOVED) != 0 ? NULL : record;
}

const struct hot_record *hot_find(const struct hot *hot, const uint8_t digest[KR_DIGEST_SIZE])
{
    uint64_t hash = hot_hash(hot, digest, KR_HOT_DIGEST_BYTES);
    return record_of(search(hot, first_table(hot, hash), hash, digest));
}

// Where a group's searches begin.
struct search_group {
    const struct hot_table *tables[KR_HOT_GROUP];
    uint64_t hashes[KR_HOT_GROUP];
};

static void ask_for_slots(const struct hot *hot, const uint8_t (*digests)[KR_DIGEST_SIZE],
                          size_t from, size_t to, struct search_group *out)
{
    for (size_t i = from; i < to; i++) {
        uint64_t hash = hot_hash(hot, digests[i], KR_HOT_DIGEST_BYTES);
        const struct hot_table *table = first_table(hot, hash);
        __builtin_prefetch(&table->slots[hot_table_home(table, hash) * KR_HOT_SLOTS]);
        out->tables[i] = table;
        out->hashes[i] = hash;
    }
}

// Each stage asks for the lines that the next one reads, for all of the group, so that their
// misses overlap: the slots, while the next digests are computed; the records and the holders. A
// look-up of the page holds the processor up at the request already, so requests close together
// wait together: those for slots come a few at a time, one behind each digest would wait alone.
static void find_group(const struct hot *hot, const struct bytes *keys, size_t count,
                       uint8_t (*digests)[KR_DIGEST_SIZE], const struct hot_record *out[])
{
    const uint8_t(*known)[KR_DIGEST_SIZE] = (const uint8_t(*)[KR_DIGEST_SIZE])digests;
    struct search_group group;
    uint64_t words[KR_HOT_GROUP];
    for (size_t at = 0; at < count; at += KR_DIGEST_TOGETHER) {
        size_t end = count - at < KR_DIGEST_TOGETHER ? count : at + KR_DIGEST_TOGETHER;
        digest_sha256_many(keys + at, end - at, digests + at);
        ask_for_slots(hot, known, at, end, &group);
    }
    for (size_t i = 0; i < count; i++)
        words[i] = search(hot, group.tables[i], group.hashes[i], NULL);
    for (size_t i = 0; i < count; i++) {
        if (words[i] != KR_HOT_EMPTY &&
            !hot_digest_equal(hot_word_record(words[i])->digest, digests[i]))
            words[i] = search(hot, group.tables[i], group.hashes[i], digests[i]);
        out[i] = record_of(words[i]);
    }
}

void hot_find_many(const struct hot *hot, const struct bytes *keys, size_t count,
                   uint8_t (*digests)[KR_DIGEST_SIZE], const struct hot_record *out[])
{
    for (size_t at = 0; at < count; at += KR_HOT_GROUP)
        find_group(hot, keys + at, count - at < KR_HOT_GROUP ? count - at : KR_HOT_GROUP,
                   digests + at, out + at);
}

void hot_note_used(const struct hot_record *record, uint32_t now_min)
{
    _Atomic uint32_t *last_used = (_Atomic uint32_t *)(uintptr_t)&record->last_used_min;
    if (atomic_load_explicit(last_used, memory_order_relaxed) < now_min)
        atomic_store_explicit(last_used, now_min, memory_order_relaxed);
}

void hot_figures(const struct hot *hot, struct hot_figures *out)
{
    *out = (struct hot_figures){
        .keys = atomic_load_explicit(&hot->keys, memory_order_relaxed),
        .custom_keys = atomic_load_explicit(&hot->custom_keys, memory_order_relaxed),
        .subjects = atomic_load_explicit(&hot->subject_count, memory_order_relaxed),
        .buckets = atomic_load_explicit(&hot->bucket_count, memory_order_relaxed),
        .slots = atomic_load_explicit(&hot->slot_count, memory_order_relaxed),
        .tombstones = atomic_load_explicit(&hot->tombstones, memory_order_relaxed),
        .record_bytes = atomic_load_explicit(&hot->record_bytes, memory_order_relaxed),
        .slot_bytes = atomic_load_explicit(&hot->slot_bytes, memory_order_relaxed),
        .subject_bytes = atomic_load_explicit(&hot->subject_bytes, memory_order_relaxed),
        .is_growing = atomic_load_explicit(&hot->is_growing, memory_order_relaxed),
    };
}

bool hot_has_custom(const struct hot *hot)
{
    return atomic_load_explicit(&hot->custom_keys, memory_order_relaxed) > 0;
}
