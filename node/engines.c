// SPDX-License-Identifier: Apache-2.0
// Opens `local` over the node's store, or `etcd` over a link to its members.
//
// A core node without upstreams leads from its first start on; any other stands by, until the state
// says that it has been promoted (engine_local_was_leader). Where other core nodes are members, it
// leads again only once they have been asked.
#include "node/engines.h"

#include "core/store/store_health.h"
#include "node/bootstrap.h"
#include "replication/engine_etcd.h"
#include "replication/engine_local.h"
#include "replication/etcd_link.h"

enum { KR_ENGINES_ROOM_BYTES = 1 << 20 }; // of entries, for who is to be promoted

struct engines {
    struct node *node;
    struct etcd_link *link; // NULL with `local`
    void (*closed)(void *ctx);
    void *ctx;
};

static bool is_to_lead(struct node *node)
{
    struct arena arena;
    struct leader leader;
    struct store_position at;
    if (!node->identity.is_core)
        return false;
    arena_init(&arena);
    store_position(node->store, &at);
    struct store_view *view = store_view_open(node->store);
    const struct engine_local_past past = {
        .member_id = node->identity.node_id,
        .leader = store_get_leader(view, &arena, &leader) ? &leader : NULL,
        .epoch = at.epoch,
        .is_appointed = bootstrap_is_ours(node),
        .is_wrong = store_is_wrong(node->store)};
    bool leads = engine_local_was_leader(&past);
    store_view_close(&view);
    arena_fini(&arena);
    return leads;
}

static bool has_other_cores(struct node *node)
{
    struct arena arena;
    struct member member;
    bool has_any = false;
    arena_init(&arena);
    struct store_view *view = store_view_open(node->store);
    struct store_cursor *cursor = store_members(view);
    while (!has_any && store_next_member(cursor, &arena, &member))
        has_any = !member.is_removed && member.role == KR_MEMBER_CORE &&
                  strcmp(member.id, node->identity.node_id) != 0;
    store_cursor_close(&cursor);
    store_view_close(&view);
    arena_fini(&arena);
    return has_any;
}

static bool is_alone(struct node *node)
{
    return !node->identity.has_peers || !has_other_cores(node);
}

bool engines_asks_first(struct node *node)
{
    return node->engine->is_store_backed && is_to_lead(node) && !is_alone(node);
}

void engines_resume(struct node *node)
{
    engine_local_resume(node->engine);
}

// A follower never leads; its engine stands by for ever.
static void open_local(struct node *node)
{
    const struct engine_local_options options = {.store = node->store,
                                                 .leads = is_to_lead(node) && is_alone(node)};
    node->engine = engine_local_new(&options, NULL);
}

static void position(void *ctx, uint64_t *index, uint64_t *epoch, struct hash128 *chain)
{
    const struct node *node = ctx;
    struct store_position at;
    store_position(node->store, &at);
    *index = at.index;
    *epoch = at.epoch;
    *chain = at.chain;
}

static struct etcd_link_options link_options(const struct config *config)
{
    return (struct etcd_link_options){.endpoints = config->etcd_endpoints,
                                      .ca_file = config->etcd_ca_file,
                                      .cert_file = config->etcd_cert_file,
                                      .key_file = config->etcd_key_file};
}

enum kr_err engines_check(const struct config *config, struct fault *fault)
{
    const struct etcd_link_options link = link_options(config);
    return config_wants_etcd(config) ? etcd_link_check(&link, fault) : KR_ERR_OK;
}

static enum kr_err open_etcd(struct engines *engines, struct uv_loop_s *loop, struct fault *fault)
{
    struct node *node = engines->node;
    const struct config *config = node->config;
    struct etcd_link_options link = link_options(config);
    link.loop = loop;
    enum kr_err err = etcd_link_new(&link, &engines->link, fault);
    if (err != KR_ERR_OK)
        return err;
    const struct engine_etcd_options options = {.port = etcd_link_port(engines->link),
                                                .cluster_id = node->identity.cluster_id,
                                                .member_id = node->identity.node_id,
                                                .peer_address = node->identity.peer_address,
                                                .leader_ttl_ms = (unsigned)config->leader_ttl_ms,
                                                .quota_bytes = (uint64_t)config->etcd_quota_bytes,
                                                .position = position,
                                                .fitness = control_fitness,
                                                .ctx = node};
    node->engine = engine_etcd_new(&options);
    return KR_ERR_OK;
}

enum kr_err engines_open(struct node *node, struct uv_loop_s *loop, struct engines **out,
                         struct fault *fault)
{
    struct engines *engines = mem_zalloc(sizeof(*engines));
    enum kr_err err = KR_ERR_OK;
    engines->node = node;
    if (node->identity.is_core && config_wants_etcd(node->config))
        err = open_etcd(engines, loop, fault);
    else
        open_local(node);
    if (err != KR_ERR_OK) {
        mem_free(engines);
        engines = NULL;
    }
    *out = engines;
    return err;
}

static void on_all_closed(void *ctx)
{
    struct engines *engines = ctx;
    void (*closed)(void *ctx) = engines->closed;
    void *closed_ctx = engines->ctx;
    mem_free(engines);
    closed(closed_ctx);
}

static void on_engine_closed(void *ctx)
{
    struct engines *engines = ctx;
    engines->node->engine = NULL;
    if (engines->link != NULL)
        etcd_link_close(engines->link, on_all_closed, engines);
    else
        on_all_closed(engines);
}

void engines_close(struct engines *engines, void (*closed)(void *ctx), void *ctx)
{
    struct engine *engine = engines->node->engine;
    engines->closed = closed;
    engines->ctx = ctx;
    engine->verbs->close(engine, on_engine_closed, engines);
}

enum kr_err engines_promote(struct node *node, uint64_t known_epoch)
{
    struct fault unread;
    if (!node->engine->is_store_backed || !node->identity.is_core)
        return KR_ERR_UNSUPPORTED;
    // Without room its first entry, which says who leads, might come behind another: a crash
    // between the two would leave an epoch that is nobody's.
    if (!replica_is_leader(node->replica) &&
        store_check_room(node->store, KR_ENGINES_ROOM_BYTES, &unread) != KR_ERR_OK)
        return KR_ERR_DISK_FULL;
    return engine_local_promote(node->engine, known_epoch);
}
