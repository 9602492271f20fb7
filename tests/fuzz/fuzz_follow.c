// SPDX-License-Identifier: Apache-2.0
// Fuzzes the upstream session: whatever frames an upstream sends, the state here stays a log, or
// the link closes.
#include "tests/unit/replication/pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fake *up = fake_new(KR_HOLD_ALL);
    struct fake *down = fake_new(size % 2 ? KR_HOLD_ALL : KR_HOLD_VALIDATION);
    struct peer_frame frame;
    struct arena arena;
    size_t consumed;
    struct pair *pair = pair_new(up, down, "lower");
    arena_init(&arena);
    if (size % 16 > 0)
        pair_drain(pair, false); // Hello
    for (size_t at = 0; at < size && !pair->is_broken; at += consumed) {
        pair->now_ms += 100;
        arena_reset(&arena);
        if (codec_peer_read(bytes_of(data + at, size - at), &arena, &frame, &consumed,
                            &pair->fault) != KR_PEER_READ_FRAME)
            break;
        bool was_finishing = follow_state(pair->follow) == KR_FOLLOW_FINISHING;
        pair_fail(pair, follow_take(pair->follow, &frame, pair->now_ms, &pair->fault));
        assert(!was_finishing || follow_state(pair->follow) == KR_FOLLOW_FINISHING);
        if (!pair->is_broken)
            pair_fail(pair, follow_turn(pair->follow, pair->now_ms, &pair->fault));
        if (was_finishing)
            pair_finish_import(pair);
        pair_drain(pair, false);
    }
    assert(lease_until(&pair->lease) <= pair->now_ms + KR_LEASE_WINDOW_MS);
    arena_fini(&arena);
    pair_free(pair);
    fake_free(up);
    fake_free(down);
    return 0;
}
