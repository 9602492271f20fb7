// SPDX-License-Identifier: Apache-2.0
// Sample keys for the hot table's tests: all that is known of a key follows from its number and
// revision, so that any record can be checked by itself.
#pragma once

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/rand.h"
#include "core/store/hot.h"

// Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014).
static inline uint64_t sample_mix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline uint64_t sample_below(uint64_t *state, uint64_t limit)
{
    return sample_mix(state) % limit;
}

// From KEYREEVE_TEST_SEED, or random; printed, so that a failure can be had again.
static inline uint64_t sample_seed(void)
{
    const char *text = getenv("KEYREEVE_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : rand_u64();
    printf("KEYREEVE_TEST_SEED=0x%016" PRIx64 "\n", seed);
    return seed;
}

// The key of this number lies in it.
static inline struct bytes sample_key(const uint64_t *number)
{
    return bytes_of(number, sizeof(*number));
}

static inline void sample_digest(uint64_t number, uint8_t digest[KR_DIGEST_SIZE])
{
    digest_sha256(sample_key(&number), digest);
}

static inline struct hot_put sample_put(uint64_t number, uint64_t revision)
{
    struct hot_put put = {.revision = revision, .subject = (uint32_t)(number ^ revision)};
    sample_digest(number, put.digest);
    for (size_t i = 0; i < sizeof(put.id); i++)
        put.id[i] = put.digest[i] ^ 0xa5;
    put.expires_ms = (int64_t)(revision * 256 + put.digest[0]);
    return put;
}

// Do a record's fields belong together, and to this digest?
static inline bool sample_is_sound(const struct hot_record *record, const uint8_t *digest)
{
    uint64_t revision = hot_record_u48(record->revision);
    bool is_sound = memcmp(record->digest, digest, KR_HOT_DIGEST_BYTES) == 0;
    for (size_t i = 0; i < sizeof(record->id); i++)
        is_sound = is_sound && record->id[i] == (digest[i] ^ 0xa5);
    return is_sound && hot_record_u48(record->expires) == revision * 256 + digest[0];
}
