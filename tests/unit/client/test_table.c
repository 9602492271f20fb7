// SPDX-License-Identifier: Apache-2.0
// Tables and the texts in them.
#include "client/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>

static const struct table_column columns[] = {
    {"NAME", false, false}, {"COUNT", true, false}, {"NOTE", false, true}};
static struct buf out;

static int setup(void **state)
{
    (void)state;
    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
    buf_init(&out, (size_t)1 << 16);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_fini(&out);
    return 0;
}

static const char *text(void)
{
    buf_add_u8(&out, '\0');
    return (const char *)out.data;
}

static void render(const struct term *term, const char *const cells[], size_t count)
{
    struct table table;
    table_init(&table, columns, 3);
    for (size_t i = 0; i < count; i++)
        table_add(&table, cells[i], KR_STYLE_PLAIN);
    table_render(&table, term, &out);
    table_fini(&table);
}

static void columns_align_and_numbers_stand_right(void **state)
{
    (void)state;
    const char *const cells[] = {"a", "1", "x", "longer", "20,000", NULL};
    render(&(struct term){0}, cells, 6);
    assert_string_equal(text(), "NAME     COUNT  NOTE\n"
                                "a            1  x\n"
                                "longer  20,000  -\n");
}

static void wide_and_combining_characters_take_their_columns(void **state)
{
    (void)state;
    const char *const cells[] = {"\xe6\x97\xa5\xe6\x9c\xac", "1", "x", "e\xcc\x81", "2", "y"};
    render(&(struct term){0}, cells, 6);
    assert_string_equal(text(), "NAME  COUNT  NOTE\n"
                                "\xe6\x97\xa5\xe6\x9c\xac      1  x\n"
                                "e\xcc\x81         2  y\n");
}

static void a_terminal_cuts_the_flexible_column(void **state)
{
    (void)state;
    const char *const cells[] = {"a", "1", "a note that is far too long"};
    render(&(struct term){.is_terminal = true, .width = 24}, cells, 3);
    assert_string_equal(text(), "NAME  COUNT  NOTE\n"
                                "a         1  a note tha\xe2\x80\xa6\n");
}

static void a_narrow_terminal_never_loses_a_column(void **state)
{
    (void)state;
    const char *const cells[] = {"a", "1", "a note that is far too long"};
    render(&(struct term){.is_terminal = true, .width = 5}, cells, 3);
    assert_string_equal(text(), "NAME  COUNT  NOTE\n"
                                "a         1  a note \xe2\x80\xa6\n");
}

static void colour_is_for_terminals_that_have_it(void **state)
{
    struct table table;
    struct term term = {.is_terminal = true, .has_colour = true, .width = 80};
    (void)state;
    table_init(&table, columns, 1);
    table_add(&table, "ok", KR_STYLE_GREEN);
    table_render(&table, &term, &out);
    table_fini(&table);
    assert_string_equal(text(), "\033[1mNAME\033[0m\n\033[32mok\033[0m\n");
}

static void a_second_page_keeps_the_widths_and_has_no_header(void **state)
{
    struct table table;
    struct term term = {0};
    (void)state;
    table_init(&table, columns, 2);
    table_add(&table, "longest", KR_STYLE_PLAIN);
    table_add(&table, "1", KR_STYLE_PLAIN);
    table_render(&table, &term, &out);
    table_add(&table, "b", KR_STYLE_PLAIN);
    table_add(&table, "2", KR_STYLE_PLAIN);
    table_render(&table, &term, &out);
    table_fini(&table);
    assert_string_equal(text(), "NAME     COUNT\nlongest      1\nb            2\n");
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
    (void)state;
    term_add_safe(&out,
                  "a\033[31mb\rc\xc2\x9b"
                  "d\xe2\x80\xae"
                  "e\x7f",
                  SIZE_MAX);
    assert_string_equal(text(), "a?[31mb?c?d?e?");
}

static void stray_bytes_do_not_run_past_the_end(void **state)
{
    (void)state;
    assert_int_equal(term_columns("a\xe6"), 2);
    assert_int_equal(term_columns("\xf0\x9f"), 2);
    term_add_safe(&out, "a\xe6", 10);
    assert_int_equal(out.size, 2);
}

static void a_record_aligns_its_values(void **state)
{
    (void)state;
    const struct table_field fields[] = {{"id", "1", KR_STYLE_PLAIN},
                                         {"description", "", KR_STYLE_PLAIN}};
    table_render_record(fields, 2, &(struct term){0}, &out);
    assert_string_equal(text(), "id           1\ndescription  -\n");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(columns_align_and_numbers_stand_right),
        T(wide_and_combining_characters_take_their_columns),
        T(a_terminal_cuts_the_flexible_column),
        T(a_narrow_terminal_never_loses_a_column),
        T(colour_is_for_terminals_that_have_it),
        T(a_second_page_keeps_the_widths_and_has_no_header),
        T(control_characters_do_not_reach_the_terminal),
        T(stray_bytes_do_not_run_past_the_end),
        T(a_record_aligns_its_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
