// SPDX-License-Identifier: Apache-2.0
// The form of a key, read from its end: the checksum and the body have no '_', the prefix may.
//
// zlib's crc32 takes 65 ns for a body of 43 bytes, a byte at a time; eight tables side by side
// (slicing by 8), grown from zlib's own one at start, take 35 ns. Every well-formed key that is
// presented pays for it, so it is worth the 8 KiB.
#include "core/keys/format.h"

#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <zlib.h>

enum {
    KR_BODY_MIN = 32,
    KR_BODY_MAX = 64,
    KR_CHECKSUM_DIGITS = 8,
    KR_FIRST_PART_MIN = 2,
    KR_FIRST_PART_MAX = 16,
    KR_LATER_PART_MAX = 15,
    KR_LATER_PARTS_MAX = 2,
    KR_FORM_MIN = KR_FIRST_PART_MIN + 1 + KR_BODY_MIN + 1 + KR_CHECKSUM_DIGITS,
    KR_FORM_MAX = KR_KEY_PREFIX_MAX + 1 + KR_BODY_MAX + 1 + KR_CHECKSUM_DIGITS,
    KR_LAST_SHOWN = 4,
    KR_ID_CHARACTERS = 24,
    KR_SLICES = 8
};

static_assert(KR_KEY_PREFIX_MAX == KR_FIRST_PART_MAX + KR_LATER_PARTS_MAX * (1 + KR_LATER_PART_MAX),
              "KR_KEY_PREFIX_MAX is the longest prefix of the form");

static uint32_t slices[KR_SLICES][256];

// Before main, so that no call pays for a look at a flag; nothing else runs yet.
__attribute__((constructor)) static void grow_slices(void)
{
    const z_crc_t *table = get_crc_table();
    for (size_t i = 0; i < 256; i++)
        slices[0][i] = table[i];
    for (size_t slice = 1; slice < KR_SLICES; slice++)
        for (size_t i = 0; i < 256; i++) {
            uint32_t before = slices[slice - 1][i];
            slices[slice][i] = (before >> 8) ^ slices[0][before & 0xff];
        }
}

static uint32_t checksum(const uint8_t *data, size_t size)
{
    uint32_t crc = UINT32_MAX;
    for (; size >= KR_SLICES; size -= KR_SLICES, data += KR_SLICES) {
        uint64_t word;
        memcpy(&word, data, sizeof(word));
        word = le64toh(word) ^ crc;
        crc = slices[7][word & 0xff] ^ slices[6][(word >> 8) & 0xff] ^
              slices[5][(word >> 16) & 0xff] ^ slices[4][(word >> 24) & 0xff] ^
              slices[3][(word >> 32) & 0xff] ^ slices[2][(word >> 40) & 0xff] ^
              slices[1][(word >> 48) & 0xff] ^ slices[0][word >> 56];
    }
    for (; size > 0; size--, data++)
        crc = (crc >> 8) ^ slices[0][(crc ^ *data) & 0xff];
    return ~crc;
}

// A byte in each byte of a word.
#define KR_ALL(byte) (UINT64_C(0x0101010101010101) * (byte))

// The top bit of every byte that is ≥ least; the bytes are ASCII, so that no sum carries over.
static uint64_t at_least(uint64_t ascii, uint8_t least)
{
    return ascii + KR_ALL(0x80U - least);
}

static bool is_base62_word(const uint8_t *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof(word));
    uint64_t ascii = word & ~KR_ALL(0x80U), lower = ascii | KR_ALL(0x20U);
    uint64_t digits = at_least(ascii, '0') & ~at_least(ascii, '9' + 1);
    uint64_t letters = at_least(lower, 'a') & ~at_least(lower, 'z' + 1);
    return ((digits | letters) & ~word & KR_ALL(0x80U)) == KR_ALL(0x80U);
}

// Eight bytes at a time; the last word overlaps the one before. size ≥ 8.
static bool is_base62_text(const uint8_t *data, size_t size)
{
    bool is_good = is_base62_word(data + size - sizeof(uint64_t));
    for (size_t at = 0; at + sizeof(uint64_t) < size; at += sizeof(uint64_t))
        is_good &= is_base62_word(data + at);
    return is_good;
}

static bool is_digit(uint8_t c)
{
    return (uint8_t)(c - '0') < 10;
}

static bool is_lower(uint8_t c)
{
    return (uint8_t)(c - 'a') < 26;
}

static bool is_base62(uint8_t c)
{
    return is_digit(c) || is_lower(c | 0x20);
}

static bool is_printable(uint8_t c)
{
    return c > ' ' && c <= '~';
}

// [a-z0-9]{1,most} from *at on; moves *at behind it.
static bool read_part(struct bytes text, size_t *at, size_t most)
{
    size_t from = *at;
    while (*at < text.size && (is_lower(text.data[*at]) || is_digit(text.data[*at])))
        (*at)++;
    return *at > from && *at - from <= most;
}

static bool is_prefix(struct bytes text)
{
    size_t at = 0;
    if (text.size < KR_FIRST_PART_MIN || !is_lower(text.data[0]) ||
        !read_part(text, &at, KR_FIRST_PART_MAX) || at < KR_FIRST_PART_MIN)
        return false;
    for (int part = 0; part < KR_LATER_PARTS_MAX && at < text.size; part++) {
        if (text.data[at++] != '_' || !read_part(text, &at, KR_LATER_PART_MAX))
            return false;
    }
    return at == text.size;
}

static bool is_hex(const uint8_t *digits)
{
    for (size_t i = 0; i < KR_CHECKSUM_DIGITS; i++)
        if (!is_digit(digits[i]) && (uint8_t)(digits[i] - 'a') >= 6)
            return false;
    return true;
}

// The eight lower-case digits of sum, most significant first, in the order of memory.
static uint64_t hex_of(uint32_t sum)
{
    uint64_t nibbles = sum; // spread out, the most significant into the top byte
    nibbles = (nibbles | nibbles << 16) & UINT64_C(0x0000ffff0000ffff);
    nibbles = (nibbles | nibbles << 8) & UINT64_C(0x00ff00ff00ff00ff);
    nibbles = (nibbles | nibbles << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    uint64_t is_letter = ((nibbles + KR_ALL(6U)) >> 4) & KR_ALL(1U);
    return htobe64(nibbles + KR_ALL('0') + is_letter * ('a' - '9' - 1));
}

// Splits a key into its parts (slices of it); false when it lacks the form. Whether the checksum's
// eight bytes are digits is not looked at.
static bool split(struct bytes key, struct bytes *prefix, struct bytes *body)
{
    if (key.size < KR_FORM_MIN || key.size > KR_FORM_MAX)
        return false;
    size_t end = key.size - KR_CHECKSUM_DIGITS - 1; // of the body
    const uint8_t *separator = memrchr(key.data, '_', end);
    if (key.data[end] != '_' || separator == NULL)
        return false;
    *prefix = bytes_of(key.data, (size_t)(separator - key.data));
    *body = bytes_of(separator + 1, end - prefix->size - 1);
    return body->size >= KR_BODY_MIN && body->size <= KR_BODY_MAX &&
           is_base62_text(body->data, body->size) && is_prefix(*prefix);
}

// The digits are compared as text: those of a right checksum need no look at their form.
enum format_result format_check(struct bytes key)
{
    struct bytes prefix, body;
    if (!split(key, &prefix, &body))
        return KR_FORMAT_OTHER;
    const uint8_t *digits = key.data + key.size - KR_CHECKSUM_DIGITS;
    uint64_t right = hex_of(checksum(body.data, body.size));
    if (memcmp(digits, &right, sizeof(right)) == 0)
        return KR_FORMAT_OK;
    return is_hex(digits) ? KR_FORMAT_CHECKSUM : KR_FORMAT_OTHER;
}

bool format_is_prefix(const char *prefix)
{
    return is_prefix(bytes_text(prefix));
}

bool format_is_custom(struct bytes key)
{
    if (key.size < KR_KEY_CUSTOM_MIN || key.size > KR_KEY_VALUE_MAX)
        return false;
    for (size_t i = 0; i < key.size; i++)
        if (!is_printable(key.data[i]))
            return false;
    return true;
}

void format_mint(const char *prefix, const char body[KR_KEY_BODY_SIZE],
                 char out[KR_KEY_MINTED_SIZE])
{
    assert(strlen(prefix) <= KR_KEY_PREFIX_MAX);
    uint32_t sum = checksum((const uint8_t *)body, KR_KEY_BODY_SIZE);
    snprintf(out, KR_KEY_MINTED_SIZE, "%s_%.*s_%08x", prefix, KR_KEY_BODY_SIZE, body, sum);
}

void format_mask(struct bytes key, char out[KR_KEY_MASKED_SIZE])
{
    struct bytes prefix, body;
    if (split(key, &prefix, &body) && is_hex(key.data + key.size - KR_CHECKSUM_DIGITS)) {
        snprintf(out, KR_KEY_MASKED_SIZE, "%.*s_...%.4s", (int)prefix.size,
                 (const char *)prefix.data, (const char *)key.data + key.size - KR_LAST_SHOWN);
        return;
    }
    char last4[KR_LAST_SHOWN + 1] = "";
    // Of a shorter or unprintable value, which can be no key, nothing is shown.
    if (format_is_custom(key))
        memcpy(last4, key.data + key.size - KR_LAST_SHOWN, KR_LAST_SHOWN);
    format_mask_last4(last4, out);
}

void format_mask_last4(const char *last4, char out[KR_KEY_MASKED_SIZE])
{
    snprintf(out, KR_KEY_MASKED_SIZE, "...%.4s", last4);
}

bool format_is_id(const char *text, const char *type)
{
    size_t type_size = strlen(type);
    if (strncmp(text, type, type_size) != 0 || text[type_size] != '_')
        return false;
    const char *random = text + type_size + 1;
    for (size_t i = 0; i < KR_ID_CHARACTERS; i++)
        if (!is_base62((uint8_t)random[i]))
            return false;
    return random[KR_ID_CHARACTERS] == '\0';
}
