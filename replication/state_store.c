// SPDX-License-Identifier: Apache-2.0
// The state's verbs over the node's store.
#include "replication/state_store.h"

#include <stdio.h>

#include "core/store/store_flush.h"
#include "core/store/store_health.h"
#include "core/store/store_snapshot.h"
#include "replication/export_reader.h"

static void get_position(void *ctx, struct store_position *out)
{
    store_position(ctx, out);
}

static uint64_t applied_index(void *ctx)
{
    return store_applied_index(ctx);
}

static uint64_t safe_index(void *ctx)
{
    return store_safe_index(ctx);
}

static enum kr_err check_room(void *ctx, uint64_t size_bytes, struct fault *fault)
{
    return store_check_room(ctx, size_bytes, fault);
}

static bool is_wrong(void *ctx)
{
    return store_is_wrong(ctx);
}

static enum kr_err mark_wrong(void *ctx, const char *why, struct fault *fault)
{
    return store_mark_wrong(ctx, why, fault);
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

// --- snapshots: the store's own, under replication's names ---------------------------------------

static struct export_reader *export_of(struct state_export *export)
{
    return (struct export_reader *)(void *)export;
}

static struct store_import *import_of(struct state_import *import)
{
    return (struct store_import *)(void *)import;
}

static enum kr_err export_open(const struct state *state, enum store_holding child,
                               struct state_export **out, struct fault *fault)
{
    struct store_export *export = NULL;
    enum kr_err err = store_export_open(state->ctx, child, &export, fault);
    *out = NULL;
    if (err == KR_ERR_OK)
        *out =
            (struct state_export *)(void *)export_reader_new(export, state->wake, state->wake_ctx);
    return err;
}

static void export_position(struct state_export *export, struct store_position *out)
{
    export_reader_position(export_of(export), out);
}

static enum kr_err export_next(struct state_export *export, struct store_chunk *out,
                               struct fault *fault)
{
    return export_reader_next(export_of(export), out, fault);
}

static enum kr_err export_seek(struct state_export *export, uint8_t family, struct bytes last_key,
                               struct fault *fault)
{
    return export_reader_seek(export_of(export), family, last_key, fault);
}

static void export_progress(struct state_export *export, struct state_export_progress *out)
{
    struct store_export_progress progress;
    export_reader_progress(export_of(export), &progress);
    *out = (struct state_export_progress){.done_rows = progress.done_rows,
                                          .done_bytes = progress.done_bytes,
                                          .total_bytes = progress.total_bytes};
}

static void export_close(struct state_export **export)
{
    struct export_reader *own = export_of(*export);
    export_reader_free(&own);
    *export = NULL;
}

static enum kr_err import_open(void *ctx, const struct store_position *position,
                               struct state_import **out, struct fault *fault)
{
    const struct store_options options = store_options_of(ctx);
    struct store_import *import = NULL;
    enum kr_err err = store_import_open(&options, position, &import, fault);
    *out = (struct state_import *)(void *)import;
    return err;
}

static bool import_pending(void *ctx, struct store_position *out)
{
    const struct store_options options = store_options_of(ctx);
    return store_import_pending(&options, out);
}

static enum kr_err import_drop(void *ctx, struct fault *fault)
{
    const struct store_options options = store_options_of(ctx);
    return store_import_drop(&options, fault);
}

static bool import_resume(struct state_import *import, struct arena *arena, uint8_t *family,
                          struct bytes *last_key)
{
    return store_import_resume(import_of(import), arena, family, last_key);
}

static enum kr_err import_add(struct state_import *import, const struct store_chunk *chunk,
                              struct fault *fault)
{
    return store_import_add(import_of(import), chunk, fault);
}

static enum kr_err import_finish(struct state_import *import, struct fault *fault)
{
    return store_import_finish(import_of(import), fault);
}

static void import_close(struct state_import **import)
{
    struct store_import *own = import_of(*import);
    store_import_close(&own);
    *import = NULL;
}

void state_store_init(struct state *out, struct store *store)
{
    *out = (struct state){.ctx = store,
                          .holding = store_holds(store),
                          .position = get_position,
                          .applied_index = applied_index,
                          .safe_index = safe_index,
                          .check_room = check_room,
                          .is_wrong = is_wrong,
                          .mark_wrong = mark_wrong,
                          .apply = apply,
                          .log_first = log_first,
                          .stream_read = stream_read,
                          .stream_apply = stream_apply,
                          .member = get_member,
                          .each_member = each_member,
                          .export_open = export_open,
                          .export_position = export_position,
                          .export_next = export_next,
                          .export_seek = export_seek,
                          .export_progress = export_progress,
                          .export_close = export_close,
                          .import_open = import_open,
                          .import_resume = import_resume,
                          .import_pending = import_pending,
                          .import_drop = import_drop,
                          .import_add = import_add,
                          .import_finish = import_finish,
                          .import_close = import_close};
}
