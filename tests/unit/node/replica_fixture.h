// SPDX-License-Identifier: Apache-2.0
// A replica over a node's store, with the local engine: for tests of what asks it.
#pragma once

#include "tests/unit/node/api_fixture.h"

#include "replication/engine_local.h"
#include "replication/state_store.h"

static inline void replica_on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static inline void replica_on_fatal(void *ctx, enum kr_err err, const struct fault *fault)
{
    (void)ctx, (void)err;
    fail_msg("%s", fault->text);
}

static inline void replica_start(struct node *node, bool leads)
{
    const struct engine_local_options local = {.store = node->store, .leads = leads};
    state_store_init(&node->state, node->store);
    node->engine = engine_local_new(&local, NULL);
    const struct replica_options options = {
        .state = &node->state, .engine = node->engine, .fatal = replica_on_fatal};
    node->replica = replica_new(&options);
    engine_turn(node->engine);
}

static inline void replica_end(struct node *node)
{
    bool is_closed = false;
    replica_close(node->replica, replica_on_closed, &is_closed);
    while (!is_closed) {
        engine_turn(node->engine);
        replica_turn(node->replica);
    }
    is_closed = false;
    node->engine->verbs->close(node->engine, replica_on_closed, &is_closed);
    while (!is_closed)
        engine_turn(node->engine);
}
