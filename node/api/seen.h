// SPDX-License-Identifier: Apache-2.0
// Which of a request's many items have come before: bytes → position of the first.
//
// A table of fixed size in an arena, seeded anew each time, so that nobody who chooses the items
// chooses the collisions. One thread at a time.
#pragma once

#include <stdbool.h>

#include "core/base/mem.h"

struct seen_slot {
    struct bytes item; // data NULL: free
    uint32_t position;
};

struct seen {
    struct seen_slot *slots;
    size_t mask;
    uint64_t seed;
};

// For at most items_max items (≤ 2^20); the arena is kept.
void seen_init(struct seen *seen, struct arena *arena, size_t items_max);
// False when the item is not there.
bool seen_find(const struct seen *seen, struct bytes item, uint32_t *position);
// Adds an item that is not there; keeps its bytes.
void seen_add(struct seen *seen, struct bytes item, uint32_t position);
