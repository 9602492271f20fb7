// SPDX-License-Identifier: Apache-2.0
// HTTP/2 by nghttp2, which reads and writes frames and holds the rules of RFC 9113; here streams
// become requests, answers become frames, and patience ends.
//
// Happy path: preface, settings → head → content → whole, queued → lent → answered → taken → gone.
// Failures: a malformed request (nghttp2 resets the stream), one that is too large or not ours
// (whole at once, with the error that answers it), one that the peer gives up (gone; while it is
// lent, with its answer), no room (REFUSED_STREAM), a broken frame (GOAWAY), work for nothing
// (GOAWAY: ENHANCE_YOUR_CALM, behind the answers to what is whole).
#include "core/http/http2.h"

#include <assert.h>
#include <nghttp2/nghttp2.h>

#include "core/base/mem.h"
#include "core/http/http2_memory.h"
#include "core/http/http2_open.h"
#include "core/http/http2_reply.h"

enum {
    KR_HTTP2_FIELD_COST = 32,       // of a field beside its bytes (RFC 9113 §6.5.2)
    KR_HTTP2_LIST_ABSURD = 8,       // times the bound on a header list: no accident
    KR_HTTP2_WINDOW = 1 << 20,      // that a connection, and a stream, may send us
    KR_HTTP2_NO_RATE = 1000000,     // nghttp2's own limit on resets never comes first
    KR_HTTP2_CONTINUATIONS_MAX = 8, // frames behind a HEADERS frame
};

#define KR_HTTP2_NO_ROOM "too many large requests are being received; try again"

enum http2_farewell { KR_FAREWELL_NONE, KR_FAREWELL_ANNOUNCED, KR_FAREWELL_SAID };

struct http2 {
    const struct http_conn_options *options;
    nghttp2_session *session;
    struct http2_open open;
    int32_t last_id;     // of the peer's streams
    size_t preface_left; // bytes of the preface to come
    size_t list_bytes;   // of the header list that comes (RFC 9113 §6.5.2)
    int32_t calm;
    bool is_trusted; // what one stream does to itself is not the peer's fault
    bool is_spent;   // there is no calm left: what is whole is answered, no more is taken in
    bool is_broken;
    enum http2_farewell farewell;
};

// --- patience ------------------------------------------------------------------------------------

static void send_away(struct http2 *http2, uint32_t code)
{
    nghttp2_session_terminate_session(http2->session, code);
    http2->is_broken = true;
}

static void spend(struct http2 *http2, int32_t cost)
{
    http2->calm -= http2->is_spent ? 0 : cost;
    http2->is_spent |= http2->calm < 0;
}

// For what a stream brought about. A proxy's streams are its clients', of whom one must not be able
// to end the connection of all: what each may cost is bounded by the number of open streams.
static void spend_for_stream(struct http2 *http2, int32_t cost)
{
    if (!http2->is_trusted)
        spend(http2, cost);
}

static void earn(struct http2 *http2)
{
    http2->calm += KR_HTTP2_CALM_STREAM;
    if (http2->calm > KR_HTTP2_CALM_MAX)
        http2->calm = KR_HTTP2_CALM_MAX;
}

// --- what nghttp2 tells --------------------------------------------------------------------------

// What a frame costs us beyond its bytes.
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *frame, void *user)
{
    struct http2 *http2 = user;
    bool is_last = (frame->flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->type == NGHTTP2_PRIORITY && frame->stream_id == 0 && !http2->is_broken)
        send_away(http2, NGHTTP2_PROTOCOL_ERROR); // RFC 9113 §6.3; nghttp2 passes over PRIORITY
    if (frame->type == NGHTTP2_RST_STREAM)
        spend_for_stream(http2, KR_HTTP2_CALM_STREAM);
    else if (frame->type == NGHTTP2_SETTINGS || frame->type == NGHTTP2_PING ||
             frame->type == NGHTTP2_PRIORITY)
        spend(http2, KR_HTTP2_CALM_FRAME);
    else if (frame->type == NGHTTP2_DATA && frame->length == 0 && !is_last)
        spend(http2, KR_HTTP2_CALM_FRAME);
    else if (frame->type == NGHTTP2_HEADERS && frame->stream_id <= http2->last_id &&
             nghttp2_session_find_stream(session, frame->stream_id) == NULL)
        spend_for_stream(http2, KR_HTTP2_CALM_FRAME); // nghttp2 inflates it, and passes over it
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http2 *http2 = user;
    http2->list_bytes = 0;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    http2->last_id = frame->hd.stream_id;
    struct http2_stream *stream = http2_open_add(&http2->open, frame->hd.stream_id);
    if (stream != NULL) {
        nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
        return 0;
    }
    // It was not looked at, and may be sent again (RFC 9113 §8.7).
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                              NGHTTP2_REFUSED_STREAM);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user)
{
    struct http2 *http2 = user;
    size_t bound = http2->options->limits.head_bytes;
    struct http2_stream *stream =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    (void)flags;
    http2->list_bytes += name_size + value_size + KR_HTTP2_FIELD_COST;
    if (http2->list_bytes > KR_HTTP2_LIST_ABSURD * bound) {
        if (!http2->is_broken)
            send_away(http2, NGHTTP2_ENHANCE_YOUR_CALM);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; // the rest is inflated, and not looked at
    }
    if (stream == NULL)
        return 0;
    if (stream->state != KR_HTTP2_HEAD || stream->err != KR_ERR_OK)
        return 0; // trailers, which nobody reads, or the rest of what is refused
    if (http2->list_bytes > bound)
        http2_stream_refuse(stream, KR_ERR_HEADERS_TOO_LARGE, "the header fields are too large");
    else if (!http2_open_reserve_head(&http2->open, stream, http2->list_bytes))
        http2_stream_refuse(stream, KR_ERR_BUSY, KR_HTTP2_NO_ROOM);
    else
        http2_stream_field(stream, bytes_of(name, name_size), bytes_of(value, value_size));
    return 0;
}

// Without this, nghttp2 would pass over a field with a forbidden character (RFC 9113 §8.2.1).
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_size, const uint8_t *value,
                             size_t value_size, uint8_t flags, void *user)
{
    (void)session, (void)frame, (void)name, (void)name_size, (void)value, (void)value_size;
    (void)flags, (void)user;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void send_continue(struct http2 *http2, const struct http2_stream *stream)
{
    static uint8_t name[] = ":status", value[] = "100";
    const nghttp2_nv status = {name, value, sizeof(name) - 1, sizeof(value) - 1,
                               NGHTTP2_NV_FLAG_NONE};
    nghttp2_submit_headers(http2->session, NGHTTP2_FLAG_NONE, stream->id, NULL, &status, 1, NULL);
}

static void end_head(struct http2 *http2, struct http2_stream *stream)
{
    const struct http_conn_options *options = http2->options;
    if (stream->err == KR_ERR_OK && http2_stream_end_head(stream)) {
        uint64_t limit = options->body_limit(options->ctx, &stream->request);
        stream->body_limit =
            limit < options->limits.body_bytes ? (size_t)limit : options->limits.body_bytes;
        if (stream->announced > stream->body_limit)
            http2_stream_refuse(stream, KR_ERR_TOO_LARGE, "the body is too large");
    }
    stream->state = KR_HTTP2_BODY;
    if (stream->err != KR_ERR_OK)
        http2_open_enqueue(&http2->open, stream);
    else if (stream->expects_continue && !stream->has_ended)
        send_continue(http2, stream);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t size, void *user)
{
    struct http2 *http2 = user;
    struct http2_stream *stream = nghttp2_session_get_stream_user_data(session, id);
    (void)flags;
    if (stream == NULL || stream->state != KR_HTTP2_BODY)
        return 0;
    if (size > stream->body_limit - stream->body.size)
        http2_stream_refuse(stream, KR_ERR_TOO_LARGE, "the body is too large");
    else if (!http2_open_reserve_body(&http2->open, stream, stream->body.size + size))
        http2_stream_refuse(stream, KR_ERR_BUSY, KR_HTTP2_NO_ROOM);
    else
        buf_add(&stream->body, data, size);
    if (stream->err != KR_ERR_OK)
        http2_open_enqueue(&http2->open, stream);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http2 *http2 = user;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    if (frame->hd.type == NGHTTP2_DATA && frame->data.padlen > 0 &&
        frame->hd.length == frame->data.padlen)
        spend_for_stream(http2, KR_HTTP2_CALM_FRAME); // nothing but padding
    struct http2_stream *stream =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream == NULL)
        return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        stream->has_ended = true;
    if (stream->state == KR_HTTP2_HEAD)
        end_head(http2, stream);
    if (stream->has_ended && stream->state == KR_HTTP2_BODY)
        http2_open_enqueue(&http2->open, stream);
    return 0;
}

// An answer has gone out. What the peer still sends for a stream that is answered is of no use
// (RFC 9113 §8.1).
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http2 *http2 = user;
    bool is_last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
        http2->is_broken = true;
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
        spend_for_stream(http2, KR_HTTP2_CALM_STREAM);
    if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) || !is_last)
        return 0;
    const struct http2_stream *stream =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    earn(http2);
    if (stream != NULL && !stream->has_ended)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                  NGHTTP2_NO_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct http2 *http2 = user;
    struct http2_stream *stream = nghttp2_session_get_stream_user_data(session, id);
    (void)code;
    if (stream == NULL)
        return 0;
    if (stream->state == KR_HTTP2_LENT)
        stream->is_given_up = true;
    else
        http2_open_drop(&http2->open, stream);
    return 0;
}

// --- its life ------------------------------------------------------------------------------------

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *made = NULL;
    int status = nghttp2_session_callbacks_new(&made);
    assert(status == 0); // fails for want of memory alone, as all that is made here
    (void)status;
    nghttp2_session_callbacks_set_on_begin_frame_callback(made, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(made, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(made, on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, on_stream_close);
    return made;
}

static nghttp2_option *make_option(void)
{
    nghttp2_option *made = NULL;
    int status = nghttp2_option_new(&made);
    assert(status == 0);
    (void)status;
    nghttp2_option_set_no_closed_streams(made, 1);
    nghttp2_option_set_max_continuations(made, KR_HTTP2_CONTINUATIONS_MAX);
    nghttp2_option_set_stream_reset_rate_limit(made, KR_HTTP2_NO_RATE, KR_HTTP2_NO_RATE);
    return made;
}

static void submit_settings(struct http2 *http2)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, KR_HTTP2_STREAMS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, KR_HTTP2_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)http2->options->limits.head_bytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    int status = nghttp2_submit_settings(http2->session, NGHTTP2_FLAG_NONE, settings,
                                         sizeof(settings) / sizeof(settings[0]));
    assert(status == 0);
    status = nghttp2_session_set_local_window_size(http2->session, NGHTTP2_FLAG_NONE, 0,
                                                   KR_HTTP2_WINDOW);
    assert(status == 0);
    (void)status;
}

struct http2 *http2_new(const struct http_conn_options *options, struct http2_streams *streams)
{
    struct http2 *http2 = mem_zalloc(sizeof(*http2));
    http2->options = options;
    http2_open_init(&http2->open, streams, options->pool);
    http2->preface_left = KR_HTTP2_PREFACE_SIZE;
    http2->calm = KR_HTTP2_CALM_MAX;
    nghttp2_mem memory = {NULL, http2_memory_alloc, http2_memory_free, http2_memory_zalloc,
                          http2_memory_move};
    nghttp2_session_callbacks *callbacks = make_callbacks();
    nghttp2_option *option = make_option();
    int status = nghttp2_session_server_new3(&http2->session, callbacks, http2, option, &memory);
    assert(status == 0);
    (void)status;
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    submit_settings(http2);
    return http2;
}

void http2_trust(struct http2 *http2)
{
    http2->is_trusted = true;
}

void http2_free(struct http2 **http2)
{
    struct http2 *freed = *http2;
    *http2 = NULL;
    if (freed == NULL)
        return;
    http2_open_fini(&freed->open);
    nghttp2_session_del(freed->session); // tells of no stream's end
    mem_free(freed);
}

// --- in ------------------------------------------------------------------------------------------

// What is left to say about it.
static uint32_t code_of(ssize_t status)
{
    if (status == NGHTTP2_ERR_FLOODED || status == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
        return NGHTTP2_ENHANCE_YOUR_CALM;
    return status == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_INTERNAL_ERROR;
}

void http2_receive(struct http2 *http2, struct bytes input)
{
    if (http2->is_broken || http2->is_spent)
        return;
    http2->preface_left -= input.size < http2->preface_left ? input.size : http2->preface_left;
    ssize_t taken = nghttp2_session_mem_recv(http2->session, input.data, input.size);
    if (taken < 0)
        send_away(http2, code_of(taken));
}

static void copy_request(struct http_request *to, const struct http_request *from)
{
    to->method = from->method;
    to->method_name = from->method_name;
    to->target = from->target;
    to->path = from->path;
    to->query = from->query;
    to->body = from->body;
    to->minor_version = from->minor_version;
    to->is_keep_alive = from->is_keep_alive;
    to->field_count = from->field_count;
    memcpy(to->fields, from->fields, from->field_count * sizeof(from->fields[0]));
}

bool http2_has_request(const struct http2 *http2)
{
    return http2_open_first(&http2->open) != NULL && !http2->is_broken &&
           http2->open.unsent <= KR_HTTP2_UNSENT_MAX;
}

enum http_next http2_next(struct http2 *http2, struct http_request *request,
                          struct http2_stream **stream, enum kr_err *err, const char **reason)
{
    struct http2_stream *next = http2_open_first(&http2->open);
    if (!http2_has_request(http2))
        return KR_HTTP_NEED_MORE;
    http2_open_lend(&http2->open, next);
    copy_request(request, &next->request);
    *stream = next;
    *err = next->err;
    *reason = next->reason;
    return next->err == KR_ERR_OK ? KR_HTTP_REQUEST : KR_HTTP_REFUSED;
}

void http2_put_off(struct http2 *http2, struct http2_stream *stream, uint8_t kind)
{
    http2_open_put_off(&http2->open, stream, kind);
}

void http2_recall(struct http2 *http2, uint8_t kind)
{
    http2_open_recall(&http2->open, kind);
}

// --- answers -------------------------------------------------------------------------------------

static size_t to_nghttp2(const struct http2_fields *fields, nghttp2_nv *out)
{
    for (size_t i = 0; i < fields->count; i++) {
        const struct http2_field *field = &fields->list[i];
        out[i] = (nghttp2_nv){
            .name = (uint8_t *)(uintptr_t)field->name.data, // it is copied
            .namelen = field->name.size,
            .value = (uint8_t *)(uintptr_t)field->value.data,
            .valuelen = field->value.size,
            .flags = field->is_changing ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE,
        };
    }
    return fields->count;
}

static void submit_trailers(struct http2 *http2, struct http2_stream *stream)
{
    struct http2_fields fields;
    nghttp2_nv list[KR_HTTP_FIELDS_MAX];
    struct buf *answer = &stream->answer;
    http2_reply_lines(answer->data + stream->trailers_at, answer->size - stream->trailers_at,
                      &fields);
    nghttp2_submit_trailer(http2->session, stream->id, list, to_nghttp2(&fields, list));
}

static ssize_t read_answer(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
                           uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct http2 *http2 = user;
    struct http2_stream *stream = source->ptr;
    (void)session, (void)id;
    size_t left = stream->trailers_at - stream->answered;
    size_t size = left < room ? left : room;
    memcpy(out, stream->answer.data + stream->answered, size);
    http2_open_pay(&http2->open, stream, size);
    if (size < left)
        return (ssize_t)size;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->answer.size > stream->trailers_at) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        submit_trailers(http2, stream);
    }
    return (ssize_t)size;
}

static void abort_stream(struct http2 *http2, const struct http2_stream *stream)
{
    nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, stream->id,
                              NGHTTP2_INTERNAL_ERROR);
}

static void submit(struct http2 *http2, struct http2_stream *stream,
                   const struct http2_fields *fields)
{
    nghttp2_nv list[KR_HTTP_FIELDS_MAX];
    size_t count = to_nghttp2(fields, list);
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_answer};
    bool has_more = stream->answer.size > 0;
    int status = nghttp2_submit_response(http2->session, stream->id, list, count,
                                         has_more ? &provider : NULL);
    if (status != 0)
        abort_stream(http2, stream);
}

void http2_answer(struct http2 *http2, struct http2_stream *stream, struct buf *reply,
                  struct buf *trailers)
{
    assert(stream->state == KR_HTTP2_LENT);
    if (stream->is_given_up) {
        http2_open_drop(&http2->open, stream);
        return;
    }
    if (buf_result(reply) != KR_ERR_OK || buf_result(trailers) != KR_ERR_OK) {
        http2_open_owe(&http2->open, stream);
        abort_stream(http2, stream);
        return;
    }
    struct http2_fields fields;
    struct bytes body = http2_reply_head(reply->data, reply->size, &fields);
    buf_add_bytes(&stream->answer, body);
    stream->trailers_at = stream->answer.size;
    http2_open_owe(&http2->open, stream);
    buf_add_bytes(&stream->answer, buf_bytes(trailers));
    submit(http2, stream, &fields);
}

// --- out -----------------------------------------------------------------------------------------

// Who has made too much work for nothing leaves when nothing that is whole waits for its answer.
// True: he is told so now.
static bool leave_if_spent(struct http2 *http2)
{
    if (!http2->is_spent || http2->is_broken || http2_open_owes(&http2->open))
        return false;
    send_away(http2, NGHTTP2_ENHANCE_YOUR_CALM);
    return true;
}

void http2_take(struct http2 *http2, struct buf *out, size_t size)
{
    const uint8_t *data;
    for (size_t taken = 0; taken < size;) {
        ssize_t part = nghttp2_session_mem_send(http2->session, &data);
        if (part < 0)
            http2->is_broken = true;
        if (part == 0 && leave_if_spent(http2))
            continue;
        if (part <= 0)
            return;
        buf_add(out, data, (size_t)part);
        taken += (size_t)part;
    }
}

bool http2_has_output(const struct http2 *http2)
{
    return nghttp2_session_want_write(http2->session) != 0;
}

void http2_shutdown(struct http2 *http2)
{
    switch (http2->farewell) {
    case KR_FAREWELL_NONE:
        nghttp2_submit_shutdown_notice(http2->session);
        http2->farewell = KR_FAREWELL_ANNOUNCED;
        return;
    case KR_FAREWELL_ANNOUNCED:
        nghttp2_submit_goaway(http2->session, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(http2->session),
                              NGHTTP2_NO_ERROR, NULL, 0);
        http2->farewell = KR_FAREWELL_SAID;
        return;
    case KR_FAREWELL_SAID:
        return;
    }
}

// In the middle of a head nothing else can come, so that its end is the connection's. So is that of
// an answer which waits for a window, where nothing is taken in any more.
static bool end_late(struct http2 *http2, const struct http2_stream *stream)
{
    if (http2->is_broken)
        return false;
    if (stream->state == KR_HTTP2_HEAD || http2->is_spent) {
        send_away(http2, NGHTTP2_ENHANCE_YOUR_CALM);
        return true;
    }
    nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_CANCEL);
    spend_for_stream(http2, KR_HTTP2_CALM_LATE);
    return true;
}

size_t http2_sweep(struct http2 *http2, uint64_t now_ms, uint64_t patience_ms)
{
    size_t ended = 0;
    for (struct http2_stream *at = http2->open.streams; at != NULL; at = at->next) {
        bool has_window = nghttp2_session_get_stream_remote_window_size(http2->session, at->id) > 0;
        if (http2_open_is_late(&http2->open, at, has_window, now_ms, patience_ms))
            ended += end_late(http2, at);
    }
    return ended;
}

bool http2_is_begun(const struct http2 *http2)
{
    return http2->preface_left == 0;
}

bool http2_has_streams(const struct http2 *http2)
{
    return http2->open.count > 0;
}

size_t http2_unsent(const struct http2 *http2)
{
    return http2->open.unsent;
}

size_t http2_lent(const struct http2 *http2)
{
    return http2->open.lent;
}

bool http2_is_broken(const struct http2 *http2)
{
    return http2->is_broken;
}

bool http2_is_over(const struct http2 *http2)
{
    bool wants_input = !http2->is_broken && nghttp2_session_want_read(http2->session) != 0;
    return !wants_input && nghttp2_session_want_write(http2->session) == 0;
}
