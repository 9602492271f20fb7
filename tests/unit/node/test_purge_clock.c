// SPDX-License-Identifier: Apache-2.0
// Tests of which clocks purges go by.
#include "node/purge_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// cmocka needs the four above.
#include <cmocka.h>

#define KR_NOW_MS INT64_C(1700000000000)
#define KR_DAY_MS INT64_C(86400000)

static void a_clock_that_goes_on_is_believed(void **state)
{
    (void)state;
    struct purge_clock clock;
    purge_clock_init(&clock, 0, KR_NOW_MS, 1000);
    for (int64_t day = 0; day < 1000; day++)
        assert_true(purge_clock_believes(&clock, KR_NOW_MS + day * KR_DAY_MS,
                                         1000 + (uint64_t)(day * KR_DAY_MS)));
    // Set back, and somewhat ahead.
    assert_true(purge_clock_believes(&clock, KR_NOW_MS, 1000 + 1000 * (uint64_t)KR_DAY_MS));
    assert_true(
        purge_clock_believes(&clock, KR_NOW_MS + 6 * KR_DAY_MS, 2000 + 1000 * (uint64_t)KR_DAY_MS));
}

static void a_node_that_was_off_for_some_days_believes_its_clock(void **state)
{
    (void)state;
    struct purge_clock clock;
    purge_clock_init(&clock, KR_NOW_MS - 6 * KR_DAY_MS, KR_NOW_MS, 1000);
    assert_true(purge_clock_believes(&clock, KR_NOW_MS, 1000));
}

static void a_leap_is_believed_when_it_has_stood_for_an_hour(void **state)
{
    (void)state;
    static const int64_t year_ms = 365 * KR_DAY_MS;
    struct purge_clock clock;
    purge_clock_init(&clock, KR_NOW_MS - year_ms, KR_NOW_MS, 1000);
    for (int64_t ms = 0; ms < (int64_t)KR_PURGE_DOUBT_MS; ms += 1000)
        assert_false(purge_clock_believes(&clock, KR_NOW_MS + ms, 1000 + (uint64_t)ms));
    assert_true(purge_clock_believes(&clock, KR_NOW_MS + (int64_t)KR_PURGE_DOUBT_MS,
                                     1000 + KR_PURGE_DOUBT_MS));
    assert_true(purge_clock_believes(&clock, KR_NOW_MS + (int64_t)KR_PURGE_DOUBT_MS,
                                     2000 + KR_PURGE_DOUBT_MS));
}

static void a_clock_that_is_set_right_begins_anew(void **state)
{
    (void)state;
    struct purge_clock clock;
    purge_clock_init(&clock, KR_NOW_MS, KR_NOW_MS, 1000);
    assert_false(purge_clock_believes(&clock, KR_NOW_MS + 30 * KR_DAY_MS, 2000));
    assert_true(purge_clock_believes(&clock, KR_NOW_MS + 2000, 3000));
    assert_false(
        purge_clock_believes(&clock, KR_NOW_MS + 30 * KR_DAY_MS, 2000 + KR_PURGE_DOUBT_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_that_goes_on_is_believed),
        cmocka_unit_test(a_node_that_was_off_for_some_days_believes_its_clock),
        cmocka_unit_test(a_leap_is_believed_when_it_has_stood_for_an_hour),
        cmocka_unit_test(a_clock_that_is_set_right_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
