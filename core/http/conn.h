// SPDX-License-Identifier: Apache-2.0
// One HTTP connection, bytes in and requests out: buffers input, parses, orders, bounds. No socket.
//
// Input memory comes from the loop's pool in blocks of 16 KiB and goes back as soon as the
// connection has nothing unparsed and nothing lent, so that an idle connection holds none. What is
// larger than a block moves to the heap as it comes, within the pool's bound. One thread.
#pragma once

#include "core/http/http1.h"
#include "core/http/pool.h"

// How many bytes of body this head may bring (0: none); called once a request, when its head is
// whole.
typedef uint64_t http_body_limit_fn(void *ctx, const struct http_request *head);

struct http_conn_options {
    struct http1_limits limits;
    struct http_pool *pool; // keeps
    http_body_limit_fn *body_limit;
    void *ctx;
};

enum http_next {
    KR_HTTP_NEED_MORE, // nothing whole yet
    KR_HTTP_REQUEST,   // *request is whole and lent
    KR_HTTP_CONTINUE, // send http_conn_continue_text behind the answers still owed, then call again
    KR_HTTP_REFUSED   // answer with the error, then close; no further request comes. BUSY: there is
                      // no room for more of it; TOO_LARGE with fields: they are its head, lent
};

struct http_conn; // opaque

struct http_conn *http_conn_new(const struct http_conn_options *options); // keeps options
void http_conn_free(struct http_conn **conn);

// Memory to read the next bytes into: lends *size bytes until http_conn_received; what comes behind
// a refusal, or behind a request that is not kept alive, is thrown away. *size is 0 only when the
// memory is full of what http_conn_next was not asked for since: call it until it needs more
// (libuv says UV_ENOBUFS then, which is no error of the connection).
uint8_t *http_conn_space(struct http_conn *conn, size_t *size);
void http_conn_received(struct http_conn *conn, size_t size); // 0: the read brought nothing

// The next request of what has been received. Several may be lent at once (pipelining): all stay
// valid until http_conn_release or the next http_conn_space. After REFUSED, *err and *reason say
// why; what was lent before stays lent.
enum http_next http_conn_next(struct http_conn *conn, struct http_request *request,
                              enum kr_err *err, const char **reason);
// What was received and not yielded; lends until the next call of another function.
struct bytes http_conn_held(const struct http_conn *conn);
// What was received is no HTTP for a reason that the caller knows: http_conn_next refuses it so.
// reason is kept.
void http_conn_refuse(struct http_conn *conn, enum kr_err err, const char *reason);
// All lent requests are answered: their bytes (zeroed, they held keys) and memory go back.
void http_conn_release(struct http_conn *conn);

// True when input of an unfinished request is held: the node's read deadline runs (slow loris).
bool http_conn_is_mid_request(const struct http_conn *conn);
// Bytes received and not yet yielded as a request; the node stops reading above its own bound.
size_t http_conn_pending(const struct http_conn *conn);

extern const char http_conn_continue_text[]; // "HTTP/1.1 100 Continue\r\n\r\n"
