// SPDX-License-Identifier: Apache-2.0
// Randomness through libsodium.
#include "core/base/rand.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { KR_RAND_BASE62 = 62, KR_RAND_BASE62_LIMIT = 256 - 256 % KR_RAND_BASE62 };

void rand_init(void)
{
    if (sodium_init() < 0) {
        fputs("keyreeve: the system has no randomness\n", stderr);
        abort();
    }
}

void rand_bytes(void *out, size_t size_bytes)
{
    randombytes_buf(out, size_bytes);
}

uint64_t rand_u64(void)
{
    uint64_t value;
    randombytes_buf(&value, sizeof(value));
    return value;
}

void rand_base62(char *out, size_t size)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t draw[64];
    size_t done = 0;
    while (done < size) {
        // One byte in 32 is rejected; the system answers up to 32 bytes the fastest.
        size_t wanted = size - done + 8;
        size_t drawn = wanted < sizeof(draw) ? wanted : sizeof(draw);
        randombytes_buf(draw, drawn);
        for (size_t i = 0; i < drawn && done < size; i++)
            if (draw[i] < KR_RAND_BASE62_LIMIT)
                out[done++] = digits[draw[i] % KR_RAND_BASE62];
    }
    // What was drawn here may be a key.
    sodium_memzero(draw, sizeof(draw));
}
