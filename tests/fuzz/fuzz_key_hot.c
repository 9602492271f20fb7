// SPDX-License-Identifier: Apache-2.0
// Fuzzes the one-pass reader of keys: it agrees with the whole decoder and stays in its input.
#include "proto/codec.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct codec_key_hot *hot, const struct key *key)
{
    assert(memcmp(hot->digest, key->digest, KR_DIGEST_SIZE) == 0);
    assert(bytes_equal_text(hot->id, key->id + strlen("key_")));
    assert(bytes_equal_text(hot->bucket_id, key->bucket_id));
    assert(bytes_equal_text(hot->consumer_id, key->consumer_id));
    assert(hot->expires_ms == key->expires_ms && hot->not_before_ms == key->not_before_ms);
    assert(hot->revision == key->revision && hot->is_enabled == key->is_enabled);
    assert(hot->is_revoked == key->is_revoked && hot->is_custom == key->is_custom);
    assert(hot->has_extra == (key->scopes.count + key->ip_allow.count > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct codec_key_hot hot;
    struct key key;
    struct arena arena;
    arena_init(&arena);
    enum kr_err hot_err = codec_key_hot(bytes_of(data, size), &hot);
    if (hot_err == KR_ERR_OK) {
        assert(hot.id.size == 24 && hot.id.data > data);
        assert(hot.id.data + 24 <= data + size && hot.bucket_id.size + hot.consumer_id.size < size);
    }
    if (codec_key(bytes_of(data, size), &arena, &key) == KR_ERR_OK) {
        assert(hot_err == KR_ERR_OK);
        check_same(&hot, &key);
    }
    arena_fini(&arena);
    return 0;
}
