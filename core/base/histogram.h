// SPDX-License-Identifier: Apache-2.0
// A log-linear histogram of durations: 3 significant digits, from 1 ns to about 18 minutes.
//
// One writer a histogram (a loop, a load generator); readers merge copies. Values are nanoseconds.
#pragma once

#include <stdint.h>

#define KR_HISTOGRAM_SUB_BITS 10
#define KR_HISTOGRAM_BUCKETS ((40 - KR_HISTOGRAM_SUB_BITS + 1) << KR_HISTOGRAM_SUB_BITS)

struct histogram {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t max_ns;
    uint64_t buckets[KR_HISTOGRAM_BUCKETS];
};

void histogram_record(struct histogram *histogram, uint64_t value_ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
// The value at or below which this share (0..1) of the recorded values lie; 0 when empty.
uint64_t histogram_percentile(const struct histogram *histogram, double share);
// How many recorded values are ≤ limit_ns (to the bucket's resolution).
uint64_t histogram_count_below(const struct histogram *histogram, uint64_t limit_ns);
