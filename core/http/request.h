// SPDX-License-Identifier: Apache-2.0
// One HTTP request as every protocol version yields it: slices into the connection's input.
//
// All slices are lent by the connection until http_conn_release, or http2_answer. No part is
// NUL-terminated.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/bytes.h"

#define KR_HTTP_FIELDS_MAX 64

enum http_method {
    KR_HTTP_GET,
    KR_HTTP_HEAD,
    KR_HTTP_POST,
    KR_HTTP_PUT,
    KR_HTTP_PATCH,
    KR_HTTP_DELETE,
    KR_HTTP_OPTIONS,
    KR_HTTP_OTHER // a valid token that is none of these; see method_name
};

struct http_field {
    struct bytes name;  // as sent; compare with bytes_equal_text_nocase
    struct bytes value; // without surrounding white space
};

struct http_request {
    enum http_method method;
    struct bytes method_name;
    struct bytes target; // as sent, origin-form (or the path and query of an absolute-form)
    struct bytes path;   // the part before '?', still percent-encoded
    struct bytes query;  // the part behind '?', empty when there is none
    struct http_field fields[KR_HTTP_FIELDS_MAX];
    size_t field_count;
    struct bytes body;     // decoded: chunks joined
    uint8_t minor_version; // HTTP/1.x; 1 of HTTP/2
    bool is_keep_alive;    // the connection stays open behind the answer
};

// The first field of this name, or NULL.
const struct http_field *http_request_field(const struct http_request *request, const char *name);
// Its value, or empty bytes.
struct bytes http_request_value(const struct http_request *request, const char *name);
// Target, path and query, of what stands behind the method.
void http_request_set_target(struct http_request *request, struct bytes target);
enum http_method http_method_of(struct bytes name); // names are case-sensitive
const char *http_method_text(enum http_method method);
