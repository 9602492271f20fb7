// SPDX-License-Identifier: Apache-2.0
// The chain hash of a log.
#include "core/base/hash.h"

static void put_little_endian(uint8_t out[8], uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

struct hash128 hash_chain(struct hash128 previous, struct bytes bytes)
{
    XXH3_state_t state;
    uint8_t link[16];
    put_little_endian(link, previous.low);
    put_little_endian(link + 8, previous.high);
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, link, sizeof(link));
    if (bytes.size > 0)
        XXH3_128bits_update(&state, bytes.data, bytes.size);
    XXH128_hash_t hash = XXH3_128bits_digest(&state);
    return (struct hash128){hash.low64, hash.high64};
}
