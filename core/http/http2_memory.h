// SPDX-License-Identifier: Apache-2.0
// The memory of a library that holds header fields: wiped when it is freed, as those hold keys.
//
// By the rules of malloc, free, calloc and realloc; aborts on exhaustion. user is not looked at.
#pragma once

#include <stddef.h>

void *http2_memory_alloc(size_t size, void *user);
void http2_memory_free(void *memory, void *user);
void *http2_memory_zalloc(size_t count, size_t size, void *user);
void *http2_memory_move(void *memory, size_t size, void *user); // realloc
