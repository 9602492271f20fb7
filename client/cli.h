// SPDX-License-Identifier: Apache-2.0
// The whole command: argv in, exit code out.
#pragma once

#include "client/exit.h"

enum exit_code cli_run(int argc, char *const argv[]);
