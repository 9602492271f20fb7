// SPDX-License-Identifier: Apache-2.0
// Writing JSON straight into a buf: the writer, and parsed values in compact form.
#include "core/base/json.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/text.h"

static void add_escape(struct buf *out, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    const char *letters = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (; *letters != '\0'; letters += 2) {
        if ((uint8_t)letters[0] == byte) {
            buf_add(out, (const char[]){'\\', letters[1]}, 2);
            return;
        }
    }
    buf_add_text(out, "\\u00");
    buf_add(out, (const char[]){digits[byte >> 4], digits[byte & 15]}, 2);
}

// Eight characters of ASCII that stand for themselves? Each term has the high bit of a byte set
// when some byte is not ASCII, below the space, a quote, a backslash.
static bool is_plain_word(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    uint64_t quotes = word ^ ones * '"', backslashes = word ^ ones * '\\';
    return ((word | ((word - ones * ' ') & ~word) | ((quotes - ones) & ~quotes) |
             ((backslashes - ones) & ~backslashes)) &
            highs) == 0;
}

static bool is_plain(struct bytes text)
{
    uint64_t word;
    while (text.size >= sizeof(word)) {
        memcpy(&word, text.data, sizeof(word));
        if (!is_plain_word(word))
            return false;
        text = bytes_of(text.data + sizeof(word), text.size - sizeof(word));
    }
    memset(&word, ' ', sizeof(word));
    memcpy(&word, text.data, text.size);
    return is_plain_word(word);
}

static void add_escaped(struct buf *out, struct bytes text)
{
    bool is_utf8 = text_is_utf8(text);
    size_t plain = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        bool is_foreign = byte > 0x7f && !is_utf8;
        if (byte >= 0x20 && byte != '"' && byte != '\\' && !is_foreign)
            continue;
        buf_add(out, text.data + plain, i - plain);
        plain = i + 1;
        if (is_foreign)
            buf_add_text(out, "\xef\xbf\xbd");
        else
            add_escape(out, byte);
    }
    buf_add(out, text.data + plain, text.size - plain);
}

static void add_string(struct buf *out, const char *text)
{
    struct bytes rest = bytes_text(text);
    buf_add_u8(out, '"');
    if (is_plain(rest))
        buf_add_bytes(out, rest);
    else
        add_escaped(out, rest);
    buf_add_u8(out, '"');
}

static void add_integer(struct buf *out, int64_t value)
{
    if (value < 0)
        buf_add_u8(out, '-');
    buf_add_decimal(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

// The shortest of three lengths that reads back as the same number, still recognisable as a real.
static void add_real(struct buf *out, double value)
{
    char text[32];
    int size = 0;
    bool is_real = false;
    for (int digits = 15; digits <= 17; digits++) {
        size = snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    for (int i = 0; i < size; i++) {
        bool is_number = (text[i] >= '0' && text[i] <= '9') || strchr("+-e", text[i]) != NULL;
        if (!is_number)
            text[i] = '.'; // whatever the locale puts there
        is_real = is_real || !is_number || text[i] == 'e';
    }
    buf_add(out, text, (size_t)size);
    if (!is_real)
        buf_add_text(out, ".0");
}

static void add_array(struct buf *out, const struct json *array)
{
    buf_add_u8(out, '[');
    for (size_t i = 0; i < json_size(array); i++) {
        if (i > 0)
            buf_add_u8(out, ',');
        json_add(out, json_at(array, i));
    }
    buf_add_u8(out, ']');
}

static void add_object(struct buf *out, const struct json *object)
{
    void *cursor = NULL;
    const char *name;
    const struct json *value;
    buf_add_u8(out, '{');
    for (bool is_first = true; json_next(object, &cursor, &name, &value); is_first = false) {
        if (!is_first)
            buf_add_u8(out, ',');
        add_string(out, name);
        buf_add_u8(out, ':');
        json_add(out, value);
    }
    buf_add_u8(out, '}');
}

// Recurses at most KR_JSON_DEPTH_MAX deep, because no document is deeper.
void json_add(struct buf *out, const struct json *value)
{
    switch (json_type_of(value)) {
    case KR_JSON_NULL:
        buf_add_text(out, "null");
        break;
    case KR_JSON_BOOL:
        buf_add_text(out, json_bool(value) ? "true" : "false");
        break;
    case KR_JSON_INTEGER:
        add_integer(out, json_int64(value));
        break;
    case KR_JSON_REAL:
        add_real(out, json_double(value));
        break;
    case KR_JSON_STRING:
        add_string(out, json_text(value));
        break;
    case KR_JSON_ARRAY:
        add_array(out, value);
        break;
    case KR_JSON_OBJECT:
        add_object(out, value);
        break;
    }
}

void json_begin(struct json_writer *writer, struct buf *out)
{
    *writer = (struct json_writer){.out = out};
}

static void begin_value(struct json_writer *writer, const char *name)
{
    if (writer->needs_comma)
        buf_add_u8(writer->out, ',');
    writer->needs_comma = true;
    if (name == NULL)
        return;
    add_string(writer->out, name);
    buf_add_u8(writer->out, ':');
}

void json_open(struct json_writer *writer, const char *name, char bracket)
{
    begin_value(writer, name);
    buf_add_u8(writer->out, (uint8_t)bracket);
    writer->needs_comma = false;
}

void json_close(struct json_writer *writer, char bracket)
{
    buf_add_u8(writer->out, (uint8_t)bracket);
    writer->needs_comma = true;
}

void json_write_string(struct json_writer *writer, const char *name, const char *text)
{
    begin_value(writer, name);
    if (text == NULL)
        buf_add_text(writer->out, "null");
    else
        add_string(writer->out, text);
}

void json_write_integer(struct json_writer *writer, const char *name, int64_t value)
{
    begin_value(writer, name);
    add_integer(writer->out, value);
}

void json_write_bool(struct json_writer *writer, const char *name, bool value)
{
    begin_value(writer, name);
    buf_add_text(writer->out, value ? "true" : "false");
}

void json_write_null(struct json_writer *writer, const char *name)
{
    begin_value(writer, name);
    buf_add_text(writer->out, "null");
}

void json_write_stamp(struct json_writer *writer, const char *name, int64_t unix_ms)
{
    char stamp[KR_STAMP_SIZE];
    clock_stamp(unix_ms, stamp);
    json_write_string(writer, name, stamp);
}

void json_write_raw(struct json_writer *writer, const char *name, struct bytes json)
{
    begin_value(writer, name);
    buf_add_bytes(writer->out, json);
}
