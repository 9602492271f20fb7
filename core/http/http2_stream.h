// SPDX-License-Identifier: Apache-2.0
// One stream of an HTTP/2 connection (RFC 9113 §5.1): fields and content become a request, the
// answer waits until the peer takes it. For core/http/http2.c alone.
//
//   HEAD ──▶ BODY ──▶ WHOLE ──▶ LENT ──▶ ANSWERING ──▶ gone
//     └────────┴─ too large, not valid: WHOLE, with a refusal
//
// Streams are used again, with their memory, which is zeroed in between: it held keys. One thread.
#pragma once

#include "core/base/buf.h"
#include "core/base/mem.h"
#include "core/http/conn.h"

enum http2_stream_state {
    KR_HTTP2_HEAD,     // its fields are being received
    KR_HTTP2_BODY,     // its content
    KR_HTTP2_WHOLE,    // it waits to be taken
    KR_HTTP2_LENT,     // it is being answered
    KR_HTTP2_ANSWERING // the answer is being sent
};

struct http2_stream {
    int32_t id;
    enum http2_stream_state state;
    bool has_ended;                       // the peer sends no more for it
    bool is_given_up;                     // the peer takes no answer any more; while LENT
    uint8_t put_off;                      // it is not to be taken yet, of this kind; while WHOLE
    uint8_t recalled;                     // it was, and has a turn of this kind; while WHOLE
    struct http2_stream *previous, *next; // of its connection
    struct http2_stream *previous_whole, *next_whole; // of its connection's queue
    struct arena arena;                               // the texts of the request
    struct http_request request;
    struct bytes authority;
    uint64_t announced; // by Content-Length
    bool expects_continue;
    struct buf body;
    size_t body_limit;
    size_t head_room, body_room; // bytes of fields, of body that are set aside, or sure
    size_t reserved;             // in the pool
    enum kr_err err;             // of the refusal
    const char *reason;
    struct buf answer;  // its body, then its trailers
    size_t trailers_at; // where they begin
    size_t answered;    // bytes of the body that were taken
    // When the peer was last seen to move, 0: not looked at yet; and how far both were then.
    uint64_t since_ms, sent_then;
    size_t answered_then;
};

struct http2_streams; // those that may be used again, of a loop

struct http2_streams *http2_streams_new(size_t keep); // gives
void http2_streams_free(struct http2_streams **streams);
// Lends until http2_stream_return.
struct http2_stream *http2_stream_take(struct http2_streams *streams, int32_t id);
void http2_stream_return(struct http2_streams *streams, struct http2_stream *stream);
// Bytes of answers that are not sent, of all connections: more of them, and less.
void http2_streams_owe(struct http2_streams *streams, size_t bytes);
void http2_streams_pay(struct http2_streams *streams, size_t bytes);
size_t http2_streams_owed(const struct http2_streams *streams);

// Copies one field of the head, with lower-case name, as HPACK gave it. False: it is refused.
bool http2_stream_field(struct http2_stream *stream, struct bytes name, struct bytes value);
// Behind the last field. False: the request is refused.
bool http2_stream_end_head(struct http2_stream *stream);
// The first refusal counts.
void http2_stream_refuse(struct http2_stream *stream, enum kr_err err, const char *reason);
