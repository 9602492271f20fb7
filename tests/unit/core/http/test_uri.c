// SPDX-License-Identifier: Apache-2.0
// Paths and queries, taken apart or refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/http/uri.h"

// The segments joined by '|', or NULL when the path is refused.
static const char *split(struct arena *arena, const char *path)
{
    const char *segments[KR_URI_SEGMENTS_MAX];
    size_t count = 0;
    if (!uri_split_path(bytes_text(path), arena, segments, &count))
        return NULL;
    const char *joined = "";
    for (size_t i = 0; i < count; i++)
        joined = arena_printf(arena, "%s|%s", joined, segments[i]);
    return joined;
}

static void paths_become_decoded_segments(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"/", ""},
        {"/v1/a%20b/c", "|v1|a b|c"},
        {"/a/", "|a"},
        {"/a+b", "|a+b"},
        {"/%c3%A9", "|\xc3\xa9"},
        {"/...", "|..."},
        {"/$bulk", "|$bulk"},
        {"/%25", "|%"},
        {"/a%3Fb", "|a?b"},
        {"/1/2/3/4/5/6/7/8/9/10/11/12/", "|1|2|3|4|5|6|7|8|9|10|11|12"}};
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(split(&arena, rows[i][0]), rows[i][1]);
    arena_fini(&arena);
}

static void bad_paths_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {"",          "*",          "a",
                                       "//",        "/a//",       "/a//b",
                                       "/.",        "/..",        "/a/../b",
                                       "/%2e%2E/a", "/a%2fb",     "/a%2Fb",
                                       "/a%",       "/a%4",       "/a%zz",
                                       "/a%4g",     "/a%00b",     "/a%0d%0a",
                                       "/a%7f",     "/%ff",       "/%c0%af",
                                       "/%c3",      "/\xff",      "/a\tb",
                                       "/%+1",      "/%ed%a0%80", "/1/2/3/4/5/6/7/8/9/10/11/12/13"};
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (split(&arena, rows[i]) != NULL)
            fail_msg("%s", rows[i]);
    arena_fini(&arena);
}

static void queries_become_decoded_parameters(void **state)
{
    (void)state;
    struct arena arena;
    struct uri_parameter parameters[5];
    size_t count = 0;
    arena_init(&arena);
    assert_true(uri_split_query(bytes_text("a=1&tag.x%3Dy=b+c%2B&&flag&e=&f=g=h&"), &arena,
                                parameters, 5, &count));
    static const char *const expected[][2] = {
        {"a", "1"}, {"tag.x=y", "b c+"}, {"flag", ""}, {"e", ""}, {"f", "g=h"}};
    assert_int_equal(count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(parameters[i].name, expected[i][0]);
        assert_string_equal(parameters[i].value, expected[i][1]);
    }
    assert_true(uri_split_query(bytes_text(""), &arena, parameters, 5, &count));
    assert_int_equal(count, 0);
    arena_fini(&arena);
}

static void bad_queries_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {"a=%",   "a=%1",  "a=%zz",  "%=1",     "=1",     "a=%00",
                                       "a=%0a", "a=%ff", "a=1&=2", "a&b&c&d", "a=\x01", "a=%c0%af"};
    struct arena arena;
    struct uri_parameter parameters[3];
    size_t count = 0;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (uri_split_query(bytes_text(rows[i]), &arena, parameters, 3, &count))
            fail_msg("%s", rows[i]);
    arena_fini(&arena);
}

static void a_single_value_is_found_undecoded(void **state)
{
    (void)state;
    struct bytes query = bytes_text("ab=0&a=x%20y&a=2&flag&empty=");
    struct bytes value;
    assert_true(uri_query_value(query, "a", &value));
    assert_true(bytes_equal_text(value, "x%20y"));
    assert_true(uri_query_value(query, "flag", &value));
    assert_int_equal(value.size, 0);
    assert_true(uri_query_value(query, "empty", &value));
    assert_int_equal(value.size, 0);
    assert_false(uri_query_value(query, "b", &value));
    assert_false(uri_query_value(query, "fla", &value));
    assert_int_equal(value.size, 0);
    assert_false(uri_query_value(bytes_of(NULL, 0), "a", &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_become_decoded_segments),
        cmocka_unit_test(bad_paths_are_refused),
        cmocka_unit_test(queries_become_decoded_parameters),
        cmocka_unit_test(bad_queries_are_refused),
        cmocka_unit_test(a_single_value_is_found_undecoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
