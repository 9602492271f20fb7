// SPDX-License-Identifier: Apache-2.0
// The engine whose log is the node's own disk, as replication/engine_local.c over the state's verbs
// in place of a store: who leads is the operator's word.
#include "tests/sim/sim.h"

struct sim_completion {
    struct sim_completion *next;
    enum kr_err err;
    engine_done_fn *done;
    void *ctx;
};

struct sim_local {
    struct engine base;
    struct sim_node *node;
    struct state state;
    bool leads, is_leader, has_role_event;
    uint64_t epoch;
    struct sim_completion *first;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void take_role(struct sim_local *local, bool is_leader)
{
    local->is_leader = is_leader;
    local->has_role_event = true;
}

static void campaign(struct engine *base)
{
    struct sim_local *local = (struct sim_local *)base;
    uint64_t epoch = local->node->disk->position.epoch;
    local->epoch = epoch > 0 ? epoch : 1;
    take_role(local, local->leads);
}

static enum kr_err put(struct engine *base, const struct engine_batch *batch, engine_done_fn *done,
                       void *ctx)
{
    struct sim_local *local = (struct sim_local *)base;
    struct fault fault = {0};
    if (!local->is_leader || batch->epoch != local->epoch || local->closed != NULL)
        return KR_ERR_NO_LEADER;
    struct sim_completion *item = mem_zalloc(sizeof(*item)), **at = &local->first;
    item->err =
        local->state.apply(local->state.ctx, batch->rows, batch->count, base->results, &fault);
    item->done = done;
    item->ctx = ctx;
    while (*at != NULL)
        at = &(*at)->next;
    *at = item;
    return KR_ERR_OK;
}

static enum kr_err read_one(struct engine *base, uint64_t index, struct arena *arena,
                            struct bytes *entry, struct fault *fault)
{
    (void)base, (void)index, (void)arena, (void)entry, (void)fault;
    return KR_ERR_NOT_FOUND;
}

static void trim(struct engine *base, uint64_t below_index)
{
    (void)base, (void)below_index;
}

static uint64_t valid_until_ms(const struct engine *base)
{
    return ((const struct sim_local *)base)->is_leader ? UINT64_MAX : 0;
}

static bool turn(struct engine *base)
{
    struct sim_local *local = (struct sim_local *)base;
    const struct engine_events *events = &base->events;
    struct sim_completion *due = local->first;
    bool were_any = due != NULL || local->has_role_event;
    local->first = NULL;
    while (due != NULL) {
        struct sim_completion *item = due;
        due = item->next;
        item->done(item->ctx, item->err, NULL);
        mem_free(item);
    }
    if (local->has_role_event && events->role != NULL) {
        local->has_role_event = false;
        events->role(events->ctx, local->is_leader ? KR_ENGINE_LEADER : KR_ENGINE_STANDBY,
                     local->epoch);
    }
    if (local->closed == NULL || local->first != NULL || events->role != NULL)
        return were_any;
    void (*closed)(void *ctx) = local->closed;
    void *ctx = local->closed_ctx;
    mem_free(local);
    closed(ctx);
    return true;
}

static void close_engine(struct engine *base, void (*closed)(void *ctx), void *ctx)
{
    struct sim_local *local = (struct sim_local *)base;
    local->is_leader = false;
    local->has_role_event = false;
    local->closed = closed;
    local->closed_ctx = ctx;
}

static const struct engine_verbs verbs = {.name = "local",
                                          .campaign = campaign,
                                          .append = put,
                                          .read = read_one,
                                          .trim = trim,
                                          .valid_until_ms = valid_until_ms,
                                          .turn = turn,
                                          .close = close_engine};

struct engine *sim_engine_local_new(struct sim_node *node, bool leads)
{
    struct sim_local *local = mem_zalloc(sizeof(*local));
    local->base.verbs = &verbs;
    local->base.is_store_backed = true;
    local->node = node;
    local->leads = leads;
    sim_state_verbs(node->disk, &local->state);
    return &local->base;
}

uint64_t sim_engine_local_promote(struct engine *engine, uint64_t known_epoch)
{
    struct sim_local *local = (struct sim_local *)engine;
    uint64_t own_epoch = local->node->disk->position.epoch;
    local->epoch = 1 + (known_epoch > own_epoch ? known_epoch : own_epoch);
    take_role(local, true);
    return local->epoch;
}

void sim_engine_local_resume(struct engine *engine)
{
    take_role((struct sim_local *)engine, true);
}

void sim_engine_local_step_down(struct engine *engine)
{
    struct sim_local *local = (struct sim_local *)engine;
    if (local->is_leader && local->closed == NULL)
        take_role(local, false);
}
