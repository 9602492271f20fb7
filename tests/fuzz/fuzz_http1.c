// SPDX-License-Identifier: Apache-2.0
// Fuzzes the HTTP/1.1 connection: input in arbitrary pieces must yield exactly what it yields
// whole. links: kr_http
#include "tests/unit/core/http/feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The first byte seeds the sizes of the pieces.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct feed whole, pieces;
    struct bytes input = bytes_of(data + 1, size - 1);
    uint32_t random = data[0];
    feed_init(&whole, 1 << 16);
    feed_init(&pieces, 1 << 16);
    feed_bytes(&whole, input);
    for (size_t at = 0; at < input.size;) {
        random = random * 1664525 + 1013904223;
        size_t count = 1 + (random >> 16) % (data[0] % 2 == 0 ? 4 : 64);
        if (count > input.size - at)
            count = input.size - at;
        feed_bytes(&pieces, bytes_of(input.data + at, count));
        at += count;
    }
    assert(bytes_equal(buf_bytes(&whole.transcript), buf_bytes(&pieces.transcript)));
    assert(http_conn_pending(whole.conn) == 0 || http_conn_is_mid_request(whole.conn));
    assert(http_pool_lent(whole.pool) <= 1);
    feed_fini(&whole);
    feed_fini(&pieces);
    return 0;
}
