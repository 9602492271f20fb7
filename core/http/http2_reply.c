// SPDX-License-Identifier: Apache-2.0
// Reads back the node's own responses: that they have their form is this process's doing.
#include "core/http/http2_reply.h"

#include <assert.h>

#include "core/http/syntax.h"

// The name before the colon, in lower case from now on.
static struct bytes take_name(uint8_t *line, size_t size)
{
    size_t at = 0;
    for (; at < size && line[at] != ':'; at++) {
        if (line[at] >= 'A' && line[at] <= 'Z')
            line[at] = (uint8_t)(line[at] + 'a' - 'A');
    }
    assert(at < size);
    return bytes_of(line, at);
}

// RFC 9113 §8.2.2.
static bool is_of_connection(struct bytes name)
{
    return bytes_equal_text(name, "connection") || bytes_equal_text(name, "keep-alive") ||
           bytes_equal_text(name, "transfer-encoding");
}

// HPACK remembers fields, to send them again as one byte (RFC 7541 §2.3.2); for these it would
// forget others that do come again. Content-Length and ETag nghttp2 treats so by itself.
static bool is_changing(struct bytes name)
{
#define NAME(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
    static const struct bytes names[] = {NAME("x-request-id"),  NAME("x-key-id"),
                                         NAME("x-consumer-id"), NAME("x-consumer-name"),
                                         NAME("x-key-expires"), NAME("x-consumer-metadata"),
                                         NAME("keyreeve-index")};
#undef NAME
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (bytes_equal(name, names[i]))
            return true;
    }
    return false;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

// RFC 9113 §8.2.1: no white space around it.
static struct bytes trim(struct bytes text)
{
    while (text.size > 0 && is_blank(text.data[0]))
        text = bytes_of(text.data + 1, text.size - 1);
    while (text.size > 0 && is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

static void add_line(struct http2_fields *fields, uint8_t *line, size_t size)
{
    assert(fields->count < KR_HTTP_FIELDS_MAX);
    struct bytes name = take_name(line, size);
    if (is_of_connection(name))
        return;
    struct bytes value = trim(bytes_of(line + name.size + 1, size - name.size - 1));
    fields->list[fields->count++] = (struct http2_field){name, value, is_changing(name)};
}

// The line at *at, which moves behind it; its size is without CRLF.
static uint8_t *take_line(uint8_t *text, size_t size, size_t *at, size_t *line_size)
{
    struct bytes line;
    uint8_t *begin = text + *at;
    enum syntax_line found = syntax_take_line(text, size, at, &line);
    assert(found == KR_SYNTAX_LINE_WHOLE);
    *line_size = found == KR_SYNTAX_LINE_WHOLE ? line.size : 0;
    return begin;
}

struct bytes http2_reply_head(uint8_t *reply, size_t size, struct http2_fields *fields)
{
    size_t at = 0, line_size;
    const uint8_t *opening = take_line(reply, size, &at, &line_size);
    assert(line_size >= sizeof("HTTP/1.1 200") - 1);
    struct bytes status = bytes_of(opening + sizeof("HTTP/1.1 ") - 1, 3);
    fields->list[0] = (struct http2_field){bytes_text(":status"), status, false};
    fields->count = 1;
    for (;;) {
        uint8_t *line = take_line(reply, size, &at, &line_size);
        if (line_size == 0)
            return bytes_of(reply + at, size - at);
        add_line(fields, line, line_size);
    }
}

void http2_reply_lines(uint8_t *lines, size_t size, struct http2_fields *fields)
{
    size_t at = 0, line_size;
    fields->count = 0;
    while (at < size) {
        uint8_t *line = take_line(lines, size, &at, &line_size);
        add_line(fields, line, line_size);
    }
}
