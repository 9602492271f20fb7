// SPDX-License-Identifier: Apache-2.0
// VALID answers that a client keeps: a bounded set-associative table by digest.
//
// It knows no time but what it is told; its owner drops everything when the lease is over. One
// thread at a time.
#pragma once

#include "proto/binary.h"

struct cache; // opaque

struct cache_entry {
    uint8_t digest[KR_DIGEST_SIZE];
    uint64_t until_ms; // 0: unused
    uint64_t index;
    uint32_t age_ms;
    size_t bucket_size, body_size;
    uint8_t *texts; // the bucket that was asked for, and the body
};

struct cache *cache_new(size_t entries); // gives; at least one set
void cache_free(struct cache **cache);
// Lends until the next change. NULL: none that is good now.
const struct cache_entry *cache_find(struct cache *cache, const uint8_t digest[KR_DIGEST_SIZE],
                                     struct bytes bucket, uint64_t now_ms);
// Copies; takes the place of what was kept for the same question, or of the set's oldest. texts of
// what is given is passed over.
void cache_put(struct cache *cache, const struct cache_entry *given, struct bytes bucket,
               struct bytes body);
void cache_drop(struct cache *cache, const uint8_t digest[KR_DIGEST_SIZE]);
void cache_drop_all(struct cache *cache);
