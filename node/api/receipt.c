// SPDX-License-Identifier: Apache-2.0
// Revocation receipts: asked for with `wait`, written at the commit, read again by their index.
#include "node/api/receipt.h"

#include "node/api/api.h"
#include "node/node.h"

#define KR_WAIT_MAX_MS 600000

static bool is_everywhere(const struct call *call)
{
    const char *wait = api_parameter(call, "wait");
    return wait != NULL && strcmp(wait, "everywhere") == 0;
}

enum kr_err receipt_expect(struct call *call)
{
    const char *wait = api_parameter(call, "wait");
    uint64_t timeout_ms = 1;
    if (wait != NULL && strcmp(wait, "committed") != 0 && !is_everywhere(call))
        return api_problem(call, KR_ERR_INVALID, "parameter wait: committed or everywhere");
    enum kr_err err = api_parameter_number(call, "timeoutMs", KR_WAIT_MAX_MS, &timeout_ms);
    if (err == KR_ERR_OK && timeout_ms == 0)
        err = api_problem(call, KR_ERR_INVALID, "parameter timeoutMs: 1 to %d", KR_WAIT_MAX_MS);
    call->answer.wants_receipt = err == KR_ERR_OK;
    return err;
}

enum kr_err receipt_write(struct call *call, const struct receipt *receipt, bool everywhere)
{
    const struct config *config = call->node->config;
    int64_t after_ms = receipt->committed_ms - receipt->requested_ms;
    if (after_ms < 0) // the wall clock was set back meanwhile
        after_ms = 0;
    struct json_writer writer;
    api_json_begin(call, &writer);
    json_open(&writer, NULL, '{');
    json_write_integer(&writer, "index", (int64_t)receipt->index);
    json_write_string(&writer, "level", everywhere ? "everywhere" : "committed");
    json_write_stamp(&writer, "requestedOn", receipt->requested_ms);
    json_write_stamp(&writer, "committedOn", receipt->committed_ms);
    json_write_integer(&writer, "keys", (int64_t)receipt->keys);
    json_open(&writer, "nodes", '[');
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "node", config->node_id);
    json_write_string(&writer, "region", config->region);
    json_write_string(&writer, "state", "applied");
    json_write_integer(&writer, "afterMs", after_ms);
    json_close(&writer, '}');
    json_close(&writer, ']');
    json_write_integer(&writer, "slowestMs", after_ms);
    json_close(&writer, '}');
    return api_json_end(call, &writer);
}

void receipt_answer(struct call *call, const struct replica_outcome *outcome)
{
    struct receipt receipt = {.index = outcome->index,
                              .requested_ms = call->command.requested_ms,
                              .committed_ms = outcome->committed_ms,
                              .keys = outcome->result.keys};
    receipt_write(call, &receipt, is_everywhere(call));
}

enum kr_err receipt_again(struct call *call, uint64_t index)
{
    struct receipt receipt;
    enum kr_err err = KR_ERR_OK;
    if (store_get_receipt(call->view, index, &call->arena, &receipt)) {
        // Behind a restart only the entry's own time is known, which is a little earlier.
        commits_find(call->node->commits, index, &receipt.committed_ms);
        return receipt_write(call, &receipt, is_everywhere(call));
    }
    err = api_check_view(call);
    if (err != KR_ERR_OK)
        return err;
    return api_problem(call, KR_ERR_NOT_FOUND, "there is no receipt %llu (kept 30 days)",
                       (unsigned long long)index);
}
