// SPDX-License-Identifier: Apache-2.0
// The one-pass reader of a key's hot fields, held against the whole decoder.
#include "recode.h"

#include "golden_record.h"
#include "samples.h"

// Whatever the whole decoder accepts, the reader accepts, with the same values.
static void assert_agrees(struct bytes in)
{
    struct arena arena;
    struct key key;
    struct codec_key_hot hot;
    arena_init(&arena);
    uint8_t *copy = memcpy(mem_alloc(in.size), in.data, in.size);
    enum kr_err err = codec_key(in, &arena, &key);
    enum kr_err hot_err = codec_key_hot(bytes_of(copy, in.size), &hot);
    assert_true(hot_err == KR_ERR_OK || hot_err == KR_ERR_CORRUPT);
    if (err == KR_ERR_OK) {
        assert_int_equal(hot_err, KR_ERR_OK);
        assert_memory_equal(hot.digest, key.digest, KR_DIGEST_SIZE);
        assert_int_equal(hot.id.size, 24);
        assert_true(bytes_equal_text(hot.id, key.id + 4));
        assert_true(bytes_equal_text(hot.bucket_id, key.bucket_id));
        assert_true(bytes_equal_text(hot.consumer_id, key.consumer_id));
        assert_int_equal(hot.expires_ms, key.expires_ms);
        assert_int_equal(hot.not_before_ms, key.not_before_ms);
        assert_int_equal(hot.revision, key.revision);
        assert_int_equal(hot.is_enabled, key.is_enabled);
        assert_int_equal(hot.is_revoked, key.is_revoked);
        assert_int_equal(hot.is_custom, key.is_custom);
        assert_int_equal(hot.has_extra, key.scopes.count + key.ip_allow.count > 0);
    }
    mem_free(copy);
    arena_fini(&arena);
}

static void the_hot_fields_are_those_of_the_record(void **state)
{
    (void)state;
    uint8_t memory[KR_SAMPLE_MAX];
    struct codec_key_hot hot;
    assert_int_equal(codec_key_hot(unhex(golden_key, memory), &hot), KR_ERR_OK);
    assert_true(bytes_equal_text(hot.id, "0123456789abcdefghijABCD"));
    assert_int_equal(hot.expires_ms, 1800000000000);
    assert_int_equal(hot.not_before_ms, 1700000000007);
    assert_int_equal(hot.revision, 302);
    assert_true(hot.is_enabled && hot.is_revoked && hot.is_custom && hot.has_extra);
    assert_agrees(unhex(golden_key, memory));
    assert_agrees(unhex(golden_key_minimal, memory));
}

static void each_flag_is_read_by_itself(void **state)
{
    (void)state;
    for (unsigned set = 0; set < 32; set++) {
        struct key key = sample_key_minimal;
        struct buf out;
        key.is_enabled = set & 1;
        key.is_revoked = set & 2;
        key.is_custom = set & 4;
        key.is_sealed = set & 8;
        key.ip_allow = (struct texts){sample_blocks, set >> 4};
        buf_init(&out, KR_SAMPLE_MAX);
        codec_add_key(&out, &key);
        assert_agrees(buf_bytes(&out));
        buf_fini(&out);
    }
}

static void extreme_numbers_are_read(void **state)
{
    (void)state;
    static const int64_t numbers[] = {0, 1, 127, 128, INT64_MAX, INT64_MIN, -1};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct key key = sample_key_minimal;
        struct buf out;
        key.expires_ms = key.not_before_ms = numbers[i];
        key.revision = (uint64_t)numbers[i];
        buf_init(&out, KR_SAMPLE_MAX);
        codec_add_key(&out, &key);
        assert_agrees(buf_bytes(&out));
        buf_fini(&out);
    }
}

static void damaged_keys_never_disagree(void **state)
{
    (void)state;
    uint8_t memory[KR_SAMPLE_MAX];
    struct bytes whole = unhex(golden_key, memory);
    for (size_t size = 0; size < whole.size; size++)
        assert_agrees(bytes_of(memory, size));
    for (size_t bit = 0; bit < whole.size * 8; bit++) {
        memory[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_agrees(whole);
        memory[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static enum kr_err hot_result(const char *hex, const char *more)
{
    uint8_t memory[KR_SAMPLE_MAX], behind[KR_SAMPLE_MAX];
    struct codec_key_hot hot;
    size_t size = unhex(hex, memory).size;
    struct bytes tail = unhex(more, behind);
    memcpy(memory + size, behind, tail.size);
    return codec_key_hot(bytes_of(memory, size + tail.size), &hot);
}

static void what_is_no_key_is_corrupt(void **state)
{
    (void)state;
    // Again a digest's field, a hot number as a text, a hot text as a number, a group, a cut field.
    static const char *const bad[] = {"0a00", "2a0161", "1801", "c33e", "38"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(hot_result(golden_key_minimal, bad[i]), KR_ERR_CORRUPT);
    assert_int_equal(hot_result("", ""), KR_ERR_CORRUPT);
    assert_int_equal(hot_result(golden_bucket, ""), KR_ERR_CORRUPT);
    assert_int_equal(hot_result(golden_key_minimal, "c03e2a"), KR_ERR_OK);
}

static void an_id_that_is_no_keys_is_corrupt(void **state)
{
    (void)state;
    uint8_t memory[KR_SAMPLE_MAX];
    struct codec_key_hot hot;
    struct arena arena;
    struct key key;
    struct bytes whole = unhex(golden_key_minimal, memory);
    memory[34 + 2] = 'K';
    arena_init(&arena);
    assert_int_equal(codec_key_hot(whole, &hot), KR_ERR_CORRUPT);
    assert_int_equal(codec_key(whole, &arena, &key), KR_ERR_CORRUPT);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hot_fields_are_those_of_the_record),
        cmocka_unit_test(each_flag_is_read_by_itself),
        cmocka_unit_test(extreme_numbers_are_read),
        cmocka_unit_test(damaged_keys_never_disagree),
        cmocka_unit_test(what_is_no_key_is_corrupt),
        cmocka_unit_test(an_id_that_is_no_keys_is_corrupt),
    };
    return cmocka_run_group_tests_name("proto/codec_key", tests, NULL, NULL);
}
