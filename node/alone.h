// SPDX-License-Identifier: Apache-2.0
// A node without peers, as the board shows it: it leads, and nobody else is there. Control loop.
#pragma once

#include "node/throughput.h"

struct alone {
    struct throughput throughput;
    uint64_t board_at_ms;
};

void alone_tick(struct alone *alone, const struct node *node, uint64_t now_boot_ms);
