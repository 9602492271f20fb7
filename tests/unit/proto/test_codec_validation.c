// SPDX-License-Identifier: Apache-2.0
// The validation messages: questions from outside, and the bytes of answers.
#include "recode.h"

#include "core/keys/verdict.h"
#include "golden_validation.h"
#include "samples.h"

static enum kr_err ask_result(const char *hex)
{
    uint8_t memory[KR_SAMPLE_MAX];
    struct arena arena;
    struct validation_ask ask;
    arena_init(&arena);
    enum kr_err err = codec_validation_ask(unhex(hex, memory), &arena, &ask);
    arena_fini(&arena);
    return err;
}

static void a_question_is_read(void **state)
{
    (void)state;
    uint8_t memory[KR_SAMPLE_MAX];
    struct arena arena;
    struct validation_ask ask;
    arena_init(&arena);
    struct bytes in = unhex(golden_ask, memory);
    assert_int_equal(codec_validation_ask(in, &arena, &ask), KR_ERR_OK);
    memset(memory, 0, sizeof(memory)); // the ask must not point into it
    assert_true(bytes_equal_text(ask.key, "kr_live_secret"));
    assert_true(bytes_equal_text(ask.bucket, "production"));
    assert_int_equal(ask.scope_count, 2);
    assert_true(bytes_equal_text(ask.scopes[0], "read"));
    assert_true(bytes_equal_text(ask.scopes[1], "write"));
    assert_true(bytes_equal_text(ask.ip, "192.0.2.1"));
    assert_true(bytes_equal_text(ask.method, "GET"));
    assert_true(bytes_equal_text(ask.path, "/a?b"));
    assert_int_equal(ask.min_index, 300);
    assert_int_equal(ask.max_staleness_ms, 0);
    assert_true(ask.wants_explanation);
    arena_fini(&arena);
}

static void an_empty_question_has_the_defaults(void **state)
{
    (void)state;
    struct arena arena;
    struct validation_ask ask;
    arena_init(&arena);
    assert_int_equal(codec_validation_ask(bytes_of(NULL, 0), &arena, &ask), KR_ERR_OK);
    assert_int_equal(ask.key.size, 0);
    assert_int_equal(ask.scope_count, 0);
    assert_int_equal(ask.min_index, 0);
    assert_int_equal(ask.max_staleness_ms, KR_UNBOUNDED);
    assert_false(ask.wants_explanation);
    arena_fini(&arena);
}

static void a_malformed_question_is_invalid(void **state)
{
    (void)state;
    // A key as a number, a number as a text, cut, a group, no UTF-8, a bound beyond 63 bits.
    static const char *const bad[] = {
        "0801", "3a0161", "0a0561", "0b", "0a02c328", "40ffffffffffffffffff01",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(ask_result(bad[i]), KR_ERR_INVALID);
    assert_int_equal(ask_result("40ffffffffffffffff7f"), KR_ERR_OK);
    assert_int_equal(ask_result("c03e2a"), KR_ERR_OK); // a later version's field
}

static void a_key_with_a_nul_is_not_cut(void **state)
{
    (void)state;
    static const uint8_t in[] = {0x0a, 3, 'a', 0, 'b'};
    struct arena arena;
    struct validation_ask ask;
    arena_init(&arena);
    assert_int_equal(codec_validation_ask(bytes_of(in, sizeof(in)), &arena, &ask), KR_ERR_OK);
    assert_int_equal(ask.key.size, 3);
    arena_fini(&arena);
}

static void scopes_are_bounded(void **state)
{
    (void)state;
    char hex[KR_SAMPLE_MAX] = "";
    for (int i = 0; i < KR_VALIDATION_SCOPES_MAX; i++)
        strcat(hex, "1a0161");
    assert_int_equal(ask_result(hex), KR_ERR_OK);
    strcat(hex, "1a0161");
    assert_int_equal(ask_result(hex), KR_ERR_INVALID);
}

static void damaged_questions_stay_inside_their_bytes(void **state)
{
    (void)state;
    uint8_t memory[KR_SAMPLE_MAX];
    struct bytes whole = unhex(golden_ask, memory);
    for (size_t bit = 0; bit < whole.size * 8; bit++) {
        struct arena arena;
        struct validation_ask ask;
        arena_init(&arena);
        memory[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum kr_err err = codec_validation_ask(whole, &arena, &ask);
        assert_true(err == KR_ERR_OK || err == KR_ERR_INVALID);
        if (err == KR_ERR_OK)
            assert_true(ask.key.size + ask.bucket.size + ask.path.size <= whole.size);
        memory[bit / 8] ^= (uint8_t)(1u << bit % 8);
        err = codec_validation_ask(bytes_of(memory, bit / 8), &arena, &ask);
        assert_true(err == KR_ERR_OK || err == KR_ERR_INVALID);
        arena_fini(&arena);
    }
}

static void a_batch_is_read_in_order(void **state)
{
    (void)state;
    uint8_t memory[KR_SAMPLE_MAX];
    struct arena arena;
    struct validation_ask *asks;
    size_t count;
    arena_init(&arena);
    assert_int_equal(codec_validation_batch(unhex(golden_batch, memory), &arena, &asks, &count),
                     KR_ERR_OK);
    assert_int_equal(count, 3);
    assert_true(bytes_equal_text(asks[0].key, "k1"));
    assert_int_equal(asks[1].key.size, 0);
    assert_true(bytes_equal_text(asks[2].key, "k3"));
    assert_int_equal(asks[1].max_staleness_ms, KR_UNBOUNDED);
    assert_int_equal(asks[2].max_staleness_ms, 5);
    assert_int_equal(codec_validation_batch(bytes_of(NULL, 0), &arena, &asks, &count), KR_ERR_OK);
    assert_int_equal(count, 0);
    arena_fini(&arena);
}

static void a_batch_is_bounded(void **state)
{
    (void)state;
    struct arena arena;
    struct validation_ask *asks;
    size_t count;
    struct buf in;
    arena_init(&arena);
    buf_init(&in, KR_SAMPLE_MAX);
    for (int i = 0; i < KR_VALIDATION_BATCH_MAX; i++)
        buf_add(&in, "\x0a\x00", 2);
    assert_int_equal(codec_validation_batch(buf_bytes(&in), &arena, &asks, &count), KR_ERR_OK);
    assert_int_equal(count, KR_VALIDATION_BATCH_MAX);
    buf_add(&in, "\x0a\x00", 2);
    assert_int_equal(codec_validation_batch(buf_bytes(&in), &arena, &asks, &count),
                     KR_ERR_TOO_LARGE);
    buf_fini(&in);
    arena_fini(&arena);
}

static void a_batch_with_one_bad_question_is_invalid(void **state)
{
    (void)state;
    static const char *const bad[] = {"0a000a020801", "0a0008ff", "0801", "0a05"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t memory[KR_SAMPLE_MAX];
        struct arena arena;
        struct validation_ask *asks;
        size_t count;
        arena_init(&arena);
        assert_int_equal(codec_validation_batch(unhex(bad[i], memory), &arena, &asks, &count),
                         KR_ERR_INVALID);
        arena_fini(&arena);
    }
}

static struct validation_answer sample_answer_valid(void)
{
    return (struct validation_answer){
        .code = KR_VERDICT_VALID,
        .code_text = "VALID",
        .key_id = bytes_text(KR_SAMPLE_KEY_ID),
        .sub = bytes_text("my-consumer"),
        .data = bytes_text("{}"),
        .consumer_id = bytes_text("csmr_1"),
        .consumer_name = bytes_text("my-consumer"),
        .bucket = bytes_text("production"),
        .environment = bytes_text("production"),
        .scopes = sample_scopes,
        .scope_count = 2,
        .expires_ms = 1800000000000,
        .index = 306,
        .age_ms = 12,
        .node = bytes_text("n1"),
        .region = bytes_text("eu"),
    };
}

static void answers_have_the_golden_bytes(void **state)
{
    (void)state;
    struct validation_answer answers[2] = {sample_answer_valid(), {.code = KR_VERDICT_NOT_FOUND}};
    struct buf out;
    buf_init(&out, KR_SAMPLE_MAX);
    codec_add_validation_answer(&out, &answers[0]);
    assert_hex(buf_bytes(&out), golden_answer);
    buf_clear(&out);
    codec_add_validation_answer(&out, &answers[1]);
    assert_hex(buf_bytes(&out), golden_answer_minimal);
    buf_clear(&out);
    codec_add_validation_answers(&out, answers, 2);
    assert_hex(buf_bytes(&out), golden_answers);
    buf_fini(&out);
}

static void answers_are_appended_behind_what_is_there(void **state)
{
    (void)state;
    struct validation_answer answer = sample_answer_valid();
    struct buf out;
    buf_init(&out, KR_SAMPLE_MAX);
    buf_add_text(&out, "head");
    codec_add_validation_answers(&out, &answer, 1);
    assert_memory_equal(out.data, "head\x0a", 5);
    buf_fini(&out);
}

static void answers_that_do_not_fit_fail(void **state)
{
    (void)state;
    struct validation_answer answers[2] = {sample_answer_valid(), sample_answer_valid()};
    uint8_t memory[2 * (3 + 132)];
    for (size_t size = 0; size < sizeof(memory); size++) {
        struct buf out;
        buf_init_fixed(&out, memory, size);
        codec_add_validation_answers(&out, answers, 2);
        assert_int_equal(buf_result(&out), KR_ERR_TOO_LARGE);
    }
    struct buf out;
    buf_init_fixed(&out, memory, sizeof(memory));
    codec_add_validation_answers(&out, answers, 2);
    assert_int_equal(buf_result(&out), KR_ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_is_read),
        cmocka_unit_test(an_empty_question_has_the_defaults),
        cmocka_unit_test(a_malformed_question_is_invalid),
        cmocka_unit_test(a_key_with_a_nul_is_not_cut),
        cmocka_unit_test(scopes_are_bounded),
        cmocka_unit_test(damaged_questions_stay_inside_their_bytes),
        cmocka_unit_test(a_batch_is_read_in_order),
        cmocka_unit_test(a_batch_is_bounded),
        cmocka_unit_test(a_batch_with_one_bad_question_is_invalid),
        cmocka_unit_test(answers_have_the_golden_bytes),
        cmocka_unit_test(answers_are_appended_behind_what_is_there),
        cmocka_unit_test(answers_that_do_not_fit_fail),
    };
    return cmocka_run_group_tests_name("proto/codec_validation", tests, NULL, NULL);
}
