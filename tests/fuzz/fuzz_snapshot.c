// SPDX-License-Identifier: Apache-2.0
// Fuzzes snapshot chunks (the first two bytes: holding and family) and the progress file.
#include "core/store/import_progress.h"
#include "core/store/snapshot_rows.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_chunk(enum store_holding holding, struct store_chunk *chunk)
{
    struct bytes rows = chunk->rows, key, value;
    struct buf again;
    buf_init(&again, chunk->rows.size);
    for (; snapshot_take_row(&rows, &key, &value); chunk->row_count++, chunk->last_key = key)
        snapshot_add_row(&again, key, value);
    assert(bytes_equal(buf_bytes(&again), bytes_of(chunk->rows.data, again.size)));
    if (snapshot_is_sound(chunk, holding, (struct bytes){0})) {
        assert(rows.size == 0 && chunk->row_count > 0);
        assert(holding == KR_HOLD_ALL || chunk->family != KR_INDEX_VAULT);
        assert(!snapshot_is_sound(chunk, holding, chunk->last_key)); // out of order
    }
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct import_progress progress;
    struct buf out;
    if (size < 2)
        return 0;
    struct bytes rows = bytes_of(data + 2, size - 2);
    struct store_chunk chunk = {.family = data[1], .rows = rows, .checksum = hash_u64(rows, 0)};
    check_chunk(data[0] & 1 ? KR_HOLD_VALIDATION : KR_HOLD_ALL, &chunk);
    buf_init(&out, size);
    if (import_progress_get(rows, &progress))
        import_progress_add(&out, &progress);
    assert(buf_result(&out) == KR_ERR_OK && (out.size == 0 || bytes_equal(buf_bytes(&out), rows)));
    buf_fini(&out);
    return 0;
}
