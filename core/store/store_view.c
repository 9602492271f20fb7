// SPDX-License-Identifier: Apache-2.0
// Views: consistent reads of single records, from a snapshot of the index.
#include "core/store/store_view.h"

#include "core/store/store_vault.h"
#include "proto/codec.h"

#define KR_VIEW_COUNTED_KEYS 1000

struct store_view *store_view_open(struct store *store)
{
    struct store_view *view = mem_zalloc(sizeof *view);
    view->store = store;
    view->snapshot = index_snapshot_open(store->index);
    view->reader = (struct index_reader){.index = store->index, .snapshot = view->snapshot};
    view->index = UINT64_MAX;
    arena_init(&view->arena);
    return view;
}

void store_view_close(struct store_view **view)
{
    if (!*view) {
        return;
    }
    index_snapshot_close((*view)->store->index, &(*view)->snapshot);
    arena_fini(&(*view)->arena);
    mem_free(*view);
    *view = NULL;
}

void store_view_reuse(struct store_view *view)
{
    view->reader.fault.err = KR_ERR_OK;
    view->is_given_up = NULL;
    view->is_reused = true;
}

void store_view_heed(struct store_view *view, const _Atomic bool *end)
{
    view->is_given_up = end;
}

static uint64_t read_index(struct store_view *view)
{
    struct arena arena;
    struct bytes value;
    struct rows_applied applied = {.log_first = 0};
    arena_init(&arena);
    if (index_read(&view->reader, KR_INDEX_META, bytes_text(KR_ROWS_APPLIED), &arena, &value) &&
        !rows_get_applied(value, &applied)) {
        store_view_damage(view, KR_INDEX_META);
    }
    arena_fini(&arena);
    return applied.position.index;
}

// What was read with damage is read again for the next caller, which has to meet it as well.
uint64_t store_view_index(struct store_view *view)
{
    if (view->index != UINT64_MAX) {
        return view->index;
    }
    uint64_t index = read_index(view);
    if (view->reader.fault.err == KR_ERR_OK) {
        view->index = index;
    }
    return index;
}

enum kr_err store_view_error(const struct store_view *view, struct fault *fault)
{
    if (view->reader.fault.err != KR_ERR_OK && fault) {
        *fault = view->reader.fault;
    }
    return view->reader.fault.err;
}

void store_view_damage(struct store_view *view, enum index_family family)
{
    if (view->reader.fault.err == KR_ERR_OK) {
        store_damaged(view->store, family, &view->reader.fault);
    }
}

bool store_view_decoded(struct store_view *view, enum index_family family, enum kr_err err)
{
    if (err != KR_ERR_OK) {
        store_view_damage(view, family);
    }
    return err == KR_ERR_OK;
}

static bool get(struct store_view *view, enum index_family family, const struct rows_key *key,
                struct arena *arena, struct bytes *value)
{
    return key->size > 0 && index_read(&view->reader, family, rows_key_bytes(key), arena, value);
}

static const struct store_kept *find_kept(const struct store_view *view, enum index_family family,
                                          struct bytes key)
{
    for (size_t i = 0; i < view->kept_count; i++) {
        if (view->kept[i].family == family && bytes_equal(view->kept[i].key, key)) {
            return &view->kept[i];
        }
    }
    return NULL;
}

// Buckets and consumers: those who share a view have most of them in common.
static bool get_common(struct store_view *view, enum index_family family,
                       const struct rows_key *key, struct arena *arena, struct bytes *value)
{
    const struct store_kept *kept =
        view->reader.fault.err == KR_ERR_OK ? find_kept(view, family, rows_key_bytes(key)) : NULL;
    if (kept) {
        *value = arena_bytes_of(arena, kept->value);
        return true;
    }
    if (!get(view, family, key, arena, value)) {
        return false;
    }
    if (view->is_reused && view->kept_count < KR_VIEW_KEPT) {
        view->kept[view->kept_count++] =
            (struct store_kept){family, arena_bytes_of(&view->arena, rows_key_bytes(key)),
                                arena_bytes_of(&view->arena, *value)};
    }
    return true;
}

bool store_get_cluster(struct store_view *view, struct arena *arena, struct store_cluster *out)
{
    struct rows_key key;
    struct bytes value;
    *out = (struct store_cluster){0};
    rows_text(&key, KR_ROWS_CLUSTER);
    if (!get(view, KR_INDEX_META, &key, arena, &value)) {
        return false;
    }
    if (!rows_get_cluster(value, arena, out)) {
        store_view_damage(view, KR_INDEX_META);
        *out = (struct store_cluster){0};
        return false;
    }
    return true;
}

bool store_get_leader(struct store_view *view, struct arena *arena, struct leader *out)
{
    struct rows_key key;
    struct bytes value;
    rows_text(&key, KR_ROWS_LEADER);
    return get(view, KR_INDEX_META, &key, arena, &value) &&
           store_view_decoded(view, KR_INDEX_META, codec_leader(value, arena, out));
}

bool store_get_member(struct store_view *view, const char *id, struct arena *arena,
                      struct member *out)
{
    struct rows_key key;
    struct bytes value;
    rows_member(&key, id);
    return get(view, KR_INDEX_META, &key, arena, &value) &&
           store_view_decoded(view, KR_INDEX_META, codec_member(value, arena, out));
}

bool store_get_bucket(struct store_view *view, const char *id, struct arena *arena,
                      struct bucket *out)
{
    struct rows_key key;
    struct bytes value;
    rows_tagged(&key, 'i', id);
    return get_common(view, KR_INDEX_BUCKETS, &key, arena, &value) &&
           store_view_decoded(view, KR_INDEX_BUCKETS, codec_bucket(value, arena, out));
}

bool store_get_bucket_named(struct store_view *view, const char *name, struct arena *arena,
                            struct bucket *out)
{
    struct rows_key key;
    struct bytes id;
    rows_tagged(&key, 'n', name);
    return get_common(view, KR_INDEX_BUCKETS, &key, arena, &id) &&
           store_get_bucket(view, arena_text_of(arena, id), arena, out);
}

bool store_get_consumer(struct store_view *view, const char *id, struct arena *arena,
                        struct consumer *out)
{
    struct rows_key key;
    struct bytes value;
    rows_tagged(&key, 'i', id);
    return get_common(view, KR_INDEX_SUBJECTS, &key, arena, &value) &&
           store_view_decoded(view, KR_INDEX_SUBJECTS, codec_consumer(value, arena, out));
}

bool store_get_consumer_id(struct store_view *view, const char *bucket_id, const char *name,
                           struct arena *arena, const char **id)
{
    struct rows_key key;
    struct bytes value;
    rows_tagged_pair(&key, 'n', bucket_id, name);
    if (!get_common(view, KR_INDEX_SUBJECTS, &key, arena, &value)) {
        return false;
    }
    *id = arena_text_of(arena, value);
    return true;
}

bool store_get_consumer_named(struct store_view *view, const char *bucket_id, const char *name,
                              struct arena *arena, struct consumer *out)
{
    const char *id;
    return store_get_consumer_id(view, bucket_id, name, arena, &id) &&
           store_get_consumer(view, id, arena, out);
}

bool store_get_key(struct store_view *view, const uint8_t digest[KR_DIGEST_SIZE],
                   struct arena *arena, struct key *out)
{
    struct rows_key key;
    struct bytes value;
    rows_digest(&key, digest, KR_DIGEST_SIZE);
    return get(view, KR_INDEX_KEYS, &key, arena, &value) &&
           store_view_decoded(view, KR_INDEX_KEYS, codec_key(value, arena, out));
}

// This thread may be no registered reader; under the lock nothing is retired.
static bool is_in_table(struct store *store, const uint8_t digest[KR_DIGEST_SIZE])
{
    pthread_mutex_lock(&store->hot_lock);
    bool is_there = hot_find(store->hot, digest) != NULL;
    pthread_mutex_unlock(&store->hot_lock);
    return is_there;
}

bool store_has_digest(struct store_view *view, const uint8_t digest[KR_DIGEST_SIZE])
{
    struct rows_key start, end;
    struct bytes key, value;
    if (store_is_loaded(view->store) && !is_in_table(view->store, digest)) {
        return false;
    }
    rows_digest(&start, digest, KR_DIGEST_UNIQUE_BYTES);
    rows_prefix_end(&end, rows_key_bytes(&start));
    struct index_cursor *cursor =
        index_cursor_open(view->store->index, &(struct index_range){.family = KR_INDEX_KEYS,
                                                                    .snapshot = view->snapshot,
                                                                    .lower = rows_key_bytes(&start),
                                                                    .upper = rows_key_bytes(&end)});
    index_cursor_first(cursor);
    bool is_there = index_cursor_row(cursor, &key, &value);
    if (!is_there && view->reader.fault.err == KR_ERR_OK) {
        enum kr_err err = index_cursor_result(cursor, &view->reader.fault);
        (void)err; // the reader's fault remembers it
    }
    index_cursor_close(&cursor);
    return is_there;
}

bool store_get_key_by_id(struct store_view *view, const char *id, struct arena *arena,
                         struct key *out)
{
    struct rows_key key;
    struct bytes digest;
    rows_text(&key, id);
    if (!get(view, KR_INDEX_KEY_IDS, &key, arena, &digest)) {
        return false;
    }
    if (digest.size != KR_DIGEST_SIZE) {
        store_view_damage(view, KR_INDEX_KEY_IDS);
        return false;
    }
    return store_get_key(view, digest.data, arena, out);
}

bool store_get_sealed(struct store_view *view, const char *key_id, struct arena *arena,
                      struct sealed *out)
{
    struct rows_key key;
    struct bytes value;
    rows_text(&key, key_id);
    return get(view, KR_INDEX_VAULT, &key, arena, &value) &&
           store_view_decoded(view, KR_INDEX_VAULT, codec_sealed(value, arena, out));
}

bool store_vault_versions(struct store_view *view, struct arena *arena, struct sealed_versions *out)
{
    struct rows_key key;
    struct bytes value;
    *out = (struct sealed_versions){0};
    rows_text(&key, KR_ROWS_VAULT_VERSIONS);
    return get(view, KR_INDEX_VAULT, &key, arena, &value) &&
           store_view_decoded(view, KR_INDEX_VAULT, codec_sealed_versions(value, arena, out));
}

bool store_get_idempotency(struct store_view *view, const uint8_t scope[KR_DIGEST_SIZE],
                           struct arena *arena, struct idempotency *out)
{
    struct rows_key key;
    struct bytes value;
    rows_digest(&key, scope, KR_DIGEST_SIZE);
    return get(view, KR_INDEX_IDEMPOTENCY, &key, arena, &value) &&
           store_view_decoded(view, KR_INDEX_IDEMPOTENCY, codec_idempotency(value, arena, out));
}

bool store_get_receipt(struct store_view *view, uint64_t index, struct arena *arena,
                       struct receipt *out)
{
    struct rows_key key;
    struct bytes value;
    rows_index(&key, index);
    return get(view, KR_INDEX_RECEIPTS, &key, arena, &value) &&
           store_view_decoded(view, KR_INDEX_RECEIPTS, codec_receipt(value, arena, out));
}

// A number's row: few bytes, so that its arena lives here.
static bool get_number(struct store_view *view, enum index_family family,
                       const struct rows_key *key, uint8_t out[KR_ROWS_U64_SIZE], size_t size)
{
    struct arena arena;
    struct bytes value;
    arena_init(&arena);
    bool is_there = get(view, family, key, &arena, &value);
    if (is_there && value.size != size) {
        store_view_damage(view, family);
        is_there = false;
    }
    if (is_there) {
        memcpy(out, value.data, size);
    }
    arena_fini(&arena);
    return is_there;
}

// Of many keys, how many there are now: to count them in the snapshot would take too long.
static uint64_t keys_of_consumer(struct store_view *view, const char *id)
{
    uint64_t count = 0, now = 0;
    uint64_t limit = store_is_loaded(view->store) ? KR_VIEW_COUNTED_KEYS : UINT64_MAX;
    enum kr_err err =
        store_counts_scan(view->store, view->snapshot, id, limit, &count, &view->reader.fault);
    if (err == KR_ERR_OK && count == limit && store_counts_find(view->store, id, &now)) {
        count = now;
    }
    return count;
}

uint64_t store_get_count(struct store_view *view, char what, const char *id)
{
    struct rows_key key;
    uint8_t value[KR_ROWS_U64_SIZE];
    uint64_t count = 0;
    if (what == 'k') {
        return keys_of_consumer(view, id);
    }
    rows_tagged(&key, what, id);
    if (get_number(view, KR_INDEX_COUNTS, &key, value, sizeof value)) {
        (void)rows_get_u64(bytes_of(value, sizeof value), &count);
    }
    return count;
}

int64_t store_last_used_ms(struct store_view *view, const struct key *key)
{
    struct store *store = view->store;
    struct rows_key row;
    uint8_t value[KR_ROWS_U64_SIZE];
    uint32_t stored = 0, seen = 0;
    rows_digest(&row, key->digest, KR_HOT_DIGEST_BYTES);
    if (get_number(view, KR_INDEX_USAGE, &row, value, 4)) {
        (void)rows_get_u32(bytes_of(value, 4), &stored);
    }
    // This thread may be no registered reader; under the lock nothing is retired.
    pthread_mutex_lock(&store->hot_lock);
    const struct hot_record *record = hot_find(store->hot, key->digest);
    if (record) {
        const _Atomic uint32_t *minute = (const _Atomic uint32_t *)&record->last_used_min;
        seen = atomic_load_explicit(minute, memory_order_relaxed);
    }
    pthread_mutex_unlock(&store->hot_lock);
    return (int64_t)(seen > stored ? seen : stored) * 60000;
}
