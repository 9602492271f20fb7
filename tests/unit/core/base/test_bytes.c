// SPDX-License-Identifier: Apache-2.0
// Borrowed bytes: comparison, with and without case, of empty and NULL runs too.
#include "core/base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void text_has_no_nul(void **state)
{
    (void)state;
    assert_int_equal(bytes_text("abc").size, 3);
    assert_int_equal(bytes_text("").size, 0);
}

static void equality_looks_at_size_and_bytes(void **state)
{
    (void)state;
    assert_true(bytes_equal(bytes_text("abc"), bytes_of("abcd", 3)));
    assert_false(bytes_equal(bytes_text("abc"), bytes_text("abd")));
    assert_false(bytes_equal(bytes_text("abc"), bytes_text("ab")));
    assert_true(bytes_equal(bytes_of("a\0b", 3), bytes_of("a\0b", 3)));
    assert_false(bytes_equal(bytes_of("a\0b", 3), bytes_of("a\0c", 3)));
    assert_false(bytes_equal_text(bytes_of("a\0b", 3), "a"));
}

static void empty_runs_are_equal_whatever_they_point_at(void **state)
{
    (void)state;
    assert_true(bytes_equal(bytes_of(NULL, 0), bytes_text("")));
    assert_true(bytes_equal_text(bytes_of(NULL, 0), ""));
    assert_true(bytes_equal_text_nocase(bytes_of(NULL, 0), ""));
}

static void field_names_compare_without_case(void **state)
{
    (void)state;
    assert_true(bytes_equal_text_nocase(bytes_text("CONTENT-Length"), "content-length"));
    assert_false(bytes_equal_text_nocase(bytes_text("content_length"), "content-length"));
    assert_false(bytes_equal_text_nocase(bytes_text("content"), "content-length"));
    assert_false(bytes_equal_text_nocase(bytes_text("k\xc3\xa9"), "k\xc3\x89"));
}

static void a_prefix_is_at_the_start(void **state)
{
    (void)state;
    assert_true(bytes_starts_with(bytes_text("Bearer x"), bytes_text("Bearer ")));
    assert_true(bytes_starts_with(bytes_text("x"), bytes_of(NULL, 0)));
    assert_false(bytes_starts_with(bytes_text("Bear"), bytes_text("Bearer ")));
    assert_false(bytes_starts_with(bytes_text("xBearer "), bytes_text("Bearer ")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_has_no_nul),
        cmocka_unit_test(equality_looks_at_size_and_bytes),
        cmocka_unit_test(empty_runs_are_equal_whatever_they_point_at),
        cmocka_unit_test(field_names_compare_without_case),
        cmocka_unit_test(a_prefix_is_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
