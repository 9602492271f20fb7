// SPDX-License-Identifier: Apache-2.0
// Cursors: walks over a view in a fixed order, over rows that only exist for what is listed.
//
// Buckets and consumers are walked by their name rows, keys by their consumer's link rows; names of
// deleted records are freed, so that a step needs no decoding. Audit rows go backwards.
#include "core/store/store_view.h"

#include "core/store/store_vault.h"
#include "proto/codec.h"

struct store_cursor {
    struct store_view *view;
    enum index_family family;
    struct index_cursor *rows;
    bool is_backwards;
};

static struct store_cursor *open_cursor(struct store_view *view, enum index_family family,
                                        const struct rows_key *lower, const struct rows_key *upper)
{
    struct store_cursor *cursor = mem_zalloc(sizeof *cursor);
    cursor->view = view;
    cursor->family = family;
    cursor->rows = index_cursor_open(view->store->index,
                                     &(struct index_range){.family = family,
                                                           .snapshot = view->snapshot,
                                                           .lower = rows_key_bytes(lower),
                                                           .upper = rows_key_bytes(upper)});
    return cursor;
}

// From the first row of the prefix, or from behind the row with the key `after` (size 0: none).
static struct store_cursor *open_prefix(struct store_view *view, enum index_family family,
                                        const struct rows_key *prefix, const struct rows_key *after)
{
    struct rows_key upper;
    struct bytes key, value;
    rows_prefix_end(&upper, rows_key_bytes(prefix));
    struct store_cursor *cursor = open_cursor(view, family, prefix, &upper);
    if (after->size == 0) {
        index_cursor_first(cursor->rows);
        return cursor;
    }
    index_cursor_seek(cursor->rows, rows_key_bytes(after));
    if (index_cursor_row(cursor->rows, &key, &value) && bytes_equal(key, rows_key_bytes(after))) {
        index_cursor_next(cursor->rows);
    }
    return cursor;
}

struct store_cursor *store_buckets(struct store_view *view, const char *after_name)
{
    struct rows_key prefix, after = {.size = 0};
    rows_tagged(&prefix, 'n', "");
    if (after_name) {
        rows_tagged(&after, 'n', after_name);
    }
    return open_prefix(view, KR_INDEX_BUCKETS, &prefix, &after);
}

struct store_cursor *store_consumers(struct store_view *view, const char *bucket_id,
                                     const char *prefix, const char *after_name)
{
    struct rows_key start, after = {.size = 0};
    rows_tagged_pair(&start, 'n', bucket_id, prefix);
    if (after_name) {
        rows_tagged_pair(&after, 'n', bucket_id, after_name);
    }
    return open_prefix(view, KR_INDEX_SUBJECTS, &start, &after);
}

struct store_cursor *store_keys(struct store_view *view, const char *consumer_id,
                                const struct key *after)
{
    struct rows_key prefix, behind = {.size = 0};
    rows_pair(&prefix, consumer_id, NULL);
    if (after && after->id) {
        rows_consumer_key(&behind, consumer_id, after->created_ms, after->id);
    }
    return open_prefix(view, KR_INDEX_CONSUMER_KEYS, &prefix, &behind);
}

struct store_cursor *store_members(struct store_view *view)
{
    struct rows_key prefix, after = {.size = 0};
    rows_member(&prefix, "");
    return open_prefix(view, KR_INDEX_META, &prefix, &after);
}

struct store_cursor *store_vault_values(struct store_view *view, const char *after_key_id)
{
    struct rows_key prefix, after = {.size = 0};
    rows_text(&prefix, KR_ROWS_VAULT_KEYS);
    if (after_key_id) {
        rows_text(&after, after_key_id);
    }
    return open_prefix(view, KR_INDEX_VAULT, &prefix, &after);
}

struct store_cursor *store_managers(struct store_view *view, const char *consumer_id)
{
    struct rows_key prefix, after = {.size = 0};
    rows_pair(&prefix, consumer_id, NULL);
    return open_prefix(view, KR_INDEX_USERS, &prefix, &after);
}

struct store_cursor *store_audits(struct store_view *view, int64_t from_ms, int64_t until_ms)
{
    struct rows_key lower, upper;
    rows_time(&lower, from_ms);
    rows_time(&upper, until_ms < from_ms ? from_ms : until_ms);
    struct store_cursor *cursor = open_cursor(view, KR_INDEX_AUDIT, &lower, &upper);
    cursor->is_backwards = true;
    index_cursor_last(cursor->rows);
    return cursor;
}

void store_cursor_close(struct store_cursor **cursor)
{
    if (!*cursor) {
        return;
    }
    index_cursor_close(&(*cursor)->rows);
    mem_free(*cursor);
    *cursor = NULL;
}

// Whoever gave the view up waits for no more rows.
static bool is_given_up(const struct store_view *view)
{
    return view->is_given_up && atomic_load_explicit(view->is_given_up, memory_order_relaxed);
}

// The row here, with damage remembered.
static bool here(struct store_cursor *cursor, struct bytes *key, struct bytes *value)
{
    struct index_reader *reader = &cursor->view->reader;
    struct fault fault;
    if (reader->fault.err == KR_ERR_OK && is_given_up(cursor->view)) {
        (void)fault_set(&reader->fault, KR_ERR_BUSY, "nobody waits for the rows any more");
    }
    if (reader->fault.err != KR_ERR_OK) {
        return false;
    }
    if (index_cursor_row(cursor->rows, key, value)) {
        return true;
    }
    if (index_cursor_result(cursor->rows, &fault) != KR_ERR_OK) {
        reader->fault = fault;
    }
    return false;
}

static void step(struct store_cursor *cursor)
{
    if (cursor->is_backwards) {
        index_cursor_previous(cursor->rows);
    } else {
        index_cursor_next(cursor->rows);
    }
}

// A row that names what follows: id or digest, copied into the arena before the step.
static bool take(struct store_cursor *cursor, struct arena *arena, struct bytes *value)
{
    struct bytes key, row;
    if (!here(cursor, &key, &row)) {
        return false;
    }
    *value = arena_bytes_of(arena, row);
    step(cursor);
    return true;
}

// What a row names must be there.
static bool followed(struct store_cursor *cursor, bool is_there)
{
    if (!is_there) {
        store_view_damage(cursor->view, cursor->family);
    }
    return is_there;
}

bool store_next_bucket(struct store_cursor *cursor, struct arena *arena, struct bucket *out)
{
    struct bytes id;
    return take(cursor, arena, &id) &&
           followed(cursor, store_get_bucket(cursor->view, (const char *)id.data, arena, out));
}

bool store_next_consumer(struct store_cursor *cursor, struct arena *arena, struct consumer *out)
{
    struct bytes id;
    return take(cursor, arena, &id) &&
           followed(cursor, store_get_consumer(cursor->view, (const char *)id.data, arena, out));
}

bool store_next_key(struct store_cursor *cursor, struct arena *arena, struct key *out)
{
    struct bytes digest;
    return take(cursor, arena, &digest) &&
           followed(cursor, digest.size == KR_DIGEST_SIZE &&
                                store_get_key(cursor->view, digest.data, arena, out));
}

bool store_next_member(struct store_cursor *cursor, struct arena *arena, struct member *out)
{
    struct bytes value;
    return take(cursor, arena, &value) &&
           store_view_decoded(cursor->view, cursor->family, codec_member(value, arena, out));
}

bool store_vault_next(struct store_cursor *cursor, struct arena *arena, struct sealed *out)
{
    struct bytes value;
    return take(cursor, arena, &value) &&
           store_view_decoded(cursor->view, cursor->family, codec_sealed(value, arena, out));
}

bool store_next_manager(struct store_cursor *cursor, struct arena *arena, struct manager *out)
{
    struct bytes value;
    return take(cursor, arena, &value) &&
           store_view_decoded(cursor->view, cursor->family, codec_manager(value, arena, out));
}

bool store_next_audit(struct store_cursor *cursor, struct arena *arena, struct audit *out)
{
    struct bytes value;
    return take(cursor, arena, &value) &&
           store_view_decoded(cursor->view, cursor->family, codec_audit(value, arena, out));
}

uint64_t store_cursor_skip(struct store_cursor *cursor, uint64_t count)
{
    struct bytes key, value;
    uint64_t skipped = 0;
    for (; skipped < count && here(cursor, &key, &value); skipped++) {
        step(cursor);
    }
    return skipped;
}
