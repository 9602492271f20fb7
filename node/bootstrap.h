// SPDX-License-Identifier: Apache-2.0
// The first start: the cluster's identity, account, buckets, owner token and master key.
//
// A node that leads by itself does it on the main thread before any loop; one of several does it
// when it has become the first leader (node/leading). The owner token's file is written before the
// entry that makes it valid is committed, so a crash between the two never leaves a token that
// nobody knows.
#pragma once

#include "core/base/fault.h"
#include "node/node.h"

// Is the directory the right cluster's, before anything is made in it? CONFLICT: it is another's,
// or no cluster's where cluster_id names one and this node would make a new one.
must_use enum kr_err bootstrap_check(struct node *node, struct fault *fault);

// Sets node->vault, which is kept: *vault, or where that is NULL (there is no master key yet) the
// vault of a new one, where this node makes the cluster. Refuses a master key that is not the
// cluster's: as sealing_check.
must_use enum kr_err bootstrap_vault(struct node *node, struct vault **vault, struct fault *fault);

// Is it this node's part to make the cluster, without asking anybody?
bool bootstrap_is_ours(const struct node *node);
// Does the state know its cluster? Then node->cluster_id does too.
bool bootstrap_is_known(struct node *node);
// Makes the cluster on the leader that this node is: one entry with the account, the buckets
// production, preview and development, the reserved bucket and the owner token, which goes to
// <data>/owner-token and, on a terminal, to stdout once. done comes with the outcome, never before
// this has returned; on an error it does not come.
typedef void bootstrap_done_fn(void *ctx, enum kr_err err);
must_use enum kr_err bootstrap_begin(struct node *node, bootstrap_done_fn *done, void *ctx,
                                     struct fault *fault);
// At a start: learns the cluster from the store, or makes it where that is ours.
must_use enum kr_err bootstrap_cluster(struct node *node, struct fault *fault);
