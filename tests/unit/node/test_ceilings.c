// SPDX-License-Identifier: Apache-2.0
// Tests of what one address may take.
#include "node/ceilings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// cmocka needs the four above.
#include <cmocka.h>
#include <pthread.h>

#include "core/base/rand.h"

static struct cidr_address address_of(const char *text)
{
    struct cidr_address address;
    assert_true(cidr_parse_address(bytes_text(text), &address));
    return address;
}

static void an_address_has_so_many_connections_and_no_more(void **state)
{
    (void)state;
    struct ceilings *ceilings = ceilings_new(2, 0);
    const struct cidr_address a = address_of("192.0.2.1"), b = address_of("192.0.2.2");
    assert_true(ceilings_enter(ceilings, &a));
    assert_true(ceilings_enter(ceilings, &a));
    assert_false(ceilings_enter(ceilings, &a));
    assert_true(ceilings_enter(ceilings, &b));
    ceilings_leave(ceilings, &a);
    assert_true(ceilings_enter(ceilings, &a));
    ceilings_leave(ceilings, &a);
    ceilings_leave(ceilings, &a);
    ceilings_leave(ceilings, &b);
    assert_true(ceilings_enter(ceilings, &a));
    ceilings_free(&ceilings);
}

static void a_host_of_ipv6_is_its_64_bits(void **state)
{
    (void)state;
    struct ceilings *ceilings = ceilings_new(1, 1);
    const struct cidr_address a = address_of("2001:db8::1"), same = address_of("2001:db8::ff:2");
    const struct cidr_address other = address_of("2001:db8:0:1::1");
    uint64_t wait_ms = 0;
    assert_true(ceilings_enter(ceilings, &a));
    assert_false(ceilings_enter(ceilings, &same));
    assert_true(ceilings_enter(ceilings, &other));
    assert_true(ceilings_fail(ceilings, &a, 1000, &wait_ms));
    assert_false(ceilings_fail(ceilings, &same, 1000, &wait_ms));
    assert_in_range(wait_ms, 59000, 61000);
    assert_true(ceilings_fail(ceilings, &other, 1000, &wait_ms));
    ceilings_free(&ceilings);
}

static void failures_are_let_pass_again_with_time(void **state)
{
    (void)state;
    struct ceilings *ceilings = ceilings_new(0, 60);
    const struct cidr_address a = address_of("192.0.2.1");
    uint64_t wait_ms = 0;
    for (unsigned i = 0; i < 60; i++)
        assert_true(ceilings_fail(ceilings, &a, 1000, &wait_ms));
    assert_false(ceilings_fail(ceilings, &a, 1000, &wait_ms));
    assert_true(ceilings_fail(ceilings, &a, 1000 + wait_ms, &wait_ms));
    ceilings_free(&ceilings);
}

static void zero_is_no_ceiling(void **state)
{
    (void)state;
    struct ceilings *ceilings = ceilings_new(0, 0);
    const struct cidr_address a = address_of("192.0.2.1");
    uint64_t wait_ms = 0;
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(ceilings_enter(ceilings, &a));
        assert_true(ceilings_fail(ceilings, &a, 1000, &wait_ms));
    }
    ceilings_free(&ceilings);
}

static void *come_and_go(void *ctx)
{
    struct ceilings *ceilings = ctx;
    for (unsigned i = 0; i < 20000; i++) {
        struct cidr_address address = {.bytes = {[10] = 0xff, 0xff, 10, 0, 0, (uint8_t)(i % 7)}};
        if (ceilings_enter(ceilings, &address))
            ceilings_leave(ceilings, &address);
    }
    return NULL;
}

static void threads_leave_nothing_behind(void **state)
{
    (void)state;
    struct ceilings *ceilings = ceilings_new(1, 0);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, ceilings), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (uint8_t i = 0; i < 7; i++) {
        struct cidr_address address = {.bytes = {[10] = 0xff, 0xff, 10, 0, 0, i}};
        assert_true(ceilings_enter(ceilings, &address));
    }
    ceilings_free(&ceilings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_has_so_many_connections_and_no_more),
        cmocka_unit_test(a_host_of_ipv6_is_its_64_bits),
        cmocka_unit_test(failures_are_let_pass_again_with_time),
        cmocka_unit_test(zero_is_no_ceiling),
        cmocka_unit_test(threads_leave_nothing_behind),
    };
    rand_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
