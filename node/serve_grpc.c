// SPDX-License-Identifier: Apache-2.0
// gRPC over HTTP/2: a request's body is one message behind five bytes, an answer is the same, and
// how the call ended stands in its trailers.
//
// Happy path: framing → the method's ask → looked up with all others of the turn → its reply →
// message, trailers.
// Failures, each a head that is trailers as well: no such method here, framing or an encoding that
// is not taken, a deadline that has passed while the question waited, whatever the method says.
#include "node/grpc.h"

#include "core/base/text.h"

enum { KR_GRPC_PREFIX = 5, KR_GRPC_TIMEOUT_DIGITS = 8, KR_GRPC_NS_PER_MS = 1000000 };

#define KR_GRPC_TYPE "application/grpc"

// --- requests ------------------------------------------------------------------------------------

bool serve_grpc_is_call(const struct http_request *request)
{
    struct bytes type = http_request_value(request, "content-type");
    const uint8_t *end = type.size > 0 ? memchr(type.data, ';', type.size) : NULL;
    if (end != NULL)
        type.size = (size_t)(end - type.data);
    return bytes_equal_text_nocase(type, KR_GRPC_TYPE) ||
           bytes_equal_text_nocase(type, KR_GRPC_TYPE "+proto");
}

static const struct grpc_method *method_of(const struct job *job)
{
    size_t i = 0;
    while (strcmp(grpc_methods[i].path, job->match.route->path) != 0)
        i++; // a test sees to it that each route has a method
    return &grpc_methods[i];
}

static struct grpc_end end_with(enum grpc_status status, const char *text)
{
    return (struct grpc_end){.status = status, .text = text};
}

static bool is_encoded(const struct http_request *request)
{
    struct bytes encoding = http_request_value(request, "grpc-encoding");
    return encoding.size > 0 && !bytes_equal_text(encoding, "identity");
}

// The one message of the body. Not OK: there is none, or more, or it cannot be read.
static struct grpc_end read_message(const struct http_request *request, struct bytes *message)
{
    struct bytes body = request->body;
    if (is_encoded(request))
        return end_with(KR_GRPC_UNIMPLEMENTED, "messages are taken without an encoding");
    if (body.size == 0)
        return end_with(KR_GRPC_UNIMPLEMENTED, "the call has no message");
    if (body.size < KR_GRPC_PREFIX)
        return end_with(KR_GRPC_INTERNAL, "the message is cut off");
    if (body.data[0] != 0)
        return end_with(KR_GRPC_INTERNAL, "the message says that it is compressed, and not how");
    size_t size = (size_t)body.data[1] << 24 | (size_t)body.data[2] << 16 |
                  (size_t)body.data[3] << 8 | body.data[4];
    *message = bytes_of(body.data + KR_GRPC_PREFIX, body.size - KR_GRPC_PREFIX);
    if (message->size < size)
        return end_with(KR_GRPC_INTERNAL, "the message is cut off");
    if (message->size > size)
        return end_with(KR_GRPC_UNIMPLEMENTED, "the call has more than one message");
    return end_with(KR_GRPC_OK, NULL);
}

// --- deadlines -----------------------------------------------------------------------------------

static uint64_t nanoseconds_of(uint8_t unit)
{
    switch (unit) {
    case 'H':
        return UINT64_C(3600000000000);
    case 'M':
        return UINT64_C(60000000000);
    case 'S':
        return UINT64_C(1000000000);
    case 'm':
        return KR_GRPC_NS_PER_MS;
    case 'u':
        return 1000;
    case 'n':
        return 1;
    }
    return 0;
}

// Digits and a unit. False: not so.
static bool read_timeout(struct bytes text, uint64_t *timeout_ms)
{
    uint64_t count = 0;
    if (text.size < 2 || text.size > KR_GRPC_TIMEOUT_DIGITS + 1)
        return false;
    uint64_t unit = nanoseconds_of(text.data[--text.size]);
    while (text.size > 1 && text.data[0] == '0')
        text = bytes_of(text.data + 1, text.size - 1);
    if (unit == 0 || !text_decimal(text, UINT64_MAX, &count))
        return false;
    // Hours of eight digits are more nanoseconds than 64 bits hold.
    *timeout_ms = unit >= KR_GRPC_NS_PER_MS
                      ? count * (unit / KR_GRPC_NS_PER_MS)
                      : (count * unit + KR_GRPC_NS_PER_MS - 1) / KR_GRPC_NS_PER_MS;
    return true;
}

// From here, where the call is taken up, and not from the client's sending, which nobody knows.
static bool read_deadline(struct job *job)
{
    uint64_t timeout_ms;
    const struct http_field *field = http_request_field(&job->request, "grpc-timeout");
    job->deadline_ms = UINT64_MAX;
    if (field == NULL)
        return true;
    if (!read_timeout(field->value, &timeout_ms))
        return false;
    job->deadline_ms = uv_now(&job->connection->serve->loop) + timeout_ms;
    return true;
}

// --- answers -------------------------------------------------------------------------------------

// Printable ASCII stays, but for the sign of what does not.
static void add_message(struct buf *out, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        uint8_t byte = (uint8_t)*at;
        if (byte >= ' ' && byte <= '~' && byte != '%')
            buf_add_u8(out, byte);
        else
            buf_printf(out, "%%%02X", byte);
    }
}

// As what HTTP answer the end counts in the metrics: RESOURCE_EXHAUSTED alone may be one of three.
static unsigned http_status_of(struct grpc_end end)
{
    if (end.err != KR_ERR_OK)
        return err_http_status(end.err);
    switch (end.status) {
    case KR_GRPC_OK:
        return 200;
    case KR_GRPC_INVALID_ARGUMENT:
        return 400;
    case KR_GRPC_UNAUTHENTICATED:
        return 401;
    case KR_GRPC_PERMISSION_DENIED:
        return 403;
    case KR_GRPC_NOT_FOUND:
        return 404;
    case KR_GRPC_RESOURCE_EXHAUSTED:
        return 429;
    case KR_GRPC_UNIMPLEMENTED:
        return 501;
    case KR_GRPC_UNAVAILABLE:
    case KR_GRPC_DEADLINE_EXCEEDED:
    case KR_GRPC_CANCELLED:
        return 503;
    case KR_GRPC_UNKNOWN:
    case KR_GRPC_INTERNAL:
        return 500;
    }
    return 500;
}

static void write_message(struct serve *serve)
{
    struct buf *out = &serve->out;
    KR_REPLY_LINES(out, "\r\n");
    buf_add_u8(out, 0);
    buf_add_u32(out, (uint32_t)serve->body.size);
    buf_add_bytes(out, buf_bytes(&serve->body));
    KR_REPLY_LINES(&serve->trailers, "Grpc-Status: 0\r\n");
}

static void write_failure(struct buf *out, const struct http_request *request, struct grpc_end end)
{
    KR_REPLY_LINES(out, "Grpc-Status: ");
    buf_add_decimal(out, end.status);
    KR_REPLY_LINES(out, "\r\nGrpc-Message: ");
    add_message(out, end.text);
    if (end.status == KR_GRPC_UNIMPLEMENTED && is_encoded(request))
        KR_REPLY_LINES(out, "\r\nGrpc-Accept-Encoding: identity");
    KR_REPLY_LINES(out, "\r\n\r\n");
}

static void write_end(struct job *job, struct grpc_end end)
{
    struct serve *serve = job->connection->serve;
    serve_reply_begin(job, 200);
    KR_REPLY_LINES(&serve->out, "Content-Type: " KR_GRPC_TYPE "\r\n");
    if (end.status == KR_GRPC_OK)
        write_message(serve);
    else
        write_failure(&serve->out, &job->request, end);
    turn_count(job, http_status_of(end));
}

// --- a call --------------------------------------------------------------------------------------

bool serve_grpc_ask(struct job *job)
{
    struct bytes message;
    if (!job->is_grpc || !read_deadline(job) ||
        read_message(&job->request, &message).status != KR_GRPC_OK)
        return false;
    const struct grpc_method *method = method_of(job);
    return method->ask != NULL && method->ask(job, message);
}

static struct grpc_end end_of(struct job *job)
{
    struct serve *serve = job->connection->serve;
    struct bytes message;
    if (!job->has_question && !read_deadline(job))
        return end_with(KR_GRPC_INVALID_ARGUMENT, "grpc-timeout: not up to 8 digits and a unit");
    if (uv_now(&serve->loop) >= job->deadline_ms)
        return end_with(KR_GRPC_DEADLINE_EXCEEDED, "the deadline has passed");
    struct grpc_end end = read_message(&job->request, &message);
    if (end.status != KR_GRPC_OK)
        return end;
    buf_clear(&serve->body);
    return method_of(job)->reply(job, message);
}

void serve_grpc_reply(struct job *job)
{
    if (job->is_grpc)
        write_end(job, end_of(job));
    else
        serve_reply_problem(job, KR_ERR_MEDIA_TYPE,
                            "this path is a gRPC method: HTTP/2, Content-Type: " KR_GRPC_TYPE);
}

void serve_grpc_refuse(struct job *job)
{
    bool has_method = job->match.route != NULL;
    buf_clear(&job->connection->serve->body);
    if (job->refusal == KR_ERR_TOO_LARGE && has_method && method_of(job)->refuse != NULL)
        write_end(job, method_of(job)->refuse(job));
    else if (job->refusal != KR_ERR_OK)
        write_end(job, grpc_refuse(job->refusal, job->reason));
    else
        write_end(job, end_with(KR_GRPC_UNIMPLEMENTED, "no such method on this listener"));
}
