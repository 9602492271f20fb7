// SPDX-License-Identifier: Apache-2.0
// The histogram: three digits over the whole range, ends included.
#include "core/base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"

#define KR_TEST_END_NS (UINT64_C(1) << 40)

static int set_up(void **state)
{
    *state = mem_zalloc(sizeof(struct histogram));
    return 0;
}

static int tear_down(void **state)
{
    mem_free(*state);
    return 0;
}

static uint64_t count_below(const struct histogram *histogram, uint64_t limit_ns)
{
    size_t cursor = 0;
    uint64_t value_ns, count, sum = 0;
    while (histogram_next(histogram, &cursor, &value_ns, &count) && value_ns <= limit_ns)
        sum += count;
    return sum;
}

static void an_empty_one_answers_zero(void **state)
{
    struct histogram *histogram = *state;
    assert_int_equal(histogram_percentile(histogram, 0.99), 0);
    assert_int_equal(count_below(histogram, UINT64_MAX), 0);
}

static void small_values_are_exact(void **state)
{
    struct histogram *histogram = *state;
    for (uint64_t value = 0; value < 2048; value++)
        histogram_record(histogram, value);
    assert_int_equal(histogram->count, 2048);
    assert_int_equal(histogram->sum_ns, 2047 * 1024);
    assert_int_equal(histogram->max_ns, 2047);
    for (uint64_t value = 0; value < 2048; value++) {
        assert_int_equal(count_below(histogram, value), value + 1);
        assert_int_equal(histogram_percentile(histogram, ((double)value + 1) / 2048), value);
    }
}

// Each value alone: what comes back is at most 1/1024 above it, and never below.
static void every_value_keeps_three_digits(void **state)
{
    struct histogram *histogram = *state;
    for (uint64_t value = 1; value < KR_TEST_END_NS; value += 1 + value / 97) {
        memset(histogram, 0, sizeof(*histogram));
        histogram_record(histogram, value);
        histogram_record(histogram, KR_TEST_END_NS - 1); // or the maximum would cap the bucket
        uint64_t found = histogram_percentile(histogram, 0.5);
        assert_true(found >= value && found - value <= value / 1024);
    }
}

static void buckets_follow_the_order_of_values(void **state)
{
    struct histogram *histogram = *state;
    uint64_t recorded = 0;
    for (unsigned bit = 0; bit < 40; bit++) {
        histogram_record(histogram, UINT64_C(1) << bit);
        recorded++;
        assert_int_equal(count_below(histogram, UINT64_C(1) << bit), recorded);
        assert_int_equal(count_below(histogram, (UINT64_C(1) << bit) - 1),
                         bit == 0 ? 0 : recorded - 1);
    }
}

static void values_beyond_the_range_are_kept_as_the_maximum(void **state)
{
    struct histogram *histogram = *state;
    histogram_record(histogram, KR_TEST_END_NS - 1);
    assert_int_equal(histogram_percentile(histogram, 1), KR_TEST_END_NS - 1);
    histogram_record(histogram, UINT64_MAX - KR_TEST_END_NS);
    assert_true(histogram->max_ns == UINT64_MAX - KR_TEST_END_NS);
    assert_true(histogram_percentile(histogram, 1) == UINT64_MAX - KR_TEST_END_NS);
    assert_int_equal(histogram->buckets[KR_HISTOGRAM_BUCKETS - 1], 2);
    assert_int_equal(count_below(histogram, UINT64_MAX), 2);
}

static void percentiles_never_exceed_the_maximum(void **state)
{
    struct histogram *histogram = *state;
    histogram_record(histogram, 1000001);
    assert_int_equal(histogram_percentile(histogram, 0.5), 1000001);
    assert_int_equal(histogram_percentile(histogram, 1), 1000001);
}

static void shares_are_taken_at_their_rank(void **state)
{
    struct histogram *histogram = *state;
    for (uint64_t value = 1; value <= 1000; value++)
        histogram_record(histogram, value);
    assert_int_equal(histogram_percentile(histogram, 0.5), 500);
    assert_int_equal(histogram_percentile(histogram, 0.999), 999);
    assert_int_equal(histogram_percentile(histogram, 0.9991), 1000);
    assert_int_equal(histogram_percentile(histogram, 1), 1000);
    assert_int_equal(histogram_percentile(histogram, 2), 1000);
    assert_int_equal(histogram_percentile(histogram, 0), 1);
    assert_int_equal(histogram_percentile(histogram, -1), 1);
}

static void merging_is_as_if_one_had_recorded_all(void **state)
{
    struct histogram *one = *state;
    struct histogram *other = mem_zalloc(sizeof(*other)), *all = mem_zalloc(sizeof(*all));
    for (uint64_t i = 0; i < 10000; i++) {
        uint64_t value = i * i * i;
        histogram_record(i % 3 == 0 ? other : one, value);
        histogram_record(all, value);
    }
    histogram_merge(one, other);
    assert_memory_equal(one, all, sizeof(*all));
    mem_free(other);
    mem_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_one_answers_zero, set_up, tear_down),
        cmocka_unit_test_setup_teardown(small_values_are_exact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_value_keeps_three_digits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(buckets_follow_the_order_of_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_beyond_the_range_are_kept_as_the_maximum, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(percentiles_never_exceed_the_maximum, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shares_are_taken_at_their_rank, set_up, tear_down),
        cmocka_unit_test_setup_teardown(merging_is_as_if_one_had_recorded_all, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
