// SPDX-License-Identifier: Apache-2.0
// The process's limit of descriptors, shared out.
#include "node/descriptors.h"

#include <sys/resource.h>

#include "core/store/index.h"
#include "replication/peers_link.h"

enum {
    KR_DESCRIPTORS_LOOP = 16,  // of a serving loop: listeners, epoll, wake-ups
    KR_DESCRIPTORS_REST = 128, // snapshots, certificates, links upwards, the log engine
};

uint64_t descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return UINT64_MAX;
    const struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
        limit = raised;
    return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

static uint64_t reserve(const struct config *config, size_t loops)
{
    uint64_t links =
        config->peer_bundle[0] != '\0' ? KR_PEERS_CHILDREN_MAX + KR_PEERS_STRANGERS_MAX : 0;
    return KR_INDEX_OPEN_FILES + links + loops * KR_DESCRIPTORS_LOOP + KR_DESCRIPTORS_REST;
}

uint64_t descriptors_wanted(const struct config *config, size_t loops)
{
    return (uint64_t)config->connections_max + reserve(config, loops);
}

uint64_t descriptors_connections(const struct config *config, size_t loops, uint64_t limit)
{
    uint64_t wanted = (uint64_t)config->connections_max, set_aside = reserve(config, loops);
    // Where even that is too much to ask, what there is is halved: few use all of it.
    uint64_t left = limit / 2 > set_aside ? limit - set_aside : limit / 2;
    return wanted < left ? wanted : left;
}
