// SPDX-License-Identifier: Apache-2.0
// Tests of the remembered commit times.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/commits.h"

static void the_latest_times_are_found_by_index(void **state)
{
    struct commits *commits = commits_new();
    int64_t ms = 0;
    (void)state;
    assert_false(commits_find(commits, 1, &ms));
    commits_note(commits, 1, 100);
    commits_note(commits, 2, 200);
    assert_true(commits_find(commits, 1, &ms));
    assert_int_equal(ms, 100);
    assert_true(commits_find(commits, 2, &ms));
    assert_int_equal(ms, 200);
    assert_false(commits_find(commits, 0, &ms));
    commits_free(&commits);
    assert_null(commits);
}

static void an_older_one_makes_way(void **state)
{
    struct commits *commits = commits_new();
    int64_t ms = 0;
    (void)state;
    for (uint64_t index = 1; index <= 10000; index++)
        commits_note(commits, index, (int64_t)index * 2);
    assert_false(commits_find(commits, 1, &ms));
    assert_true(commits_find(commits, 10000, &ms));
    assert_int_equal(ms, 20000);
    commits_free(&commits);
}

static void without_a_ring_nothing_is_remembered(void **state)
{
    int64_t ms = 7;
    (void)state;
    commits_note(NULL, 1, 100);
    assert_false(commits_find(NULL, 1, &ms));
    assert_int_equal(ms, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_latest_times_are_found_by_index),
        cmocka_unit_test(an_older_one_makes_way),
        cmocka_unit_test(without_a_ring_nothing_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
