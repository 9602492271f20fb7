// SPDX-License-Identifier: Apache-2.0
// Marks of revocations, in their order.
#include "core/keys/revoke.h"

void revocation_add(struct revocation *revocation, const struct revoke_mark *mark)
{
    struct revoke_marks *earlier = &revocation->earlier;
    if (revocation->last.before != 0 && earlier->count < KR_REVOKE_MARKS_MAX)
        earlier->items[earlier->count++] = revocation->last;
    revocation->last = *mark;
}

struct revoke_mark revocation_first(const struct revocation *revocation, uint64_t revision)
{
    const struct revoke_marks *earlier = &revocation->earlier;
    for (size_t i = 0; i < earlier->count; i++)
        if (revision <= earlier->items[i].before)
            return earlier->items[i];
    return revision <= revocation->last.before ? revocation->last
                                               : (struct revoke_mark){.before = 0};
}
