// SPDX-License-Identifier: Apache-2.0
// A log engine that does what the test says, when it says it: truly asynchronous, and with a log of
// its own, like one that lies in another process.
#pragma once

#include <assert.h>

#include "fixture.h"

enum { KR_SCRIPTED_LOG = 64, KR_SCRIPTED_PENDING = 32 };

struct scripted_append {
    uint64_t first, count;
    struct buf entries[KR_SCRIPTED_LOG];
    engine_done_fn *done;
    void *ctx;
};

struct scripted {
    struct engine base;
    struct buf *transcript; // keeps
    struct scripted_append pending[KR_SCRIPTED_PENDING];
    size_t pending_count;
    struct buf log[KR_SCRIPTED_LOG]; // entry i at i - 1
    uint64_t log_size;
    enum kr_err refuse_next; // the next append fails at once
    enum kr_err refuse_read; // every read fails
    uint64_t valid_until_ms;
};

static inline struct scripted *scripted_of(struct engine *engine)
{
    return (struct scripted *)engine;
}

static inline void scripted_campaign(struct engine *engine)
{
    buf_printf(scripted_of(engine)->transcript, "campaign\n");
}

static inline enum kr_err scripted_append(struct engine *engine, const struct engine_batch *batch,
                                          engine_done_fn *done, void *ctx)
{
    struct scripted *scripted = scripted_of(engine);
    enum kr_err err = scripted->refuse_next;
    buf_printf(scripted->transcript, "append %llu..%llu epoch %llu%s\n",
               (unsigned long long)batch->rows[0].index,
               (unsigned long long)batch->rows[batch->count - 1].index,
               (unsigned long long)batch->epoch, err != KR_ERR_OK ? " refused" : "");
    scripted->refuse_next = KR_ERR_OK;
    if (err != KR_ERR_OK)
        return err;
    assert(scripted->pending_count < KR_SCRIPTED_PENDING && batch->count <= KR_SCRIPTED_LOG);
    struct scripted_append *append = &scripted->pending[scripted->pending_count++];
    *append = (struct scripted_append){
        .first = batch->rows[0].index, .count = batch->count, .done = done, .ctx = ctx};
    for (size_t i = 0; i < batch->count; i++) {
        buf_init(&append->entries[i], 1 << 20);
        buf_add_bytes(&append->entries[i], batch->rows[i].entry);
    }
    return KR_ERR_OK;
}

static inline enum kr_err scripted_read(struct engine *engine, uint64_t index, struct arena *arena,
                                        struct bytes *entry, struct fault *fault)
{
    struct scripted *scripted = scripted_of(engine);
    (void)fault;
    (void)arena;
    if (scripted->refuse_read != KR_ERR_OK)
        return scripted->refuse_read;
    if (index > scripted->log_size)
        return KR_ERR_NOT_FOUND;
    *entry = buf_bytes(&scripted->log[index - 1]);
    buf_printf(scripted->transcript, "read %llu\n", (unsigned long long)index);
    return KR_ERR_OK;
}

static inline void scripted_trim(struct engine *engine, uint64_t below_index)
{
    (void)engine;
    (void)below_index;
}

static inline void scripted_resign(struct engine *engine, const struct fault *why)
{
    buf_printf(scripted_of(engine)->transcript, "resign: %s\n", why->text);
}

static inline uint64_t scripted_valid_until(const struct engine *engine)
{
    return ((const struct scripted *)engine)->valid_until_ms;
}

static inline bool scripted_turn(struct engine *engine)
{
    (void)engine;
    return false;
}

static inline void scripted_close(struct engine *engine, void (*closed)(void *ctx), void *ctx)
{
    (void)engine;
    closed(ctx);
}

static const struct engine_verbs scripted_verbs = {
    .name = "scripted",
    .campaign = scripted_campaign,
    .append = scripted_append,
    .read = scripted_read,
    .trim = scripted_trim,
    .resign = scripted_resign,
    .valid_until_ms = scripted_valid_until,
    .turn = scripted_turn,
    .close = scripted_close,
};

static inline void scripted_init(struct scripted *scripted, struct buf *transcript)
{
    *scripted = (struct scripted){
        .base.verbs = &scripted_verbs, .transcript = transcript, .valid_until_ms = UINT64_MAX};
}

static inline void scripted_drop(struct scripted_append *append)
{
    for (size_t i = 0; i < append->count; i++)
        buf_fini(&append->entries[i]);
}

static inline void scripted_fini(struct scripted *scripted)
{
    for (size_t i = 0; i < scripted->pending_count; i++)
        scripted_drop(&scripted->pending[i]);
    for (uint64_t i = 0; i < scripted->log_size; i++)
        buf_fini(&scripted->log[i]);
}

static inline void scripted_log(struct scripted *scripted, struct bytes entry)
{
    assert(scripted->log_size < KR_SCRIPTED_LOG);
    struct buf *row = &scripted->log[scripted->log_size++];
    buf_init(row, 1 << 20);
    buf_add_bytes(row, entry);
}

// Answers the append at this position of those pending. is_logged: it stands in the log, whatever
// the answer says.
static inline void scripted_answer(struct scripted *scripted, size_t at, enum kr_err err,
                                   bool is_logged)
{
    assert(at < scripted->pending_count);
    struct scripted_append append = scripted->pending[at];
    memmove(&scripted->pending[at], &scripted->pending[at + 1],
            (--scripted->pending_count - at) * sizeof(append));
    for (size_t i = 0; i < append.count && is_logged; i++)
        scripted_log(scripted, buf_bytes(&append.entries[i]));
    struct fault fault;
    fault_set(&fault, err, "scripted: %s", err_text(err));
    append.done(append.ctx, err, err == KR_ERR_OK ? NULL : &fault);
    scripted_drop(&append);
}

static inline void scripted_role(struct scripted *scripted, enum engine_role role, uint64_t epoch)
{
    scripted->base.events.role(scripted->base.events.ctx, role, epoch);
}
