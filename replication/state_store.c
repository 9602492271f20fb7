// SPDX-License-Identifier: Apache-2.0
// The state's verbs over the node's store.
#include "replication/state_store.h"

static void get_position(void *ctx, struct store_position *out)
{
    store_position(ctx, out);
}

static uint64_t applied_index(void *ctx)
{
    return store_applied_index(ctx);
}

static enum kr_err apply(void *ctx, const struct store_row *rows, size_t count,
                         struct apply_result results[], struct fault *fault)
{
    return store_apply(ctx, rows, count, results, fault);
}

static uint64_t log_first(void *ctx)
{
    return store_log_first(ctx);
}

void state_store_init(struct state *out, struct store *store)
{
    *out = (struct state){.ctx = store,
                          .holding = KR_HOLD_ALL,
                          .position = get_position,
                          .applied_index = applied_index,
                          .apply = apply,
                          .log_first = log_first};
}
