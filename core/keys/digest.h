// SPDX-License-Identifier: Apache-2.0
// SHA-256 (FIPS 180-4): of a presented key, which is all that the index and followers know of it.
//
// Keeps nothing between calls; any thread. The only file that includes OpenSSL's digests.
#pragma once

#include <stdbool.h>

#include "core/base/bytes.h"

#define KR_DIGEST_SIZE 32
// No two keys agree in these first bytes: they are all that the hot table has to tell keys apart.
// See docs/decisions.md.
#define KR_DIGEST_UNIQUE_BYTES 24

void digest_sha256(struct bytes text, uint8_t out[KR_DIGEST_SIZE]);
// So many keys gain by being digested together; more gain nothing.
#define KR_DIGEST_TOGETHER 4
// out[i] of texts[i]; of two and more together, each takes three quarters of the time.
void digest_sha256_many(const struct bytes *texts, size_t count, uint8_t (*out)[KR_DIGEST_SIZE]);
// Reads one that is written as 64 hex digits or as base64; false when it is not.
bool digest_read(const char *text, uint8_t out[KR_DIGEST_SIZE]);
// Of several parts in order, each preceded by its length as 8 big-endian bytes (unambiguous).
void digest_parts(const struct bytes *parts, size_t count, uint8_t out[KR_DIGEST_SIZE]);
