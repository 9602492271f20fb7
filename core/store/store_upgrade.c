// SPDX-License-Identifier: Apache-2.0
// From format 1 of the data directory to this one.
//
// Format 1 had due rows in one order (their keys without the group), four classes in the state
// digest (members were not known, and all due rows and the cluster's name were in the core class),
// log rows that do not say whether the entry had effect, and a count of each consumer's keys.
//
// First the due rows get their groups, a batch at a time: keys of format 1 begin with a time, which
// sorts behind both groups, so that what is left to do is where it ends. The log goes, whose
// entries' effect nobody knows any more: who is behind takes a snapshot. Then one batch brings the
// position, the holding and the format.
#include "core/base/log.h"
#include "core/store/store_internal.h"

#define KR_UPGRADE_ROWS 1024u  // a batch
#define KR_UPGRADE_OLD_DUE "w" // above both groups

enum { KR_OLD_BUCKET, KR_OLD_CONSUMER, KR_OLD_KEY, KR_OLD_CORE, KR_OLD_CLASSES };

// --- due rows ------------------------------------------------------------------------------------
// The row of format 1 with its group in front. False: it is no due row.
static bool regroup(struct bytes old, struct rows_key *key)
{
    static const char groups[] = {'v', 'c'};
    struct apply_due_row row;
    for (size_t i = 0; i < sizeof groups && old.size < KR_ROWS_KEY_MAX; i++) {
        rows_tagged(key, groups[i], "");
        memcpy(key->data + 1, old.data, old.size);
        key->size = old.size + 1;
        if (rows_read_due(rows_key_bytes(key), &row)) {
            return true;
        }
    }
    return false;
}

// What becomes of a row; false: it is not what it should be.
typedef bool change_fn(struct store *store, struct bytes key, struct bytes value);

static bool move_due(struct store *store, struct bytes old, struct bytes value)
{
    struct rows_key key;
    if (!regroup(old, &key)) {
        return false;
    }
    index_batch_put(store->index, store->batch, KR_INDEX_DUE, rows_key_bytes(&key), value);
    index_batch_delete(store->index, store->batch, KR_INDEX_DUE, old);
    return true;
}

static bool drop_log(struct store *store, struct bytes key, struct bytes value)
{
    (void)value;
    index_batch_delete(store->index, store->batch, KR_INDEX_LOG, key);
    return true;
}

static bool drop_count(struct store *store, struct bytes key, struct bytes value)
{
    (void)value;
    index_batch_delete(store->index, store->batch, KR_INDEX_COUNTS, key);
    return true;
}

// One batch; count: rows done.
static enum kr_err change_some(struct store *store, const struct index_range *range,
                               change_fn *change, size_t *count, struct fault *fault)
{
    struct bytes key, value;
    enum kr_err err = KR_ERR_OK;
    struct index_cursor *cursor = index_cursor_open(store->index, range);
    index_batch_clear(store->batch);
    index_cursor_first(cursor);
    for (*count = 0; *count < KR_UPGRADE_ROWS && index_cursor_row(cursor, &key, &value);
         ++*count, index_cursor_next(cursor)) {
        if (!change(store, key, value)) {
            err = store_damaged(store, range->family, fault);
            goto done;
        }
    }
    err = index_cursor_result(cursor, fault);
    if (err == KR_ERR_OK && *count > 0) {
        err = index_write(store->index, store->batch, true, fault);
    }
done:
    index_cursor_close(&cursor);
    return err;
}

// Every row of the range is gone from it when it was changed.
static enum kr_err change_all(struct store *store, const struct index_range *range,
                              change_fn *change, struct fault *fault)
{
    size_t count = KR_UPGRADE_ROWS;
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && count == KR_UPGRADE_ROWS) {
        err = change_some(store, range, change, &count, fault);
    }
    return err;
}

static enum kr_err change_rows(struct store *store, struct fault *fault)
{
    struct index_range due = {.family = KR_INDEX_DUE, .lower = bytes_text(KR_UPGRADE_OLD_DUE)};
    struct index_range log = {.family = KR_INDEX_LOG};
    struct index_range counts = {
        .family = KR_INDEX_COUNTS, .lower = bytes_text("k"), .upper = bytes_text("l")};
    enum kr_err err = change_all(store, &due, move_due, fault);
    if (err == KR_ERR_OK) {
        err = change_all(store, &log, drop_log, fault);
    }
    return err == KR_ERR_OK ? change_all(store, &counts, drop_count, fault) : err;
}

// --- the digests ---------------------------------------------------------------------------------
static void move_term(struct store_position *position, enum store_class to, struct hash128 old,
                      struct hash128 now)
{
    struct hash128 *core = &position->digest[KR_CLASS_CORE];
    *core = hash_sum_sub(*core, old);
    position->digest[to] = hash_sum_add(position->digest[to], now);
}

static enum kr_err sum_due(struct store *store, struct store_position *position,
                           struct fault *fault)
{
    struct bytes key, value;
    struct index_cursor *cursor = index_cursor_open(
        store->index, &(struct index_range){.family = KR_INDEX_DUE, .is_scan = true});
    index_cursor_first(cursor);
    for (; index_cursor_row(cursor, &key, &value); index_cursor_next(cursor)) {
        struct bytes old = bytes_of(key.data + 1, key.size - 1);
        struct hash128 before = rows_term(&store->scratch, KR_INDEX_DUE, old, value);
        struct hash128 now = rows_term(&store->scratch, KR_INDEX_DUE, key, value);
        move_term(position, key.data[0] == 'v' ? KR_CLASS_DUE : KR_CLASS_CORE, before, now);
    }
    enum kr_err err = index_cursor_result(cursor, fault);
    index_cursor_close(&cursor);
    return err;
}

static enum kr_err sum_cluster(struct store *store, struct store_position *position,
                               struct fault *fault)
{
    struct index_reader reader = {.index = store->index};
    struct bytes key = bytes_text(KR_ROWS_CLUSTER), value;
    if (index_read(&reader, KR_INDEX_META, key, &store->arena, &value)) {
        struct hash128 term = rows_term(&store->scratch, KR_INDEX_META, key, value);
        move_term(position, KR_CLASS_MEMBER, term, term);
    }
    *fault = reader.fault;
    return reader.fault.err;
}

// --- the position --------------------------------------------------------------------------------
// Format 1's row: index, epoch, chain, four digests, what the log holds (2), checksum.
static bool read_old(struct bytes in, struct store_position *out)
{
    static const enum store_class classes[KR_OLD_CLASSES] = {[KR_OLD_BUCKET] = KR_CLASS_BUCKET,
                                                             [KR_OLD_CONSUMER] = KR_CLASS_CONSUMER,
                                                             [KR_OLD_KEY] = KR_CLASS_KEY,
                                                             [KR_OLD_CORE] = KR_CLASS_CORE};
    enum { WORDS = 2 + 2 + 2 * KR_OLD_CLASSES + 2 };
    uint64_t words[WORDS + 1];
    if (in.size != sizeof words) {
        return false;
    }
    for (size_t i = 0; i <= WORDS; i++) {
        (void)rows_get_u64(bytes_of(in.data + 8 * i, 8), &words[i]);
    }
    *out = (struct store_position){
        .index = words[0], .epoch = words[1], .chain = {.high = words[2], .low = words[3]}};
    for (size_t i = 0; i < KR_OLD_CLASSES; i++) {
        out->digest[classes[i]] =
            (struct hash128){.high = words[4 + 2 * i], .low = words[5 + 2 * i]};
    }
    return words[WORDS] == hash_u64(bytes_of(in.data, 8 * WORDS), 0);
}

static enum kr_err finish(struct store *store, const struct rows_applied *applied,
                          struct fault *fault)
{
    uint8_t format[4], holding[4];
    rows_put_u32(format, KR_STORE_FORMAT);
    rows_put_u32(holding, KR_HOLD_ALL);
    index_batch_clear(store->batch);
    index_batch_put(store->index, store->batch, KR_INDEX_META, bytes_text(KR_ROWS_HOLDING),
                    bytes_of(holding, sizeof holding));
    index_batch_put(store->index, store->batch, KR_INDEX_META, bytes_text(KR_ROWS_FORMAT),
                    bytes_of(format, sizeof format));
    store_put_applied(store, applied);
    return index_write(store->index, store->batch, true, fault);
}

enum kr_err store_upgrade(struct store *store, struct bytes applied, struct fault *fault)
{
    struct rows_applied now = {.log_first = 0};
    if (applied.size > 0 && !read_old(applied, &now.position)) {
        return store_damaged(store, KR_INDEX_META, fault);
    }
    enum kr_err err = change_rows(store, fault);
    if (err == KR_ERR_OK) {
        err = sum_due(store, &now.position, fault);
    }
    if (err == KR_ERR_OK) {
        err = sum_cluster(store, &now.position, fault);
    }
    if (err == KR_ERR_OK) {
        err = finish(store, &now, fault);
    }
    if (err == KR_ERR_OK) {
        store->applied = now;
        LOG_INFO("the data directory was brought to this version's format",
                 LOG_TEXT("directory", index_directory(store->index)), LOG_NUMBER("from", 1),
                 LOG_NUMBER("to", KR_STORE_FORMAT), LOG_NUMBER("index", now.position.index));
    }
    return err;
}
