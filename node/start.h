// SPDX-License-Identifier: Apache-2.0
// Starting and stopping the process: builds a node's parts in order, runs it, takes it apart.
#pragma once

#include "core/base/fault.h"
#include "core/keys/vault.h"
#include "node/config.h"

// Sets the process up for a run: log, signals, limits, threads of the pool.
void start_prepare(const struct config *config);
// Checks what a start would need without changing anything: addresses, secret files. What it
// refuses is a setting, or a file that one names. Gives the vault of a core node whose master key
// is there; it is read once, since not every place yields it twice.
must_use enum kr_err start_check(const struct config *config, struct vault **vault,
                                 struct fault *fault);
// Runs the node until it is asked to stop. The process is prepared, the settings are checked, which
// has given *vault; the bootstrap may set it.
must_use enum kr_err start_run(const struct config *config, struct vault **vault,
                               struct fault *fault);
