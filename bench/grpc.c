// SPDX-License-Identifier: Apache-2.0
// The gRPC load's loop.
//
// Happy path: connect all → hello → as many calls as there are streams → epoll → frames: an answer
// ends its stream, and the next call goes out → … Ways it can fail: no connection; a peer that
// refuses streams, allows fewer than are wanted, or breaks off.
#include "bench/grpc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/grpc_wire.h"
#include "core/base/clock.h"
#include "core/base/mem.h"

// More numbers than streams, so that one that lags does not hold the next ones up.
enum { KR_GRPC_NUMBERS = 1024, KR_GRPC_IN = 262144, KR_GRPC_OUT = 262144, KR_GRPC_WAIT_MS = 100 };
enum { KR_GRPC_EVENTS = 64, KR_GRPC_MESSAGE_MAX = 2048 };
enum { KR_SETTING_TABLE = 1, KR_SETTING_STREAMS = 3, KR_TABLE_BYTES = 4096 };

struct stream {
    uint64_t begin_ns; // 0: free
    struct protocol_answer answer;
};

struct connection {
    int fd;
    uint32_t next; // number of the next stream
    unsigned open; // streams
    int64_t window;
    uint64_t taken_bytes; // of our own window
    bool is_fresh;        // no call was made yet
    bool is_full;         // the socket takes no more
    struct buf out;
    size_t out_at, in_size;
    struct stream streams[KR_GRPC_NUMBERS];
    uint8_t in[KR_GRPC_IN];
    uint8_t out_memory[KR_GRPC_OUT];
};

struct load {
    const struct load_target *target;
    const struct load_plan *plan;
    struct load_result *result;
    struct connection *connections;
    int epoll;
    struct load_keys keys;
    struct load_span span;
    enum kr_err err;
    struct fault *fault;
};

static void fail(struct load *load, const char *text)
{
    if (load->err == KR_ERR_OK)
        load->err = fault_set(load->fault, KR_ERR_IO, "gRPC: %s", text);
}

// --- sending -------------------------------------------------------------------------------------

static struct stream *stream_at(struct connection *connection, uint32_t number)
{
    return &connection->streams[number / 2 % KR_GRPC_NUMBERS];
}

static bool is_empty(const struct load *load)
{
    return load->target->request.kind == KR_PROTOCOL_EMPTY;
}

static void add_call(struct load *load, struct connection *connection)
{
    const struct protocol_request *request = &load->target->request;
    if (is_empty(load))
        grpc_add_get(&connection->out, connection->next, request, connection->is_fresh);
    else
        connection->window -=
            (int64_t)grpc_add_check(&connection->out, connection->next, request->host,
                                    connection->is_fresh, load_keys_draw(&load->keys));
}

static void make_calls(struct load *load, struct connection *connection)
{
    uint64_t now_ns = clock_mono_ns();
    while (connection->open < load->plan->depth && connection->window >= KR_GRPC_MESSAGE_MAX &&
           connection->out.capacity - connection->out.size > 2 * KR_GRPC_MESSAGE_MAX) {
        while (stream_at(connection, connection->next)->begin_ns != 0)
            connection->next += 2;
        struct stream *stream = stream_at(connection, connection->next);
        add_call(load, connection);
        *stream = (struct stream){.begin_ns = now_ns};
        connection->is_fresh = false;
        connection->next += 2;
        connection->open++;
    }
    if (buf_result(&connection->out) != KR_ERR_OK)
        fail(load, is_empty(load) ? "the path is too long" : "a key is too long");
}

static void flush(struct load *load, struct connection *connection)
{
    struct buf *out = &connection->out;
    while (connection->out_at < out->size) {
        ssize_t sent = send(connection->fd, out->data + connection->out_at,
                            out->size - connection->out_at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            connection->is_full = true;
            load_watch(load->epoll, connection->fd, connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return;
        }
        if (sent < 0) {
            fail(load, strerror(errno));
            return;
        }
        connection->out_at += (size_t)sent;
    }
    buf_clear(out);
    connection->out_at = 0;
    if (connection->is_full) {
        connection->is_full = false;
        load_watch(load->epoll, connection->fd, connection, EPOLL_CTL_MOD, EPOLLIN);
    }
}

static void open_connection(struct load *load, struct connection *connection)
{
    connection->next = 1;
    connection->window = KR_FRAME_WINDOW;
    connection->is_fresh = true;
    buf_init_fixed(&connection->out, connection->out_memory, sizeof(connection->out_memory));
    connection->fd = load_connect(load->target);
    if (connection->fd < 0) {
        fail(load, strerror(errno));
        return;
    }
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    load_watch(load->epoll, connection->fd, connection, EPOLL_CTL_ADD, EPOLLIN);
    grpc_add_hello(&connection->out);
    make_calls(load, connection);
    flush(load, connection);
}

// --- answers -------------------------------------------------------------------------------------

static void end_stream(struct load *load, struct connection *connection, uint32_t number)
{
    struct stream *stream = stream_at(connection, number);
    uint64_t now_ns = clock_mono_ns();
    if (stream->begin_ns == 0) {
        fail(load, "an answer to a stream that was not asked on");
        return;
    }
    if (stream->answer.status == 0)
        strcpy(stream->answer.code, "GRPC_STATUS"); // a status without a message
    if (now_ns >= load->span.begin_ns && now_ns < load->span.end_ns)
        load_record(load->result, now_ns - stream->begin_ns, &stream->answer);
    stream->begin_ns = 0;
    connection->open--;
}

static void take_settings(struct load *load, struct connection *connection,
                          const struct grpc_frame *frame)
{
    if ((frame->flags & KR_FRAME_ACK) != 0)
        return;
    for (size_t at = 0; at + 6 <= frame->payload.size; at += 6) {
        const uint8_t *setting = frame->payload.data + at;
        uint32_t value = grpc_u32(setting + 2);
        if (setting[1] == KR_SETTING_STREAMS && value < load->plan->depth)
            fail(load, "the server allows fewer streams");
        if (setting[1] == KR_SETTING_TABLE && value < KR_TABLE_BYTES)
            fail(load, "the server keeps a smaller table of header fields");
    }
    grpc_add_frame(&connection->out, KR_FRAME_SETTINGS, KR_FRAME_ACK, 0, (struct bytes){0});
}

static void take_data(struct load *load, struct connection *connection,
                      const struct grpc_frame *frame)
{
    struct stream *stream = stream_at(connection, frame->stream);
    connection->taken_bytes += frame->payload.size;
    if (connection->taken_bytes > INT32_MAX / 2) {
        grpc_add_window(&connection->out, (uint32_t)connection->taken_bytes);
        connection->taken_bytes = 0;
    }
    if (frame->payload.size > 0 && !is_empty(load) &&
        !grpc_read_answer(frame->payload, &stream->answer))
        fail(load, "an answer that is no CheckResponse in one frame");
}

// A check's verdict is in its message.
static void take_headers(struct load *load, struct connection *connection,
                         const struct grpc_frame *frame)
{
    if (!is_empty(load))
        return;
    if (frame->payload.size == 0 || frame->payload.data[0] != KR_FRAME_STATUS_200)
        fail(load, "the empty handler's answer is no 200");
    stream_at(connection, frame->stream)->answer.status = 200;
}

static void take_frame(struct load *load, struct connection *connection,
                       const struct grpc_frame *frame)
{
    switch (frame->type) {
    case KR_FRAME_DATA:
        take_data(load, connection, frame);
        break;
    case KR_FRAME_HEADERS:
        take_headers(load, connection, frame);
        break;
    case KR_FRAME_SETTINGS:
        take_settings(load, connection, frame);
        return;
    case KR_FRAME_PING:
        if ((frame->flags & KR_FRAME_ACK) == 0)
            grpc_add_frame(&connection->out, KR_FRAME_PING, KR_FRAME_ACK, 0, frame->payload);
        return;
    case KR_FRAME_WINDOW_UPDATE:
        if (frame->stream == 0 && frame->payload.size == 4)
            connection->window += grpc_u32(frame->payload.data) & INT32_MAX;
        return;
    case KR_FRAME_RST_STREAM:
        fail(load, "the server resets streams");
        return;
    case KR_FRAME_GOAWAY:
        fail(load, "the server says goodbye");
        return;
    }
    if ((frame->flags & KR_FRAME_END_STREAM) != 0)
        end_stream(load, connection, frame->stream);
}

static void take_frames(struct load *load, struct connection *connection)
{
    struct grpc_frame frame;
    size_t at = 0;
    while (load->err == KR_ERR_OK &&
           grpc_read_frame(bytes_of(connection->in + at, connection->in_size - at), &frame)) {
        take_frame(load, connection, &frame);
        at += KR_FRAME_HEAD + frame.payload.size;
    }
    connection->in_size -= at;
    memmove(connection->in, connection->in + at, connection->in_size);
}

static void on_readable(struct load *load, struct connection *connection)
{
    ssize_t size = recv(connection->fd, connection->in + connection->in_size,
                        KR_GRPC_IN - connection->in_size, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        load->result->broken++;
        fail(load, "the server breaks off");
        return;
    }
    connection->in_size += (size_t)size;
    take_frames(load, connection);
}

static void turn(struct load *load)
{
    struct epoll_event events[KR_GRPC_EVENTS];
    int count = epoll_wait(load->epoll, events, KR_GRPC_EVENTS, KR_GRPC_WAIT_MS);
    for (int i = 0; i < count && load->err == KR_ERR_OK; i++) {
        struct connection *connection = events[i].data.ptr;
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            on_readable(load, connection);
        make_calls(load, connection);
        flush(load, connection);
    }
}

enum kr_err grpc_run(const struct load_target *target, const struct load_plan *plan,
                     struct load_result *result, struct fault *fault)
{
    struct load load = {.target = target, .plan = plan, .result = result, .fault = fault};
    memset(result, 0, sizeof(*result));
    load_keys_init(&load.keys, plan);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load.epoll < 0)
        return fault_set(fault, err_from_errno(errno), "epoll: %s", strerror(errno));
    load.connections = mem_zalloc(plan->connections * sizeof(*load.connections));
    for (unsigned i = 0; i < plan->connections; i++)
        load.connections[i].fd = -1;
    load_span_init(&load.span, plan);
    for (unsigned i = 0; i < plan->connections && load.err == KR_ERR_OK; i++)
        open_connection(&load, &load.connections[i]);
    while (load.err == KR_ERR_OK && clock_mono_ns() < load.span.end_ns) {
        load_span_enter(&load.span, target, result);
        turn(&load);
    }
    load_span_leave(&load.span, target, result);
    result->seconds = plan->seconds;
    for (unsigned i = 0; i < plan->connections; i++)
        if (load.connections[i].fd >= 0)
            close(load.connections[i].fd);
    mem_free(load.connections);
    close(load.epoll);
    return load.err;
}
