// SPDX-License-Identifier: Apache-2.0
// What the hot table follows: keys in its form, and the changes behind a commit.
#include "core/store/store_internal.h"

#include "core/base/text.h"

#define KR_HOT_TIME_MAX ((INT64_C(1) << 48) - 1) // of a record's six bytes: the year 10889

static bool has_extra(const struct key *key)
{
    return key->not_before_ms > 0 || key->scopes.count > 0 || key->ip_allow.count > 0;
}

static bool make_extra(const struct key *key, struct arena *arena, struct hot_extra *out)
{
    struct cidr *blocks = arena_alloc(arena, (key->ip_allow.count + 1) * sizeof *blocks);
    for (size_t i = 0; i < key->ip_allow.count; i++) {
        if (!cidr_parse(bytes_text(key->ip_allow.items[i]), &blocks[i])) {
            return false; // without it the key would be good from anywhere
        }
    }
    *out = (struct hot_extra){.not_before_ms = key->not_before_ms,
                              .scopes = key->scopes,
                              .ip_allow = blocks,
                              .ip_allow_count = key->ip_allow.count};
    return true;
}

// As far as a record's field reaches.
static int64_t time_of(int64_t expires_ms)
{
    // Below zero: long over, which 0 (never) is not.
    return expires_ms < 0 ? 1 : expires_ms > KR_HOT_TIME_MAX ? KR_HOT_TIME_MAX : expires_ms;
}

bool store_hot_fill(const struct codec_key_hot *key, struct hot_put *out)
{
    *out = (struct hot_put){
        .flags = (uint16_t)((key->is_revoked ? KR_HOT_REVOKED : 0) |
                            (key->is_enabled ? 0 : KR_HOT_DISABLED) |
                            (key->is_custom ? KR_HOT_CUSTOM : 0)),
        .expires_ms = time_of(key->expires_ms),
        .revision = key->revision,
    };
    memcpy(out->digest, key->digest, sizeof out->digest);
    return text_pack24((const char *)key->id.data, out->id);
}

bool store_hot_put(const struct key *key, struct arena *arena, struct hot_put *out)
{
    struct codec_key_hot hot = {.expires_ms = key->expires_ms,
                                .revision = key->revision,
                                .is_enabled = key->is_enabled,
                                .is_revoked = key->is_revoked,
                                .is_custom = key->is_custom};
    if (strlen(key->id) != 4 + 24) {
        return false;
    }
    memcpy(hot.digest, key->digest, sizeof hot.digest);
    hot.id = bytes_of(key->id + 4, 24);
    if (!store_hot_fill(&hot, out)) {
        return false;
    }
    if (!has_extra(key)) {
        return true;
    }
    struct hot_extra *extra = arena_alloc(arena, sizeof *extra);
    out->extra = extra;
    return make_extra(key, arena, extra);
}

// --- subjects that the table does not hold yet ---------------------------------------------------
struct pair {
    struct consumer consumer;
    struct bucket bucket;
};

// OK and a record, NOT_FOUND, or damage.
static enum kr_err read_pair(struct store *store, const char *consumer_id, struct arena *arena,
                             struct pair *out, struct fault *fault)
{
    struct index_reader reader = {.index = store->index};
    struct rows_key key;
    struct bytes value;
    enum kr_err err = KR_ERR_OK;
    rows_tagged(&key, 'i', consumer_id);
    if (!index_read(&reader, KR_INDEX_SUBJECTS, rows_key_bytes(&key), arena, &value)) {
        goto missing;
    }
    if (codec_consumer(value, arena, &out->consumer) != KR_ERR_OK) {
        return store_damaged(store, KR_INDEX_SUBJECTS, fault);
    }
    rows_tagged(&key, 'i', out->consumer.bucket_id);
    if (!index_read(&reader, KR_INDEX_BUCKETS, rows_key_bytes(&key), arena, &value)) {
        goto missing;
    }
    if (codec_bucket(value, arena, &out->bucket) != KR_ERR_OK) {
        return store_damaged(store, KR_INDEX_BUCKETS, fault);
    }
    return err;
missing:
    err = reader.fault.err;
    if (err == KR_ERR_OK) {
        return KR_ERR_NOT_FOUND;
    }
    *fault = reader.fault;
    return err;
}

enum kr_err store_hot_subject(struct store *store, struct bytes consumer_id, struct arena *arena,
                              uint32_t *number, struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    while (!hot_subject_number(store->hot, consumer_id, number)) {
        struct pair pair;
        uint64_t environments = store->environments;
        const char *id = arena_text_of(arena, consumer_id);
        pthread_mutex_unlock(&store->hot_lock);
        err = read_pair(store, id, arena, &pair, fault);
        pthread_mutex_lock(&store->hot_lock);
        if (err != KR_ERR_OK) {
            return err;
        }
        if (environments == store->environments) {
            *number = hot_put_subject(store->hot, &pair.consumer, &pair.bucket);
            return KR_ERR_OK;
        } // else what was read may be of the old environment
    }
    return err;
}

// --- behind a commit -----------------------------------------------------------------------------
// Puts each of the bucket's subjects again, which show its environment. Rare, and as long as the
// bucket has consumers.
static void render_anew(struct store *store, const struct bucket *bucket)
{
    struct rows_key prefix, end;
    struct bytes key, value;
    struct fault fault = {.err = KR_ERR_OK};
    struct arena arena;
    arena_init(&arena);
    rows_tagged_pair(&prefix, 'b', bucket->id, NULL);
    rows_prefix_end(&end, rows_key_bytes(&prefix));
    struct index_cursor *cursor =
        index_cursor_open(store->index, &(struct index_range){.family = KR_INDEX_SUBJECTS,
                                                              .lower = rows_key_bytes(&prefix),
                                                              .upper = rows_key_bytes(&end)});
    for (index_cursor_first(cursor); index_cursor_row(cursor, &key, &value);
         index_cursor_next(cursor)) {
        struct pair pair;
        struct bytes id = bytes_of(key.data + prefix.size, key.size - prefix.size);
        arena_reset(&arena);
        if (read_pair(store, arena_text_of(&arena, id), &arena, &pair, &fault) == KR_ERR_OK) {
            pthread_mutex_lock(&store->hot_lock);
            hot_put_subject(store->hot, &pair.consumer, bucket);
            pthread_mutex_unlock(&store->hot_lock);
        }
    }
    index_cursor_close(&cursor);
    arena_fini(&arena);
}

// Called with hot_lock held. What cannot be told stays out of the table, where it is no good key.
static void put_key(struct store *store, const struct store_key_change *change)
{
    struct hot_put put = change->put;
    struct fault fault = {.err = KR_ERR_OK};
    enum kr_err err = store_hot_subject(store, bytes_text(change->consumer_id), &store->arena,
                                        &put.subject, &fault);
    if (err == KR_ERR_OK) {
        hot_put(store->hot, &put);
        store_counts_add(store, put.subject, change->is_new ? 1 : 0);
    } else {
        hot_remove(store->hot, put.digest, put.revision);
    }
}

// Called with hot_lock held. The loaders may have counted the key already, or be about to, unless
// its consumer is gone as well.
static void remove_key(struct store *store, const struct store_change *change)
{
    uint32_t subject = 0;
    struct fault fault = {.err = KR_ERR_OK};
    hot_remove(store->hot, change->as.key->put.digest, change->revision);
    enum kr_err err = store_hot_subject(store, bytes_text(change->as.key->consumer_id),
                                        &store->arena, &subject, &fault);
    if (err == KR_ERR_OK) {
        store_counts_add(store, subject, -1);
    }
}

static void apply_one(struct store *store, const struct store_change *change)
{
    switch (change->kind) {
    case KR_CHANGE_BUCKET:
        hot_put_bucket(store->hot, change->as.bucket);
        store->environments += change->is_rendered_anew;
        return;
    case KR_CHANGE_BUCKET_GONE:
        hot_remove_bucket(store->hot, change->id, change->revision);
        return;
    case KR_CHANGE_CONSUMER:
        hot_put_subject(store->hot, &change->as.consumer->consumer, &change->as.consumer->bucket);
        return;
    case KR_CHANGE_CONSUMER_GONE:
        hot_remove_subject(store->hot, change->id, change->revision);
        return;
    case KR_CHANGE_KEY:
        put_key(store, change->as.key);
        return;
    case KR_CHANGE_KEY_GONE:
        remove_key(store, change);
        return;
    }
}

// --- what a watcher is told ----------------------------------------------------------------------
// Its keys may have to be answered anew, all of them: they are gone, or what is known of them must
// be younger than before.
static bool loses_all(const struct bucket *bucket, uint64_t revision)
{
    return bucket->revocation.last.before == revision || bucket->lowered_at == revision;
}

static void tell_lost(struct store *store, const struct store_change *change)
{
    bool is_many = false;
    switch (change->kind) {
    case KR_CHANGE_BUCKET:
        is_many = loses_all(change->as.bucket, change->revision);
        break;
    case KR_CHANGE_CONSUMER:
        is_many = change->as.consumer->consumer.revocation.last.before == change->revision;
        break;
    case KR_CHANGE_BUCKET_GONE:
    case KR_CHANGE_CONSUMER_GONE:
        is_many = true;
        break;
    case KR_CHANGE_KEY:
        if (!change->as.key->is_new) {
            store->lost(store->lost_ctx, change->as.key->put.digest, change->revision);
        }
        return;
    case KR_CHANGE_KEY_GONE:
        store->lost(store->lost_ctx, change->as.key->put.digest, change->revision);
        return;
    }
    if (is_many) {
        store->lost(store->lost_ctx, NULL, change->revision);
    }
}

void store_hot_apply(struct store *store, const struct store_change *changes, size_t count)
{
    pthread_mutex_lock(&store->hot_lock);
    for (size_t i = 0; i < count; i++) {
        apply_one(store, &changes[i]);
    }
    pthread_mutex_unlock(&store->hot_lock);
    for (size_t i = 0; i < count; i++) {
        if (changes[i].kind == KR_CHANGE_BUCKET && changes[i].is_rendered_anew) {
            render_anew(store, changes[i].as.bucket);
        }
    }
    for (size_t i = 0; i < count && store->lost != NULL; i++) {
        tell_lost(store, &changes[i]);
    }
}
