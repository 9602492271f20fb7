// SPDX-License-Identifier: Apache-2.0
// The progress line.
#include "client/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct buf out;

static const char *line_at(const struct progress *progress, struct progress_now now,
                           uint64_t now_ms)
{
    buf_clear(&out);
    progress_add_line(progress, now, now_ms, &out);
    buf_add_u8(&out, '\0');
    return (const char *)out.data;
}

static void nothing_is_shown_within_two_seconds_or_without_a_terminal(void **state)
{
    struct term term = {.is_terminal = true, .width = 80}, pipe = {0};
    struct progress progress;
    (void)state;
    progress_init(&progress, &term, "Importing", 1000);
    assert_false(progress_is_due(&progress, 2999));
    assert_true(progress_is_due(&progress, 3000));
    progress_init(&progress, &pipe, "Importing", 1000);
    assert_false(progress_is_due(&progress, 90000));
}

static void it_is_drawn_ten_times_a_second_and_wiped(void **state)
{
    char text[256] = "";
    FILE *file = tmpfile();
    struct term term = {.file = file, .is_terminal = true, .width = 80};
    struct progress progress;
    (void)state;
    assert_non_null(file);
    progress_init(&progress, &term, "Importing", 0);
    progress_draw(&progress, (struct progress_now){1, 2, ""}, 1999);
    assert_int_equal(ftell(file), 0);
    progress_draw(&progress, (struct progress_now){1, 2, ""}, 2000);
    long drawn = ftell(file);
    assert_true(drawn > 0);
    progress_draw(&progress, (struct progress_now){1, 2, ""}, 2099);
    assert_int_equal(ftell(file), drawn);
    progress_wipe(&progress);
    rewind(file);
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    assert_string_equal(text + size - 4, "\r\033[K");
    fclose(file);
}

static void a_known_total_shows_a_bar_and_the_time_left(void **state)
{
    struct term term = {.is_terminal = true, .width = 200};
    struct progress progress;
    (void)state;
    progress_init(&progress, &term, "Importing", 0);
    assert_string_equal(line_at(&progress, (struct progress_now){25, 100, "250 rows"}, 30000),
                        "Importing [######..................]  25 %  left: 1 min 30 s  250 rows");
    assert_string_equal(line_at(&progress, (struct progress_now){500, 100, ""}, 30000),
                        "Importing [########################] 100 %");
}

static void an_unknown_total_shows_that_time_passes(void **state)
{
    struct term term = {.is_terminal = true, .width = 200};
    struct progress progress;
    (void)state;
    progress_init(&progress, &term, "Waiting", 0);
    assert_string_equal(line_at(&progress, (struct progress_now){0}, 3000),
                        "Waiting [...............#........] 3 s");
}

static void it_never_wraps(void **state)
{
    struct term term = {.is_terminal = true, .width = 20};
    struct progress progress;
    (void)state;
    progress_init(&progress, &term, "Importing", 0);
    assert_int_equal(term_columns(line_at(&progress, (struct progress_now){1, 4, "x"}, 3000)), 19);
}

static void numbers_are_grouped(void **state)
{
    char number[KR_PROGRESS_NUMBER_SIZE];
    (void)state;
    assert_string_equal(progress_number(0, number), "0");
    assert_string_equal(progress_number(999, number), "999");
    assert_string_equal(progress_number(1204000, number), "1,204,000");
    assert_string_equal(progress_number(UINT64_MAX, number), "18,446,744,073,709,551,615");
}

static int setup(void **state)
{
    (void)state;
    buf_init(&out, (size_t)1 << 16);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_fini(&out);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_shown_within_two_seconds_or_without_a_terminal),
        cmocka_unit_test(it_is_drawn_ten_times_a_second_and_wiped),
        cmocka_unit_test(a_known_total_shows_a_bar_and_the_time_left),
        cmocka_unit_test(an_unknown_total_shows_that_time_passes),
        cmocka_unit_test(it_never_wraps),
        cmocka_unit_test(numbers_are_grouped),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
