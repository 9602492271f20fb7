// SPDX-License-Identifier: Apache-2.0
// The clocks: wall time for records, boot time for freshness, monotonic time for durations.
//
// Freshness uses boot time, which goes on while the machine is suspended, so that a paused process
// cannot take old knowledge for new, and whose rate nobody turns (clock_boot.h).
#pragma once

#include <stdint.h>

#include "core/base/bytes.h"

int64_t clock_unix_ms(void);
int64_t clock_unix_us(void);
uint64_t clock_boot_ms(void);
uint64_t clock_mono_ns(void);

// ISO 8601, UTC, milliseconds: "2026-01-31T23:59:59.123Z" and a NUL. What lies outside the years
// 1970 to 9999 becomes the nearest end of that range.
#define KR_STAMP_SIZE 25
void clock_stamp(int64_t unix_ms, char out[KR_STAMP_SIZE]);

// Parses RFC 3339 (any offset, any number of fraction digits; a bare date is midnight UTC). What is
// finer than a millisecond is dropped; a leap second is refused, for Unix time has none.
// Returns 0 and the milliseconds, or -1 when it is not a date-time between the years 1970 and 9999.
int clock_parse(struct bytes text, int64_t *unix_ms);
