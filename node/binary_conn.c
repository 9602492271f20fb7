// SPDX-License-Identifier: Apache-2.0
// A block of input: | taken, lent | whole frames, or the begin of one |  free  |
//                   0           begin                                size
#include "node/binary_conn.h"

#include <assert.h>

#include "core/base/mem.h"

_Static_assert(KR_BINARY_FRAME_MAX <= KR_HTTP_BLOCK_BYTES, "every frame fits a block");

struct binary_conn {
    struct http_pool *pool;
    uint8_t *data; // NULL while there are no bytes
    size_t begin, size;
};

struct binary_conn *binary_conn_new(struct http_pool *pool)
{
    struct binary_conn *conn = mem_zalloc(sizeof(*conn));
    conn->pool = pool;
    return conn;
}

static void give_back(struct binary_conn *conn)
{
    if (conn->data == NULL)
        return;
    mem_zero(conn->data, conn->size);
    http_pool_return(conn->pool, conn->data);
    conn->data = NULL;
    conn->begin = conn->size = 0;
}

void binary_conn_free(struct binary_conn **conn)
{
    if (*conn == NULL)
        return;
    give_back(*conn);
    mem_free(*conn);
    *conn = NULL;
}

uint8_t *binary_conn_space(struct binary_conn *conn, size_t *size)
{
    if (conn->data == NULL)
        conn->data = http_pool_take(conn->pool);
    *size = KR_HTTP_BLOCK_BYTES - conn->size;
    return conn->data + conn->size;
}

void binary_conn_received(struct binary_conn *conn, size_t size)
{
    assert(size <= KR_HTTP_BLOCK_BYTES - conn->size);
    conn->size += size;
    if (conn->size == 0)
        give_back(conn);
}

bool binary_conn_is_mid_request(const struct binary_conn *conn)
{
    return conn->begin < conn->size;
}

enum binary_read binary_conn_next(struct binary_conn *conn, struct binary_request *out,
                                  size_t *size, enum binary_fault *fault)
{
    return binary_read_request(bytes_of(conn->data + conn->begin, conn->size - conn->begin), out,
                               size, fault);
}

void binary_conn_take(struct binary_conn *conn, size_t size)
{
    assert(size <= conn->size - conn->begin);
    conn->begin += size;
}

// What is left moves to the front: less than a frame, or what a full round left behind.
void binary_conn_release(struct binary_conn *conn)
{
    size_t left = conn->size - conn->begin;
    if (left == 0) {
        give_back(conn);
        return;
    }
    if (conn->begin == 0)
        return;
    memmove(conn->data, conn->data + conn->begin, left);
    mem_zero(conn->data + left, conn->begin);
    conn->size = left;
    conn->begin = 0;
}
