// SPDX-License-Identifier: Apache-2.0
// A connection's input in the binary protocol: received bytes, and the frames at their front.
//
// The bytes lie in a block of the loop's pool while there are any. What was taken is lent until it
// is released, and wiped then: it holds keys. Serving loop only.
#pragma once

#include "core/http/pool.h"
#include "proto/binary.h"

struct binary_conn;

struct binary_conn *binary_conn_new(struct http_pool *pool); // gives; keeps the pool
void binary_conn_free(struct binary_conn **conn);            // one that is NULL is allowed

// Where to receive to; *size is 0 while the block is full of whole frames. Lends until received.
uint8_t *binary_conn_space(struct binary_conn *conn, size_t *size);
void binary_conn_received(struct binary_conn *conn, size_t size);
// Is there a byte that no frame was taken for?
bool binary_conn_is_mid_request(const struct binary_conn *conn);

// The frame at the front, as binary_read_request; it stays there until it is taken.
enum binary_read binary_conn_next(struct binary_conn *conn, struct binary_request *out,
                                  size_t *size, enum binary_fault *fault);
void binary_conn_take(struct binary_conn *conn, size_t size);
// Nothing that was taken is needed any more.
void binary_conn_release(struct binary_conn *conn);
