// SPDX-License-Identifier: Apache-2.0
// The clocks, and date-times as text without the C library's time zones.
#include "core/base/clock.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "core/base/clock_boot.h"

#define KR_CLOCK_DAY_MS INT64_C(86400000)
#define KR_CLOCK_LAST_MS INT64_C(253402300799999) // 9999-12-31T23:59:59.999Z

struct civil {
    int64_t year;
    unsigned month; // 1..12
    unsigned day;   // 1..31
};

static struct timespec read_clock(clockid_t id)
{
    struct timespec now;
    int result = clock_gettime(id, &now);
    assert(result == 0);
    (void)result;
    return now;
}

int64_t clock_unix_ms(void)
{
    struct timespec now = read_clock(CLOCK_REALTIME);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_unix_us(void)
{
    struct timespec now = read_clock(CLOCK_REALTIME);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t read_ns(clockid_t id)
{
    struct timespec now = read_clock(id);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

uint64_t clock_boot_ms(void)
{
    static struct clock_boot boot = KR_CLOCK_BOOT_INIT;
    return clock_boot_ns(&boot, read_ns) / 1000000;
}

uint64_t clock_mono_ns(void)
{
    return (uint64_t)read_ns(CLOCK_MONOTONIC);
}

// Both conversions count years from March in eras of 400 years (146097 days), so that the leap day
// is the last of its year; 719468 days lie between 0000-03-01 and 1970-01-01.
static struct civil civil_from_days(int64_t days)
{
    uint64_t shifted = (uint64_t)(days + 719468);
    uint64_t era = shifted / 146097;
    unsigned day_of_era = (unsigned)(shifted % 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct civil){
        .year = (int64_t)(year_of_era + era * 400) + (month <= 2),
        .month = month,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
    };
}

static int64_t days_from_civil(struct civil date)
{
    uint64_t year = (uint64_t)(date.year - (date.month <= 2));
    uint64_t era = year / 400;
    unsigned year_of_era = (unsigned)(year % 400);
    unsigned month_from_march = date.month > 2 ? date.month - 3 : date.month + 9;
    unsigned day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
    unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int64_t)(era * 146097 + day_of_era) - 719468;
}

static void put_digits(char *out, unsigned digits, unsigned value)
{
    while (digits > 0) {
        out[--digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

void clock_stamp(int64_t unix_ms, char out[KR_STAMP_SIZE])
{
    int64_t at_ms = unix_ms < 0 ? 0 : unix_ms > KR_CLOCK_LAST_MS ? KR_CLOCK_LAST_MS : unix_ms;
    struct civil date = civil_from_days(at_ms / KR_CLOCK_DAY_MS);
    unsigned of_day_ms = (unsigned)(at_ms % KR_CLOCK_DAY_MS);
    memcpy(out, "0000-00-00T00:00:00.000Z", KR_STAMP_SIZE);
    put_digits(out, 4, (unsigned)date.year);
    put_digits(out + 5, 2, date.month);
    put_digits(out + 8, 2, date.day);
    put_digits(out + 11, 2, of_day_ms / 3600000);
    put_digits(out + 14, 2, of_day_ms / 60000 % 60);
    put_digits(out + 17, 2, of_day_ms / 1000 % 60);
    put_digits(out + 20, 3, of_day_ms % 1000);
}

// A reader with a sticky error: after the first step that does not match, every step gives 0.
struct reader {
    struct bytes rest;
    bool has_failed;
};

static bool peek_is(const struct reader *reader, char wanted)
{
    return reader->rest.size > 0 && reader->rest.data[0] == (uint8_t)wanted;
}

static void skip(struct reader *reader)
{
    reader->rest = bytes_of(reader->rest.data + 1, reader->rest.size - 1);
}

static void expect(struct reader *reader, char upper, char lower)
{
    if (reader->has_failed || (!peek_is(reader, upper) && !peek_is(reader, lower)))
        reader->has_failed = true;
    else
        skip(reader);
}

static unsigned take_digits(struct reader *reader, unsigned digits, unsigned least, unsigned most)
{
    unsigned value = 0;
    for (unsigned i = 0; i < digits && !reader->has_failed; i++) {
        unsigned digit = reader->rest.size > 0 ? (unsigned)reader->rest.data[0] - '0' : 10;
        if (digit > 9) {
            reader->has_failed = true;
        } else {
            value = value * 10 + digit;
            skip(reader);
        }
    }
    if (value < least || value > most)
        reader->has_failed = true;
    return value;
}

// Digits behind the third are checked and dropped.
static unsigned take_fraction_ms(struct reader *reader)
{
    unsigned value_ms = 0, weight = 100;
    if (!peek_is(reader, '.'))
        return 0;
    skip(reader);
    do {
        value_ms += weight * take_digits(reader, 1, 0, 9);
        weight /= 10;
    } while (!reader->has_failed && reader->rest.size > 0 && reader->rest.data[0] >= '0' &&
             reader->rest.data[0] <= '9');
    return value_ms;
}

// What must be added to the local time to get UTC.
static int64_t take_offset_ms(struct reader *reader)
{
    bool is_east = peek_is(reader, '+');
    if (!is_east && !peek_is(reader, '-')) {
        expect(reader, 'Z', 'z');
        return 0;
    }
    skip(reader);
    int64_t offset_ms = (int64_t)take_digits(reader, 2, 0, 23) * 3600000;
    expect(reader, ':', ':');
    offset_ms += (int64_t)take_digits(reader, 2, 0, 59) * 60000;
    return is_east ? -offset_ms : offset_ms;
}

static unsigned days_in_month(int64_t year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && is_leap ? 1u : 0u);
}

static int64_t take_date_ms(struct reader *reader)
{
    struct civil date;
    // 1969 and so that an offset can lead across the new year into the allowed range.
    date.year = take_digits(reader, 4, 1969, 9999);
    expect(reader, '-', '-');
    date.month = take_digits(reader, 2, 1, 12);
    expect(reader, '-', '-');
    date.day = take_digits(reader, 2, 1, 31);
    if (reader->has_failed || date.day > days_in_month(date.year, date.month)) {
        reader->has_failed = true;
        return 0;
    }
    return days_from_civil(date) * KR_CLOCK_DAY_MS;
}

static int64_t take_time_ms(struct reader *reader)
{
    int64_t at_ms = (int64_t)take_digits(reader, 2, 0, 23) * 3600000;
    expect(reader, ':', ':');
    at_ms += (int64_t)take_digits(reader, 2, 0, 59) * 60000;
    expect(reader, ':', ':');
    at_ms += (int64_t)take_digits(reader, 2, 0, 59) * 1000;
    at_ms += take_fraction_ms(reader);
    return at_ms + take_offset_ms(reader);
}

int clock_parse(struct bytes text, int64_t *unix_ms)
{
    struct reader reader = {.rest = text};
    int64_t at_ms = take_date_ms(&reader);
    if (reader.rest.size > 0) {
        expect(&reader, 'T', 't');
        at_ms += take_time_ms(&reader);
    }
    if (reader.has_failed || reader.rest.size > 0 || at_ms < 0 || at_ms > KR_CLOCK_LAST_MS)
        return -1;
    *unix_ms = at_ms;
    return 0;
}
