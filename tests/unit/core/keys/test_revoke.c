// SPDX-License-Identifier: Apache-2.0
// Tests of the marks of revocations: which are kept, and which one a key shows.
#include "core/keys/revoke.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void of_many_revocations_the_first_ones_are_kept(void **state)
{
    (void)state;
    struct revoke_marks marks = {.count = 0};
    const struct revoke_mark none = {0};
    revoke_marks_keep(&marks, &none);
    assert_int_equal(marks.count, 0);
    for (uint64_t i = 1; i <= KR_REVOKE_MARKS_MAX + 3; i++) {
        const struct revoke_mark mark = {.before = i};
        revoke_marks_keep(&marks, &mark);
    }
    assert_int_equal(marks.count, KR_REVOKE_MARKS_MAX);
    assert_int_equal(marks.items[0].before, 1);
    assert_int_equal(marks.items[KR_REVOKE_MARKS_MAX - 1].before, KR_REVOKE_MARKS_MAX);
}

static void the_first_mark_that_covers_a_revision_is_shown(void **state)
{
    (void)state;
    const struct revoke_marks earlier = {.items = {{.before = 10}, {.before = 20}}, .count = 2};
    const struct revoke_mark last = {.before = 30};
    static const uint64_t cases[][2] = {{0, 10},  {10, 10}, {11, 20}, {20, 20},
                                        {21, 30}, {30, 30}, {31, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(revoke_marks_first(&earlier, &last, cases[i][0]).before, cases[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_many_revocations_the_first_ones_are_kept),
        cmocka_unit_test(the_first_mark_that_covers_a_revision_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
