// SPDX-License-Identifier: Apache-2.0
// Frames that are changed on their way.
#include "tests/sim/sim_alter.h"

#include "core/base/hash.h"
#include "proto/codec_peer.h"

void sim_alter_rot_chunk(void)
{
    sim.rotten_chunks++;
}

// True: the frame is another one now.
static bool alter(struct sim_node *node, struct peer_frame *frame, struct arena *arena)
{
    if (frame->type == KR_PEER_LEASE && sim_is_broken(KR_SIM_RELAY_OWN_LEASE) &&
        !replica_is_leader(node->replica)) {
        frame->as.lease.remaining_ms = KR_LEASE_WINDOW_MS;
        return true;
    }
    if (frame->type == KR_PEER_ACK && sim_is_broken(KR_SIM_REPORTS_FORGET)) {
        frame->as.ack.count = 0;
        frame->as.ack.others_age_ms = INT64_MAX;
        frame->as.ack.covered_index = frame->as.ack.applied_index;
        return true;
    }
    if (frame->type == KR_PEER_DIGESTS && sim_is_broken(KR_SIM_DIGESTS_ALTERED)) {
        struct peer_digests *digests = &frame->as.digests.digests;
        struct peer_digest *items = arena_alloc(arena, digests->count * sizeof(*items));
        memcpy(items, digests->items, digests->count * sizeof(*items));
        items[0].sum.low ^= 1;
        digests->items = items;
        return true;
    }
    if (frame->type == KR_PEER_SNAPSHOT_CHUNK && sim.rotten_chunks > 0) {
        struct bytes rows = frame->as.snapshot_chunk.rows;
        char *copy = arena_text_of(arena, rows);
        sim.rotten_chunks--;
        copy[sim_below(rows.size)] ^= 1;
        frame->as.snapshot_chunk.rows = bytes_of(copy, rows.size);
        sim_say("a chunk is damaged on its way");
        return true;
    }
    return false;
}

void sim_alter_out(struct sim_node *node, struct buf *out, size_t before)
{
    struct peer_frame frame;
    struct fault fault = {0};
    struct arena arena;
    struct buf copy;
    size_t consumed = 0;
    if (sim.options.broken == KR_SIM_SOUND && sim.rotten_chunks == 0)
        return;
    arena_init(&arena);
    buf_init(&copy, 8 << 20);
    enum peer_read read = codec_peer_read(bytes_of(out->data + before, out->size - before), &arena,
                                          &frame, &consumed, &fault);
    if (read == KR_PEER_READ_FRAME && alter(node, &frame, &arena) &&
        codec_peer_add(&copy, &frame, &fault) == KR_ERR_OK) {
        out->size = before;
        buf_add_bytes(out, buf_bytes(&copy));
    }
    buf_fini(&copy);
    arena_fini(&arena);
}

// The feed compares the child's chain with its own log: here it always finds it equal.
static void agree(struct sim_node *node, struct peer_hello *hello)
{
    const struct sim_state *state = node->disk;
    uint64_t index = hello->applied_index;
    if (index == 0 || index > state->position.index || index <= state->base_position.index)
        return;
    const struct sim_log_row *row = &state->log[index - state->base_position.index - 1];
    hello->chain = row->chain;
    hello->epoch = row->epoch;
}

bool sim_alter_in(struct sim_node *node, struct peer_frame *frame)
{
    if (frame->type == KR_PEER_LEASE && sim_is_broken(KR_SIM_EARLY_LEASE))
        frame->as.lease.index = 0;
    if (frame->type == KR_PEER_HELLO && sim_is_broken(KR_SIM_CHAIN_UNCHECKED))
        agree(node, &frame->as.hello);
    return frame->type != KR_PEER_DIGESTS || !sim_is_broken(KR_SIM_DIGESTS_DROPPED);
}
