// SPDX-License-Identifier: Apache-2.0
// Takes a response apart that core/http/reply wrote, into the fields of HTTP/2. For
// core/http/http2.c alone. Pure.
#pragma once

#include "core/http/request.h"

struct http2_field {
    struct bytes name; // in lower case
    struct bytes value;
    bool is_changing; // from answer to answer: no use to remember it for the next one
};

struct http2_fields {
    struct http2_field list[KR_HTTP_FIELDS_MAX];
    size_t count;
};

// The head of a response: its status and its fields, without those that speak of an HTTP/1.1
// connection. Writes the names in lower case where they stand. Returns its body; all is lent by
// reply.
struct bytes http2_reply_head(uint8_t *reply, size_t size, struct http2_fields *fields);
// Lines of fields, each with its CRLF, as trailers are written.
void http2_reply_lines(uint8_t *lines, size_t size, struct http2_fields *fields);
