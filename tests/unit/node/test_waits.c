// SPDX-License-Identifier: Apache-2.0
// Tests of the bounds of what waits for an index.
#include "node/waits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// cmocka needs the three above.
#include <cmocka.h>

static void they_are_due_when_the_first_can_be_over(void **state)
{
    (void)state;
    struct waits waits;
    waits_init(&waits);
    assert_false(waits_are_due(&waits, UINT64_MAX, UINT64_MAX));
    assert_true(waits_add(&waits, 20, 1000));
    assert_true(waits_add(&waits, 10, 2000));
    assert_false(waits_are_due(&waits, 9, 999));
    assert_true(waits_are_due(&waits, 10, 0));
    assert_true(waits_are_due(&waits, 0, 1000));
    waits_remove(&waits);
    waits_remove(&waits);
    assert_false(waits_are_due(&waits, 10, 1000));
}

static void there_are_so_many_and_no_more(void **state)
{
    (void)state;
    struct waits waits;
    waits_init(&waits);
    for (size_t i = 0; i < KR_WAITS_MAX; i++)
        assert_true(waits_add(&waits, 5, 5));
    assert_false(waits_add(&waits, 1, 1));
    assert_false(waits_are_due(&waits, 1, 1)); // who was not taken counts for nothing
    waits_remove(&waits);
    assert_true(waits_add(&waits, 1, 1));
    assert_true(waits_are_due(&waits, 1, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_due_when_the_first_can_be_over),
        cmocka_unit_test(there_are_so_many_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
