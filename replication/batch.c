// SPDX-License-Identifier: Apache-2.0
// Batches: the queue's items, their places in the log, the rows for the engine.
#include "replication/batch.h"

#include <assert.h>

#include "proto/codec.h"

#define KR_BATCH_AHEAD_US INT64_C(300000000)

struct batch_item *batch_item_new(const struct command *command, replica_done_fn *done, void *ctx)
{
    struct batch_item *item = mem_zalloc(sizeof(*item));
    const struct entry entry = {.command = *command};
    item->done = done;
    item->ctx = ctx;
    buf_init(&item->bytes, KR_CODEC_PLACE_MAX + KR_REPLICA_ENTRY_BYTES);
    buf_extend(&item->bytes, KR_CODEC_PLACE_MAX);
    codec_add_entry(&item->bytes, &entry);
    struct bytes whole =
        bytes_of(item->bytes.data + KR_CODEC_PLACE_MAX, item->bytes.size - KR_CODEC_PLACE_MAX);
    item->body_at = item->bytes.size - codec_entry_body(whole).size;
    return item;
}

void batch_item_free(struct batch_item *item)
{
    buf_fini(&item->bytes);
    mem_free(item);
}

size_t batch_item_size(const struct batch_item *item)
{
    return item->bytes.size - item->body_at;
}

void batch_queue_init(struct batch_queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
    queue->size_bytes = 0;
}

void batch_queue_push(struct batch_queue *queue, struct batch_item *item)
{
    item->next = NULL;
    *queue->last = item;
    queue->last = &item->next;
    queue->size_bytes += batch_item_size(item);
}

struct batch_item *batch_queue_pop(struct batch_queue *queue)
{
    struct batch_item *item = queue->first;
    if (item == NULL)
        return NULL;
    queue->first = item->next;
    if (queue->first == NULL)
        queue->last = &queue->first;
    queue->size_bytes -= batch_item_size(item);
    return item;
}

void batch_take(struct batch *batch, struct batch_queue *queue, size_t most_bytes)
{
    *batch = (struct batch){0};
    batch_queue_init(&batch->items);
    while (queue->first != NULL && batch->count < KR_REPLICA_BATCH_ENTRIES) {
        size_t size_bytes = KR_CODEC_PLACE_MAX + batch_item_size(queue->first);
        if (batch->count > 0 && batch->size_bytes + size_bytes > most_bytes)
            break;
        batch_queue_push(&batch->items, batch_queue_pop(queue));
        batch->count++;
        batch->size_bytes += size_bytes;
    }
}

static struct bytes place_item(struct batch_item *item, uint64_t epoch, int64_t at_unix_us)
{
    uint8_t place[KR_CODEC_PLACE_MAX];
    struct buf out;
    buf_init_fixed(&out, place, sizeof(place));
    codec_add_entry_place(&out, item->index, epoch, at_unix_us);
    assert(!out.has_failed);
    uint8_t *start = item->bytes.data + item->body_at - out.size;
    memcpy(start, place, out.size);
    return bytes_of(start, out.size + batch_item_size(item));
}

int64_t batch_time_us(int64_t *last_us, int64_t now_us)
{
    if (now_us > *last_us || *last_us - now_us > KR_BATCH_AHEAD_US)
        *last_us = now_us;
    return *last_us;
}

void batch_place(struct batch *batch, uint64_t first_index, uint64_t epoch, int64_t at_unix_us)
{
    size_t row = 0;
    batch->epoch = epoch;
    batch->rows = mem_alloc(batch->count * sizeof(*batch->rows));
    batch->results = mem_zalloc(batch->count * sizeof(*batch->results));
    for (struct batch_item *item = batch->items.first; item != NULL; item = item->next) {
        item->index = first_index + row;
        batch->rows[row] = (struct store_row){item->index, place_item(item, epoch, at_unix_us)};
        row++;
    }
}

void batch_fini(struct batch *batch)
{
    struct batch_item *item;
    while ((item = batch_queue_pop(&batch->items)) != NULL)
        batch_item_free(item);
    mem_free(batch->rows);
    mem_free(batch->results);
    *batch = (struct batch){0};
}
