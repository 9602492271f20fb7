// SPDX-License-Identifier: Apache-2.0
// Memory that knows its size, which stands before it.
#include "core/http/http2_memory.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "core/base/mem.h"

union block {
    size_t size;
    max_align_t alignment;
};

void *http2_memory_alloc(size_t size, void *user)
{
    (void)user;
    union block *block = mem_alloc(sizeof(*block) + size);
    block->size = size;
    return block + 1;
}

void http2_memory_free(void *memory, void *user)
{
    (void)user;
    if (memory == NULL)
        return;
    union block *block = (union block *)memory - 1;
    mem_zero(memory, block->size);
    mem_free(block);
}

void *http2_memory_zalloc(size_t count, size_t size, void *user)
{
    assert(size == 0 || count <= SIZE_MAX / 2 / size);
    void *memory = http2_memory_alloc(count * size, user);
    memset(memory, 0, count * size);
    return memory;
}

void *http2_memory_move(void *memory, size_t size, void *user)
{
    void *moved = http2_memory_alloc(size, user);
    if (memory != NULL) {
        size_t old = ((union block *)memory - 1)->size;
        memcpy(moved, memory, old < size ? old : size);
        http2_memory_free(memory, user);
    }
    return moved;
}
