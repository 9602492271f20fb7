// SPDX-License-Identifier: Apache-2.0
// Marks of revocations, in their order.
#include "core/keys/revoke.h"

void revoke_marks_keep(struct revoke_marks *earlier, const struct revoke_mark *last)
{
    if (last->before != 0 && earlier->count < KR_REVOKE_MARKS_MAX)
        earlier->items[earlier->count++] = *last;
}

struct revoke_mark revoke_marks_first(const struct revoke_marks *earlier,
                                      const struct revoke_mark *last, uint64_t revision)
{
    for (size_t i = 0; i < earlier->count; i++)
        if (revision <= earlier->items[i].before)
            return earlier->items[i];
    return revision <= last->before ? *last : (struct revoke_mark){.before = 0};
}
