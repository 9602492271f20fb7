// SPDX-License-Identifier: Apache-2.0
// The HTTP/1.1 request parser (RFC 9112): strict, incremental, zero-copy, without memory of its
// own.
//
// Refused, because a proxy in front may read them differently: obs-fold, bare LF or CR, white space
// before the colon, repeated or mixed Content-Length and Transfer-Encoding, a transfer coding other
// than a single "chunked", a missing or repeated Host, control characters in a value. Every refusal
// closes the connection. What is refused, and why, depends on the bytes alone, never on the pieces
// they come in.
#pragma once

#include "core/base/err.h"
#include "core/http/request.h"

struct http1_limits {
    size_t head_bytes; // request line and fields; default 16 KiB
    size_t body_bytes; // decoded; the connection narrows it a request by its body_limit verb
};

enum http1_state {
    KR_HTTP1_HEAD,  // reading the request line and fields
    KR_HTTP1_BODY,  // reading Content-Length bytes
    KR_HTTP1_CHUNK, // reading chunks, joined in place
    KR_HTTP1_DONE   // a whole request
};

enum http1_chunk_step {
    KR_HTTP1_CHUNK_SIZE,    // the line with the size
    KR_HTTP1_CHUNK_DATA,    // the bytes
    KR_HTTP1_CHUNK_END,     // the CRLF behind them
    KR_HTTP1_CHUNK_TRAILER, // fields behind the last chunk, dropped
    KR_HTTP1_CHUNK_LAST     // nothing more
};

// One request's progress. Offsets, not pointers: the input may move between two calls.
struct http1 {
    enum http1_state state;
    enum http1_chunk_step chunk_step;
    size_t scanned;       // bytes of the input that need not be looked at again
    size_t head_end;      // offset of the body
    size_t body_end;      // offset behind the decoded body (joined chunks)
    uint64_t remaining;   // Content-Length; missing bytes of the chunk; bytes of trailer so far
    size_t chunk_surplus; // bytes of framing beyond what honest chunks need
    bool expects_continue;
};

void http1_init(struct http1 *parser);

// Reads on from where it stopped. input is everything received for this request and behind it, and
// is written to where chunks are joined; between two calls the caller may drop the bytes from
// body_end to scanned (it sets scanned to body_end), which joined chunks left behind.
// A call that finds the head's end returns there when a body follows, even if it was received
// already: the caller may narrow the limit, and calls again. *is_head_done is true on entry when
// *request still holds this request's head, over input that has not moved; it is filled anew
// otherwise. Results:
//   OK, *is_head_done false          the head is incomplete: call again with more input
//   OK, *is_head_done true           *request is filled but for the body while state != DONE
//   OK, state == DONE                *request is whole; *used = bytes of input it took
//   INVALID, TOO_LARGE (413), URI_TOO_LONG (414), HEADERS_TOO_LARGE (431), UNSUPPORTED (501:
//   transfer coding, CONNECT, other versions)
//                                    close after the answer; *reason is a constant phrase
must_use enum kr_err http1_parse(struct http1 *parser, const struct http1_limits *limits,
                                 uint8_t *input, size_t size, struct http_request *request,
                                 bool *is_head_done, size_t *used, const char **reason);
