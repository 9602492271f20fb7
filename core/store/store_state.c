// SPDX-License-Identifier: Apache-2.0
// The state as apply sees it: its verbs over the stage, with the digest sums and the list of what
// the hot table has to follow.
//
// Record rows are in the sums (rows_term); rows that follow from records (names, links, counts) and
// usage are in none. Damage answers "not there" and is remembered: the commit fails.
#include "core/store/store_state.h"

#include "proto/codec.h"

#define KR_STATE_NAME_MAX 128
#define KR_STATE_METADATA_MAX 32768

void store_state_init(struct store_state *state, struct store *store)
{
    *state = (struct store_state){.store = store, .position = store->applied.position};
}

void store_state_fini(struct store_state *state)
{
    mem_free(state->changes);
    state->changes = NULL;
}

void store_state_note(struct store_state *state, enum index_family family, enum kr_err err)
{
    if (state->fault.err == KR_ERR_OK && err != KR_ERR_OK) {
        store_damaged(state->store, family, &state->fault);
    }
}

static struct store_change *add_change(struct store_state *state, enum store_change_kind kind)
{
    if (state->change_count == state->change_capacity) {
        state->change_capacity = state->change_capacity ? 2 * state->change_capacity : 256;
        state->changes =
            mem_realloc(state->changes, state->change_capacity * sizeof *state->changes);
    }
    struct store_change *change = &state->changes[state->change_count++];
    *change = (struct store_change){.kind = kind, .revision = state->index};
    return change;
}

// --- rows and sums -------------------------------------------------------------------------------
static struct hash128 term(struct store_state *state, enum index_family family, struct bytes key,
                           struct bytes value)
{
    return rows_term(&state->store->scratch, family, key, value);
}

bool store_state_get(struct store_state *state, enum index_family family,
                     const struct rows_key *key, struct bytes *value)
{
    return stage_get(state->store->stage, family, rows_key_bytes(key), value);
}

void store_state_put(struct store_state *state, enum index_family family,
                     const struct rows_key *key, struct bytes value)
{
    stage_put(state->store->stage, family, rows_key_bytes(key), value);
}

void store_state_delete(struct store_state *state, enum index_family family,
                        const struct rows_key *key)
{
    stage_delete(state->store->stage, family, rows_key_bytes(key));
}

static void subtract_old(struct store_state *state, enum store_class class,
                         enum index_family family, const struct rows_key *key)
{
    struct bytes old;
    if (store_state_get(state, family, key, &old)) {
        state->position.digest[class] = hash_sum_sub(state->position.digest[class],
                                                     term(state, family, rows_key_bytes(key), old));
    }
}

void store_state_put_new_record(struct store_state *state, enum store_class class,
                                enum index_family family, const struct rows_key *key,
                                struct bytes value)
{
    if (buf_result(&state->store->record) != KR_ERR_OK) {
        store_state_note(state, family, KR_ERR_TOO_LARGE);
    }
    store_state_put(state, family, key, value);
    state->position.digest[class] = hash_sum_add(state->position.digest[class],
                                                 term(state, family, rows_key_bytes(key), value));
}

void store_state_put_record(struct store_state *state, enum store_class class,
                            enum index_family family, const struct rows_key *key,
                            struct bytes value)
{
    subtract_old(state, class, family, key);
    store_state_put_new_record(state, class, family, key, value);
}

void store_state_delete_record(struct store_state *state, enum store_class class,
                               enum index_family family, const struct rows_key *key)
{
    subtract_old(state, class, family, key);
    store_state_delete(state, family, key);
}

// An empty buffer for a record's encoding; `term` uses the other one.
struct buf *store_state_record(struct store_state *state)
{
    buf_clear(&state->store->record);
    return &state->store->record;
}

static const char *text_of(struct store_state *state, struct bytes value)
{
    return arena_text_of(&state->store->arena, value);
}

// A copy in the commit's arena, for the list of changes.
static const void *copy_of(struct store_state *state, const void *record, size_t size)
{
    return memcpy(arena_alloc(&state->store->arena, size), record, size);
}

static bool get_name(struct store_state *state, enum index_family family,
                     const struct rows_key *key, const char **id)
{
    struct bytes value;
    if (!store_state_get(state, family, key, &value)) {
        return false;
    }
    *id = text_of(state, value);
    return true;
}

// Frees a name's row if it is this record's: another may bear the name by now.
static void free_name(struct store_state *state, enum index_family family,
                      const struct rows_key *key, const char *id)
{
    struct bytes holder;
    if (store_state_get(state, family, key, &holder) && bytes_equal_text(holder, id)) {
        store_state_delete(state, family, key);
    }
}

// What the hot table's fixed fields rely on; the codec does not bound texts.
static void check_sizes(struct store_state *state, enum index_family family, const char *id,
                        const char *name, const char *metadata)
{
    bool is_sane = strlen(id) < KR_ID_SIZE && strlen(name) <= KR_STATE_NAME_MAX &&
                   (!metadata || strlen(metadata) <= KR_STATE_METADATA_MAX);
    if (!is_sane) {
        store_state_note(state, family, KR_ERR_CORRUPT);
    }
}

// A consumer that the loaded hot table does not know is not in the index either, which costs no
// look at the filters.
static void expect_consumer(struct store_state *state, const struct rows_key *key, const char *id)
{
    const struct store *store = state->store;
    uint32_t number;
    if (store_is_loaded(store) && !hot_subject_number(store->hot, bytes_text(id), &number)) {
        stage_assume_absent(store->stage, KR_INDEX_SUBJECTS, rows_key_bytes(key));
    }
}

// --- buckets -------------------------------------------------------------------------------------
static bool get_bucket(void *ctx, const char *id, struct bucket *out)
{
    struct store_state *state = ctx;
    struct rows_key key;
    struct bytes value;
    rows_tagged(&key, 'i', id);
    if (!store_state_get(state, KR_INDEX_BUCKETS, &key, &value)) {
        return false;
    }
    if (value.data != state->bucket_at) {
        enum kr_err err = codec_bucket(value, &state->store->arena, &state->bucket);
        store_state_note(state, KR_INDEX_BUCKETS, err);
        state->bucket_at = err == KR_ERR_OK ? value.data : NULL;
    }
    *out = state->bucket;
    return state->bucket_at != NULL;
}

static bool get_bucket_id(void *ctx, const char *name, const char **id)
{
    struct rows_key key;
    rows_tagged(&key, 'n', name);
    return get_name(ctx, KR_INDEX_BUCKETS, &key, id);
}

static void put_bucket(void *ctx, const struct bucket *record)
{
    struct store_state *state = ctx;
    struct rows_key key;
    struct bucket old;
    bool is_update = get_bucket(ctx, record->id, &old);
    struct buf *out = store_state_record(state);
    codec_add_bucket(out, record);
    rows_tagged(&key, 'i', record->id);
    store_state_put_record(state, KR_CLASS_BUCKET, KR_INDEX_BUCKETS, &key, buf_bytes(out));
    if (!is_update) {
        rows_tagged(&key, 'n', record->name);
        store_state_put(state, KR_INDEX_BUCKETS, &key, bytes_text(record->id));
    }
    check_sizes(state, KR_INDEX_BUCKETS, record->id, record->name, NULL);
    struct store_change *change = add_change(state, KR_CHANGE_BUCKET);
    change->as.bucket = copy_of(state, record, sizeof *record);
    change->is_rendered_anew = is_update && old.environment != record->environment;
}

static void free_bucket_name(void *ctx, const struct bucket *record)
{
    struct rows_key key;
    rows_tagged(&key, 'n', record->name);
    free_name(ctx, KR_INDEX_BUCKETS, &key, record->id);
}

static void delete_bucket(void *ctx, const struct bucket *record)
{
    struct rows_key key;
    free_bucket_name(ctx, record);
    rows_tagged(&key, 'i', record->id);
    store_state_delete_record(ctx, KR_CLASS_BUCKET, KR_INDEX_BUCKETS, &key);
    add_change(ctx, KR_CHANGE_BUCKET_GONE)->id = record->id;
}

// --- consumers -----------------------------------------------------------------------------------
static bool get_consumer(void *ctx, const char *id, struct consumer *out)
{
    struct store_state *state = ctx;
    struct rows_key key;
    struct bytes value;
    rows_tagged(&key, 'i', id);
    expect_consumer(state, &key, id);
    if (!store_state_get(state, KR_INDEX_SUBJECTS, &key, &value)) {
        return false;
    }
    if (value.data != state->consumer_at) {
        enum kr_err err = codec_consumer(value, &state->store->arena, &state->consumer);
        store_state_note(state, KR_INDEX_SUBJECTS, err);
        state->consumer_at = err == KR_ERR_OK ? value.data : NULL;
    }
    *out = state->consumer;
    return state->consumer_at != NULL;
}

static bool get_consumer_id(void *ctx, const char *bucket_id, const char *name, const char **id)
{
    struct rows_key key;
    rows_tagged_pair(&key, 'n', bucket_id, name);
    return get_name(ctx, KR_INDEX_SUBJECTS, &key, id);
}

// From the hot table where that can tell: whoever was deleted was revoked, and its subject says so.
static bool get_live_consumer_bucket(void *ctx, const char *id, const char **bucket_id)
{
    struct store_state *state = ctx;
    const struct hot *hot = state->store->hot;
    struct rows_key key;
    struct consumer consumer;
    rows_tagged(&key, 'i', id);
    const struct hot_subject *subject =
        store_is_loaded(state->store) &&
                !stage_is_changed(state->store->stage, KR_INDEX_SUBJECTS, rows_key_bytes(&key))
            ? hot_subject_of(hot, bytes_text(id))
            : NULL;
    const struct hot_bucket *bucket = subject ? hot_bucket_at(hot, subject->bucket) : NULL;
    if (bucket && subject->revoked_before == 0) {
        *bucket_id = bucket->id;
        return true;
    }
    bool is_live = get_consumer(ctx, id, &consumer) && !consumer.is_deleted;
    *bucket_id = is_live ? consumer.bucket_id : NULL;
    return is_live;
}

static void put_consumer(void *ctx, const struct consumer *record)
{
    struct store_state *state = ctx;
    struct rows_key key;
    struct bytes old;
    struct buf *out = store_state_record(state);
    codec_add_consumer(out, record);
    rows_tagged(&key, 'i', record->id);
    bool is_update = store_state_get(state, KR_INDEX_SUBJECTS, &key, &old);
    store_state_put_record(state, KR_CLASS_CONSUMER, KR_INDEX_SUBJECTS, &key, buf_bytes(out));
    if (!is_update) {
        rows_tagged_pair(&key, 'n', record->bucket_id, record->name);
        store_state_put(state, KR_INDEX_SUBJECTS, &key, bytes_text(record->id));
        rows_tagged_pair(&key, 'b', record->bucket_id, record->id);
        store_state_put(state, KR_INDEX_SUBJECTS, &key, bytes_text(""));
    }
    check_sizes(state, KR_INDEX_SUBJECTS, record->id, record->name, record->metadata);
    struct store_consumer_change put_change = {.consumer = *record};
    if (!get_bucket(ctx, record->bucket_id, &put_change.bucket)) {
        store_state_note(state, KR_INDEX_BUCKETS, KR_ERR_CORRUPT);
        return;
    }
    add_change(state, KR_CHANGE_CONSUMER)->as.consumer =
        copy_of(state, &put_change, sizeof put_change);
}

static void free_consumer_name(void *ctx, const struct consumer *record)
{
    struct rows_key key;
    rows_tagged_pair(&key, 'n', record->bucket_id, record->name);
    free_name(ctx, KR_INDEX_SUBJECTS, &key, record->id);
}

static void delete_consumer(void *ctx, const struct consumer *record)
{
    struct rows_key key;
    free_consumer_name(ctx, record);
    rows_tagged_pair(&key, 'b', record->bucket_id, record->id);
    store_state_delete(ctx, KR_INDEX_SUBJECTS, &key);
    rows_tagged(&key, 'i', record->id);
    store_state_delete_record(ctx, KR_CLASS_CONSUMER, KR_INDEX_SUBJECTS, &key);
    add_change(ctx, KR_CHANGE_CONSUMER_GONE)->id = record->id;
}

// --- keys ----------------------------------------------------------------------------------------
// What is not in the loaded hot table is not in the index either, and costs no look at it. Whether
// that is loaded must change nothing: of a pair, its record stays while one of them is there.
static bool has_digest(void *ctx, const uint8_t digest[KR_DIGEST_SIZE])
{
    const struct store_state *state = ctx;
    struct store *store = state->store;
    struct rows_key start, key;
    bool may_be_there = !store_is_loaded(store) || hot_find(store->hot, digest) != NULL;
    rows_digest(&start, digest, KR_DIGEST_UNIQUE_BYTES);
    if (stage_has_key(store->stage, rows_key_bytes(&start), may_be_there)) {
        return true;
    }
    rows_digest(&key, digest, KR_DIGEST_SIZE);
    stage_assume_absent(store->stage, KR_INDEX_KEYS, rows_key_bytes(&key));
    return false;
}

static bool get_key(void *ctx, const uint8_t digest[KR_DIGEST_SIZE], struct key *out)
{
    struct store_state *state = ctx;
    struct rows_key key;
    struct bytes value;
    rows_digest(&key, digest, KR_DIGEST_SIZE);
    if (!store_state_get(state, KR_INDEX_KEYS, &key, &value)) {
        return false;
    }
    enum kr_err err = codec_key(value, &state->store->arena, out);
    store_state_note(state, KR_INDEX_KEYS, err);
    return err == KR_ERR_OK;
}

static bool has_key_id(void *ctx, const char *id)
{
    struct rows_key key;
    struct bytes value;
    rows_text(&key, id);
    return store_state_get(ctx, KR_INDEX_KEY_IDS, &key, &value);
}

static void put_key(void *ctx, const struct key *record)
{
    struct store_state *state = ctx;
    struct rows_key key;
    struct bytes old, digest = bytes_of(record->digest, KR_DIGEST_SIZE);
    struct buf *out = store_state_record(state);
    codec_add_key(out, record);
    rows_digest(&key, record->digest, KR_DIGEST_SIZE);
    bool is_update = store_state_get(state, KR_INDEX_KEYS, &key, &old);
    store_state_put_record(state, KR_CLASS_KEY, KR_INDEX_KEYS, &key, buf_bytes(out));
    if (!is_update) {
        rows_text(&key, record->id);
        store_state_put(state, KR_INDEX_KEY_IDS, &key, digest);
        rows_consumer_key(&key, record->consumer_id, record->created_ms, record->id);
        store_state_put(state, KR_INDEX_CONSUMER_KEYS, &key, digest);
    }
    struct store_key_change put_change = {.consumer_id = record->consumer_id, .is_new = !is_update};
    if (!store_hot_put(record, &state->store->arena, &put_change.put)) {
        store_state_note(state, KR_INDEX_KEYS, KR_ERR_CORRUPT);
        return;
    }
    add_change(state, KR_CHANGE_KEY)->as.key = copy_of(state, &put_change, sizeof put_change);
}

static void delete_key(void *ctx, const struct key *record)
{
    struct store_state *state = ctx;
    struct rows_key key;
    rows_digest(&key, record->digest, KR_DIGEST_SIZE);
    store_state_delete_record(state, KR_CLASS_KEY, KR_INDEX_KEYS, &key);
    rows_digest(&key, record->digest, KR_HOT_DIGEST_BYTES);
    store_state_delete(state, KR_INDEX_USAGE, &key);
    rows_text(&key, record->id);
    store_state_delete(state, KR_INDEX_KEY_IDS, &key);
    if (store_state_holds_core(state)) {
        store_state_delete_record(state, KR_CLASS_CORE, KR_INDEX_VAULT, &key);
    }
    rows_consumer_key(&key, record->consumer_id, record->created_ms, record->id);
    store_state_delete(state, KR_INDEX_CONSUMER_KEYS, &key);
    struct store_key_change gone = {.consumer_id = record->consumer_id};
    memcpy(gone.put.digest, record->digest, KR_DIGEST_SIZE);
    add_change(state, KR_CHANGE_KEY_GONE)->as.key = copy_of(state, &gone, sizeof gone);
}

// --- the first of many ---------------------------------------------------------------------------
static bool first_consumer(void *ctx, const char *bucket_id, struct consumer *out)
{
    struct store_state *state = ctx;
    struct rows_key prefix;
    struct bytes key;
    rows_tagged_pair(&prefix, 'b', bucket_id, NULL);
    if (!stage_first(state->store->stage, KR_INDEX_SUBJECTS, rows_key_bytes(&prefix),
                     (struct bytes){0}, &key)) {
        return false;
    }
    struct bytes id = bytes_of(key.data + prefix.size, key.size - prefix.size);
    if (get_consumer(ctx, text_of(state, id), out)) {
        return true;
    }
    store_state_note(state, KR_INDEX_SUBJECTS, KR_ERR_CORRUPT);
    return false;
}

static bool first_key(void *ctx, const char *consumer_id, struct key *out)
{
    struct store_state *state = ctx;
    struct rows_key prefix;
    struct bytes key, digest;
    rows_pair(&prefix, consumer_id, NULL);
    if (!stage_first(state->store->stage, KR_INDEX_CONSUMER_KEYS, rows_key_bytes(&prefix),
                     (struct bytes){0}, &key)) {
        return false;
    }
    if (stage_get(state->store->stage, KR_INDEX_CONSUMER_KEYS, key, &digest) &&
        digest.size == KR_DIGEST_SIZE && get_key(ctx, digest.data, out)) {
        return true;
    }
    store_state_note(state, KR_INDEX_CONSUMER_KEYS, KR_ERR_CORRUPT);
    return false;
}

struct apply_state store_state_verbs(struct store_state *state)
{
    struct apply_state verbs = {
        .ctx = state,
        .get_bucket = get_bucket,
        .get_bucket_id = get_bucket_id,
        .put_bucket = put_bucket,
        .delete_bucket = delete_bucket,
        .free_bucket_name = free_bucket_name,
        .get_consumer = get_consumer,
        .get_consumer_id = get_consumer_id,
        .get_live_consumer_bucket = get_live_consumer_bucket,
        .put_consumer = put_consumer,
        .delete_consumer = delete_consumer,
        .free_consumer_name = free_consumer_name,
        .has_digest = has_digest,
        .get_key = get_key,
        .has_key_id = has_key_id,
        .put_key = put_key,
        .delete_key = delete_key,
        .first_consumer = first_consumer,
        .first_key = first_key,
    };
    store_state_add_core(&verbs);
    store_state_add_member(&verbs);
    if (!store_state_holds_core(state)) {
        store_state_keep_part(&verbs);
    }
    return verbs;
}
