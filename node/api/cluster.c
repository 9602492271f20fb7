// SPDX-License-Identifier: Apache-2.0
// The cluster as this node knows it, and stored revocation receipts.
#include "core/base/clock.h"
#include "core/base/text.h"
#include "node/api/api.h"
#include "node/api/handlers.h"
#include "node/api/receipt.h"
#include "node/node.h"

static const char *state(const struct node *node)
{
    if (atomic_load(&node->is_stopping))
        return "stopping";
    return atomic_load(&node->is_ready) ? "serving" : "loading";
}

// The age of this node's knowledge; null when nothing is known.
static void write_lag(struct json_writer *writer, const struct node *node)
{
    uint64_t age_ms = replica_age_ms(node->replica, clock_boot_ms());
    if (age_ms == UINT64_MAX)
        json_write_null(writer, "lagMs");
    else
        json_write_integer(writer, "lagMs", (int64_t)age_ms);
}

static void write_node(struct json_writer *writer, const struct node *node, uint64_t index)
{
    bool is_leader = replica_is_leader(node->replica);
    json_open(writer, NULL, '{');
    json_write_string(writer, "id", node->config->node_id);
    json_write_string(writer, "region", node->config->region);
    json_write_string(writer, "role", is_leader ? "leader" : "standby");
    json_write_null(writer, "upstream"); // it follows nobody
    json_write_string(writer, "state", state(node));
    json_write_integer(writer, "index", (int64_t)index);
    write_lag(writer, node);
    json_write_null(writer, "leaseMs"); // it needs no lease from anybody
    json_write_string(writer, "version", KR_VERSION);
    json_write_string(writer, "http", node->config->http);
    json_close(writer, '}');
}

enum kr_err api_cluster_show(struct call *call)
{
    const struct node *node = call->node;
    uint64_t index = store_applied_index(node->store);
    struct json_writer writer;
    api_json_begin(call, &writer);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "clusterId", node->cluster_id);
    json_write_string(&writer, "engine", replica_engine_name(node->replica));
    json_write_string(&writer, "leader",
                      replica_is_leader(node->replica) ? node->config->node_id : NULL);
    json_write_integer(&writer, "epoch", (int64_t)replica_epoch(node->replica));
    json_write_integer(&writer, "index", (int64_t)index);
    json_open(&writer, "nodes", '[');
    write_node(&writer, node, index);
    json_close(&writer, ']');
    json_close(&writer, '}');
    return api_json_end(call, &writer);
}

enum kr_err api_receipt_show(struct call *call)
{
    uint64_t index = 0;
    if (!text_decimal(bytes_text(call->item), INT64_MAX, &index))
        return api_problem(call, KR_ERR_NOT_FOUND, "a receipt is named by a log index");
    return receipt_again(call, index);
}
