// SPDX-License-Identifier: Apache-2.0
// The shared grammar, against the plain reading of its rules for every byte.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/http/syntax.h"

static void tokens_are_what_the_rfc_lists(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t text[1] = {(uint8_t)byte};
        bool is_alnum = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                        (byte >= 'A' && byte <= 'Z');
        bool is_mark = byte != 0 && strchr("!#$%&'*+-.^_`|~", (int)byte) != NULL;
        assert_int_equal(syntax_token_size(bytes_of(text, 1)), is_alnum || is_mark);
    }
}

static void a_token_ends_at_its_first_foreign_byte_in_any_length(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++)
        for (size_t at = 0; at < 20; at++) {
            uint8_t text[20], single = (uint8_t)byte;
            memcpy(text, "abyzABYZ-Content-X-M", sizeof(text));
            text[at] = single;
            bool is_token = syntax_token_size(bytes_of(&single, 1)) == 1;
            assert_int_equal(syntax_token_size(bytes_of(text, sizeof(text))),
                             is_token ? sizeof(text) : at);
        }
}

static void the_first_control_is_found_at_any_place_in_any_length(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++)
        for (size_t size = 1; size <= 20; size++)
            for (size_t at = 0; at < size; at++) {
                uint8_t text[20];
                bool is_control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
                memset(text, 'a', sizeof(text));
                text[at] = (uint8_t)byte;
                assert_int_equal(syntax_control_at(bytes_of(text, size)), is_control ? at : size);
            }
    assert_int_equal(syntax_control_at(bytes_of(NULL, 0)), 0);
}

static void a_forbidden_byte_is_found_anywhere_in_a_target(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++)
        for (size_t at = 0; at < 20; at++) {
            uint8_t text[20];
            memset(text, '/', sizeof(text));
            text[at] = (uint8_t)byte;
            assert_int_equal(syntax_is_target(bytes_of(text, sizeof(text))),
                             byte > 0x20 && byte < 0x7f && byte != '#');
        }
}

static void hosts_are_names_or_bracketed_addresses(void **state)
{
    (void)state;
    static const char *const good[] = {"a",     "a.b-c_d.example", "127.0.0.1", "127.0.0.1:80",
                                       "[::1]", "[::1]:7400",      "A:65535",   "a:00080"};
    static const char *const bad[] = {"",      ":",      ":80",      "a:",     "a:123456", "a:-1",
                                      "[]",    "[:]",    "[::1",     "[::1]x", "[::g]",    "::1",
                                      "a b",   "a,b",    "a/b",      "u@a",    "a%41",     "a\\b",
                                      "a:80:", "[::1]:", "a\xc3\xa9"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(syntax_is_authority(bytes_text(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (syntax_is_authority(bytes_text(bad[i])))
            fail_msg("%s", bad[i]);
    char name[257];
    memset(name, 'a', sizeof(name));
    assert_true(syntax_is_authority(bytes_of(name, 255)));
    assert_false(syntax_is_authority(bytes_of(name, 256)));
}

static void names_compare_in_any_case_and_whole(void **state)
{
    (void)state;
    assert_true(syntax_is_named(bytes_text("Content-Length"), "content-length"));
    assert_true(syntax_is_named(bytes_text("HOST"), "host"));
    assert_false(syntax_is_named(bytes_text("hos"), "host"));
    assert_false(syntax_is_named(bytes_text("hosts"), "host"));
}

static void lists_are_taken_item_by_item(void **state)
{
    (void)state;
    struct bytes list = bytes_text(" a ,,\tb\t, c");
    static const char *const items[] = {"a", "", "b", "c"};
    for (size_t i = 0; i < 4; i++)
        assert_true(bytes_equal_text(syntax_take_item(&list), items[i]));
    assert_int_equal(list.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_what_the_rfc_lists),
        cmocka_unit_test(a_token_ends_at_its_first_foreign_byte_in_any_length),
        cmocka_unit_test(the_first_control_is_found_at_any_place_in_any_length),
        cmocka_unit_test(a_forbidden_byte_is_found_anywhere_in_a_target),
        cmocka_unit_test(hosts_are_names_or_bracketed_addresses),
        cmocka_unit_test(names_compare_in_any_case_and_whole),
        cmocka_unit_test(lists_are_taken_item_by_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
