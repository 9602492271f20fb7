// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench propagate --world.
#pragma once

// argv[0] is "--world", argv[-1] the subcommand's name; the result an exit code (bench.h).
int propagate_world(int argc, char **argv);
