// SPDX-License-Identifier: Apache-2.0
// The first start: the cluster's identity, account, buckets, owner token and master key.
//
// Runs on the main thread before any loop. The owner token's file is written before the entry that
// makes it valid is committed, so a crash between the two never leaves a token that nobody knows.
#pragma once

#include "core/base/fault.h"
#include "node/node.h"

// Reads the master key (`master_key_file`, else <data>/master-key, which is made, 0600, where the
// cluster is new) and sets node->vault. FORBIDDEN for wrong permissions, INVALID for other content.
must_use enum kr_err bootstrap_vault(struct node *node, struct fault *fault);

// Learns cluster and account from the store into the arena, or makes them: one entry with the
// account, the buckets production, preview and development, the reserved bucket and the owner
// token, which goes to <data>/owner-token and, on a terminal, to stdout once.
must_use enum kr_err bootstrap_cluster(struct node *node, struct arena *arena, struct fault *fault);
