// SPDX-License-Identifier: Apache-2.0
// Starting and stopping the process: builds a node's parts in order, runs it, takes it apart.
#pragma once

#include "core/base/fault.h"
#include "node/config.h"

// Checks what a start would need without changing anything: addresses, secret files.
must_use enum kr_err start_check(const struct config *config, struct fault *fault);
// Runs the node until it is asked to stop.
must_use enum kr_err start_run(const struct config *config, struct fault *fault);
