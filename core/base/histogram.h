// SPDX-License-Identifier: Apache-2.0
// A log-linear histogram of durations: 3 significant digits, from 1 ns to about 18 minutes.
//
// One writer a histogram (a loop, a load generator); readers merge copies. Values are nanoseconds.
#pragma once

#include <stdbool.h>
#include <stddef.h>
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
// Walks the buckets that hold something, upwards: start with *cursor = 0. Sets the largest value of
// the bucket (at most the maximum) and how many were recorded in it; false behind the last.
bool histogram_next(const struct histogram *histogram, size_t *cursor, uint64_t *value_ns,
                    uint64_t *count);
