// SPDX-License-Identifier: Apache-2.0
// Takes paths and queries apart.
#include "core/http/uri.h"

#include "core/base/text.h"

// The text up to the separator, which is taken too; the rest stays in *rest.
static struct bytes take_until(struct bytes *rest, char separator)
{
    const uint8_t *found = rest->size > 0 ? memchr(rest->data, separator, rest->size) : NULL;
    size_t size = found == NULL ? rest->size : (size_t)(found - rest->data);
    struct bytes part = bytes_of(rest->data, size);
    size_t step = found == NULL ? size : size + 1;
    *rest = step == 0 ? *rest : bytes_of(rest->data + step, rest->size - step);
    return part;
}

// One byte, as it is or escaped; moves *at behind it. -1 when the escape is malformed.
static int take_byte(struct bytes text, size_t *at)
{
    uint8_t byte = text.data[(*at)++];
    if (byte != '%')
        return byte;
    if (text.size - *at < 2)
        return -1;
    int high = text_hex_digit(text.data[*at]);
    int low = text_hex_digit(text.data[*at + 1]);
    *at += 2;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// Decodes to NUL-terminated text in the arena; NULL when an escape is malformed, a byte is a
// control character or `forbidden`, or the whole is not UTF-8.
static const char *decode(struct bytes text, struct arena *arena, char forbidden, bool is_form)
{
    uint8_t *out = arena_alloc(arena, text.size + 1);
    size_t size = 0;
    for (size_t at = 0; at < text.size;) {
        bool is_space = is_form && text.data[at] == '+';
        int byte = take_byte(text, &at);
        if (byte < 0x20 || byte == 0x7f || (forbidden != 0 && byte == forbidden))
            return NULL;
        out[size++] = is_space ? ' ' : (uint8_t)byte;
    }
    out[size] = '\0';
    return text_is_utf8(bytes_of(out, size)) ? (const char *)out : NULL;
}

static bool is_dots(const char *segment)
{
    return strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0;
}

bool uri_split_path(struct bytes path, struct arena *arena, const char *segments[],
                    size_t *segment_count)
{
    *segment_count = 0;
    if (path.size == 0 || path.data[0] != '/')
        return false;
    struct bytes rest = bytes_of(path.data + 1, path.size - 1);
    while (rest.size > 0) {
        struct bytes part = take_until(&rest, '/');
        if (part.size == 0 || *segment_count == KR_URI_SEGMENTS_MAX)
            return false;
        const char *segment = decode(part, arena, '/', false);
        if (segment == NULL || is_dots(segment))
            return false;
        segments[(*segment_count)++] = segment;
    }
    return true;
}

bool uri_split_query(struct bytes query, struct arena *arena, struct uri_parameter *parameters,
                     size_t max, size_t *count)
{
    *count = 0;
    while (query.size > 0) {
        struct bytes value = take_until(&query, '&');
        if (value.size == 0)
            continue;
        struct bytes name = take_until(&value, '=');
        if (name.size == 0 || *count == max)
            return false;
        struct uri_parameter *parameter = &parameters[(*count)++];
        parameter->name = decode(name, arena, 0, true);
        parameter->value = decode(value, arena, 0, true);
        if (parameter->name == NULL || parameter->value == NULL)
            return false;
    }
    return true;
}

const char *uri_decode(struct bytes value, struct arena *arena)
{
    return decode(value, arena, 0, false);
}

bool uri_query_value(struct bytes query, const char *name, struct bytes *value)
{
    *value = bytes_of(NULL, 0);
    while (query.size > 0) {
        struct bytes text = take_until(&query, '&');
        if (bytes_equal_text(take_until(&text, '='), name)) {
            *value = text;
            return true;
        }
    }
    return false;
}
