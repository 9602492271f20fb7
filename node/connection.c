// SPDX-License-Identifier: Apache-2.0
// One connection of a serving loop: read, write, deadlines, close.
//
// Happy path: begun → reading → ready → (turn) → flushed → reading … → peer ends → closed.
// With TLS, what is read passes through connection_tls.c before it is HTTP or frames, and what is
// written behind it; a handshake must be done within the time of a request.
// Failures: a request that takes too long or an idle connection (swept), a peer that sends on
// behind a last answer (dropped while it lingers, then closed), a peer that does not read (held: no
// further request is taken; swept while writing), read or write errors (closed).
#include "node/serve_internal.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/ceilings.h"

enum { KR_LINGER_MS = 1000, KR_LINGER_BYTES = 8 << 20, KR_CONNECTION_PROGRESS_BYTES = 16384 };

static void link_in(struct connection *connection)
{
    struct serve *serve = connection->serve;
    connection->next = serve->connections;
    if (serve->connections != NULL)
        serve->connections->previous = connection;
    serve->connections = connection;
    serve->connection_count++;
}

static void unlink_from(struct connection *connection)
{
    struct serve *serve = connection->serve;
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        serve->connections = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    serve->connection_count--;
}

static void closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    struct serve *serve = connection->serve;
    unlink_from(connection);
    atomic_fetch_sub_explicit(&serve->node->connections, 1, memory_order_relaxed);
    if (connection->is_counted)
        ceilings_leave(serve->node->ceilings, &connection->peer);
    http_conn_free(&connection->http);
    http2_free(&connection->http2);
    binary_conn_free(&connection->binary);
    tls_free(&connection->tls);
    metrics_bump(&serve->metrics->connections_open, (uint64_t)-1);
    mem_free(connection);
}

void connection_abandon(struct connection *connection)
{
    for (struct suspended *at = connection->suspended; at != NULL; at = at->next_of_connection) {
        at->is_abandoned = true;
        serve_call_give_up(at);
    }
    connection->suspended = NULL;
}

// A connection in the ready list is dropped from it by the turn, which sees the state.
void connection_close(struct connection *connection)
{
    if (connection->state == KR_CONNECTION_CLOSING)
        return;
    if (connection->binary != NULL)
        binary_forget(connection->serve->binary, connection);
    connection->state = KR_CONNECTION_CLOSING;
    connection_abandon(connection);
    uv_close(&connection->uv.handle, closed);
}

static bool is_mid_request(const struct connection *connection)
{
    if (connection->http2 != NULL)
        return !http2_is_begun(connection->http2);
    return connection->binary != NULL ? binary_conn_is_mid_request(connection->binary)
                                      : http_conn_is_mid_request(connection->http);
}

// A request, or a handshake, has begun and not ended. The streams of HTTP/2 have clocks of their
// own.
static bool is_under_way(const struct connection *connection)
{
    return is_mid_request(connection) || connection_tls_is_shaking_hands(connection);
}

// Bytes of answers that the peer has not taken.
static size_t owed(const struct connection *connection)
{
    size_t written = uv_stream_get_write_queue_size(&connection->uv.stream);
    return written + (connection->http2 == NULL ? 0 : http2_unsent(connection->http2));
}

void connection_deadline(struct connection *connection)
{
    const struct config *config = connection->serve->node->config;
    if (connection->state == KR_CONNECTION_LINGERING)
        return;
    bool is_busy = connection->writing_bytes > 0 || is_under_way(connection);
    int64_t allowance_ms = is_busy ? config->request_timeout_ms : config->idle_timeout_ms;
    connection->deadline_ms = uv_now(&connection->serve->loop) + (uint64_t)allowance_ms;
    connection->left_bytes = owed(connection);
}

void connection_hurry(struct connection *connection)
{
    const struct serve *serve = connection->serve;
    uint64_t by_ms = uv_now(&serve->loop) + (uint64_t)serve->node->config->request_timeout_ms;
    if (connection->state == KR_CONNECTION_LINGERING || connection->deadline_ms <= by_ms)
        return;
    connection->deadline_ms = by_ms;
    connection->left_bytes = owed(connection);
}

// A long answer may take longer than one deadline, as long as its reader reads on.
static bool has_progressed(const struct connection *connection)
{
    return owed(connection) + KR_CONNECTION_PROGRESS_BYTES <= connection->left_bytes;
}

void connection_progress(struct connection *connection)
{
    if (has_progressed(connection))
        connection_deadline(connection);
}

// Past its deadline, or idle while the node stops.
static void expire(struct connection *connection, bool is_idle)
{
    if (connection->http2 != NULL && connection->state == KR_CONNECTION_OPEN && is_idle) {
        connection_http2_leave(connection);
        return;
    }
    if (!is_idle)
        metrics_bump(&connection->serve->metrics->requests_refused, 1);
    connection_close(connection);
}

// True: it is its streams that are waited for, if anything.
static bool sweep_http2(struct connection *connection)
{
    if (connection->http2 == NULL || connection->state != KR_CONNECTION_OPEN)
        return false;
    if (connection->serve->is_stopping)
        connection_http2_leave(connection);
    if (connection->state == KR_CONNECTION_OPEN)
        connection_http2_sweep(connection);
    if (connection->state != KR_CONNECTION_OPEN)
        return true;
    bool has_streams = connection->writing_bytes == 0 && http2_has_streams(connection->http2);
    if (has_streams)
        connection_deadline(connection);
    return has_streams;
}

void connection_sweep(uv_timer_t *timer)
{
    struct serve *serve = timer->data;
    uint64_t now_ms = uv_now(&serve->loop);
    struct connection *next;
    for (struct connection *at = serve->connections; at != NULL; at = next) {
        next = at->next;
        serve_call_sweep(at);
        if (at->state == KR_CONNECTION_SUSPENDED || at->state == KR_CONNECTION_CLOSING)
            continue;
        if (sweep_http2(at) || at->suspended != NULL)
            continue;
        if (at->is_held && at->state == KR_CONNECTION_OPEN && !connection_owes(at))
            connection_resume(at); // it was for what others owed
        bool is_idle = at->writing_bytes == 0 && !is_under_way(at);
        if (at->state == KR_CONNECTION_LINGERING) {
            if (now_ms >= at->deadline_ms)
                connection_close(at);
            continue;
        }
        bool may_stop = serve->is_stopping && is_idle && !at->is_ready && at->http2 == NULL;
        if (now_ms < at->deadline_ms && !may_stop)
            continue;
        if (has_progressed(at)) {
            connection_deadline(at);
            continue;
        }
        expire(at, is_idle);
    }
}

// --- reading -------------------------------------------------------------------------------------

uint8_t *connection_space(struct connection *connection, size_t *size)
{
    if (connection->http2 != NULL) { // what comes is frames, which are taken in at once
        *size = KR_SERVE_SEALED_BYTES;
        return connection->serve->sealed_in;
    }
    return connection->binary != NULL ? binary_conn_space(connection->binary, size)
                                      : http_conn_space(connection->http, size);
}

void connection_filled(struct connection *connection, size_t size)
{
    if (connection->http2 != NULL)
        connection_http2_received(connection, connection->serve->sealed_in, size);
    else if (connection->binary != NULL)
        binary_conn_received(connection->binary, size);
    else
        http_conn_received(connection->http, size);
    if (connection->is_fresh)
        connection_http2_recognize(connection);
}

static void give_space(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct connection *connection = handle->data;
    size_t size = 0;
    // libuv reads on as long as bytes come: parse first. And a request that waits lies in the space
    // that would be given.
    if (connection->unseen_bytes >= KR_CONNECTION_UNSEEN_BYTES ||
        connection->state == KR_CONNECTION_SUSPENDED || connection_tls_has_more(connection)) {
        *out = uv_buf_init(NULL, 0);
        return;
    }
    if (connection->tls != NULL) {
        struct serve *serve = connection->serve;
        *out = uv_buf_init((char *)serve->sealed_in, sizeof(serve->sealed_in));
        return;
    }
    out->base = (char *)connection_space(connection, &size);
    out->len = size;
}

// --- lines of ready connections ------------------------------------------------------------------

void serve_line_init(struct serve_line *line)
{
    line->first = NULL;
    line->last = &line->first;
}

static void line_add(struct serve_line *line, struct connection *connection)
{
    connection->is_ready = true;
    connection->next_ready = NULL;
    *line->last = connection;
    line->last = &connection->next_ready;
}

struct connection *serve_line_take(struct serve_line *line)
{
    struct connection *connection = line->first;
    if (connection == NULL)
        return NULL;
    line->first = connection->next_ready;
    if (line->first == NULL)
        line->last = &line->first;
    connection->is_ready = false;
    connection->unseen_bytes = 0;
    return connection;
}

void connection_mark_ready(struct connection *connection)
{
    struct serve *serve = connection->serve;
    if (connection->is_ready)
        return;
    line_add(connection->binary != NULL ? binary_line(serve->binary) : &serve->ready, connection);
}

void connection_ended(struct connection *connection)
{
    connection->has_ended = true;
    uv_read_stop(&connection->uv.stream);
}

// False: the connection was closed.
static bool take_in(struct connection *connection, size_t size)
{
    // The request's clock starts with its first byte and does not restart with each crumb.
    bool was_under_way = is_under_way(connection);
    if (connection->tls == NULL)
        connection_filled(connection, size);
    else if (!connection_tls_received(connection, size))
        return false;
    if (!was_under_way && is_mid_request(connection))
        connection->deadline_ms = uv_now(&connection->serve->loop) +
                                  (uint64_t)connection->serve->node->config->request_timeout_ms;
    connection->unseen_bytes += size;
    metrics_bump(&connection->serve->metrics->bytes_in, size);
    return true;
}

static void got_bytes(uv_stream_t *stream, ssize_t size, const uv_buf_t *space)
{
    (void)space;
    struct connection *connection = stream->data;
    if (size == 0) {
        connection_filled(connection, 0); // gives unused space back
        return;
    }
    if (size == UV_ENOBUFS && connection->state == KR_CONNECTION_SUSPENDED) {
        uv_read_stop(stream); // until it goes on: few send more before they are answered
        return;
    }
    if (size == UV_ENOBUFS) {
        connection_mark_ready(connection);
        return;
    }
    if (size < 0 && size != UV_EOF) {
        connection_close(connection);
        return;
    }
    if (size == UV_EOF) {
        connection_filled(connection, 0);
        connection_ended(connection);
    } else if (!take_in(connection, (size_t)size)) {
        return;
    }
    if (!connection->is_fresh || connection->has_ended)
        connection_mark_ready(connection);
}

static int open_socket(struct connection *connection)
{
    uv_loop_t *loop = &connection->serve->loop;
    if (connection->listener->is_unix) {
        uv_pipe_init(loop, &connection->uv.pipe, 0);
        return uv_pipe_open(&connection->uv.pipe, connection->fd);
    }
    uv_tcp_init(loop, &connection->uv.tcp);
    int status = uv_tcp_open(&connection->uv.tcp, connection->fd);
    if (status == 0)
        uv_tcp_nodelay(&connection->uv.tcp, 1);
    return status;
}

void connection_begin(struct connection *connection)
{
    struct serve *serve = connection->serve;
    link_in(connection);
    metrics_bump(&serve->metrics->connections_accepted, 1);
    metrics_bump(&serve->metrics->connections_open, 1);
    int status = open_socket(connection);
    connection->uv.handle.data = connection;
    if (status != 0) { // UNTESTED: the kernel gives no socket that libuv does not take
        close(connection->fd);
        connection_close(connection);
        return;
    }
    connection_deadline(connection);
    uv_read_start(&connection->uv.stream, give_space, got_bytes);
}

static void spin(uv_idle_t *idle)
{
    (void)idle;
}

void connection_wake(struct connection *connection)
{
    connection_mark_ready(connection);
    uv_idle_start(&connection->serve->spin, spin);
}

// Of one alone some is no harm; of all together it is memory. So where the loop's connections owe
// much, each may owe what it has and no more.
bool connection_owes(const struct connection *connection)
{
    size_t most = serve_call_owes(connection->serve, false) ? 0 : KR_CONNECTION_WRITING_BYTES;
    return connection->writing_bytes > most;
}

bool connection_hold(struct connection *connection)
{
    if (!connection_owes(connection))
        return false;
    connection->is_held = true;
    uv_read_stop(&connection->uv.stream);
    return true;
}

void connection_go_on(struct connection *connection)
{
    if (!connection_hold(connection))
        connection_mark_ready(connection);
}

void connection_resume(struct connection *connection)
{
    if (connection_hold(connection))
        return;
    connection->is_held = false;
    if (!connection->has_ended)
        uv_read_start(&connection->uv.stream, give_space, got_bytes);
    connection_wake(connection);
}

// --- lingering -----------------------------------------------------------------------------------

static void give_dropped(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct connection *connection = handle->data;
    struct serve *serve = connection->serve;
    *out = uv_buf_init((char *)serve->dropped, sizeof(serve->dropped));
}

static void drop_bytes(uv_stream_t *stream, ssize_t size, const uv_buf_t *space)
{
    struct connection *connection = stream->data;
    mem_zero(space->base, size > 0 ? (size_t)size : 0);
    connection->dropped_bytes += size > 0 ? (size_t)size : 0;
    if (size < 0 || connection->dropped_bytes > KR_LINGER_BYTES)
        connection_close(connection);
}

static void shut(uv_shutdown_t *request, int status)
{
    struct connection *connection = request->handle->data;
    if (status < 0)
        connection_close(connection);
}

// Closed with bytes unread, the kernel would send a reset, and a client that is still sending might
// lose the answer to it. So our side is closed first, and what still comes is read and dropped
// until the peer closes (RFC 9112 §9.6).
static void end_writing(struct connection *connection)
{
    connection_tls_goodbye(connection);
    if (connection->has_ended || connection->state == KR_CONNECTION_CLOSING) {
        connection_close(connection);
        return;
    }
    connection->state = KR_CONNECTION_LINGERING;
    connection->deadline_ms = uv_now(&connection->serve->loop) + KR_LINGER_MS;
    uv_read_stop(&connection->uv.stream);
    if (uv_shutdown(&connection->shutdown, &connection->uv.stream, shut) != 0 ||
        uv_read_start(&connection->uv.stream, give_dropped, drop_bytes) != 0)
        connection_close(connection);
}

// --- writing -------------------------------------------------------------------------------------

struct pending_write {
    uv_write_t request;
    struct connection *connection;
    size_t size;
    uint8_t bytes[];
};

static void count_writing(struct connection *connection, size_t more)
{
    connection->writing_bytes += more;
    connection->serve->writing_bytes += more;
}

static void wrote(uv_write_t *request, int status)
{
    struct pending_write *pending = request->data;
    struct connection *connection = pending->connection;
    count_writing(connection, -pending->size);
    mem_zero(pending->bytes, pending->size);
    mem_free(pending);
    if (status < 0)
        connection_close(connection);
    else if (connection->writing_bytes == 0 && connection->state == KR_CONNECTION_DRAINING)
        end_writing(connection);
    else if (connection->state == KR_CONNECTION_OPEN &&
             (connection->writing_bytes == 0 || has_progressed(connection)))
        connection_deadline(connection); // not for crumbs: that would never end
    bool has_more = connection->http2 != NULL && http2_has_output(connection->http2);
    if (connection->state == KR_CONNECTION_OPEN && (connection->is_held || has_more))
        connection_resume(connection);
}

static void write_later(struct connection *connection, const uint8_t *bytes, size_t size)
{
    struct pending_write *pending = mem_alloc(sizeof(*pending) + size);
    pending->connection = connection;
    pending->size = size;
    pending->request.data = pending;
    memcpy(pending->bytes, bytes, size);
    count_writing(connection, size);
    if (connection->http2 == NULL)
        connection->left_bytes += size; // of HTTP/2 it was counted while it was unsent
    uv_buf_t part = uv_buf_init((char *)pending->bytes, (unsigned)size);
    int status = uv_write(&pending->request, &connection->uv.stream, &part, 1, wrote);
    if (status < 0) {
        count_writing(connection, -size);
        mem_zero(pending->bytes, size);
        mem_free(pending);
        connection_close(connection);
    }
}

// What the kernel takes at once; -1 when the connection is broken. send(2) and not libuv's
// write(2), which passes through what the kernel does for files.
static ssize_t send_now(const struct connection *connection, struct bytes wire)
{
    ssize_t sent = send(connection->fd, wire.data, wire.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    bool is_full = sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS);
    return is_full ? 0 : sent;
}

bool connection_send(struct connection *connection, struct bytes wire)
{
    metrics_bump(&connection->serve->metrics->bytes_out, wire.size);
    ssize_t taken = 0;
    if (connection->writing_bytes == 0)
        taken = send_now(connection, wire);
    if (taken < 0)
        connection_close(connection);
    else if ((size_t)taken < wire.size)
        write_later(connection, wire.data + taken, wire.size - (size_t)taken);
    return connection->state != KR_CONNECTION_CLOSING;
}

// What was rendered has been copied, and what was sealed is sent or waits in its connection.
static void empty_buffers(struct serve *serve)
{
    buf_empty(&serve->out, KR_SERVE_KEPT_BYTES);
    buf_empty(&serve->body, KR_SERVE_KEPT_BYTES);
    buf_empty(&serve->sealed_out, KR_SERVE_KEPT_BYTES);
}

void connection_flush(struct connection *connection)
{
    struct serve *serve = connection->serve;
    struct buf *out = &serve->out;
    struct bytes wire = buf_bytes(out);
    bool has_failed = buf_result(out) != KR_ERR_OK;
    if (connection->state == KR_CONNECTION_CLOSING || has_failed || out->size == 0)
        goto done;
    if (connection->tls != NULL && !connection_tls_seal(connection, &wire))
        has_failed = true;
    else
        connection_send(connection, wire);
done:
    if (has_failed)
        connection_close(connection);
    mem_zero(out->data, out->size);
    empty_buffers(serve);
    if (connection->state == KR_CONNECTION_DRAINING && connection->writing_bytes == 0)
        end_writing(connection);
}
