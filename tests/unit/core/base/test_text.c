// SPDX-License-Identifier: Apache-2.0
// Bytes as text and back; decoders accept one text for each value, and no other.
#include "core/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/rand.h"

static void hex_goes_both_ways(void **state)
{
    (void)state;
    static const uint8_t data[] = {0x00, 0x7f, 0xab, 0xff};
    char hex[9];
    uint8_t back[4];
    text_hex(data, sizeof(data), hex);
    assert_string_equal(hex, "007fabff");
    assert_true(text_from_hex(bytes_text("007FaBff"), back, sizeof(back)));
    assert_memory_equal(back, data, sizeof(data));
    assert_true(text_from_hex(bytes_text(""), back, 0));
}

static void a_hex_digit_has_a_value_and_no_other_byte_has(void **state)
{
    (void)state;
    static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
    int digits = 0;
    for (int byte = 0; byte < 256; byte++)
        digits += text_hex_digit((uint8_t)byte) >= 0;
    assert_int_equal(digits, 10 + 6 + 6);
    for (int value = 0; value < 16; value++) {
        assert_int_equal(text_hex_digit((uint8_t)lower[value]), value);
        assert_int_equal(text_hex_digit((uint8_t)upper[value]), value);
    }
}

static void hex_of_another_size_or_alphabet_is_refused(void **state)
{
    (void)state;
    uint8_t out[4];
    static const char *const wrong[] = {"",         "007fabf",  "007fabff0", "007fabff00",
                                        "007fabfg", "007fab f", "0x7fabff",  "007fab:f",
                                        "007fab@f", "007fab`f"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(text_from_hex(bytes_text(wrong[i]), out, sizeof(out)));
}

static const struct {
    const char *data, *padded, *url;
} base64_cases[] = {
    // RFC 4648 §10, and the characters in which the alphabets differ
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xfe", "+//+", "-__-"},
    {"\xff\xfe", "//4=", "__4"},
};

enum { KR_TEST_BASE64 = sizeof(base64_cases) / sizeof(base64_cases[0]) };

static void base64_encodes_both_alphabets(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 64);
    for (size_t i = 0; i < KR_TEST_BASE64; i++) {
        buf_clear(&buf);
        text_add_base64(&buf, bytes_text(base64_cases[i].data));
        assert_true(bytes_equal_text(buf_bytes(&buf), base64_cases[i].padded));
        buf_clear(&buf);
        text_add_base64url(&buf, bytes_text(base64_cases[i].data));
        assert_true(bytes_equal_text(buf_bytes(&buf), base64_cases[i].url));
    }
    buf_fini(&buf);
}

static void base64_decodes_padded_or_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < KR_TEST_BASE64; i++) {
        uint8_t out[6];
        size_t size = 99, wanted = strlen(base64_cases[i].data);
        assert_true(text_from_base64(bytes_text(base64_cases[i].padded), out, wanted, &size));
        assert_int_equal(size, wanted);
        assert_memory_equal(out, base64_cases[i].data, wanted);
        assert_true(text_from_base64(bytes_text(base64_cases[i].url), out, wanted, &size));
        assert_int_equal(size, wanted);
        assert_memory_equal(out, base64_cases[i].data, wanted);
        if (wanted > 0)
            assert_false(text_from_base64(bytes_text(base64_cases[i].url), out, wanted - 1, &size));
    }
}

static void base64_that_is_not_canonical_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "Z",     "Zg=",   "Zg===",    "Zm8==", "Zm9v=",    "Zm9v==", "Zm9v====", "=",
        "==",    "====",  "Z===",     "Zh",    "Zh==",     "Zm9",    "Zm9=",     "Zg==Zg==",
        "Zm 9v", "Zm9v ", "Zm9v\r\n", "Zm=v",  "Zm9v!bar", "+//-",   "-__/",     "Z\x80==",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint8_t out[16];
        size_t size = 99;
        if (text_from_base64(bytes_text(wrong[i]), out, sizeof(out), &size))
            fail_msg("accepted: %s", wrong[i]);
        assert_int_equal(size, 99);
    }
}

static void packed_ids_unpack_to_themselves(void **state)
{
    (void)state;
    for (int i = 0; i < 2000; i++) {
        char text[24], back[24];
        uint8_t packed[18];
        rand_base62(text, sizeof(text));
        assert_true(text_pack24(text, packed));
        text_unpack24(packed, back);
        assert_memory_equal(back, text, sizeof(text));
    }
}

static void packing_is_the_number_in_base_62(void **state)
{
    (void)state;
    static const uint8_t zero[18] = {0}, one[18] = {[17] = 1}, base[18] = {[17] = 62};
    // 62²⁴ - 1, as any calculator with long integers gives it
    static const uint8_t last[18] = {0x77, 0x7c, 0xb4, 0xb1, 0x85, 0x1e, 0x7b, 0xb9, 0x41,
                                     0x31, 0x67, 0x84, 0x30, 0x4d, 0x00, 0xff, 0xff, 0xff};
    uint8_t packed[18];
    assert_true(text_pack24("000000000000000000000000", packed));
    assert_memory_equal(packed, zero, sizeof(packed));
    assert_true(text_pack24("000000000000000000000001", packed));
    assert_memory_equal(packed, one, sizeof(packed));
    assert_true(text_pack24("000000000000000000000010", packed));
    assert_memory_equal(packed, base, sizeof(packed));
    assert_true(text_pack24("zzzzzzzzzzzzzzzzzzzzzzzz", packed));
    assert_memory_equal(packed, last, sizeof(packed));
}

static void packing_keeps_the_order(void **state)
{
    (void)state;
    for (int i = 0; i < 2000; i++) {
        char a[24], b[24];
        uint8_t packed_a[18], packed_b[18];
        rand_base62(a, sizeof(a));
        memcpy(b, a, sizeof(b));
        rand_base62(b + i % 24, (size_t)(24 - i % 24));
        assert_true(text_pack24(a, packed_a) && text_pack24(b, packed_b));
        int order = memcmp(a, b, sizeof(a)), packed_order = memcmp(packed_a, packed_b, 18);
        assert_int_equal((order > 0) - (order < 0), (packed_order > 0) - (packed_order < 0));
    }
}

static void only_base62_can_be_packed(void **state)
{
    (void)state;
    uint8_t packed[18];
    static const char strange[] = "-_/:@[`{ \x80";
    for (size_t i = 0; i < sizeof(strange); i++) { // the NUL too
        char text[] = "0123456789ABCDEFGHabcdef";
        text[i % 24] = strange[i];
        assert_false(text_pack24(text, packed));
    }
}

static void decimals_are_bounded_and_canonical(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_true(text_decimal(bytes_text("0"), 0, &value) && value == 0);
    assert_true(text_decimal(bytes_text("65535"), 65535, &value) && value == 65535);
    assert_true(text_decimal(bytes_text("18446744073709551615"), UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
    assert_true(text_decimal(bytes_text("9"), 9, &value) && value == 9);
    value = 7;
    assert_false(text_decimal(bytes_text("18446744073709551616"), UINT64_MAX, &value));
    assert_false(text_decimal(bytes_text("99999999999999999999"), UINT64_MAX, &value));
    assert_false(text_decimal(bytes_text("65536"), 65535, &value));
    assert_false(text_decimal(bytes_text("655350"), 65535, &value));
    assert_false(text_decimal(bytes_text("9"), 8, &value));
    assert_false(text_decimal(bytes_text("1"), 0, &value));
    static const char *const wrong[] = {"", "00", "01", "+1", "-1", " 1", "1 ", "1.0", "0x1", "a"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(text_decimal(bytes_text(wrong[i]), 100, &value));
    assert_false(text_decimal(bytes_of(NULL, 0), 100, &value));
    assert_int_equal(value, 7);
}

static void utf8_knows_every_scalar_value(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x120000; code++) {
        uint8_t text[4] = {(uint8_t)(0xf0 | code >> 18), (uint8_t)(0x80 | (code >> 12 & 63)),
                           (uint8_t)(0x80 | (code >> 6 & 63)), (uint8_t)(0x80 | (code & 63))};
        size_t at = code >= 0x10000 ? 0 : code >= 0x800 ? 1 : code >= 0x80 ? 2 : 3;
        if (at == 1)
            text[1] = (uint8_t)(0xe0 | code >> 12);
        else if (at == 2)
            text[2] = (uint8_t)(0xc0 | code >> 6);
        else if (at == 3)
            text[3] = (uint8_t)code;
        bool is_scalar = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        assert_int_equal(text_is_utf8(bytes_of(text + at, 4 - at)), is_scalar);
        if (at < 3)
            assert_false(text_is_utf8(bytes_of(text + at, 3 - at)));
    }
}

static void utf8_that_is_malformed_is_refused_anywhere(void **state)
{
    (void)state;
    static const char *const wrong[] = {"\x80",
                                        "\xbf",
                                        "\xc0\x80",
                                        "\xc1\xbf",
                                        "\xe0\x9f\xbf",
                                        "\xed\xa0\x80",
                                        "\xf0\x8f\xbf\xbf",
                                        "\xf4\x90\x80\x80",
                                        "\xf5\x80\x80\x80",
                                        "\xff",
                                        "\xc3(",
                                        "\xe2\x82("};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        for (size_t before = 0; before < 12; before++) {
            char text[32] = "aaaaaaaaaaaa";
            memcpy(text + before, wrong[i], strlen(wrong[i]) + 1);
            assert_false(text_is_utf8(bytes_text(text)));
        }
    }
    assert_true(text_is_utf8(bytes_of(NULL, 0)));
    assert_true(text_is_utf8(bytes_of("a\0b", 3)));
}

static int set_up(void **state)
{
    (void)state;
    rand_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_goes_both_ways),
        cmocka_unit_test(a_hex_digit_has_a_value_and_no_other_byte_has),
        cmocka_unit_test(hex_of_another_size_or_alphabet_is_refused),
        cmocka_unit_test(base64_encodes_both_alphabets),
        cmocka_unit_test(base64_decodes_padded_or_not),
        cmocka_unit_test(base64_that_is_not_canonical_is_refused),
        cmocka_unit_test(packed_ids_unpack_to_themselves),
        cmocka_unit_test(packing_is_the_number_in_base_62),
        cmocka_unit_test(packing_keeps_the_order),
        cmocka_unit_test(only_base62_can_be_packed),
        cmocka_unit_test(decimals_are_bounded_and_canonical),
        cmocka_unit_test(utf8_knows_every_scalar_value),
        cmocka_unit_test(utf8_that_is_malformed_is_refused_anywhere),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
