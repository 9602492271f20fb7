// SPDX-License-Identifier: Apache-2.0
// Appends: what waits goes to etcd in one transaction, guarded by our leadership and the free
// place.
//
// Happy path: append queues → a batch of all that waits, its chain, a nonce → the transaction holds
// → the owner is told → the next one. A transaction without an answer is sent again with the same
// nonce: it can have its effect only once, and when the place is taken, the batch that lies there
// says whose it is. Ways it can fail: the guard of the leadership (NO_LEADER, for good: a create
// revision never comes back); refused for want of space (DISK_FULL); unsettled at its deadline
// (TIMEOUT, and the leadership is given back, so that no straggler can hit a place that is given
// anew). etcd also says "no space" of a transaction that it has applied (quotaApplierV3 in its
// etcdserver/apply.go), so that the place is looked at before the append fails.
#include "replication/engine_etcd_internal.h"

#include <assert.h>

#include "core/base/log.h"
#include "core/base/rand.h"

#define KR_ETCD_REQUEST_MAX ((size_t)4 << 20) // a batch in base64, with room

static void init_list(struct etcd_append_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void complete(struct engine_etcd *self, struct etcd_append_list *list, enum kr_err err,
                     const struct fault *fault)
{
    for (struct etcd_append *append = list->first, *next; append != NULL; append = next) {
        next = append->next;
        append->err = err;
        if (fault != NULL)
            append->fault = *fault;
        engine_etcd_append_to(&self->completions, append);
    }
    init_list(list);
}

bool engine_etcd_tell_completions(struct engine_etcd *self)
{
    struct etcd_append *next, *first = self->completions.first;
    init_list(&self->completions);
    for (struct etcd_append *append = first; append != NULL; append = next) {
        next = append->next;
        append->done(append->ctx, append->err, append->err == KR_ERR_OK ? NULL : &append->fault);
        mem_free(append);
    }
    return first != NULL;
}

void engine_etcd_fail_queue(struct engine_etcd *self)
{
    struct fault fault = {0};
    fault_set(&fault, KR_ERR_NO_LEADER, "this node leads no more");
    complete(self, &self->queue, KR_ERR_NO_LEADER, &fault);
    self->queued_index = self->end_index;
}

// --- the end of a flight -------------------------------------------------------------------------

static void close_flight(struct engine_etcd *self)
{
    mem_free(self->flight.entries);
    self->flight = (struct etcd_flight){0};
}

static size_t entry_count(const struct etcd_flight *flight)
{
    return flight->batch.part_count > 0 ? 1 : flight->batch.count;
}

static uint64_t last_index(const struct etcd_flight *flight)
{
    return flight->batch.first_index + entry_count(flight) - 1;
}

static void count_appended(struct engine_etcd *self)
{
    const struct etcd_flight *flight = &self->flight;
    self->figures.transactions++;
    for (size_t i = 0; i < entry_count(flight); i++)
        self->figures.appended_bytes += flight->entries[i].size;
}

static void commit(struct engine_etcd *self)
{
    struct etcd_flight *flight = &self->flight;
    self->end_index = last_index(flight);
    self->end_chain = flight->batch.chain;
    count_appended(self);
    engine_etcd_accept(self);
    complete(self, &flight->appends, KR_ERR_OK, NULL);
    close_flight(self);
}

// What waits behind it was given indexes that follow on it, and fails alike; but of that, nothing
// was written.
static void fail(struct engine_etcd *self, enum kr_err err, const struct fault *fault)
{
    complete(self, &self->flight.appends, err, fault);
    close_flight(self);
    complete(self, &self->queue, err == KR_ERR_TIMEOUT ? KR_ERR_NO_LEADER : err, fault);
    self->queued_index = self->end_index;
}

static void fail_as_deposed(struct engine_etcd *self, const char *why)
{
    struct fault fault = {0};
    fault_set(&fault, KR_ERR_NO_LEADER, "%s", why);
    fail(self, KR_ERR_NO_LEADER, &fault);
    engine_etcd_step_down(self, why);
}

// --- transactions --------------------------------------------------------------------------------

static void on_answer(struct engine_etcd *self, const struct etcd_result *result,
                      const struct etcd_request *request);
static void on_looked(struct engine_etcd *self, const struct etcd_result *result,
                      const struct etcd_request *request);

static struct etcd_request call_of(const struct etcd_flight *flight, const char *path,
                                   etcd_step_fn *step, uint64_t now_ms)
{
    uint64_t left_ms = flight->deadline_ms > now_ms ? flight->deadline_ms - now_ms : 1;
    return (struct etcd_request){
        .path = path,
        .deadline_ms = (unsigned)(left_ms < KR_ETCD_CALL_MS ? left_ms : KR_ETCD_CALL_MS),
        .endpoint = KR_ETCD_ANY_ENDPOINT,
        .is_of_every_term = true,
        .step = step};
}

static void post(struct engine_etcd *self, const struct etcd_txn *txn, uint64_t now_ms)
{
    struct etcd_request request = call_of(&self->flight, KR_ETCD_TXN, on_answer, now_ms);
    buf_init(&request.body, KR_ETCD_REQUEST_MAX);
    etcd_add_txn(&request.body, txn);
    self->flight.is_called = true;
    engine_etcd_post(self, request);
}

static void post_part(struct engine_etcd *self, uint64_t now_ms)
{
    const struct etcd_flight *flight = &self->flight;
    struct bytes entry = flight->entries[0];
    size_t from = (size_t)flight->parts_put * KR_ETCD_PART_BYTES;
    size_t left = entry.size - from;
    struct etcd_key leader = engine_etcd_leader_key(self);
    struct etcd_key key = engine_etcd_part_key(self, flight->batch.first_index, flight->batch.nonce,
                                               flight->parts_put);
    const struct etcd_compare leads = {KR_ETCD_CREATE_REVISION_IS, engine_etcd_bytes(&leader),
                                       self->epoch};
    const struct etcd_op put = {
        .kind = KR_ETCD_OP_PUT,
        .key = engine_etcd_bytes(&key),
        .value =
            bytes_of(entry.data + from, left < KR_ETCD_PART_BYTES ? left : KR_ETCD_PART_BYTES)};
    const struct etcd_op look = {.kind = KR_ETCD_OP_RANGE, .key = engine_etcd_bytes(&leader)};
    post(self, &(struct etcd_txn){&leads, 1, &put, &look, 1, 1}, now_ms);
}

static void post_batch(struct engine_etcd *self, uint64_t now_ms)
{
    const struct codec_batch *batch = &self->flight.batch;
    struct buf value;
    struct etcd_key leader = engine_etcd_leader_key(self);
    struct etcd_key key = engine_etcd_log_key(self, batch->first_index);
    const struct etcd_compare guards[] = {
        {KR_ETCD_CREATE_REVISION_IS, engine_etcd_bytes(&leader), self->epoch},
        {KR_ETCD_VERSION_IS, engine_etcd_bytes(&key), 0}};
    const struct etcd_op looks[] = {{.kind = KR_ETCD_OP_RANGE, .key = engine_etcd_bytes(&leader)},
                                    {.kind = KR_ETCD_OP_RANGE, .key = engine_etcd_bytes(&key)}};
    buf_init(&value, KR_ETCD_REQUEST_MAX);
    codec_add_batch(&value, batch);
    assert(buf_result(&value) == KR_ERR_OK);
    const struct etcd_op put = {
        .kind = KR_ETCD_OP_PUT, .key = engine_etcd_bytes(&key), .value = buf_bytes(&value)};
    post(self, &(struct etcd_txn){guards, 2, &put, looks, 1, 2}, now_ms);
    buf_fini(&value);
}

// Asks for what lies in the batch's place.
static void post_look(struct engine_etcd *self, uint64_t now_ms)
{
    struct etcd_key key = engine_etcd_log_key(self, self->flight.batch.first_index);
    struct etcd_request request = call_of(&self->flight, KR_ETCD_RANGE, on_looked, now_ms);
    buf_init(&request.body, 1024);
    etcd_add_range(&request.body, &(struct etcd_range){.key = engine_etcd_bytes(&key)});
    self->flight.is_called = true;
    engine_etcd_post(self, request);
}

// An entry that no value of etcd's can hold goes first, in parts under names with the nonce; the
// batch that names them is written last, and it alone makes the entry a part of the log.
static void send(struct engine_etcd *self, uint64_t now_ms)
{
    if (self->flight.is_doubtful)
        post_look(self, now_ms);
    else if (self->flight.parts_put < self->flight.batch.part_count)
        post_part(self, now_ms);
    else
        post_batch(self, now_ms);
}

// --- answers -------------------------------------------------------------------------------------

static const struct etcd_kv *find(const struct etcd_reply *reply, const struct etcd_key *key)
{
    for (size_t i = 0; i < reply->count; i++)
        if (bytes_equal(reply->kvs[i].key, engine_etcd_bytes(key)))
            return &reply->kvs[i];
    return NULL;
}

static bool is_ours(const struct engine_etcd *self, const struct etcd_kv *kv)
{
    struct arena arena;
    struct codec_batch batch;
    arena_init(&arena);
    bool is_same = codec_batch(kv->value, &arena, &batch) == KR_ERR_OK &&
                   memcmp(batch.nonce, self->flight.batch.nonce, sizeof(batch.nonce)) == 0;
    arena_fini(&arena);
    return is_same;
}

// A guard did not hold; what the transaction read instead tells which.
static void on_guarded(struct engine_etcd *self, const struct etcd_reply *reply)
{
    struct etcd_key leader = engine_etcd_leader_key(self);
    struct etcd_key key = engine_etcd_log_key(self, self->flight.batch.first_index);
    const struct etcd_kv *leads = find(reply, &leader), *taken = find(reply, &key);
    if (taken != NULL && is_ours(self, taken))
        commit(self);
    else if (leads == NULL || leads->create_revision != self->epoch)
        fail_as_deposed(self, "another node has the leader's key, or nobody");
    else if (taken != NULL)
        fail_as_deposed(self, "the log's next place is taken by a batch that is not ours");
    else
        fail_as_deposed(self, "etcd refused an append and does not say why");
}

static void refuse_size(struct engine_etcd *self)
{
    struct fault fault = {0};
    fault_set(&fault, KR_ERR_BUSY,
              "etcd refuses values of %u KiB; start it with --max-request-bytes=1572864 or more",
              KR_ETCD_VALUE_BYTES >> 10);
    LOG_ERROR("an append was refused", LOG_TEXT("why", fault.text));
    fail(self, fault.err, &fault);
}

static void refuse_for_space(struct engine_etcd *self)
{
    struct fault fault = {0};
    fault_set(&fault, KR_ERR_DISK_FULL,
              "etcd is out of space (NOSPACE); it recovers when the log is trimmed, or raise its "
              "--quota-backend-bytes, defragment it and disarm the alarm");
    fail(self, fault.err, &fault);
}

static void retry_later(struct engine_etcd *self, const struct etcd_result *result)
{
    struct etcd_flight *flight = &self->flight;
    bool is_of_interest = !flight->is_unsettled;
    flight->is_unsettled |= !result->is_without_effect;
    flight->retry_at_ms = engine_etcd_now_ms(self) + KR_ETCD_RETRY_MS;
    self->figures.retries++;
    if (is_of_interest && flight->is_unsettled)
        LOG_WARN("an append got no answer from etcd", LOG_TEXT("why", result->error),
                 LOG_NUMBER("index", flight->batch.first_index));
}

static void on_looked(struct engine_etcd *self, const struct etcd_result *result,
                      const struct etcd_request *request)
{
    struct etcd_flight *flight = &self->flight;
    const struct etcd_kv *there = result->reply.count > 0 ? &result->reply.kvs[0] : NULL;
    (void)request;
    flight->is_called = false;
    if (result->is_answered && there != NULL && is_ours(self, there)) {
        commit(self);
    } else if (result->is_answered && there != NULL) {
        fail_as_deposed(self, "the log's next place is taken by a batch that is not ours");
    } else if (result->is_answered && !flight->is_unsettled) {
        refuse_for_space(self);
    } else {
        // Not answered: to be looked at again. Absent: an earlier attempt may yet arrive.
        flight->is_doubtful = !result->is_answered;
        flight->retry_at_ms = engine_etcd_now_ms(self) + KR_ETCD_RETRY_MS;
    }
    engine_etcd_append_turn(self, engine_etcd_now_ms(self));
}

// Parts alone are no part of the log: what became of them need not be known.
static void on_no_space(struct engine_etcd *self)
{
    struct etcd_flight *flight = &self->flight;
    engine_etcd_starve(self);
    if (flight->parts_put < flight->batch.part_count)
        refuse_for_space(self);
    else
        flight->is_doubtful = true;
}

static void on_answer(struct engine_etcd *self, const struct etcd_result *result,
                      const struct etcd_request *request)
{
    struct etcd_flight *flight = &self->flight;
    (void)request;
    flight->is_called = false;
    if (result->is_answered && !result->reply.is_succeeded)
        on_guarded(self, &result->reply);
    else if (result->is_answered && flight->parts_put < flight->batch.part_count)
        flight->parts_put++;
    else if (result->is_answered)
        commit(self);
    else if (result->has_no_space)
        on_no_space(self);
    else if (result->is_too_large && !flight->is_unsettled)
        refuse_size(self);
    else
        retry_later(self, result);
    engine_etcd_append_turn(self, engine_etcd_now_ms(self));
}

// --- flights -------------------------------------------------------------------------------------

static void take_waiting(struct engine_etcd *self)
{
    struct etcd_flight *flight = &self->flight;
    struct etcd_append *append;
    size_t size_bytes = 0, count = 0;
    while ((append = self->queue.first) != NULL &&
           (count == 0 || (size_bytes + append->size_bytes <= KR_ETCD_BATCH_BYTES &&
                           count + append->count <= KR_CODEC_BATCH_ENTRIES_MAX))) {
        self->queue.first = append->next;
        if (append->next == NULL)
            self->queue.last = &self->queue.first;
        engine_etcd_append_to(&flight->appends, append);
        size_bytes += append->size_bytes;
        count += append->count;
    }
    flight->entries = mem_alloc(count * sizeof(*flight->entries));
    flight->batch.count = count;
}

static void link_chain(struct engine_etcd *self)
{
    struct etcd_flight *flight = &self->flight;
    struct hash128 chain = self->end_chain;
    size_t at = 0;
    flight->batch.previous_chain = chain;
    for (const struct etcd_append *append = flight->appends.first; append != NULL;
         append = append->next)
        for (size_t i = 0; i < append->count; i++) {
            flight->entries[at++] = append->rows[i].entry;
            chain = hash_chain(chain, append->rows[i].entry);
        }
    flight->batch.chain = chain;
}

static void open_flight(struct engine_etcd *self)
{
    struct etcd_flight *flight = &self->flight;
    flight->is_open = true;
    init_list(&flight->appends);
    take_waiting(self);
    link_chain(self);
    flight->deadline_ms = flight->appends.first->deadline_ms;
    flight->batch.first_index = flight->appends.first->rows[0].index;
    flight->batch.epoch = self->epoch;
    flight->batch.entries = flight->entries;
    rand_bytes(flight->batch.nonce, sizeof(flight->batch.nonce));
    assert(flight->batch.first_index == self->end_index + 1);
    if (flight->batch.count == 1 && flight->entries[0].size > KR_ETCD_VALUE_BYTES) {
        flight->batch.part_count =
            (uint32_t)((flight->entries[0].size + KR_ETCD_PART_BYTES - 1) / KR_ETCD_PART_BYTES);
        flight->batch.count = 0;
    }
    assert(flight->batch.part_count <= KR_CODEC_BATCH_PARTS_MAX);
}

static void give_up(struct engine_etcd *self)
{
    struct fault fault = {0};
    bool may_be_there = self->flight.is_unsettled || self->flight.is_doubtful;
    enum kr_err err = may_be_there ? KR_ERR_TIMEOUT : KR_ERR_NO_LEADER;
    fault_set(&fault, err, "etcd did not answer; has it a majority?");
    fail(self, err, &fault);
    engine_etcd_step_down(self, fault.text);
}

void engine_etcd_append_turn(struct engine_etcd *self, uint64_t now_ms)
{
    struct etcd_flight *flight = &self->flight;
    if (flight->is_open && !flight->is_called && now_ms >= flight->deadline_ms)
        give_up(self);
    if (!flight->is_open && self->stage != KR_ETCD_LEADING && self->queue.first != NULL)
        engine_etcd_fail_queue(self);
    if (!flight->is_open && self->queue.first != NULL)
        open_flight(self);
    if (flight->is_open && !flight->is_called && now_ms >= flight->retry_at_ms)
        send(self, now_ms);
}

enum kr_err engine_etcd_append(struct engine *engine, const struct engine_batch *batch,
                               engine_done_fn *done, void *ctx)
{
    struct engine_etcd *self = (struct engine_etcd *)engine;
    uint64_t now_ms = engine_etcd_now_ms(self);
    assert(batch->count > 0);
    if (self->stage != KR_ETCD_LEADING || self->is_closing || batch->epoch != self->epoch)
        return KR_ERR_NO_LEADER;
    for (const struct etcd_append *at = self->completions.first; at != NULL; at = at->next)
        if (at->err != KR_ERR_OK)
            return KR_ERR_BUSY; // its owner chose the indexes before it could know
    assert(batch->rows[0].index == self->queued_index + 1);
    struct etcd_append *append = mem_zalloc(sizeof(*append));
    append->rows = batch->rows;
    append->count = batch->count;
    append->deadline_ms = now_ms + KR_ETCD_APPEND_MS;
    append->done = done;
    append->ctx = ctx;
    for (size_t i = 0; i < batch->count; i++)
        append->size_bytes += batch->rows[i].entry.size;
    self->queued_index = batch->rows[batch->count - 1].index;
    engine_etcd_append_to(&self->queue, append);
    engine_etcd_append_turn(self, now_ms);
    return KR_ERR_OK;
}
