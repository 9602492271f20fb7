// SPDX-License-Identifier: Apache-2.0
// Values that a dry run meets again.
#include "client/import_seen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define ID "csmr_7hTz3KcVb9QwX2nLmR5sYpEa"

static struct import_seen seen;

static uint64_t add(uint64_t value, const char *bucket, const char *consumer, uint64_t line)
{
    uint8_t digest[KR_DIGEST_SIZE] = {0};
    memcpy(digest, &value, sizeof(value));
    return import_seen_add(&seen, digest, bucket, consumer, line);
}

static void a_value_of_two_consumers_is_told_with_the_line_of_the_first(void **state)
{
    (void)state;
    assert_int_equal(add(1, "production", "a", 3), 0);
    assert_int_equal(add(2, "production", "b", 4), 0);
    assert_int_equal(add(1, "production", "b", 5), 3);
    assert_int_equal(add(1, "production", "c", 6), 3);
}

static void a_consumer_may_name_its_value_again(void **state)
{
    (void)state;
    assert_int_equal(add(1, "production", "a", 1), 0);
    assert_int_equal(add(1, "production", "a", 2), 0);
}

static void consumers_of_two_buckets_are_two(void **state)
{
    (void)state;
    assert_int_equal(add(1, "production", "a", 1), 0);
    assert_int_equal(add(1, "preview", "a", 2), 1);
}

static void a_name_and_an_id_may_be_the_same_consumer(void **state)
{
    (void)state;
    assert_int_equal(add(1, "production", "a", 1), 0);
    assert_int_equal(add(1, "production", ID, 2), 0);
    assert_int_equal(add(1, "preview", ID, 3), 1);
}

static void many_are_remembered(void **state)
{
    const uint64_t count = 100000;
    (void)state;
    for (uint64_t i = 1; i <= count; i++)
        assert_int_equal(add(i, "production", "a", i), 0);
    for (uint64_t i = 1; i <= count; i++)
        assert_int_equal(add(i, "production", "b", count + i), i);
}

static int setup(void **state)
{
    (void)state;
    import_seen_init(&seen);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    import_seen_fini(&seen);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_value_of_two_consumers_is_told_with_the_line_of_the_first),
        TEST(a_consumer_may_name_its_value_again),
        TEST(consumers_of_two_buckets_are_two),
        TEST(a_name_and_an_id_may_be_the_same_consumer),
        TEST(many_are_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
