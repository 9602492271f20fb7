// SPDX-License-Identifier: Apache-2.0
// Queued entries and the batches that are made of them: encoded once, placed without being copied.
//
// Part of the replica; control loop only.
#pragma once

#include "core/base/buf.h"
#include "replication/replica.h"

// One submitted entry. Its bytes begin with KR_CODEC_PLACE_MAX spare ones, so that the place can be
// written in front of the body.
struct batch_item {
    struct batch_item *next;
    replica_done_fn *done;
    void *ctx;
    struct buf bytes;
    size_t body_at;
    uint64_t index; // once it is placed
};

struct batch_queue {
    struct batch_item *first, **last;
    size_t size_bytes; // of its items
};

// Entries that go to the engine together. Owns its items.
struct batch {
    struct batch_queue items;
    struct store_row *rows;       // slices of the items
    struct apply_result *results; // zeroed
    size_t count, size_bytes;
    uint64_t epoch;
};

// Gives an item with the command's body (borrowed); its bytes have failed when it is too large.
struct batch_item *batch_item_new(const struct command *command, replica_done_fn *done, void *ctx);
void batch_item_free(struct batch_item *item);
size_t batch_item_size(const struct batch_item *item); // of the body, bytes

void batch_queue_init(struct batch_queue *queue);
void batch_queue_push(struct batch_queue *queue, struct batch_item *item); // takes
struct batch_item *batch_queue_pop(struct batch_queue *queue);             // gives; NULL: empty

// Takes the items at the head of a queue that is not empty: at most KR_REPLICA_BATCH_ENTRIES and so
// many bytes, or one that is larger.
void batch_take(struct batch *batch, struct batch_queue *queue, size_t most_bytes);
// The time of the next entries: the wall clock's, and not before *last_us, the entries' before. But
// where those are far ahead, the clock was wrong then and is right now: to stay there would let
// answers that are kept for a day expire at once.
int64_t batch_time_us(int64_t *last_us, int64_t now_us);
// Gives the items consecutive indexes from first_index on, and makes the rows.
void batch_place(struct batch *batch, uint64_t first_index, uint64_t epoch, int64_t at_unix_us);
void batch_fini(struct batch *batch); // with what items are left
