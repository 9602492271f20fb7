// SPDX-License-Identifier: Apache-2.0
// The actions of keyreeve-bench wan that have files of their own.
#pragma once

#include "bench/world.h"

// argv[0] is the action's name, argv[-1] "wan"; the result an exit code (bench.h).
int wan_probe(int argc, char **argv);
// Runs a command in a region to its end; its status is its exit code, or 128 and the number of the
// signal that ended it.
must_use enum kr_err wan_run(const struct world_place *place, char **command, int *status,
                             struct fault *fault);
