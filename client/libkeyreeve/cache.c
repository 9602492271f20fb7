// SPDX-License-Identifier: Apache-2.0
// Sets of four entries; a digest is as good as a hash.
#include "client/libkeyreeve/cache.h"

#include "core/base/mem.h"

enum { KR_CACHE_WAYS = 4 };

struct cache {
    size_t sets;
    bool is_empty;
    struct cache_entry entries[];
};

struct cache *cache_new(size_t entries)
{
    size_t sets = (entries + KR_CACHE_WAYS - 1) / KR_CACHE_WAYS;
    struct cache *cache =
        mem_zalloc(sizeof(*cache) + sets * KR_CACHE_WAYS * sizeof(cache->entries[0]));
    cache->sets = sets;
    cache->is_empty = true;
    return cache;
}

static void clear(struct cache_entry *entry)
{
    if (entry->until_ms == 0)
        return;
    mem_free(entry->texts);
    *entry = (struct cache_entry){.until_ms = 0};
}

void cache_drop_all(struct cache *cache)
{
    for (size_t i = 0; i < cache->sets * KR_CACHE_WAYS && !cache->is_empty; i++)
        clear(&cache->entries[i]);
    cache->is_empty = true;
}

void cache_free(struct cache **cache)
{
    if (*cache == NULL)
        return;
    cache_drop_all(*cache);
    mem_free(*cache);
    *cache = NULL;
}

static struct cache_entry *set_of(struct cache *cache, const uint8_t digest[KR_DIGEST_SIZE])
{
    uint64_t hash;
    memcpy(&hash, digest, sizeof(hash));
    return &cache->entries[hash % cache->sets * KR_CACHE_WAYS];
}

static bool is_of(const struct cache_entry *entry, const uint8_t digest[KR_DIGEST_SIZE],
                  struct bytes bucket)
{
    return entry->until_ms > 0 && memcmp(entry->digest, digest, KR_DIGEST_SIZE) == 0 &&
           bytes_equal(bytes_of(entry->texts, entry->bucket_size), bucket);
}

const struct cache_entry *cache_find(struct cache *cache, const uint8_t digest[KR_DIGEST_SIZE],
                                     struct bytes bucket, uint64_t now_ms)
{
    struct cache_entry *set = set_of(cache, digest);
    for (size_t i = 0; i < KR_CACHE_WAYS; i++) {
        if (now_ms < set[i].until_ms && is_of(&set[i], digest, bucket))
            return &set[i];
    }
    return NULL;
}

// Its own place, if it has one; else the oldest's.
static struct cache_entry *place_of(struct cache_entry *set, const struct cache_entry *given,
                                    struct bytes bucket)
{
    struct cache_entry *place = set;
    for (size_t i = 0; i < KR_CACHE_WAYS; i++) {
        if (is_of(&set[i], given->digest, bucket))
            return &set[i];
        if (set[i].until_ms < place->until_ms)
            place = &set[i];
    }
    return place;
}

void cache_put(struct cache *cache, const struct cache_entry *given, struct bytes bucket,
               struct bytes body)
{
    struct cache_entry *place = place_of(set_of(cache, given->digest), given, bucket);
    clear(place);
    *place = *given;
    place->bucket_size = bucket.size;
    place->body_size = body.size;
    place->texts = mem_alloc(bucket.size + body.size + 1);
    if (bucket.size > 0)
        memcpy(place->texts, bucket.data, bucket.size);
    if (body.size > 0)
        memcpy(place->texts + bucket.size, body.data, body.size);
    cache->is_empty = false;
}

void cache_drop(struct cache *cache, const uint8_t digest[KR_DIGEST_SIZE])
{
    struct cache_entry *set = set_of(cache, digest);
    for (size_t i = 0; i < KR_CACHE_WAYS; i++) {
        if (memcmp(set[i].digest, digest, KR_DIGEST_SIZE) == 0)
            clear(&set[i]);
    }
}
