// SPDX-License-Identifier: Apache-2.0
// Nodes with real sockets and certificates on one loop, over states in memory; each leads or not,
// as it is told.
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <uv.h>

#include "fake_state.h"

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/rand.h"
#include "core/tls/authority.h"
#include "replication/peers_internal.h"

enum { KR_TEST_NODES = 4, KR_TEST_WAIT_MS = 20000 };

static const int64_t day_ms = 86400000;

struct peer_node {
    char name[32], directory[64], bundle[96], upstreams[128];
    struct fake *fake;
    struct engine engine;
    bool leads, has_role, is_closed, leads_by_word, asks_first;
    uint64_t epoch, valid_until_ms; // as leader; the latter 0: always
    uint64_t outranked;             // the higher epoch that it heard of
    struct replica *replica;
    struct roster *roster;
    struct peers *peers; // NULL: down
    size_t enlisted, replaced, applied, heard, unopposed;
    struct peers_call *call;
    engine_done_fn *done; // of the append that is on its way; NULL: none
    void *done_ctx;
    struct world *world;
};

struct world {
    uv_loop_t loop;
    struct authority *authority;
    struct peer_node nodes[KR_TEST_NODES];
    size_t count;
    struct buf certificate, key;
};

// --- an engine that leads or not, as it is told --------------------------------------------------

static inline struct peer_node *node_of(struct engine *engine)
{
    return (struct peer_node *)(void *)((char *)engine - offsetof(struct peer_node, engine));
}

static inline void engine_campaign(struct engine *engine)
{
    node_of(engine)->has_role = true;
}

static inline uint64_t engine_valid(const struct engine *engine)
{
    const struct peer_node *node = node_of((struct engine *)(uintptr_t)engine);
    return node->valid_until_ms != 0 ? node->valid_until_ms : UINT64_MAX;
}

static inline enum kr_err engine_append(struct engine *engine, const struct engine_batch *batch,
                                        engine_done_fn *done, void *ctx)
{
    struct peer_node *node = node_of(engine);
    (void)batch;
    assert_null(node->done);
    node->done = done;
    node->done_ctx = ctx;
    return KR_ERR_OK;
}

// Its log lies elsewhere, and is being fetched.
static inline enum kr_err engine_read(struct engine *engine, uint64_t index, struct arena *arena,
                                      struct bytes *entry, struct fault *fault)
{
    (void)engine;
    (void)index;
    (void)arena;
    *entry = (struct bytes){0};
    return fault_set(fault, KR_ERR_BUSY, "later");
}

static inline bool engine_step(struct engine *engine)
{
    struct peer_node *node = node_of(engine);
    if (!node->has_role)
        return false;
    node->has_role = false;
    node->epoch += node->leads;
    engine->events.role(engine->events.ctx, node->leads ? KR_ENGINE_LEADER : KR_ENGINE_STANDBY,
                        node->epoch);
    return true;
}

static inline void take_role(struct peer_node *node, bool leads)
{
    node->leads = leads;
    node->has_role = true;
}

static inline void promote(struct peer_node *node, uint64_t epoch)
{
    node->epoch = epoch - 1;
    take_role(node, true);
}

static const struct engine_verbs verbs = {.name = "told",
                                          .campaign = engine_campaign,
                                          .append = engine_append,
                                          .read = engine_read,
                                          .valid_until_ms = engine_valid,
                                          .turn = engine_step};

// --- a node --------------------------------------------------------------------------------------

static inline void on_fatal(void *ctx, enum kr_err err, const struct fault *fault)
{
    (void)ctx;
    (void)err;
    fail_msg("%s", fault->text);
}

static inline void on_forwarded(void *ctx, struct peers_call *call,
                                const struct forward_request *request)
{
    struct peer_node *node = ctx;
    assert_string_equal(request->target, "/v1/keys");
    assert_int_equal(request->body.size, 100000);
    node->call = call;
}

static inline void on_enlist(void *ctx, const struct peer_member *member)
{
    struct peer_node *node = ctx;
    struct state_member row = {.is_core = member->role == KR_PEER_CORE};
    snprintf(row.id, sizeof(row.id), "%s", member->id);
    snprintf(row.region, sizeof(row.region), "%s", member->region);
    snprintf(row.peer_address, sizeof(row.peer_address), "%s", member->peer_address);
    snprintf(row.http_address, sizeof(row.http_address), "%s", member->http_address);
    node->enlisted++;
    for (size_t i = 0; i < node->world->count; i++) // as the entry would, everywhere
        fake_add_member(node->world->nodes[i].fake, &row);
}

static inline void on_outranked(void *ctx, uint64_t epoch)
{
    struct peer_node *node = ctx;
    if (!node->leads_by_word)
        fail_msg("outranked by %llu", (unsigned long long)epoch);
    node->outranked = epoch;
    take_role(node, false);
}

static inline void on_unopposed(void *ctx)
{
    struct peer_node *node = ctx;
    node->unopposed++;
    take_role(node, true);
}

static inline void on_applied(void *ctx, uint64_t index)
{
    ((struct peer_node *)ctx)->applied = index;
}

static inline void on_heard(void *ctx)
{
    ((struct peer_node *)ctx)->heard++;
}

static inline void on_replaced(void *ctx)
{
    ((struct peer_node *)ctx)->replaced++;
}

static inline uint64_t on_validations(void *ctx)
{
    (void)ctx;
    return 42;
}

static inline void issue(struct peer_node *node, const struct authority *authority, int days)
{
    struct fault fault = {0};
    struct buf bundle;
    const struct authority_request request = {
        .node_id = node->name,
        .region = "fra",
        .role = node->fake->verbs.holding == KR_HOLD_ALL ? KR_TLS_ROLE_CORE : KR_TLS_ROLE_FOLLOWER,
        .not_before_ms = clock_unix_ms() - day_ms,
        .not_after_ms = clock_unix_ms() + days * day_ms};
    buf_init(&bundle, 1 << 16);
    assert_int_equal(authority_issue(authority, &request, &bundle, &fault), KR_ERR_OK);
    assert_int_equal(file_replace(node->bundle, buf_bytes(&bundle), 0600, &fault), KR_ERR_OK);
    buf_fini(&bundle);
}

static inline void start(struct peer_node *node)
{
    struct fault fault = {0};
    const struct replica_options replica = {
        .state = &node->fake->verbs, .engine = &node->engine, .fatal = on_fatal, .ctx = node};
    node->engine = (struct engine){.verbs = &verbs, .is_store_backed = true};
    node->replica = replica_new(&replica);
    node->roster = roster_new(node->name, clock_boot_ms());
    const struct peers_options options = {.loop = &node->world->loop,
                                          .bundle_path = node->bundle,
                                          .listen = "127.0.0.1:0",
                                          .advertise = "",
                                          .http_advertise = "http://here",
                                          .upstreams = node->upstreams,
                                          .version = "test",
                                          .state = &node->fake->verbs,
                                          .replica = node->replica,
                                          .roster = node->roster,
                                          .leads_by_word = node->leads_by_word,
                                          .asks_first = node->asks_first,
                                          .owner = {node, on_forwarded, on_enlist, on_outranked,
                                                    on_unopposed, on_applied, on_heard, on_replaced,
                                                    on_fatal, on_validations}};
    enum kr_err err = peers_new(&options, &node->peers, &fault);
    if (err != KR_ERR_OK)
        fail_msg("%s", fault.text);
}

// Not started yet.
static inline struct peer_node *make_node(struct world *world, const char *name,
                                          enum store_holding holding, struct peer_node *upstream)
{
    struct peer_node *node = &world->nodes[world->count++];
    *node = (struct peer_node){.world = world, .directory = "/tmp/keyreeve-test-XXXXXX"};
    assert_non_null(mkdtemp(node->directory));
    snprintf(node->name, sizeof(node->name), "%s", name);
    strcat(strcpy(node->bundle, node->directory), "/node.pem");
    node->leads = upstream == NULL;
    if (upstream != NULL)
        strncat(node->upstreams, peers_address(upstream->peers), sizeof(node->upstreams) - 1);
    node->fake = fake_new(holding);
    issue(node, world->authority, 30);
    return node;
}

static inline struct peer_node *add_node(struct world *world, const char *name,
                                         enum store_holding holding, struct peer_node *upstream)
{
    struct peer_node *node = make_node(world, name, holding, upstream);
    start(node);
    return node;
}

static inline void turn(struct world *world)
{
    uv_run(&world->loop, UV_RUN_ONCE);
    for (size_t i = 0; i < world->count; i++) {
        struct peer_node *node = &world->nodes[i];
        if (node->replica == NULL)
            continue;
        engine_turn(&node->engine);
        replica_turn(node->replica);
        if (node->peers != NULL)
            peers_turn(node->peers);
    }
}

#define wait_for(world, condition)                                                                 \
    do {                                                                                           \
        uint64_t deadline_ms = clock_boot_ms() + KR_TEST_WAIT_MS;                                  \
        while (!(condition)) {                                                                     \
            turn(world);                                                                           \
            if (clock_boot_ms() > deadline_ms)                                                     \
                fail_msg("never came: %s", #condition);                                            \
        }                                                                                          \
    } while (0)

static inline void on_closed(void *ctx)
{
    struct peer_node *node = ctx;
    node->is_closed = true;
    node->peers = NULL;
}

static inline void stop(struct peer_node *node)
{
    if (node->peers == NULL)
        return;
    node->is_closed = false;
    peers_close(node->peers, on_closed, node);
    node->peers = NULL;
    wait_for(node->world, node->is_closed);
}

static inline void on_replica_closed(void *ctx)
{
    (void)ctx;
}

// Its process; start begins another one.
static inline void end(struct peer_node *node)
{
    stop(node);
    replica_close(node->replica, on_replica_closed, NULL);
    replica_turn(node->replica);
    node->replica = NULL;
    roster_free(&node->roster);
}

static inline void remove_node(struct peer_node *node)
{
    end(node);
    fake_free(node->fake);
    remove(node->bundle);
    remove(node->directory);
}

static inline struct authority *make_authority(struct world *world, const char *cluster_id)
{
    struct fault fault = {0};
    struct authority *authority;
    int64_t now_ms = clock_unix_ms();
    buf_init(&world->certificate, 1 << 16);
    buf_init(&world->key, 1 << 16);
    assert_int_equal(authority_make(cluster_id, now_ms - day_ms, now_ms + 365 * day_ms,
                                    &world->certificate, &world->key, &fault),
                     KR_ERR_OK);
    assert_int_equal(
        authority_open(buf_bytes(&world->certificate), buf_bytes(&world->key), &authority, &fault),
        KR_ERR_OK);
    buf_fini(&world->certificate);
    buf_fini(&world->key);
    return authority;
}

static inline int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    signal(SIGPIPE, SIG_IGN); // as a node's start does: libuv writes to peers that have gone
    rand_init();
    log_configure(KR_LOG_ERROR, KR_LOG_TEXT);
    uv_loop_init(&world->loop);
    world->authority = make_authority(world, "clst_000000000000000000000001");
    *state = world;
    return 0;
}

static inline int teardown(void **state)
{
    struct world *world = *state;
    for (size_t i = world->count; i-- > 0;)
        remove_node(&world->nodes[i]);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    authority_close(&world->authority);
    free(world);
    return 0;
}

static inline bool is_fresh(const struct peer_node *node)
{
    return replica_age_ms(node->replica, clock_boot_ms()) < 1000;
}

static inline bool is_same_index(const struct peer_node *a, const struct peer_node *b)
{
    return a->fake->position.index == b->fake->position.index;
}

static inline void commit(struct peer_node *leader, const char *text)
{
    fake_commit_text(leader->fake, text);
    peers_committed(leader->peers);
}

// Tells the node whether it leads, and waits until its peers know.
static inline void lead(struct peer_node *node, bool leads)
{
    take_role(node, leads);
    wait_for(node->world, node->peers->was_leader == leads);
}
