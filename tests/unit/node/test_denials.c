// SPDX-License-Identifier: Apache-2.0
// Tests of which denials have a row.
#include "node/denials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
// cmocka needs the four above.
#include <cmocka.h>

#include "core/base/rand.h"

enum { KR_MINUTE_MS = 60000 };

static struct denials *denials;

static int start(void **state)
{
    (void)state;
    denials = denials_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    denials_free(&denials);
    return 0;
}

// How many the row says were left out; -1: no row.
static int tell(const char *token_id, const char *route, int64_t now_ms)
{
    uint64_t left_out = 0;
    return denials_tell(denials, token_id, route, now_ms, &left_out) ? (int)left_out : -1;
}

static void the_first_has_a_row_and_the_next_a_minute_later(void **state)
{
    (void)state;
    assert_int_equal(tell("key_a", "key.create", 1000), 0);
    for (int i = 0; i < 7; i++)
        assert_int_equal(tell("key_a", "key.create", 1000 + i), -1);
    assert_int_equal(tell("key_a", "key.create", 999 + KR_MINUTE_MS), -1);
    assert_int_equal(tell("key_a", "key.create", 1000 + KR_MINUTE_MS), 8);
    assert_int_equal(tell("key_a", "key.create", 1000 + 2 * KR_MINUTE_MS), 0);
    assert_int_equal(denials_left_out(denials), 8);
}

static void each_token_and_route_has_its_own(void **state)
{
    (void)state;
    assert_int_equal(tell("key_a", "key.create", 1000), 0);
    assert_int_equal(tell("key_b", "key.create", 1000), 0);
    assert_int_equal(tell("key_a", "key.delete", 1000), 0);
    assert_int_equal(tell("key_a", "key.create", 1000), -1);
}

static void a_clock_that_is_set_back_silences_nobody(void **state)
{
    (void)state;
    assert_int_equal(tell("key_a", "key.create", 10 * KR_MINUTE_MS), 0);
    assert_int_equal(tell("key_a", "key.create", 1), 0);
    assert_int_equal(tell("key_a", "key.create", 2), -1);
}

static void a_row_that_was_not_written_is_due_again(void **state)
{
    (void)state;
    assert_int_equal(tell("key_a", "key.create", 1000), 0);
    assert_int_equal(tell("key_a", "key.create", 1000), -1);
    assert_int_equal(tell("key_a", "key.create", 1000 + KR_MINUTE_MS), 1);
    denials_untell(denials, "key_a", "key.create");
    assert_int_equal(tell("key_a", "key.create", 1001 + KR_MINUTE_MS), 2);
}

static void many_tokens_are_each_told(void **state)
{
    (void)state;
    char id[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(id, sizeof(id), "key_%d", i);
        assert_int_equal(tell(id, "key.create", 1000 + i), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_has_a_row_and_the_next_a_minute_later),
        TEST(each_token_and_route_has_its_own),
        TEST(a_clock_that_is_set_back_silences_nobody),
        TEST(a_row_that_was_not_written_is_due_again),
        TEST(many_tokens_are_each_told),
    };
    rand_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
