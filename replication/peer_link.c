// SPDX-License-Identifier: Apache-2.0
// One link: name → connection → handshake → frames → closed.
//
// Happy path of a connecting one: resolved → connected → handshake → opened → frames both ways. An
// accepted one begins with the handshake. Ways it can fail: the name is unknown, nobody listens,
// TLS refuses (either end), a frame breaks the rules, silence, the owner's error, the other end
// closes. All end in `end`, once; `closed` comes when libuv has let go of the socket.
#include "replication/peer_link.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "proto/codec_peer.h"

enum {
    KR_PEER_LINK_READ_BYTES = 64 << 10,
    KR_PEER_LINK_IN_MAX = KR_PEER_HEAD_SIZE + KR_PEER_FRAME_MAX + KR_PEER_LINK_READ_BYTES,
    KR_PEER_LINK_OUT_MAX = 4 << 20,
};

// RESOLVING ──▶ CONNECTING ──▶ HANDSHAKE ──▶ OPEN ──▶ CLOSING ──▶ freed
//      └──────────────┴─────────────┴────────────────────▲
enum peer_link_state {
    KR_PEER_LINK_RESOLVING,
    KR_PEER_LINK_CONNECTING,
    KR_PEER_LINK_HANDSHAKE,
    KR_PEER_LINK_OPEN,
    KR_PEER_LINK_CLOSING
};

struct peer_link {
    struct peer_link_options options;
    enum peer_link_state state;
    uv_tcp_t socket;
    struct sockaddr_storage source; // of an outgoing connection; AF_UNSPEC: the system's choice
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    uv_write_t write;
    bool is_resolving, is_writing, is_socket_closed, is_pumping;
    struct tls *tls;
    struct tls_peer peer;
    uint64_t opening_until_ms, heard_ms;
    struct buf in;    // plaintext that is no whole frame yet
    struct buf plain; // frames being made
    struct buf out;   // ciphertext being sent
    struct arena arena;
    enum kr_err err;
    struct fault fault;
    struct peer_link_figures figures;
    char read_buffer[KR_PEER_LINK_READ_BYTES];
};

static void enter(struct peer_link *link, enum peer_link_state state)
{
    assert(link->state < state);
    link->state = state;
}

// --- the end -------------------------------------------------------------------------------------

static void free_when_let_go(struct peer_link *link)
{
    if (!link->is_socket_closed || link->is_resolving)
        return;
    link->options.events.closed(link->options.ctx, link->err, &link->fault);
    tls_free(&link->tls);
    buf_fini(&link->in);
    buf_fini(&link->plain);
    buf_fini(&link->out);
    arena_fini(&link->arena);
    mem_free(link);
}

static void on_closed(uv_handle_t *handle)
{
    struct peer_link *link = handle->data;
    link->is_socket_closed = true;
    free_when_let_go(link);
}

static void flush(struct peer_link *link);

static void end(struct peer_link *link, enum kr_err err, const struct fault *fault)
{
    if (link->state == KR_PEER_LINK_CLOSING)
        return;
    link->err = err;
    if (fault != NULL)
        link->fault = *fault;
    if (link->state >= KR_PEER_LINK_HANDSHAKE && !link->is_writing) {
        tls_shutdown(link->tls);
        flush(link); // a goodbye, if the socket takes it
    }
    enter(link, KR_PEER_LINK_CLOSING);
    if (link->is_resolving)
        uv_cancel((uv_req_t *)&link->resolve);
    uv_close((uv_handle_t *)&link->socket, on_closed);
}

static void end_uv(struct peer_link *link, int status, const char *what)
{
    struct fault fault;
    fault_set(&fault, KR_ERR_IO, "%s: %s", what, uv_strerror(status));
    end(link, KR_ERR_IO, &fault);
}

void peer_link_close(struct peer_link *link, enum kr_err err, const struct fault *fault)
{
    end(link, err, fault);
}

// --- sending -------------------------------------------------------------------------------------

static void on_written(uv_write_t *write, int status)
{
    struct peer_link *link = write->data;
    link->is_writing = false;
    buf_clear(&link->out);
    if (link->state == KR_PEER_LINK_CLOSING)
        return;
    if (status != 0)
        end_uv(link, status, "sending");
    else
        peer_link_pump(link, clock_boot_ms());
}

// Hands the socket what waits; what it does not take at once is sent when it has room.
static void flush(struct peer_link *link)
{
    if (link->is_writing || tls_take(link->tls, &link->out) == 0)
        return;
    link->figures.bytes_out += link->out.size;
    uv_buf_t buf = uv_buf_init((char *)link->out.data, (unsigned)link->out.size);
    int written = uv_try_write((uv_stream_t *)&link->socket, &buf, 1);
    if (written == (int)link->out.size) {
        buf_clear(&link->out);
        return;
    }
    if (written < 0 && written != UV_EAGAIN) {
        buf_clear(&link->out);
        return; // reading tells the same, with a reason
    }
    size_t done = written > 0 ? (size_t)written : 0;
    buf = uv_buf_init((char *)link->out.data + done, (unsigned)(link->out.size - done));
    link->write.data = link;
    link->is_writing = true;
    uv_write(&link->write, (uv_stream_t *)&link->socket, &buf, 1, on_written);
}

// One batch. False: nothing to send, or the link has ended.
static bool fill(struct peer_link *link, uint64_t now_ms)
{
    struct fault fault = {0};
    enum kr_err err = KR_ERR_OK;
    while (link->plain.size < KR_PEER_LINK_BATCH_BYTES && err == KR_ERR_OK) {
        err = link->options.events.next(link->options.ctx, now_ms, &link->plain, &fault);
        link->figures.frames_out += err == KR_ERR_OK;
    }
    bool has_some = link->plain.size > 0;
    enum kr_err sent = has_some ? tls_write(link->tls, buf_bytes(&link->plain)) : KR_ERR_OK;
    buf_clear(&link->plain);
    if (err == KR_ERR_OK || err == KR_ERR_NOT_FOUND)
        err = sent;
    if (err != KR_ERR_OK)
        end(link, err, &fault);
    return has_some && err == KR_ERR_OK;
}

void peer_link_pump(struct peer_link *link, uint64_t now_ms)
{
    if (link->is_pumping)
        return;
    link->is_pumping = true;
    while (link->state == KR_PEER_LINK_OPEN && !link->is_writing && fill(link, now_ms))
        flush(link);
    link->is_pumping = false;
}

// --- receiving -----------------------------------------------------------------------------------

static void consume(struct buf *buf, size_t size)
{
    if (size == 0)
        return;
    memmove(buf->data, buf->data + size, buf->size - size);
    buf->size -= size;
    mem_zero(buf->data + buf->size, size); // there are tokens in it, and values of keys
}

static enum kr_err take_frames(struct peer_link *link, uint64_t now_ms, struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    size_t at = 0;
    while (err == KR_ERR_OK && link->state == KR_PEER_LINK_OPEN) {
        struct peer_frame frame;
        size_t consumed = 0;
        arena_reset(&link->arena);
        enum peer_read read = codec_peer_read(bytes_of(link->in.data + at, link->in.size - at),
                                              &link->arena, &frame, &consumed, fault);
        if (read == KR_PEER_READ_MORE)
            break;
        if (read == KR_PEER_READ_BROKEN) {
            err = KR_ERR_INVALID;
            break;
        }
        at += consumed;
        link->figures.frames_in++;
        err = link->options.events.frame(link->options.ctx, &frame, now_ms, fault);
    }
    consume(&link->in, at);
    return err;
}

static void open_up(struct peer_link *link)
{
    enum kr_err err = tls_peer(link->tls, &link->peer);
    if (err != KR_ERR_OK) {
        end(link, KR_ERR_UNAUTHORIZED, NULL);
        return;
    }
    enter(link, KR_PEER_LINK_OPEN);
    link->options.events.opened(link->options.ctx);
}

static void take_plaintext(struct peer_link *link, uint64_t now_ms)
{
    struct fault fault = {0};
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && link->state == KR_PEER_LINK_OPEN &&
           tls_read(link->tls, &link->in) > 0)
        err = take_frames(link, now_ms, &fault);
    if (err != KR_ERR_OK)
        end(link, err, &fault);
}

static void step_tls(struct peer_link *link, uint64_t now_ms)
{
    flush(link);
    if (link->state == KR_PEER_LINK_HANDSHAKE && tls_state(link->tls) == KR_TLS_OPEN)
        open_up(link);
    take_plaintext(link, now_ms);
    if (tls_state(link->tls) == KR_TLS_FAILED)
        end(link, tls_fault(link->tls)->err, tls_fault(link->tls));
    else if (tls_state(link->tls) == KR_TLS_CLOSED)
        end(link, KR_ERR_OK, NULL);
    else
        peer_link_pump(link, now_ms);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct peer_link *link = stream->data;
    uint64_t now_ms = clock_boot_ms();
    if (size == 0 || link->state == KR_PEER_LINK_CLOSING)
        return;
    if (size < 0) {
        tls_receive_end(link->tls);
    } else {
        link->heard_ms = now_ms;
        link->figures.bytes_in += (uint64_t)size;
        enum kr_err err = tls_receive(link->tls, bytes_of(buf->base, (size_t)size));
        if (err != KR_ERR_OK)
            end(link, err, NULL);
    }
    if (link->state != KR_PEER_LINK_CLOSING)
        step_tls(link, now_ms);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct peer_link *link = handle->data;
    (void)suggested;
    *buf = uv_buf_init(link->read_buffer, sizeof(link->read_buffer));
}

// --- the beginning -------------------------------------------------------------------------------

static struct peer_link *make(const struct peer_link_options *options, bool is_server)
{
    struct peer_link *link = mem_zalloc(sizeof(*link));
    link->options = *options;
    link->tls = tls_new(options->context, is_server);
    link->heard_ms = clock_boot_ms();
    link->opening_until_ms = link->heard_ms + KR_PEER_LINK_OPENING_MS;
    buf_init(&link->in, KR_PEER_LINK_IN_MAX);
    buf_init(&link->plain, KR_PEER_LINK_OUT_MAX);
    buf_init(&link->out, KR_PEER_LINK_OUT_MAX * 2);
    arena_init(&link->arena);
    uv_tcp_init(options->loop, &link->socket);
    link->socket.data = link;
    return link;
}

static void start_handshake(struct peer_link *link)
{
    enter(link, KR_PEER_LINK_HANDSHAKE);
    uv_tcp_nodelay(&link->socket, 1);
    uv_read_start((uv_stream_t *)&link->socket, on_alloc, on_read);
    flush(link);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct peer_link *link = connect->data;
    if (link->state == KR_PEER_LINK_CLOSING)
        return;
    if (status != 0)
        end_uv(link, status, "connecting");
    else
        start_handshake(link);
}

static void start_connect(struct peer_link *link, const struct sockaddr *address)
{
    enter(link, KR_PEER_LINK_CONNECTING);
    link->connect.data = link;
    int status = link->source.ss_family == address->sa_family
                     ? uv_tcp_bind(&link->socket, (const struct sockaddr *)&link->source, 0)
                     : 0;
    if (status == 0)
        status = uv_tcp_connect(&link->connect, &link->socket, address, on_connected);
    if (status != 0)
        end_uv(link, status, "connecting");
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *found)
{
    struct peer_link *link = resolve->data;
    link->is_resolving = false;
    if (link->state == KR_PEER_LINK_CLOSING)
        free_when_let_go(link);
    else if (status != 0)
        end_uv(link, status, "resolving the name");
    else
        start_connect(link, found->ai_addr);
    uv_freeaddrinfo(found);
}

static int resolve(struct peer_link *link, const char *address)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const char *colon = strrchr(address, ':');
    char host[256];
    size_t size = colon != NULL ? (size_t)(colon - address) : 0;
    bool is_bracketed = size > 2 && address[0] == '[' && address[size - 1] == ']';
    if (size == 0 || size >= sizeof(host))
        return UV_EINVAL;
    snprintf(host, sizeof(host), "%.*s", (int)(is_bracketed ? size - 2 : size),
             address + is_bracketed);
    link->resolve.data = link;
    return uv_getaddrinfo(link->options.loop, &link->resolve, on_resolved, host, colon + 1, &hints);
}

struct peer_link *peer_link_connect(const struct peer_link_options *options, const char *address)
{
    struct peer_link *link = make(options, false);
    if (options->source != NULL)
        link->source = *options->source;
    int status = resolve(link, address);
    link->is_resolving = status == 0;
    if (status != 0)
        end_uv(link, status, "resolving the name");
    return link;
}

struct peer_link *peer_link_accept(const struct peer_link_options *options, int fd)
{
    struct peer_link *link = make(options, true);
    int status = uv_tcp_open(&link->socket, fd);
    if (status == 0) {
        start_handshake(link);
        return link;
    }
    close(fd); // UNTESTED: the kernel gives no socket that libuv does not take
    end_uv(link, status, "accepting");
    return link;
}

// --- time and figures ----------------------------------------------------------------------------

void peer_link_tick(struct peer_link *link, bool is_fair, uint64_t now_ms)
{
    struct fault fault;
    if (link->state == KR_PEER_LINK_CLOSING)
        return;
    if (link->state != KR_PEER_LINK_OPEN && now_ms >= link->opening_until_ms) {
        fault_set(&fault, KR_ERR_TIMEOUT, "no secured connection within %d ms",
                  KR_PEER_LINK_OPENING_MS);
        end(link, KR_ERR_TIMEOUT, &fault);
    } else if (link->state == KR_PEER_LINK_OPEN && is_fair &&
               now_ms >= link->heard_ms + KR_PEER_LINK_SILENCE_MS) {
        fault_set(&fault, KR_ERR_TIMEOUT, "silent for %d ms", KR_PEER_LINK_SILENCE_MS);
        end(link, KR_ERR_TIMEOUT, &fault);
    }
}

bool peer_link_is_open(const struct peer_link *link)
{
    return link->state == KR_PEER_LINK_OPEN;
}

const struct tls_peer *peer_link_peer(const struct peer_link *link)
{
    return &link->peer;
}

void peer_link_host(const struct peer_link *link, char out[KR_CIDR_TEXT_SIZE])
{
    struct sockaddr_storage name;
    struct sockaddr *address = (struct sockaddr *)&name;
    int size = sizeof(name);
    if (uv_tcp_getpeername(&link->socket, address, &size) != 0 ||
        uv_ip_name(address, out, KR_CIDR_TEXT_SIZE) != 0)
        out[0] = '\0';
}

void peer_link_figures(const struct peer_link *link, struct peer_link_figures *sum)
{
    sum->frames_in += link->figures.frames_in;
    sum->frames_out += link->figures.frames_out;
    sum->bytes_in += link->figures.bytes_in;
    sum->bytes_out += link->figures.bytes_out;
}
