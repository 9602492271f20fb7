// SPDX-License-Identifier: Apache-2.0
// Reads one request: head, then body, each as far as the input goes.
//
//   HEAD ──no body──────────────────────────> DONE
//     ├──Content-Length──> BODY ──────────────> DONE
//     └──chunked─────────> CHUNK ─────────────> DONE
#include "core/http/http1.h"

#include <assert.h>

#include "core/http/http1_chunk.h"
#include "core/http/http1_head.h"
#include "core/http/syntax.h"

void http1_init(struct http1 *parser)
{
    *parser = (struct http1){.state = KR_HTTP1_HEAD};
}

// Whether a request can start like this, so that what is no HTTP at all (a TLS hello) is refused at
// its first byte and not at its deadline.
static bool starts_well(const uint8_t *input, size_t size)
{
    size_t at = 0;
    if (size > 0 && input[0] == '\r') {
        if (size > 1 && input[1] != '\n')
            return false;
        at = 2;
    }
    return at >= size || syntax_token_size(bytes_of(input + at, 1)) == 1;
}

static void enter_body(struct http1 *parser, const struct http1_head *head)
{
    const struct http1_framing *framing = &head->framing;
    parser->scanned = parser->head_end = parser->body_end = head->at;
    parser->expects_continue = framing->expects_continue;
    parser->remaining = framing->body_bytes;
    if (framing->has_coding)
        parser->state = KR_HTTP1_CHUNK;
    else
        parser->state = framing->body_bytes > 0 ? KR_HTTP1_BODY : KR_HTTP1_DONE;
}

static enum kr_err refuse_long_head(const uint8_t *input, size_t bound, const char **reason)
{
    bool is_first_line = bound < 3 || memchr(input + 2, '\n', bound - 2) == NULL;
    *reason = is_first_line ? "the request line is too long" : "the fields are too long";
    return is_first_line ? KR_ERR_URI_TOO_LONG : KR_ERR_HEADERS_TOO_LARGE;
}

static enum kr_err read_head(struct http1 *parser, size_t head_limit_bytes, struct bytes input,
                             struct http_request *request, const char **reason)
{
    size_t bound = input.size < head_limit_bytes ? input.size : head_limit_bytes;
    struct http1_head head = {.input = input.data, .bound = bound, .request = request};
    bool is_whole = false;
    enum kr_err err = KR_ERR_OK;
    if (!starts_well(input.data, bound)) {
        *reason = "this is not the start of a request";
        return KR_ERR_INVALID;
    }
    // Only a new line can change anything, and there are at most as many as there may be fields, so
    // that reading from the start each time costs little even when bytes drip in one by one.
    if (memchr(input.data + parser->scanned, '\n', bound - parser->scanned) != NULL)
        err = http1_head_read(&head, &is_whole);
    parser->scanned = bound;
    *reason = head.reason;
    if (err != KR_ERR_OK)
        return err;
    if (is_whole)
        enter_body(parser, &head);
    else if (bound == head_limit_bytes)
        err = refuse_long_head(input.data, bound, reason);
    return err;
}

static enum kr_err read_body(struct http1 *parser, size_t body_limit_bytes, size_t size,
                             const char **reason)
{
    if (parser->remaining > body_limit_bytes) {
        *reason = "the body is too large";
        return KR_ERR_TOO_LARGE;
    }
    parser->scanned = size;
    if (size - parser->head_end >= parser->remaining) {
        parser->scanned = parser->body_end = parser->head_end + (size_t)parser->remaining;
        parser->state = KR_HTTP1_DONE;
    }
    return KR_ERR_OK;
}

static enum kr_err read_chunks(struct http1 *parser, size_t body_limit_bytes, uint8_t *input,
                               size_t size, const char **reason)
{
    enum kr_err err = http1_chunk_read(parser, body_limit_bytes, input, size, reason);
    if (err == KR_ERR_OK && parser->chunk_step == KR_HTTP1_CHUNK_LAST)
        parser->state = KR_HTTP1_DONE;
    return err;
}

// The slices again, when the input has moved since the head was read.
static void refill_head(const struct http1 *parser, const uint8_t *input,
                        struct http_request *request)
{
    struct http1_head head = {.input = input, .bound = parser->head_end, .request = request};
    bool is_whole = false;
    enum kr_err err = http1_head_read(&head, &is_whole);
    assert(err == KR_ERR_OK && is_whole);
    (void)err;
}

enum kr_err http1_parse(struct http1 *parser, const struct http1_limits *limits, uint8_t *input,
                        size_t size, struct http_request *request, bool *is_head_done, size_t *used,
                        const char **reason)
{
    enum kr_err err = KR_ERR_OK;
    bool is_filled = *is_head_done;
    *used = 0;
    switch (parser->state) {
    case KR_HTTP1_HEAD:
        err = read_head(parser, limits->head_bytes, bytes_of(input, size), request, reason);
        is_filled = true;
        break;
    case KR_HTTP1_BODY:
        err = read_body(parser, limits->body_bytes, size, reason);
        break;
    case KR_HTTP1_CHUNK:
        err = read_chunks(parser, limits->body_bytes, input, size, reason);
        break;
    case KR_HTTP1_DONE:
        break;
    }
    *is_head_done = err == KR_ERR_OK && parser->state != KR_HTTP1_HEAD;
    if (*is_head_done && !is_filled)
        refill_head(parser, input, request);
    if (*is_head_done && parser->state == KR_HTTP1_DONE) {
        request->body = bytes_of(input + parser->head_end, parser->body_end - parser->head_end);
        *used = parser->scanned;
    }
    return err;
}
