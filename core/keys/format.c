// SPDX-License-Identifier: Apache-2.0
// The form of a key, read from its end: the checksum and the body have no '_', the prefix may.
#include "core/keys/format.h"

#include <assert.h>
#include <stdio.h>
#include <zlib.h>

#include "core/base/text.h"

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
    KR_WORD_MAX = 24,
    KR_NAME_MAX = 128
};

static_assert(KR_KEY_PREFIX_MAX == KR_FIRST_PART_MAX + KR_LATER_PARTS_MAX * (1 + KR_LATER_PART_MAX),
              "KR_KEY_PREFIX_MAX is the longest prefix of the form");

static uint32_t checksum(const uint8_t *data, size_t size)
{
    return (uint32_t)crc32(0, data, (uInt)size);
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

static bool is_base62_text(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!is_base62(text.data[i]))
            return false;
    return true;
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

static uint32_t hex_value(const uint8_t digits[KR_CHECKSUM_DIGITS])
{
    uint32_t value = 0;
    for (size_t i = 0; i < KR_CHECKSUM_DIGITS; i++)
        value = value << 4 | (uint32_t)text_hex_digit(digits[i]);
    return value;
}

// Splits a key into its parts (slices of it); false when it lacks the form.
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
    return body->size >= KR_BODY_MIN && body->size <= KR_BODY_MAX && is_base62_text(*body) &&
           is_prefix(*prefix) && is_hex(key.data + end + 1);
}

enum format_result format_check(struct bytes key)
{
    struct bytes prefix, body;
    if (!split(key, &prefix, &body))
        return KR_FORMAT_OTHER;
    bool is_right =
        checksum(body.data, body.size) == hex_value(key.data + key.size - KR_CHECKSUM_DIGITS);
    return is_right ? KR_FORMAT_OK : KR_FORMAT_CHECKSUM;
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
    if (split(key, &prefix, &body)) {
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

static bool is_id(struct bytes text, const char *type)
{
    size_t type_size = strlen(type);
    if (text.size != type_size + 1 + KR_ID_CHARACTERS || memcmp(text.data, type, type_size) != 0 ||
        text.data[type_size] != '_')
        return false;
    for (size_t i = type_size + 1; i < text.size; i++)
        if (!is_base62(text.data[i]))
            return false;
    return true;
}

bool format_is_id(const char *text, const char *type)
{
    return is_id(bytes_text(text), type);
}

static bool is_any_id(struct bytes text)
{
    static const char *const types[] = {"acct", "bckt", "csmr", "key", "eusr"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (is_id(text, types[i]))
            return true;
    return false;
}

static bool is_of_names(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!is_base62(text.data[i]) && memchr("_.$-", text.data[i], 4) == NULL)
            return false;
    return text.size > 0;
}

static bool has_capital(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((uint8_t)(text.data[i] - 'A') < 26)
            return true;
    return false;
}

bool format_is_word(struct bytes text)
{
    return text.size <= KR_WORD_MAX && is_of_names(text);
}

bool format_may_repeat(struct bytes text)
{
    if (format_is_word(text) || is_any_id(text))
        return true;
    return text.size <= KR_NAME_MAX && is_of_names(text) && !has_capital(text) &&
           format_check(text) == KR_FORMAT_OTHER;
}
