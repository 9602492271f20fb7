// SPDX-License-Identifier: Apache-2.0
// The sender of a snapshot: a walk over the families of one view of the index.
#include "core/store/snapshot_rows.h"
#include "core/store/store_internal.h"
#include "core/store/store_snapshot.h"

struct store_export {
    struct store *store;
    enum store_holding child;
    struct index_snapshot *snapshot;
    struct store_position position;
    enum index_family family;    // of the cursor
    struct index_cursor *cursor; // NULL: the family is not begun
    struct buf rows, last_key;
    struct store_export_progress progress;
};

// Of the first row that the child may hold; the group that it does not is not walked over.
static struct index_cursor *open_family(const struct store_export *export)
{
    bool is_part = export->family == KR_INDEX_DUE && export->child == KR_HOLD_VALIDATION;
    struct index_range range = {.family = export->family,
                                .snapshot = export->snapshot,
                                .lower = is_part ? bytes_text("v") : (struct bytes){0},
                                .is_scan = true};
    return index_cursor_open(export->store->index, &range);
}

static bool is_held_somewhere(const struct store_export *export)
{
    static const char *const samples[] = {KR_ROWS_CLUSTER, "v"};
    return snapshot_holds(export->child, export->family, bytes_text(samples[0])) ||
           snapshot_holds(export->child, export->family, bytes_text(samples[1]));
}

// The next row that the child holds, which may be of a later family. False: the end, or damage.
static bool find_row(struct store_export *export, struct bytes *key, struct bytes *value,
                     enum kr_err *err, struct fault *fault)
{
    for (; export->family < KR_INDEX_FAMILY_COUNT; export->family++) {
        if (!export->cursor && is_held_somewhere(export)) {
            export->cursor = open_family(export);
            index_cursor_first(export->cursor);
        }
        while (export->cursor && index_cursor_row(export->cursor, key, value)) {
            if (snapshot_holds(export->child, export->family, *key)) {
                return true;
            }
            index_cursor_next(export->cursor);
        }
        *err = export->cursor ? index_cursor_result(export->cursor, fault) : KR_ERR_OK;
        if (*err != KR_ERR_OK) {
            return false;
        }
        index_cursor_close(&export->cursor);
    }
    return false;
}

static enum kr_err read_position(struct store_export *export, struct fault *fault)
{
    struct index_reader reader = {.index = export->store->index, .snapshot = export->snapshot};
    struct rows_applied applied = {.log_first = 0};
    struct arena arena;
    struct bytes value;
    enum kr_err err = KR_ERR_OK;
    arena_init(&arena);
    if (index_read(&reader, KR_INDEX_META, bytes_text(KR_ROWS_APPLIED), &arena, &value) &&
        !rows_get_applied(value, &applied)) {
        err = store_damaged(export->store, KR_INDEX_META, fault);
    } else if (reader.fault.err != KR_ERR_OK) {
        err = reader.fault.err;
        *fault = reader.fault;
    }
    export->position = applied.position;
    if (export->child == KR_HOLD_VALIDATION) {
        export->position.digest[KR_CLASS_CORE] = (struct hash128){0};
    }
    arena_fini(&arena);
    return err;
}

enum kr_err store_export_open(struct store *store, enum store_holding child,
                              struct store_export **out, struct fault *fault)
{
    *out = NULL;
    if (child == KR_HOLD_ALL && store->options.holding != KR_HOLD_ALL) {
        return fault_set(fault, KR_ERR_UNSUPPORTED, "a follower cannot feed a core node");
    }
    struct store_export *export = mem_zalloc(sizeof *export);
    export->store = store;
    export->child = child;
    export->snapshot = index_snapshot_open(store->index);
    buf_init(&export->rows, KR_SNAPSHOT_CHUNK_BYTES + KR_STORE_RECORD_MAX);
    buf_init(&export->last_key, KR_ROWS_KEY_MAX);
    struct index_figures figures;
    index_figures(store->index, &figures);
    export->progress.total_bytes = figures.disk_bytes + figures.memtable_bytes;
    enum kr_err err = read_position(export, fault);
    if (err != KR_ERR_OK) {
        store_export_close(&export);
    }
    *out = export;
    return err;
}

void store_export_close(struct store_export **export)
{
    struct store_export *it = *export;
    if (!it) {
        return;
    }
    index_cursor_close(&it->cursor);
    index_snapshot_close(it->store->index, &it->snapshot);
    buf_fini(&it->rows);
    buf_fini(&it->last_key);
    mem_free(it);
    *export = NULL;
}

void store_export_position(const struct store_export *export, struct store_position *out)
{
    *out = export->position;
}

void store_export_progress(const struct store_export *export, struct store_export_progress *out)
{
    *out = export->progress;
    if (out->total_bytes < out->done_bytes || export->family == KR_INDEX_FAMILY_COUNT) {
        out->total_bytes = out->done_bytes;
    }
}

enum kr_err store_export_next(struct store_export *export, struct store_chunk *out,
                              struct fault *fault)
{
    struct bytes key, value;
    enum kr_err err = KR_ERR_OK;
    buf_clear(&export->rows);
    if (!find_row(export, &key, &value, &err, fault)) {
        return err != KR_ERR_OK ? err : KR_ERR_NOT_FOUND;
    }
    enum index_family family = export->family;
    *out = (struct store_chunk){.family = (uint8_t)family};
    bool is_more = true;
    while (is_more && export->family == family &&
           (out->row_count == 0 ||
            export->rows.size + 8 + key.size + value.size <= KR_SNAPSHOT_CHUNK_BYTES)) {
        snapshot_add_row(&export->rows, key, value);
        buf_clear(&export->last_key);
        buf_add_bytes(&export->last_key, key);
        out->row_count++;
        index_cursor_next(export->cursor);
        is_more = find_row(export, &key, &value, &err, fault);
    }
    if (err != KR_ERR_OK) {
        return err;
    }
    out->rows = buf_bytes(&export->rows);
    out->last_key = buf_bytes(&export->last_key);
    out->checksum = hash_u64(out->rows, 0);
    out->is_last = !is_more;
    export->progress.done_rows += out->row_count;
    export->progress.done_bytes += out->rows.size;
    return buf_result(&export->rows);
}

enum kr_err store_export_seek(struct store_export *export, uint8_t family, struct bytes last_key,
                              struct fault *fault)
{
    struct bytes key, value;
    index_cursor_close(&export->cursor);
    export->family = (enum index_family)family;
    if (family >= KR_INDEX_FAMILY_COUNT || !is_held_somewhere(export)) {
        export->family = KR_INDEX_FAMILY_COUNT;
        return fault_set(fault, KR_ERR_INVALID, "no rows of family %u are in this snapshot",
                         family);
    }
    export->cursor = open_family(export);
    index_cursor_seek(export->cursor, last_key);
    if (index_cursor_row(export->cursor, &key, &value) && bytes_equal(key, last_key)) {
        index_cursor_next(export->cursor);
    }
    return index_cursor_result(export->cursor, fault);
}
