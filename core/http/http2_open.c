// SPDX-License-Identifier: Apache-2.0
// A list of all, a queue of those that wait, and sums over them.
#include "core/http/http2_open.h"

#include <assert.h>

enum {
    KR_HTTP2_OPEN_SURE = 4,     // of a connection, for which nothing need be set aside
    KR_HTTP2_OPEN_COST = 12288, // set aside in the pool for each further one
    KR_HTTP2_OPEN_MAX = 256,    // with those that the peer has given up
    KR_HTTP2_ROOM = 4096,       // of fields and of content a stream is sure; more in these steps
    KR_HTTP2_HEAD_COST = 4,     // times its bytes: blocks that grow, and a Cookie joined of many
};

// --- all -----------------------------------------------------------------------------------------

void http2_open_init(struct http2_open *open, struct http2_streams *pool, struct http_pool *memory)
{
    *open = (struct http2_open){.pool = pool, .memory = memory};
}

void http2_open_fini(struct http2_open *open)
{
    while (open->streams != NULL)
        http2_open_drop(open, open->streams);
}

// Some a connection are sure: who fills the pool does not shut others out.
struct http2_stream *http2_open_add(struct http2_open *open, int32_t id)
{
    size_t cost = open->count < KR_HTTP2_OPEN_SURE ? 0 : KR_HTTP2_OPEN_COST;
    if (open->count == KR_HTTP2_OPEN_MAX || !http_pool_reserve(open->memory, cost))
        return NULL;
    struct http2_stream *stream = http2_stream_take(open->pool, id);
    stream->reserved = cost;
    stream->head_room = stream->body_room = KR_HTTP2_ROOM;
    stream->next = open->streams;
    if (open->streams != NULL)
        open->streams->previous = stream;
    open->streams = stream;
    open->count++;
    return stream;
}

static bool reserve(struct http2_open *open, struct http2_stream *stream, size_t *room, size_t size,
                    size_t cost)
{
    if (size <= *room)
        return true;
    size_t step = (size - *room + KR_HTTP2_ROOM - 1) / KR_HTTP2_ROOM * KR_HTTP2_ROOM;
    if (!http_pool_reserve(open->memory, step * cost))
        return false;
    stream->reserved += step * cost;
    *room += step;
    return true;
}

bool http2_open_reserve_head(struct http2_open *open, struct http2_stream *stream, size_t size)
{
    return reserve(open, stream, &stream->head_room, size, KR_HTTP2_HEAD_COST);
}

bool http2_open_reserve_body(struct http2_open *open, struct http2_stream *stream, size_t size)
{
    return reserve(open, stream, &stream->body_room, size, 1);
}

// Without a search: a proxy's clients may give up as many as they like.
static void dequeue(struct http2_open *open, const struct http2_stream *stream)
{
    struct http2_stream *previous = stream->previous_whole, *next = stream->next_whole;
    if (previous != NULL)
        previous->next_whole = next;
    else
        open->whole = next;
    if (next != NULL)
        next->previous_whole = previous;
    else
        open->last_whole = previous;
}

void http2_open_drop(struct http2_open *open, struct http2_stream *stream)
{
    if (stream->state == KR_HTTP2_WHOLE)
        dequeue(open, stream);
    if (stream->recalled != 0)
        http2_open_recall(open, stream->recalled); // its turn is the next one's
    open->lent -= stream->state == KR_HTTP2_LENT;
    if (stream->previous != NULL)
        stream->previous->next = stream->next;
    else
        open->streams = stream->next;
    if (stream->next != NULL)
        stream->next->previous = stream->previous;
    open->count--;
    size_t unsent = stream->trailers_at - stream->answered;
    open->unsent -= unsent;
    http2_streams_pay(open->pool, unsent);
    http_pool_unreserve(open->memory, stream->reserved);
    http2_stream_return(open->pool, stream);
}

// --- those that wait -----------------------------------------------------------------------------

static void add_last(struct http2_open *open, struct http2_stream *stream)
{
    stream->state = KR_HTTP2_WHOLE;
    stream->previous_whole = open->last_whole;
    stream->next_whole = NULL;
    if (open->last_whole != NULL)
        open->last_whole->next_whole = stream;
    else
        open->whole = stream;
    open->last_whole = stream;
}

void http2_open_enqueue(struct http2_open *open, struct http2_stream *stream)
{
    stream->request.body = buf_bytes(&stream->body);
    add_last(open, stream);
}

struct http2_stream *http2_open_first(const struct http2_open *open)
{
    struct http2_stream *first = open->whole;
    while (first != NULL && first->put_off != 0)
        first = first->next_whole;
    return first;
}

void http2_open_lend(struct http2_open *open, struct http2_stream *stream)
{
    dequeue(open, stream);
    stream->state = KR_HTTP2_LENT;
    stream->recalled = 0;
    open->lent++;
}

void http2_open_put_off(struct http2_open *open, struct http2_stream *stream, uint8_t kind)
{
    assert(stream->state == KR_HTTP2_LENT && kind != 0);
    stream->put_off = kind;
    open->lent--;
    add_last(open, stream);
}

void http2_open_recall(struct http2_open *open, uint8_t kind)
{
    struct http2_stream *at = open->whole;
    while (at != NULL && at->put_off != kind)
        at = at->next_whole;
    if (at == NULL)
        return;
    at->put_off = 0;
    at->recalled = kind;
}

// --- answers, and patience -----------------------------------------------------------------------

void http2_open_owe(struct http2_open *open, struct http2_stream *stream)
{
    stream->state = KR_HTTP2_ANSWERING;
    stream->since_ms = 0;
    open->lent--;
    open->unsent += stream->trailers_at;
    http2_streams_owe(open->pool, stream->trailers_at);
}

void http2_open_pay(struct http2_open *open, struct http2_stream *stream, size_t size)
{
    stream->answered += size;
    open->unsent -= size;
    open->sent += size;
    http2_streams_pay(open->pool, size);
}

bool http2_open_owes(const struct http2_open *open)
{
    for (const struct http2_stream *at = open->streams; at != NULL; at = at->next) {
        if (at->state >= KR_HTTP2_WHOLE && !at->is_given_up)
            return true;
    }
    return false;
}

static bool is_waiting_for_peer(const struct http2_stream *stream)
{
    return stream->state < KR_HTTP2_WHOLE ||
           (stream->state == KR_HTTP2_ANSWERING && stream->answered < stream->trailers_at);
}

// An answer behind a long one moves when that does, unless its own window is what it waits for. A
// request has no such right: it is whole in time, or not.
static bool has_moved(const struct http2_open *open, const struct http2_stream *stream,
                      bool has_window)
{
    return stream->answered >= stream->answered_then + KR_HTTP2_OPEN_STEP ||
           (has_window && stream->state == KR_HTTP2_ANSWERING &&
            open->sent >= stream->sent_then + KR_HTTP2_OPEN_STEP);
}

bool http2_open_is_late(struct http2_open *open, struct http2_stream *stream, bool has_window,
                        uint64_t now_ms, uint64_t patience_ms)
{
    if (!is_waiting_for_peer(stream))
        return false;
    if (stream->since_ms == 0 || patience_ms == 0 || has_moved(open, stream, has_window)) {
        stream->since_ms = now_ms;
        stream->answered_then = stream->answered;
        stream->sent_then = open->sent;
    }
    return patience_ms > 0 && now_ms - stream->since_ms >= patience_ms;
}
