// SPDX-License-Identifier: Apache-2.0
// Keyreeve: a leader and a follower; a key is revoked at the one, and validated at the other.
#include "bench/beside.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/cluster.h"
#include "core/base/mem.h"

enum { KR_PAIR_LEADER, KR_PAIR_FOLLOWER, KR_PAIR_NODES };
enum { KR_BESIDE_VALID_MS = 60000 };

// 127.64.0.0 is the first that are given out; no two processes have the same two.
enum { KR_PAIR_LOOPBACK = 0x7f400000, KR_PAIR_HOST = 11 };

// --- the nodes -----------------------------------------------------------------------------------

static void place(const struct beside_state *state, unsigned which, struct topology *pair)
{
    const struct in_addr own = {.s_addr = htonl(KR_PAIR_LOOPBACK + 2 * (uint32_t)getpid() + which)};
    struct topology_node *node = &pair->nodes[which];
    if (state->world != NULL)
        topology_address(pair, node->region, KR_PAIR_HOST + which, node->address);
    else
        inet_ntop(AF_INET, &own, node->address, sizeof(node->address));
}

// The regions of the default topology, and two nodes.
static enum kr_err lay_out(const struct beside_state *state, struct topology *out)
{
    struct in_addr near;
    enum kr_err err = topology_load(NULL, out, state->fault);
    if (err != KR_ERR_OK)
        return err;
    // The world's network is that of its sites.
    if (inet_pton(AF_INET, state->near.address, &near) == 1)
        memcpy(out->net, &near, sizeof(out->net));
    out->node_count = KR_PAIR_NODES;
    out->nodes[KR_PAIR_LEADER] = (struct topology_node){
        .name = "leader", .region = topology_region(out, state->near_region), .is_core = true};
    out->nodes[KR_PAIR_FOLLOWER] = (struct topology_node){
        .name = "follower", .region = topology_region(out, state->far_region)};
    for (unsigned i = 0; i < KR_PAIR_NODES; i++)
        place(state, i, out);
    return KR_ERR_OK;
}

static enum kr_err open_talks(struct beside_state *state, const struct topology *pair)
{
    char token[512];
    snprintf(token, sizeof(token), "%s/leader/data/owner-token", state->directory);
    enum kr_err err = api_read_token(token, state->token, state->fault);
    if (err == KR_ERR_OK)
        err = talk_open(&state->primary, &state->near, pair->nodes[KR_PAIR_LEADER].address,
                        KR_CLUSTER_HTTP);
    if (err == KR_ERR_OK)
        err = talk_open(&state->replica, &state->far, pair->nodes[KR_PAIR_FOLLOWER].address,
                        KR_CLUSTER_HTTP);
    return err;
}

// The processes are the state's from here on, and end with it.
static void take_programs(struct beside_state *state, struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        state->programs[i] = (struct program){"keyreeve", cluster->nodes[i].program.pid};
        cluster->nodes[i].program.pid = 0;
    }
}

static enum kr_err make_consumer(struct beside_state *state)
{
    snprintf(state->consumer, sizeof(state->consumer), "beside");
    return api_make_consumer(&state->primary, state->token, KR_API_BUCKET, state->consumer);
}

static enum kr_err start(struct beside_state *state)
{
    struct topology *pair = mem_zalloc(sizeof(*pair));
    struct cluster *cluster = mem_zalloc(sizeof(*cluster));
    const struct cluster_plan plan = {.world = state->world,
                                      .topology = pair,
                                      .engine = "local",
                                      .programs = state->folder,
                                      .directory = state->directory};
    enum kr_err err = lay_out(state, pair);
    if (err == KR_ERR_OK) {
        err = cluster_up(cluster, &plan, state->fault);
        take_programs(state, cluster);
        cluster_down(cluster);
    }
    if (err == KR_ERR_OK)
        err = open_talks(state, pair);
    mem_free(cluster);
    mem_free(pair);
    return err == KR_ERR_OK ? make_consumer(state) : err;
}

// --- rounds --------------------------------------------------------------------------------------

static enum kr_err send_validate(struct beside_state *state)
{
    api_add_validate(&state->replica, state->key.value);
    return talk_send(&state->replica);
}

static enum kr_err ready(struct beside_state *state)
{
    enum kr_err err =
        api_make_key(&state->primary, state->token, KR_API_BUCKET, state->consumer, &state->key);
    if (err == KR_ERR_OK)
        err = api_await_valid(&state->replica, state->key.value, KR_BESIDE_VALID_MS);
    if (err == KR_ERR_OK)
        api_add_post(&state->primary, state->token, KR_API_BUCKET, state->key.revoke, "{}");
    return err == KR_ERR_OK ? send_validate(state) : err;
}

static enum kr_err change(struct beside_state *state)
{
    return talk_send(&state->primary);
}

static enum kr_err look(struct beside_state *state, bool *is_seen)
{
    struct protocol_answer answer;
    enum kr_err err = api_look(&state->replica, &answer);
    if (err != KR_ERR_OK)
        return err == KR_ERR_NOT_FOUND ? KR_ERR_OK : err;
    *is_seen = strcmp(answer.code, "REVOKED") == 0;
    return *is_seen ? KR_ERR_OK : send_validate(state);
}

static enum kr_err settle(struct beside_state *state)
{
    struct protocol_answer answer;
    return api_await(&state->primary, &answer);
}

const struct beside_system beside_keyreeve = {
    .name = "keyreeve",
    .label = "Keyreeve, a key revoked, validated at a follower",
    .settings = "a leader and a follower, defaults: answers when it is flushed",
    .stop_signal = SIGTERM,
    .start = start,
    .ready = ready,
    .change = change,
    .look = look,
    .settle = settle,
};
