// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench hot: full validations in memory, without a server.
#pragma once

int bench_hot(int argc, char **argv); // as bench.h: an exit code
