// SPDX-License-Identifier: Apache-2.0
// The log-linear histogram: every power of two is cut into 1024 buckets of equal width.
#include "core/base/histogram.h"

#include <stddef.h>

#define KR_HISTOGRAM_SUB_BUCKETS (UINT64_C(1) << KR_HISTOGRAM_SUB_BITS)
#define KR_HISTOGRAM_LAST_NS ((UINT64_C(1) << 40) - 1)

// Values below 1024 have a bucket each; above, the leading 11 bits of the value choose it.
static size_t bucket_of(uint64_t value_ns)
{
    if (value_ns < KR_HISTOGRAM_SUB_BUCKETS)
        return (size_t)value_ns;
    if (value_ns > KR_HISTOGRAM_LAST_NS)
        return KR_HISTOGRAM_BUCKETS - 1;
    unsigned exponent = 63 - (unsigned)__builtin_clzll(value_ns);
    unsigned shift = exponent - KR_HISTOGRAM_SUB_BITS;
    uint64_t sub = (value_ns >> shift) - KR_HISTOGRAM_SUB_BUCKETS;
    return (size_t)((((uint64_t)shift + 1) << KR_HISTOGRAM_SUB_BITS) + sub);
}

static uint64_t widest_ns(size_t bucket)
{
    if (bucket < KR_HISTOGRAM_SUB_BUCKETS)
        return bucket;
    unsigned shift = (unsigned)(bucket >> KR_HISTOGRAM_SUB_BITS) - 1;
    uint64_t lead = KR_HISTOGRAM_SUB_BUCKETS + (bucket & (KR_HISTOGRAM_SUB_BUCKETS - 1));
    return ((lead + 1) << shift) - 1;
}

// The largest value that falls into the bucket; of the last, which also holds everything beyond the
// range, only the maximum is known.
static uint64_t bucket_end_ns(const struct histogram *histogram, size_t bucket)
{
    uint64_t end_ns = bucket < KR_HISTOGRAM_BUCKETS - 1 ? widest_ns(bucket) : histogram->max_ns;
    return end_ns < histogram->max_ns ? end_ns : histogram->max_ns;
}

void histogram_record(struct histogram *histogram, uint64_t value_ns)
{
    histogram->count++;
    histogram->sum_ns += value_ns;
    if (value_ns > histogram->max_ns)
        histogram->max_ns = value_ns;
    histogram->buckets[bucket_of(value_ns)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    into->sum_ns += from->sum_ns;
    if (from->max_ns > into->max_ns)
        into->max_ns = from->max_ns;
    for (size_t i = 0; i < KR_HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

static uint64_t rank_of(uint64_t count, double share)
{
    if (!(share > 0))
        return 1;
    if (share >= 1)
        return count;
    double exact = share * (double)count;
    uint64_t rank = (uint64_t)exact;
    if ((double)rank < exact)
        rank++;
    return rank < 1 ? 1 : rank > count ? count : rank;
}

uint64_t histogram_percentile(const struct histogram *histogram, double share)
{
    if (histogram->count == 0)
        return 0;
    uint64_t rank = rank_of(histogram->count, share), seen = 0;
    for (size_t i = 0; i < KR_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank)
            return bucket_end_ns(histogram, i);
    }
    return histogram->max_ns;
}

bool histogram_next(const struct histogram *histogram, size_t *cursor, uint64_t *value_ns,
                    uint64_t *count)
{
    size_t bucket = *cursor;
    while (bucket < KR_HISTOGRAM_BUCKETS && histogram->buckets[bucket] == 0)
        bucket++;
    *cursor = bucket + 1;
    if (bucket >= KR_HISTOGRAM_BUCKETS)
        return false;
    *value_ns = bucket_end_ns(histogram, bucket);
    *count = histogram->buckets[bucket];
    return true;
}
