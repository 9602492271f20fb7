// SPDX-License-Identifier: Apache-2.0
// The tail of the log: what a new leader reads, checks, and hands to its owner.
//
// Happy path: the batch that holds the index behind the applied one (or the last one there is) →
// pages of batches to the end, each dense and chained to the one before → LEADER → read gives the
// entries. What is beyond 32 MiB is checked, not held, and read again when it is asked for.
// Ways it can fail: a hole, a chain that does not fit, damage (it must not lead, and says why);
// etcd does not answer (tried again until the leadership's time is over).
#include "replication/engine_etcd_internal.h"

#include <assert.h>

#include "core/base/log.h"
#include "core/base/text.h"

// --- what is held --------------------------------------------------------------------------------

static void drop_first(struct etcd_tail *tail)
{
    struct etcd_tail_batch *batch = tail->first;
    tail->first = batch->next;
    if (tail->first == NULL)
        tail->last = &tail->first;
    for (size_t i = 0; i < batch->count; i++)
        tail->held_bytes -= batch->entries[i].size;
    arena_fini(&batch->arena);
    mem_free(batch);
}

void engine_etcd_tail_drop(struct engine_etcd *self)
{
    while (self->tail.first != NULL)
        drop_first(&self->tail);
    self->tail = (struct etcd_tail){.last = &self->tail.first};
}

static void hold(struct etcd_tail *tail, uint64_t first_index, const struct bytes *entries,
                 size_t count)
{
    struct etcd_tail_batch *batch = mem_zalloc(sizeof(*batch));
    arena_init(&batch->arena);
    struct bytes *copies = arena_alloc(&batch->arena, count * sizeof(*copies));
    for (size_t i = 0; i < count; i++) {
        uint8_t *copy = arena_alloc(&batch->arena, entries[i].size);
        memcpy(copy, entries[i].data, entries[i].size);
        copies[i] = bytes_of(copy, entries[i].size);
        tail->held_bytes += entries[i].size;
    }
    batch->first_index = first_index;
    batch->entries = copies;
    batch->count = count;
    *tail->last = batch;
    tail->last = &batch->next;
}

// --- checking ------------------------------------------------------------------------------------

#define LLU(number) ((unsigned long long)(number))

static enum kr_err misfit(const struct engine_etcd *self, uint64_t index, const char *what,
                          struct fault *fault)
{
    return fault_set(fault, KR_ERR_CONFLICT,
                     "log of %s in etcd, index %llu: %s; empty this node's directory and let it "
                     "join again if another node fits",
                     self->options.cluster_id, LLU(index), what);
}

// The chain over all entries, and at the place up to which the walk has come: both must fit.
static enum kr_err check_chain(const struct engine_etcd *self, const struct codec_batch *batch,
                               struct fault *fault)
{
    const struct etcd_tail *tail = &self->tail;
    struct hash128 chain = batch->previous_chain;
    if (batch->first_index == tail->next_index && !hash_equal(chain, tail->chain))
        return misfit(self, batch->first_index, "its chain does not fit this node's state", fault);
    for (size_t i = 0; i < batch->count; i++) {
        uint64_t index = batch->first_index + i;
        chain = hash_chain(chain, batch->entries[i]);
        if (index + 1 == tail->next_index && !hash_equal(chain, tail->chain))
            return misfit(self, index, "its chain does not fit this node's state", fault);
    }
    if (!hash_equal(chain, batch->chain))
        return misfit(self, batch->first_index, "the batch is damaged (its chain differs)", fault);
    return KR_ERR_OK;
}

static enum kr_err check_place(const struct engine_etcd *self, const struct codec_batch *batch,
                               struct fault *fault)
{
    const struct etcd_tail *tail = &self->tail;
    uint64_t behind = batch->first_index + batch->count;
    if (batch->first_index > tail->next_index)
        return misfit(self, tail->next_index, "the log has a hole here", fault);
    if (batch->first_index < tail->next_index && !tail->is_first)
        return misfit(self, batch->first_index, "two batches overlap", fault);
    if (behind < tail->next_index)
        return fault_set(fault, KR_ERR_CONFLICT,
                         "log of %s in etcd ends at index %llu, but this node has applied %llu: is "
                         "this the right etcd, and has it lost data?",
                         self->options.cluster_id, LLU(behind - 1), LLU(tail->next_index - 1));
    return KR_ERR_OK;
}

// A whole batch, its entries at hand: check, hold, step on.
static enum kr_err accept(struct engine_etcd *self, const struct codec_batch *batch,
                          struct fault *fault)
{
    struct etcd_tail *tail = &self->tail;
    enum kr_err err = check_place(self, batch, fault);
    if (err == KR_ERR_OK)
        err = check_chain(self, batch, fault);
    if (err != KR_ERR_OK)
        return err;
    size_t skip = (size_t)(tail->next_index - batch->first_index);
    if (skip < batch->count && !tail->is_cut)
        hold(tail, tail->next_index, batch->entries + skip, batch->count - skip);
    tail->is_first = false;
    tail->next_index = batch->first_index + batch->count;
    tail->chain = batch->chain;
    tail->page_from = tail->next_index;
    return KR_ERR_OK;
}

// --- walking -------------------------------------------------------------------------------------

static void ask_page(struct engine_etcd *self);

static void begin_walk(struct engine_etcd *self, bool is_refill)
{
    struct etcd_tail *tail = &self->tail;
    uint64_t index = 0, epoch = 0;
    struct hash128 chain = {0};
    engine_etcd_tail_drop(self);
    self->options.position(self->options.ctx, &index, &epoch, &chain);
    tail->is_walking = true;
    tail->is_refill = is_refill;
    tail->is_first = true;
    tail->next_index = index + 1;
    tail->chain = chain;
}

static void end_walk(struct engine_etcd *self)
{
    struct etcd_tail *tail = &self->tail;
    tail->is_walking = false;
    if (tail->is_refill)
        return;
    self->end_index = self->queued_index = tail->next_index - 1;
    self->end_chain = tail->chain;
    engine_etcd_lead(self);
}

// A fault while walking ends the candidacy, or the leadership.
static void fail_walk(struct engine_etcd *self, const struct fault *fault)
{
    self->tail.is_walking = false;
    engine_etcd_refuse(self, fault);
}

static void try_later(struct engine_etcd *self, const struct etcd_result *result)
{
    LOG_WARN("the log's tail could not be read from etcd", LOG_TEXT("why", result->error));
    self->tail.retry_at_ms = engine_etcd_now_ms(self) + KR_ETCD_POLL_MS;
}

static void post_range(struct engine_etcd *self, const struct etcd_range *range, etcd_step_fn *step)
{
    struct etcd_request request = {.path = KR_ETCD_RANGE,
                                   .deadline_ms = KR_ETCD_PAGE_MS,
                                   .endpoint = KR_ETCD_ANY_ENDPOINT,
                                   .step = step};
    self->tail.retry_at_ms = 0;
    buf_init(&request.body, 1024);
    etcd_add_range(&request.body, range);
    engine_etcd_post(self, request);
}

static void step_on(struct engine_etcd *self, bool has_more)
{
    struct etcd_tail *tail = &self->tail;
    if (tail->held_bytes >= KR_ETCD_TAIL_BYTES) {
        tail->is_cut = true;
        has_more = has_more && !tail->is_refill;
    }
    if (has_more)
        ask_page(self);
    else
        end_walk(self);
}

static void on_parts(struct engine_etcd *self, const struct etcd_result *result,
                     const struct etcd_request *request)
{
    struct fault fault = {0};
    struct buf entry;
    struct codec_batch *batch = &self->tail.parted;
    enum kr_err err = KR_ERR_OK;
    (void)request;
    if (!result->is_answered) {
        try_later(self, result);
        return;
    }
    buf_init(&entry, (size_t)KR_CODEC_BATCH_PARTS_MAX * KR_ETCD_PART_BYTES);
    for (size_t i = 0; i < result->reply.count; i++)
        buf_add_bytes(&entry, result->reply.kvs[i].value);
    const struct bytes whole = buf_bytes(&entry);
    batch->entries = &whole;
    batch->count = 1;
    if (result->reply.count != batch->part_count || buf_result(&entry) != KR_ERR_OK)
        err = misfit(self, batch->first_index, "a part of the entry is missing", &fault);
    if (err == KR_ERR_OK)
        err = accept(self, batch, &fault);
    buf_fini(&entry);
    if (err != KR_ERR_OK)
        fail_walk(self, &fault);
    else
        step_on(self, true);
}

static void ask_parts(struct engine_etcd *self, const struct codec_batch *batch)
{
    struct etcd_key from = engine_etcd_part_key(self, batch->first_index, batch->nonce, 0);
    struct etcd_key end = engine_etcd_part_key(self, batch->first_index, batch->nonce, SIZE_MAX);
    self->tail.parted = *batch;
    post_range(
        self, &(struct etcd_range){.key = engine_etcd_bytes(&from), .end = engine_etcd_bytes(&end)},
        on_parts);
}

// Sets has_parts, and stops, at a batch whose entry lies elsewhere.
static enum kr_err read_page(struct engine_etcd *self, const struct etcd_reply *reply,
                             bool *has_parts, struct fault *fault)
{
    struct arena arena;
    struct codec_batch batch;
    uint64_t index = 0;
    enum kr_err err = KR_ERR_OK;
    arena_init(&arena);
    for (size_t i = 0; i < reply->count && err == KR_ERR_OK && !*has_parts; i++) {
        const struct etcd_kv *kv = &reply->kvs[i];
        bool is_batch = engine_etcd_key_index(self, kv->key, &index) &&
                        codec_batch(kv->value, &arena, &batch) == KR_ERR_OK &&
                        batch.first_index == index;
        if (!is_batch)
            err = misfit(self, self->tail.next_index, "what lies there is no batch", fault);
        else if (batch.part_count == 0)
            err = accept(self, &batch, fault);
        else
            *has_parts = true;
    }
    if (err == KR_ERR_OK && *has_parts)
        ask_parts(self, &batch);
    arena_fini(&arena);
    return err;
}

static void on_page(struct engine_etcd *self, const struct etcd_result *result,
                    const struct etcd_request *request)
{
    struct fault fault = {0};
    bool has_parts = false;
    (void)request;
    if (!result->is_answered) {
        try_later(self, result);
        return;
    }
    enum kr_err err = read_page(self, &result->reply, &has_parts, &fault);
    if (err != KR_ERR_OK)
        fail_walk(self, &fault);
    else if (!has_parts)
        step_on(self, result->reply.has_more);
}

static void ask_page(struct engine_etcd *self)
{
    struct etcd_key from = engine_etcd_log_key(self, self->tail.page_from);
    struct etcd_key end = engine_etcd_log_end(self);
    post_range(self,
               &(struct etcd_range){.key = engine_etcd_bytes(&from),
                                    .end = engine_etcd_bytes(&end),
                                    .limit = KR_ETCD_PAGE_BATCHES},
               on_page);
}

// An operator's word that a new log begins at the state of the node with this index.
static void on_start(struct engine_etcd *self, const struct etcd_result *result,
                     const struct etcd_request *request)
{
    struct fault fault = {0};
    uint64_t start = 0, applied = self->tail.next_index - 1;
    (void)request;
    if (!result->is_answered) {
        try_later(self, result);
        return;
    }
    bool is_said = result->reply.count == 1 &&
                   text_decimal(result->reply.kvs[0].value, UINT64_MAX, &start) && start == applied;
    if (is_said) {
        LOG_WARN("begins a new log in etcd, as the key start says", LOG_NUMBER("index", applied));
        end_walk(self);
        return;
    }
    fault_set(&fault, KR_ERR_CONFLICT,
              "etcd holds no log of %s, but this node has applied index %llu: is this the right "
              "etcd, and has it lost data? To begin a new log with what this node has: etcdctl put "
              "/%s/start %llu",
              self->options.cluster_id, LLU(applied), self->options.cluster_id, LLU(applied));
    fail_walk(self, &fault);
}

// There is no batch at or before the index that this node needs: nothing at all, or a hole.
static void on_oldest(struct engine_etcd *self, const struct etcd_result *result,
                      const struct etcd_request *request)
{
    struct fault fault = {0};
    uint64_t first = 0, applied = self->tail.next_index - 1;
    (void)request;
    if (!result->is_answered) {
        try_later(self, result);
        return;
    }
    if (result->reply.count == 0 && applied == 0) {
        end_walk(self);
        return;
    }
    if (result->reply.count == 0) {
        struct etcd_key start = engine_etcd_start_key(self);
        post_range(self, &(struct etcd_range){.key = engine_etcd_bytes(&start)}, on_start);
        return;
    }
    if (engine_etcd_key_index(self, result->reply.kvs[0].key, &first))
        fault_set(&fault, KR_ERR_CONFLICT,
                  "log of %s in etcd begins at index %llu, but this node has applied only %llu; "
                  "it comes back by a snapshot once another node leads",
                  self->options.cluster_id, LLU(first), LLU(applied));
    else
        misfit(self, applied + 1, "what lies there is no batch", &fault);
    fail_walk(self, &fault);
}

static void ask_oldest(struct engine_etcd *self)
{
    struct etcd_key from = engine_etcd_log_key(self, 0), end = engine_etcd_log_end(self);
    post_range(self,
               &(struct etcd_range){.key = engine_etcd_bytes(&from),
                                    .end = engine_etcd_bytes(&end),
                                    .limit = 1,
                                    .is_keys_only = true},
               on_oldest);
}

static void on_base(struct engine_etcd *self, const struct etcd_result *result,
                    const struct etcd_request *request)
{
    struct fault fault = {0};
    uint64_t index = 0;
    (void)request;
    if (!result->is_answered) {
        try_later(self, result);
    } else if (result->reply.count == 0) {
        ask_oldest(self);
    } else if (engine_etcd_key_index(self, result->reply.kvs[0].key, &index) && index > 0) {
        self->tail.page_from = index;
        ask_page(self);
    } else {
        misfit(self, self->tail.next_index, "what lies there is no batch", &fault);
        fail_walk(self, &fault);
    }
}

// The last key at or before the index behind the applied one.
static void ask_base(struct engine_etcd *self)
{
    struct etcd_key from = engine_etcd_log_key(self, 0);
    struct etcd_key end = engine_etcd_log_key(self, self->tail.next_index + 1);
    post_range(self,
               &(struct etcd_range){.key = engine_etcd_bytes(&from),
                                    .end = engine_etcd_bytes(&end),
                                    .limit = 1,
                                    .is_descending = true,
                                    .is_keys_only = true},
               on_base);
}

void engine_etcd_take_over(struct engine_etcd *self)
{
    struct fault fault = {0};
    uint64_t index = 0, epoch = 0;
    struct hash128 chain;
    self->options.position(self->options.ctx, &index, &epoch, &chain);
    if (epoch < self->epoch) {
        begin_walk(self, false);
        ask_base(self);
        return;
    }
    fault_set(&fault, KR_ERR_CONFLICT,
              "etcd gives the epoch %llu, but this node's state was written under %llu: this is "
              "another etcd than the one that the log began in",
              LLU(self->epoch), LLU(epoch));
    engine_etcd_refuse(self, &fault);
}

// After a call that got no answer: from where the walk stands, or anew when it has seen nothing.
void engine_etcd_tail_turn(struct engine_etcd *self, uint64_t now_ms)
{
    struct etcd_tail *tail = &self->tail;
    if (!tail->is_walking || tail->retry_at_ms == 0 || now_ms < tail->retry_at_ms)
        return;
    if (tail->is_first)
        ask_base(self);
    else
        ask_page(self);
}

// --- reading -------------------------------------------------------------------------------------

enum kr_err engine_etcd_read(struct engine *engine, uint64_t index, struct arena *arena,
                             struct bytes *entry, struct fault *fault)
{
    struct engine_etcd *self = (struct engine_etcd *)engine;
    struct etcd_tail *tail = &self->tail;
    if (self->stage != KR_ETCD_LEADING)
        return fault_set(fault, KR_ERR_NO_LEADER, "this node leads no more");
    if (index > self->end_index)
        return KR_ERR_NOT_FOUND;
    while (tail->first != NULL && tail->first->first_index + tail->first->count <= index)
        drop_first(tail);
    const struct etcd_tail_batch *batch = tail->first;
    if (batch != NULL && index >= batch->first_index) {
        struct bytes held = batch->entries[index - batch->first_index];
        uint8_t *copy = arena_alloc(arena, held.size);
        memcpy(copy, held.data, held.size);
        *entry = bytes_of(copy, held.size);
        return KR_ERR_OK;
    }
    if (!tail->is_walking) {
        begin_walk(self, true);
        ask_base(self);
    }
    return fault_set(fault, KR_ERR_BUSY, "the log's tail is being read from etcd");
}
