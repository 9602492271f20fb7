// SPDX-License-Identifier: Apache-2.0
// The actions of keyreeve-bench wan that have files of their own.
#pragma once

// argv[0] is the action's name, argv[-1] "wan"; the result an exit code (bench.h).
int wan_probe(int argc, char **argv);
