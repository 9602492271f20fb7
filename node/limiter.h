// SPDX-License-Identifier: Apache-2.0
// So many requests in so long a time, for each of many names: token buckets that hold one time's
// worth.
//
// One thread. Bounded: the bucket unused for longest makes room.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct limiter;

struct limiter *limiter_new(uint64_t count, uint64_t window_ms); // gives; count 0: never limits
void limiter_free(struct limiter **limiter);
// Takes one from id's bucket; false when it is empty, and *wait_ms says when it is not any more.
bool limiter_take(struct limiter *limiter, const char *id, uint64_t now_ms, uint64_t *wait_ms);
