// SPDX-License-Identifier: Apache-2.0
// Fuzzes the records (the first byte says which): what decodes has one canonical encoding, no
// longer than what came in.
#include "proto/codec.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KR_RECORDS(X)                                                                              \
    X(bucket)                                                                                      \
    X(consumer)                                                                                    \
    X(key)                                                                                         \
    X(manager) X(sealed) X(audit) X(idempotency) X(receipt) X(member) X(leader) X(sealed_versions)
#define X(name)                                                                                    \
    static bool recode_##name(struct bytes in, struct arena *arena, struct buf *out)               \
    {                                                                                              \
        struct name record;                                                                        \
        if (codec_##name(in, arena, &record) != KR_ERR_OK)                                         \
            return false;                                                                          \
        codec_add_##name(out, &record);                                                            \
        return true;                                                                               \
    }
KR_RECORDS(X)
#undef X

static bool (*const recodes[])(struct bytes, struct arena *, struct buf *) = {
#define X(name) recode_##name,
    KR_RECORDS(X)
#undef X
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || data[0] >= sizeof(recodes) / sizeof(recodes[0]))
        return 0;
    struct bytes in = bytes_of(data + 1, size - 1);
    struct arena arena;
    struct buf once, twice;
    arena_init(&arena);
    buf_init(&once, in.size);
    buf_init(&twice, in.size);
    if (recodes[data[0]](in, &arena, &once)) {
        assert(buf_result(&once) == KR_ERR_OK);
        assert(recodes[data[0]](buf_bytes(&once), &arena, &twice));
        assert(bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
    }
    buf_fini(&once);
    buf_fini(&twice);
    arena_fini(&arena);
    return 0;
}
