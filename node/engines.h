// SPDX-License-Identifier: Apache-2.0
// The log engine that the settings ask for, with what it needs around it.
//
// Control loop only, but for the opening, which is before the loop runs.
#pragma once

#include "node/node.h"

struct uv_loop_s;
struct engines;

// The settings of the engine alone, on a core node. INVALID names the setting.
must_use enum kr_err engines_check(const struct config *config, struct fault *fault);
// Sets node->engine. Gives. INVALID names the setting.
must_use enum kr_err engines_open(struct node *node, struct uv_loop_s *loop, struct engines **out,
                                  struct fault *fault);
// Closes the engine, which completes what is in flight, then what it stood on, then calls closed
// and frees itself. The replica is closed.
void engines_close(struct engines *engines, void (*closed)(void *ctx), void *ctx);

// With `local`: this node led when it stopped, and another core node may have been promoted since.
// It stands by until engines_resume. The store is open.
bool engines_asks_first(struct node *node);
void engines_resume(struct node *node); // no other has: it leads again

// The operator's word that the leader is down: this node leads, under an epoch above known_epoch.
// CONFLICT: it does already. UNSUPPORTED: with this engine nobody is promoted by hand.
must_use enum kr_err engines_promote(struct node *node, uint64_t known_epoch);
