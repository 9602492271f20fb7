// SPDX-License-Identifier: Apache-2.0
// Heap memory that aborts on exhaustion, and arenas for everything that lives as long as one task.
//
// Sizes that come from outside are bounded by the caller before they get here. No function returns
// NULL. An arena is used by one thread at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/base/bytes.h"

void *mem_alloc(size_t size_bytes);                 // gives; uninitialised
void *mem_zalloc(size_t size_bytes);                // gives; zeroed
void *mem_realloc(void *memory, size_t size_bytes); // takes memory, gives
char *mem_text(const char *text);                   // gives a copy
void mem_free(void *memory);                        // takes; NULL is allowed

// Zeroes memory that held a secret, in a way no compiler removes (sodium_memzero).
void mem_zero(void *memory, size_t size_bytes);

// A bump allocator: many small allocations, one free.
struct arena {
    struct arena_block *blocks; // newest first
    size_t block_bytes;         // size of the next block
};

void arena_init(struct arena *arena);
// Frees every block, zeroed first: arenas hold request bodies, and those hold keys.
void arena_fini(struct arena *arena);
// Keeps the first block and forgets the rest; what was allocated is gone.
void arena_reset(struct arena *arena);

void *arena_alloc(struct arena *arena, size_t size_bytes);   // lends until fini/reset; 16-aligned
void *arena_zalloc(struct arena *arena, size_t size_bytes);  // the same, zeroed
char *arena_text(struct arena *arena, const char *text);     // a copy; NULL stays NULL
char *arena_text_of(struct arena *arena, struct bytes text); // a NUL-terminated copy
struct bytes arena_bytes_of(struct arena *arena, struct bytes bytes); // the same, with its size
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
