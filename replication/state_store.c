// SPDX-License-Identifier: Apache-2.0
// The state's verbs over the node's store.
#include "replication/state_store.h"

#include <stdio.h>

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

static enum kr_err stream_read(void *ctx, uint64_t index, enum store_holding child,
                               struct arena *arena, struct store_stream_row *out,
                               struct fault *fault)
{
    return store_stream_read(ctx, index, child, arena, out, fault);
}

static enum kr_err stream_apply(void *ctx, const struct store_stream_row *rows, size_t count,
                                struct fault *fault)
{
    return store_stream_apply(ctx, rows, count, fault);
}

static uint64_t log_first(void *ctx)
{
    return store_log_first(ctx);
}

// --- members -------------------------------------------------------------------------------------

static void copy_member(const struct member *from, struct state_member *out)
{
    *out = (struct state_member){.is_core = from->role == KR_MEMBER_CORE,
                                 .is_removed = from->is_removed,
                                 .added_ms = from->added_ms};
    snprintf(out->id, sizeof(out->id), "%s", from->id);
    snprintf(out->region, sizeof(out->region), "%s", from->region);
    if (from->peer_address != NULL)
        snprintf(out->peer_address, sizeof(out->peer_address), "%s", from->peer_address);
    if (from->http_address != NULL)
        snprintf(out->http_address, sizeof(out->http_address), "%s", from->http_address);
}

static bool get_member(void *ctx, const char *id, struct state_member *out)
{
    struct store_view *view = store_view_open(ctx);
    struct member member;
    struct arena arena;
    arena_init(&arena);
    bool is_there = store_get_member(view, id, &arena, &member);
    if (is_there)
        copy_member(&member, out);
    arena_fini(&arena);
    store_view_close(&view);
    return is_there;
}

static void each_member(void *ctx, state_member_fn *visit, void *visit_ctx)
{
    struct store_view *view = store_view_open(ctx);
    struct store_cursor *cursor = store_members(view);
    struct member member;
    struct arena arena;
    arena_init(&arena);
    while (store_next_member(cursor, &arena, &member)) {
        struct state_member out;
        copy_member(&member, &out);
        visit(visit_ctx, &out);
        arena_reset(&arena);
    }
    arena_fini(&arena);
    store_cursor_close(&cursor);
    store_view_close(&view);
}

void state_store_init(struct state *out, struct store *store)
{
    *out = (struct state){.ctx = store,
                          .holding = store_holds(store),
                          .position = get_position,
                          .applied_index = applied_index,
                          .apply = apply,
                          .log_first = log_first,
                          .stream_read = stream_read,
                          .stream_apply = stream_apply,
                          .member = get_member,
                          .each_member = each_member};
}
