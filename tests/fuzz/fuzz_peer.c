// SPDX-License-Identifier: Apache-2.0
// Fuzzes the peer link's frames: what is accepted can be sent again, and then stays as it is.
#include "proto/codec_peer.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum peer_read recode(struct bytes in, struct buf *out)
{
    struct arena arena;
    struct peer_frame frame;
    struct fault fault = {0};
    size_t consumed = 0;
    arena_init(&arena);
    enum peer_read read = codec_peer_read(in, &arena, &frame, &consumed, &fault);
    assert((read == KR_PEER_READ_BROKEN) == (fault.err != KR_ERR_OK));
    if (read == KR_PEER_READ_FRAME) {
        assert(consumed >= KR_PEER_HEAD_SIZE && consumed <= in.size);
        assert(codec_peer_add(out, &frame, &fault) == KR_ERR_OK);
    }
    arena_fini(&arena);
    return read;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf once, twice;
    buf_init(&once, KR_PEER_FRAME_MAX + 4);
    buf_init(&twice, KR_PEER_FRAME_MAX + 4);
    if (recode(bytes_of(data, size), &once) == KR_PEER_READ_FRAME) {
        assert(once.size <= size);
        assert(recode(buf_bytes(&once), &twice) == KR_PEER_READ_FRAME);
        assert(bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
    }
    buf_fini(&once);
    buf_fini(&twice);
    return 0;
}
