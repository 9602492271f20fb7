// SPDX-License-Identifier: Apache-2.0
// The first part of a request: the request line, the fields, and what they say about the body.
//
// Private to core/http. Pure; a head is read from its first byte each time a line of it has come.
#pragma once

#include "core/base/err.h"
#include "core/http/request.h"

// How the body is delimited (RFC 9112 §6.3), and what else the connection must know.
struct http1_framing {
    struct bytes authority; // of an absolute-form target, else empty
    struct bytes host, length, coding;
    bool has_host, has_length, has_coding;
    bool says_close, says_keep_alive, expects_continue;
    uint64_t body_bytes; // of Content-Length
};

struct http1_head {
    const uint8_t *input;
    size_t bound;                 // bytes of input that may be the head
    size_t at;                    // offset of the next line; behind the head when it is whole
    struct http_request *request; // filled
    struct http1_framing framing; // filled
    const char *reason;           // filled when refused
};

// Sets input, bound and request before. OK with *is_whole false: no line that is there is wrong.
must_use enum kr_err http1_head_read(struct http1_head *head, bool *is_whole);
