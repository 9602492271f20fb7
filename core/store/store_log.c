// SPDX-License-Identifier: Apache-2.0
// The log's rows: reading, verifying, and trimming by age and size.
#include "core/store/store_internal.h"

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

enum kr_err store_log_row(struct store *store, uint64_t index, struct arena *arena,
                          struct rows_log *out, struct fault *fault)
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
    if (!rows_get_log(value, index, out)) {
        return damaged_row(store, index, "is damaged (its checksum differs)", fault);
    }
    return KR_ERR_OK;
}

// --- verifying -----------------------------------------------------------------------------------
// A follower has parts of the entries, over which nobody can compute the chain.
static bool has_chain(const struct store *store)
{
    return store->options.holding == KR_HOLD_ALL;
}

// Walks first..last: every row there, whole, and chained to the one before it. previous is the
// chain before `first`; NULL: unknown. Gives the last row, without its entry.
static enum kr_err verify(struct store *store, uint64_t first, uint64_t last,
                          const struct hash128 *previous, struct rows_log *out, struct fault *fault)
{
    struct rows_key lower, upper;
    struct bytes key, value;
    struct hash128 chain = previous ? *previous : (struct hash128){0};
    struct rows_log row = {.chain = chain};
    bool is_chained = previous != NULL && has_chain(store);
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
        if (!rows_get_log(value, index, &row)) {
            err = damaged_row(store, index, "is damaged (its checksum differs)", fault);
            goto done;
        }
        if (is_chained && !hash_equal(row.chain, hash_chain(chain, row.entry))) {
            err = damaged_row(store, index, "does not follow the row before it (chain)", fault);
            goto done;
        }
        chain = row.chain;
        is_chained = has_chain(store);
    }
    err = index_cursor_result(cursor, fault);
    if (err == KR_ERR_OK && expected <= last) {
        err = damaged_row(store, expected, "is missing", fault);
    }
    row.entry = (struct bytes){0};
    *out = row;
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
    struct rows_log row;
    enum kr_err err = store_log_row(store, last + 1, &store->arena, &row, fault);
    if (err != KR_ERR_NOT_FOUND) {
        return err != KR_ERR_OK ? err
                                : damaged_row(store, last + 1,
                                              "is behind the position that the state has", fault);
    }
    if (first == 0) {
        return KR_ERR_OK; // nothing was written since the start, an upgrade or a snapshot
    }
    if (first > last) {
        return store_damaged(store, KR_INDEX_META, fault);
    }
    uint64_t from = tail_first(first, last);
    err = verify(store, from, last, chain_before(from), &row, fault);
    if (err == KR_ERR_OK && !hash_equal(row.chain, applied->position.chain)) {
        err = damaged_row(store, last, "has another chain than the state", fault);
    }
    store->log_last_at_ms = row.at_ms;
    return err;
}

enum kr_err store_verify_log(struct store *store, struct fault *fault)
{
    uint64_t first = store_log_first(store), last = store_applied_index(store);
    struct rows_log row;
    struct fault unread;
    if (first == 0) {
        return KR_ERR_OK;
    }
    fault = fault ? fault : &unread;
    enum kr_err err = verify(store, first, last, chain_before(first), &row, fault);
    // Rows that were trimmed meanwhile are no damage.
    uint64_t now_first = store_log_first(store);
    while (err == KR_ERR_CORRUPT && now_first != first) {
        first = now_first;
        err = verify(store, first, last < first ? first : last, chain_before(first), &row, fault);
        now_first = store_log_first(store);
    }
    return err;
}

// --- reading -------------------------------------------------------------------------------------
enum kr_err store_log_read(struct store *store, uint64_t index, struct arena *arena,
                           struct bytes *entry, struct hash128 *chain, struct fault *fault)
{
    uint64_t first = store->applied.log_first;
    struct rows_log previous = {.epoch = 0}, row = {.epoch = 0};
    enum kr_err err = KR_ERR_OK;
    if (first == 0 || index < first || index > store->applied.position.index) {
        return KR_ERR_NOT_FOUND;
    }
    if (index > first) {
        err = store_log_row(store, index - 1, arena, &previous, fault);
    }
    if (err == KR_ERR_OK) {
        err = store_log_row(store, index, arena, &row, fault);
    }
    if (err == KR_ERR_NOT_FOUND) {
        return damaged_row(store, index, "or the one before it is missing", fault);
    }
    if (err == KR_ERR_OK && (index > first || index == 1) && has_chain(store) &&
        !hash_equal(row.chain, hash_chain(previous.chain, row.entry))) {
        return damaged_row(store, index, "does not follow the row before it (chain)", fault);
    }
    *entry = row.entry;
    *chain = row.chain;
    return err;
}

uint64_t store_log_first(const struct store *store)
{
    return atomic_load_explicit(&store->log_first, memory_order_relaxed);
}

// --- trimming ------------------------------------------------------------------------------------
// INT64_MAX: unreadable, which trimming leaves for the reader to report.
static int64_t time_of(uint64_t index, struct bytes value)
{
    struct rows_log row;
    return rows_get_log(value, index, &row) ? row.at_ms : INT64_MAX;
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
            store->log_first_at_ms = time_of(index, value);
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
    // Whoever verifies the log must not miss rows that he is not told to miss.
    atomic_store(&store->log_first, applied.log_first);
    // Not synced: a crash that undoes it leaves rows that the next step cuts again.
    enum kr_err err = index_write(store->index, store->batch, false, NULL);
    if (err == KR_ERR_OK) {
        store->applied = applied;
    } else {
        atomic_store(&store->log_first, store->applied.log_first);
        store->must_reopen |= err == KR_ERR_DISK_FULL;
    }
    return err == KR_ERR_OK && is_trim_due(store, now_ms);
}
