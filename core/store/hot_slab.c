// SPDX-License-Identifier: Apache-2.0
// Where the hot table's records live: 64-byte places in 2 MiB chunks that ask for huge pages.
//
// A chunk begins with a bitmap of its live records, so that a visit walks memory in order and is
// not disturbed by the growth of the slots. Writer's side.
#include "core/store/hot_internal.h"

#include <assert.h>

struct hot_chunk {
    uint64_t live[KR_HOT_CHUNK_RECORDS / 64];
    struct hot_record records[KR_HOT_CHUNK_RECORDS - KR_HOT_CHUNK_FIRST];
};

_Static_assert(sizeof(struct hot_chunk) == KR_HOT_HUGE_BYTES, "a chunk is one huge page");

enum { KR_HOT_PLACES = KR_HOT_CHUNK_RECORDS - KR_HOT_CHUNK_FIRST };

void hot_slab_fini(struct hot_slab *slab)
{
    for (size_t i = 0; i < slab->count; i++)
        hot_unmap(slab->chunks[i], sizeof(struct hot_chunk));
    mem_free(slab->chunks);
    *slab = (struct hot_slab){0};
}

static void add_chunk(struct hot_slab *slab)
{
    if (slab->count == slab->capacity) {
        slab->capacity = slab->capacity == 0 ? 64 : slab->capacity * 2;
        slab->chunks = mem_realloc(slab->chunks, slab->capacity * sizeof(struct hot_chunk *));
    }
    slab->chunks[slab->count++] = hot_pages_take(slab->pages);
    slab->carved = 0;
}

struct hot_record *hot_slab_alloc(struct hot_slab *slab)
{
    void *record = slab->free_records;
    if (record != NULL) {
        memcpy(&slab->free_records, record, sizeof(void *));
        return record;
    }
    if (slab->count == 0 || slab->carved == KR_HOT_PLACES)
        add_chunk(slab);
    return &slab->chunks[slab->count - 1]->records[slab->carved++];
}

void hot_slab_free(struct hot_slab *slab, void *record)
{
    memcpy(record, &slab->free_records, sizeof(void *));
    slab->free_records = record;
}

void hot_slab_set_live(const struct hot_record *record, bool is_live)
{
    uintptr_t address = (uintptr_t)record;
    struct hot_chunk *chunk = (struct hot_chunk *)(address & ~(uintptr_t)(KR_HOT_HUGE_BYTES - 1));
    size_t place = (size_t)(record - chunk->records);
    assert(place < KR_HOT_PLACES);
    uint64_t bit = 1ull << (place % 64);
    if (is_live)
        chunk->live[place / 64] |= bit;
    else
        chunk->live[place / 64] &= ~bit;
}

uint64_t hot_slab_end(const struct hot_slab *slab)
{
    return slab->count * (uint64_t)KR_HOT_CHUNK_RECORDS;
}

const struct hot_record *hot_slab_next(const struct hot_slab *slab, uint64_t *position,
                                       size_t *budget)
{
    while (*position < hot_slab_end(slab) && *budget > 0) {
        const struct hot_chunk *chunk = slab->chunks[*position / KR_HOT_CHUNK_RECORDS];
        uint64_t place = *position % KR_HOT_CHUNK_RECORDS;
        uint64_t live = chunk->live[place / 64] >> (place % 64);
        uint64_t step = live == 0 ? 64 - place % 64 : (uint64_t)__builtin_ctzll(live);
        if (step >= *budget) {
            *position += *budget;
            *budget = 0;
            return NULL;
        }
        *position += step;
        *budget -= step;
        if (live == 0)
            continue;
        ++*position;
        --*budget;
        return &chunk->records[place + step];
    }
    return NULL;
}
