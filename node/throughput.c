// SPDX-License-Identifier: Apache-2.0
// Validations a second, from what the serving loops count.
#include "node/throughput.h"

#include "node/metrics.h"

static uint64_t validations(const struct node *node)
{
    uint64_t sum = 0;
    for (size_t loop = 0; loop < node->serve_count; loop++)
        for (size_t code = 0; code < KR_VERDICT_COUNT; code++)
            sum += atomic_load_explicit(&node->metrics[loop]->verdicts[code], memory_order_relaxed);
    return sum;
}

bool throughput_measure(struct throughput *throughput, const struct node *node,
                        uint64_t now_boot_ms)
{
    uint64_t passed_ms = now_boot_ms - throughput->counted_at_ms;
    if (passed_ms < 1000)
        return false;
    uint64_t counted = validations(node);
    throughput->per_second = (counted - throughput->counted) * 1000 / passed_ms;
    throughput->counted = counted;
    throughput->counted_at_ms = now_boot_ms;
    return true;
}
