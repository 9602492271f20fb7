// SPDX-License-Identifier: Apache-2.0
// Writes responses: what never changes is laid out before, the rest is copied once.
#include "core/http/reply.h"

#include <stdio.h>
#include <time.h>

#include "core/http/syntax.h"

#define STATUS_TABLE(X)                                                                            \
    X(200, "OK")                                                                                   \
    X(201, "Created")                                                                              \
    X(202, "Accepted")                                                                             \
    X(204, "No Content")                                                                           \
    X(206, "Partial Content")                                                                      \
    X(301, "Moved Permanently")                                                                    \
    X(302, "Found")                                                                                \
    X(303, "See Other")                                                                            \
    X(304, "Not Modified")                                                                         \
    X(307, "Temporary Redirect")                                                                   \
    X(308, "Permanent Redirect")                                                                   \
    X(400, "Bad Request")                                                                          \
    X(401, "Unauthorized")                                                                         \
    X(403, "Forbidden")                                                                            \
    X(404, "Not Found")                                                                            \
    X(405, "Method Not Allowed")                                                                   \
    X(406, "Not Acceptable")                                                                       \
    X(408, "Request Timeout")                                                                      \
    X(409, "Conflict")                                                                             \
    X(410, "Gone")                                                                                 \
    X(411, "Length Required")                                                                      \
    X(412, "Precondition Failed")                                                                  \
    X(413, "Content Too Large")                                                                    \
    X(414, "URI Too Long")                                                                         \
    X(415, "Unsupported Media Type")                                                               \
    X(417, "Expectation Failed")                                                                   \
    X(421, "Misdirected Request")                                                                  \
    X(422, "Unprocessable Content")                                                                \
    X(426, "Upgrade Required")                                                                     \
    X(428, "Precondition Required")                                                                \
    X(429, "Too Many Requests")                                                                    \
    X(431, "Request Header Fields Too Large")                                                      \
    X(500, "Internal Server Error")                                                                \
    X(501, "Not Implemented")                                                                      \
    X(502, "Bad Gateway")                                                                          \
    X(503, "Service Unavailable")                                                                  \
    X(504, "Gateway Timeout")                                                                      \
    X(505, "HTTP Version Not Supported")

#define LITERAL(text) bytes_of(text, sizeof(text) - 1)

const char *http_status_text(unsigned status)
{
    switch (status) {
#define X(code, text)                                                                              \
    case code:                                                                                     \
        return text;
        STATUS_TABLE(X)
#undef X
    default:
        return "";
    }
}

static struct bytes status_line(unsigned status)
{
    switch (status) {
#define X(code, text)                                                                              \
    case code:                                                                                     \
        return LITERAL("HTTP/1.1 " #code " " text "\r\n");
        STATUS_TABLE(X)
#undef X
    default:
        return bytes_of(NULL, 0);
    }
}

void http_reply_begin(struct buf *out, const struct http_request *request, unsigned status,
                      const char *date)
{
    struct bytes line = status_line(status);
    if (line.size > 0)
        buf_add_bytes(out, line);
    else
        buf_printf(out, "HTTP/1.1 %03u \r\n", status % 1000);
    if (date != NULL)
        http_reply_field_text(out, "Date", date);
    if (!request->is_keep_alive)
        buf_add_bytes(out, LITERAL("Connection: close\r\n"));
    else if (request->minor_version == 0) // the default of HTTP/1.0 is to close
        buf_add_bytes(out, LITERAL("Connection: keep-alive\r\n"));
}

static uint8_t *copy(uint8_t *to, const void *from, size_t size)
{
    memcpy(to, from, size);
    return to + size;
}

void http_reply_field(struct buf *out, const char *name, struct bytes value)
{
    size_t name_size = strlen(name);
    uint8_t *at = buf_extend(out, name_size + value.size + 4);
    if (at == NULL)
        return;
    at = copy(at, name, name_size);
    at = copy(at, ": ", 2);
    if (value.size > 0) {
        copy(at, value.data, value.size);
        syntax_blank_controls(at, value.size);
        at += value.size;
    }
    copy(at, "\r\n", 2);
}

void http_reply_field_text(struct buf *out, const char *name, const char *value)
{
    http_reply_field(out, name, bytes_text(value));
}

void http_reply_field_number(struct buf *out, const char *name, uint64_t value)
{
    buf_add_text(out, name);
    KR_REPLY_LINES(out, ": ");
    buf_add_decimal(out, value);
    KR_REPLY_LINES(out, "\r\n");
}

void http_reply_end(struct buf *out, const struct http_request *request, unsigned status,
                    const char *type, struct bytes body)
{
    if (type != NULL)
        http_reply_field_text(out, "Content-Type", type);
    // RFC 9110 §8.6: 204 has no length, not even zero.
    if (status != 204) {
        KR_REPLY_LINES(out, "Content-Length: ");
        buf_add_decimal(out, body.size);
        KR_REPLY_LINES(out, "\r\n");
    }
    KR_REPLY_LINES(out, "\r\n");
    if (request->method != KR_HTTP_HEAD && status != 204 && status != 304)
        buf_add_bytes(out, body);
}

void http_date(int64_t unix_ms, char out[KR_HTTP_DATE_SIZE])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const time_t last = 253402300799; // 9999-12-31T23:59:59Z
    time_t seconds = unix_ms > 0 ? (time_t)(unix_ms / 1000) : 0;
    struct tm tm;
    gmtime_r(seconds < last ? &seconds : &last, &tm);
    snprintf(out, KR_HTTP_DATE_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday],
             (unsigned)tm.tm_mday % 100, months[tm.tm_mon], (unsigned)(tm.tm_year + 1900) % 10000,
             (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}
