// SPDX-License-Identifier: Apache-2.0
// Heap memory that aborts on exhaustion, and arenas.
#include "core/base/mem.h"

#include <assert.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { KR_ARENA_FIRST_BLOCK = 4096, KR_ARENA_LAST_BLOCK = 1 << 20, KR_ARENA_ALIGN = 16 };

struct arena_block {
    struct arena_block *next; // the block before this one
    size_t size;              // usable bytes behind the header
    size_t used;
    size_t pad; // keeps the memory behind the header 16-aligned
};

static void *check(void *memory)
{
    if (memory == NULL) {
        fputs("keyreeve: out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *mem_alloc(size_t size_bytes)
{
    return check(malloc(size_bytes > 0 ? size_bytes : 1));
}

void *mem_zalloc(size_t size_bytes)
{
    return check(calloc(1, size_bytes > 0 ? size_bytes : 1));
}

void *mem_realloc(void *memory, size_t size_bytes)
{
    return check(realloc(memory, size_bytes > 0 ? size_bytes : 1));
}

char *mem_text(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(mem_alloc(size), text, size);
}

void mem_free(void *memory)
{
    free(memory);
}

void mem_zero(void *memory, size_t size_bytes)
{
    sodium_memzero(memory, size_bytes);
}

void arena_init(struct arena *arena)
{
    *arena = (struct arena){.block_bytes = KR_ARENA_FIRST_BLOCK};
}

static void free_blocks(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;
        mem_zero(block, sizeof(*block) + block->used);
        free(block);
        block = next;
    }
}

void arena_fini(struct arena *arena)
{
    free_blocks(arena->blocks);
    *arena = (struct arena){0};
}

void arena_reset(struct arena *arena)
{
    struct arena_block *newest = arena->blocks;
    if (newest == NULL)
        return;
    free_blocks(newest->next);
    mem_zero(newest + 1, newest->used);
    newest->next = NULL;
    newest->used = 0;
}

static struct arena_block *add_block(struct arena *arena, size_t size_bytes)
{
    size_t size = arena->block_bytes > size_bytes ? arena->block_bytes : size_bytes;
    struct arena_block *block = mem_alloc(sizeof(*block) + size);
    *block = (struct arena_block){.next = arena->blocks, .size = size};
    arena->blocks = block;
    if (arena->block_bytes < KR_ARENA_LAST_BLOCK)
        arena->block_bytes *= 2;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size_bytes)
{
    size_t size = (size_bytes + KR_ARENA_ALIGN - 1) & ~(size_t)(KR_ARENA_ALIGN - 1);
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < size)
        block = add_block(arena, size);
    void *memory = (uint8_t *)(block + 1) + block->used;
    block->used += size;
    return memory;
}

void *arena_zalloc(struct arena *arena, size_t size_bytes)
{
    return memset(arena_alloc(arena, size_bytes), 0, size_bytes);
}

char *arena_text(struct arena *arena, const char *text)
{
    return text == NULL ? NULL : arena_text_of(arena, bytes_text(text));
}

char *arena_text_of(struct arena *arena, struct bytes text)
{
    char *copy = arena_alloc(arena, text.size + 1);
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return copy;
}

struct bytes arena_bytes_of(struct arena *arena, struct bytes bytes)
{
    return bytes_of(arena_text_of(arena, bytes), bytes.size);
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    assert(format != NULL);
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t size = (size_t)vsnprintf(NULL, 0, format, args) + 1;
    char *text = arena_alloc(arena, size);
    vsnprintf(text, size, format, again);
    va_end(again);
    va_end(args);
    return text;
}
