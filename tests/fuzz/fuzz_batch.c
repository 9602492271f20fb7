// SPDX-License-Identifier: Apache-2.0
// Fuzzes batches of the log in etcd: what decodes has one encoding, which decodes to the same.
#include <assert.h>

#include "proto/codec_batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum kr_err recode(struct bytes in, struct buf *out)
{
    struct arena arena;
    struct codec_batch batch;
    arena_init(&arena);
    enum kr_err err = codec_batch(in, &arena, &batch);
    assert(err == KR_ERR_OK || err == KR_ERR_CORRUPT);
    if (err == KR_ERR_OK) {
        assert(batch.first_index > 0 && (batch.count > 0) != (batch.part_count > 0));
        for (size_t i = 0; i < batch.count; i++)
            assert(batch.entries[i].size > 0 &&
                   batch.entries[i].data + batch.entries[i].size <= in.data + in.size);
        codec_add_batch(out, &batch);
    }
    arena_fini(&arena);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf once, twice;
    buf_init(&once, size);
    buf_init(&twice, size);
    if (recode(bytes_of(data, size), &once) == KR_ERR_OK) {
        assert(buf_result(&once) == KR_ERR_OK);
        assert(recode(buf_bytes(&once), &twice) == KR_ERR_OK);
        assert(bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
    }
    buf_fini(&once);
    buf_fini(&twice);
    return 0;
}
