// SPDX-License-Identifier: Apache-2.0
// When recent entries became durable here, by the wall clock.
//
// An entry bears the time at which it was given to the log; its fsync comes later and cannot stand
// in it. Receipts shall say the later time, and the same whenever they are asked for, so the latest
// ones are remembered. One writer, the control loop; any reader.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct commits;

struct commits *commits_new(void); // gives
void commits_free(struct commits **commits);
// commits may be NULL: then nothing is remembered.
void commits_note(struct commits *commits, uint64_t index, int64_t committed_ms);
// False when it is none of the latest (or was before this start).
bool commits_find(const struct commits *commits, uint64_t index, int64_t *committed_ms);
