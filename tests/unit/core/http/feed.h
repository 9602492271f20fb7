// SPDX-License-Identifier: Apache-2.0
// Feeds bytes to a connection in pieces and writes down what comes out, for tests and fuzzing.
#pragma once

#include <assert.h>

#include "core/base/buf.h"
#include "core/http/conn.h"

struct feed {
    struct http_pool *pool;
    struct http_conn_options options;
    struct http_conn *conn;
    struct buf transcript; // one line a request, then the refusal
    unsigned requests, continues;
    bool is_refused;
    enum kr_err err;
    const char *reason;
};

static uint64_t feed_no_limit(void *ctx, const struct http_request *head)
{
    (void)ctx, (void)head;
    return UINT64_MAX;
}

static inline void feed_init(struct feed *feed, size_t body_bytes)
{
    *feed = (struct feed){.pool = http_pool_new(1)};
    feed->options = (struct http_conn_options){
        .limits = {16384, body_bytes}, .pool = feed->pool, .body_limit = feed_no_limit};
    feed->conn = http_conn_new(&feed->options);
    buf_init(&feed->transcript, 64 << 20);
}

static inline void feed_fini(struct feed *feed)
{
    http_conn_free(&feed->conn);
    http_pool_free(&feed->pool);
    buf_fini(&feed->transcript);
}

static inline void feed_note(struct feed *feed, const struct http_request *request)
{
    struct buf *out = &feed->transcript;
    buf_add_text(out, http_method_text(request->method));
    struct bytes parts[] = {request->method_name, request->target, request->path, request->query};
    for (size_t i = 0; i < 4; i++) {
        buf_add_text(out, "|");
        buf_add_bytes(out, parts[i]);
    }
    for (size_t i = 0; i < request->field_count; i++) {
        buf_add_text(out, "|");
        buf_add_bytes(out, request->fields[i].name);
        buf_add_text(out, "=");
        buf_add_bytes(out, request->fields[i].value);
    }
    buf_printf(out, "|1.%u|%d|", request->minor_version, request->is_keep_alive);
    buf_add_bytes(out, request->body);
    buf_add_text(out, "\n");
}

// Takes every request that is there; all stay lent until the last was seen.
static inline void feed_drain(struct feed *feed)
{
    struct http_request request;
    enum http_next next = KR_HTTP_REQUEST;
    while (next == KR_HTTP_REQUEST || next == KR_HTTP_CONTINUE) {
        next = http_conn_next(feed->conn, &request, &feed->err, &feed->reason);
        feed->continues += next == KR_HTTP_CONTINUE;
        feed->requests += next == KR_HTTP_REQUEST;
        if (next == KR_HTTP_REQUEST)
            feed_note(feed, &request);
    }
    if (next == KR_HTTP_REFUSED && !feed->is_refused) {
        feed->is_refused = true;
        buf_printf(&feed->transcript, "refused %d %s\n", (int)feed->err, feed->reason);
    }
    http_conn_release(feed->conn);
}

static inline void feed_bytes(struct feed *feed, struct bytes input)
{
    while (input.size > 0) {
        size_t room = 0;
        uint8_t *space = http_conn_space(feed->conn, &room);
        size_t count = input.size < room ? input.size : room;
        memcpy(space, input.data, count);
        http_conn_received(feed->conn, count);
        feed_drain(feed);
        input = bytes_of(input.data + count, input.size - count);
    }
}
