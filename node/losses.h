// SPDX-License-Identifier: Apache-2.0
// Keys that stopped being good as they were, in the order of the log, for whoever keeps answers.
//
// A ring of the latest ones. One writer, the control loop, behind the hot table's change; each
// reader has a position of its own and is told when it has fallen behind. Any reader thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/binary.h"

struct losses; // opaque

struct losses *losses_new(void); // gives
void losses_free(struct losses **losses);
// digest NULL: many keys at once, of a bucket or a consumer.
void losses_note(struct losses *losses, const uint8_t digest[KR_DIGEST_SIZE], uint64_t revision);
uint64_t losses_end(const struct losses *losses); // the position behind the latest
// Copies at most `most` from *position on, which moves behind them, and returns how many. Sets
// *drops_all when not every key was told: some were many at once, or were overwritten meanwhile.
size_t losses_read(const struct losses *losses, uint64_t *position, struct binary_lost out[],
                   size_t most, bool *drops_all);
