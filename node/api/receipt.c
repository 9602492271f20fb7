// SPDX-License-Identifier: Apache-2.0
// Revocation receipts: asked for with `wait`, written behind the commit, read again by their index.
#include "node/api/receipt.h"

#include "node/api/api.h"
#include "node/node.h"

enum { KR_WAIT_DEFAULT_MS = 10000 };

static enum kr_err read_wait(struct call *call, uint64_t default_ms)
{
    const char *wait = api_parameter(call, "wait");
    struct call_receipt *receipt = &call->receipt;
    *receipt = (struct call_receipt){.timeout_ms = default_ms};
    receipt->is_everywhere = wait != NULL && strcmp(wait, "everywhere") == 0;
    if (wait != NULL && strcmp(wait, "committed") != 0 && !receipt->is_everywhere)
        return api_problem(call, KR_ERR_INVALID, "parameter wait: committed or everywhere");
    return api_parameter_number(call, "timeoutMs", default_ms > 0, KR_RECEIPT_WAIT_MAX_MS,
                                &receipt->timeout_ms);
}

void receipt_take_bound(struct call_receipt *receipt, const struct bucket *bucket)
{
    receipt->bucket_id = bucket->id;
    receipt->bound_ms = bucket->max_staleness_ms;
    receipt->was_bound_ms = bucket->was_staleness_ms;
    receipt->bounded_at = bucket->lowered_at;
}

enum kr_err receipt_expect(struct call *call, const struct bucket *bucket)
{
    enum kr_err err = read_wait(call, KR_WAIT_DEFAULT_MS);
    if (err == KR_ERR_OK)
        receipt_take_bound(&call->receipt, bucket);
    call->answer.wants_receipt = err == KR_ERR_OK;
    return err;
}

void receipt_committed(struct call *call, const struct replica_outcome *outcome)
{
    call->receipt.record = (struct receipt){.index = outcome->index,
                                            .requested_ms = call->command.requested_ms,
                                            .committed_ms = outcome->committed_ms,
                                            .keys = outcome->result.keys};
}

// --- again ---------------------------------------------------------------------------------------

// The bucket of what was revoked. What has been purged since lets nobody in, whoever holds it.
static bool find_bucket(struct call *call, const char *target, struct bucket *bucket)
{
    struct key key;
    struct consumer consumer;
    if (store_get_bucket(call->view, target, &call->arena, bucket))
        return true;
    if (store_get_key_by_id(call->view, target, &call->arena, &key))
        return store_get_bucket(call->view, key.bucket_id, &call->arena, bucket);
    return store_get_consumer(call->view, target, &call->arena, &consumer) &&
           store_get_bucket(call->view, consumer.bucket_id, &call->arena, bucket);
}

// A limited token asks for what befell its own buckets. Of what has been purged nobody can tell
// whose it was.
static enum kr_err check_access(struct call *call, const struct bucket *bucket)
{
    bool is_own =
        bucket->id != NULL && !bucket->is_system && access_allows_bucket(&call->actor, bucket);
    if (is_own || !access_is_limited(&call->actor))
        return KR_ERR_OK;
    return api_deny(call, bucket->id, bucket->name, "the token is limited to other buckets");
}

static enum kr_err again(struct call *call, uint64_t index, uint64_t default_ms)
{
    struct bucket bucket = {.max_staleness_ms = KR_UNBOUNDED};
    struct receipt record;
    enum kr_err err = read_wait(call, default_ms);
    if (err != KR_ERR_OK)
        return err;
    if (!store_get_receipt(call->view, index, &call->arena, &record)) {
        err = api_check_view(call);
        return err != KR_ERR_OK
                   ? err
                   : api_problem(call, KR_ERR_NOT_FOUND, "there is no receipt %llu (kept 30 days)",
                                 (unsigned long long)index);
    }
    find_bucket(call, record.target, &bucket);
    err = check_access(call, &bucket);
    if (err != KR_ERR_OK)
        return err;
    receipt_take_bound(&call->receipt, &bucket);
    call->receipt.record = record;
    // Behind a restart only the entry's own time is known, which is a little earlier.
    commits_find(call->node->commits, index, &call->receipt.record.committed_ms);
    call->answer.wants_receipt = true;
    return api_check_view(call);
}

enum kr_err receipt_again(struct call *call, uint64_t index)
{
    return again(call, index, 0);
}

enum kr_err receipt_replay(struct call *call, uint64_t index)
{
    return again(call, index, KR_WAIT_DEFAULT_MS);
}

// --- writing -------------------------------------------------------------------------------------

static const char *state_text(enum receipt_state state)
{
    switch (state) {
    case KR_RECEIPT_APPLIED:
        return "applied";
    case KR_RECEIPT_EXPIRED:
        return "lease-expired";
    case KR_RECEIPT_UNBOUNDED:
        return "unbounded";
    case KR_RECEIPT_PENDING:
        return "pending";
    }
    return "pending";
}

int64_t receipt_commit_ms(const struct call *call)
{
    const struct receipt *record = &call->receipt.record;
    int64_t after_ms = record->committed_ms - record->requested_ms;
    return after_ms > 0 ? after_ms : 0; // the wall clock was set back meanwhile
}

static void write_time(struct json_writer *writer, const char *name, int64_t ms)
{
    if (ms < 0)
        json_write_null(writer, name);
    else
        json_write_integer(writer, name, ms);
}

static void write_nodes(struct json_writer *writer, const struct receipt_node *nodes, size_t count)
{
    int64_t slowest_ms = -1;
    json_open(writer, "nodes", '[');
    for (size_t i = 0; i < count; i++) {
        json_open(writer, NULL, '{');
        json_write_string(writer, "node", nodes[i].id);
        json_write_string(writer, "region", nodes[i].region);
        json_write_string(writer, "state", state_text(nodes[i].state));
        write_time(writer, "afterMs", nodes[i].after_ms);
        json_close(writer, '}');
        slowest_ms = nodes[i].after_ms > slowest_ms ? nodes[i].after_ms : slowest_ms;
    }
    json_close(writer, ']');
    write_time(writer, "slowestMs", slowest_ms);
}

static bool is_complete(const struct receipt_node *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (nodes[i].state == KR_RECEIPT_PENDING || nodes[i].state == KR_RECEIPT_UNBOUNDED)
            return false;
    return true;
}

enum kr_err receipt_write(struct call *call, const struct receipt_node *nodes, size_t count)
{
    const struct call_receipt *receipt = &call->receipt;
    bool is_done = !receipt->is_everywhere || is_complete(nodes, count);
    struct json_writer writer;
    call->answer.wants_receipt = false;
    if (receipt->is_bodiless && is_done)
        return KR_ERR_OK;
    buf_clear(&call->answer.body);
    api_json_begin(call, &writer);
    call->answer.status = is_done ? 200 : 202;
    json_open(&writer, NULL, '{');
    json_write_integer(&writer, "index", (int64_t)receipt->record.index);
    json_write_string(&writer, "level", receipt->is_everywhere ? "everywhere" : "committed");
    json_write_stamp(&writer, "requestedOn", receipt->record.requested_ms);
    json_write_stamp(&writer, "committedOn", receipt->record.committed_ms);
    json_write_integer(&writer, "keys", (int64_t)receipt->record.keys);
    write_nodes(&writer, nodes, count);
    json_close(&writer, '}');
    return api_json_end(call, &writer);
}
