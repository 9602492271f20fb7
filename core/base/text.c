// SPDX-License-Identifier: Apache-2.0
// Bytes as text and back.
#include "core/base/text.h"

#include <endian.h>
#include <string.h>

enum { KR_TEXT_BASE62 = 62, KR_TEXT_LIMB_BITS = 40 };

#define KR_TEXT_BASE62_POW4 UINT64_C(14776336)        // 62⁴
#define KR_TEXT_BASE62_POW8 UINT64_C(218340105584896) // 62⁸

void text_hex(const uint8_t *data, size_t size_bytes, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size_bytes; i++) {
        *out++ = digits[data[i] >> 4];
        *out++ = digits[data[i] & 15];
    }
    *out = '\0';
}

int text_hex_digit(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

bool text_from_hex(struct bytes hex, uint8_t *out, size_t size_bytes)
{
    if (hex.size / 2 != size_bytes || hex.size % 2 != 0)
        return false;
    for (size_t i = 0; i < size_bytes; i++) {
        int high = text_hex_digit(hex.data[2 * i]), low = text_hex_digit(hex.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void add_base64(struct buf *out, struct bytes data, const char *digits, bool is_padded)
{
    for (size_t at = 0; at < data.size; at += 3) {
        size_t left = data.size - at;
        uint32_t group = (uint32_t)data.data[at] << 16;
        if (left > 1)
            group |= (uint32_t)data.data[at + 1] << 8;
        if (left > 2)
            group |= data.data[at + 2];
        char text[4] = {digits[group >> 18], digits[group >> 12 & 63],
                        left > 1 ? digits[group >> 6 & 63] : '=',
                        left > 2 ? digits[group & 63] : '='};
        buf_add(out, text, is_padded || left > 2 ? 4 : left + 1);
    }
}

void text_add_base64(struct buf *out, struct bytes data)
{
    add_base64(out, data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true);
}

void text_add_base64url(struct buf *out, struct bytes data)
{
    add_base64(out, data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
               false);
}

static int base64_value(uint8_t digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    if (digit == '+' || digit == '-')
        return 62;
    if (digit == '/' || digit == '_')
        return 63;
    return -1;
}

static bool has_any(struct bytes text, char one, char other)
{
    return text.size > 0 && (memchr(text.data, one, text.size) != NULL ||
                             memchr(text.data, other, text.size) != NULL);
}

bool text_from_base64(struct bytes text, uint8_t *out, size_t limit, size_t *size)
{
    struct bytes digits = text;
    for (int pad = 0; pad < 2 && digits.size > 0 && digits.data[digits.size - 1] == '='; pad++)
        digits.size--;
    bool is_padded = digits.size < text.size;
    size_t decoded = digits.size / 4 * 3 + digits.size % 4 * 3 / 4;
    if ((is_padded && text.size % 4 != 0) || digits.size % 4 == 1 || decoded > limit)
        return false;
    if (has_any(digits, '+', '/') && has_any(digits, '-', '_'))
        return false;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0, at = 0; i < digits.size; i++) {
        int value = base64_value(digits.data[i]);
        if (value < 0)
            return false;
        bits = (bits << 6 | (uint32_t)value) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[at++] = (uint8_t)(bits >> held);
        }
    }
    // Bits that no byte takes must be zero, or two texts would mean the same bytes (§3.5).
    if ((bits & ((1u << held) - 1)) != 0)
        return false;
    *size = decoded;
    return true;
}

// One more than a base62 digit's value; 0: no digit. The digits are in ASCII order, so that numbers
// sort as their texts.
static const uint8_t base62_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
    ['G'] = 17, ['H'] = 18, ['I'] = 19, ['J'] = 20, ['K'] = 21, ['L'] = 22, ['M'] = 23, ['N'] = 24,
    ['O'] = 25, ['P'] = 26, ['Q'] = 27, ['R'] = 28, ['S'] = 29, ['T'] = 30, ['U'] = 31, ['V'] = 32,
    ['W'] = 33, ['X'] = 34, ['Y'] = 35, ['Z'] = 36, ['a'] = 37, ['b'] = 38, ['c'] = 39, ['d'] = 40,
    ['e'] = 41, ['f'] = 42, ['g'] = 43, ['h'] = 44, ['i'] = 45, ['j'] = 46, ['k'] = 47, ['l'] = 48,
    ['m'] = 49, ['n'] = 50, ['o'] = 51, ['p'] = 52, ['q'] = 53, ['r'] = 54, ['s'] = 55, ['t'] = 56,
    ['u'] = 57, ['v'] = 58, ['w'] = 59, ['x'] = 60, ['y'] = 61, ['z'] = 62,
};

// Eight digits as a number below 62⁸ < 2⁴⁸; every value that is no digit clears *is_valid.
static uint64_t base62_number(const char digits[8], bool *is_valid)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint8_t value = base62_values[(uint8_t)digits[i]];
        *is_valid &= value != 0;
        number = number * KR_TEXT_BASE62 + value - 1;
    }
    return number;
}

static void store_big_endian(uint64_t value, uint8_t *out, unsigned size)
{
    for (unsigned i = size; i-- > 0; value >>= 8)
        out[i] = (uint8_t)value;
}

// 62²⁴ < 2¹⁴³: the upper 80 bits are kept apart from the lower 64. Loading a table does this once a
// key.
bool text_pack24(const char text[24], uint8_t out[18])
{
    __extension__ typedef unsigned __int128 u128;
    bool is_valid = true;
    u128 first = (u128)base62_number(text, &is_valid) * KR_TEXT_BASE62_POW8;
    first += base62_number(text + 8, &is_valid);
    u128 low = (u128)(uint64_t)first * KR_TEXT_BASE62_POW8 + base62_number(text + 16, &is_valid);
    u128 high = (first >> 64) * KR_TEXT_BASE62_POW8 + (low >> 64);
    if (!is_valid)
        return false;
    store_big_endian((uint64_t)(high >> 64), out, 2);
    store_big_endian((uint64_t)high, out + 2, 8);
    store_big_endian((uint64_t)low, out + 10, 8);
    return true;
}

// The lower size bytes, at most eight.
static uint64_t load_big_endian(const uint8_t *in, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value = value << 8 | in[i];
    return value;
}

// Divides what stands above this limb and the limb by 62⁴ < 2²⁴, so that a limb of 40 bits fills a
// word with what remains of the one above; gives what remains.
static uint64_t divide_limb(uint64_t above, uint64_t *limb)
{
    uint64_t whole = above << KR_TEXT_LIMB_BITS | *limb;
    *limb = whole / KR_TEXT_BASE62_POW4;
    return whole % KR_TEXT_BASE62_POW4;
}

// Two digits of a number below 62², as bytes of a word.
static uint64_t digit_pair(uint64_t number)
{
    return number / KR_TEXT_BASE62 | number % KR_TEXT_BASE62 << 8;
}

// Eight digits of two numbers below 62⁴. All bytes of the word become characters at once: ten
// digits, then capitals, then small letters, which lie 7 and 6 places further apart in ASCII.
static void store_digits(uint64_t high, uint64_t low, char text[8])
{
    const uint64_t each = UINT64_C(0x0101010101010101), square = KR_TEXT_BASE62 * KR_TEXT_BASE62;
    uint64_t word = digit_pair(high / square) | digit_pair(high % square) << 16 |
                    digit_pair(low / square) << 32 | digit_pair(low % square) << 48;
    uint64_t is_capital = (word + each * (128 - 10)) >> 7 & each;
    uint64_t is_small = (word + each * (128 - 36)) >> 7 & each;
    word = htole64(word + each * '0' + is_capital * 7 + is_small * 6);
    memcpy(text, &word, sizeof(word));
}

// Below 62²⁴ < 2¹⁴³; each division leaves a number that is 23.8 bits shorter, so that it soon has
// one limb less.
void text_unpack24(const uint8_t in[18], char text[24])
{
    uint64_t a = load_big_endian(in, 3), b = load_big_endian(in + 3, 5);
    uint64_t c = load_big_endian(in + 8, 5), d = load_big_endian(in + 13, 5);
    uint64_t sixth = divide_limb(divide_limb(divide_limb(divide_limb(0, &a), &b), &c), &d);
    uint64_t fifth = divide_limb(divide_limb(divide_limb(0, &b), &c), &d);
    uint64_t fourth = divide_limb(divide_limb(divide_limb(0, &b), &c), &d);
    uint64_t third = divide_limb(divide_limb(0, &c), &d);
    uint64_t second = divide_limb(divide_limb(0, &c), &d);
    store_digits(d, second, text);
    store_digits(third, fourth, text + 8);
    store_digits(fifth, sixth, text + 16);
}

bool text_decimal(struct bytes text, uint64_t max, uint64_t *value)
{
    uint64_t number = 0;
    if (text.size == 0 || (text.size > 1 && text.data[0] == '0'))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';
        if (digit > 9 || digit > max || number > (max - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *value = number;
    return true;
}

// The size of the UTF-8 sequence at the front, 0 when it is malformed. The second byte's range
// depends on the first (RFC 3629 §4), which keeps out overlong forms and surrogates.
static size_t utf8_size(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0], low = 0x80, high = 0xbf;
    if (lead < 0x80)
        return 1;
    size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || left < size)
        return 0;
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

bool text_is_utf8(struct bytes text)
{
    size_t at = 0;
    while (at < text.size) {
        uint64_t word;
        if (text.size - at >= sizeof(word)) {
            memcpy(&word, text.data + at, sizeof(word));
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                at += sizeof(word);
                continue;
            }
        }
        size_t size = utf8_size(text.data + at, text.size - at);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

size_t text_characters(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}
