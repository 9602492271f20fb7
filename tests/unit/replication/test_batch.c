// SPDX-License-Identifier: Apache-2.0
// The time that entries bear, whatever the wall clock does. What batches hold:
// test_replica_local.c.
#include "replication/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define KR_SECOND INT64_C(1000000)
#define KR_NOW (1800000000 * KR_SECOND)

static void a_clock_that_is_set_back_a_little_holds_entries_where_they_are(void **state)
{
    int64_t last_us = 0;
    (void)state;
    assert_int_equal(batch_time_us(&last_us, KR_NOW), KR_NOW);
    assert_int_equal(batch_time_us(&last_us, KR_NOW - 2 * KR_SECOND), KR_NOW);
    assert_int_equal(batch_time_us(&last_us, KR_NOW - 299 * KR_SECOND), KR_NOW);
    assert_int_equal(batch_time_us(&last_us, KR_NOW + 1), KR_NOW + 1);
}

static void a_clock_that_was_far_ahead_holds_nothing_there(void **state)
{
    int64_t last_us = 0;
    (void)state;
    assert_int_equal(batch_time_us(&last_us, KR_NOW + 31536000 * KR_SECOND),
                     KR_NOW + 31536000 * KR_SECOND);
    assert_int_equal(batch_time_us(&last_us, KR_NOW), KR_NOW);
    assert_int_equal(batch_time_us(&last_us, KR_NOW - KR_SECOND), KR_NOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_that_is_set_back_a_little_holds_entries_where_they_are),
        cmocka_unit_test(a_clock_that_was_far_ahead_holds_nothing_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
