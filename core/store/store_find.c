// SPDX-License-Identifier: Apache-2.0
// Look-ups for validations: from the hot table, or from the index while that is being loaded.
#include "core/store/store_internal.h"

#include <stdio.h>

#include "proto/codec.h"

enum {
    KR_FIND_GROUP = 64,
    KR_FIND_LINE_BYTES = 64,
    KR_FIND_TEXT_BYTES = 256 // of a consumer: all that one without metadata has
};

static void resolve(const struct store *store, const struct hot_record *record,
                    struct store_found *found)
{
    const struct hot *hot = store->hot;
    if ((record->flags & KR_HOT_SHARED) != 0) {
        found->lookup = KR_STORE_ASK_INDEX;
        return;
    }
    found->record = record;
    found->extra = hot_record_extra(hot, record);
    struct hot_holder holder = hot_record_holder(hot, record);
    found->subject = holder.subject;
    found->revoked_before = holder.revoked_before;
    found->bucket = holder.subject ? hot_bucket_at(hot, holder.bucket) : NULL;
    // Subject or bucket can be gone only because the key is, removed behind our look-up.
    found->lookup = found->bucket ? KR_STORE_FOUND : KR_STORE_ABSENT;
}

static void read_line(const void *at)
{
    (void)*(const volatile char *)at;
}

// Brings what the answers will copy, which would else miss at each copy, into the cache. By reads,
// close together, so that their misses overlap; of as many prefetches at once processors drop some.
static void bring_texts(const struct store_found found[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (found[i].lookup == KR_STORE_FOUND)
            read_line(found[i].subject);
    for (size_t i = 0; i < count; i++) {
        if (found[i].lookup != KR_STORE_FOUND)
            continue;
        const struct hot_subject *subject = found[i].subject;
        size_t size = sizeof(*subject) + subject->json_size;
        for (size_t at = KR_FIND_LINE_BYTES; at < size && at < KR_FIND_TEXT_BYTES;
             at += KR_FIND_LINE_BYTES)
            read_line((const char *)subject + at);
    }
}

void store_find_many(const struct store *store, const struct bytes *keys, size_t count,
                     uint8_t (*digests)[KR_DIGEST_SIZE], struct store_found found[])
{
    const struct hot_record *records[KR_FIND_GROUP];
    // Read before the table: a key that is not in it then was not there when it was complete.
    enum store_lookup otherwise = store_is_loaded(store) ? KR_STORE_ABSENT : KR_STORE_ASK_INDEX;
    for (size_t at = 0; at < count; at += KR_FIND_GROUP) {
        size_t group = count - at < KR_FIND_GROUP ? count - at : KR_FIND_GROUP;
        hot_find_many(store->hot, keys + at, group, digests + at, records);
        for (size_t i = 0; i < group; i++) {
            found[at + i] = (struct store_found){.lookup = otherwise};
            if (records[i]) {
                resolve(store, records[i], &found[at + i]);
            }
        }
        bring_texts(found + at, group);
    }
}

// --- from the index ------------------------------------------------------------------------------
struct rows_found {
    struct key key;
    struct consumer consumer;
    struct bucket bucket;
};

static enum kr_err read_consumer(struct index_reader *reader, const struct store *store,
                                 const char *id, struct arena *arena, struct consumer *out)
{
    struct rows_key key;
    struct bytes value;
    rows_tagged(&key, 'i', id);
    bool is_there = index_read(reader, KR_INDEX_SUBJECTS, rows_key_bytes(&key), arena, &value);
    if (reader->fault.err != KR_ERR_OK) {
        return reader->fault.err;
    }
    return is_there && codec_consumer(value, arena, out) == KR_ERR_OK
               ? KR_ERR_OK
               : store_damaged(store, KR_INDEX_SUBJECTS, NULL);
}

static enum kr_err read_bucket(struct index_reader *reader, const struct store *store,
                               const char *id, struct arena *arena, struct bucket *out)
{
    struct rows_key key;
    struct bytes value;
    rows_tagged(&key, 'i', id);
    bool is_there = index_read(reader, KR_INDEX_BUCKETS, rows_key_bytes(&key), arena, &value);
    if (reader->fault.err != KR_ERR_OK) {
        return reader->fault.err;
    }
    return is_there && codec_bucket(value, arena, out) == KR_ERR_OK
               ? KR_ERR_OK
               : store_damaged(store, KR_INDEX_BUCKETS, NULL);
}

// NOT_FOUND: there is no such key.
static enum kr_err read_rows(struct index_reader *reader, const struct store *store,
                             const uint8_t *digest, struct arena *arena, struct rows_found *out)
{
    struct rows_key key;
    struct bytes value;
    rows_digest(&key, digest, KR_DIGEST_SIZE);
    if (!index_read(reader, KR_INDEX_KEYS, rows_key_bytes(&key), arena, &value)) {
        return reader->fault.err != KR_ERR_OK ? reader->fault.err : KR_ERR_NOT_FOUND;
    }
    if (codec_key(value, arena, &out->key) != KR_ERR_OK) {
        return store_damaged(store, KR_INDEX_KEYS, NULL);
    }
    enum kr_err err = read_consumer(reader, store, out->key.consumer_id, arena, &out->consumer);
    if (err == KR_ERR_OK) {
        err = read_bucket(reader, store, out->consumer.bucket_id, arena, &out->bucket);
    }
    return err;
}

static void put_u48(uint8_t out[6], uint64_t value)
{
    memcpy(out, &value, 6); // little-endian, as hot_record_u48 reads
}

static const struct hot_record *make_record(const struct hot_put *put, struct arena *arena)
{
    struct hot_record *record = arena_zalloc(arena, 2 * sizeof *record);
    // Arenas align to 16 bytes.
    uintptr_t address = ((uintptr_t)record + sizeof *record - 1) & ~(sizeof *record - 1);
    record = (struct hot_record *)address;
    memcpy(record->digest, put->digest, KR_HOT_DIGEST_BYTES);
    memcpy(record->id, put->id, sizeof record->id);
    record->flags = (uint16_t)(put->flags | (put->extra ? KR_HOT_EXTRA : 0));
    put_u48(record->expires, (uint64_t)put->expires_ms);
    put_u48(record->revision, put->revision);
    return record;
}

// As the table would hold it. Its number is the table's, by which validations tell buckets apart; a
// bucket that is deleted, or that the table is about to learn of, has none that anybody asks for.
static const struct hot_bucket *make_bucket(struct store *store, const struct bucket *record,
                                            struct arena *arena)
{
    struct hot_bucket *bucket = arena_zalloc(arena, sizeof *bucket);
    pthread_mutex_lock(&store->hot_lock);
    const struct hot_bucket *known = hot_bucket_named(store->hot, bytes_text(record->id));
    bucket->number = known ? known->number : UINT32_MAX;
    pthread_mutex_unlock(&store->hot_lock);
    snprintf(bucket->id, sizeof bucket->id, "%s", record->id);
    bucket->name = record->name;
    bucket->environment = record->environment;
    bucket->is_system = record->is_system;
    bucket->max_staleness_ms = record->max_staleness_ms;
    bucket->revoked_before = record->revocation.last.before;
    bucket->revision = record->revision;
    return bucket;
}

enum kr_err store_find_index(const struct store *store, const uint8_t digest[KR_DIGEST_SIZE],
                             struct arena *arena, struct store_found *found)
{
    // The lock of the table is taken, nothing of the store changed.
    struct store *shared = (struct store *)(uintptr_t)store;
    struct index_reader reader = {.index = store->index,
                                  .snapshot = index_snapshot_open(store->index)};
    struct index_snapshot *snapshot = (struct index_snapshot *)(uintptr_t)reader.snapshot;
    struct rows_found rows;
    struct hot_put put;
    *found = (struct store_found){.lookup = KR_STORE_ABSENT};
    enum kr_err err = read_rows(&reader, store, digest, arena, &rows);
    index_snapshot_close(store->index, &snapshot);
    if (err != KR_ERR_OK) {
        return err == KR_ERR_NOT_FOUND ? KR_ERR_OK : err;
    }
    if (!store_hot_put(&rows.key, arena, &put)) {
        return store_damaged(store, KR_INDEX_KEYS, NULL);
    }
    found->bucket = make_bucket(shared, &rows.bucket, arena);
    struct hot_subject *subject = hot_render_subject(&rows.consumer, &rows.bucket, arena);
    subject->bucket = found->bucket->number;
    found->subject = subject;
    found->revoked_before = subject->revoked_before;
    found->record = make_record(&put, arena);
    found->extra = put.extra;
    found->lookup = KR_STORE_FOUND;
    return KR_ERR_OK;
}
