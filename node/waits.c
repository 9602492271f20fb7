// SPDX-License-Identifier: Apache-2.0
// The bounds of what waits for an index.
#include "node/waits.h"

void waits_init(struct waits *waits)
{
    *waits = (struct waits){.lowest_index = UINT64_MAX, .first_end_ms = UINT64_MAX};
}

bool waits_add(struct waits *waits, uint64_t index, uint64_t end_ms)
{
    if (waits->count == KR_WAITS_MAX)
        return false;
    waits->count++;
    if (index < waits->lowest_index)
        waits->lowest_index = index;
    if (end_ms < waits->first_end_ms)
        waits->first_end_ms = end_ms;
    return true;
}

void waits_remove(struct waits *waits)
{
    waits->count--;
}

bool waits_are_due(const struct waits *waits, uint64_t applied_index, uint64_t now_ms)
{
    return waits->count > 0 &&
           (applied_index >= waits->lowest_index || now_ms >= waits->first_end_ms);
}
