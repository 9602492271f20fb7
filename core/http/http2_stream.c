// SPDX-License-Identifier: Apache-2.0
// Makes a request of a stream's fields, by the rules that nghttp2 leaves to its user.
#include "core/http/http2_stream.h"

#include <assert.h>
#include <strings.h>

#include "core/base/text.h"
#include "core/http/http2.h"
#include "core/http/syntax.h"

enum { KR_HTTP2_BODY_KEPT = 16384, KR_HTTP2_ANSWER_MAX = 64 << 20 };

struct http2_streams {
    struct http2_stream *free;
    size_t count, keep;
    size_t owed; // bytes of answers
};

// --- streams that are used again -----------------------------------------------------------------

struct http2_streams *http2_streams_new(size_t keep)
{
    struct http2_streams *streams = mem_zalloc(sizeof(*streams));
    streams->keep = keep;
    return streams;
}

static void free_stream(struct http2_stream *stream)
{
    arena_fini(&stream->arena);
    buf_fini(&stream->body);
    buf_fini(&stream->answer);
    mem_free(stream);
}

void http2_streams_free(struct http2_streams **streams)
{
    if (*streams == NULL)
        return;
    struct http2_stream *next;
    for (struct http2_stream *at = (*streams)->free; at != NULL; at = next) {
        next = at->next;
        free_stream(at);
    }
    mem_free(*streams);
    *streams = NULL;
}

static struct http2_stream *new_stream(void)
{
    struct http2_stream *stream = mem_alloc(sizeof(*stream));
    arena_init(&stream->arena);
    buf_init(&stream->body, SIZE_MAX);
    buf_init(&stream->answer, KR_HTTP2_ANSWER_MAX);
    return stream;
}

struct http2_stream *http2_stream_take(struct http2_streams *streams, int32_t id)
{
    struct http2_stream *stream = streams->free;
    if (stream == NULL) {
        stream = new_stream();
    } else {
        streams->free = stream->next;
        streams->count--;
    }
    stream->id = id;
    stream->state = KR_HTTP2_HEAD;
    stream->has_ended = stream->is_given_up = false;
    stream->expects_continue = false;
    stream->put_off = stream->recalled = 0;
    stream->since_ms = 0;
    stream->previous = stream->next = stream->next_whole = NULL;
    stream->request.method = KR_HTTP_OTHER;
    stream->request.method_name = stream->request.body = stream->authority = (struct bytes){0};
    http_request_set_target(&stream->request, (struct bytes){0});
    stream->request.field_count = 0;
    stream->request.minor_version = 1;
    stream->request.is_keep_alive = true;
    stream->body_limit = stream->head_room = stream->body_room = stream->reserved = 0;
    stream->announced = 0;
    stream->err = KR_ERR_OK;
    stream->reason = NULL;
    stream->trailers_at = stream->answered = 0;
    return stream;
}

static void empty(struct buf *buf)
{
    if (buf->capacity <= KR_HTTP2_BODY_KEPT)
        mem_zero(buf->data, buf->size);
    buf_empty(buf, KR_HTTP2_BODY_KEPT);
}

void http2_stream_return(struct http2_streams *streams, struct http2_stream *stream)
{
    if (streams->count == streams->keep) {
        free_stream(stream);
        return;
    }
    arena_reset(&stream->arena);
    empty(&stream->body);
    empty(&stream->answer);
    stream->next = streams->free;
    streams->free = stream;
    streams->count++;
}

void http2_streams_owe(struct http2_streams *streams, size_t bytes)
{
    streams->owed += bytes;
}

void http2_streams_pay(struct http2_streams *streams, size_t bytes)
{
    streams->owed -= bytes;
}

size_t http2_streams_owed(const struct http2_streams *streams)
{
    return streams->owed;
}

// --- fields --------------------------------------------------------------------------------------

void http2_stream_refuse(struct http2_stream *stream, enum kr_err err, const char *reason)
{
    if (stream->err != KR_ERR_OK)
        return;
    stream->err = err;
    stream->reason = reason;
}

static struct bytes keep(struct http2_stream *stream, struct bytes text)
{
    return arena_bytes_of(&stream->arena, text);
}

// nghttp2 has seen to it that each comes once at most, and before the other fields
// (RFC 9113 §8.3).
static void take_pseudo(struct http2_stream *stream, struct bytes name, struct bytes value)
{
    struct http_request *request = &stream->request;
    if (bytes_equal_text(name, ":method")) {
        request->method_name = keep(stream, value);
        request->method = http_method_of(request->method_name);
    } else if (bytes_equal_text(name, ":path")) {
        http_request_set_target(request, keep(stream, value));
    } else if (bytes_equal_text(name, ":authority")) {
        stream->authority = keep(stream, value);
    }
}

// What matters for the message itself. A Content-Length that is no number has no chance with
// nghttp2.
static void note_field(struct http2_stream *stream, const struct http_field *field)
{
    if (bytes_equal_text(field->name, "expect"))
        stream->expects_continue = bytes_equal_text_nocase(field->value, "100-continue");
    else if (bytes_equal_text(field->name, "content-length") &&
             !text_decimal(field->value, UINT64_MAX, &stream->announced))
        http2_stream_refuse(stream, KR_ERR_INVALID, "Content-Length is not a decimal number");
}

bool http2_stream_field(struct http2_stream *stream, struct bytes name, struct bytes value)
{
    struct http_request *request = &stream->request;
    if (name.size > 0 && name.data[0] == ':') {
        take_pseudo(stream, name, value);
        return true;
    }
    if (request->field_count == KR_HTTP_FIELDS_MAX) {
        http2_stream_refuse(stream, KR_ERR_HEADERS_TOO_LARGE, "too many fields");
        return false;
    }
    struct http_field *field = &request->fields[request->field_count++];
    *field = (struct http_field){keep(stream, name), keep(stream, value)};
    note_field(stream, field);
    return stream->err == KR_ERR_OK;
}

// --- what the fields mean ------------------------------------------------------------------------

static size_t count_cookies(const struct http_request *request, size_t *size)
{
    size_t count = 0;
    *size = 0;
    for (size_t i = 0; i < request->field_count; i++) {
        if (!bytes_equal_text(request->fields[i].name, "cookie"))
            continue;
        *size += (count > 0 ? 2 : 0) + request->fields[i].value.size;
        count++;
    }
    return count;
}

// RFC 9113 §8.2.3: a Cookie may come in several fields, and is one.
static void join_cookies(struct http2_stream *stream)
{
    struct http_request *request = &stream->request;
    size_t size, kept = 0, used = 0;
    if (count_cookies(request, &size) < 2)
        return;
    struct http_field *cookie = NULL;
    uint8_t *joined = arena_alloc(&stream->arena, size);
    for (size_t i = 0; i < request->field_count; i++) {
        struct http_field field = request->fields[i];
        if (!bytes_equal_text(field.name, "cookie")) {
            request->fields[kept++] = field;
            continue;
        }
        if (cookie == NULL)
            cookie = &request->fields[kept++];
        else
            memcpy(joined + used - 2, "; ", 2);
        memcpy(joined + used, field.value.data, field.value.size);
        used += field.value.size + 2;
        *cookie = (struct http_field){field.name, bytes_of(joined, size)};
    }
    request->field_count = kept;
}

static bool is_same_host(struct bytes a, struct bytes b)
{
    return a.size == b.size && strncasecmp((const char *)a.data, (const char *)b.data, a.size) == 0;
}

// RFC 9113 §8.3.1: Host says what :authority says, or one of them is not there. NULL, or why not.
static const char *check_authority(struct http2_stream *stream)
{
    const struct http_field *host = http_request_field(&stream->request, "host");
    if (stream->authority.size == 0 && host == NULL)
        return ":authority is missing";
    if (stream->authority.size > 0 && !syntax_is_authority(stream->authority))
        return ":authority is not valid";
    if (host != NULL && !syntax_is_authority(host->value))
        return "Host is not valid";
    if (host != NULL && stream->authority.size > 0 && !is_same_host(host->value, stream->authority))
        return ":authority and Host name different hosts";
    if (host == NULL && stream->request.field_count < KR_HTTP_FIELDS_MAX)
        stream->request.fields[stream->request.field_count++] =
            (struct http_field){bytes_text("host"), stream->authority};
    return NULL;
}

static const char *check_target(const struct http_request *request)
{
    struct bytes target = request->target;
    if (target.size == 0 || !syntax_is_target(target))
        return ":path is empty or holds a forbidden character";
    if (target.data[0] == '/')
        return NULL;
    return bytes_equal_text(target, "*") && request->method == KR_HTTP_OPTIONS
               ? NULL
               : ":path does not begin with a slash";
}

bool http2_stream_end_head(struct http2_stream *stream)
{
    const struct http_request *request = &stream->request;
    assert(stream->state == KR_HTTP2_HEAD);
    if (bytes_equal_text(request->method_name, "CONNECT")) {
        http2_stream_refuse(stream, KR_ERR_UNSUPPORTED, "CONNECT is not served here");
        return false;
    }
    join_cookies(stream);
    const char *reason = check_target(request);
    if (reason == NULL)
        reason = check_authority(stream);
    if (reason != NULL)
        http2_stream_refuse(stream, KR_ERR_INVALID, reason);
    return stream->err == KR_ERR_OK;
}

bool http2_is_given_up(const struct http2_stream *stream)
{
    return stream->is_given_up;
}
