// SPDX-License-Identifier: Apache-2.0
// What the index holds of the vault: sealed values in the order of their keys' ids, and under which
// versions of the vault key they are sealed. Empty on a follower.
#pragma once

#include "core/store/store.h"

// False: the state knows none yet, and *out has count 0.
bool store_vault_versions(struct store_view *view, struct arena *arena,
                          struct sealed_versions *out);
// From behind the key with this id, which need not be there (NULL: the start). Gives a cursor as
// those of store.h.
struct store_cursor *store_vault_values(struct store_view *view, const char *after_key_id);
bool store_vault_next(struct store_cursor *cursor, struct arena *arena, struct sealed *out);
