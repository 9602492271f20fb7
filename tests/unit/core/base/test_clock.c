// SPDX-License-Identifier: Apache-2.0
// The clocks go forward, and date-times go to text and back.
#include "core/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void assert_parses(const char *text, int64_t expected_ms)
{
    int64_t unix_ms = -1;
    if (clock_parse(bytes_text(text), &unix_ms) != 0)
        fail_msg("refused: %s", text);
    if (unix_ms != expected_ms)
        fail_msg("%s: %lld", text, (long long)unix_ms);
}

static void assert_refused(const char *text)
{
    int64_t unix_ms = -7;
    if (clock_parse(bytes_text(text), &unix_ms) == 0)
        fail_msg("accepted: %s", text);
    assert_int_equal(unix_ms, -7);
}

static void clocks_do_not_go_back(void **state)
{
    (void)state;
    uint64_t mono_ns = clock_mono_ns(), boot_ms = clock_boot_ms();
    assert_true(clock_mono_ns() >= mono_ns);
    assert_true(clock_boot_ms() >= boot_ms);
}

static void wall_time_has_one_epoch_in_both_units(void **state)
{
    (void)state;
    int64_t before_ms = clock_unix_ms(), now_us = clock_unix_us(), after_ms = clock_unix_ms();
    assert_true(now_us / 1000 >= before_ms && now_us / 1000 <= after_ms);
    assert_true(before_ms > INT64_C(1700000000000));
}

static void a_stamp_is_iso_8601_in_utc(void **state)
{
    (void)state;
    static const struct {
        int64_t unix_ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {951868800000, "2000-03-01T00:00:00.000Z"},
        {1769903999123, "2026-01-31T23:59:59.123Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {253402300800000, "9999-12-31T23:59:59.999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {-1, "1970-01-01T00:00:00.000Z"},
        {INT64_MIN, "1970-01-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char stamp[KR_STAMP_SIZE];
        clock_stamp(cases[i].unix_ms, stamp);
        assert_string_equal(stamp, cases[i].text);
    }
}

// Every day of the range, checked against the C library.
static void stamps_agree_with_gmtime_and_parse_back(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 2932897; day++) {
        time_t at = (time_t)(day * 86400 + day % 86400);
        struct tm tm;
        char stamp[KR_STAMP_SIZE], expected[64];
        int64_t parsed;
        clock_stamp((int64_t)at * 1000 + day % 1000, stamp);
        gmtime_r(&at, &tm);
        assert_int_equal(strtol(stamp, NULL, 10), tm.tm_year + 1900);
        assert_int_equal(strtol(stamp + 5, NULL, 10), tm.tm_mon + 1);
        assert_int_equal(strtol(stamp + 8, NULL, 10), tm.tm_mday);
        assert_int_equal(clock_parse(bytes_text(stamp), &parsed), 0);
        assert_int_equal(parsed, (int64_t)at * 1000 + day % 1000);
        if (day % 1000 == 0) {
            strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.", &tm);
            assert_memory_equal(stamp, expected, 20);
        }
    }
}

static void offsets_and_fractions_are_understood(void **state)
{
    (void)state;
    assert_parses("2026-01-31T23:59:59Z", 1769903999000);
    assert_parses("2026-01-31T23:59:59z", 1769903999000);
    assert_parses("2026-01-31t23:59:59Z", 1769903999000);
    assert_parses("2026-01-31T23:59:59.1Z", 1769903999100);
    assert_parses("2026-01-31T23:59:59.12Z", 1769903999120);
    assert_parses("2026-01-31T23:59:59.123456789Z", 1769903999123);
    assert_parses("2026-01-31T23:59:59.9999999999999999999999Z", 1769903999999);
    assert_parses("2026-02-01T01:29:59+01:30", 1769903999000);
    assert_parses("2026-01-31T15:59:59-08:00", 1769903999000);
    assert_parses("2026-01-31T23:59:59-00:00", 1769903999000);
    assert_parses("1969-12-31T23:30:00-00:30", 0);
    assert_parses("2026-01-31", 1769817600000);
    assert_parses("2024-02-29", 1709164800000);
    assert_parses("2000-02-29", 951782400000);
}

static void everything_else_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "2026",
        "2026-01",
        "2026-1-31",
        "2026-01-31T",
        "2026-01-31 23:59:59Z",
        "2026-01-31T23:59:59",
        "2026-01-31T23:59Z",
        "2026-01-31T23:59:59.Z",
        "2026-01-31T23:59:59,1Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T23:60:00Z",
        "2026-01-31T23:59:60Z",
        "2026-01-31T23:59:59+0100",
        "2026-01-31T23:59:59+01",
        "2026-01-31T23:59:59+24:00",
        "2026-01-31T23:59:59+01:60",
        "2026-01-31T23:59:59ZZ",
        "2026-01-31Z",
        " 2026-01-31",
        "2026-01-31 ",
        "2026-00-01",
        "2026-13-01",
        "2026-01-00",
        "2026-01-32",
        "2026-04-31",
        "2026-02-29",
        "2100-02-29",
        "-026-01-31",
        "+2026-01-31",
        "12026-01-31",
        "1969-12-31",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-01-31T23:59:59.12aZ",
        "2026-01-31T-1:59:59Z",
        "2026/01/31",
        "20260131",
        "now",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_refused(wrong[i]);
}

static void no_prefix_of_a_stamp_is_read_beyond_its_end(void **state)
{
    (void)state;
    const char *stamp = "2026-01-31T23:59:59.123Z";
    for (size_t size = 0; size < strlen(stamp); size++) {
        char *exact = test_malloc(size + 1);
        int64_t unix_ms;
        memcpy(exact, stamp, size);
        int result = clock_parse(bytes_of(exact, size), &unix_ms);
        assert_int_equal(result, size == 10 ? 0 : -1);
        test_free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_do_not_go_back),
        cmocka_unit_test(wall_time_has_one_epoch_in_both_units),
        cmocka_unit_test(a_stamp_is_iso_8601_in_utc),
        cmocka_unit_test(stamps_agree_with_gmtime_and_parse_back),
        cmocka_unit_test(offsets_and_fractions_are_understood),
        cmocka_unit_test(everything_else_is_refused),
        cmocka_unit_test(no_prefix_of_a_stamp_is_read_beyond_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
