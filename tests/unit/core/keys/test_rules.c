// SPDX-License-Identifier: Apache-2.0
// What settings may be.
#include "core/keys/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

// count times the letter; lent until the next.
static const char *letters(char letter, size_t count)
{
    static char text[512];
    memset(text, letter, count);
    text[count] = '\0';
    return text;
}

static void a_tag_has_a_name_and_bounds(void **state)
{
    (void)state;
    assert_true(rules_is_tag_name("a"));
    assert_true(rules_is_tag_name(letters('a', 64)));
    assert_false(rules_is_tag_name(letters('a', 65)));
    assert_false(rules_is_tag_name(""));
    assert_true(rules_is_tag_value(""));
    assert_true(rules_is_tag_value(letters('a', 256)));
    assert_false(rules_is_tag_value(letters('a', 257)));
}

static void lengths_are_of_characters_and_not_of_bytes(void **state)
{
    char name[2 * 64 + 1] = "";
    (void)state;
    for (size_t i = 0; i < 64; i++)
        memcpy(name + 2 * i, "ä", 2);
    assert_true(rules_is_tag_name(name));
}

static void a_scope_reads_as_one_wherever_it_goes(void **state)
{
    static const char *const wrong[] = {"", "a b", "a,b", "a\"b", "a\\b", "a\tb", "ä", "a\x7f"};
    (void)state;
    assert_true(rules_is_scope("orders:read"));
    assert_true(rules_is_scope(letters('~', KR_SCOPE_MAX)));
    assert_false(rules_is_scope(letters('a', KR_SCOPE_MAX + 1)));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(rules_is_scope(wrong[i]));
}

static void last4_is_four_characters_or_none(void **state)
{
    (void)state;
    assert_true(rules_is_last4("x7Qd"));
    assert_true(rules_is_last4(""));
    assert_false(rules_is_last4("x7Q"));
    assert_false(rules_is_last4("x7Qd1"));
    assert_false(rules_is_last4("x7 d"));
    assert_false(rules_is_last4("x7Qä"));
}

static void a_life_begins_before_it_ends(void **state)
{
    (void)state;
    assert_true(rules_is_life(0, 0));
    assert_true(rules_is_life(7, 0));
    assert_true(rules_is_life(0, 7));
    assert_true(rules_is_life(6, 7));
    assert_false(rules_is_life(7, 7));
    assert_false(rules_is_life(8, 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_has_a_name_and_bounds),
        cmocka_unit_test(lengths_are_of_characters_and_not_of_bytes),
        cmocka_unit_test(a_scope_reads_as_one_wherever_it_goes),
        cmocka_unit_test(last4_is_four_characters_or_none),
        cmocka_unit_test(a_life_begins_before_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
