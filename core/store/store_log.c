// SPDX-License-Identifier: Apache-2.0
// The log's rows: reading, verifying, and trimming by age and size.
#include "core/store/store_internal.h"

#include "proto/codec.h"

#define KR_LOG_TAIL_ROWS 256         // verified at every start
#define KR_LOG_TRIM_ROWS 256         // a step
#define KR_LOG_TRIM_BYTES (4u << 20) // a step, but always one row

static enum kr_err damaged_row(const struct store *store, uint64_t index, const char *what,
                               struct fault *fault)
{
    return fault_set(fault, KR_ERR_CORRUPT,
                     "%s: log row %llu %s; restore this directory from a backup, or empty it and "
                     "let the node join again",
                     index_directory(store->index), (unsigned long long)index, what);
}

// One row, with its checksum verified. NOT_FOUND: it is not there.
static enum kr_err read_row(struct store *store, uint64_t index, struct arena *arena,
                            struct bytes *entry, struct hash128 *chain, struct fault *fault)
{
    struct index_reader reader = {.index = store->index};
    struct rows_key key;
    struct bytes value;
    rows_index(&key, index);
    if (!index_read(&reader, KR_INDEX_LOG, rows_key_bytes(&key), arena, &value)) {
        if (reader.fault.err == KR_ERR_OK) {
            return KR_ERR_NOT_FOUND;
        }
        if (fault) {
            *fault = reader.fault;
        }
        return reader.fault.err;
    }
    if (!rows_get_log(value, index, chain, entry)) {
        return damaged_row(store, index, "is damaged (its checksum differs)", fault);
    }
    return KR_ERR_OK;
}

// --- verifying -----------------------------------------------------------------------------------
// Walks first..last: every row there, whole, and chained to the one before it. previous is the
// chain before `first`; NULL: unknown. Gives the last row's chain.
static enum kr_err verify(struct store *store, uint64_t first, uint64_t last,
                          const struct hash128 *previous, struct hash128 *out, struct fault *fault)
{
    struct rows_key lower, upper;
    struct bytes key, value, entry;
    struct hash128 chain = previous ? *previous : (struct hash128){0}, row;
    bool is_chained = previous != NULL;
    uint64_t expected = first, index = 0;
    enum kr_err err = KR_ERR_OK;
    rows_index(&lower, first);
    rows_index(&upper, last + 1);
    struct index_cursor *cursor =
        index_cursor_open(store->index, &(struct index_range){.family = KR_INDEX_LOG,
                                                              .lower = rows_key_bytes(&lower),
                                                              .upper = rows_key_bytes(&upper),
                                                              .is_scan = true});
    index_cursor_first(cursor);
    for (; index_cursor_row(cursor, &key, &value); index_cursor_next(cursor), expected++) {
        if (!rows_get_u64(key, &index) || index != expected) {
            break;
        }
        if (atomic_load_explicit(&store->is_closing, memory_order_relaxed)) {
            err = fault_set(fault, KR_ERR_BUSY, "the store is being closed");
            goto done;
        }
        if (!rows_get_log(value, index, &row, &entry)) {
            err = damaged_row(store, index, "is damaged (its checksum differs)", fault);
            goto done;
        }
        if (is_chained && !hash_equal(row, hash_chain(chain, entry))) {
            err = damaged_row(store, index, "does not follow the row before it (chain)", fault);
            goto done;
        }
        chain = row;
        is_chained = true;
    }
    err = index_cursor_result(cursor, fault);
    if (err == KR_ERR_OK && expected <= last) {
        err = damaged_row(store, expected, "is missing", fault);
    }
    *out = chain;
done:
    index_cursor_close(&cursor);
    return err;
}

static uint64_t tail_first(uint64_t first, uint64_t last)
{
    return last - first >= KR_LOG_TAIL_ROWS ? last - KR_LOG_TAIL_ROWS + 1 : first;
}

// The chain before the first entry ever is zero; before any other row it is unknown.
static const struct hash128 *chain_before(uint64_t index)
{
    static const struct hash128 zero;
    return index == 1 ? &zero : NULL;
}

enum kr_err store_log_check_tail(struct store *store, struct fault *fault)
{
    const struct rows_applied *applied = &store->applied;
    uint64_t last = applied->position.index, first = applied->log_first;
    struct hash128 chain;
    struct bytes entry;
    enum kr_err err = read_row(store, last + 1, &store->arena, &entry, &chain, fault);
    if (err != KR_ERR_NOT_FOUND) {
        return err != KR_ERR_OK ? err
                                : damaged_row(store, last + 1,
                                              "is behind the position that the state has", fault);
    }
    if (first == 0) {
        return KR_ERR_OK; // nothing was written yet
    }
    if (first > last) {
        return store_damaged(store, KR_INDEX_META, fault);
    }
    uint64_t from = tail_first(first, last);
    err = verify(store, from, last, chain_before(from), &chain, fault);
    if (err == KR_ERR_OK && !hash_equal(chain, applied->position.chain)) {
        err = damaged_row(store, last, "has another chain than the state", fault);
    }
    return err;
}

enum kr_err store_verify_log(struct store *store, struct fault *fault)
{
    uint64_t first = store_log_first(store), last = store_applied_index(store);
    struct hash128 chain;
    struct fault unread;
    if (first == 0) {
        return KR_ERR_OK;
    }
    fault = fault ? fault : &unread;
    enum kr_err err = verify(store, first, last, chain_before(first), &chain, fault);
    // Rows that were trimmed meanwhile are no damage.
    uint64_t now_first = store_log_first(store);
    while (err == KR_ERR_CORRUPT && now_first != first) {
        first = now_first;
        err = verify(store, first, last < first ? first : last, chain_before(first), &chain, fault);
        now_first = store_log_first(store);
    }
    return err;
}

// --- reading -------------------------------------------------------------------------------------
enum kr_err store_log_read(struct store *store, uint64_t index, struct arena *arena,
                           struct bytes *entry, struct hash128 *chain, struct fault *fault)
{
    uint64_t first = store->applied.log_first;
    struct hash128 previous = {0};
    struct bytes unused;
    enum kr_err err = KR_ERR_OK;
    if (first == 0 || index < first || index > store->applied.position.index) {
        return KR_ERR_NOT_FOUND;
    }
    if (index > first) {
        err = read_row(store, index - 1, arena, &unused, &previous, fault);
    }
    if (err == KR_ERR_OK) {
        err = read_row(store, index, arena, entry, chain, fault);
    }
    if (err == KR_ERR_NOT_FOUND) {
        return damaged_row(store, index, "or the one before it is missing", fault);
    }
    if (err == KR_ERR_OK && (index > first || index == 1) &&
        !hash_equal(*chain, hash_chain(previous, *entry))) {
        return damaged_row(store, index, "does not follow the row before it (chain)", fault);
    }
    return err;
}

uint64_t store_log_first(const struct store *store)
{
    return atomic_load_explicit(&store->log_first, memory_order_relaxed);
}

// --- trimming ------------------------------------------------------------------------------------
// INT64_MAX: unreadable, which trimming leaves for the reader to report.
static int64_t time_of(struct bytes value)
{
    struct entry entry;
    struct arena arena;
    if (value.size < KR_ROWS_LOG_HEAD) {
        return INT64_MAX;
    }
    arena_init(&arena);
    struct bytes encoded = bytes_of(value.data + KR_ROWS_LOG_HEAD, value.size - KR_ROWS_LOG_HEAD);
    bool is_read = codec_entry(encoded, &arena, &entry) == KR_ERR_OK;
    arena_fini(&arena);
    return is_read ? entry.at_unix_us / 1000 : INT64_MAX;
}

static bool is_too_large(const struct store *store, const struct rows_applied *applied)
{
    uint64_t limit = store->options.log_retention_bytes;
    return limit != 0 && applied->log_bytes > limit;
}

// By the oldest row's time, which may be unknown: then perhaps.
static bool is_too_old(const struct store *store, int64_t now_ms)
{
    int64_t limit = store->options.log_retention_ms;
    return limit != 0 && store->log_first_at_ms < now_ms - limit;
}

// Steps over the rows that are to go; the newest always stays, for the check at the next start.
static void cut_rows(struct store *store, struct index_cursor *cursor, int64_t now_ms,
                     struct rows_applied *applied)
{
    struct bytes key, value;
    uint64_t index = 0, cut_bytes = 0;
    unsigned rows = 0;
    for (; index_cursor_row(cursor, &key, &value) && rows < KR_LOG_TRIM_ROWS &&
           (rows == 0 || cut_bytes + value.size <= KR_LOG_TRIM_BYTES);
         index_cursor_next(cursor), rows++) {
        if (!rows_get_u64(key, &index) || index != applied->log_first ||
            index == applied->position.index) {
            return;
        }
        if (!is_too_large(store, applied)) {
            store->log_first_at_ms = time_of(value);
            if (!is_too_old(store, now_ms)) {
                return;
            }
        }
        index_batch_delete(store->index, store->batch, KR_INDEX_LOG, key);
        applied->log_first++;
        applied->log_bytes -= value.size < applied->log_bytes ? value.size : applied->log_bytes;
        cut_bytes += value.size;
        store->log_first_at_ms = INT64_MIN;
    }
}

static bool is_trim_due(const struct store *store, int64_t now_ms)
{
    const struct rows_applied *applied = &store->applied;
    return !store->must_reopen && applied->log_first != 0 &&
           applied->log_first < applied->position.index &&
           (is_too_large(store, applied) || is_too_old(store, now_ms));
}

bool store_log_trim(struct store *store, int64_t now_ms)
{
    struct rows_key lower;
    if (!is_trim_due(store, now_ms)) {
        return false;
    }
    struct rows_applied applied = store->applied;
    rows_index(&lower, applied.log_first);
    struct index_cursor *cursor =
        index_cursor_open(store->index, &(struct index_range){.family = KR_INDEX_LOG,
                                                              .lower = rows_key_bytes(&lower)});
    index_batch_clear(store->batch);
    index_cursor_first(cursor);
    cut_rows(store, cursor, now_ms, &applied);
    index_cursor_close(&cursor);
    if (applied.log_first == store->applied.log_first) {
        return false;
    }
    store_put_applied(store, &applied);
    // Not synced: a crash that undoes it leaves rows that the next step cuts again.
    enum kr_err err = index_write(store->index, store->batch, false, NULL);
    if (err == KR_ERR_OK) {
        store->applied = applied;
        atomic_store_explicit(&store->log_first, applied.log_first, memory_order_relaxed);
    } else if (err == KR_ERR_DISK_FULL) {
        store->must_reopen = true;
    }
    return err == KR_ERR_OK && is_trim_due(store, now_ms);
}
