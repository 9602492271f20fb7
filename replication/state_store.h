// SPDX-License-Identifier: Apache-2.0
// The state's verbs over the node's store.
#pragma once

#include "replication/state.h"

// Fills out; store is kept.
void state_store_init(struct state *out, struct store *store);
