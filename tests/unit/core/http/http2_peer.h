// SPDX-License-Identifier: Apache-2.0
// The other end of an HTTP/2 connection: writes frames by hand, right or wrong ones, and writes
// down what comes back, a line a frame. For tests and fuzzing.
#pragma once

#include <assert.h>
#include <nghttp2/nghttp2.h>

#include "core/base/buf.h"
#include "core/base/mem.h"
#include "core/http/http2.h"
#include "core/http/http2_stream.h"

enum { KR_PEER_STREAMS = 4 };

struct peer {
    struct http_pool *pool;
    struct http2_streams *streams;
    struct http_conn_options options;
    size_t body_limit;
    struct http2 *http2;
    nghttp2_hd_inflater *inflater;
    struct buf out;        // what is to be sent to it
    struct buf in;         // what came back and is no whole frame
    struct buf transcript; // of what came back
};

enum peer_frame {
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_PRIORITY,
    FRAME_RST_STREAM,
    FRAME_SETTINGS,
    FRAME_PUSH_PROMISE,
    FRAME_PING,
    FRAME_GOAWAY,
    FRAME_WINDOW_UPDATE,
    FRAME_CONTINUATION
};

enum { FLAG_NONE = 0, FLAG_END_STREAM = 1, FLAG_ACK = 1, FLAG_END_HEADERS = 4, FLAG_PADDED = 8 };

static uint64_t peer_body_limit(void *ctx, const struct http_request *head)
{
    const struct peer *peer = ctx;
    (void)head;
    return peer->body_limit;
}

static inline void peer_init(struct peer *peer)
{
    *peer = (struct peer){.pool = http_pool_new(1), .body_limit = 65536};
    peer->streams = http2_streams_new(KR_PEER_STREAMS);
    peer->options = (struct http_conn_options){
        .limits = {16384, 1 << 20}, .pool = peer->pool, .body_limit = peer_body_limit, .ctx = peer};
    peer->http2 = http2_new(&peer->options, peer->streams);
    nghttp2_hd_inflate_new(&peer->inflater);
    buf_init(&peer->out, 64 << 20);
    buf_init(&peer->in, 64 << 20);
    buf_init(&peer->transcript, 64 << 20);
}

static inline void peer_fini(struct peer *peer)
{
    http2_free(&peer->http2);
    http2_streams_free(&peer->streams);
    http_pool_free(&peer->pool); // asserts that nothing is set aside any more
    nghttp2_hd_inflate_del(peer->inflater);
    buf_fini(&peer->out);
    buf_fini(&peer->in);
    buf_fini(&peer->transcript);
}

// --- to it ---------------------------------------------------------------------------------------

static inline void peer_frame(struct peer *peer, enum peer_frame type, unsigned flags, uint32_t id,
                              struct bytes payload)
{
    struct buf *out = &peer->out;
    buf_add_u8(out, (uint8_t)(payload.size >> 16));
    buf_add_u8(out, (uint8_t)(payload.size >> 8));
    buf_add_u8(out, (uint8_t)payload.size);
    buf_add_u8(out, (uint8_t)type);
    buf_add_u8(out, (uint8_t)flags);
    buf_add_u32(out, id);
    buf_add_bytes(out, payload);
}

// One field, literal and without index (RFC 7541 §6.2.2); text shorter than 127 bytes each.
static inline void peer_field(struct buf *block, const char *name, const char *value)
{
    buf_add_u8(block, 0);
    buf_add_u8(block, (uint8_t)strlen(name));
    buf_add_text(block, name);
    buf_add_u8(block, (uint8_t)strlen(value));
    buf_add_text(block, value);
}

// fields: name, value, …, NULL.
static inline void peer_headers(struct peer *peer, unsigned flags, uint32_t id,
                                const char *const *fields)
{
    uint8_t memory[16384];
    struct buf block;
    buf_init_fixed(&block, memory, sizeof(memory));
    for (size_t i = 0; fields[i] != NULL; i += 2)
        peer_field(&block, fields[i], fields[i + 1]);
    assert(buf_result(&block) == KR_ERR_OK);
    peer_frame(peer, FRAME_HEADERS, flags, id, buf_bytes(&block));
}

#define PEER_HEADERS(peer, flags, id, ...)                                                         \
    peer_headers((peer), (flags), (id), (const char *const[]){__VA_ARGS__, NULL})
#define PEER_GET ":method", "GET", ":scheme", "http", ":path", "/a?b", ":authority", "h"
#define PEER_POST ":method", "POST", ":scheme", "http", ":path", "/p", ":authority", "h"

static inline void peer_u32(struct peer *peer, enum peer_frame type, uint32_t id, uint32_t value)
{
    const uint8_t payload[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16),
                                (uint8_t)(value >> 8), (uint8_t)value};
    peer_frame(peer, type, FLAG_NONE, id, bytes_of(payload, sizeof(payload)));
}

static inline void peer_send(struct peer *peer)
{
    http2_receive(peer->http2, buf_bytes(&peer->out));
    buf_clear(&peer->out);
}

// The preface and settings of nothing, and what comes back is forgotten.
static inline void peer_read(struct peer *peer);
static inline void peer_greet(struct peer *peer)
{
    buf_add_text(&peer->out, KR_HTTP2_PREFACE);
    peer_frame(peer, FRAME_SETTINGS, FLAG_NONE, 0, (struct bytes){0});
    peer_frame(peer, FRAME_SETTINGS, FLAG_ACK, 0, (struct bytes){0});
    peer_send(peer);
    peer_read(peer);
    buf_clear(&peer->transcript);
}

// --- from it -------------------------------------------------------------------------------------

static inline uint32_t peer_number(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void peer_note_fields(struct peer *peer, struct bytes block)
{
    nghttp2_nv field;
    int flags = 0;
    while (block.size > 0 || (flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
        ssize_t size =
            nghttp2_hd_inflate_hd2(peer->inflater, &field, &flags, block.data, block.size, 1);
        assert(size >= 0);
        block = bytes_of(block.data + size, block.size - (size_t)size);
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0)
            buf_printf(&peer->transcript, " %.*s=%.*s", (int)field.namelen, field.name,
                       (int)field.valuelen, field.value);
        if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0)
            break;
    }
    nghttp2_hd_inflate_end_headers(peer->inflater);
}

static inline void peer_note_payload(struct peer *peer, const uint8_t *frame, struct bytes payload)
{
    struct buf *out = &peer->transcript;
    switch (frame[3]) {
    case FRAME_DATA:
        buf_add_text(out, " ");
        buf_add_bytes(out, payload);
        return;
    case FRAME_HEADERS:
        peer_note_fields(peer, payload);
        return;
    case FRAME_RST_STREAM:
    case FRAME_WINDOW_UPDATE:
        buf_printf(out, " %u", peer_number(payload.data));
        return;
    case FRAME_GOAWAY:
        buf_printf(out, " %u %u", peer_number(payload.data), peer_number(payload.data + 4));
        return;
    default:
        return;
    }
}

// "HEADERS 1 :status=200 …;DATA 1 text.;": a "." marks END_STREAM, an "!" ACK.
static inline void peer_note(struct peer *peer, const uint8_t *frame, struct bytes payload)
{
    static const char *const names[] = {"DATA", "HEADERS", "PRIORITY", "RST_STREAM",   "SETTINGS",
                                        "PUSH", "PING",    "GOAWAY",   "WINDOW_UPDATE"};
    assert(frame[3] < sizeof(names) / sizeof(names[0]));
    buf_printf(&peer->transcript, "%s %u", names[frame[3]], peer_number(frame + 5));
    peer_note_payload(peer, frame, payload);
    bool is_last = frame[3] <= FRAME_HEADERS && (frame[4] & FLAG_END_STREAM) != 0;
    bool is_ack = frame[3] > FRAME_HEADERS && (frame[4] & FLAG_ACK) != 0;
    buf_add_text(&peer->transcript, is_last ? ".;" : is_ack ? "!;" : ";");
}

static inline void peer_read(struct peer *peer)
{
    size_t at = 0;
    http2_take(peer->http2, &peer->in, SIZE_MAX);
    while (peer->in.size - at >= 9) {
        const uint8_t *frame = peer->in.data + at;
        size_t size = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
        assert(peer->in.size - at - 9 >= size); // whole frames are taken
        peer_note(peer, frame, bytes_of(frame + 9, size));
        at += 9 + size;
    }
    assert(at == peer->in.size);
    buf_clear(&peer->in);
}

// What came back since the last call; lent until the next frame is read.
static inline const char *peer_said(struct peer *peer)
{
    peer_read(peer);
    buf_add_u8(&peer->transcript, 0);
    peer->transcript.size = 0; // the text stays where it is
    return (const char *)peer->transcript.data;
}

// --- requests and answers
// -------------------------------------------------------------------------

struct peer_lent {
    enum http_next next;
    struct http_request request;
    struct http2_stream *stream;
    enum kr_err err;
    const char *reason;
};

static inline struct peer_lent peer_take(struct peer *peer)
{
    struct peer_lent lent = {.err = KR_ERR_OK};
    lent.next = http2_next(peer->http2, &lent.request, &lent.stream, &lent.err, &lent.reason);
    return lent;
}

static inline void peer_answer_with(struct peer *peer, struct http2_stream *stream,
                                    const char *reply, const char *trailers)
{
    struct buf out, behind;
    buf_init(&out, 1 << 26);
    buf_init(&behind, 1 << 20);
    buf_add_text(&out, reply);
    buf_add_text(&behind, trailers);
    http2_answer(peer->http2, stream, &out, &behind);
    buf_fini(&out);
    buf_fini(&behind);
}

#define PEER_OK "HTTP/1.1 200 OK\r\nX-A:  b \r\nConnection: close\r\n\r\n"

static inline void peer_answer(struct peer *peer, struct http2_stream *stream)
{
    peer_answer_with(peer, stream, PEER_OK "ok", "");
}

static inline void peer_get(struct peer *peer, uint32_t id)
{
    PEER_HEADERS(peer, FLAG_END_HEADERS | FLAG_END_STREAM, id, PEER_GET);
}
