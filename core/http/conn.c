// SPDX-License-Identifier: Apache-2.0
// Buffers a connection's input and cuts requests out of it.
//
//   data: | lent requests | unfinished request, or more whole ones |  free  |
//         0               begin                                    size     capacity
//
// What was lent is wiped when it is released; what is unfinished moves to the front before the next
// read. Bytes at or behind size never hold input.
#include "core/http/conn.h"

#include <assert.h>

#include "core/base/mem.h"

const char http_conn_continue_text[] = "HTTP/1.1 100 Continue\r\n\r\n";

struct http_conn {
    const struct http_conn_options *options;
    uint8_t *data; // NULL, a block of the pool, or heap when it is larger than a block
    size_t capacity, size, begin;
    size_t wiped;        // bytes at the front that were lent and released
    struct http1 parser; // of what starts at begin
    size_t body_bytes;   // that request's limit, once its head is whole
    bool was_continued;  // that request was told to send its body
    bool needs_more;     // nothing has come since http_conn_next said so
    bool is_ended;       // the last request was yielded or refused
    enum kr_err err;     // of the refusal
    const char *reason;
};

struct http_conn *http_conn_new(const struct http_conn_options *options)
{
    struct http_conn *conn = mem_zalloc(sizeof(*conn));
    conn->options = options;
    http1_init(&conn->parser);
    return conn;
}

// --- memory --------------------------------------------------------------------------------------

static size_t reserved(const struct http_conn *conn)
{
    return conn->capacity > KR_HTTP_BLOCK_BYTES ? conn->capacity : 0;
}

// What was reserved for it is the caller's.
static void drop_data(struct http_conn *conn)
{
    if (conn->data == NULL)
        return;
    mem_zero(conn->data, conn->size);
    if (conn->capacity == KR_HTTP_BLOCK_BYTES)
        http_pool_return(conn->options->pool, conn->data);
    else
        mem_free(conn->data);
    conn->data = NULL;
    conn->capacity = conn->size = conn->begin = conn->wiped = 0;
}

static void give_back(struct http_conn *conn)
{
    size_t size = reserved(conn);
    drop_data(conn);
    http_pool_unreserve(conn->options->pool, size);
}

// Into other memory of this capacity, from the front. What is reserved is the caller's.
static void move_to(struct http_conn *conn, size_t capacity)
{
    bool is_block = capacity == KR_HTTP_BLOCK_BYTES;
    uint8_t *data = is_block ? http_pool_take(conn->options->pool) : mem_alloc(capacity);
    size_t held = conn->size - conn->begin;
    if (held > 0)
        memcpy(data, conn->data + conn->begin, held);
    drop_data(conn);
    conn->data = data;
    conn->capacity = capacity;
    conn->size = held;
}

// Moves the bytes from `from` on down to `to` and wipes what they leave.
static void close_gap(struct http_conn *conn, size_t to, size_t from)
{
    size_t gap = from - to;
    if (gap == 0)
        return;
    memmove(conn->data + to, conn->data + from, conn->size - from);
    conn->size -= gap;
    mem_zero(conn->data + conn->size, gap);
}

// Nothing lent stays; memory that is no longer needed goes.
static void drop_lent(struct http_conn *conn)
{
    size_t held = conn->size - conn->begin;
    if (held == 0) {
        give_back(conn);
    } else if (conn->capacity > KR_HTTP_BLOCK_BYTES && conn->begin > 0 &&
               held <= KR_HTTP_BLOCK_BYTES / 2) {
        size_t size = reserved(conn);
        move_to(conn, KR_HTTP_BLOCK_BYTES);
        http_pool_unreserve(conn->options->pool, size);
    } else {
        close_gap(conn, 0, conn->begin);
        conn->begin = conn->wiped = 0;
    }
}

static void refuse(struct http_conn *conn, enum kr_err err)
{
    conn->err = err;
    conn->is_ended = true;
    http1_init(&conn->parser);
}

// For one request that fills all there is. Doubles, so that memory follows what was received and
// not what was announced: a head that promises a large body keeps nobody else's from coming. The
// ceiling holds the largest request and a block more, where its chunks' framing passes through, so
// that nothing that is still read fills it. What there is no room for is refused and dropped. The
// memory before goes with the move, so that only the difference needs room: of one connection a
// loop, while it is copied, both are there.
static void grow(struct http_conn *conn)
{
    size_t ceiling =
        conn->options->limits.head_bytes + conn->options->limits.body_bytes + KR_HTTP_BLOCK_BYTES;
    size_t capacity = conn->capacity * 2 < ceiling ? conn->capacity * 2 : ceiling;
    if (capacity > conn->capacity &&
        http_pool_reserve(conn->options->pool, capacity - reserved(conn))) {
        move_to(conn, capacity);
        return;
    }
    conn->reason = "too many large requests are being received; try again";
    refuse(conn, KR_ERR_BUSY);
    give_back(conn);
}

void http_conn_free(struct http_conn **conn)
{
    if (*conn == NULL)
        return;
    give_back(*conn);
    mem_free(*conn);
    *conn = NULL;
}

uint8_t *http_conn_space(struct http_conn *conn, size_t *size)
{
    if (conn->is_ended)
        conn->begin = conn->size;
    drop_lent(conn);
    if (conn->parser.state == KR_HTTP1_CHUNK) {
        close_gap(conn, conn->parser.body_end, conn->parser.scanned);
        conn->parser.scanned = conn->parser.body_end;
    }
    if (conn->needs_more && conn->data != NULL && conn->size == conn->capacity)
        grow(conn);
    if (conn->data == NULL)
        move_to(conn, KR_HTTP_BLOCK_BYTES);
    *size = conn->capacity - conn->size;
    return conn->data + conn->size;
}

void http_conn_received(struct http_conn *conn, size_t size)
{
    assert(size <= conn->capacity - conn->size);
    conn->size += size;
    conn->needs_more &= size == 0;
    if (conn->is_ended)
        conn->begin = conn->size;
    if (conn->begin == conn->size)
        give_back(conn);
}

// Moves nothing: many small requests may be released one by one with many more behind them.
void http_conn_release(struct http_conn *conn)
{
    if (conn->is_ended)
        conn->begin = conn->size;
    if (conn->begin == conn->size) {
        give_back(conn);
        return;
    }
    mem_zero(conn->data + conn->wiped, conn->begin - conn->wiped);
    conn->wiped = conn->begin;
}

// --- requests ------------------------------------------------------------------------------------

// Reads the request at begin as far as it goes; narrows the body's limit once the head is whole.
static enum kr_err read_request(struct http_conn *conn, struct http_request *request, size_t *used)
{
    const struct http_conn_options *options = conn->options;
    struct http1_limits limits = options->limits;
    uint8_t *input = conn->data + conn->begin;
    size_t held = conn->size - conn->begin;
    bool is_head_done = false;
    if (conn->parser.state == KR_HTTP1_HEAD) {
        enum kr_err err = http1_parse(&conn->parser, &limits, input, held, request, &is_head_done,
                                      used, &conn->reason);
        if (err != KR_ERR_OK || !is_head_done || conn->parser.state == KR_HTTP1_DONE)
            return err;
        uint64_t narrow = options->body_limit(options->ctx, request);
        conn->body_bytes = narrow < limits.body_bytes ? (size_t)narrow : limits.body_bytes;
    }
    limits.body_bytes = conn->body_bytes;
    return http1_parse(&conn->parser, &limits, input, held, request, &is_head_done, used,
                       &conn->reason);
}

static bool must_continue(const struct http_conn *conn)
{
    const struct http1 *parser = &conn->parser;
    return (parser->state == KR_HTTP1_BODY || parser->state == KR_HTTP1_CHUNK) &&
           parser->expects_continue && !conn->was_continued &&
           conn->size - conn->begin == parser->head_end;
}

static void yield(struct http_conn *conn, const struct http_request *request, size_t used)
{
    conn->begin += used;
    conn->was_continued = false;
    // What follows a request that closes must not be read as one (RFC 9112 §9.6).
    conn->is_ended = !request->is_keep_alive;
    http1_init(&conn->parser);
}

enum http_next http_conn_next(struct http_conn *conn, struct http_request *request,
                              enum kr_err *err, const char **reason)
{
    size_t used = 0;
    enum http_next next = KR_HTTP_NEED_MORE;
    request->field_count = 0; // what an earlier call lent of it may have moved since
    if (!conn->is_ended && conn->size > conn->begin) {
        conn->err = read_request(conn, request, &used);
        if (conn->err != KR_ERR_OK) {
            refuse(conn, conn->err);
        } else if (conn->parser.state == KR_HTTP1_DONE) {
            yield(conn, request, used);
            next = KR_HTTP_REQUEST;
        } else if (must_continue(conn)) {
            conn->was_continued = true;
            next = KR_HTTP_CONTINUE;
        }
    }
    if (conn->err != KR_ERR_OK)
        next = KR_HTTP_REFUSED;
    conn->needs_more = next == KR_HTTP_NEED_MORE;
    *err = conn->err;
    *reason = conn->reason;
    return next;
}

struct bytes http_conn_held(const struct http_conn *conn)
{
    return bytes_of(conn->data == NULL ? NULL : conn->data + conn->begin, http_conn_pending(conn));
}

void http_conn_refuse(struct http_conn *conn, enum kr_err err, const char *reason)
{
    conn->err = err;
    conn->reason = reason;
    conn->is_ended = true;
}

bool http_conn_is_mid_request(const struct http_conn *conn)
{
    return !conn->is_ended && conn->size > conn->begin;
}

size_t http_conn_pending(const struct http_conn *conn)
{
    return conn->is_ended ? 0 : conn->size - conn->begin;
}
