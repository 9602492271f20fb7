// SPDX-License-Identifier: Apache-2.0
// Room on the disk, and the file beside RocksDB's that says that the state is wrong. An operator
// who knows better removes it.
#include "core/store/store_health.h"

#include <unistd.h>

#include "core/base/file.h"
#include "core/store/store_internal.h"

#define KR_STORE_WRITE_FACTOR 2 // a batch lies in the write-ahead log, and soon in a table too
#define KR_STORE_BATCH_FACTOR 3 // an entry's own row, and the records that it changes

static const char wrong[] = "differs";

enum kr_err store_check_space(const struct store *store, uint64_t batch_bytes, struct fault *fault)
{
    if (store->must_reopen) {
        return fault_set(fault, KR_ERR_DISK_FULL,
                         "%s: the disk was full; free space and restart the node",
                         index_directory(store->index));
    }
    uint64_t need = KR_STORE_WRITE_FACTOR * batch_bytes + store->options.disk_reserve_bytes;
    uint64_t free_bytes = index_disk_free(store->index);
    if (free_bytes < need) {
        return fault_set(fault, KR_ERR_DISK_FULL,
                         "%s: %llu bytes are free, and a write needs %llu with the %llu that are "
                         "kept in reserve; free space, and writes go on by themselves",
                         index_directory(store->index), (unsigned long long)free_bytes,
                         (unsigned long long)need,
                         (unsigned long long)store->options.disk_reserve_bytes);
    }
    return KR_ERR_OK;
}

enum kr_err store_check_room(const struct store *store, uint64_t size_bytes, struct fault *fault)
{
    return store_check_space(store, KR_STORE_BATCH_FACTOR * size_bytes, fault);
}

enum kr_err store_mark_wrong(const struct store *store, const char *why, struct fault *fault)
{
    char *path = file_path(index_directory(store->index), wrong);
    enum kr_err err = file_replace(path, bytes_text(why), 0600, fault);
    mem_free(path);
    return err;
}

bool store_is_wrong(const struct store *store)
{
    char *path = file_path(index_directory(store->index), wrong);
    bool is_there = access(path, F_OK) == 0;
    mem_free(path);
    return is_there;
}
