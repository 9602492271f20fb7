// SPDX-License-Identifier: Apache-2.0
// Memory for what readers look at behind a record (subjects, extras, the chunks of numbers), carved
// from huge pages: behind small ones each look costs half as much again. Writer's side.
//
// Freed memory is kept by size, in steps of 32 bytes; what is longer comes from the heap.
#include "core/store/hot_internal.h"

#include <assert.h>

enum { KR_HOT_POOL_STEP = 32, KR_HOT_POOL_LONGEST = KR_HOT_POOL_STEP * KR_HOT_POOL_SIZES };

static size_t size_index(size_t size)
{
    return (size - 1) / KR_HOT_POOL_STEP;
}

void *hot_pool_carve(struct hot_pool *pool, size_t size)
{
    assert(size % KR_HOT_POOL_STEP == 0 && size <= KR_HOT_HUGE_BYTES);
    if (pool->count == 0 || KR_HOT_HUGE_BYTES - pool->carved < size) {
        pool->chunks = mem_realloc(pool->chunks, (pool->count + 1) * sizeof(pool->chunks[0]));
        pool->chunks[pool->count++] = hot_pages_take(pool->pages);
        pool->carved = 0;
    }
    void *memory = pool->chunks[pool->count - 1] + pool->carved;
    pool->carved += size;
    return memory;
}

void *hot_pool_alloc(struct hot_pool *pool, size_t size)
{
    assert(size > 0);
    if (size > KR_HOT_POOL_LONGEST)
        return mem_alloc(size);
    void **first = &pool->free[size_index(size)];
    if (*first == NULL)
        return hot_pool_carve(pool, (size_index(size) + 1) * KR_HOT_POOL_STEP);
    void *memory = *first;
    memcpy(first, memory, sizeof(*first));
    return memory;
}

void hot_pool_free(struct hot_pool *pool, void *memory, size_t size)
{
    if (size > KR_HOT_POOL_LONGEST) {
        mem_free(memory);
        return;
    }
    void **first = &pool->free[size_index(size)];
    memcpy(memory, first, sizeof(*first));
    *first = memory;
}

void hot_pool_fini(struct hot_pool *pool)
{
    for (size_t i = 0; i < pool->count; i++)
        hot_unmap(pool->chunks[i], KR_HOT_HUGE_BYTES);
    mem_free(pool->chunks);
    *pool = (struct hot_pool){0};
}
