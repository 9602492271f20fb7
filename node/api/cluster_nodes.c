// SPDX-License-Identifier: Apache-2.0
// The cluster's nodes: the nearest ones for a client, promotion of a standby, removal of a member.
#include <stdlib.h>

#include "node/api/api.h"
#include "node/api/handlers.h"
#include "node/node.h"

// --- the nearest ---------------------------------------------------------------------------------

struct place {
    struct member member;
    uint64_t distance_us;  // KR_BOARD_UNKNOWN: not measured
    bool is_self, is_near; // this node; of its region
};

// This node, then by measured distance, then the region's others before those elsewhere.
static int nearer(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->is_self != y->is_self)
        return x->is_self ? -1 : 1;
    if (x->distance_us != y->distance_us)
        return x->distance_us < y->distance_us ? -1 : 1;
    if (x->is_near != y->is_near)
        return x->is_near ? -1 : 1;
    return strcmp(x->member.id, y->member.id);
}

static void write_place(struct json_writer *writer, const struct place *place)
{
    json_open(writer, NULL, '{');
    json_write_string(writer, "id", place->member.id);
    json_write_string(writer, "region", place->member.region);
    json_write_string(writer, "http", place->member.http_address);
    if (place->distance_us == KR_BOARD_UNKNOWN)
        json_write_null(writer, "roundTripUs");
    else
        json_write_integer(writer, "roundTripUs", (int64_t)place->distance_us);
    json_close(writer, '}');
}

static bool is_heard(const struct board_facts *facts, const char *id)
{
    const struct board_node *node = board_find(facts, id);
    return node == NULL || node->state != KR_BOARD_UNHEARD;
}

static size_t find_places(struct call *call, struct place *places, size_t most)
{
    const struct identity *own = &call->node->identity;
    struct board_facts facts;
    struct member member;
    size_t count = 0;
    board_read(call->node->board, &call->arena, &facts);
    struct store_cursor *cursor = store_members(call->view);
    while (count < most && store_next_member(cursor, &call->arena, &member)) {
        if (member.is_removed || !is_heard(&facts, member.id))
            continue;
        places[count++] = (struct place){.member = member,
                                         .distance_us = board_distance_us(&facts, member.id),
                                         .is_self = strcmp(member.id, own->node_id) == 0,
                                         .is_near = strcmp(member.region, own->region) == 0};
        if (places[count - 1].is_self)
            places[count - 1].distance_us = 0;
    }
    store_cursor_close(&cursor);
    return count;
}

enum kr_err api_cluster_nearest(struct call *call)
{
    enum { KR_PLACES_MAX = 4096 };
    const struct identity *own = &call->node->identity;
    struct place *places = arena_zalloc(&call->arena, KR_PLACES_MAX * sizeof(*places));
    struct json_writer writer;
    size_t count = find_places(call, places, KR_PLACES_MAX);
    if (count == 0) // no member of anything, but there
        places[count++] = (struct place){.member = {.id = own->node_id,
                                                    .region = own->region,
                                                    .http_address = own->http_address},
                                         .is_self = true};
    qsort(places, count, sizeof(*places), nearer);
    api_json_begin(call, &writer);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "region", own->region);
    json_open(&writer, "nodes", '[');
    for (size_t i = 0; i < count; i++)
        write_place(&writer, &places[i]);
    json_close(&writer, ']');
    json_close(&writer, '}');
    return api_json_end(call, &writer);
}

// --- who may -------------------------------------------------------------------------------------

// Every bucket lives by the nodes, those too that a limited token must not touch.
static enum kr_err check_unlimited(struct call *call)
{
    return api_check_unlimited(call, "the token is limited; the nodes serve the whole account");
}

// --- promotion -----------------------------------------------------------------------------------

// On the control loop, which owns the engine. The call's command is the first entry of the new
// epoch: once that is durable, the node leads again even if it is killed.
static void promote(struct node *node, struct call *call)
{
    const char *why = node->identity.is_core
                          ? "with engine etcd a leader is elected, and nobody is promoted by hand"
                          : "this node is a follower; only a core node can lead";
    enum kr_err err = control_promote(node->control);
    if (err == KR_ERR_OK) {
        api_op(call, KR_OP_LEAD)->as.lead =
            (struct command_lead){node->identity.node_id, replica_epoch(node->replica)};
        return;
    }
    if (err == KR_ERR_CONFLICT)
        why = "this node leads already";
    else if (err == KR_ERR_BUSY)
        why = "this node's state is being replaced by a snapshot; promote another standby, or wait";
    else if (err == KR_ERR_DISK_FULL)
        why = "this node's disk is full; free space there, or promote another standby";
    bool is_for_now = err == KR_ERR_BUSY || err == KR_ERR_DISK_FULL;
    call->has_command = false;
    api_problem(call, is_for_now ? err : KR_ERR_CONFLICT, "%s", why);
}

enum kr_err api_cluster_promote(struct call *call)
{
    const char *id = call->node->identity.node_id;
    struct json_writer writer;
    bool is_down = false;
    const struct api_member members[] = {
        {"oldLeaderIsDown", KR_MEMBER_BOOL, &is_down, 0, true, NULL}};
    enum kr_err err = check_unlimited(call);
    if (err == KR_ERR_OK)
        err = api_body(call, members, 1);
    if (err != KR_ERR_OK)
        return err;
    if (!is_down)
        return api_problem(call, KR_ERR_INVALID,
                           "oldLeaderIsDown: must be true. Two leaders would both accept writes, "
                           "and one's would be lost: stop the old one first");
    call->action = promote;
    api_audit(call, "cluster.promote", id, id, NULL);
    api_json_begin(call, &writer);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "leader", id);
    json_close(&writer, '}');
    return api_json_end(call, &writer);
}

// --- removal -------------------------------------------------------------------------------------

enum kr_err api_node_remove(struct call *call)
{
    struct member member;
    enum kr_err err = check_unlimited(call);
    if (err != KR_ERR_OK)
        return err;
    if (!store_get_member(call->view, call->item, &call->arena, &member) || member.is_removed)
        return api_not_found(call, "node", call->item);
    if (strcmp(member.id, call->node->identity.node_id) == 0)
        return api_problem(call, KR_ERR_CONFLICT,
                           "%s leads; let another node lead before it is removed", member.id);
    api_op(call, KR_OP_MEMBER_REMOVE)->as.member_remove =
        (struct command_member_remove){.id = member.id};
    api_answer_status(call, 204);
    api_audit(call, "node.remove", member.id, member.id, NULL);
    return KR_ERR_OK;
}
