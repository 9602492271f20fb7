// SPDX-License-Identifier: Apache-2.0
// Fuzzes an HTTP/2 connection: frames in arbitrary pieces, answers early, late and long; all memory
// must come back, and who was sent away is heard no more. links: kr_http nghttp2
#include "tests/unit/core/http/http2_peer.h"

enum { LENT_MAX = 8, LONG_BODY = 40000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct peer peer;
    struct http2_stream *lent[LENT_MAX]; // answered later
    size_t lent_count;
    uint32_t random;
};

static uint32_t draw(struct world *world, uint32_t below)
{
    world->random = world->random * 1664525 + 1013904223;
    return (world->random >> 16) % below;
}

static void answer(struct world *world, struct http2_stream *stream)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nX-Request-Id: a\r\nConnection: close\r\n\r\n";
    struct buf reply, trailers;
    buf_init(&reply, 1 << 20);
    buf_init(&trailers, 1024);
    buf_add_text(&reply, head);
    for (uint32_t left = draw(world, 4) == 0 ? draw(world, LONG_BODY) : 0; left > 0; left--)
        buf_add_u8(&reply, 'a');
    if (draw(world, 2) == 0)
        buf_add_text(&trailers, "grpc-status: 0\r\n");
    http2_answer(world->peer.http2, stream, &reply, &trailers);
    buf_fini(&reply);
    buf_fini(&trailers);
}

static void take_requests(struct world *world)
{
    struct http_request request;
    struct http2_stream *stream;
    enum kr_err err;
    const char *reason;
    while (http2_next(world->peer.http2, &request, &stream, &err, &reason) != KR_HTTP_NEED_MORE) {
        assert(!http2_is_broken(world->peer.http2));
        assert(request.field_count <= KR_HTTP_FIELDS_MAX);
        assert(err != KR_ERR_OK || request.body.size <= world->peer.body_limit);
        if (draw(world, 16) == 0)
            http2_put_off(world->peer.http2, stream, 1);
        else if (world->lent_count < LENT_MAX && draw(world, 4) == 0)
            world->lent[world->lent_count++] = stream;
        else
            answer(world, stream);
    }
    if (world->lent_count > 0 && draw(world, 2) == 0)
        answer(world, world->lent[--world->lent_count]);
}

// The first byte seeds the sizes of the pieces and the answers.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct world world = {.random = data[0]};
    peer_init(&world.peer);
    http_pool_bound(world.peer.pool, 1 << 18);
    http2_receive(world.peer.http2, bytes_of(KR_HTTP2_PREFACE, KR_HTTP2_PREFACE_SIZE));
    for (size_t at = 1; at < size;) {
        size_t count = 1 + draw(&world, data[0] % 2 == 0 ? 8 : 4096);
        if (count > size - at)
            count = size - at;
        http2_receive(world.peer.http2, bytes_of(data + at, count));
        take_requests(&world);
        http2_recall(world.peer.http2, 1);
        http2_sweep(world.peer.http2, at, draw(&world, 64));
        peer_read(&world.peer);
        at += count;
    }
    assert(!http2_is_broken(world.peer.http2) || http2_is_over(world.peer.http2));
    http2_shutdown(world.peer.http2);
    http2_shutdown(world.peer.http2);
    peer_read(&world.peer);
    peer_fini(&world.peer);
    return 0;
}
