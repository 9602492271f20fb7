// SPDX-License-Identifier: Apache-2.0
// Which version of the vault key values are sealed under, and whether this node has the cluster's.
//
// The state knows the versions in use, each with a check of its key (struct sealed_versions), so
// that no node seals what the others cannot open. A state from before there were checks has them
// from its next leader, whose key has opened what is there.
#pragma once

#include "core/base/fault.h"
#include "core/keys/command.h"
#include "node/node.h"

// Compares the vault with the versions that the state knows; the fault names the master key's place
// and the mend. NOT_FOUND: it lacks one. CONFLICT: it has another key for one. OK as well when the
// state knows none.
must_use enum kr_err sealing_check(const struct node *node, struct fault *fault);
// The same while the node runs; what does not fit ends the process. Of a core node.
void sealing_insist(const struct node *node);
// The same at a start where the state knows none: CONFLICT when it holds values, and the vault
// opens none.
must_use enum kr_err sealing_check_values(const struct node *node, struct fault *fault);

// Is the state without a version? Then *op is what gives it the vault's first.
bool sealing_first(const struct node *node, struct command_op *op);
// The version for a new value. False: the vault's key is not the cluster's.
bool sealing_version(const struct vault *vault, struct store_view *view, uint32_t *version);
