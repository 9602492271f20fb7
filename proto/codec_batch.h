// SPDX-License-Identifier: Apache-2.0
// Batches of log entries ↔ protobuf bytes (proto/batch.proto), as they lie in etcd.
//
// The decoder refuses (CORRUPT) what is no such message, lacks a field, or holds neither entries
// nor parts. What a batch lends points into the bytes it was read from. Any thread.
#pragma once

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "proto/codec.h"

#define KR_CODEC_BATCH_ENTRIES_MAX 65536
#define KR_CODEC_BATCH_PARTS_MAX 64
#define KR_CODEC_BATCH_HEAD_MAX 128 // bytes, without the entries
#define KR_CODEC_BATCH_ENTRY_MAX 8  // bytes more than the entry itself, for each

struct codec_batch {
    uint64_t first_index, epoch;
    uint8_t nonce[16];
    struct hash128 previous_chain, chain;
    uint32_t part_count;
    const struct bytes *entries;
    size_t count;
};

void codec_add_batch(struct buf *out, const struct codec_batch *batch);
// The list of entries in the arena, their bytes lent from in.
must_use enum kr_err codec_batch(struct bytes in, struct arena *arena, struct codec_batch *out);
