// SPDX-License-Identifier: Apache-2.0
// The freshness lease: what extends it and what must not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replication/lease.h"

static void drift_is_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(lease_drift_ms(0), 1);
    assert_int_equal(lease_drift_ms(2000), 1);
    assert_int_equal(lease_drift_ms(2001), 2);
    assert_int_equal(lease_drift_ms(60000), 30);
    assert_int_equal(lease_drift_ms(1000000), 500);
    assert_true(lease_drift_ms(UINT64_MAX) > UINT64_MAX / 2001);
}

static void nothing_is_known_at_first(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease, 7, 0);
    assert_true(lease_age(&lease, 5000) == UINT64_MAX);
    assert_int_equal(lease_left(&lease, 5000), 0);
    assert_int_equal(lease_until(&lease), 0);
}

static void a_grant_counts_from_the_question(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease, 7, 0);
    uint64_t seq = lease_ask(&lease, 10000);
    assert_true(lease_granted(&lease, seq, 2000, 7));
    assert_int_equal(lease_until(&lease), 11999);
    assert_int_equal(lease_age(&lease, 10000), 1);
    assert_int_equal(lease_age(&lease, 10500), 501);
    assert_int_equal(lease_left(&lease, 10500), 1499);
    assert_int_equal(lease_left(&lease, 11999), 0);
    assert_int_equal(lease_age(&lease, 70000), 60001);
}

static void age_is_right_soon_after_boot(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease, 0, 0);
    assert_true(lease_granted(&lease, lease_ask(&lease, 10), 2000, 0));
    assert_int_equal(lease_age(&lease, 10), 1);
}

static void what_was_known_before_the_process_counts_for_nothing(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease, 0, 50000);
    assert_true(lease_granted(&lease, lease_ask(&lease, 50100), 1500, 0));
    assert_int_equal(lease_until(&lease), 0);
    lease_forget(&lease, 0);
    assert_true(lease_granted(&lease, lease_ask(&lease, 50600), 1400, 0));
    assert_int_equal(lease_until(&lease), 0);
    assert_true(lease_granted(&lease, lease_ask(&lease, 50600), 1500, 0));
    assert_int_equal(lease_until(&lease), 52099);
}

static void more_than_the_window_is_clamped(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease, 0, 0);
    assert_true(lease_granted(&lease, lease_ask(&lease, 10000), UINT64_MAX, 0));
    assert_int_equal(lease_until(&lease), 11999);
}

static void an_upstream_that_knows_nothing_gives_nothing(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease, 0, 0);
    assert_true(lease_granted(&lease, lease_ask(&lease, 10000), 0, 0));
    assert_int_equal(lease_until(&lease), 0);
    assert_true(lease_granted(&lease, lease_ask(&lease, 10000), 1, 0));
    assert_int_equal(lease_until(&lease), 10000); // the drift eats it
}

static void unknown_answers_are_passed_over(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease, 0, 0);
    uint64_t first = lease_ask(&lease, 10000);
    uint64_t second = lease_ask(&lease, 10100);
    assert_false(lease_granted(&lease, 0, 2000, 0));
    assert_false(lease_granted(&lease, second + 1, 2000, 0));
    assert_false(lease_granted(&lease, second + KR_LEASE_ASKED, 2000, 0));
    assert_true(lease_granted(&lease, second, 2000, 0));
    assert_false(lease_granted(&lease, second, 2000, 0)); // twice
    assert_false(lease_granted(&lease, first, 2000, 0));  // late
    assert_int_equal(lease_until(&lease), 12099);
}

static void old_questions_are_forgotten(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease, 0, 0);
    uint64_t first = lease_ask(&lease, 10000);
    for (int i = 0; i < KR_LEASE_ASKED; i++)
        assert_int_equal(lease_ask(&lease, 10100), first + 1 + (uint64_t)i);
    assert_false(lease_granted(&lease, first, 2000, 0));
}

static void a_shorter_grant_takes_nothing_away(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease, 0, 0);
    assert_true(lease_granted(&lease, lease_ask(&lease, 10000), 2000, 0));
    assert_true(lease_granted(&lease, lease_ask(&lease, 10100), 100, 0));
    assert_int_equal(lease_until(&lease), 11999);
}

static void a_grant_waits_for_its_index(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease, 5, 0);
    assert_true(lease_granted(&lease, lease_ask(&lease, 10000), 2000, 6));
    assert_true(
        lease_granted(&lease, lease_ask(&lease, 10100), 2000, 6)); // makes the first needless
    assert_true(lease_granted(&lease, lease_ask(&lease, 10200), 2000, 8));
    assert_true(lease_granted(&lease, lease_ask(&lease, 10300), 1000, 9)); // never useful
    assert_int_equal(lease.pending_count, 2);
    assert_int_equal(lease_until(&lease), 0);
    lease_applied(&lease, 5);
    assert_int_equal(lease_until(&lease), 0);
    lease_applied(&lease, 7);
    assert_int_equal(lease_until(&lease), 12099);
    lease_applied(&lease, 9);
    assert_int_equal(lease_until(&lease), 12199);
    assert_int_equal(lease.pending_count, 0);
}

static void many_pending_grants_keep_the_first_and_the_last(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease, 0, 0);
    for (uint64_t i = 1; i <= 3 * KR_LEASE_PENDING; i++)
        assert_true(lease_granted(&lease, lease_ask(&lease, 10000 + i), 2000, i));
    lease_applied(&lease, 1);
    assert_int_equal(lease_until(&lease), 12000);
    lease_applied(&lease, 3 * KR_LEASE_PENDING - 1);
    assert_int_equal(lease_until(&lease), 11999 + KR_LEASE_PENDING - 1);
    lease_applied(&lease, 3 * KR_LEASE_PENDING);
    assert_int_equal(lease_until(&lease), 11999 + 3 * KR_LEASE_PENDING);
}

static void another_state_knows_nothing(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease, 9, 0);
    uint64_t seq = lease_ask(&lease, 10000);
    assert_true(lease_granted(&lease, seq, 2000, 9));
    seq = lease_ask(&lease, 10100);
    lease_forget(&lease, 4);
    assert_true(lease_age(&lease, 10200) == UINT64_MAX);
    assert_false(lease_granted(&lease, seq, 2000, 4));
    assert_int_equal(lease_ask(&lease, 10300), seq + 1);
    assert_true(lease_granted(&lease, seq + 1, 2000, 9)); // not applied in this state
    assert_int_equal(lease_until(&lease), 0);
}

static void a_leader_that_was_knows_until_its_validity_ended(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease, 3, 0);
    uint64_t seq = lease_ask(&lease, 10000);
    lease_led(&lease, 9, 11000);
    assert_int_equal(lease_until(&lease), 11000);
    assert_int_equal(lease_age(&lease, 40000), 29000 + KR_LEASE_WINDOW_MS);
    assert_int_equal(lease_left(&lease, 10400), 600);
    assert_false(lease_granted(&lease, seq, 2000, 9));
    assert_true(lease_granted(&lease, lease_ask(&lease, 12000), 2000, 10)); // not applied yet
    assert_int_equal(lease_until(&lease), 11000);
    lease_applied(&lease, 10);
    assert_int_equal(lease_until(&lease), 13999);
    lease_led(&lease, 10, 0);
    assert_true(lease_age(&lease, 14000) == UINT64_MAX);
}

static void a_leader_lends_its_validity(void **state)
{
    (void)state;
    assert_int_equal(lease_left_of_leader(UINT64_MAX, 10000), KR_LEASE_WINDOW_MS);
    assert_int_equal(lease_left_of_leader(11500, 10000), 1500);
    assert_int_equal(lease_left_of_leader(15000, 10000), KR_LEASE_WINDOW_MS);
    assert_int_equal(lease_left_of_leader(10000, 10000), 0);
    assert_int_equal(lease_left_of_leader(0, 10000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drift_is_rounded_up),
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(a_grant_counts_from_the_question),
        cmocka_unit_test(age_is_right_soon_after_boot),
        cmocka_unit_test(what_was_known_before_the_process_counts_for_nothing),
        cmocka_unit_test(more_than_the_window_is_clamped),
        cmocka_unit_test(an_upstream_that_knows_nothing_gives_nothing),
        cmocka_unit_test(unknown_answers_are_passed_over),
        cmocka_unit_test(old_questions_are_forgotten),
        cmocka_unit_test(a_shorter_grant_takes_nothing_away),
        cmocka_unit_test(a_grant_waits_for_its_index),
        cmocka_unit_test(many_pending_grants_keep_the_first_and_the_last),
        cmocka_unit_test(another_state_knows_nothing),
        cmocka_unit_test(a_leader_that_was_knows_until_its_validity_ended),
        cmocka_unit_test(a_leader_lends_its_validity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
