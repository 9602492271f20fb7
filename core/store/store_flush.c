// SPDX-License-Identifier: Apache-2.0
// The flush: a sync of RocksDB's log behind its commits. See store_flush.h.
//
// A start needs none: what RocksDB reads from its log it writes into tables, with a sync, before
// the database is open.
#include "core/store/store_flush.h"

#include "core/store/store_internal.h"

bool store_is_synced(const struct store *store)
{
    return store->options.holding == KR_HOLD_ALL && !store->options.is_log_elsewhere;
}

bool store_flush_begin(const struct store *store, struct store_flush *flush)
{
    *flush = (struct store_flush){.index = store->applied.position.index};
    return store->options.holding == KR_HOLD_ALL && flush->index > store->safe_index;
}

void store_flush_run(struct store *store, struct store_flush *flush)
{
    flush->err = index_sync(store->index, &flush->fault);
}

enum kr_err store_flush_end(struct store *store, const struct store_flush *flush,
                            struct fault *fault)
{
    if (flush->err != KR_ERR_OK) {
        *fault = flush->fault;
        return flush->err;
    }
    store_safe(store, flush->index);
    return KR_ERR_OK;
}

void store_safe(struct store *store, uint64_t index)
{
    store->safe_index = index;
    watermark_set(store->watermark, index);
}

uint64_t store_safe_index(const struct store *store)
{
    return store->safe_index;
}
