// SPDX-License-Identifier: Apache-2.0
// A copy of the store's figures behind a lock.
#include "node/figures.h"

#include <pthread.h>

struct figures {
    pthread_mutex_t lock; // of latest
    struct store_figures latest;
};

struct figures *figures_new(void)
{
    struct figures *figures = mem_zalloc(sizeof(*figures));
    pthread_mutex_init(&figures->lock, NULL);
    return figures;
}

void figures_free(struct figures **figures)
{
    pthread_mutex_destroy(&(*figures)->lock);
    mem_free(*figures);
    *figures = NULL;
}

void figures_update(struct figures *figures, struct store *store)
{
    struct store_figures now;
    store_figures(store, &now);
    pthread_mutex_lock(&figures->lock);
    figures->latest = now;
    pthread_mutex_unlock(&figures->lock);
}

void figures_read(struct figures *figures, struct store_figures *out)
{
    pthread_mutex_lock(&figures->lock);
    *out = figures->latest;
    pthread_mutex_unlock(&figures->lock);
}
