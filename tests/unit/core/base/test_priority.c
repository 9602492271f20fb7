// SPDX-License-Identifier: Apache-2.0
// Priorities: of one thread alone, handed to those it starts, and never raised.
#include "core/base/priority.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

struct seen {
    int nice, policy;
};

static struct seen look(void)
{
    return (struct seen){getpriority(PRIO_PROCESS, 0), sched_getscheduler(0)};
}

static void *look_as_child(void *out)
{
    *(struct seen *)out = look();
    return NULL;
}

static void await(void *(*run)(void *), void *ctx)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run, ctx), 0);
    pthread_join(thread, NULL);
}

struct story {
    enum priority first, second;
    struct seen after_first, after_second, child;
};

static void *take_both(void *ctx)
{
    struct story *story = ctx;
    priority_take(story->first);
    story->after_first = look();
    priority_take(story->second);
    story->after_second = look();
    await(look_as_child, &story->child);
    return NULL;
}

static void work_stands_behind_orders_and_orders_behind_answers(void **state)
{
    (void)state;
    const struct seen here = look();
    struct story up = {.first = KR_PRIORITY_ANSWERS, .second = KR_PRIORITY_ORDERS};
    struct story down = {.first = KR_PRIORITY_WORK, .second = KR_PRIORITY_WORK};
    await(take_both, &up);
    await(take_both, &down);
    assert_int_equal(up.after_first.nice, here.nice);
    assert_int_equal(up.after_first.policy, SCHED_OTHER);
    assert_int_equal(up.after_second.nice, here.nice > 5 ? here.nice : 5);
    assert_int_equal(up.after_second.policy, SCHED_BATCH);
    assert_int_equal(up.child.nice, up.after_second.nice);
    assert_int_equal(down.after_second.nice, here.nice > 10 ? here.nice : 10);
}

static void other_threads_stay_as_they_are(void **state)
{
    (void)state;
    const struct seen before = look();
    struct story story = {.first = KR_PRIORITY_WORK, .second = KR_PRIORITY_WORK};
    await(take_both, &story);
    assert_int_equal(look().nice, before.nice);
    assert_int_equal(look().policy, before.policy);
}

static void who_spins_hands_nothing_on(void **state)
{
    (void)state;
    const struct seen here = look();
    struct story story = {.first = KR_PRIORITY_SPIN, .second = KR_PRIORITY_SPIN};
    await(take_both, &story);
    assert_int_equal(story.after_second.nice, here.nice);
    assert_int_equal(story.after_second.policy, SCHED_OTHER | SCHED_RESET_ON_FORK);
    assert_int_equal(story.child.nice, here.nice);
    assert_int_equal(story.child.policy, SCHED_OTHER);
}

static void nobody_is_raised(void **state)
{
    (void)state;
    struct story story = {.first = KR_PRIORITY_WORK, .second = KR_PRIORITY_ORDERS};
    await(take_both, &story);
    assert_int_equal(story.after_second.nice, story.after_first.nice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_stands_behind_orders_and_orders_behind_answers),
        cmocka_unit_test(other_threads_stay_as_they_are),
        cmocka_unit_test(who_spins_hands_nothing_on),
        cmocka_unit_test(nobody_is_raised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
