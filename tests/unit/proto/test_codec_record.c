// SPDX-License-Identifier: Apache-2.0
// The records: their bytes, round trips, and what decoders refuse.
#include "recode.h"

#include "golden_record.h"
#include "samples.h"

// name, type of struct
#define KR_RECORDS(X)                                                                              \
    X(bucket, bucket)                                                                              \
    X(consumer, consumer)                                                                          \
    X(key, key)                                                                                    \
    X(manager, manager)                                                                            \
    X(sealed, sealed)                                                                              \
    X(sealed_versions, sealed_versions)                                                            \
    X(audit, audit)                                                                                \
    X(idempotency, idempotency)                                                                    \
    X(receipt, receipt)

KR_RECORDS(KR_RECODE)

static const struct {
    recode_fn *recode;
    const char *full, *minimal;
} records[] = {
#define X(name, type) {recode_##name, golden_##name, golden_##name##_minimal},
    KR_RECORDS(X)
#undef X
};
enum { KR_RECORD_COUNT = sizeof(records) / sizeof(records[0]) };

static void every_record_has_the_golden_bytes(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, KR_SAMPLE_MAX);
#define X(name, type)                                                                              \
    codec_add_##name(&out, &sample_##name);                                                        \
    assert_hex(buf_bytes(&out), golden_##name);                                                    \
    buf_clear(&out);                                                                               \
    codec_add_##name(&out, &sample_##name##_minimal);                                              \
    assert_hex(buf_bytes(&out), golden_##name##_minimal);                                          \
    buf_clear(&out);
    KR_RECORDS(X)
#undef X
    buf_fini(&out);
}

static void every_record_survives_a_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < KR_RECORD_COUNT; i++) {
        assert_recodes(records[i].recode, records[i].full);
        assert_recodes(records[i].recode, records[i].minimal);
    }
}

static void damaged_records_are_refused_or_settle(void **state)
{
    (void)state;
    for (size_t i = 0; i < KR_RECORD_COUNT; i++)
        assert_survives_damage(records[i].recode, records[i].full);
}

static void fields_of_a_later_version_are_tolerated(void **state)
{
    (void)state;
    // Field 1000 as number, 8 bytes, text and 4 bytes.
    static const char *const later[] = {"c03e2a", "c13e0102030405060708", "c23e03616263",
                                        "c53e01020304"};
    for (size_t i = 0; i < KR_RECORD_COUNT; i++)
        for (size_t j = 0; j < 4; j++)
            assert_int_equal(recode_result_with(records[i].recode, records[i].minimal, later[j]),
                             KR_ERR_OK);
}

static void what_is_no_message_is_corrupt(void **state)
{
    (void)state;
    // A group, field 0, a cut number, a cut text, a number of 11 bytes, one of more than 64 bits.
    static const char *const bad[] = {"c33e",
                                      "0001",
                                      "c03e80",
                                      "c23e0461",
                                      "c03e8080808080808080808001",
                                      "c03e80808080808080808002"};
    for (size_t i = 0; i < KR_RECORD_COUNT; i++) {
        assert_int_equal(recode_result(records[i].recode, ""), KR_ERR_CORRUPT);
        for (size_t j = 0; j < sizeof(bad) / sizeof(bad[0]); j++)
            assert_int_equal(recode_result_with(records[i].recode, records[i].minimal, bad[j]),
                             KR_ERR_CORRUPT);
    }
}

static void a_field_that_occurs_twice_is_corrupt(void **state)
{
    (void)state;
    for (size_t i = 0; i < KR_RECORD_COUNT; i++)
        assert_int_equal(
            recode_result_with(records[i].recode, records[i].minimal, records[i].minimal),
            KR_ERR_CORRUPT);
}

static void a_nul_in_a_text_is_corrupt(void **state)
{
    (void)state;
    assert_int_equal(recode_result_with(recode_bucket, golden_bucket_minimal, "9a0103610062"),
                     KR_ERR_CORRUPT);
    assert_int_equal(recode_result_with(recode_bucket, golden_bucket_minimal, "9a0103616262"),
                     KR_ERR_OK);
}

static void a_field_of_the_wrong_type_is_corrupt(void **state)
{
    (void)state;
    // Bucket: description as a number, version and is_deleted as texts.
    assert_int_equal(recode_result_with(recode_bucket, golden_bucket_minimal, "980101"),
                     KR_ERR_CORRUPT);
    assert_int_equal(recode_result_with(recode_bucket, golden_bucket_minimal, "1a0161"),
                     KR_ERR_CORRUPT);
    assert_int_equal(recode_result_with(recode_bucket, golden_bucket_minimal, "620161"),
                     KR_ERR_CORRUPT);
}

static void marks_are_in_order_and_not_many(void **state)
{
    (void)state;
    char hex[12 * (KR_REVOKE_MARKS_MAX + 1) + 1] = "";
    for (unsigned i = 1; i <= KR_REVOKE_MARKS_MAX + 1; i++) {
        int used = (int)strlen(hex);
        snprintf(hex + used, sizeof(hex) - (size_t)used, "7a0208%02x", i);
        assert_int_equal(recode_result_with(recode_consumer, golden_consumer_minimal, hex),
                         i <= KR_REVOKE_MARKS_MAX ? KR_ERR_OK : KR_ERR_CORRUPT);
    }
    static const char *const bad[] = {"7a020803"
                                      "7a020802",
                                      "7a020803"
                                      "7a020803",
                                      "7a021001"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(recode_result_with(recode_consumer, golden_consumer_minimal, bad[i]),
                         KR_ERR_CORRUPT);
    assert_int_equal(recode_result_with(recode_consumer, golden_consumer_minimal, "7a0408011806"),
                     KR_ERR_VERSION);
}

static void an_unknown_enum_value_is_of_another_version(void **state)
{
    (void)state;
    assert_int_equal(recode_result_with(recode_bucket, golden_bucket_minimal, "3803"),
                     KR_ERR_VERSION);
    assert_int_equal(recode_result_with(recode_bucket, golden_bucket_minimal, "900106"),
                     KR_ERR_VERSION);
    assert_int_equal(
        recode_result_with(recode_bucket, golden_bucket_minimal, "9001ffffffffffffffffff01"),
        KR_ERR_VERSION);
    assert_int_equal(recode_result_with(recode_consumer, golden_consumer_minimal, "6006"),
                     KR_ERR_VERSION);
    assert_int_equal(recode_result_with(recode_key, golden_key_minimal, "900106"), KR_ERR_VERSION);
}

static void a_tag_needs_name_and_value(void **state)
{
    (void)state;
    assert_int_equal(recode_result_with(recode_bucket, golden_bucket_minimal, "a201030a0161"),
                     KR_ERR_CORRUPT);
    assert_int_equal(recode_result_with(recode_bucket, golden_bucket_minimal, "a20103120161"),
                     KR_ERR_CORRUPT);
    assert_int_equal(recode_result_with(recode_bucket, golden_bucket_minimal, "a201050a01611200"),
                     KR_ERR_OK);
}

static void unset_and_empty_texts_differ(void **state)
{
    (void)state;
    struct arena arena;
    struct bucket bucket;
    uint8_t memory[KR_SAMPLE_MAX];
    arena_init(&arena);
    assert_int_equal(codec_bucket(unhex(golden_bucket, memory), &arena, &bucket), KR_ERR_OK);
    assert_string_equal(bucket.description, "");
    assert_int_equal(bucket.max_staleness_ms, KR_UNBOUNDED);
    assert_int_equal(codec_bucket(unhex(golden_bucket_minimal, memory), &arena, &bucket),
                     KR_ERR_OK);
    assert_null(bucket.description);
    assert_null(bucket.key_prefix);
    arena_fini(&arena);
}

static void unset_metadata_is_the_empty_object(void **state)
{
    (void)state;
    struct arena arena;
    struct key key;
    struct consumer consumer;
    uint8_t memory[KR_SAMPLE_MAX];
    arena_init(&arena);
    assert_int_equal(codec_key(unhex(golden_key_minimal, memory), &arena, &key), KR_ERR_OK);
    assert_string_equal(key.metadata, "{}");
    assert_int_equal(codec_consumer(unhex(golden_consumer_minimal, memory), &arena, &consumer),
                     KR_ERR_OK);
    assert_string_equal(consumer.metadata, "{}");
    arena_fini(&arena);
}

static void many_tags_and_scopes_survive(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    struct tag tags[COUNT];
    const char *scopes[COUNT];
    struct key key = sample_key_minimal, got;
    struct arena arena;
    struct buf out;
    for (size_t i = 0; i < COUNT; i++) {
        tags[i] = (struct tag){.name = "name", .value = "value"};
        scopes[i] = "scope";
    }
    key.tags = (struct tags){tags, COUNT};
    key.scopes = key.ip_allow = (struct texts){scopes, COUNT};
    arena_init(&arena);
    buf_init(&out, 1 << 20);
    codec_add_key(&out, &key);
    assert_int_equal(codec_key(buf_bytes(&out), &arena, &got), KR_ERR_OK);
    assert_int_equal(got.tags.count, COUNT);
    assert_string_equal(got.tags.items[COUNT - 1].value, "value");
    assert_int_equal(got.scopes.count, COUNT);
    assert_int_equal(got.ip_allow.count, COUNT);
    assert_string_equal(got.ip_allow.items[COUNT - 1], "scope");
    buf_fini(&out);
    arena_fini(&arena);
}

static void a_buffer_that_is_too_small_fails(void **state)
{
    (void)state;
    uint8_t memory[16];
    struct buf out;
    buf_init_fixed(&out, memory, sizeof(memory));
    codec_add_key(&out, &sample_key);
    assert_int_equal(buf_result(&out), KR_ERR_TOO_LARGE);
    assert_int_equal(out.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_has_the_golden_bytes),
        cmocka_unit_test(every_record_survives_a_round_trip),
        cmocka_unit_test(damaged_records_are_refused_or_settle),
        cmocka_unit_test(fields_of_a_later_version_are_tolerated),
        cmocka_unit_test(what_is_no_message_is_corrupt),
        cmocka_unit_test(a_field_that_occurs_twice_is_corrupt),
        cmocka_unit_test(a_nul_in_a_text_is_corrupt),
        cmocka_unit_test(a_field_of_the_wrong_type_is_corrupt),
        cmocka_unit_test(marks_are_in_order_and_not_many),
        cmocka_unit_test(an_unknown_enum_value_is_of_another_version),
        cmocka_unit_test(a_tag_needs_name_and_value),
        cmocka_unit_test(unset_and_empty_texts_differ),
        cmocka_unit_test(unset_metadata_is_the_empty_object),
        cmocka_unit_test(many_tags_and_scopes_survive),
        cmocka_unit_test(a_buffer_that_is_too_small_fails),
    };
    return cmocka_run_group_tests_name("proto/codec_record", tests, NULL, NULL);
}
