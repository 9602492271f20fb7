// SPDX-License-Identifier: Apache-2.0
// The bench's chance: repeatable keys, Zipf ranks of the right shape; and its medians.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/draw.h"
#include "bench/table.h"

static void a_key_follows_from_seed_and_number(void **state)
{
    (void)state;
    char key[KR_KEY_MINTED_SIZE], again[KR_KEY_MINTED_SIZE], other[KR_KEY_MINTED_SIZE];
    for (uint64_t number = 0; number < 1000; number++) {
        draw_key(1, number, "kr_live", key);
        draw_key(1, number, "kr_live", again);
        assert_string_equal(key, again);
        assert_int_equal(format_check(bytes_text(key)), KR_FORMAT_OK);
        draw_key(1, number + 1, "kr_live", other);
        assert_string_not_equal(key, other);
        draw_key(2, number, "kr_live", other);
        assert_string_not_equal(key, other);
    }
    draw_key(1, 0, "kr_live", key);
    assert_string_equal(key, "kr_live_lsS7xb3gW8qNMkXgcduvFLK20YHN4Ri78JoXAkBYRI7_1dc191b4");
}

static void draws_below_a_bound_reach_all_of_it(void **state)
{
    (void)state;
    struct draw draw = {1};
    uint64_t seen[7] = {0};
    for (int i = 0; i < 7000; i++)
        seen[draw_below(&draw, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 800, 1200);
}

// P(0) = 1 / H(n, s) and P(0) / P(9) = 10^s, within what 200,000 draws of a fixed seed give.
static void assert_zipf(double exponent, double first_share, double first_to_tenth)
{
    enum { KR_RANKS = 1000, KR_DRAWS = 200000 };
    static uint64_t seen[KR_RANKS];
    struct draw draw = {1};
    struct zipf zipf;
    memset(seen, 0, sizeof(seen));
    zipf_init(&zipf, KR_RANKS, exponent);
    for (int i = 0; i < KR_DRAWS; i++) {
        uint64_t rank = zipf_draw(&zipf, &draw);
        assert_true(rank < KR_RANKS);
        seen[rank]++;
    }
    double share = (double)seen[0] / KR_DRAWS, ratio = (double)seen[0] / (double)seen[9];
    assert_true(share > first_share * 0.97 && share < first_share * 1.03);
    assert_true(ratio > first_to_tenth * 0.93 && ratio < first_to_tenth * 1.07);
}

static void zipf_ranks_have_their_shares(void **state)
{
    (void)state;
    assert_zipf(1.0, 0.13359, 10.0);
    assert_zipf(0.99, 0.12938, 9.772);
    assert_zipf(1.5, 0.39229, 31.62);
}

static void a_median_is_the_middle(void **state)
{
    (void)state;
    double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2};
    assert_true(table_median(odd, 3) > 1.99 && table_median(odd, 3) < 2.01);
    assert_true(table_median(even, 4) > 2.49 && table_median(even, 4) < 2.51);
    assert_true(table_median(NULL, 0) < 0);
}

static void figures_are_grouped_by_thousands(void **state)
{
    (void)state;
    static struct table table;
    table_row(&table, "row");
    table_number(&table, 1234567.891, 1);
    table_number(&table, 999, 0);
    table_number(&table, 1000, 0);
    table_number(&table, -1, 0);
    assert_string_equal(table.cells[0][1], "1,234,567.9");
    assert_string_equal(table.cells[0][2], "999");
    assert_string_equal(table.cells[0][3], "1,000");
    assert_string_equal(table.cells[0][4], "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_follows_from_seed_and_number),
        cmocka_unit_test(draws_below_a_bound_reach_all_of_it),
        cmocka_unit_test(zipf_ranks_have_their_shares),
        cmocka_unit_test(a_median_is_the_middle),
        cmocka_unit_test(figures_are_grouped_by_thousands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
