// SPDX-License-Identifier: Apache-2.0
// Tests of the line of the calls that read.
#include "node/readers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
// cmocka needs the four above.
#include <cmocka.h>

enum { KR_CROWD = 6 };

// Readers with a call each, of a pool of four threads.
struct crowd {
    struct readers readers;
    struct call calls[KR_CROWD];
    struct reader items[KR_CROWD];
};

static struct crowd *crowd_new(uint64_t calls_max)
{
    struct crowd *crowd = mem_zalloc(sizeof(*crowd));
    readers_init(&crowd->readers, 4, calls_max);
    for (size_t i = 0; i < KR_CROWD; i++)
        crowd->items[i].call = &crowd->calls[i];
    return crowd;
}

static void all_wait(struct crowd *crowd, uint64_t now_ms)
{
    for (size_t i = 0; i < KR_CROWD; i++) {
        assert_true(readers_enter(&crowd->readers, &crowd->items[i]));
        readers_wait(&crowd->readers, &crowd->items[i], now_ms);
    }
}

static struct readers_figures figures_of(const struct crowd *crowd)
{
    struct readers_figures figures;
    readers_figures(&crowd->readers, &figures);
    return figures;
}

static void two_threads_of_the_pool_are_left_to_others(void **state)
{
    (void)state;
    struct crowd *crowd = crowd_new(100);
    all_wait(crowd, 0);
    assert_ptr_equal(readers_next(&crowd->readers), &crowd->items[0]);
    assert_ptr_equal(readers_next(&crowd->readers), &crowd->items[1]);
    assert_null(readers_next(&crowd->readers));
    assert_int_equal(figures_of(crowd).running, 2);
    assert_int_equal(figures_of(crowd).waiting, KR_CROWD - 2);
    readers_ran(&crowd->readers, &crowd->items[1]);
    assert_ptr_equal(readers_next(&crowd->readers), &crowd->items[2]);
    assert_null(readers_next(&crowd->readers));
    mem_free(crowd);
}

static void a_small_pool_has_one_thread_for_them(void **state)
{
    (void)state;
    struct crowd *crowd = crowd_new(100);
    for (size_t threads = 0; threads <= 3; threads++) {
        struct reader reader = {.call = &crowd->calls[0]};
        readers_init(&crowd->readers, threads, 1);
        assert_true(readers_enter(&crowd->readers, &reader));
        readers_wait(&crowd->readers, &reader, 0);
        assert_ptr_equal(readers_next(&crowd->readers), &reader);
        assert_null(readers_next(&crowd->readers));
    }
    mem_free(crowd);
}

static void half_of_the_calls_may_read(void **state)
{
    (void)state;
    struct crowd *crowd = crowd_new(8);
    for (size_t i = 0; i < 4; i++)
        assert_true(readers_enter(&crowd->readers, &crowd->items[i]));
    assert_false(readers_enter(&crowd->readers, &crowd->items[4]));
    readers_leave(&crowd->readers, &crowd->items[4]); // it has none
    assert_false(readers_enter(&crowd->readers, &crowd->items[4]));
    readers_leave(&crowd->readers, &crowd->items[0]);
    assert_true(readers_enter(&crowd->readers, &crowd->items[4]));
    assert_int_equal(figures_of(crowd).refused, 2);
    mem_free(crowd);
}

static void who_is_given_up_or_waits_too_long_leaves_the_line(void **state)
{
    (void)state;
    struct crowd *crowd = crowd_new(100);
    all_wait(crowd, 1000);
    assert_ptr_equal(readers_next(&crowd->readers), &crowd->items[0]);
    assert_null(readers_expired(&crowd->readers, 1000));
    crowd->calls[0].is_given_up = true; // its walk ends by itself
    crowd->calls[3].is_given_up = true;
    assert_ptr_equal(readers_expired(&crowd->readers, 1000), &crowd->items[3]);
    assert_null(readers_expired(&crowd->readers, 1000));
    assert_ptr_equal(readers_next(&crowd->readers), &crowd->items[1]);
    assert_null(readers_expired(&crowd->readers, 999 + KR_READERS_WAIT_MS));
    assert_ptr_equal(readers_expired(&crowd->readers, 1000 + KR_READERS_WAIT_MS), &crowd->items[2]);
    readers_leave(&crowd->readers, &crowd->items[2]);
    readers_leave(&crowd->readers, &crowd->items[3]);
    assert_int_equal(figures_of(crowd).given_up, 1);
    assert_int_equal(figures_of(crowd).waiting, KR_CROWD - 4);
    mem_free(crowd);
}

static void what_another_node_has_stopped_waiting_for_is_given_up(void **state)
{
    (void)state;
    struct crowd *crowd = crowd_new(100);
    crowd->calls[0].until_ms = crowd->calls[2].until_ms = 5000;
    all_wait(crowd, 1000);
    assert_non_null(readers_next(&crowd->readers));
    assert_non_null(readers_next(&crowd->readers));
    assert_null(readers_expired(&crowd->readers, 4999));
    assert_false(crowd->calls[0].is_given_up);
    assert_ptr_equal(readers_expired(&crowd->readers, 5000), &crowd->items[2]);
    assert_true(crowd->calls[0].is_given_up);
    assert_false(crowd->calls[1].is_given_up);
    mem_free(crowd);
}

static void a_node_that_stops_gives_up_what_runs(void **state)
{
    (void)state;
    struct crowd *crowd = crowd_new(100);
    all_wait(crowd, 0);
    assert_non_null(readers_next(&crowd->readers));
    readers_give_up(&crowd->readers);
    assert_true(crowd->calls[0].is_given_up);
    assert_false(crowd->calls[1].is_given_up);
    mem_free(crowd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_threads_of_the_pool_are_left_to_others),
        cmocka_unit_test(a_small_pool_has_one_thread_for_them),
        cmocka_unit_test(half_of_the_calls_may_read),
        cmocka_unit_test(who_is_given_up_or_waits_too_long_leaves_the_line),
        cmocka_unit_test(what_another_node_has_stopped_waiting_for_is_given_up),
        cmocka_unit_test(a_node_that_stops_gives_up_what_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
