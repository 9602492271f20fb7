// SPDX-License-Identifier: Apache-2.0
// Snapshots whose child has gone: kept for a while, so that it can go on where it stopped.
//
// A few at most, since each holds old rows on the disk. Times are boot time ms. Control loop
// only.
#pragma once

#include "replication/state.h"

#define KR_EXPORTS_MAX 8
#define KR_EXPORTS_KEPT_MS 120000

struct exports;

struct exports *exports_new(const struct state *state); // gives; keeps state
void exports_free(struct exports **exports);
// Takes the export; the oldest one goes when there are too many.
void exports_park(struct exports *exports, const char *child_id, struct state_export *export,
                  uint64_t now_ms);
// Gives this child's export at that index; NULL: it is gone.
struct state_export *exports_claim(struct exports *exports, const char *child_id, uint64_t index);
void exports_tick(struct exports *exports, uint64_t now_ms);
