// SPDX-License-Identifier: Apache-2.0
// A node: its start over what its disk holds, its turns in the order of the real control loop, and
// its end.
//
// Stands where node/ and replication/peers_link.c stand in the product: the glue between engine,
// replica, roster, peers and what is asked of a leader.
#include <assert.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "replication/engine_local.h"
#include "replication/trimming.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_check.h"
#include "tests/sim/sim_service.h"
#include "tests/sim/sim_writes.h"

enum { KR_SIM_RESTART_US = 300000 };

static struct state verbs[KR_SIM_NODES];

// --- finding -------------------------------------------------------------------------------------

struct sim_node *sim_node_by_address(const char *address)
{
    for (unsigned i = 0; i < sim.node_count; i++)
        if (strcmp(sim.nodes[i].address, address) == 0)
            return &sim.nodes[i];
    return NULL;
}

struct sim_node *sim_node_by_id(const char *id)
{
    for (unsigned i = 0; i < sim.node_count; i++)
        if (strcmp(sim.nodes[i].id, id) == 0)
            return &sim.nodes[i];
    return NULL;
}

struct sim_node *sim_node_leader(void)
{
    struct sim_node *leader = NULL;
    for (unsigned i = 0; i < sim.node_count; i++) {
        struct sim_node *node = &sim.nodes[i];
        if (node->is_up && replica_is_leader(node->replica) &&
            (leader == NULL || replica_epoch(node->replica) > replica_epoch(leader->replica)))
            leader = node;
    }
    return leader;
}

// As control_fitness in the product.
enum engine_fitness sim_node_fitness(void *ctx, struct fault *why)
{
    const struct sim_node *node = ctx;
    if (node->peers == NULL || sim_is_broken(KR_SIM_UNFIT_STANDS))
        return KR_ENGINE_FIT;
    return peers_fitness(node->peers, why);
}

// --- what the peers ask --------------------------------------------------------------------------

static void forwarded(void *ctx, struct peers_call *call, const struct forward_request *request)
{
    sim_writes_forwarded(ctx, call, request);
}

static void enlist(void *ctx, const struct peer_member *member)
{
    sim_writes_enlist(ctx, member);
}

static void outranked(void *ctx, uint64_t epoch)
{
    struct sim_node *node = ctx;
    sim_say("outranked by epoch %llu", (unsigned long long)epoch);
    if (!sim.is_etcd)
        sim_engine_local_step_down(node->engine);
}

// An old leader that would lead because nobody answers, or because the promotion never came to a
// disk, is kept from it, as the operator has promised.
static void unopposed(void *ctx)
{
    struct sim_node *node = ctx;
    const struct sim_node *appointed = sim.appointed;
    sim_say("leads again");
    if (node == appointed) {
        sim_engine_local_resume(node->engine);
        return;
    }
    if (upstream_hearing(&node->peers->upstream) == KR_UPSTREAM_ALL_HEARD &&
        appointed->disk->position.epoch > node->disk->position.epoch)
        sim_violated('a', "%s would lead again, though %s was promoted and has been asked",
                     node->id, appointed->id);
    node->peers->asking = KR_PEERS_KNOWS;
}

static void applied(void *ctx, uint64_t index)
{
    (void)ctx, (void)index;
}

static void heard(void *ctx)
{
    sim_node_turn_soon(ctx);
}

static void replaced(void *ctx)
{
    struct sim_node *node = ctx;
    node->must_start_again = true;
    sim_node_turn_soon(node);
}

static void fail(void *ctx, enum kr_err err, const struct fault *fault)
{
    struct sim_node *node = ctx;
    if (!node->is_dying)
        sim_violated('i', "%s stops, and its disk is sound: %s: %s", node->id, err_text(err),
                     fault->text);
    node->has_failed = true;
}

static uint64_t validations(void *ctx)
{
    (void)ctx;
    return 0;
}

// --- the peers' port -----------------------------------------------------------------------------

struct uv_loop_s *peers_port_loop(const struct peers *peers)
{
    (void)peers;
    return NULL;
}

void peers_port_step(struct peers *peers)
{
    (void)peers;
}

static void finish_import(struct sim_node *node, uint64_t arg)
{
    struct fault fault = {0};
    (void)arg;
    struct state_import *import = node->finishing;
    node->finishing = NULL;
    enum kr_err err = verbs[node->slot].import_finish(import, &fault);
    if (err != KR_ERR_OK)
        sim_say("snapshot refused: %s", fault.text);
    peers_session_finished(node->peers, err, &fault);
    sim_node_turn_soon(node);
}

void peers_port_finish(struct peers *peers, struct state_import *import)
{
    struct sim_node *node = sim.running;
    (void)peers;
    node->finishing = import;
    sim_after(sim_between(2000, 300000), node, finish_import, 0);
}

// --- turns ---------------------------------------------------------------------------------------

// Damage that led before it was compared with anything is not found any more.
static void check_leader(struct sim_node *node)
{
    struct member own;
    if (sim.is_etcd && fake_get_member(&node->disk->fake, node->id, &own) && own.is_removed)
        sim_violated('f', "%s leads, and was removed", node->id);
    sim.has_spread |= node->disk->is_rotten;
}

static void watch_leadership(struct sim_node *node)
{
    bool is_leader = replica_is_leader(node->replica);
    uint64_t epoch = replica_epoch(node->replica);
    if (is_leader && (node->disk->is_wrong || node->peers->carry.must_rebuild))
        sim_violated('f', "%s leads, and knows that its state is wrong", node->id);
    if (!is_leader) {
        node->last_epoch = 0;
        return;
    }
    if (node->last_epoch == epoch)
        return;
    node->last_epoch = epoch;
    if (sim.leader != node)
        sim.former = sim.leader;
    sim.leader = node;
    check_leader(node);
    sim_say("leads under epoch %llu from entry %llu", (unsigned long long)epoch,
            (unsigned long long)node->disk->position.index);
    peers_committed(node->peers);
}

// Damage is found where some was done, or where it has spread to by a snapshot.
static void watch_differences(struct sim_node *node)
{
    if (node->peers->figures.differences > 0 && !sim.has_rotted)
        sim_violated('i', "%s takes its state for damaged, and nothing was", node->id);
}

static void turn(struct sim_node *node, uint64_t arg)
{
    (void)arg;
    node->has_turn_due = false;
    node->turn_ms = clock_boot_ms();
    bool is_more = engine_turn(node->engine);
    is_more |= replica_turn(node->replica);
    watch_leadership(node);
    if (replica_is_leader(node->replica) && node->told_index != node->disk->position.index)
        peers_committed(node->peers);
    node->told_index = node->disk->position.index;
    peers_turn(node->peers);
    watch_differences(node);
    sim_writes_turn(node);
    if (node->must_start_again)
        node->has_failed = true;
    if (is_more)
        sim_node_turn_soon(node);
}

void sim_node_turn_soon(struct sim_node *node)
{
    if (node->has_turn_due || node->is_dying)
        return;
    node->has_turn_due = true;
    sim_after(sim_below(KR_SIM_TURN_US), node, turn, 0);
}

// As the product does: see peering_tick.
static void trim(struct sim_node *node)
{
    sim_state_trim(node->disk);
    if (!sim.is_etcd || !replica_is_leader(node->replica))
        return;
    uint64_t end = node->disk->position.index, kept = node->disk->retention;
    const struct trimming_limit limit = {.near_index = end > kept ? end - kept : 0,
                                         .is_unheard = sim_service_count() > kept};
    uint64_t below_index =
        trimming_below(&verbs[node->slot], node->roster, &limit, clock_boot_ms());
    if (below_index > 1)
        node->engine->verbs->trim(node->engine, below_index);
}

static void flushed(struct sim_node *node, uint64_t arg)
{
    (void)arg;
    sim_state_flushed(node->disk);
}

static void flush(struct sim_node *node)
{
    if (node->is_core && sim_state_flush(node->disk))
        sim_after(sim_between(200, 300000), node, flushed, 0);
}

static void tick(struct sim_node *node, uint64_t count)
{
    node->turn_ms = clock_boot_ms();
    peers_tick(node->peers);
    if (!replica_known(node->replica).is_doubtful)
        sim_state_caught_up(node->disk);
    if (count % 50 == 0)
        trim(node);
    if (count % 40 == 0)
        flush(node);
    sim_node_turn_soon(node);
    sim_after(KR_PEERS_TICK_MS * 1000 + sim_below(1500), node, tick, count + 1);
}

// --- start ---------------------------------------------------------------------------------------

static void fill_own(struct sim_node *node, struct tls_peer *own)
{
    snprintf(own->node_id, sizeof(own->node_id), "%s", node->id);
    snprintf(own->cluster_id, sizeof(own->cluster_id), "clst_sim");
    snprintf(own->region, sizeof(own->region), "%s", node->region);
    own->role = node->is_core ? KR_TLS_ROLE_CORE : KR_TLS_ROLE_FOLLOWER;
}

static void upstream_addresses(const struct sim_node *node, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    if (node->upstreams != NULL)
        snprintf(out, size, "%s", node->upstreams);
    for (unsigned i = 0; i < sim.core_count && node->upstreams == NULL; i++)
        if (i != node->slot)
            at += (size_t)snprintf(out + at, size - at, "%s%s", at > 0 ? "," : "",
                                   sim.nodes[i].address);
}

// By its own disk, as node/engines.c: whoever was replaced knows nothing of it.
static bool is_to_lead(const struct sim_node *node)
{
    struct leader leader;
    bool has_leader = fake_get_leader(&node->disk->fake, &leader);
    const struct engine_local_past past = {.member_id = node->id,
                                           .leader = has_leader ? &leader : NULL,
                                           .epoch = node->disk->position.epoch,
                                           .is_appointed = node == sim.appointed,
                                           .is_wrong = node->disk->is_wrong};
    return !sim.is_etcd && engine_local_was_leader(&past);
}

// As node/engines.c.
static bool asks_first(const struct sim_node *node)
{
    struct member member;
    bool has_others = false;
    for (unsigned i = 0; i < sim.core_count; i++)
        has_others |= i != node->slot &&
                      fake_get_member(&node->disk->fake, sim.nodes[i].id, &member) &&
                      !member.is_removed;
    return has_others && is_to_lead(node) && !sim_is_broken(KR_SIM_UNASKED_LEADER);
}

static void start_peers(struct sim_node *node)
{
    static char upstreams[KR_SIM_NODES][256];
    struct fault fault = {0};
    upstream_addresses(node, upstreams[node->slot], sizeof(upstreams[0]));
    const struct peers_options options = {.bundle_path = "",
                                          .listen = node->address,
                                          .advertise = node->address,
                                          .http_advertise = "",
                                          .upstreams = upstreams[node->slot],
                                          .version = "sim",
                                          .state = &verbs[node->slot],
                                          .replica = node->replica,
                                          .roster = node->roster,
                                          .leads_by_word = !sim.is_etcd,
                                          .asks_first = asks_first(node),
                                          .owner = {.ctx = node,
                                                    .forwarded = forwarded,
                                                    .enlist = enlist,
                                                    .outranked = outranked,
                                                    .unopposed = unopposed,
                                                    .applied = applied,
                                                    .heard = heard,
                                                    .replaced = replaced,
                                                    .fatal = fail,
                                                    .validations = validations}};
    node->peers = peers_make(&options);
    fill_own(node, &node->peers->own);
    snprintf(node->peers->address, sizeof(node->peers->address), "%s", node->address);
    snprintf(node->peers->advertised, sizeof(node->peers->advertised), "%s", node->address);
    enum kr_err err = peers_choose(node->peers, sim_below(UINT64_MAX), &fault);
    assert(err == KR_ERR_OK);
    (void)err;
}

// The engine's events carry the replica.
static void on_leader(void *ctx, const char *member_id, const char *peer_address)
{
    for (unsigned i = 0; i < sim.node_count; i++)
        if (sim.nodes[i].replica == ctx && sim.nodes[i].peers != NULL)
            peers_leader_is(sim.nodes[i].peers, member_id, peer_address);
}

static void start_engine(struct sim_node *node)
{
    const struct replica_options options = {
        .state = &verbs[node->slot],
        .engine = sim.is_etcd && node->is_core
                      ? sim_engine_new(node)
                      : sim_engine_local_new(node, is_to_lead(node) && !asks_first(node)),
        .fatal = fail,
        .fitness = sim_node_fitness,
        .ctx = node};
    node->engine = options.engine;
    node->replica = replica_new(&options);
    node->engine->events.leader = on_leader;
    if (node->disk->may_lack && !sim_is_broken(KR_SIM_UNDOUBTED_START)) // as node/start.c
        replica_note_doubt(node->replica, true);
}

// It ended before its promotion was on its disk; the operator sees that nobody leads.
static void promote_again(struct sim_node *node)
{
    sim_say("is promoted again");
    sim.appointed_epoch = sim_engine_local_promote(node->engine, sim.appointed_epoch - 1);
    sim_node_turn_soon(node);
}

void sim_node_start(struct sim_node *node)
{
    if (node->is_up)
        return;
    sim.running = node;
    node->is_up = true;
    node->has_failed = node->is_dying = node->has_turn_due = node->must_start_again = false;
    node->is_paused = false;
    node->last_epoch = node->told_index = 0;
    node->up_since_us = sim.now_us;
    if (!sim_state_open(node->disk))
        sim_violated('f', "%s: what is on its disk cannot be read", node->id);
    sim_state_verbs(node->disk, &verbs[node->slot]);
    sim_say("starts at entry %llu of epoch %llu", (unsigned long long)node->disk->position.index,
            (unsigned long long)node->disk->position.epoch);
    sim_check_started(node);
    start_engine(node);
    node->roster = roster_new(node->id, clock_boot_ms());
    node->writes = sim_writes_new();
    start_peers(node);
    if (node == sim.appointed && node->disk->position.epoch < sim.appointed_epoch)
        promote_again(node);
    sim_after(sim_below(20000), node, tick, 1);
    sim.running = NULL;
}

// --- end -----------------------------------------------------------------------------------------

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static void close_replica(struct sim_node *node)
{
    bool is_replica_closed = false, is_engine_closed = false;
    replica_close(node->replica, on_closed, &is_replica_closed);
    node->engine->verbs->close(node->engine, on_closed, &is_engine_closed);
    while (!is_replica_closed) {
        engine_turn(node->engine);
        replica_turn(node->replica);
    }
    while (!is_engine_closed)
        engine_turn(node->engine);
    node->replica = NULL;
    node->engine = NULL;
}

// A stop waits for the check of a snapshot; a death does not.
static void end_check(struct sim_node *node, bool is_stop)
{
    struct fault fault = {.err = KR_ERR_TIMEOUT, .text = "the process has ended"};
    struct state_import *import = node->finishing;
    if (import == NULL)
        return;
    node->finishing = NULL;
    enum kr_err err = is_stop ? verbs[node->slot].import_finish(import, &fault) : fault.err;
    peers_session_finished(node->peers, err, &fault);
}

static void start_later(struct sim_node *none, uint64_t slot)
{
    (void)none;
    sim_node_start(&sim.nodes[slot]);
}

void sim_node_kill(struct sim_node *node, bool is_power_cut)
{
    bool is_by_itself = node->has_failed;
    if (!node->is_up)
        return;
    sim.running = node;
    sim_say("%s", is_power_cut ? "loses its power" : "ends");
    bool was_dying = node->is_dying;
    node->is_dying = true;
    sim_writes_drop(node);
    node->carried = replica_known(node->replica);
    peers_shut(node->peers);
    sim_net_drop(node, is_power_cut);
    end_check(node, !is_power_cut && sim_chance(50));
    close_replica(node);
    assert(peers_is_shut(node->peers));
    peers_free(node->peers);
    node->peers = NULL;
    roster_free(&node->roster);
    sim_writes_free(&node->writes);
    node->is_dying = was_dying;
    sim_state_shut(node->disk, is_power_cut);
    node->is_up = node->is_paused = false;
    node->incarnation++;
    sim.running = NULL;
    sim.figures.crashes++;
    if (is_by_itself)
        sim_after(KR_SIM_RESTART_US + sim_below(700000), NULL, start_later, node->slot);
}

// --- the operator --------------------------------------------------------------------------------

static void go_on(struct sim_node *none, uint64_t slot)
{
    struct sim_node *node = &sim.nodes[slot];
    (void)none;
    if (node->is_paused && sim.now_us >= node->paused_until_us) {
        node->is_paused = false;
        sim_say("%s goes on", node->id);
    }
}

void sim_node_pause(struct sim_node *node, uint64_t duration_us)
{
    uint64_t until_us = sim.now_us + duration_us;
    if (!node->is_up || (node->is_paused && node->paused_until_us >= until_us))
        return;
    node->is_paused = true;
    node->paused_until_us = until_us;
    sim_at(until_us, NULL, go_on, node->slot);
}

// As control_promote in the product.
void sim_node_promote(struct sim_node *node)
{
    uint64_t known_epoch = peers_known_epoch(node->peers);
    if (peers_is_rebuilding(node->peers)) {
        sim_say("%s is not promoted: it is being rebuilt", node->id);
        return;
    }
    struct fault unread;
    const struct state *state = &verbs[node->slot];
    if (state->check_room(state->ctx, 0, &unread) != KR_ERR_OK) {
        sim_say("%s is not promoted: its disk is full", node->id);
        return;
    }
    sim.appointed = node;
    sim.figures.promotions++;
    sim.running = node;
    sim.appointed_epoch = sim_engine_local_promote(node->engine, known_epoch);
    engine_turn(node->engine);
    sim_say("is promoted at entry %llu", (unsigned long long)node->disk->position.index);
    sim_check_cut(node->disk->position.index, sim.appointed_epoch);
    sim_node_turn_soon(node);
    sim.running = NULL;
}
