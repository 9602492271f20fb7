// SPDX-License-Identifier: Apache-2.0
// The snapshot's verbs: rows of one moment out, a few a chunk, and in beside the state in use.
#include "tests/sim/sim.h"
#include "tests/sim/sim_check.h"

enum { KR_SIM_CHUNK_ROWS = 6, KR_SIM_EXPORTS_OLD = 4 };

void sim_state_snapshots(struct state *out);

struct state_export {
    struct sim_rows rows;
    struct store_position position;
    size_t at;
    bool is_read; // the next chunk
    struct buf chunk;
    uint64_t done_rows, done_bytes;
};

struct state_import {
    struct sim_state *state;
};

static void put_u32(struct buf *out, size_t value)
{
    uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                        (uint8_t)(value >> 24)};
    buf_add(out, bytes, sizeof(bytes));
}

static size_t get_u32(const uint8_t *data)
{
    return (size_t)data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16 | (size_t)data[3] << 24;
}

// --- out -----------------------------------------------------------------------------------------

// OLD_SNAPSHOT: the rows that this node began with, under the position of now.
static void save(struct sim_state *state, enum store_holding child, struct state_export *export)
{
    struct fake *old = NULL;
    if (sim_is_broken(KR_SIM_OLD_SNAPSHOT) && state->fake.key_count > 2) {
        old = mem_alloc(sizeof(*old));
        *old = state->fake;
        for (size_t i = 0; i < old->key_count; i++)
            old->keys[i].is_revoked = false;
    }
    sim_rows_save(&export->rows, old != NULL ? old : &state->fake, child);
    mem_free(old);
}

static enum kr_err export_open(const struct state *verbs, enum store_holding child,
                               struct state_export **out, struct fault *fault)
{
    struct sim_state *state = verbs->ctx;
    if (child == KR_HOLD_ALL && state->holding != KR_HOLD_ALL)
        return fault_set(fault, KR_ERR_UNSUPPORTED, "a follower cannot feed a core node");
    struct state_export *export = mem_zalloc(sizeof(*export));
    export->position = state->position;
    if (child != KR_HOLD_ALL)
        export->position.digest[KR_CLASS_CORE] = (struct hash128){0};
    save(state, child, export);
    buf_init(&export->chunk, 1 << 20);
    sim.figures.snapshots++;
    *out = export;
    return KR_ERR_OK;
}

static void export_position(struct state_export *export, struct store_position *out)
{
    *out = export->position;
}

static enum kr_err export_next(struct state_export *export, struct store_chunk *out,
                               struct fault *fault)
{
    const struct sim_rows *rows = &export->rows;
    size_t first = export->at;
    (void)fault;
    export->is_read = !export->is_read;
    if (export->is_read) // and given at the next turn
        return KR_ERR_BUSY;
    buf_clear(&export->chunk);
    if (first == rows->count)
        return KR_ERR_NOT_FOUND;
    while (export->at < rows->count && export->at < first + KR_SIM_CHUNK_ROWS &&
           rows->items[export->at].family == rows->items[first].family) {
        const struct sim_row *row = &rows->items[export->at++];
        put_u32(&export->chunk, row->key.size);
        put_u32(&export->chunk, row->value.size);
        buf_add_bytes(&export->chunk, row->key);
        buf_add_bytes(&export->chunk, row->value);
    }
    *out = (struct store_chunk){.family = rows->items[first].family,
                                .rows = buf_bytes(&export->chunk),
                                .last_key = rows->items[export->at - 1].key,
                                .row_count = export->at - first,
                                .checksum = hash_u64(buf_bytes(&export->chunk), 0),
                                .is_last = export->at == rows->count};
    export->done_rows += out->row_count;
    export->done_bytes += out->rows.size;
    return KR_ERR_OK;
}

static enum kr_err export_seek(struct state_export *export, uint8_t family, struct bytes last_key,
                               struct fault *fault)
{
    const struct sim_rows *rows = &export->rows;
    (void)fault;
    for (export->at = 0; export->at < rows->count; export->at++) {
        const struct sim_row *row = &rows->items[export->at];
        if (sim_rows_compare(row->family, row->key, family, last_key) > 0)
            break;
    }
    sim.figures.resumed++;
    sim_say("goes on with a snapshot behind %zu of %zu rows", export->at, rows->count);
    return KR_ERR_OK;
}

static void export_progress(struct state_export *export, struct state_export_progress *out)
{
    *out = (struct state_export_progress){.done_rows = export->done_rows,
                                          .done_bytes = export->done_bytes,
                                          .total_bytes = export->rows.count * 100};
}

static void export_close(struct state_export **export)
{
    sim_rows_fini(&(*export)->rows);
    buf_fini(&(*export)->chunk);
    mem_free(*export);
    *export = NULL;
}

// --- in ------------------------------------------------------------------------------------------

static void drop_incoming(struct sim_state *state)
{
    sim_rows_fini(&state->incoming);
    state->has_incoming = false;
    state->incoming_safe = 0;
}

static enum kr_err import_open(void *ctx, const struct store_position *position,
                               struct state_import **out, struct fault *fault)
{
    struct sim_state *state = ctx;
    (void)fault;
    bool is_same = state->has_incoming && state->incoming_position.index == position->index &&
                   hash_equal(state->incoming_position.chain, position->chain);
    if (!is_same)
        drop_incoming(state);
    state->has_incoming = true;
    state->incoming_position = *position;
    *out = mem_zalloc(sizeof(**out));
    (*out)->state = state;
    return KR_ERR_OK;
}

static bool import_resume(struct state_import *import, struct arena *arena, uint8_t *family,
                          struct bytes *last_key)
{
    const struct sim_rows *rows = &import->state->incoming;
    if (rows->count == 0)
        return false;
    const struct sim_row *row = &rows->items[rows->count - 1];
    *family = row->family;
    *last_key = bytes_of(arena_text_of(arena, row->key), row->key.size);
    return true;
}

static bool import_pending(void *ctx, struct store_position *out)
{
    const struct sim_state *state = ctx;
    if (!state->has_incoming || state->incoming.count == 0)
        return false;
    *out = state->incoming_position;
    return true;
}

static enum kr_err import_add(struct state_import *import, const struct store_chunk *chunk,
                              struct fault *fault)
{
    struct sim_rows *rows = &import->state->incoming;
    struct bytes left = chunk->rows;
    for (uint64_t i = 0; i < chunk->row_count; i++) {
        size_t key = left.size >= 8 ? get_u32(left.data) : SIZE_MAX / 4;
        size_t value = left.size >= 8 ? get_u32(left.data + 4) : SIZE_MAX / 4;
        if (left.size < 8 || key + value > left.size - 8)
            return fault_set(fault, KR_ERR_CORRUPT, "a chunk's rows do not fit its size");
        struct bytes name = bytes_of(left.data + 8, key);
        const struct sim_row *last = rows->count > 0 ? &rows->items[rows->count - 1] : NULL;
        if (last != NULL && sim_rows_compare(last->family, last->key, chunk->family, name) >= 0)
            return fault_set(fault, KR_ERR_CORRUPT, "a chunk's rows are out of order");
        sim_rows_add(rows, chunk->family, name, bytes_of(left.data + 8 + key, value));
        left = bytes_of(left.data + 8 + key + value, left.size - 8 - key - value);
    }
    if (left.size > 0)
        return fault_set(fault, KR_ERR_CORRUPT, "a chunk has bytes behind its rows");
    if (sim_chance(50))
        import->state->incoming_safe = (unsigned)rows->count;
    return KR_ERR_OK;
}

static bool is_sound(struct sim_state *state)
{
    struct sim_state *trial = sim_state_new(state->node, state->holding);
    bool is_equal = true;
    trial->fake.texts = &trial->texts;
    is_equal = sim_rows_load(&state->incoming, &trial->fake);
    struct hash128 sums[KR_CLASS_COUNT];
    sim_state_sums(trial, sums);
    for (size_t class = 0; class < KR_CLASS_COUNT; class ++)
        is_equal = is_equal && hash_equal(sums[class], state->incoming_position.digest[class]);
    sim_state_free(&trial);
    return is_equal;
}

static enum kr_err import_finish(struct state_import *import, struct fault *fault)
{
    struct sim_state *state = import->state;
    if (!sim_is_broken(KR_SIM_OLD_SNAPSHOT) && !is_sound(state)) {
        drop_incoming(state);
        return fault_set(fault, KR_ERR_CORRUPT, "the snapshot's digests differ");
    }
    sim_rows_fini(&state->next);
    state->next = state->incoming;
    state->next_position = state->incoming_position;
    state->has_next = true;
    state->incoming = (struct sim_rows){0};
    state->has_incoming = false;
    state->incoming_safe = 0;
    sim.figures.rebuilt++;
    return KR_ERR_OK;
}

static enum kr_err import_drop(void *ctx, struct fault *fault)
{
    struct sim_state *state = ctx;
    (void)fault;
    sim_rows_fini(&state->next);
    state->next = (struct sim_rows){0};
    state->has_next = false;
    return KR_ERR_OK;
}

static void import_close(struct state_import **import)
{
    mem_free(*import);
    *import = NULL;
}

void sim_state_snapshots(struct state *out)
{
    out->export_open = export_open;
    out->export_position = export_position;
    out->export_next = export_next;
    out->export_seek = export_seek;
    out->export_progress = export_progress;
    out->export_close = export_close;
    out->import_open = import_open;
    out->import_resume = import_resume;
    out->import_pending = import_pending;
    out->import_add = import_add;
    out->import_finish = import_finish;
    out->import_drop = import_drop;
    out->import_close = import_close;
}
