// SPDX-License-Identifier: Apache-2.0
// When each pair of token and route was told last, in a small set-associative table.
#include "node/denials.h"

#include <pthread.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/rand.h"
#include "core/keys/format.h"

enum { KR_DENIALS_SETS = 128, KR_DENIALS_WAYS = 8, KR_DENIALS_MS = 60000 };

#define KR_DENIALS_NEVER INT64_MIN

struct denial {
    char token_id[KR_ID_SIZE]; // "": unused
    const char *route;         // of the table of routes
    int64_t told_ms;
    uint64_t left_out, told; // since the last row; in it
};

struct denials {
    pthread_mutex_t lock;
    uint64_t seed, left_out;
    struct denial sets[KR_DENIALS_SETS][KR_DENIALS_WAYS];
};

struct denials *denials_new(void)
{
    struct denials *denials = mem_zalloc(sizeof(*denials));
    pthread_mutex_init(&denials->lock, NULL);
    denials->seed = rand_u64();
    return denials;
}

void denials_free(struct denials **denials)
{
    pthread_mutex_destroy(&(*denials)->lock);
    mem_free(*denials);
    *denials = NULL;
}

// The pair's place, made anew in place of the one that was told longest ago when it has none.
static struct denial *find(struct denials *denials, const char *token_id, const char *route)
{
    uint64_t hash =
        hash_u64(bytes_text(token_id), denials->seed) ^ hash_u64(bytes_text(route), denials->seed);
    struct denial *set = denials->sets[hash % KR_DENIALS_SETS];
    struct denial *oldest = set;
    for (size_t i = 0; i < KR_DENIALS_WAYS; i++) {
        if (strcmp(set[i].token_id, token_id) == 0 && set[i].route != NULL &&
            strcmp(set[i].route, route) == 0)
            return &set[i];
        if (set[i].token_id[0] == '\0' ||
            (oldest->token_id[0] != '\0' && set[i].told_ms < oldest->told_ms))
            oldest = &set[i];
    }
    *oldest = (struct denial){.route = route, .told_ms = KR_DENIALS_NEVER};
    strncpy(oldest->token_id, token_id, KR_ID_SIZE - 1);
    return oldest;
}

// A clock that was set back must not silence anybody.
static bool is_due(const struct denial *denial, int64_t now_ms)
{
    return denial->told_ms == KR_DENIALS_NEVER || now_ms < denial->told_ms ||
           now_ms - denial->told_ms >= KR_DENIALS_MS;
}

bool denials_tell(struct denials *denials, const char *token_id, const char *route, int64_t now_ms,
                  uint64_t *left_out)
{
    pthread_mutex_lock(&denials->lock);
    struct denial *denial = find(denials, token_id, route);
    bool is_told = is_due(denial, now_ms);
    if (is_told) {
        *left_out = denial->told = denial->left_out;
        denial->left_out = 0;
        denial->told_ms = now_ms;
    } else {
        denial->left_out++;
        denials->left_out++;
    }
    pthread_mutex_unlock(&denials->lock);
    return is_told;
}

void denials_untell(struct denials *denials, const char *token_id, const char *route)
{
    pthread_mutex_lock(&denials->lock);
    struct denial *denial = find(denials, token_id, route);
    denial->left_out += denial->told + 1;
    denial->told = 0;
    denial->told_ms = KR_DENIALS_NEVER;
    denials->left_out++;
    pthread_mutex_unlock(&denials->lock);
}

uint64_t denials_left_out(struct denials *denials)
{
    pthread_mutex_lock(&denials->lock);
    uint64_t left_out = denials->left_out;
    pthread_mutex_unlock(&denials->lock);
    return left_out;
}
