// SPDX-License-Identifier: Apache-2.0
// Writes one HTTP/1.1 response into a buf, straight: status line, fields, body.
//
// Order of calls: http_reply_begin, any number of fields, one http_reply_end. Values from outside
// are safe: CR, LF, NUL and other controls are replaced by spaces. The buf's sticky error is the
// caller's to check.
#pragma once

#include "core/base/buf.h"
#include "core/http/request.h"

// Status line, Date (cached a second by the caller, RFC 9110 §6.6.1; NULL leaves it out), and
// "Connection: close" where request->is_keep_alive is false.
void http_reply_begin(struct buf *out, const struct http_request *request, unsigned status,
                      const char *date);
void http_reply_field(struct buf *out, const char *name, struct bytes value);
void http_reply_field_text(struct buf *out, const char *name, const char *value);
void http_reply_field_number(struct buf *out, const char *name, uint64_t value);

// Whole lines, of which the caller knows that they hold no control character but their ends.
#define KR_REPLY_LINES(out, literal) buf_add((out), (literal), sizeof(literal) - 1)
// One field whose value is known to hold no control character.
#define KR_REPLY_CLEAN(out, name, value)                                                           \
    do {                                                                                           \
        KR_REPLY_LINES((out), name ": ");                                                          \
        buf_add_bytes((out), (value));                                                             \
        KR_REPLY_LINES((out), "\r\n");                                                             \
    } while (0)

// Content-Type (when type is not NULL), Content-Length (always, but for 204), the empty line, and
// the body unless the request was HEAD or the status, the same as at begin, is 204 or 304.
void http_reply_end(struct buf *out, const struct http_request *request, unsigned status,
                    const char *type, struct bytes body);

const char *http_status_text(unsigned status); // "Not Found"; "" when unknown
#define KR_HTTP_DATE_SIZE 30
void http_date(int64_t unix_ms, char out[KR_HTTP_DATE_SIZE]); // IMF-fixdate
