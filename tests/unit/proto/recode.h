// SPDX-License-Identifier: Apache-2.0
// Helpers of the codec's tests: hex, decoding followed by encoding, and damage done to bytes.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/text.h"
#include "proto/codec.h"

#define KR_SAMPLE_MAX 4096

typedef enum kr_err recode_fn(struct bytes in, struct buf *out);

// Decodes from a copy of exactly this size (so that the sanitizers see a byte too far), which is
// gone before the record is encoded again: nothing that a decoder gives may point into its input.
#define KR_RECODE(name, type)                                                                      \
    static enum kr_err recode_##name(struct bytes in, struct buf *out)                             \
    {                                                                                              \
        struct arena arena;                                                                        \
        struct type record;                                                                        \
        arena_init(&arena);                                                                        \
        uint8_t *copy = memcpy(mem_alloc(in.size), in.data, in.size);                              \
        enum kr_err err = codec_##name(bytes_of(copy, in.size), &arena, &record);                  \
        mem_free(copy);                                                                            \
        if (err == KR_ERR_OK)                                                                      \
            codec_add_##name(out, &record);                                                        \
        arena_fini(&arena);                                                                        \
        return err;                                                                                \
    }

static inline struct bytes unhex(const char *hex, uint8_t out[KR_SAMPLE_MAX])
{
    size_t size = strlen(hex) / 2;
    assert_true(size <= KR_SAMPLE_MAX);
    assert_true(text_from_hex(bytes_text(hex), out, size));
    return bytes_of(out, size);
}

static inline void assert_hex(struct bytes bytes, const char *hex)
{
    char text[2 * KR_SAMPLE_MAX + 1];
    assert_true(bytes.size <= KR_SAMPLE_MAX);
    text_hex(bytes.data, bytes.size, text);
    assert_string_equal(text, hex);
}

static inline void assert_recodes(recode_fn *recode, const char *hex)
{
    uint8_t memory[KR_SAMPLE_MAX];
    struct buf out;
    buf_init(&out, KR_SAMPLE_MAX);
    assert_int_equal(recode(unhex(hex, memory), &out), KR_ERR_OK);
    assert_hex(buf_bytes(&out), hex);
    buf_fini(&out);
}

// Whatever was decoded from damaged bytes must survive another round unchanged.
static inline void assert_settles(recode_fn *recode, struct bytes in)
{
    struct buf once, twice;
    buf_init(&once, KR_SAMPLE_MAX * 2);
    buf_init(&twice, KR_SAMPLE_MAX * 2);
    if (recode(in, &once) == KR_ERR_OK) {
        assert_int_equal(recode(buf_bytes(&once), &twice), KR_ERR_OK);
        assert_true(bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
    }
    buf_fini(&once);
    buf_fini(&twice);
}

static inline void assert_survives_damage(recode_fn *recode, const char *hex)
{
    uint8_t memory[KR_SAMPLE_MAX];
    struct bytes whole = unhex(hex, memory);
    for (size_t size = 0; size < whole.size; size++)
        assert_settles(recode, bytes_of(memory, size));
    for (size_t bit = 0; bit < whole.size * 8; bit++) {
        memory[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_settles(recode, whole);
        memory[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static inline enum kr_err recode_result(recode_fn *recode, const char *hex)
{
    uint8_t memory[KR_SAMPLE_MAX];
    struct buf out;
    buf_init(&out, KR_SAMPLE_MAX);
    enum kr_err err = recode(unhex(hex, memory), &out);
    buf_fini(&out);
    return err;
}

// The error that decoding a golden text with something appended gives.
static inline enum kr_err recode_result_with(recode_fn *recode, const char *hex, const char *more)
{
    char text[2 * KR_SAMPLE_MAX];
    assert_true(strlen(hex) + strlen(more) < sizeof(text));
    strcpy(text, hex);
    strcat(text, more);
    return recode_result(recode, text);
}
