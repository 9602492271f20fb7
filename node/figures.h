// SPDX-License-Identifier: Apache-2.0
// The latest figures of the store, taken by the control loop for whoever asks.
//
// The store counts without locks on the control loop's side, so only that loop may look; it leaves
// a copy here once a second.
#pragma once

#include "core/store/store.h"

struct figures;

struct figures *figures_new(void); // gives
void figures_free(struct figures **figures);
void figures_update(struct figures *figures, struct store *store);     // control loop
void figures_read(struct figures *figures, struct store_figures *out); // any thread
