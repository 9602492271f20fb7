// SPDX-License-Identifier: Apache-2.0
// Bytes as text and back: hex, base64 (RFC 4648 §4 and §5), base62 of fixed length, numbers.
//
// Decoders are strict: no white space, no missing or surplus padding, canonical trailing bits.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/bytes.h"

void text_hex(const uint8_t *data, size_t size_bytes,
              char *out); // 2·size lower-case digits and a NUL
bool text_from_hex(struct bytes hex, uint8_t *out,
                   size_t size_bytes); // exactly 2·size digits, any case
int text_hex_digit(uint8_t digit);     // its value, in any case; -1: it is none

void text_add_base64(struct buf *out, struct bytes data);    // §4, padded
void text_add_base64url(struct buf *out, struct bytes data); // §5, unpadded
// Decodes §4 or §5 (not mixed), padded or not, to at most limit bytes at out; false when malformed
// or longer.
bool text_from_base64(struct bytes text, uint8_t *out, size_t limit, size_t *size);

// 24 base62 characters ↔ 18 bytes, order-preserving (big-endian integer); how ids are kept in
// memory.
// False when a character is not base62; unpacking writes no NUL.
bool text_pack24(const char text[24], uint8_t out[18]);
void text_unpack24(const uint8_t in[18], char text[24]);

// A decimal without sign or leading zeros, ≤ max.
bool text_decimal(struct bytes text, uint64_t max, uint64_t *value);
// Valid UTF-8 (RFC 3629: no surrogates, no overlong forms).
bool text_is_utf8(struct bytes text);
// Code points of valid UTF-8.
size_t text_characters(const char *text);
