// SPDX-License-Identifier: Apache-2.0
// What a store says of itself: whether its disk has room, and whether its state is known to be
// wrong.
//
// Control loop only.
#pragma once

#include "core/store/store.h"

// DISK_FULL: an entry of that size could not be applied, as far as that is known before.
must_use enum kr_err store_check_room(const struct store *store, uint64_t size_bytes,
                                      struct fault *fault);

// Says on the disk that this state is not what the leader's is, and why. It stays said until a
// snapshot takes the directory's place.
must_use enum kr_err store_mark_wrong(const struct store *store, const char *why,
                                      struct fault *fault);
bool store_is_wrong(const struct store *store);
