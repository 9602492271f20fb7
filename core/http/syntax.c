// SPDX-License-Identifier: Apache-2.0
// The shared grammar of HTTP/1.1: lines, tokens, field values, hosts.
#include "core/http/syntax.h"

#include <endian.h>

enum { KR_CLASS_TOKEN = 1, KR_CLASS_HOST = 2, KR_CLASS_ADDRESS = 4 };

#define T KR_CLASS_TOKEN
#define H (KR_CLASS_TOKEN | KR_CLASS_HOST)
#define A (KR_CLASS_TOKEN | KR_CLASS_HOST | KR_CLASS_ADDRESS)
static const uint8_t classes[256] = {
    ['!'] = T, ['#'] = T, ['$'] = T, ['%'] = T, ['&'] = T, ['\''] = T,
    ['*'] = T, ['+'] = T, ['^'] = T, ['`'] = T, ['|'] = T, ['~'] = T,
    ['-'] = H, ['_'] = H, ['.'] = A, ['0'] = A, ['1'] = A, ['2'] = A,
    ['3'] = A, ['4'] = A, ['5'] = A, ['6'] = A, ['7'] = A, ['8'] = A,
    ['9'] = A, ['A'] = A, ['B'] = A, ['C'] = A, ['D'] = A, ['E'] = A,
    ['F'] = A, ['G'] = H, ['H'] = H, ['I'] = H, ['J'] = H, ['K'] = H,
    ['L'] = H, ['M'] = H, ['N'] = H, ['O'] = H, ['P'] = H, ['Q'] = H,
    ['R'] = H, ['S'] = H, ['T'] = H, ['U'] = H, ['V'] = H, ['W'] = H,
    ['X'] = H, ['Y'] = H, ['Z'] = H, ['a'] = A, ['b'] = A, ['c'] = A,
    ['d'] = A, ['e'] = A, ['f'] = A, ['g'] = H, ['h'] = H, ['i'] = H,
    ['j'] = H, ['k'] = H, ['l'] = H, ['m'] = H, ['n'] = H, ['o'] = H,
    ['p'] = H, ['q'] = H, ['r'] = H, ['s'] = H, ['t'] = H, ['u'] = H,
    ['v'] = H, ['w'] = H, ['x'] = H, ['y'] = H, ['z'] = H, [':'] = KR_CLASS_ADDRESS};
#undef T
#undef H
#undef A

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (uint64_t)(byte))

static uint64_t load_word(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

// Not zero when one of the eight bytes is below limit (≤ 128).
static uint64_t any_below(uint64_t word, uint8_t limit)
{
    return (word - EACH_BYTE(limit)) & ~word & EACH_BYTE(0x80);
}

static uint64_t any_equal(uint64_t word, uint8_t byte)
{
    return any_below(word ^ EACH_BYTE(byte), 1);
}

// Bytes of the front of text whose class holds one of the bits.
static size_t span(struct bytes text, uint8_t bits)
{
    size_t at = 0;
    while (at < text.size && (classes[text.data[at]] & bits) != 0)
        at++;
    return at;
}

enum syntax_line syntax_take_line(const uint8_t *input, size_t bound, size_t *at,
                                  struct bytes *line)
{
    const uint8_t *start = input + *at;
    const uint8_t *feed = memchr(start, '\n', bound - *at);
    if (feed == NULL)
        return KR_SYNTAX_LINE_PART;
    if (feed == start || feed[-1] != '\r')
        return KR_SYNTAX_LINE_BROKEN;
    *line = bytes_of(start, (size_t)(feed - start) - 1);
    *at = (size_t)(feed - input) + 1;
    return KR_SYNTAX_LINE_WHOLE;
}

// The top bit of each of the eight bytes that is neither a letter nor '-'. No sum leaves its byte.
static uint64_t each_but_letters(uint64_t word)
{
    uint64_t folded = (word | EACH_BYTE(0x20)) & EACH_BYTE(0x7f);
    uint64_t is_letter = (folded + EACH_BYTE(0x80 - 'a')) & ~(folded + EACH_BYTE(0x80 - ('z' + 1)));
    uint64_t differs = ((word ^ EACH_BYTE('-')) & EACH_BYTE(0x7f)) + EACH_BYTE(0x7f);
    return (~(is_letter | ~differs) | word) & EACH_BYTE(0x80);
}

// Field names are letters and '-' almost always: these are passed over in words, the rest by table.
size_t syntax_token_size(struct bytes text)
{
    size_t at = 0;
    uint64_t others = 0;
    for (; others == 0 && text.size - at >= 8; at += 8)
        others = each_but_letters(htole64(load_word(text.data + at)));
    if (others != 0)
        at = at - 8 + (size_t)__builtin_ctzll(others) / 8;
    return at + span(bytes_of(text.data + at, text.size - at), KR_CLASS_TOKEN);
}

static bool is_control(uint8_t byte)
{
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

// Not zero when one of the eight bytes is below 0x20 or 0x7f; bytes from 0x80 on are none.
static uint64_t any_control(uint64_t word)
{
    uint64_t low = word & EACH_BYTE(0x7f);
    uint64_t is_visible = (low + EACH_BYTE(0x60)) & ~(low + EACH_BYTE(1));
    return ~(is_visible | word) & EACH_BYTE(0x80);
}

// One to seven bytes as a word, some of them twice.
static uint64_t load_short(const uint8_t *at, size_t size)
{
    uint32_t first, last;
    if (size < 4)
        return (EACH_BYTE(at[0]) << 16) | (uint64_t)at[size / 2] << 8 | at[size - 1];
    memcpy(&first, at, sizeof(first));
    memcpy(&last, at + size - sizeof(last), sizeof(last));
    return (uint64_t)first << 32 | last;
}

// Not zero when text (not empty) may hold a control character; HTAB counts as one. No branch on the
// bytes, and the last word overlaps the one before it, for this looks at every byte of every value.
static uint64_t may_hold_control(struct bytes text)
{
    uint64_t found = 0;
    if (text.size < 8)
        return any_control(load_short(text.data, text.size));
    for (size_t at = 0; at + 8 < text.size; at += 8)
        found |= any_control(load_word(text.data + at));
    return found | any_control(load_word(text.data + text.size - 8));
}

size_t syntax_control_at(struct bytes text)
{
    if (text.size == 0 || may_hold_control(text) == 0)
        return text.size;
    size_t at = 0;
    while (at < text.size && !is_control(text.data[at]))
        at++;
    return at;
}

bool syntax_is_target(struct bytes text)
{
    size_t at = 0;
    uint64_t bad = 0;
    for (; text.size - at >= 8; at += 8) {
        uint64_t word = load_word(text.data + at);
        bad |= any_below(word, 0x21) | any_equal(word, 0x7f) | any_equal(word, '#') |
               (word & EACH_BYTE(0x80));
    }
    for (; at < text.size; at++) {
        uint8_t byte = text.data[at];
        bad |= byte <= 0x20 || byte >= 0x7f || byte == '#';
    }
    return bad == 0;
}

static bool is_port(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return text.size >= 1 && text.size <= 5;
}

// The host at the front of text, in bytes; 0 when there is none.
static size_t host_size(struct bytes text)
{
    if (text.size == 0 || text.data[0] != '[')
        return span(text, KR_CLASS_HOST);
    size_t inner = span(bytes_of(text.data + 1, text.size - 1), KR_CLASS_ADDRESS);
    bool is_closed = inner >= 2 && inner + 1 < text.size && text.data[inner + 1] == ']';
    return is_closed ? inner + 2 : 0;
}

bool syntax_is_authority(struct bytes text)
{
    size_t size = host_size(text);
    if (size == 0 || size > 255)
        return false;
    if (size == text.size)
        return true;
    return text.data[size] == ':' && is_port(bytes_of(text.data + size + 1, text.size - size - 1));
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static struct bytes trim(struct bytes text)
{
    const uint8_t *start = text.data, *end = text.data + text.size;
    while (start < end && is_blank(*start))
        start++;
    while (start < end && is_blank(end[-1]))
        end--;
    return bytes_of(start, (size_t)(end - start));
}

bool syntax_is_named(struct bytes name, const char *lower)
{
    size_t at = 0;
    while (at < name.size && lower[at] != '\0' && (name.data[at] | 0x20) == lower[at])
        at++;
    return at == name.size && lower[at] == '\0';
}

struct bytes syntax_take_item(struct bytes *list)
{
    const uint8_t *comma = memchr(list->data, ',', list->size);
    size_t size = comma == NULL ? list->size : (size_t)(comma - list->data);
    struct bytes item = trim(bytes_of(list->data, size));
    size_t step = comma == NULL ? size : size + 1;
    *list = bytes_of(list->data + step, list->size - step);
    return item;
}

const char *syntax_field(struct bytes line, struct http_field *field)
{
    size_t name_size = syntax_token_size(line);
    if (name_size == 0)
        return line.size > 0 && is_blank(line.data[0]) ? "a field line is folded"
                                                       : "a field has no valid name";
    if (name_size == line.size || line.data[name_size] != ':')
        return "a field name is not followed by a colon";
    field->name = bytes_of(line.data, name_size);
    field->value = trim(bytes_of(line.data + name_size + 1, line.size - name_size - 1));
    if (syntax_control_at(field->value) < field->value.size)
        return "a field value holds a control character";
    return NULL;
}

void syntax_blank_controls(uint8_t *data, size_t size)
{
    struct bytes rest = bytes_of(data, size);
    size_t at = syntax_control_at(rest);
    while (at < size) {
        data[at++] = ' ';
        at += syntax_control_at(bytes_of(data + at, size - at));
    }
}
