// SPDX-License-Identifier: Apache-2.0
// How many validations a second this node answers, measured once a second. Control loop.
#pragma once

#include "node/node.h"

struct throughput {
    uint64_t counted, counted_at_ms, per_second;
};

// True: a second is over, and per_second is of it.
bool throughput_measure(struct throughput *throughput, const struct node *node,
                        uint64_t now_boot_ms);
