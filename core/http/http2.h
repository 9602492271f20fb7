// SPDX-License-Identifier: Apache-2.0
// One HTTP/2 connection (RFC 9113), bytes in and requests out, answers in and bytes out. No socket.
//
// A request is lent until it is answered; many may be, and are answered in any order. Bounds:
// streams, the size of a header list, of a body and of what all hold together (the pool's), answers
// that the peer does not take, and work that it makes for nothing: streams given up or malformed,
// frames that carry nothing. Whoever makes more of that than it takes answers is sent away with
// ENHANCE_YOUR_CALM, behind the answers to what is whole. One thread.
#pragma once

#include "core/base/buf.h"
#include "core/http/conn.h"

enum {
    KR_HTTP2_STREAMS_MAX = 128,    // open at once
    KR_HTTP2_UNSENT_MAX = 1 << 18, // bytes of answers that are not taken, before no more is asked
    KR_HTTP2_CALM_MAX = 8000,      // patience with work for nothing
    KR_HTTP2_CALM_STREAM = 8,      // what a stream for nothing costs, and an answer earns,
    KR_HTTP2_CALM_FRAME = 1,       // and a frame costs,
    KR_HTTP2_CALM_LATE = 800,      // and a stream that was waited for in vain
};

#define KR_HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define KR_HTTP2_PREFACE_SIZE (sizeof(KR_HTTP2_PREFACE) - 1)

struct http2;         // opaque
struct http2_stream;  // opaque
struct http2_streams; // those that are used again, of a loop: http2_stream.h

// Keeps both. Our settings can be taken at once.
struct http2 *http2_new(const struct http_conn_options *options, struct http2_streams *streams);
// The peer is a proxy of ours, whose streams are those of many clients: what a stream brings about,
// given up, malformed, refused or waited for in vain, is not held against it.
void http2_trust(struct http2 *http2);
void http2_free(struct http2 **http2);

// Takes in what the socket brought; the preface comes first. body_limit is called meanwhile. From a
// peer that broke the rules or passed a bound nothing is taken any more.
void http2_receive(struct http2 *http2, struct bytes input);
// The next whole request, REQUEST, or REFUSED with the error that answers it; both lend *stream.
// The request is filled either way, as far as it came. NEED_MORE while nothing is whole, or while
// the peer does not take its answers.
enum http_next http2_next(struct http2 *http2, struct http_request *request,
                          struct http2_stream **stream, enum kr_err *err, const char **reason);
// Would it give one?
bool http2_has_request(const struct http2 *http2);
// Ends the loan of a request, which will be the next again once it is recalled. Kinds, which are
// the caller's and not 0, wait for themselves.
void http2_put_off(struct http2 *http2, struct http2_stream *stream, uint8_t kind);
void http2_recall(struct http2 *http2, uint8_t kind); // the first of it that was put off
// The peer takes no answer to a lent stream any more.
bool http2_is_given_up(const struct http2_stream *stream);
// Ends the loan: reply is a response as core/http/reply writes it, trailers are lines of further
// fields behind its body, or empty. Both are written into. For a stream that was given up, nothing
// is sent; what did not fit its buffer resets the stream.
void http2_answer(struct http2 *http2, struct http2_stream *stream, struct buf *reply,
                  struct buf *trailers);

// Appends what is to be sent now, until it is at least size bytes.
void http2_take(struct http2 *http2, struct buf *out, size_t size);
bool http2_has_output(const struct http2 *http2);
// No new streams; those that have begun are answered. The first call announces it, the second,
// a round trip later, does it (RFC 9113 §6.8), so that no request is lost on its way.
void http2_shutdown(struct http2 *http2);

// Ends the streams whose peer has kept them waiting for patience_ms, for the rest of a request or
// for room for an answer, and says how many; the connection, where one stops in the middle of its
// head, or where there are many. With patience 0, the time until now counts for none.
size_t http2_sweep(struct http2 *http2, uint64_t now_ms, uint64_t patience_ms);
// The preface is whole. Until then, and while there are no streams, the node's deadline runs.
bool http2_is_begun(const struct http2 *http2);
bool http2_has_streams(const struct http2 *http2);
// Bytes of answers that the peer has not made room for.
size_t http2_unsent(const struct http2 *http2);
// Requests that are lent.
size_t http2_lent(const struct http2 *http2);
// The peer was sent away.
bool http2_is_broken(const struct http2 *http2);
// Nothing will be read or written any more: close.
bool http2_is_over(const struct http2 *http2);
