// SPDX-License-Identifier: Apache-2.0
// Counts by address: connections in a chained table, failures in token buckets.
//
// The lock is taken at accepts, at closes and for tokens that are not good; never for a validation.
#include "node/ceilings.h"

#include <pthread.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/rand.h"
#include "core/base/text.h"
#include "node/limiter.h"

enum { KR_CEILINGS_ROWS = 4096, KR_CEILINGS_MINUTE_MS = 60000 };

struct entrant {
    struct entrant *next;
    struct cidr_address address;
    uint64_t count;
};

struct ceilings {
    pthread_mutex_t lock;
    uint64_t connections, seed;
    struct entrant *rows[KR_CEILINGS_ROWS];
    struct limiter *failures;
};

struct ceilings *ceilings_new(uint64_t connections, uint64_t failures_per_minute)
{
    struct ceilings *ceilings = mem_zalloc(sizeof(*ceilings));
    pthread_mutex_init(&ceilings->lock, NULL);
    ceilings->connections = connections;
    ceilings->seed = rand_u64();
    ceilings->failures = limiter_new(failures_per_minute, KR_CEILINGS_MINUTE_MS);
    return ceilings;
}

void ceilings_free(struct ceilings **ceilings)
{
    for (size_t i = 0; i < KR_CEILINGS_ROWS; i++)
        for (struct entrant *at = (*ceilings)->rows[i], *next; at != NULL; at = next) {
            next = at->next;
            mem_free(at);
        }
    limiter_free(&(*ceilings)->failures);
    pthread_mutex_destroy(&(*ceilings)->lock);
    mem_free(*ceilings);
    *ceilings = NULL;
}

// IPv4 as it is, IPv6 without the bits that its host chooses.
static struct cidr_address host_of(const struct cidr_address *address)
{
    struct cidr_address host = *address;
    if (!cidr_is_ipv4(address))
        memset(host.bytes + 8, 0, 8);
    return host;
}

// The place that points, or would point, to the address.
static struct entrant **place_of(struct ceilings *ceilings, const struct cidr_address *host)
{
    uint64_t hash = hash_u64(bytes_of(host->bytes, sizeof(host->bytes)), ceilings->seed);
    struct entrant **at = &ceilings->rows[hash % KR_CEILINGS_ROWS];
    while (*at != NULL && memcmp(&(*at)->address, host, sizeof(*host)) != 0)
        at = &(*at)->next;
    return at;
}

bool ceilings_enter(struct ceilings *ceilings, const struct cidr_address *address)
{
    const struct cidr_address host = host_of(address);
    if (ceilings->connections == 0)
        return true;
    pthread_mutex_lock(&ceilings->lock);
    struct entrant **at = place_of(ceilings, &host);
    if (*at == NULL) {
        *at = mem_zalloc(sizeof(**at));
        (*at)->address = host;
    }
    bool may_enter = (*at)->count < ceilings->connections;
    (*at)->count += may_enter ? 1 : 0;
    pthread_mutex_unlock(&ceilings->lock);
    return may_enter;
}

void ceilings_leave(struct ceilings *ceilings, const struct cidr_address *address)
{
    const struct cidr_address host = host_of(address);
    if (ceilings->connections == 0)
        return;
    pthread_mutex_lock(&ceilings->lock);
    struct entrant **at = place_of(ceilings, &host), *entrant = *at;
    if (--entrant->count == 0) {
        *at = entrant->next;
        mem_free(entrant);
    }
    pthread_mutex_unlock(&ceilings->lock);
}

bool ceilings_fail(struct ceilings *ceilings, const struct cidr_address *address, uint64_t now_ms,
                   uint64_t *wait_ms)
{
    const struct cidr_address host = host_of(address);
    char id[17];
    text_hex(host.bytes + (cidr_is_ipv4(&host) ? 8 : 0), 8, id);
    pthread_mutex_lock(&ceilings->lock);
    bool may_pass = limiter_take(ceilings->failures, id, now_ms, wait_ms);
    pthread_mutex_unlock(&ceilings->lock);
    return may_pass;
}
