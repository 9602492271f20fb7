// SPDX-License-Identifier: Apache-2.0
// The cluster as this node knows it, which nodes to ask, and stored revocation receipts.
#include "core/base/text.h"
#include "node/api/api.h"
#include "node/api/handlers.h"
#include "node/api/receipt.h"
#include "node/node.h"

static void write_number(struct json_writer *writer, const char *name, uint64_t number)
{
    if (number == KR_BOARD_UNKNOWN)
        json_write_null(writer, name);
    else
        json_write_integer(writer, name, (int64_t)number);
}

static void write_text(struct json_writer *writer, const char *name, const char *text)
{
    json_write_string(writer, name, text[0] == '\0' ? NULL : text);
}

static const char *role_of(const struct member *member, const struct board_facts *facts)
{
    if (strcmp(member->id, facts->leader_id) == 0)
        return "leader";
    return member->role == KR_MEMBER_CORE ? "standby" : "follower";
}

static void write_snapshot(struct json_writer *writer, const struct board_node *node)
{
    if (node->state != KR_BOARD_FETCHING) {
        json_write_null(writer, "snapshot");
        return;
    }
    json_open(writer, "snapshot", '{');
    write_number(writer, "doneBytes", node->snapshot_done_bytes);
    write_number(writer, "totalBytes", node->snapshot_total_bytes);
    json_close(writer, '}');
}

static void write_heard(struct json_writer *writer, const struct board_node *node)
{
    static const struct board_node nobody = {.state = KR_BOARD_UNHEARD,
                                             .index = KR_BOARD_UNKNOWN,
                                             .lag_ms = KR_BOARD_UNKNOWN,
                                             .lease_ms = KR_BOARD_UNKNOWN,
                                             .round_trip_us = KR_BOARD_UNKNOWN,
                                             .validations_per_second = KR_BOARD_UNKNOWN};
    if (node == NULL)
        node = &nobody;
    write_text(writer, "upstream", node->upstream);
    json_write_string(writer, "state", board_state_text(node->state));
    write_number(writer, "index", node->index);
    write_number(writer, "lagMs", node->lag_ms);
    write_number(writer, "leaseMs", node->lease_ms);
    write_number(writer, "roundTripUs", node->round_trip_us);
    write_number(writer, "validationsPerSecond", node->validations_per_second);
    write_text(writer, "version", node->version);
    write_snapshot(writer, node);
}

static void write_member(struct json_writer *writer, const struct member *member,
                         const struct board_facts *facts)
{
    json_open(writer, NULL, '{');
    json_write_string(writer, "id", member->id);
    json_write_string(writer, "region", member->region);
    json_write_string(writer, "role", role_of(member, facts));
    write_heard(writer, board_find(facts, member->id));
    json_write_string(writer, "http", member->http_address);
    json_close(writer, '}');
}

// A node without peers is no member of anything, but it is there.
static struct member alone(const struct node *node)
{
    return (struct member){.id = node->identity.node_id,
                           .region = node->identity.region,
                           .role = KR_MEMBER_CORE,
                           .http_address = node->identity.http_address};
}

static void write_members(struct call *call, struct json_writer *writer,
                          const struct board_facts *facts)
{
    struct member member;
    struct store_cursor *cursor = store_members(call->view);
    size_t count = 0;
    json_open(writer, "nodes", '[');
    while (store_next_member(cursor, &call->arena, &member)) {
        count++;
        if (!member.is_removed)
            write_member(writer, &member, facts);
    }
    store_cursor_close(&cursor);
    if (count == 0) {
        member = alone(call->node);
        write_member(writer, &member, facts);
    }
    json_close(writer, ']');
}

enum kr_err api_cluster_show(struct call *call)
{
    const struct node *node = call->node;
    struct board_facts facts;
    struct json_writer writer;
    board_read(node->board, &call->arena, &facts);
    api_json_begin(call, &writer);
    json_open(&writer, NULL, '{');
    write_text(&writer, "clusterId", node->cluster_id);
    json_write_string(&writer, "engine", node->config->engine);
    write_text(&writer, "leader", facts.leader_id);
    json_write_integer(&writer, "epoch", (int64_t)facts.epoch);
    json_write_integer(&writer, "index", (int64_t)store_applied_index(node->store));
    json_write_string(&writer, "seenBy", node->identity.node_id);
    write_members(call, &writer, &facts);
    json_close(&writer, '}');
    enum kr_err err = api_json_end(call, &writer);
    return err == KR_ERR_OK ? api_check_view(call) : err;
}

enum kr_err api_receipt_show(struct call *call)
{
    uint64_t index = 0;
    if (!text_decimal(bytes_text(call->item), INT64_MAX, &index))
        return api_problem(call, KR_ERR_NOT_FOUND, "a receipt is named by a log index");
    return receipt_again(call, index);
}
