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
    struct revocation revocation = {.last.before = 0};
    for (uint64_t i = 1; i <= KR_REVOKE_MARKS_MAX + 3; i++) {
        const struct revoke_mark mark = {i, (int64_t)(10 * i), KR_REASON_SUPERSEDED};
        revocation_add(&revocation, &mark);
        assert_int_equal(revocation.last.before, mark.before);
        assert_int_equal(revocation.last.at_ms, mark.at_ms);
        assert_int_equal(revocation.last.reason, mark.reason);
        assert_int_equal(revocation.earlier.count,
                         i - 1 < KR_REVOKE_MARKS_MAX ? i - 1 : KR_REVOKE_MARKS_MAX);
    }
    const struct revoke_mark *items = revocation.earlier.items;
    assert_int_equal(items[0].before, 1);
    assert_int_equal(items[KR_REVOKE_MARKS_MAX - 1].before, KR_REVOKE_MARKS_MAX);
}

static void the_first_mark_that_covers_a_revision_is_shown(void **state)
{
    (void)state;
    const struct revocation revocation = {
        .last.before = 30, .earlier = {.items = {{.before = 10}, {.before = 20}}, .count = 2}};
    static const uint64_t cases[][2] = {{0, 10},  {10, 10}, {11, 20}, {20, 20},
                                        {21, 30}, {30, 30}, {31, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(revocation_first(&revocation, cases[i][0]).before, cases[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_many_revocations_the_first_ones_are_kept),
        cmocka_unit_test(the_first_mark_that_covers_a_revision_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
