// SPDX-License-Identifier: Apache-2.0
// Tests of the request rates.
#include "node/limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
// cmocka needs the four above.
#include <cmocka.h>

#include "core/base/rand.h"

static unsigned take_many(struct limiter *limiter, const char *id, uint64_t now_ms, unsigned tries)
{
    uint64_t wait_ms;
    unsigned taken = 0;
    for (unsigned i = 0; i < tries; i++)
        taken += limiter_take(limiter, id, now_ms, &wait_ms) ? 1 : 0;
    return taken;
}

static void grants_a_second_at_once_and_then_the_rate(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new(100, 1000);
    assert_int_equal(take_many(limiter, "key_a", 5000, 150), 100);
    assert_int_equal(take_many(limiter, "key_a", 5100, 150), 10);
    assert_int_equal(take_many(limiter, "key_b", 5100, 150), 100);
    assert_int_equal(take_many(limiter, "key_a", 99999, 150), 100);
    limiter_free(&limiter);
}

static void says_how_long_to_wait(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new(2, 1000);
    uint64_t wait_ms = 0;
    take_many(limiter, "key_a", 1000, 2);
    assert_false(limiter_take(limiter, "key_a", 1000, &wait_ms));
    assert_true(limiter_take(limiter, "key_a", 1000 + wait_ms, &wait_ms));
    limiter_free(&limiter);
}

static void a_slow_rate_refills_under_many_tries(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new(10, 60000);
    unsigned taken = 0;
    for (uint64_t now_ms = 1000; now_ms < 61000; now_ms++)
        taken += take_many(limiter, "192.0.2.1", now_ms, 3);
    assert_in_range(taken, 19, 20);
    limiter_free(&limiter);
}

static void zero_never_limits(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new(0, 1000);
    assert_int_equal(take_many(limiter, "key_a", 1, 10000), 10000);
    limiter_free(&limiter);
}

static void stays_bounded_under_many_tokens(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new(1, 1000);
    char id[32];
    uint64_t wait_ms;
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(id, sizeof(id), "key_%u", i);
        assert_true(limiter_take(limiter, id, 1000 + i, &wait_ms));
    }
    limiter_free(&limiter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grants_a_second_at_once_and_then_the_rate),
        cmocka_unit_test(says_how_long_to_wait),
        cmocka_unit_test(a_slow_rate_refills_under_many_tries),
        cmocka_unit_test(zero_never_limits),
        cmocka_unit_test(stays_bounded_under_many_tokens),
    };
    rand_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
