// SPDX-License-Identifier: Apache-2.0
// Tests of the form of a key: the vectors, every boundary of the form, minting and masking.
#include "core/keys/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/rand.h"
#include "core/base/text.h"
#include "core/keys/digest.h"

#define BODY "SbXOIkDj8Q6xzR8t8JDvTNsLAbgZJ5J37jMawoPNKOi"
#define GOOD "kr_live_" BODY "_04393769"

static struct json *vectors;

static int load_vectors(void **state)
{
    (void)state;
    struct buf text;
    struct fault fault;
    buf_init(&text, 1 << 20);
    if (file_read("tests/vectors/key-format.json", &text, &fault) != KR_ERR_OK ||
        json_parse(buf_bytes(&text), &vectors, &fault) != KR_ERR_OK) {
        print_error("%s\n", fault.text);
        return -1;
    }
    buf_fini(&text);
    return 0;
}

static int free_vectors(void **state)
{
    (void)state;
    json_free(&vectors);
    return 0;
}

static const char *text_of(const struct json *object, const char *name)
{
    return json_text(json_member(object, name));
}

static void well_formed_vectors_pass_and_have_their_digest_and_mask(void **state)
{
    (void)state;
    const struct json *list = json_member(vectors, "well_formed");
    assert_true(json_size(list) > 0);
    for (size_t i = 0; i < json_size(list); i++) {
        const struct json *vector = json_at(list, i);
        struct bytes key = bytes_text(text_of(vector, "key"));
        assert_int_equal(format_check(key), KR_FORMAT_OK);
        uint8_t digest[KR_DIGEST_SIZE];
        char hex[2 * KR_DIGEST_SIZE + 1], masked[KR_KEY_MASKED_SIZE];
        digest_sha256(key, digest);
        text_hex(digest, sizeof(digest), hex);
        assert_string_equal(hex, text_of(vector, "sha256"));
        format_mask(key, masked);
        assert_string_equal(masked, text_of(vector, "masked"));
    }
}

static void malformed_vectors_are_refused(void **state)
{
    (void)state;
    const struct json *list = json_member(vectors, "malformed");
    assert_true(json_size(list) > 0);
    for (size_t i = 0; i < json_size(list); i++) {
        const struct json *vector = json_at(list, i);
        if (format_check(bytes_text(text_of(vector, "key"))) == KR_FORMAT_OK)
            fail_msg("passed: %s", text_of(vector, "why"));
    }
}

static enum format_result check(const char *key)
{
    return format_check(bytes_text(key));
}

static void a_wrong_checksum_is_told_from_another_form(void **state)
{
    (void)state;
    assert_int_equal(check("kr_live_" BODY "_04393760"), KR_FORMAT_CHECKSUM);
    assert_int_equal(check("kr_live_" BODY "_0439376A"), KR_FORMAT_OTHER);
    assert_int_equal(check("kr_live_" BODY "-04393769"), KR_FORMAT_OTHER);
    assert_int_equal(check("kr_live-" BODY "_04393769"), KR_FORMAT_OTHER);
    assert_int_equal(check(BODY "_04393769"), KR_FORMAT_OTHER);
    assert_int_equal(check("_" BODY "_04393769"), KR_FORMAT_OTHER);
    assert_int_equal(check("sk-1234567890abcdef1234567890abcdef"), KR_FORMAT_OTHER);
    assert_int_equal(format_check(bytes_of(NULL, 0)), KR_FORMAT_OTHER);
}

static void the_checksum_is_of_the_body_alone(void **state)
{
    (void)state;
    assert_int_equal(check("acme_pay_" BODY "_04393769"), KR_FORMAT_OK);
    assert_int_equal(check("zz_" BODY "_04393769"), KR_FORMAT_OK);
}

// Every single-byte change of a good key must be noticed: CRC-32 finds all of them in the body, and
// the form those in the checksum. Only a prefix may turn into another prefix.
static void any_changed_byte_behind_the_prefix_is_noticed(void **state)
{
    (void)state;
    char key[] = GOOD;
    for (size_t at = strlen("kr_live_") - 1; at < strlen(GOOD); at++) {
        for (int byte = 0; byte < 256; byte++) {
            key[at] = (char)byte;
            bool is_changed = key[at] != GOOD[at];
            assert_int_equal(format_check(bytes_of(key, strlen(GOOD))) != KR_FORMAT_OK, is_changed);
        }
        key[at] = GOOD[at];
    }
}

// Any checksum will do: one that is wrong is told only of a key that has the form.
static void a_body_has_32_to_64_characters(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        enum format_result result;
    } cases[] = {{31, KR_FORMAT_OTHER},
                 {32, KR_FORMAT_CHECKSUM},
                 {64, KR_FORMAT_CHECKSUM},
                 {65, KR_FORMAT_OTHER}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char key[256], body[66] = "";
        memset(body, '7', cases[i].size);
        body[cases[i].size] = '\0';
        snprintf(key, sizeof(key), "kr_live_%s_00000000", body);
        assert_int_equal(check(key), cases[i].result);
    }
}

static void prefixes_keep_to_their_form(void **state)
{
    (void)state;
    static const char *const good[] = {"kr_live",
                                       "ab",
                                       "a1",
                                       "a123456789abcdef",
                                       "ab_1",
                                       "ab_1_2",
                                       "a123456789abcdef_123456789abcdef_123456789abcdef"};
    static const char *const bad[] = {"",
                                      "a",
                                      "_",
                                      "1a",
                                      "_ab",
                                      "ab_",
                                      "ab__c",
                                      "ab_c_d_e",
                                      "ab_c_d_",
                                      "aB",
                                      "ab-c",
                                      "a_bc",
                                      "ab c",
                                      "Ab",
                                      "a123456789abcdef0",
                                      "ab_0123456789abcdef"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char key[256];
        assert_true(format_is_prefix(good[i]));
        snprintf(key, sizeof(key), "%s_" BODY "_04393769", good[i]);
        assert_int_equal(check(key), KR_FORMAT_OK);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char key[256];
        if (format_is_prefix(bad[i]))
            fail_msg("passed: '%s'", bad[i]);
        snprintf(key, sizeof(key), "%s_" BODY "_04393769", bad[i]);
        assert_int_equal(check(key), KR_FORMAT_OTHER);
    }
}

static void minted_keys_pass_the_check(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"kr_live",
                                           "a123456789abcdef_123456789abcdef_123456789abcdef"};
    for (int turn = 0; turn < 1000; turn++) {
        char body[KR_KEY_BODY_SIZE], key[KR_KEY_MINTED_SIZE];
        rand_base62(body, sizeof(body));
        format_mint(prefixes[turn % 2], body, key);
        assert_int_equal(check(key), KR_FORMAT_OK);
        assert_memory_equal(key + strlen(prefixes[turn % 2]) + 1, body, sizeof(body));
    }
    char key[KR_KEY_MINTED_SIZE];
    format_mint("kr_live", BODY, key);
    assert_string_equal(key, GOOD);
}

static void assert_mask(const char *key, const char *expected)
{
    char masked[KR_KEY_MASKED_SIZE];
    format_mask(bytes_text(key), masked);
    assert_string_equal(masked, expected);
}

static void a_mask_shows_prefix_and_last_four_and_no_more(void **state)
{
    (void)state;
    assert_mask(GOOD, "kr_live_...3769");
    assert_mask("a123456789abcdef_123456789abcdef_123456789abcdef_" BODY "_04393769",
                "a123456789abcdef_123456789abcdef_123456789abcdef_...3769");
    assert_mask("sk-1234567890abcdef", "...cdef");
    assert_mask("short", "...");
    assert_mask("", "...");
    assert_mask("with a space in the middle", "...");
    assert_mask("a line break at the end\n", "...");
    char masked[KR_KEY_MASKED_SIZE];
    format_mask_last4("9f3a", masked);
    assert_string_equal(masked, "...9f3a");
    format_mask_last4("", masked);
    assert_string_equal(masked, "...");
}

static void custom_values_are_printable_ascii_of_16_to_512(void **state)
{
    (void)state;
    char value[KR_KEY_VALUE_MAX + 2];
    memset(value, '!', sizeof(value));
    assert_false(format_is_custom(bytes_of(value, KR_KEY_CUSTOM_MIN - 1)));
    assert_true(format_is_custom(bytes_of(value, KR_KEY_CUSTOM_MIN)));
    assert_true(format_is_custom(bytes_of(value, KR_KEY_VALUE_MAX)));
    assert_false(format_is_custom(bytes_of(value, KR_KEY_VALUE_MAX + 1)));
    for (int byte = 0; byte < 256; byte++) {
        value[7] = (char)byte;
        assert_int_equal(format_is_custom(bytes_of(value, 32)), byte > 0x20 && byte < 0x7f);
    }
}

static void ids_are_a_type_and_24_base62_characters(void **state)
{
    (void)state;
    assert_true(format_is_id("key_0123456789ABCDEFGHIJabcd", "key"));
    assert_true(format_is_id("bckt_0123456789ABCDEFGHIJabcd", "bckt"));
    assert_false(format_is_id("key_0123456789ABCDEFGHIJabcd", "csmr"));
    assert_false(format_is_id("key_0123456789ABCDEFGHIJabc", "key"));
    assert_false(format_is_id("key_0123456789ABCDEFGHIJabcde", "key"));
    assert_false(format_is_id("key_0123456789ABCDEFGHIJab-d", "key"));
    assert_false(format_is_id("key0123456789ABCDEFGHIJabcde", "key"));
    assert_false(format_is_id("key", "key"));
    assert_false(format_is_id("", "key"));
}

static bool may_repeat(const char *text)
{
    return format_may_repeat(bytes_text(text));
}

static void what_may_be_a_value_is_not_repeated(void **state)
{
    (void)state;
    char minted[KR_KEY_MINTED_SIZE];
    format_mint("kr_live", "abcdefghijklmnopqrstuvwxyz0123456789abcdefg", minted);
    assert_false(may_repeat(minted));
    minted[strlen(minted) - 1] ^= 1; // a wrong checksum
    assert_false(may_repeat(minted));
    assert_false(may_repeat("kr_live_4RXcZkuGLWcoKmqoxZaGs8uE"));
    assert_false(may_repeat("sk-8Qm2rV0yTz6nLw4bXc1dKfJh"));
    assert_false(may_repeat("with space"));
    assert_false(may_repeat("a\"b"));
    assert_false(may_repeat("\xc3\xa4"));
    assert_false(may_repeat(""));
    assert_false(format_may_repeat(bytes_of("a\0b", 3)));
    assert_true(may_repeat("$bulk"));
    assert_true(may_repeat("thisFieldIsUnknown"));
    assert_true(may_repeat("key_0123456789ABCDEFGHIJabcd"));
    assert_true(may_repeat("a-consumer-of-a-long-name-that-has-no-capitals_1"));
    assert_true(format_is_word(bytes_text("abcdefghijklmnopqrstuvwx")));
    assert_false(format_is_word(bytes_text("abcdefghijklmnopqrstuvwxy")));
    char name[130];
    memset(name, 'a', sizeof(name));
    assert_true(format_may_repeat(bytes_of(name, 128)));
    assert_false(format_may_repeat(bytes_of(name, 129)));
}

int main(void)
{
    rand_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_vectors_pass_and_have_their_digest_and_mask),
        cmocka_unit_test(malformed_vectors_are_refused),
        cmocka_unit_test(a_wrong_checksum_is_told_from_another_form),
        cmocka_unit_test(the_checksum_is_of_the_body_alone),
        cmocka_unit_test(any_changed_byte_behind_the_prefix_is_noticed),
        cmocka_unit_test(a_body_has_32_to_64_characters),
        cmocka_unit_test(prefixes_keep_to_their_form),
        cmocka_unit_test(minted_keys_pass_the_check),
        cmocka_unit_test(a_mask_shows_prefix_and_last_four_and_no_more),
        cmocka_unit_test(custom_values_are_printable_ascii_of_16_to_512),
        cmocka_unit_test(ids_are_a_type_and_24_base62_characters),
        cmocka_unit_test(what_may_be_a_value_is_not_repeated),
    };
    return cmocka_run_group_tests(tests, load_vectors, free_vectors);
}
