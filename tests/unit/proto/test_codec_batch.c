// SPDX-License-Identifier: Apache-2.0
// Batches of the log in etcd: the bytes stay as they are, and what is no batch is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/text.h"
#include "proto/codec_batch.h"

static const struct bytes entries[] = {{(const uint8_t *)"one", 3}, {(const uint8_t *)"two!", 4}};

static const struct codec_batch sample = {
    .first_index = 300,
    .epoch = 7,
    .nonce = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
    .previous_chain = {0x0102030405060708, 0x1112131415161718},
    .chain = {0x2122232425262728, 0x3132333435363738},
    .entries = entries,
    .count = 2};

static const char golden[] = "08ac0210071a100102030405060708090a0b0c0d0e0f1022100807060504030201181"
                             "71615141312112a10282726252423222138373635343332313a036f6e653a04"
                             "74776f21";

static void encode(const struct codec_batch *batch, struct buf *out)
{
    buf_init(out, 4096);
    codec_add_batch(out, batch);
    assert_int_equal(buf_result(out), KR_ERR_OK);
}

static void the_bytes_are_golden(void **state)
{
    struct buf out;
    char hex[512];
    (void)state;
    encode(&sample, &out);
    text_hex(out.data, out.size, hex);
    assert_string_equal(hex, golden);
    assert_true(out.size <= KR_CODEC_BATCH_HEAD_MAX + 7 + 2 * KR_CODEC_BATCH_ENTRY_MAX);
    buf_fini(&out);
}

static void a_batch_reads_back(void **state)
{
    struct buf out;
    struct arena arena;
    struct codec_batch batch;
    (void)state;
    arena_init(&arena);
    encode(&sample, &out);
    assert_int_equal(codec_batch(buf_bytes(&out), &arena, &batch), KR_ERR_OK);
    assert_int_equal(batch.first_index, 300);
    assert_int_equal(batch.epoch, 7);
    assert_memory_equal(batch.nonce, sample.nonce, 16);
    assert_true(hash_equal(batch.previous_chain, sample.previous_chain));
    assert_true(hash_equal(batch.chain, sample.chain));
    assert_int_equal(batch.count, 2);
    assert_true(bytes_equal_text(batch.entries[1], "two!"));
    buf_fini(&out);
    arena_fini(&arena);
}

static void what_is_no_batch_is_refused(void **state)
{
    struct buf out;
    struct arena arena;
    struct codec_batch batch, lacking[5] = {sample, sample, sample, sample, sample};
    (void)state;
    arena_init(&arena);
    lacking[0].first_index = 0;
    lacking[1].epoch = 0;
    lacking[2].count = 0;
    lacking[3].part_count = 2; // beside entries
    lacking[4].first_index = UINT64_MAX - 1;
    for (size_t i = 0; i < 5; i++) {
        encode(&lacking[i], &out);
        assert_int_equal(codec_batch(buf_bytes(&out), &arena, &batch), KR_ERR_CORRUPT);
        buf_fini(&out);
    }
    encode(&sample, &out);
    for (size_t size = 0; size < out.size; size++)
        if (size != out.size - 6) // before the last entry: a batch of one
            assert_int_equal(codec_batch(bytes_of(out.data, size), &arena, &batch), KR_ERR_CORRUPT);
    buf_fini(&out);
    arena_fini(&arena);
}

static void a_batch_of_parts_has_no_entries(void **state)
{
    struct buf out;
    struct arena arena;
    struct codec_batch batch, parted = sample;
    (void)state;
    arena_init(&arena);
    parted.count = 0;
    parted.part_count = KR_CODEC_BATCH_PARTS_MAX;
    encode(&parted, &out);
    assert_int_equal(codec_batch(buf_bytes(&out), &arena, &batch), KR_ERR_OK);
    assert_int_equal(batch.part_count, KR_CODEC_BATCH_PARTS_MAX);
    assert_int_equal(batch.count, 0);
    buf_fini(&out);
    parted.part_count++;
    encode(&parted, &out);
    assert_int_equal(codec_batch(buf_bytes(&out), &arena, &batch), KR_ERR_CORRUPT);
    buf_fini(&out);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_are_golden),
        cmocka_unit_test(a_batch_reads_back),
        cmocka_unit_test(what_is_no_batch_is_refused),
        cmocka_unit_test(a_batch_of_parts_has_no_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
