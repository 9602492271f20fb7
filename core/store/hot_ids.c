// SPDX-License-Identifier: Apache-2.0
// Numbers for objects, and the writer's maps from ids to numbers.
//
// A number leads through a fixed directory to a chunk of entries, so nothing that a reader walks
// is ever moved. A map is split by the hash into parts that each grow alone: no step is long.
#include "core/store/hot_internal.h"

#include <assert.h>

enum { KR_HOT_IDS_FIRST = 8, KR_HOT_IDS_PART_SHIFT = 52 };

void hot_numbers_init(struct hot_numbers *numbers)
{
    numbers->chunks = mem_zalloc(KR_HOT_NUMBERS_CHUNKS * sizeof(numbers->chunks[0]));
    numbers->count = 0;
}

void hot_numbers_fini(struct hot_numbers *numbers)
{
    mem_free(numbers->chunks); // what they point to is the pool's
}

uint32_t hot_numbers_add(struct hot_numbers *numbers, struct hot_pool *pool)
{
    assert(numbers->count < UINT32_MAX - 2); // the last ones have meanings elsewhere
    uint32_t number = numbers->count++;
    if (number % KR_HOT_NUMBERS_CHUNK == 0)
        atomic_store_explicit(&numbers->chunks[number / KR_HOT_NUMBERS_CHUNK],
                              hot_pool_carve(pool, sizeof(struct hot_number_chunk)),
                              memory_order_release);
    return number;
}

void hot_numbers_set(struct hot_numbers *numbers, uint32_t number, const void *object)
{
    assert(number < numbers->count);
    atomic_store_explicit(&hot_numbers_entry(numbers, number)->object, (uintptr_t)object,
                          memory_order_release);
}

void hot_ids_init(struct hot_ids *ids)
{
    ids->bytes = KR_HOT_IDS_PARTS * sizeof(ids->parts[0]);
    ids->parts = mem_zalloc(ids->bytes);
}

void hot_ids_fini(struct hot_ids *ids)
{
    for (size_t i = 0; i < KR_HOT_IDS_PARTS; i++)
        mem_free(ids->parts[i].slots);
    mem_free(ids->parts);
}

// The part is chosen by the hash's high bits, the slot in it by its low half, which is kept.
static struct hot_ids_part *part_of(const struct hot_ids *ids, uint64_t hash)
{
    return &ids->parts[hash >> KR_HOT_IDS_PART_SHIFT];
}

static uint64_t entry_of(uint64_t hash, uint32_t number)
{
    return hash << 32 | (number + 1);
}

static uint32_t home_of(const struct hot_ids_part *part, uint64_t entry)
{
    return (uint32_t)(entry >> 32) & (part->size - 1);
}

static void put_entry(struct hot_ids_part *part, uint64_t entry)
{
    uint32_t at = home_of(part, entry);
    while (part->slots[at] != 0)
        at = (at + 1) & (part->size - 1);
    part->slots[at] = entry;
    part->used++;
}

static void grow(struct hot_ids *ids, struct hot_ids_part *part)
{
    struct hot_ids_part old = *part;
    *part = (struct hot_ids_part){.size = old.size == 0 ? KR_HOT_IDS_FIRST : old.size * 2};
    part->slots = mem_zalloc(part->size * sizeof(part->slots[0]));
    for (uint32_t i = 0; i < old.size; i++)
        if (old.slots[i] != 0)
            put_entry(part, old.slots[i]);
    mem_free(old.slots);
    ids->bytes += (part->size - old.size) * sizeof(part->slots[0]);
}

void hot_ids_add(struct hot_ids *ids, uint64_t hash, uint32_t number)
{
    struct hot_ids_part *part = part_of(ids, hash);
    if ((part->used + 1) * 5 > part->size * 4)
        grow(ids, part);
    put_entry(part, entry_of(hash, number));
}

// Knuth, The Art of Computer Programming 3, §6.4, algorithm R: what follows moves up, so that no
// tombstone is needed.
void hot_ids_remove(struct hot_ids *ids, uint64_t hash, uint32_t number)
{
    struct hot_ids_part *part = part_of(ids, hash);
    uint64_t entry = entry_of(hash, number);
    uint32_t mask = part->size - 1;
    uint32_t hole = home_of(part, entry);
    while (part->slots[hole] != entry) {
        assert(part->slots[hole] != 0);
        hole = (hole + 1) & mask;
    }
    for (uint32_t at = (hole + 1) & mask; part->slots[at] != 0; at = (at + 1) & mask) {
        uint32_t home = home_of(part, part->slots[at]);
        if (((at - home) & mask) < ((at - hole) & mask))
            continue; // its search does not pass the hole
        part->slots[hole] = part->slots[at];
        hole = at;
    }
    part->slots[hole] = 0;
    part->used--;
}

void hot_ids_prefetch(const struct hot_ids *ids, uint64_t hash)
{
    const struct hot_ids_part *part = part_of(ids, hash);
    if (part->size != 0)
        __builtin_prefetch(&part->slots[(uint32_t)hash & (part->size - 1)]);
}

bool hot_ids_guess(const struct hot_ids *ids, uint64_t hash, uint32_t *number)
{
    const struct hot_ids_part *part = part_of(ids, hash);
    if (part->size == 0)
        return false;
    uint32_t mask = part->size - 1;
    uint32_t at = (uint32_t)hash & mask;
    while (part->slots[at] != 0 && part->slots[at] >> 32 != (uint32_t)hash)
        at = (at + 1) & mask;
    *number = (uint32_t)part->slots[at] - 1;
    return part->slots[at] != 0;
}

bool hot_ids_find(const struct hot *hot, const struct hot_ids *ids,
                  const struct hot_ids_query *query, uint32_t *number)
{
    const struct hot_ids_part *part = part_of(ids, query->hash);
    if (part->size == 0)
        return false;
    uint32_t mask = part->size - 1;
    uint32_t at = (uint32_t)query->hash & mask;
    for (; part->slots[at] != 0; at = (at + 1) & mask) {
        uint32_t found = (uint32_t)part->slots[at] - 1;
        if (part->slots[at] >> 32 != (uint32_t)query->hash || !query->match(hot, found, query->id))
            continue;
        *number = found;
        return true;
    }
    return false;
}
