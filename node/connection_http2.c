// SPDX-License-Identifier: Apache-2.0
// HTTP/2 on a connection: what the socket, or TLS, brought becomes streams, answers become frames.
//
// Happy path: preface or ALPN → received → (turn) → answered → settled: sent, as far as the peer
// takes it.
// Failures: a peer that breaks the rules or makes work for nothing (told so, closed), that does not
// end a request or take an answer (no further request; its stream is swept), that ends its side
// (what it asked is answered as far as its window reaches).
#include "node/serve_internal.h"

enum { KR_HTTP2_TAKE_BYTES = 65536, KR_HTTP2_TAKE_LITTLE_BYTES = 4096 };

// --- beginning -----------------------------------------------------------------------------------

void connection_http2_begin(struct connection *connection)
{
    struct serve *serve = connection->serve;
    connection->http2 = http2_new(&serve->http_options, serve->streams);
    if (connection->is_trusted)
        http2_trust(connection->http2);
    http_conn_free(&connection->http);
    metrics_bump(&serve->metrics->http2_connections, 1);
}

void connection_http2_recognize(struct connection *connection)
{
    uint8_t preface[KR_HTTP2_PREFACE_SIZE];
    struct serve *serve = connection->serve;
    struct bytes held = http_conn_held(connection->http);
    size_t size = held.size < sizeof(preface) ? held.size : sizeof(preface);
    if (size == 0)
        return;
    connection->is_fresh = memcmp(held.data, KR_HTTP2_PREFACE, size) == 0;
    if (!connection->is_fresh || size < sizeof(preface))
        return;
    connection->is_fresh = false;
    memcpy(serve->sealed_in, held.data, held.size);
    size = held.size;
    connection_http2_begin(connection);
    connection_http2_received(connection, serve->sealed_in, size);
}

// --- in ------------------------------------------------------------------------------------------

void connection_http2_received(struct connection *connection, uint8_t *plain, size_t size)
{
    if (size == 0)
        return;
    hot_online(); // how much a request may bring depends on its token
    http2_receive(connection->http2, bytes_of(plain, size));
    hot_offline();
    mem_zero(plain, size);
}

// --- out -----------------------------------------------------------------------------------------

void connection_http2_answer(struct job *job)
{
    struct connection *connection = job->connection;
    struct serve *serve = connection->serve;
    http2_answer(connection->http2, job->stream, &serve->out, &serve->trailers);
    if (job->held != KR_HELD_NOT) {
        connection->held[job->held]--;
        http2_recall(connection->http2, (uint8_t)job->held);
    }
    mem_zero(serve->out.data, serve->out.size);
    buf_empty(&serve->out, KR_SERVE_KEPT_BYTES);
    buf_clear(&serve->trailers);
}

static void send_frames(struct connection *connection)
{
    struct serve *serve = connection->serve;
    while (connection->state == KR_CONNECTION_OPEN && !connection_owes(connection)) {
        bool is_tight = serve_call_owes(serve, false);
        http2_take(connection->http2, &serve->out,
                   is_tight ? KR_HTTP2_TAKE_LITTLE_BYTES : KR_HTTP2_TAKE_BYTES);
        if (serve->out.size == 0)
            return;
        connection_flush(connection);
    }
}

// Everything that was asked is answered, and nothing more can come, or go: from who has ended his
// side, no window for what is left either.
static bool is_over(const struct connection *connection)
{
    const struct http2 *http2 = connection->http2;
    if (http2_is_over(http2))
        return true;
    return connection->has_ended && http2_lent(http2) == 0 && !http2_has_request(http2) &&
           !http2_has_output(http2);
}

static void drain(struct connection *connection)
{
    metrics_bump(&connection->serve->metrics->requests_refused, http2_is_broken(connection->http2));
    connection_abandon(connection);
    connection->state = KR_CONNECTION_DRAINING;
    uv_read_stop(&connection->uv.stream);
    connection_deadline(connection);
    connection_flush(connection);
}

void connection_http2_settle(struct connection *connection, bool has_answered)
{
    if (connection->state != KR_CONNECTION_OPEN)
        return;
    send_frames(connection);
    if (connection->state != KR_CONNECTION_OPEN)
        return;
    if (has_answered)
        connection_deadline(connection);
    else
        connection_progress(connection);
    if (is_over(connection))
        drain(connection);
    else if (!connection_hold(connection) && http2_has_request(connection->http2))
        connection_wake(connection); // it was kept back until enough of the answers was taken
}

// While the socket takes nothing, no stream can be at fault.
void connection_http2_sweep(struct connection *connection)
{
    struct serve *serve = connection->serve;
    bool is_held = connection_owes(connection);
    uint64_t patience_ms = is_held ? 0 : (uint64_t)serve->node->config->request_timeout_ms;
    size_t ended = http2_sweep(connection->http2, uv_now(&serve->loop), patience_ms);
    metrics_bump(&serve->metrics->requests_refused, ended);
    if (ended > 0)
        connection_http2_settle(connection, false);
}

void connection_http2_leave(struct connection *connection)
{
    http2_shutdown(connection->http2);
    connection_http2_settle(connection, false);
}
