// SPDX-License-Identifier: Apache-2.0
// The free list of input blocks.
#include "core/http/pool.h"

#include <assert.h>

#include "core/base/mem.h"

// A free block holds the link in its own first bytes.
struct link {
    struct link *next;
};

struct http_pool {
    struct link *free;
    size_t free_count;
    size_t keep_blocks;
    size_t lent_count;
    size_t reserved_bytes, reserved_max_bytes;
};

struct http_pool *http_pool_new(size_t keep_blocks)
{
    struct http_pool *pool = mem_zalloc(sizeof(*pool));
    pool->keep_blocks = keep_blocks;
    pool->reserved_max_bytes = SIZE_MAX;
    return pool;
}

void http_pool_free(struct http_pool **pool)
{
    if (*pool == NULL)
        return;
    assert((*pool)->lent_count == 0 && (*pool)->reserved_bytes == 0);
    struct link *link = (*pool)->free;
    while (link != NULL) {
        struct link *next = link->next;
        mem_free(link);
        link = next;
    }
    mem_free(*pool);
    *pool = NULL;
}

uint8_t *http_pool_take(struct http_pool *pool)
{
    pool->lent_count++;
    if (pool->free == NULL)
        return mem_alloc(KR_HTTP_BLOCK_BYTES);
    struct link *link = pool->free;
    pool->free = link->next;
    pool->free_count--;
    return (uint8_t *)link;
}

void http_pool_return(struct http_pool *pool, uint8_t *block)
{
    assert(pool->lent_count > 0);
    pool->lent_count--;
    if (pool->free_count == pool->keep_blocks) {
        mem_free(block);
        return;
    }
    struct link *link = (struct link *)(void *)block;
    link->next = pool->free;
    pool->free = link;
    pool->free_count++;
}

void http_pool_bound(struct http_pool *pool, size_t bytes)
{
    pool->reserved_max_bytes = bytes;
}

bool http_pool_reserve(struct http_pool *pool, size_t bytes)
{
    if (bytes > pool->reserved_max_bytes || pool->reserved_bytes > pool->reserved_max_bytes - bytes)
        return false;
    pool->reserved_bytes += bytes;
    return true;
}

void http_pool_unreserve(struct http_pool *pool, size_t bytes)
{
    assert(pool->reserved_bytes >= bytes);
    pool->reserved_bytes -= bytes;
}

size_t http_pool_lent(const struct http_pool *pool)
{
    return pool->lent_count;
}
