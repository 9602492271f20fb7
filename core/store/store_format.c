// SPDX-License-Identifier: Apache-2.0
// What a directory says of itself: its format, what it was made to hold, where its state stands.
#include "core/store/store_internal.h"

static const char *const holdings[] = {
    [KR_HOLD_ALL] = "a core node", [KR_HOLD_VALIDATION] = "a follower"};

static enum kr_err make_new(struct store *store, struct fault *fault)
{
    uint8_t format[4], holding[4];
    rows_put_u32(format, KR_STORE_FORMAT);
    rows_put_u32(holding, store->options.holding);
    index_batch_clear(store->batch);
    index_batch_put(store->index, store->batch, KR_INDEX_META, bytes_text(KR_ROWS_FORMAT),
                    bytes_of(format, sizeof format));
    index_batch_put(store->index, store->batch, KR_INDEX_META, bytes_text(KR_ROWS_HOLDING),
                    bytes_of(holding, sizeof holding));
    return index_write(store->index, store->batch, true, fault);
}

static enum kr_err check_holding(const struct store *store, uint32_t holding, struct fault *fault)
{
    if (holding > KR_HOLD_VALIDATION) {
        return store_damaged(store, KR_INDEX_META, fault);
    }
    if (holding == store->options.holding) {
        return KR_ERR_OK;
    }
    return fault_set(fault, KR_ERR_CONFLICT,
                     "%s holds the state of %s, and this is %s; name another data directory, or "
                     "empty it and let the node join again",
                     index_directory(store->index), holdings[holding],
                     holdings[store->options.holding]);
}

static enum kr_err read_current(struct store *store, struct bytes holding, bool has_applied,
                                struct bytes applied, struct fault *fault)
{
    uint32_t number = 0;
    if (!rows_get_u32(holding, &number) ||
        (has_applied && !rows_get_applied(applied, &store->applied))) {
        return store_damaged(store, KR_INDEX_META, fault);
    }
    return check_holding(store, number, fault);
}

static enum kr_err refuse_format(const struct store *store, uint32_t format, struct fault *fault)
{
    return fault_set(fault, KR_ERR_VERSION,
                     "%s was written by format %u and this version reads format %d; use the "
                     "version that wrote it, or name another data directory",
                     index_directory(store->index), format, KR_STORE_FORMAT);
}

static bool read(struct store *store, struct index_reader *reader, const char *name,
                 struct bytes *value)
{
    *value = (struct bytes){0};
    return index_read(reader, KR_INDEX_META, bytes_text(name), &store->arena, value);
}

enum kr_err store_format_open(struct store *store, struct fault *fault)
{
    struct index_reader reader = {.index = store->index};
    struct bytes value, holding, applied;
    uint32_t format = 0;
    bool has_format = read(store, &reader, KR_ROWS_FORMAT, &value);
    bool has_applied = read(store, &reader, KR_ROWS_APPLIED, &applied);
    (void)read(store, &reader, KR_ROWS_HOLDING, &holding);
    if (reader.fault.err != KR_ERR_OK) {
        *fault = reader.fault;
        return reader.fault.err;
    }
    if (has_format ? !rows_get_u32(value, &format) : has_applied) {
        return store_damaged(store, KR_INDEX_META, fault);
    }
    if (!has_format) {
        // Else it is gone with everything else, which the look at the watermark says.
        return watermark_index(store->watermark) == 0 ? make_new(store, fault) : KR_ERR_OK;
    }
    if (format == KR_STORE_FORMAT) {
        return read_current(store, holding, has_applied, applied, fault);
    }
    if (format != 1) {
        return refuse_format(store, format, fault);
    }
    enum kr_err err = check_holding(store, KR_HOLD_ALL, fault);
    return err == KR_ERR_OK ? store_upgrade(store, applied, fault) : err;
}
