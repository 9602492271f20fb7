// SPDX-License-Identifier: Apache-2.0
// Reads chunked bodies, a step of the framing at a time.
#include "core/http/http1_chunk.h"

#include "core/base/text.h"
#include "core/http/syntax.h"

// A chunk's line may carry extensions, which nothing uses; a trailer is dropped as well. SURPLUS
// bounds the whole framing of a request: 16 bytes and twice the data are free for each chunk, so
// that no one makes us read megabytes for a body of a few bytes.
enum { KR_CHUNK_LINE_MAX = 256, KR_CHUNK_TRAILER_MAX = 4096, KR_CHUNK_SURPLUS_MAX = 16384 };
enum { KR_CHUNK_FREE = 16, KR_CHUNK_DIGITS_MAX = 16 };

struct reader {
    struct http1 *parser;
    uint8_t *input;
    size_t size;
    size_t body_limit_bytes;
    const char *reason;
    bool needs_more;
};

static enum kr_err refuse(struct reader *reader, enum kr_err err, const char *reason)
{
    reader->reason = reason;
    return err;
}

static enum kr_err take_line(struct reader *reader, size_t max, struct bytes *line)
{
    size_t left = reader->size - reader->parser->scanned;
    size_t bound = reader->parser->scanned + (left < max ? left : max);
    switch (syntax_take_line(reader->input, bound, &reader->parser->scanned, line)) {
    case KR_SYNTAX_LINE_WHOLE:
        break;
    case KR_SYNTAX_LINE_PART:
        reader->needs_more = left < max;
        return left < max ? KR_ERR_OK
                          : refuse(reader, KR_ERR_HEADERS_TOO_LARGE,
                                   "a line of the chunked body is too long");
    case KR_SYNTAX_LINE_BROKEN:
        return refuse(reader, KR_ERR_INVALID, "a line of the chunked body ends without CR");
    }
    return KR_ERR_OK;
}

// chunk-size [chunk-ext]; white space between the two, which the grammar tolerates, is refused.
static bool parse_size(struct bytes line, uint64_t *size)
{
    size_t at = 0;
    *size = 0;
    for (; at < line.size && text_hex_digit(line.data[at]) >= 0; at++) {
        if (at == KR_CHUNK_DIGITS_MAX)
            return false;
        *size = *size << 4 | (uint64_t)text_hex_digit(line.data[at]);
    }
    if (at == 0 || (at < line.size && line.data[at] != ';'))
        return false;
    return syntax_control_at(line) == line.size;
}

static enum kr_err charge(struct reader *reader, size_t framing_bytes, uint64_t data_bytes)
{
    size_t *surplus = &reader->parser->chunk_surplus;
    uint64_t free_bytes = KR_CHUNK_FREE + 2 * data_bytes;
    *surplus += framing_bytes;
    *surplus = *surplus > free_bytes ? *surplus - (size_t)free_bytes : 0;
    if (*surplus > KR_CHUNK_SURPLUS_MAX)
        return refuse(reader, KR_ERR_TOO_LARGE, "the chunks are mostly framing");
    return KR_ERR_OK;
}

static enum kr_err read_size(struct reader *reader)
{
    struct http1 *parser = reader->parser;
    struct bytes line;
    uint64_t chunk = 0;
    enum kr_err err = take_line(reader, KR_CHUNK_LINE_MAX, &line);
    if (err != KR_ERR_OK || reader->needs_more)
        return err;
    if (!parse_size(line, &chunk))
        return refuse(reader, KR_ERR_INVALID, "a chunk has no valid size");
    if (chunk > reader->body_limit_bytes - (parser->body_end - parser->head_end))
        return refuse(reader, KR_ERR_TOO_LARGE, "the body is too large");
    parser->remaining = chunk;
    parser->chunk_step = chunk > 0 ? KR_HTTP1_CHUNK_DATA : KR_HTTP1_CHUNK_TRAILER;
    return charge(reader, line.size + 4, chunk);
}

static enum kr_err join_data(struct reader *reader)
{
    struct http1 *parser = reader->parser;
    size_t left = reader->size - parser->scanned;
    size_t count = left < parser->remaining ? left : (size_t)parser->remaining;
    if (count > 0 && parser->body_end != parser->scanned)
        memmove(reader->input + parser->body_end, reader->input + parser->scanned, count);
    parser->body_end += count;
    parser->scanned += count;
    parser->remaining -= count;
    reader->needs_more = parser->remaining > 0;
    if (!reader->needs_more)
        parser->chunk_step = KR_HTTP1_CHUNK_END;
    return KR_ERR_OK;
}

static enum kr_err read_end(struct reader *reader)
{
    struct http1 *parser = reader->parser;
    const uint8_t *at = reader->input + parser->scanned;
    size_t left = reader->size - parser->scanned;
    if ((left > 0 && at[0] != '\r') || (left > 1 && at[1] != '\n'))
        return refuse(reader, KR_ERR_INVALID, "a chunk does not end where its size says");
    reader->needs_more = left < 2;
    if (!reader->needs_more) {
        parser->scanned += 2;
        parser->chunk_step = KR_HTTP1_CHUNK_SIZE;
    }
    return KR_ERR_OK;
}

// Fields that frame or route a message may not come behind it (RFC 9110 §6.5.1).
static bool is_forbidden_in_trailer(struct bytes name)
{
    return syntax_is_named(name, "host") || syntax_is_named(name, "content-length") ||
           syntax_is_named(name, "transfer-encoding");
}

static enum kr_err read_trailer(struct reader *reader)
{
    struct http1 *parser = reader->parser;
    struct http_field field;
    struct bytes line;
    size_t start = parser->scanned;
    enum kr_err err = take_line(reader, KR_CHUNK_TRAILER_MAX - (size_t)parser->remaining, &line);
    if (err != KR_ERR_OK || reader->needs_more)
        return err;
    parser->remaining += parser->scanned - start;
    if (line.size == 0) {
        parser->chunk_step = KR_HTTP1_CHUNK_LAST;
        return KR_ERR_OK;
    }
    const char *reason = syntax_field(line, &field);
    if (reason != NULL)
        return refuse(reader, KR_ERR_INVALID, reason);
    if (is_forbidden_in_trailer(field.name))
        return refuse(reader, KR_ERR_INVALID, "a framing field in the trailer");
    return KR_ERR_OK;
}

static enum kr_err read_step(struct reader *reader)
{
    switch (reader->parser->chunk_step) {
    case KR_HTTP1_CHUNK_SIZE:
        return read_size(reader);
    case KR_HTTP1_CHUNK_DATA:
        return join_data(reader);
    case KR_HTTP1_CHUNK_END:
        return read_end(reader);
    case KR_HTTP1_CHUNK_TRAILER:
        return read_trailer(reader);
    case KR_HTTP1_CHUNK_LAST:
        break;
    }
    reader->needs_more = true;
    return KR_ERR_OK;
}

enum kr_err http1_chunk_read(struct http1 *parser, size_t body_limit_bytes, uint8_t *input,
                             size_t size, const char **reason)
{
    struct reader reader = {
        .parser = parser, .input = input, .size = size, .body_limit_bytes = body_limit_bytes};
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && !reader.needs_more)
        err = read_step(&reader);
    *reason = reader.reason;
    return err;
}
