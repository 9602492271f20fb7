// SPDX-License-Identifier: Apache-2.0
// Randomness from the operating system's CSPRNG, through libsodium. Thread-safe.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Once per process, before any other libsodium use; aborts when the system has no randomness.
void rand_init(void);
void rand_bytes(void *out, size_t size_bytes);
uint64_t rand_u64(void);
// size characters of [0-9A-Za-z], each uniform (rejection sampling), and no NUL.
void rand_base62(char *out, size_t size);
