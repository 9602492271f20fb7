// SPDX-License-Identifier: Apache-2.0
// The `local` engine: appends by applying to the node's own store, answers on the next turn.
//
// Happy path: append → store_apply (durable when it returns) → remembered → engine_turn → done.
// Ways it can fail: not leading or another epoch (NO_LEADER at once); the store refuses (DISK_FULL,
// or an error that the process cannot survive), which the callback tells, and which fails every
// append behind it until that callback has come.
#include "replication/engine_local.h"

#include <assert.h>
#include <string.h>

struct completion {
    struct completion *next;
    engine_done_fn *done;
    void *ctx;
    enum kr_err err;
    struct fault fault;
};

struct engine_local {
    struct engine base;
    struct engine_local_options options;
    enum engine_role role;
    uint64_t epoch;
    bool has_role_event; // the role changed and the owner does not know yet
    struct completion *first, **last;
    size_t due;                // completions in the list
    void (*closed)(void *ctx); // set: closing
    void *closed_ctx;
};

bool engine_local_was_leader(const struct engine_local_past *past)
{
    if (past->is_wrong)
        return false;
    if (past->leader == NULL)
        return past->is_appointed;
    return strcmp(past->leader->member_id, past->member_id) == 0 &&
           past->leader->epoch == past->epoch;
}

static struct engine_local *local_of(struct engine *engine)
{
    return (struct engine_local *)engine;
}

static void take_role(struct engine_local *local, enum engine_role role)
{
    local->role = role;
    local->has_role_event = true;
}

static void take_stored_epoch(struct engine_local *local, enum engine_role role)
{
    struct store_position position;
    if (local->closed != NULL || local->role == KR_ENGINE_LEADER)
        return;
    store_position(local->options.store, &position);
    local->epoch = position.epoch > 0 ? position.epoch : 1;
    take_role(local, role);
}

static void local_campaign(struct engine *engine)
{
    struct engine_local *local = local_of(engine);
    take_stored_epoch(local, local->options.leads ? KR_ENGINE_LEADER : KR_ENGINE_STANDBY);
}

void engine_local_resume(struct engine *engine)
{
    take_stored_epoch(local_of(engine), KR_ENGINE_LEADER);
}

enum kr_err engine_local_promote(struct engine *engine, uint64_t known_epoch)
{
    struct engine_local *local = local_of(engine);
    struct store_position position;
    if (local->closed != NULL || local->role == KR_ENGINE_LEADER)
        return KR_ERR_CONFLICT;
    store_position(local->options.store, &position);
    local->epoch = (position.epoch > known_epoch ? position.epoch : known_epoch) + 1;
    take_role(local, KR_ENGINE_LEADER);
    return KR_ERR_OK;
}

bool engine_local_step_down(struct engine *engine)
{
    struct engine_local *local = local_of(engine);
    if (local->closed != NULL || local->role != KR_ENGINE_LEADER)
        return false;
    take_role(local, KR_ENGINE_STANDBY);
    return true;
}

// The error of a failed append whose callback is still due: what comes behind it fails alike, for
// its owner chose the indexes before it could know.
static const struct completion *pending_failure(const struct engine_local *local)
{
    for (const struct completion *item = local->first; item != NULL; item = item->next)
        if (item->err != KR_ERR_OK)
            return item;
    return NULL;
}

static enum kr_err local_append(struct engine *engine, const struct engine_batch *batch,
                                engine_done_fn *done, void *ctx)
{
    struct engine_local *local = local_of(engine);
    assert(batch->count > 0 && engine->results != NULL);
    if (local->closed != NULL || local->role != KR_ENGINE_LEADER || batch->epoch != local->epoch)
        return KR_ERR_NO_LEADER;
    struct completion *item = mem_zalloc(sizeof(*item));
    const struct completion *failure = pending_failure(local);
    item->done = done;
    item->ctx = ctx;
    if (failure != NULL) {
        item->err = failure->err;
        item->fault = failure->fault;
    } else {
        item->err = store_apply(local->options.store, batch->rows, batch->count, engine->results,
                                &item->fault);
    }
    *local->last = item;
    local->last = &item->next;
    local->due++;
    return KR_ERR_OK;
}

static enum kr_err local_read(struct engine *engine, uint64_t index, struct arena *arena,
                              struct bytes *entry, struct fault *fault)
{
    struct hash128 chain;
    return store_log_read(local_of(engine)->options.store, index, arena, entry, &chain, fault);
}

// The log is the store's own family, which keeps its retention in store_maintain.
static void local_trim(struct engine *engine, uint64_t below_index)
{
    (void)engine;
    (void)below_index;
}

static uint64_t local_valid_until_ms(const struct engine *engine)
{
    return ((const struct engine_local *)engine)->role == KR_ENGINE_LEADER ? UINT64_MAX : 0;
}

static void local_close(struct engine *engine, void (*closed)(void *ctx), void *ctx)
{
    struct engine_local *local = local_of(engine);
    assert(local->closed == NULL && closed != NULL);
    take_role(local, KR_ENGINE_STOPPED);
    local->closed = closed;
    local->closed_ctx = ctx;
}

static bool tell_role(struct engine_local *local)
{
    const struct engine_events *events = &local->base.events;
    if (!local->has_role_event)
        return false;
    local->has_role_event = false;
    if (events->role != NULL)
        events->role(events->ctx, local->role, local->epoch);
    return true;
}

// Only what was due when the turn began: a callback may append again.
static bool tell_completions(struct engine_local *local)
{
    size_t due = local->due;
    for (size_t i = 0; i < due; i++) {
        struct completion *item = local->first;
        local->first = item->next;
        if (local->first == NULL)
            local->last = &local->first;
        local->due--;
        item->done(item->ctx, item->err, item->err == KR_ERR_OK ? NULL : &item->fault);
        mem_free(item);
    }
    return due > 0;
}

static bool local_turn(struct engine *engine)
{
    struct engine_local *local = local_of(engine);
    bool were_any = tell_completions(local);
    were_any |= tell_role(local);
    if (local->closed == NULL || local->due > 0)
        return were_any;
    void (*closed)(void *ctx) = local->closed;
    void *ctx = local->closed_ctx;
    mem_free(local);
    closed(ctx);
    return true;
}

static const struct engine_verbs local_verbs = {
    .name = "local",
    .campaign = local_campaign,
    .append = local_append,
    .read = local_read,
    .trim = local_trim,
    .valid_until_ms = local_valid_until_ms,
    .turn = local_turn,
    .close = local_close,
};

struct engine *engine_local_new(const struct engine_local_options *options,
                                const struct engine_events *events)
{
    struct engine_local *local = mem_zalloc(sizeof(*local));
    local->base.verbs = &local_verbs;
    local->base.is_store_backed = true;
    if (events != NULL)
        local->base.events = *events;
    local->options = *options;
    local->role = KR_ENGINE_STARTING;
    local->last = &local->first;
    return &local->base;
}
