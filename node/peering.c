// SPDX-License-Identifier: Apache-2.0
// What the links ask of the node, answered by its parts; and what they know, put on the board.
#include "node/peering.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/log.h"
#include "node/control_internal.h"
#include "node/engines.h"
#include "node/throughput.h"
#include "replication/engine_etcd.h"
#include "replication/engine_local.h"
#include "replication/roster.h"
#include "replication/trimming.h"

enum { KR_PEERING_NODES_MAX = 4096 };

enum {
    KR_PEERING_TAIL_SHARE = 4,     // of etcd's quota is for what core nodes that are away lack
    KR_PEERING_STARVED_SHARE = 16, // and of that, where etcd has no space left
    KR_PEERING_ENTRY_BYTES = 300,  // an entry of another leader
    KR_PEERING_UNHEARD_MS = 60000  // a restart takes less
};

struct peering {
    struct peering_options options;
    struct peers *peers;
    uint64_t pushed_index; // what the children have been told of
    uint64_t board_at_ms;
    uint64_t trimming_epoch, trims_since_ms; // of the leadership in which this node trims
    struct trimming_tail tail;
    struct throughput throughput;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

// --- what the links ask --------------------------------------------------------------------------

static void answer_child(void *ctx, void *asked, const struct forward_answer *answer)
{
    const struct peering *peering = ctx;
    peers_answer(peering->peers, asked, answer);
}

static void on_forwarded(void *ctx, struct peers_call *call, const struct forward_request *request)
{
    struct peering *peering = ctx;
    const struct remote_origin origin = {answer_child, peering, call};
    remote_serve(peering->options.control->remote, request, &origin);
}

static void on_enlist(void *ctx, const struct peer_member *member)
{
    const struct peering *peering = ctx;
    const struct member record = {.id = member->id,
                                  .region = member->region,
                                  .role = member->role == KR_PEER_CORE ? KR_MEMBER_CORE
                                                                       : KR_MEMBER_FOLLOWER,
                                  .peer_address = member->peer_address,
                                  .http_address = member->http_address};
    leading_enlist(peering->options.control->leading, &record);
}

// With etcd, etcd alone says who leads.
static void on_outranked(void *ctx, uint64_t epoch)
{
    const struct peering *peering = ctx;
    struct node *node = peering->options.node;
    if (node->engine->is_store_backed && engine_local_step_down(node->engine))
        LOG_WARN("stepping down: another node leads under a higher epoch",
                 LOG_NUMBER("ownEpoch", replica_epoch(node->replica)), LOG_NUMBER("epoch", epoch));
}

static void on_unopposed(void *ctx)
{
    const struct peering *peering = ctx;
    engines_resume(peering->options.node);
}

static void on_applied(void *ctx, uint64_t index)
{
    (void)ctx;
    (void)index; // waits for an index look for themselves
}

static void on_heard(void *ctx)
{
    const struct peering *peering = ctx;
    everywhere_ask(peering->options.control->everywhere);
}

static void on_replaced(void *ctx)
{
    const struct peering *peering = ctx;
    LOG_INFO("a snapshot is complete: starting again with it",
             LOG_NUMBER("index", store_applied_index(peering->options.node->store)));
    control_restart(peering->options.control);
}

static void on_fatal(void *ctx, enum kr_err err, const struct fault *fault)
{
    (void)ctx;
    (void)err;
    node_die(fault);
}

static uint64_t on_validations(void *ctx)
{
    return ((const struct peering *)ctx)->throughput.per_second;
}

// --- the board -----------------------------------------------------------------------------------

struct gathering {
    const struct node *node;
    struct board_node *nodes;
    struct board_distance *distances;
    size_t count, distance_count;
};

static enum board_state state_of(const struct node *node, const struct peers_node *seen)
{
    if (seen->snapshot_total_bytes > 0)
        return KR_BOARD_FETCHING;
    if (seen->age_ms > KR_REPLICA_WINDOW_MS)
        return KR_BOARD_STALE;
    return seen->is_self && !atomic_load(&node->is_loaded) ? KR_BOARD_LOADING : KR_BOARD_SERVING;
}

static void gather(void *ctx, const struct peers_node *seen)
{
    struct gathering *gathering = ctx;
    if (gathering->count == KR_PEERING_NODES_MAX)
        return;
    struct board_node *out = &gathering->nodes[gathering->count++];
    uint64_t age_ms = seen->age_ms;
    bool is_known = age_ms != UINT64_MAX;
    *out = (struct board_node){
        .state = state_of(gathering->node, seen),
        .index = seen->applied_index,
        .lag_ms = age_ms,
        .lease_ms = is_known && age_ms < KR_REPLICA_WINDOW_MS ? KR_REPLICA_WINDOW_MS - age_ms : 0,
        .round_trip_us = seen->round_trip_us == 0 ? KR_BOARD_UNKNOWN : seen->round_trip_us,
        .validations_per_second = seen->validations_per_second,
        .snapshot_done_bytes = seen->snapshot_done_bytes,
        .snapshot_total_bytes = seen->snapshot_total_bytes,
        .vault_mark = seen->vault_mark};
    snprintf(out->id, sizeof(out->id), "%s", seen->id);
    snprintf(out->upstream, sizeof(out->upstream), "%s", seen->upstream_id);
    snprintf(out->version, sizeof(out->version), "%s", seen->version);
}

static void gather_distance(void *ctx, const char *id, uint64_t round_trip_us)
{
    struct gathering *gathering = ctx;
    if (gathering->distance_count == KR_PEERING_NODES_MAX)
        return;
    struct board_distance *out = &gathering->distances[gathering->distance_count++];
    out->round_trip_us = round_trip_us;
    snprintf(out->id, sizeof(out->id), "%s", id);
}

// Who leads, as far as this node can know: itself, or, while it follows somebody, whoever the state
// names. A Welcome's word would be as old as the link.
static void find_leader(const struct peering *peering, struct board_facts *facts)
{
    const struct node *node = peering->options.node;
    struct arena arena;
    struct leader leader;
    facts->epoch = replica_epoch(node->replica);
    if (replica_is_leader(node->replica)) {
        snprintf(facts->leader_id, sizeof(facts->leader_id), "%s", node->identity.node_id);
        return;
    }
    arena_init(&arena);
    struct store_view *view = store_view_open(node->store);
    if (store_get_leader(view, &arena, &leader)) {
        facts->epoch = leader.epoch;
        if (peers_upstream_id(peering->peers)[0] != '\0' &&
            strcmp(leader.member_id, node->identity.node_id) != 0)
            snprintf(facts->leader_id, sizeof(facts->leader_id), "%s", leader.member_id);
    }
    store_view_close(&view);
    arena_fini(&arena);
}

// False: this node's engine is another one, or closed.
static bool read_etcd(const struct node *node, struct engine_etcd_figures *out)
{
    bool is_etcd = node->engine != NULL && !node->engine->is_store_backed;
    if (is_etcd)
        engine_etcd_figures(node->engine, out);
    return is_etcd;
}

static void put_on_board(struct peering *peering)
{
    struct node *node = peering->options.node;
    struct gathering gathering = {.node = node};
    struct board_facts facts = {0};
    gathering.nodes = mem_alloc(KR_PEERING_NODES_MAX * sizeof(*gathering.nodes));
    gathering.distances = mem_alloc(KR_PEERING_NODES_MAX * sizeof(*gathering.distances));
    peers_each_node(peering->peers, gather, &gathering);
    peers_each_distance(peering->peers, gather_distance, &gathering);
    facts.nodes = gathering.nodes;
    facts.count = gathering.count;
    facts.distances = gathering.distances;
    facts.distance_count = gathering.distance_count;
    peers_figures(peering->peers, &facts.links);
    facts.has_etcd = read_etcd(node, &facts.etcd);
    find_leader(peering, &facts);
    board_put(node->board, &facts);
    mem_free(gathering.distances);
    mem_free(gathering.nodes);
}

// --- the engine's log ----------------------------------------------------------------------------

// How much of the log etcd keeps for a core node that is away. Where etcd has no space left,
// whoever lacks more than a restart brings about is waited for no more, or nobody could write.
static uint64_t most_bytes_of(const struct node *node, const struct engine_etcd_figures *figures)
{
    uint64_t most_bytes = figures->quota_bytes / KR_PEERING_TAIL_SHARE;
    if (most_bytes > (uint64_t)node->config->etcd_tail_bytes)
        most_bytes = (uint64_t)node->config->etcd_tail_bytes;
    return figures->is_out_of_space ? most_bytes / KR_PEERING_STARVED_SHARE : most_bytes;
}

// Of one that has not been heard of since the leader changed nobody knows what it lacks; then what
// etcd holds in all is the limit.
static struct trimming_limit limit_of(struct peering *peering,
                                      const struct engine_etcd_figures *figures, uint64_t now_ms)
{
    const struct node *node = peering->options.node;
    uint64_t most_bytes = most_bytes_of(node, figures);
    uint64_t epoch = replica_epoch(node->replica);
    if (peering->trimming_epoch != epoch) {
        peering->trimming_epoch = epoch;
        peering->trims_since_ms = now_ms;
        peering->tail = (struct trimming_tail){.count = 0};
    }
    trimming_note(&peering->tail, figures->end_index, figures->appended_bytes, most_bytes);
    return (struct trimming_limit){
        .near_index = trimming_near(&peering->tail, figures->appended_bytes, most_bytes,
                                    KR_PEERING_ENTRY_BYTES),
        .is_unheard = now_ms >= peering->trims_since_ms + KR_PEERING_UNHEARD_MS &&
                      figures->database_used_bytes > most_bytes};
}

static void trim(struct peering *peering, uint64_t now_ms)
{
    const struct node *node = peering->options.node;
    struct engine_etcd_figures figures;
    if (!replica_is_leader(node->replica) || !read_etcd(node, &figures))
        return;
    const struct trimming_limit limit = limit_of(peering, &figures, now_ms);
    uint64_t below_index = trimming_below(&node->state, peering->options.roster, &limit, now_ms);
    if (below_index > 1)
        node->engine->verbs->trim(node->engine, below_index);
}

// --- life ----------------------------------------------------------------------------------------

enum kr_err peering_new(const struct peering_options *options, struct peering **out,
                        struct fault *fault)
{
    struct node *node = options->node;
    const struct config *config = node->config;
    *out = NULL;
    if (!node->identity.has_peers)
        return KR_ERR_OK;
    struct peering *peering = mem_zalloc(sizeof(*peering));
    peering->options = *options;
    const struct peers_options wanted = {.loop = options->loop,
                                         .bundle_path = config->peer_bundle,
                                         .listen = config->peer_listen,
                                         .advertise = node->identity.peer_address,
                                         .http_advertise = node->identity.http_address,
                                         .upstreams = config->upstreams,
                                         .version = KR_VERSION,
                                         .vault_mark =
                                             node->vault == NULL ? 0 : vault_mark(node->vault),
                                         .state = &node->state,
                                         .replica = node->replica,
                                         .roster = options->roster,
                                         .leads_by_word = node->engine->is_store_backed,
                                         .asks_first = engines_asks_first(node),
                                         .owner = {.ctx = peering,
                                                   .forwarded = on_forwarded,
                                                   .enlist = on_enlist,
                                                   .outranked = on_outranked,
                                                   .unopposed = on_unopposed,
                                                   .applied = on_applied,
                                                   .heard = on_heard,
                                                   .replaced = on_replaced,
                                                   .fatal = on_fatal,
                                                   .validations = on_validations}};
    enum kr_err err = peers_new(&wanted, &peering->peers, fault);
    if (err == KR_ERR_OK)
        *out = peering;
    else
        mem_free(peering);
    return err;
}

void peering_turn(struct peering *peering)
{
    if (peering == NULL || peering->closed != NULL)
        return;
    uint64_t index = store_applied_index(peering->options.node->store);
    if (index != peering->pushed_index) {
        peering->pushed_index = index;
        peers_committed(peering->peers);
    }
    peers_turn(peering->peers);
}

void peering_tick(struct peering *peering, uint64_t now_boot_ms)
{
    if (peering == NULL || peering->closed != NULL)
        return;
    if (throughput_measure(&peering->throughput, peering->options.node, now_boot_ms))
        trim(peering, now_boot_ms);
    if (now_boot_ms < peering->board_at_ms)
        return;
    peering->board_at_ms = now_boot_ms + KR_BOARD_MS;
    put_on_board(peering);
}

void peering_leader_is(struct peering *peering, const char *member_id, const char *peer_address)
{
    if (peering != NULL && peering->closed == NULL)
        peers_leader_is(peering->peers, member_id, peer_address);
}

void peering_reload(struct peering *peering)
{
    if (peering != NULL)
        peers_reload(peering->peers);
}

static void on_closed(void *ctx)
{
    struct peering *peering = ctx;
    void (*closed)(void *ctx) = peering->closed;
    void *closed_ctx = peering->closed_ctx;
    mem_free(peering);
    closed(closed_ctx);
}

void peering_close(struct peering *peering, void (*closed)(void *ctx), void *ctx)
{
    if (peering == NULL) {
        closed(ctx);
        return;
    }
    peering->closed = closed;
    peering->closed_ctx = ctx;
    peers_close(peering->peers, on_closed, peering);
}

struct peers *peering_peers(struct peering *peering)
{
    return peering == NULL ? NULL : peering->peers;
}

bool peering_has_leader(const struct peering *peering)
{
    struct board_facts facts = {0};
    if (peering == NULL)
        return false;
    find_leader(peering, &facts);
    return facts.leader_id[0] != '\0';
}
