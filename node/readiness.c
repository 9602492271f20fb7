// SPDX-License-Identifier: Apache-2.0
// Ready: everything is in memory, and what is known is young enough for a bucket of the usual
// bound. So a node that has lost the leader for some seconds is not taken out of service for it,
// and one that has never reached its cluster is never put into it.
#include "node/readiness.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "node/node.h"
#include "node/notify.h"

enum readiness readiness_of(const struct node *node)
{
    if (atomic_load(&node->is_stopping))
        return KR_READINESS_STOPPING;
    if (!atomic_load(&node->is_loaded))
        return KR_READINESS_LOADING;
    return replica_age_ms(node->replica, clock_boot_ms()) <= KR_MAX_STALENESS_DEFAULT_MS
               ? KR_READINESS_SERVING
               : KR_READINESS_WAITING;
}

void readiness_tell(const struct node *node, enum readiness *told)
{
    enum readiness before = *told;
    uint64_t now_ms = clock_boot_ms();
    *told = readiness_of(node);
    if (*told == before)
        return;
    switch (*told) {
    case KR_READINESS_LOADING:
    case KR_READINESS_STOPPING: // the stop says so itself
        return;
    case KR_READINESS_WAITING:
        if (before == KR_READINESS_SERVING)
            LOG_WARN("not ready any more: out of touch with the cluster for too long",
                     LOG_NUMBER("ageMs", replica_age_ms(node->replica, now_ms)));
        else
            LOG_INFO("loaded: ready once this node is in touch with its cluster",
                     LOG_NUMBER("afterMs", now_ms - node->started_boot_ms));
        notify_status("out of touch with the cluster");
        return;
    case KR_READINESS_SERVING:
        LOG_INFO("ready", LOG_NUMBER("afterMs", now_ms - node->started_boot_ms));
        notify_ready("serving");
        return;
    }
}
