// SPDX-License-Identifier: Apache-2.0
// The receiver of a snapshot: chunks → sorted tables (parts) → a fresh database → its mark.
//
// A part ends with its family, or when it is large; `progress` then names the last row that is
// safe. It fails, with nothing kept of the chunk, when a chunk is not sound; with everything
// dropped when the whole has not the digests that the sender's position says; and at the disk.
#include <stdio.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/store/checkpoint.h"
#include "core/store/import_progress.h"
#include "core/store/snapshot_rows.h"
#include "core/store/store_internal.h"
#include "core/store/store_snapshot.h"
#include "core/store/store_switch.h"

#define KR_IMPORT_PART_BYTES (64u << 20)

struct store_import {
    char *directory; // of the store
    size_t block_cache_bytes;
    uint64_t disk_reserve_bytes;
    struct import_progress safe; // what lies in finished parts
    struct checkpoint *part;     // NULL: none is open
    uint64_t part_bytes;
    bool has_rows, is_whole; // with what is in the open part
    uint8_t family;
    struct rows_key last_key;
    bool is_summed; // every row has come since the opening, so that these hold all of them:
    struct hash128 sums[KR_CLASS_COUNT];
    struct buf scratch;
};

static char *part_path(const struct store_import *import, size_t number)
{
    char name[32];
    snprintf(name, sizeof name, "%06zu.sst", number);
    return store_place_path(import->directory, KR_PLACE_PARTS, name);
}

static enum kr_err drop_parts(struct store_import *import, struct fault *fault)
{
    char *parts = store_place_path(import->directory, KR_PLACE_PARTS, NULL);
    checkpoint_close(&import->part);
    import->safe.part_count = 0;
    import->safe.is_whole = import->is_whole = import->has_rows = false;
    enum kr_err err = file_remove_tree(parts, fault);
    mem_free(parts);
    return err;
}

// --- opening -------------------------------------------------------------------------------------
static bool has_parts(const struct store_import *import)
{
    bool is_there = true;
    for (size_t i = 0; i < import->safe.part_count && is_there; i++) {
        char *path = part_path(import, i);
        is_there = access(path, R_OK) == 0;
        mem_free(path);
    }
    return is_there;
}

// To what lies in finished parts: the rest is asked for again.
static void go_back(struct store_import *import)
{
    const struct import_progress *safe = &import->safe;
    checkpoint_close(&import->part);
    import->has_rows = safe->part_count > 0;
    import->is_whole = safe->is_whole;
    import->last_key = safe->last_key;
    import->is_summed = false; // what was dropped, or came before, is in no sum, or in a wrong one
    if (import->has_rows) {
        import->family = safe->families[safe->part_count - 1];
    }
}

static enum kr_err begin(struct store_import *import, const struct import_progress *wanted,
                         struct fault *fault)
{
    if (import_progress_read(import->directory, &import->safe) &&
        import_progress_is_same(&import->safe, wanted) && has_parts(import)) {
        go_back(import);
        return KR_ERR_OK;
    }
    enum kr_err err = drop_parts(import, fault);
    import->safe = *wanted;
    import->is_summed = true;
    char *parts = store_place_path(import->directory, KR_PLACE_PARTS, NULL);
    if (err == KR_ERR_OK) {
        err = file_make_directory(parts, 0700, fault);
    }
    mem_free(parts);
    return err == KR_ERR_OK ? import_progress_write(import->directory, &import->safe, fault) : err;
}

enum kr_err store_import_open(const struct store_options *options,
                              const struct store_position *position, struct store_import **out,
                              struct fault *fault)
{
    struct store_import *import = mem_zalloc(sizeof *import);
    struct import_progress *wanted = mem_zalloc(sizeof *wanted);
    wanted->holding = options->holding;
    wanted->position = *position;
    import->directory = mem_text(options->directory);
    import->block_cache_bytes = options->block_cache_bytes;
    import->disk_reserve_bytes = options->disk_reserve_bytes;
    buf_init(&import->scratch, KR_STORE_RECORD_MAX + KR_ROWS_KEY_MAX + 8);
    enum kr_err err = begin(import, wanted, fault);
    mem_free(wanted);
    if (err != KR_ERR_OK) {
        store_import_close(&import);
    }
    *out = import;
    return err;
}

void store_import_forget(const struct store_options *options, uint64_t applied_index)
{
    struct store_position position;
    struct fault fault = {0};
    if (!store_import_pending(options, &position) || position.index > applied_index) {
        return;
    }
    char *parts = store_place_path(options->directory, KR_PLACE_PARTS, NULL);
    if (file_remove_tree(parts, &fault) != KR_ERR_OK) {
        LOG_WARN("an unfinished snapshot that is of no use any more cannot be removed",
                 LOG_TEXT("path", parts), LOG_TEXT("why", fault.text));
    }
    mem_free(parts);
}

enum kr_err store_import_drop(const struct store_options *options, struct fault *fault)
{
    return store_switch_drop(options->directory, fault);
}

bool store_import_pending(const struct store_options *options, struct store_position *out)
{
    struct import_progress *progress = mem_zalloc(sizeof *progress);
    bool is_there =
        import_progress_read(options->directory, progress) && progress->holding == options->holding;
    *out = progress->position;
    mem_free(progress);
    return is_there;
}

bool store_import_resume(const struct store_import *import, struct arena *arena, uint8_t *family,
                         struct bytes *last_key)
{
    if (!import->has_rows) {
        return false;
    }
    struct bytes key = rows_key_bytes(&import->last_key);
    *family = import->family;
    *last_key = arena_bytes_of(arena, key);
    return true;
}

// --- adding --------------------------------------------------------------------------------------
static enum kr_err end_part(struct store_import *import, struct fault *fault)
{
    struct import_progress *safe = &import->safe;
    if (!import->part) {
        return KR_ERR_OK;
    }
    enum kr_err err = checkpoint_finish(import->part, fault);
    checkpoint_close(&import->part);
    if (err == KR_ERR_OK) {
        safe->families[safe->part_count++] = import->family;
        safe->last_key = import->last_key;
        safe->is_whole = import->is_whole;
        err = import_progress_write(import->directory, safe, fault);
    }
    return err;
}

static enum kr_err begin_part(struct store_import *import, uint8_t family, struct fault *fault)
{
    if (import->safe.part_count == KR_IMPORT_PARTS_MAX) {
        return fault_set(fault, KR_ERR_TOO_LARGE, "a snapshot of more than %d parts",
                         KR_IMPORT_PARTS_MAX);
    }
    char *path = part_path(import, import->safe.part_count);
    enum kr_err err = checkpoint_open(path, (enum index_family)family, &import->part, fault);
    import->part_bytes = 0;
    mem_free(path);
    return err;
}

// Every start sums these rows while it loads them, so that they need not be read back before: from
// the page cache, which says little of the disk.
static bool is_summed_at_start(enum index_family family)
{
    return family == KR_INDEX_KEYS || family == KR_INDEX_SUBJECTS;
}

static void add_term(struct hash128 sums[KR_CLASS_COUNT], struct buf *scratch,
                     enum index_family family, struct bytes key, struct bytes value)
{
    enum store_class class;
    if (snapshot_class(family, key, &class)) {
        sums[class] = hash_sum_add(sums[class], rows_term(scratch, family, key, value));
    }
}

static enum kr_err add_row(struct store_import *import, enum index_family family, struct bytes key,
                           struct bytes value, struct fault *fault)
{
    if (is_summed_at_start(family)) {
        add_term(import->sums, &import->scratch, family, key, value);
    }
    return checkpoint_add(import->part, key, value, fault);
}

static bool is_sound(const struct store_import *import, const struct store_chunk *chunk)
{
    bool is_same = import->has_rows && chunk->family == import->family;
    struct bytes after = is_same ? rows_key_bytes(&import->last_key) : (struct bytes){0};
    return !import->is_whole && !(import->has_rows && chunk->family < import->family) &&
           snapshot_is_sound(chunk, import->safe.holding, after);
}

// The reserve is for the state in use, and for whoever else shares the disk.
static enum kr_err check_room(const struct store_import *import, struct fault *fault)
{
    uint64_t free_bytes = file_disk_free(import->directory);
    if (free_bytes >= import->disk_reserve_bytes) {
        return KR_ERR_OK;
    }
    return fault_set(fault, KR_ERR_DISK_FULL,
                     "%s: %llu bytes are free, and %llu are kept in reserve; free space, and the "
                     "snapshot goes on by itself",
                     import->directory, (unsigned long long)free_bytes,
                     (unsigned long long)import->disk_reserve_bytes);
}

enum kr_err store_import_add(struct store_import *import, const struct store_chunk *chunk,
                             struct fault *fault)
{
    struct bytes rows = chunk->rows, key, value;
    if (!is_sound(import, chunk)) {
        return fault_set(fault, KR_ERR_CORRUPT,
                         "a chunk of the snapshot is damaged or out of place");
    }
    enum kr_err err = check_room(import, fault);
    if (err == KR_ERR_OK && import->part &&
        (chunk->family != import->family || import->part_bytes >= KR_IMPORT_PART_BYTES)) {
        err = end_part(import, fault);
    }
    if (err == KR_ERR_OK && !import->part) {
        err = begin_part(import, chunk->family, fault);
    }
    while (err == KR_ERR_OK && snapshot_take_row(&rows, &key, &value)) {
        err = add_row(import, (enum index_family)chunk->family, key, value, fault);
    }
    if (err == KR_ERR_OK) {
        import->has_rows = true;
        import->is_whole = chunk->is_last;
        import->family = chunk->family;
        import->part_bytes += chunk->rows.size;
        rows_digest(&import->last_key, chunk->last_key.data, chunk->last_key.size);
    } else {
        go_back(import);
    }
    return err;
}

// --- the end -------------------------------------------------------------------------------------
static enum kr_err ingest(struct store_import *import, struct index *index, struct fault *fault)
{
    const struct import_progress *safe = &import->safe;
    const char **paths = mem_zalloc((safe->part_count + 1) * sizeof *paths);
    enum kr_err err = KR_ERR_OK;
    for (size_t first = 0, end = 0; first < safe->part_count && err == KR_ERR_OK; first = end) {
        for (end = first; end < safe->part_count && safe->families[end] == safe->families[first];
             end++) {
            paths[end] = part_path(import, end);
        }
        err = index_ingest(index, (enum index_family)safe->families[first], paths + first,
                           end - first, fault);
    }
    for (size_t i = 0; i < safe->part_count; i++) {
        char *path = (char *)(uintptr_t)paths[i];
        mem_free(path);
    }
    mem_free(paths);
    return err;
}

// Has it rows that count in a digest?
static bool has_class(enum index_family family)
{
    enum store_class class;
    return snapshot_class(family, bytes_text("i"), &class) ||
           snapshot_class(family, bytes_text(KR_ROWS_CLUSTER), &class);
}

static enum kr_err sum_family(struct store_import *import, struct index *index,
                              enum index_family family, struct fault *fault)
{
    struct bytes key, value;
    struct index_cursor *cursor =
        index_cursor_open(index, &(struct index_range){.family = family, .is_scan = true});
    index_cursor_first(cursor);
    for (; index_cursor_row(cursor, &key, &value); index_cursor_next(cursor)) {
        add_term(import->sums, &import->scratch, family, key, value);
    }
    enum kr_err err = index_cursor_result(cursor, fault);
    index_cursor_close(&cursor);
    return err;
}

static enum kr_err check_sums(struct store_import *import, struct index *index, struct fault *fault)
{
    const struct store_position *position = &import->safe.position;
    enum kr_err err = KR_ERR_OK;
    if (!import->is_summed) {
        memset(import->sums, 0, sizeof import->sums);
    }
    for (size_t i = 0; i < KR_INDEX_FAMILY_COUNT && err == KR_ERR_OK; i++) {
        enum index_family family = (enum index_family)i;
        if (has_class(family) && !(import->is_summed && is_summed_at_start(family))) {
            err = sum_family(import, index, family, fault);
        }
    }
    for (size_t i = 0; i < KR_CLASS_COUNT && err == KR_ERR_OK; i++) {
        if (!hash_equal(import->sums[i], position->digest[i])) {
            err = fault_set(fault, KR_ERR_CORRUPT,
                            "the snapshot is not the state at entry %llu: the digest of class %zu "
                            "differs",
                            (unsigned long long)position->index, i);
        }
    }
    return err;
}

static enum kr_err write_meta(const struct store_import *import, struct index *index,
                              struct fault *fault)
{
    struct rows_applied applied = {.position = import->safe.position};
    uint8_t format[4], holding[4], position[KR_ROWS_APPLIED_SIZE];
    struct index_batch *batch = index_batch_new();
    rows_put_u32(format, KR_STORE_FORMAT);
    rows_put_u32(holding, import->safe.holding);
    rows_put_applied(position, &applied);
    index_batch_put(index, batch, KR_INDEX_META, bytes_text(KR_ROWS_FORMAT),
                    bytes_of(format, sizeof format));
    index_batch_put(index, batch, KR_INDEX_META, bytes_text(KR_ROWS_HOLDING),
                    bytes_of(holding, sizeof holding));
    index_batch_put(index, batch, KR_INDEX_META, bytes_text(KR_ROWS_APPLIED),
                    bytes_of(position, sizeof position));
    enum kr_err err = index_write(index, batch, true, fault);
    index_batch_free(&batch);
    return err;
}

static enum kr_err write_watermark(const struct store_import *import, const char *next,
                                   struct fault *fault)
{
    struct watermark *watermark = NULL;
    enum kr_err err = watermark_open(next, &watermark, fault);
    if (err == KR_ERR_OK) {
        watermark_set(watermark, import->safe.position.index);
    }
    watermark_close(&watermark);
    return err;
}

static enum kr_err make_database(struct store_import *import, const char *next, struct fault *fault)
{
    struct index_options options = {.directory = next,
                                    .block_cache_bytes = import->block_cache_bytes};
    struct index *index = NULL;
    enum kr_err err = index_open(&options, &index, fault);
    if (err == KR_ERR_OK) {
        err = ingest(import, index, fault);
    }
    if (err == KR_ERR_OK) {
        err = check_sums(import, index, fault);
    }
    if (err == KR_ERR_OK) {
        err = write_meta(import, index, fault);
    }
    index_close(&index);
    return err == KR_ERR_OK ? write_watermark(import, next, fault) : err;
}

enum kr_err store_import_finish(struct store_import *import, struct fault *fault)
{
    struct fault unread;
    fault = fault ? fault : &unread;
    if (import->has_rows && !import->is_whole) {
        return fault_set(fault, KR_ERR_INVALID, "the snapshot's last chunk is missing");
    }
    char *next = store_place_path(import->directory, KR_PLACE_NEXT, NULL);
    enum kr_err err = end_part(import, fault);
    if (err == KR_ERR_OK) {
        err = file_remove_tree(next, fault);
    }
    if (err == KR_ERR_OK) {
        err = make_database(import, next, fault);
    }
    if (err == KR_ERR_OK) {
        err = store_switch_mark(import->directory, fault);
    }
    // The tables have moved, so that what has failed begins anew; what has not needs them no more.
    enum kr_err dropped = drop_parts(import, NULL);
    if (err != KR_ERR_OK && dropped == KR_ERR_OK) {
        dropped = file_remove_tree(next, NULL);
    }
    mem_free(next);
    return err;
}

void store_import_close(struct store_import **import)
{
    struct store_import *it = *import;
    if (!it) {
        return;
    }
    enum kr_err err = end_part(it, NULL);
    (void)err; // what is not safe is asked for again
    buf_fini(&it->scratch);
    mem_free(it->directory);
    mem_free(it);
    *import = NULL;
}
