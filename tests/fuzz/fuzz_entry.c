// SPDX-License-Identifier: Apache-2.0
// Fuzzes log entries: what decodes has one canonical encoding, no longer than what came in.
#include "proto/codec.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum kr_err recode(struct bytes in, struct buf *out, struct entry *entry)
{
    struct arena arena;
    arena_init(&arena);
    enum kr_err err = codec_entry(in, &arena, entry);
    if (err == KR_ERR_OK)
        codec_add_entry(out, entry);
    arena_fini(&arena);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct entry place; // its texts are gone
    struct buf once, twice, placed;
    buf_init(&once, size);
    buf_init(&twice, size);
    buf_init(&placed, size);
    enum kr_err err = recode(bytes_of(data, size), &once, &place);
    assert(err == KR_ERR_OK || err == KR_ERR_CORRUPT || err == KR_ERR_VERSION);
    if (err == KR_ERR_OK) {
        assert(buf_result(&once) == KR_ERR_OK);
        assert(recode(buf_bytes(&once), &twice, &place) == KR_ERR_OK);
        assert(bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
        struct bytes body = codec_entry_body(buf_bytes(&once));
        codec_add_entry_place(&placed, place.index, place.epoch, place.at_unix_us);
        buf_add_bytes(&placed, body);
        assert(bytes_equal(buf_bytes(&once), buf_bytes(&placed)));
    }
    buf_fini(&once);
    buf_fini(&twice);
    buf_fini(&placed);
    return 0;
}
