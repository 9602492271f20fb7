// SPDX-License-Identifier: Apache-2.0
// A state in memory for the tests of the peer link: entries are texts, and the records are what
// they say. Snapshots, resumption and damage included.
//
// Without cmocka, so that the fuzz targets can use it too. An entry that begins with '-' is of no
// use to a follower. A record's digest is its entry's hash.
#pragma once

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "replication/state.h"

enum { KR_FAKE_LOG = 4096, KR_FAKE_MEMBERS = 16, KR_FAKE_CHUNK_ROWS = 4 };

struct fake_entry {
    uint64_t epoch;
    struct hash128 chain;
    uint8_t *data; // NULL: empty
    size_t size;
};

struct fake {
    struct state verbs;
    struct fake_entry log[KR_FAKE_LOG]; // index i at i - 1
    struct store_position position;
    uint64_t first;      // oldest retained; rows before it count as trimmed
    uint64_t applied_in; // calls of stream_apply
    struct state_member members[KR_FAKE_MEMBERS];
    size_t member_count;
    size_t exports_open;
    bool reads_late;    // each chunk is BUSY once
    bool is_damaged;    // stream_apply finds that an entry does not do what it did
    bool is_old;        // stream_apply finds entries of a later version
    bool is_full;       // the disk
    bool is_wrong;      // as it was marked
    struct fake *next;  // what an import wrote; NULL: none
    bool is_next_whole; // and it has been checked
    struct store_position next_goal;
};

struct state_export {
    struct fake *fake;
    enum store_holding holding;
    struct store_position position;
    uint64_t at, rows; // the next index to send
    bool is_read;
    struct buf chunk;
    uint8_t last_key[8];
};

struct state_import {
    struct fake *fake;
};

static inline struct hash128 fake_term(const struct fake_entry *entry)
{
    return hash_u128(bytes_of(entry->data, entry->size));
}

static inline bool fake_is_core(struct bytes entry)
{
    return entry.size > 0 && entry.data[0] == '-';
}

static inline void fake_put(struct fake *fake, uint64_t index, const struct fake_entry *entry)
{
    struct bytes bytes = bytes_of(entry->data, entry->size);
    struct hash128 *digest = fake->position.digest;
    assert(index >= 1 && index <= KR_FAKE_LOG);
    fake->log[index - 1] = *entry;
    if (entry->size > 0) {
        size_t class = fake_is_core(bytes) ? KR_CLASS_CORE : KR_CLASS_KEY;
        digest[class] = hash_sum_add(digest[class], fake_term(entry));
    }
    fake->position.index = index;
    fake->position.epoch = entry->epoch;
    fake->position.chain = entry->chain;
}

static inline uint8_t *fake_copy(struct bytes bytes)
{
    uint8_t *copy = malloc(bytes.size + 1);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return copy;
}

// Commits an entry, as a leader does.
static inline void fake_commit(struct fake *fake, uint64_t epoch, struct bytes bytes)
{
    struct fake_entry entry = {.epoch = epoch,
                               .chain = hash_chain(fake->position.chain, bytes),
                               .data = fake_copy(bytes),
                               .size = bytes.size};
    fake_put(fake, fake->position.index + 1, &entry);
    if (fake->first == 0)
        fake->first = 1;
}

static inline void fake_commit_text(struct fake *fake, const char *text)
{
    fake_commit(fake, fake->position.epoch == 0 ? 1 : fake->position.epoch, bytes_text(text));
}

// --- the verbs -----------------------------------------------------------------------------------

static inline void fake_position(void *ctx, struct store_position *out)
{
    *out = ((struct fake *)ctx)->position;
}

static inline uint64_t fake_applied_index(void *ctx)
{
    return ((struct fake *)ctx)->position.index;
}

static inline enum kr_err fake_check_room(void *ctx, uint64_t size_bytes, struct fault *fault)
{
    const struct fake *fake = ctx;
    return fake->is_full ? fault_set(fault, KR_ERR_DISK_FULL, "no room for %llu bytes",
                                     (unsigned long long)size_bytes)
                         : KR_ERR_OK;
}

static inline bool fake_is_wrong(void *ctx)
{
    return ((struct fake *)ctx)->is_wrong;
}

static inline enum kr_err fake_mark_wrong(void *ctx, const char *why, struct fault *fault)
{
    (void)fault;
    assert(why[0] != '\0');
    ((struct fake *)ctx)->is_wrong = true;
    return KR_ERR_OK;
}

static inline uint64_t fake_log_first(void *ctx)
{
    return ((struct fake *)ctx)->first;
}

static inline enum kr_err fake_stream_read(void *ctx, uint64_t index, enum store_holding child,
                                           struct arena *arena, struct store_stream_row *out,
                                           struct fault *fault)
{
    struct fake *fake = ctx;
    (void)fault;
    if (fake->first == 0 || index < fake->first || index > fake->position.index)
        return KR_ERR_NOT_FOUND;
    const struct fake_entry *entry = &fake->log[index - 1];
    struct bytes bytes = bytes_of(entry->data, entry->size);
    if (child == KR_HOLD_VALIDATION && fake_is_core(bytes))
        bytes.size = 0;
    uint8_t *copy = arena_alloc(arena, bytes.size + 1);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    *out = (struct store_stream_row){index, entry->epoch, entry->chain, bytes_of(copy, bytes.size)};
    return KR_ERR_OK;
}

static inline enum kr_err fake_check_row(const struct fake *fake,
                                         const struct store_stream_row *row, struct fault *fault)
{
    struct hash128 chain = hash_chain(fake->position.chain, row->entry);
    if (row->index != fake->position.index + 1 || row->epoch < fake->position.epoch ||
        (fake->verbs.holding == KR_HOLD_ALL && !hash_equal(chain, row->chain)))
        return fault_set(fault, KR_ERR_CONFLICT, "entry %llu does not fit",
                         (unsigned long long)row->index);
    if (fake->is_damaged)
        return fault_set(fault, KR_ERR_CORRUPT, "entry %llu has no effect here",
                         (unsigned long long)row->index);
    if (fake->is_old)
        return fault_set(fault, KR_ERR_VERSION, "entry %llu cannot be read",
                         (unsigned long long)row->index);
    return KR_ERR_OK;
}

static inline enum kr_err fake_stream_apply(void *ctx, const struct store_stream_row *rows,
                                            size_t count, struct fault *fault)
{
    struct fake *fake = ctx;
    fake->applied_in++;
    for (size_t i = 0; i < count; i++) {
        enum kr_err err = fake_check_row(fake, &rows[i], fault);
        if (err != KR_ERR_OK)
            return err;
        struct fake_entry entry = {.epoch = rows[i].epoch,
                                   .chain = rows[i].chain,
                                   .data = fake_copy(rows[i].entry),
                                   .size = rows[i].entry.size};
        fake_put(fake, rows[i].index, &entry);
        if (fake->first == 0)
            fake->first = rows[i].index;
    }
    return KR_ERR_OK;
}

static inline bool fake_member(void *ctx, const char *id, struct state_member *out)
{
    struct fake *fake = ctx;
    for (size_t i = 0; i < fake->member_count; i++)
        if (strcmp(fake->members[i].id, id) == 0) {
            *out = fake->members[i];
            return true;
        }
    return false;
}

static inline void fake_each_member(void *ctx, state_member_fn *visit, void *visit_ctx)
{
    struct fake *fake = ctx;
    for (size_t i = 0; i < fake->member_count; i++)
        if (!fake->members[i].is_removed)
            visit(visit_ctx, &fake->members[i]);
}

// --- snapshots: the entries are the rows, key = index --------------------------------------------

static inline enum kr_err fake_export_open(const struct state *state, enum store_holding child,
                                           struct state_export **out, struct fault *fault)
{
    struct fake *fake = state->ctx;
    struct state_export *export = calloc(1, sizeof(*export));
    (void)fault;
    *export =
        (struct state_export){.fake = fake, .holding = child, .position = fake->position, .at = 1};
    buf_init(&export->chunk, 1 << 24);
    fake->exports_open++;
    *out = export;
    return KR_ERR_OK;
}

static inline void fake_export_position(struct state_export *export, struct store_position *out)
{
    *out = export->position;
}

static inline void fake_add_row(struct state_export *export, uint64_t index, struct bytes entry)
{
    uint32_t sizes[2] = {8, (uint32_t)entry.size};
    for (int i = 0; i < 8; i++)
        export->last_key[i] = (uint8_t)(index >> (56 - 8 * i));
    buf_add(&export->chunk, sizes, sizeof(sizes));
    buf_add(&export->chunk, export->last_key, 8);
    buf_add_bytes(&export->chunk, entry);
    export->rows++;
}

static inline enum kr_err fake_export_next(struct state_export *export, struct store_chunk *out,
                                           struct fault *fault)
{
    uint64_t rows = 0;
    (void)fault;
    export->is_read = !export->is_read;
    if (export->fake->reads_late && export->is_read)
        return KR_ERR_BUSY;
    if (export->at > export->position.index)
        return KR_ERR_NOT_FOUND;
    buf_clear(&export->chunk);
    for (; export->at <= export->position.index && rows < KR_FAKE_CHUNK_ROWS; export->at++) {
        const struct fake_entry *entry = &export->fake->log[export->at - 1];
        struct bytes bytes = bytes_of(entry->data, entry->size);
        if (entry->size == 0 || (export->holding == KR_HOLD_VALIDATION && fake_is_core(bytes)))
            continue;
        fake_add_row(export, export->at, bytes);
        rows++;
    }
    *out = (struct store_chunk){.family = 1,
                                .rows = buf_bytes(&export->chunk),
                                .last_key = bytes_of(export->last_key, 8),
                                .row_count = rows,
                                .checksum = hash_u64(buf_bytes(&export->chunk), 0),
                                .is_last = export->at > export->position.index};
    return KR_ERR_OK;
}

static inline uint64_t fake_key(struct bytes key)
{
    uint64_t index = 0;
    assert(key.size == 8);
    for (int i = 0; i < 8; i++)
        index = index << 8 | key.data[i];
    return index;
}

static inline enum kr_err fake_export_seek(struct state_export *export, uint8_t family,
                                           struct bytes last_key, struct fault *fault)
{
    if (family != 1 || last_key.size != 8)
        return fault_set(fault, KR_ERR_INVALID, "there is no such row");
    export->at = fake_key(last_key) + 1;
    return KR_ERR_OK;
}

static inline void fake_export_progress(struct state_export *export,
                                        struct state_export_progress *out)
{
    *out = (struct state_export_progress){export->rows, export->rows * 16,
                                          export->position.index * 16};
}

static inline void fake_export_close(struct state_export **export)
{
    (*export)->fake->exports_open--;
    buf_fini(&(*export)->chunk);
    free(*export);
    *export = NULL;
}

static inline void fake_free_log(struct fake *fake)
{
    for (size_t i = 0; i < KR_FAKE_LOG; i++)
        free(fake->log[i].data);
}

static inline void fake_drop_next(struct fake *fake)
{
    if (fake->next != NULL)
        fake_free_log(fake->next);
    free(fake->next);
    fake->next = NULL;
    fake->is_next_whole = false;
}

static inline enum kr_err fake_import_open(void *ctx, const struct store_position *position,
                                           struct state_import **out, struct fault *fault)
{
    struct fake *fake = ctx;
    (void)fault;
    if (fake->next != NULL && memcmp(&fake->next_goal, position, sizeof(*position)) != 0)
        fake_drop_next(fake);
    if (fake->next == NULL)
        fake->next = calloc(1, sizeof(*fake->next));
    fake->next_goal = *position;
    *out = calloc(1, sizeof(**out));
    (*out)->fake = fake;
    return KR_ERR_OK;
}

static inline bool fake_import_resume(struct state_import *import, struct arena *arena,
                                      uint8_t *family, struct bytes *last_key)
{
    const struct fake *next = import->fake->next;
    uint8_t *key = arena_alloc(arena, 8);
    if (next->position.index == 0)
        return false;
    for (int i = 0; i < 8; i++)
        key[i] = (uint8_t)(next->position.index >> (56 - 8 * i));
    *family = 1;
    *last_key = bytes_of(key, 8);
    return true;
}

static inline bool fake_import_pending(void *ctx, struct store_position *out)
{
    struct fake *fake = ctx;
    if (fake->next == NULL || fake->is_next_whole)
        return false;
    *out = fake->next_goal;
    return true;
}

static inline enum kr_err fake_import_add(struct state_import *import,
                                          const struct store_chunk *chunk, struct fault *fault)
{
    struct fake *next = import->fake->next;
    struct bytes rest = chunk->rows;
    for (uint64_t i = 0; i < chunk->row_count; i++) {
        uint32_t sizes[2];
        if (rest.size < 16)
            return fault_set(fault, KR_ERR_CORRUPT, "a row is cut");
        memcpy(sizes, rest.data, sizeof(sizes));
        uint64_t index = fake_key(bytes_of(rest.data + 8, 8));
        if (sizes[0] != 8 || sizes[1] > rest.size - 16 || index <= next->position.index ||
            index > KR_FAKE_LOG)
            return fault_set(fault, KR_ERR_CORRUPT, "rows are out of order");
        struct fake_entry entry = {.data = fake_copy(bytes_of(rest.data + 16, sizes[1])),
                                   .size = sizes[1]};
        fake_put(next, index, &entry);
        rest = bytes_of(rest.data + 16 + sizes[1], rest.size - 16 - sizes[1]);
    }
    return KR_ERR_OK;
}

static inline enum kr_err fake_import_finish(struct state_import *import, struct fault *fault)
{
    struct fake *fake = import->fake;
    for (size_t class = 0; class < KR_CLASS_COUNT; class ++)
        if (!hash_equal(fake->next->position.digest[class], fake->next_goal.digest[class])) {
            fake_drop_next(fake);
            return fault_set(fault, KR_ERR_CORRUPT, "class %zu does not sum up", class);
        }
    fake->is_next_whole = true;
    return KR_ERR_OK;
}

static inline void fake_import_close(struct state_import **import)
{
    free(*import);
    *import = NULL;
}

// The node starts again, and finds the snapshot.
static inline void fake_switch(struct fake *fake)
{
    struct fake *next = fake->next;
    assert(next != NULL && fake->is_next_whole);
    fake_free_log(fake);
    memcpy(fake->log, next->log, sizeof(fake->log));
    fake->position = fake->next_goal;
    fake->first = 0;
    fake->is_damaged = fake->is_wrong = false;
    free(next);
    fake->next = NULL;
    fake->is_next_whole = false;
}

static inline struct fake *fake_new(enum store_holding holding)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    fake->verbs = (struct state){.ctx = fake,
                                 .holding = holding,
                                 .position = fake_position,
                                 .applied_index = fake_applied_index,
                                 .safe_index = fake_applied_index,
                                 .check_room = fake_check_room,
                                 .is_wrong = fake_is_wrong,
                                 .mark_wrong = fake_mark_wrong,
                                 .log_first = fake_log_first,
                                 .stream_read = fake_stream_read,
                                 .stream_apply = fake_stream_apply,
                                 .member = fake_member,
                                 .each_member = fake_each_member,
                                 .export_open = fake_export_open,
                                 .export_position = fake_export_position,
                                 .export_next = fake_export_next,
                                 .export_seek = fake_export_seek,
                                 .export_progress = fake_export_progress,
                                 .export_close = fake_export_close,
                                 .import_open = fake_import_open,
                                 .import_resume = fake_import_resume,
                                 .import_pending = fake_import_pending,
                                 .import_add = fake_import_add,
                                 .import_finish = fake_import_finish,
                                 .import_close = fake_import_close};
    return fake;
}

static inline void fake_free(struct fake *fake)
{
    assert(fake->exports_open == 0);
    fake_drop_next(fake);
    fake_free_log(fake);
    free(fake);
}

// Adds, or replaces the one of that id.
static inline void fake_add_member(struct fake *fake, const struct state_member *member)
{
    size_t at = 0;
    while (at < fake->member_count && strcmp(fake->members[at].id, member->id) != 0)
        at++;
    assert(at < KR_FAKE_MEMBERS);
    fake->members[at] = *member;
    if (at == fake->member_count)
        fake->member_count++;
}
