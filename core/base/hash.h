// SPDX-License-Identifier: Apache-2.0
// Non-cryptographic hashing (XXH3): table placement with a secret seed, checksums, chain hashes.
//
// Nothing here authenticates anything. This header is the only one that includes xxhash.
#pragma once

#include <stdint.h>
#include <string.h>
#define XXH_INLINE_ALL
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "core/base/bytes.h"

struct hash128 {
    uint64_t low, high;
};

static inline uint64_t hash_u64(struct bytes data, uint64_t seed)
{
    return XXH3_64bits_withSeed(data.data, data.size, seed);
}

static inline struct hash128 hash_u128(struct bytes data)
{
    XXH128_hash_t hash = XXH3_128bits(data.data, data.size);
    return (struct hash128){hash.low64, hash.high64};
}

// The chain: XXH3-128(previous chain ‖ bytes), previous as 16 little-endian bytes, low half first.
struct hash128 hash_chain(struct hash128 previous, struct bytes bytes);

// A commutative sum (mod 2^128), for state digests.
static inline struct hash128 hash_sum_add(struct hash128 sum, struct hash128 term)
{
    uint64_t low = sum.low + term.low;
    return (struct hash128){low, sum.high + term.high + (low < sum.low)};
}

static inline struct hash128 hash_sum_sub(struct hash128 sum, struct hash128 term)
{
    return (struct hash128){sum.low - term.low, sum.high - term.high - (sum.low < term.low)};
}

static inline int hash_equal(struct hash128 a, struct hash128 b)
{
    return a.low == b.low && a.high == b.high;
}
