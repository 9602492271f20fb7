// SPDX-License-Identifier: Apache-2.0
// The wire format's numbers and tags: read by the word, at the end of the bytes, and refused.
#include "recode.h"

#include "proto/codec_wire.h"

// A number with this many bytes behind it, from a block of exactly that size.
static void assert_reads(uint64_t value, size_t behind)
{
    uint8_t head[10];
    size_t size = codec_wire_put_varint(head, value);
    uint8_t *block = mem_alloc(size + behind);
    memcpy(block, head, size);
    memset(block + size, 0xff, behind);
    struct codec_wire wire = codec_wire_of(bytes_of(block, size + behind));
    assert_true(codec_wire_varint(&wire) == value);
    assert_false(wire.is_bad);
    assert_ptr_equal(wire.at, block + size);
    mem_free(block);
}

static void numbers_of_every_length_are_read(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t power = (uint64_t)1 << bit;
        for (size_t behind = 0; behind < 12; behind++) {
            assert_reads(power - 1, behind);
            assert_reads(power, behind);
            assert_reads(power | 0x5555555555555555 >> (63 - bit), behind);
        }
    }
    assert_reads(UINT64_MAX, 0);
}

static void padded_numbers_have_their_value(void **state)
{
    (void)state;
    static const uint8_t padded[] = {0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00};
    struct codec_wire wire = codec_wire_of(bytes_of(padded, sizeof(padded)));
    assert_true(codec_wire_varint(&wire) == 1);
    assert_false(wire.is_bad);
}

static bool is_message(const char *hex)
{
    uint8_t memory[KR_SAMPLE_MAX];
    struct codec_wire wire = codec_wire_of(unhex(hex, memory));
    struct codec_field field;
    while (codec_wire_next(&wire, &field))
        assert_true(field.number > 0);
    return !wire.is_bad;
}

static void what_is_no_field_is_bad(void **state)
{
    (void)state;
    // Field 0, short and padded; groups; types 6 and 7; a tag of six bytes or over 32 bits; numbers
    // of eleven bytes or over 64 bits; cut tags, numbers, texts and fixed sizes.
    static const char *const bad[] = {
        "0001",
        "80000000000000000000",
        "0b",
        "0c",
        "0e",
        "0f",
        "888080808000",
        "f8ffffff1f00",
        "8080808080",
        "88",
        "08",
        "0880",
        "088080808080808080808001",
        "0880808080808080808002",
        "0a",
        "0a01",
        "0affffffffffffffffff01",
        "0901020304050607",
        "0d010203",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(is_message(bad[i]));
}

static void fields_of_every_type_are_passed(void **state)
{
    (void)state;
    assert_true(is_message(""));
    assert_true(is_message("08000a000d01020304090102030405060708"));
    assert_true(is_message("888080800000")); // a padded tag of five bytes
    assert_true(is_message("f8ffffff0f00")); // the largest number of a field
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_every_length_are_read),
        cmocka_unit_test(padded_numbers_have_their_value),
        cmocka_unit_test(what_is_no_field_is_bad),
        cmocka_unit_test(fields_of_every_type_are_passed),
    };
    return cmocka_run_group_tests_name("proto/codec_wire", tests, NULL, NULL);
}
