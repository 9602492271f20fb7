// SPDX-License-Identifier: Apache-2.0
// Open addressing, at most half full, nothing is ever taken out.
#include "node/api/seen.h"

#include <assert.h>

#include "core/base/hash.h"
#include "core/base/rand.h"

enum { KR_SEEN_ITEMS_MAX = 1 << 20 };

void seen_init(struct seen *seen, struct arena *arena, size_t items_max)
{
    assert(items_max <= KR_SEEN_ITEMS_MAX);
    size_t count = 2;
    while (count < 2 * items_max)
        count *= 2;
    *seen = (struct seen){.slots = arena_zalloc(arena, count * sizeof(*seen->slots)),
                          .mask = count - 1,
                          .seed = rand_u64()};
}

// The slot of the item, or the free one where it belongs.
static struct seen_slot *slot_of(const struct seen *seen, struct bytes item)
{
    size_t at = hash_u64(item, seen->seed) & seen->mask;
    while (seen->slots[at].item.data != NULL && !bytes_equal(seen->slots[at].item, item))
        at = (at + 1) & seen->mask;
    return &seen->slots[at];
}

bool seen_find(const struct seen *seen, struct bytes item, uint32_t *position)
{
    const struct seen_slot *slot = slot_of(seen, item);
    if (slot->item.data == NULL)
        return false;
    *position = slot->position;
    return true;
}

void seen_add(struct seen *seen, struct bytes item, uint32_t position)
{
    struct seen_slot *slot = slot_of(seen, item);
    assert(slot->item.data == NULL);
    *slot = (struct seen_slot){item, position};
}
