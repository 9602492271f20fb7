// SPDX-License-Identifier: Apache-2.0
// Which values a dry run has met, and whose they are: two consumers cannot have the same one.
//
// 36 bytes a slot, at most three quarters of them taken, and at most KR_IMPORT_SEEN_MAX values:
// what comes after is not remembered. One thread.
#pragma once

#include <stdbool.h>

#include "core/keys/digest.h"

#define KR_IMPORT_SEEN_MAX ((size_t)16 << 20)

struct import_seen {
    struct import_seen_slot *slots;
    size_t size, count; // size: a power of two
    uint64_t seed;
};

void import_seen_init(struct import_seen *seen);
void import_seen_fini(struct import_seen *seen);
// Remembers the value of a row, and gives 0; or the line of the one before it that has the same
// value for another consumer. A consumer's name and an id count as the same one, for the node alone
// knows whether they are.
uint64_t import_seen_add(struct import_seen *seen, const uint8_t digest[KR_DIGEST_SIZE],
                         const char *bucket, const char *consumer, uint64_t line);
