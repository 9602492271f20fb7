// SPDX-License-Identifier: Apache-2.0
// Token buckets by name, in a small set-associative table.
#include "node/limiter.h"

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/rand.h"
#include "core/keys/format.h"

enum { KR_LIMITER_SETS = 256, KR_LIMITER_WAYS = 8, KR_LIMITER_ONE = 1000000 };

struct limit {
    char id[KR_ID_SIZE]; // "": unused
    uint64_t micro;      // millionths of a request that are left
    uint64_t at_ms;      // when that was
};

struct limiter {
    uint64_t full, window_ms, seed; // full: in millionths
    struct limit limits[KR_LIMITER_SETS][KR_LIMITER_WAYS];
};

struct limiter *limiter_new(uint64_t count, uint64_t window_ms)
{
    struct limiter *limiter = mem_zalloc(sizeof(*limiter));
    limiter->full = count * KR_LIMITER_ONE;
    limiter->window_ms = window_ms;
    limiter->seed = rand_u64();
    return limiter;
}

void limiter_free(struct limiter **limiter)
{
    mem_free(*limiter);
    *limiter = NULL;
}

// The bucket of id, made anew in place of the set's oldest when there is none.
static struct limit *find(struct limiter *limiter, const char *id, uint64_t now_ms)
{
    uint64_t hash = hash_u64(bytes_text(id), limiter->seed);
    struct limit *set = limiter->limits[hash % KR_LIMITER_SETS];
    struct limit *oldest = set;
    for (size_t i = 0; i < KR_LIMITER_WAYS; i++) {
        if (strcmp(set[i].id, id) == 0)
            return &set[i];
        if (set[i].at_ms < oldest->at_ms)
            oldest = &set[i];
    }
    strncpy(oldest->id, id, KR_ID_SIZE - 1);
    oldest->id[KR_ID_SIZE - 1] = '\0';
    oldest->micro = limiter->full;
    oldest->at_ms = now_ms;
    return oldest;
}

bool limiter_take(struct limiter *limiter, const char *id, uint64_t now_ms, uint64_t *wait_ms)
{
    if (limiter->full == 0)
        return true;
    struct limit *limit = find(limiter, id, now_ms);
    uint64_t elapsed_ms = now_ms > limit->at_ms ? now_ms - limit->at_ms : 0;
    if (elapsed_ms > limiter->window_ms)
        elapsed_ms = limiter->window_ms; // that fills it
    limit->micro += elapsed_ms * limiter->full / limiter->window_ms;
    if (limit->micro > limiter->full)
        limit->micro = limiter->full;
    limit->at_ms = now_ms;
    if (limit->micro < KR_LIMITER_ONE) {
        *wait_ms = (KR_LIMITER_ONE - limit->micro) * limiter->window_ms / limiter->full + 1;
        return false;
    }
    limit->micro -= KR_LIMITER_ONE;
    return true;
}
