// SPDX-License-Identifier: Apache-2.0
// Fuzzes questions, alone and in batches: texts stay within bounds and are UTF-8.
#include "core/base/text.h"
#include "proto/codec.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct validation_ask *ask, size_t size)
{
    struct bytes texts[] = {ask->key, ask->bucket, ask->ip, ask->method, ask->path};
    size_t total = 0;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert(text_is_utf8(texts[i]));
        total += texts[i].size;
    }
    assert(ask->scope_count <= KR_VALIDATION_SCOPES_MAX);
    for (size_t i = 0; i < ask->scope_count; i++)
        total += ask->scopes[i].size;
    assert(total <= size && ask->max_staleness_ms >= KR_UNBOUNDED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct validation_ask ask, *asks;
    size_t count;
    arena_init(&arena);
    enum kr_err err = codec_validation_ask(bytes_of(data, size), &arena, &ask);
    assert(err == KR_ERR_OK || err == KR_ERR_INVALID);
    if (err == KR_ERR_OK)
        check(&ask, size);
    err = codec_validation_batch(bytes_of(data, size), &arena, &asks, &count);
    assert(err == KR_ERR_OK || err == KR_ERR_INVALID || err == KR_ERR_TOO_LARGE);
    for (size_t i = 0; err == KR_ERR_OK && i < count; i++)
        check(&asks[i], size);
    arena_fini(&arena);
    return 0;
}
