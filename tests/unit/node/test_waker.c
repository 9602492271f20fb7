// SPDX-License-Identifier: Apache-2.0
// Wakers: no call is lost, many are one, and none comes behind the close.
#include "node/waker.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { KR_THREADS = 4, KR_ORDERS = 20000 };

struct desk {
    uv_loop_t loop;
    struct waker waker;
    atomic_uint_fast64_t ordered; // by the threads, each before its call
    uint64_t seen, comes;         // the loop's
    uint64_t wanted;
};

static void come(void *ctx)
{
    struct desk *desk = ctx;
    desk->comes++;
    desk->seen = atomic_load_explicit(&desk->ordered, memory_order_relaxed);
    if (desk->seen == desk->wanted)
        waker_close(&desk->waker);
}

static void open_desk(struct desk *desk, uint64_t wanted)
{
    *desk = (struct desk){.wanted = wanted};
    assert_int_equal(uv_loop_init(&desk->loop), 0);
    waker_open(&desk->waker, &desk->loop, come, desk);
}

static void close_desk(struct desk *desk)
{
    assert_int_equal(uv_loop_close(&desk->loop), 0);
    waker_fini(&desk->waker);
}

static void *order(void *ctx)
{
    struct desk *desk = ctx;
    for (int i = 0; i < KR_ORDERS; i++) {
        atomic_fetch_add_explicit(&desk->ordered, 1, memory_order_relaxed);
        waker_call(&desk->waker);
    }
    return NULL;
}

// The loop ends only when it has come behind the last order: were that call lost, it would not.
static void no_call_is_lost(void **state)
{
    (void)state;
    struct desk desk;
    pthread_t threads[KR_THREADS];
    open_desk(&desk, (uint64_t)KR_THREADS * KR_ORDERS);
    for (int i = 0; i < KR_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, order, &desk), 0);
    uv_run(&desk.loop, UV_RUN_DEFAULT);
    for (int i = 0; i < KR_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(desk.seen, desk.wanted);
    assert_true(desk.comes >= 1 && desk.comes <= desk.wanted);
    close_desk(&desk);
}

static void calls_before_it_comes_are_one(void **state)
{
    (void)state;
    struct desk desk;
    open_desk(&desk, 3);
    for (int i = 0; i < 2; i++) {
        atomic_fetch_add(&desk.ordered, 1);
        waker_call(&desk.waker);
    }
    uv_run(&desk.loop, UV_RUN_ONCE);
    assert_int_equal(desk.comes, 1);
    assert_int_equal(uv_run(&desk.loop, UV_RUN_NOWAIT), 1); // alive, and nothing to do
    assert_int_equal(desk.comes, 1);
    atomic_fetch_add(&desk.ordered, 1);
    waker_call(&desk.waker);
    uv_run(&desk.loop, UV_RUN_DEFAULT);
    assert_int_equal(desk.comes, 2);
    close_desk(&desk);
}

static void a_call_behind_the_close_does_nothing(void **state)
{
    (void)state;
    struct desk desk;
    open_desk(&desk, 1);
    waker_close(&desk.waker);
    atomic_fetch_add(&desk.ordered, 1);
    waker_call(&desk.waker);
    assert_int_equal(uv_run(&desk.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(desk.comes, 0);
    close_desk(&desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_call_is_lost),
        cmocka_unit_test(calls_before_it_comes_are_one),
        cmocka_unit_test(a_call_behind_the_close_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
