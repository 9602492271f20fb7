// SPDX-License-Identifier: Apache-2.0
// How often the nodes were asked while a revocation was awaited: what a delay is measured with.
#pragma once

#include "bench/result.h"

struct probes {
    const char *world, *engine, *load;
    const char *form;    // of an emulated world's links (world.h); NULL: loopback
    const double *rates; // probes a second, of each node; NAN: it was not asked
    size_t count;
};

// The row propagate.probes, and a line that says whether it is as often as wanted.
void probes_write(struct result_run *results, const struct probes *probes);
