// SPDX-License-Identifier: Apache-2.0
// The account as it was read first, and a direct-mapped table of labels.
#include "node/names.h"

#include <pthread.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/rand.h"
#include "core/keys/format.h"
#include "core/store/store_view.h"

enum { KR_NAMES_TOKENS = 256 };

struct named {
    char token_id[KR_ID_SIZE]; // "": unused
    char *label;               // NULL: it has none
};

struct names {
    pthread_mutex_t lock;
    uint64_t seed;
    char *account_id, *account_name; // NULL: not known yet
    struct named tokens[KR_NAMES_TOKENS];
};

struct names *names_new(void)
{
    struct names *names = mem_zalloc(sizeof(*names));
    pthread_mutex_init(&names->lock, NULL);
    names->seed = rand_u64();
    return names;
}

void names_free(struct names **names)
{
    for (size_t i = 0; i < KR_NAMES_TOKENS; i++)
        mem_free((*names)->tokens[i].label);
    mem_free((*names)->account_id);
    mem_free((*names)->account_name);
    pthread_mutex_destroy(&(*names)->lock);
    mem_free(*names);
    *names = NULL;
}

// Under the lock, for the first of its calls alone.
static bool learn_account(struct names *names, struct store_view *view)
{
    struct arena arena;
    struct store_cluster cluster;
    if (names->account_id != NULL)
        return true;
    arena_init(&arena);
    bool is_there = store_get_cluster(view, &arena, &cluster);
    if (is_there) {
        names->account_id = mem_text(cluster.account_id);
        names->account_name = mem_text(cluster.account_name);
    }
    arena_fini(&arena);
    return is_there;
}

bool names_is_account(struct names *names, struct store_view *view, const char *name_or_id)
{
    pthread_mutex_lock(&names->lock);
    bool is_ours = learn_account(names, view) && (strcmp(name_or_id, names->account_name) == 0 ||
                                                  strcmp(name_or_id, names->account_id) == 0);
    pthread_mutex_unlock(&names->lock);
    return is_ours;
}

static struct named *place_of(struct names *names, const char *token_id)
{
    return &names->tokens[hash_u64(bytes_text(token_id), names->seed) % KR_NAMES_TOKENS];
}

static void keep(struct names *names, const char *token_id, const char *label)
{
    struct named *place = place_of(names, token_id);
    mem_free(place->label);
    strcpy(place->token_id, token_id);
    place->label = label == NULL ? NULL : mem_text(label);
}

const char *names_label(struct names *names, struct store_view *view, const char *token_id,
                        struct arena *arena)
{
    struct key token;
    const char *label = NULL;
    pthread_mutex_lock(&names->lock);
    const struct named *place = place_of(names, token_id);
    bool is_known = strcmp(place->token_id, token_id) == 0;
    if (is_known && place->label != NULL)
        label = arena_text(arena, place->label);
    pthread_mutex_unlock(&names->lock);
    if (is_known || !store_get_key_by_id(view, token_id, arena, &token))
        return label;
    pthread_mutex_lock(&names->lock);
    keep(names, token_id, token.description);
    pthread_mutex_unlock(&names->lock);
    return token.description;
}
