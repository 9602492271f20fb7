// SPDX-License-Identifier: Apache-2.0
// A free list of input blocks, one a loop: what a connection reads into while it has something to
// read.
//
// Blocks come back zeroed by their connection. One thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KR_HTTP_BLOCK_BYTES 16384

struct http_pool; // opaque

struct http_pool *http_pool_new(size_t keep_blocks); // gives; frees what exceeds keep_blocks
// Every block must be back.
void http_pool_free(struct http_pool **pool);

uint8_t *http_pool_take(struct http_pool *pool);               // lends until http_pool_return
void http_pool_return(struct http_pool *pool, uint8_t *block); // takes

// What the large bodies of all connections may take together; without a bound until it is called.
void http_pool_bound(struct http_pool *pool, size_t bytes);
// Before memory beyond a block is taken. False: the bound would be passed.
bool http_pool_reserve(struct http_pool *pool, size_t bytes);
void http_pool_unreserve(struct http_pool *pool, size_t bytes);

// Blocks that are lent at the moment.
size_t http_pool_lent(const struct http_pool *pool);
