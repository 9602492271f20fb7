// SPDX-License-Identifier: Apache-2.0
// Fuzzes the feed: whatever frames a child sends, in whatever order, it is fed or the link closes.
#include "tests/unit/replication/pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fake *up = fake_new(KR_HOLD_ALL), *down = fake_new(KR_HOLD_VALIDATION);
    struct peer_frame frame;
    struct arena arena;
    size_t consumed;
    for (int i = 0; i < 9; i++)
        fake_commit_text(up, i % 3 ? "entry" : "-core");
    up->first = size % 2 ? 1 : 6;
    struct pair *pair = pair_new(up, down, "lower");
    pair->enlists = size % 3 > 0;
    arena_init(&arena);
    for (size_t at = 0; at < size && !pair->is_broken; at += consumed) {
        pair->now_ms += 100;
        arena_reset(&arena);
        if (codec_peer_read(bytes_of(data + at, size - at), &arena, &frame, &consumed,
                            &pair->fault) != KR_PEER_READ_FRAME)
            break;
        pair_fail(pair, feed_take(pair->feed, &frame, pair->now_ms, &pair->fault));
        if (!pair->is_broken)
            pair_fail(pair, feed_tick(pair->feed, pair->now_ms, &pair->fault));
        if (pair->now_ms / 100 % 3 == 0)
            pair_answer(pair); // its call may be over
        pair_drain(pair, true);
    }
    assert(up->position.index == 9 && pair->acked <= 9);
    arena_fini(&arena);
    pair_free(pair);
    fake_free(up);
    fake_free(down);
    return 0;
}
