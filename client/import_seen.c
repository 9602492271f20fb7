// SPDX-License-Identifier: Apache-2.0
// Open addressing over the part of digests that must differ; nothing is ever taken out.
#include "client/import_seen.h"

#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/rand.h"
#include "core/keys/format.h"

enum { KR_SEEN_FIRST_SIZE = 1 << 12 };

struct import_seen_slot {
    uint8_t digest[KR_DIGEST_UNIQUE_BYTES];
    uint32_t line; // 0: free
    uint32_t bucket, consumer;
};

void import_seen_init(struct import_seen *seen)
{
    *seen = (struct import_seen){.size = KR_SEEN_FIRST_SIZE, .seed = rand_u64()};
    seen->slots = mem_zalloc(seen->size * sizeof(*seen->slots));
}

void import_seen_fini(struct import_seen *seen)
{
    mem_free(seen->slots);
    *seen = (struct import_seen){0};
}

// The slot of the digest, or the free one where it belongs.
static struct import_seen_slot *slot_of(const struct import_seen *seen, const uint8_t *digest)
{
    struct bytes unique = bytes_of(digest, KR_DIGEST_UNIQUE_BYTES);
    size_t at = hash_u64(unique, seen->seed) & (seen->size - 1);
    while (seen->slots[at].line != 0 &&
           memcmp(seen->slots[at].digest, digest, KR_DIGEST_UNIQUE_BYTES) != 0)
        at = (at + 1) & (seen->size - 1);
    return &seen->slots[at];
}

static void grow(struct import_seen *seen)
{
    struct import_seen before = *seen;
    seen->size *= 2;
    seen->slots = mem_zalloc(seen->size * sizeof(*seen->slots));
    for (size_t i = 0; i < before.size; i++)
        if (before.slots[i].line != 0)
            *slot_of(seen, before.slots[i].digest) = before.slots[i];
    mem_free(before.slots);
}

// The lowest bit says whether it is an id.
static uint32_t consumer_of(const struct import_seen *seen, const char *consumer)
{
    return (uint32_t)hash_u64(bytes_text(consumer), seen->seed) << 1 |
           format_is_id(consumer, "csmr");
}

static bool are_two(const struct import_seen_slot *one, const struct import_seen_slot *other)
{
    bool are_comparable = (one->consumer & 1) == (other->consumer & 1);
    return one->bucket != other->bucket || (are_comparable && one->consumer != other->consumer);
}

uint64_t import_seen_add(struct import_seen *seen, const uint8_t digest[KR_DIGEST_SIZE],
                         const char *bucket, const char *consumer, uint64_t line)
{
    struct import_seen_slot row = {
        .line = line < UINT32_MAX ? (uint32_t)line : UINT32_MAX,
        .bucket = (uint32_t)hash_u64(bytes_text(bucket), seen->seed),
        .consumer = consumer_of(seen, consumer),
    };
    struct import_seen_slot *slot = slot_of(seen, digest);
    if (slot->line != 0)
        return are_two(slot, &row) ? slot->line : 0;
    if (seen->count == KR_IMPORT_SEEN_MAX)
        return 0;
    memcpy(row.digest, digest, KR_DIGEST_UNIQUE_BYTES);
    *slot = row;
    if (++seen->count * 4 > seen->size * 3)
        grow(seen);
    return 0;
}
