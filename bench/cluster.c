// SPDX-License-Identifier: Apache-2.0
// Starting a cluster in an emulated world or on the loopback.
#include "bench/cluster_internal.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "bench/interrupt.h"
#include "bench/load.h"
#include "bench/protocol.h"
#include "core/base/clock.h"
#include "core/base/file.h"

enum { KR_CLUSTER_PATIENCE_MS = 300000 };

static bool has_etcd(const struct cluster *cluster)
{
    return strcmp(cluster->plan.engine, "etcd") == 0;
}

// --- files ---------------------------------------------------------------------------------------

static enum kr_err run_offline(struct cluster *cluster, const char *const arguments[8])
{
    char program[KR_CLUSTER_PATH];
    struct site here;
    site_init(&here);
    snprintf(program, sizeof(program), "%s/keyreeve", cluster->plan.programs);
    struct program_plan plan = {
        .site = &here, .directory = cluster->plan.directory, .name = "certificates"};
    plan.arguments[0] = program;
    for (size_t i = 0; i < 8 && arguments[i] != NULL; i++)
        plan.arguments[i + 1] = arguments[i];
    return program_run(&plan, cluster->fault);
}

static enum kr_err make_certificates(struct cluster *cluster)
{
    const char *const init[8] = {"cluster", "init", "--out", "ca"};
    enum kr_err err = run_offline(cluster, init);
    for (size_t i = 0; i < cluster->count && err == KR_ERR_OK; i++) {
        const struct topology_node *node = cluster->nodes[i].at;
        const char *region = cluster->plan.topology->regions[node->region];
        const char *const add[8] = {
            "node",     "add",  node->name, "--dir=ca",
            "--region", region, "--role",   node->is_core ? "core" : "follower"};
        err = run_offline(cluster, add);
    }
    return err;
}

// The peers that a node is told: those of the topology, or every core node but itself.
static void add_upstreams(const struct cluster *cluster, const struct topology_node *node,
                          struct buf *out)
{
    const struct topology *topology = cluster->plan.topology;
    const char *comma = "upstreams: ";
    for (size_t i = 0; i < topology->node_count; i++) {
        const struct topology_node *other = &topology->nodes[i];
        bool is_upstream = node->upstream_count == 0 && other->is_core && other != node;
        for (size_t k = 0; k < node->upstream_count; k++)
            is_upstream = is_upstream || node->upstreams[k] == i;
        if (!is_upstream)
            continue;
        buf_printf(out, "%s%s:%d", comma, cluster->nodes[i].peer_address, KR_CLUSTER_PEERS);
        comma = ",";
    }
    buf_add_text(out, comma[0] == ',' ? "\n" : "");
}

// Clients speak to a node from its own region, in a private namespace, or from this machine: in the
// clear.
static enum kr_err make_config(struct cluster *cluster, const struct cluster_node *one)
{
    const struct topology_node *node = one->at;
    const char *directory = cluster->plan.directory, *name = node->name;
    char path[KR_CLUSTER_PATH];
    struct buf text;
    enum kr_err err = KR_ERR_OK;
    buf_init(&text, KR_CLUSTER_TEXT);
    buf_printf(&text, "data: %s/%s/data\n", directory, name);
    buf_printf(&text, "http: %s:%d\n", node->address, KR_CLUSTER_HTTP);
    buf_printf(&text, "binary_listen: %s:%d\n", node->address, KR_CLUSTER_BINARY);
    buf_printf(&text, "peer_listen: %s:%d\n", node->address, KR_CLUSTER_PEERS);
    buf_printf(&text, "peer_advertise: %s:%d\n", one->peer_address, KR_CLUSTER_PEERS);
    buf_printf(&text, "peer_bundle: %s/ca/%s/node.pem\n", directory, name);
    buf_add_text(&text, "insecure: true\nrate_limit_per_token: 0\nserve_threads: 1\n");
    // The connections of a later phase wait for their turn.
    buf_add_text(&text, "log_level: warn\nidle_timeout_ms: 3600000\n");
    if (node->is_core)
        buf_printf(&text, "master_key_file: %s/ca/%s/master-key\n", directory, name);
    if (node->is_core && has_etcd(cluster))
        err = cluster_etcd_add(cluster, one, &text);
    else if (node != cluster->nodes[0].at)
        add_upstreams(cluster, node, &text);
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    if (err == KR_ERR_OK)
        err = file_make_directory(path, 0700, cluster->fault);
    snprintf(path, sizeof(path), "%s/%s/keyreeve.yaml", directory, name);
    if (err == KR_ERR_OK)
        err = file_replace(path, buf_bytes(&text), 0600, cluster->fault);
    buf_fini(&text);
    return err;
}

// --- processes -----------------------------------------------------------------------------------

static enum kr_err start_node(struct cluster *cluster, struct cluster_node *node)
{
    char program[KR_CLUSTER_PATH], config[KR_CLUSTER_PATH];
    snprintf(program, sizeof(program), "%s/keyreeved", cluster->plan.programs);
    snprintf(config, sizeof(config), "%s/keyreeve.yaml", node->at->name);
    const struct program_plan plan = {.site = &node->site,
                                      .directory = cluster->plan.directory,
                                      .name = node->at->name,
                                      .arguments = {program, "--config", config}};
    return program_start(&plan, &node->program, cluster->fault);
}

bool cluster_is_ready(const struct cluster *cluster, size_t node)
{
    const struct cluster_node *one = &cluster->nodes[node];
    const struct protocol_request request = {KR_PROTOCOL_EMPTY, "node", "/readyz"};
    struct protocol_answer answer = {0};
    struct fault ignored;
    struct talk talk;
    size_t used;
    talk_init(&talk, one->at->name, &ignored);
    enum kr_err err = talk_open(&talk, &one->site, one->site.address, KR_CLUSTER_HTTP);
    if (err == KR_ERR_OK) {
        protocol_add(&request, (struct bytes){0}, &talk.out);
        err = talk_send(&talk);
    }
    while (err == KR_ERR_OK && protocol_read(KR_PROTOCOL_EMPTY, buf_bytes(&talk.in), &used,
                                             &answer) == KR_PROTOCOL_MORE)
        err = talk_wait(&talk);
    talk_close(&talk);
    return err == KR_ERR_OK && answer.status == 200;
}

enum kr_err cluster_await_ready(struct cluster *cluster, size_t node)
{
    struct cluster_node *one = &cluster->nodes[node];
    char said[256];
    int status;
    uint64_t until_ms = clock_boot_ms() + KR_CLUSTER_PATIENCE_MS;
    while (!cluster_is_ready(cluster, node)) {
        if (interrupt_is_noted())
            return fault_set(cluster->fault, KR_ERR_IO, "interrupted");
        if (waitpid(one->program.pid, &status, WNOHANG) == one->program.pid) {
            one->program.pid = 0;
            program_last_line(cluster->plan.directory, one->at->name, said, sizeof(said));
            return fault_set(cluster->fault, KR_ERR_IO, "%s has ended with %s %d: %s",
                             one->at->name, WIFSIGNALED(status) ? "signal" : "code",
                             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), said);
        }
        if (clock_boot_ms() > until_ms)
            return fault_set(cluster->fault, KR_ERR_TIMEOUT, "%s is not ready after %d s",
                             one->at->name, KR_CLUSTER_PATIENCE_MS / 1000);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return KR_ERR_OK;
}

enum kr_err cluster_restart_empty(struct cluster *cluster, size_t node)
{
    char path[KR_CLUSTER_PATH];
    struct cluster_node *one = &cluster->nodes[node];
    program_stop(&one->program, SIGTERM);
    snprintf(path, sizeof(path), "%s/%s/data", cluster->plan.directory, one->at->name);
    enum kr_err err = file_remove_tree(path, cluster->fault);
    return err == KR_ERR_OK ? start_node(cluster, one) : err;
}

// --- all of it -----------------------------------------------------------------------------------

static enum kr_err start_all(struct cluster *cluster)
{
    enum kr_err err = KR_ERR_OK;
    if (has_etcd(cluster))
        err = cluster_etcd_up(cluster);
    // The first node makes the cluster, and leads it; the others find it.
    for (size_t i = 0; i < cluster->count && err == KR_ERR_OK; i++) {
        err = start_node(cluster, &cluster->nodes[i]);
        if (err == KR_ERR_OK && i == 0)
            err = cluster_await_ready(cluster, 0);
    }
    for (size_t i = 1; i < cluster->count && err == KR_ERR_OK; i++)
        err = cluster_await_ready(cluster, i);
    return err;
}

static enum kr_err place(struct cluster *cluster, struct cluster_node *node)
{
    const struct cluster_plan *plan = &cluster->plan;
    if (plan->world == NULL) {
        site_init(&node->site);
        snprintf(node->site.address, sizeof(node->site.address), "%s", node->at->address);
        snprintf(node->peer_address, sizeof(node->peer_address), "%s", node->at->address);
        return KR_ERR_OK;
    }
    enum kr_err err =
        site_enter(&node->site, plan->world, plan->topology->regions[node->at->region],
                   node->at->address, cluster->fault);
    // A node's connections come from its own address, by which relays know its region.
    return err == KR_ERR_OK ? world_reach(plan->world, KR_WORLD_ANYWHERE, node->at->address,
                                          KR_CLUSTER_PEERS, node->peer_address, cluster->fault)
                            : err;
}

enum kr_err cluster_up(struct cluster *cluster, const struct cluster_plan *plan,
                       struct fault *fault)
{
    const struct topology *topology = plan->topology;
    char token[KR_CLUSTER_PATH];
    enum kr_err err = KR_ERR_OK;
    *cluster = (struct cluster){.plan = *plan, .fault = fault};
    talk_init(&cluster->leader.talk, "the leader", fault);
    if (topology->node_count == 0 || !topology->nodes[0].is_core)
        return fault_set(fault, KR_ERR_INVALID, "the topology's first node must be a core node");
    for (; cluster->count < topology->node_count && err == KR_ERR_OK; cluster->count++) {
        struct cluster_node *node = &cluster->nodes[cluster->count];
        node->at = &topology->nodes[cluster->count];
        err = place(cluster, node);
    }
    if (err == KR_ERR_OK)
        err = make_certificates(cluster);
    if (err == KR_ERR_OK && has_etcd(cluster))
        err = cluster_etcd_certify(cluster);
    for (size_t i = 0; i < cluster->count && err == KR_ERR_OK; i++)
        err = make_config(cluster, &cluster->nodes[i]);
    if (err == KR_ERR_OK)
        err = start_all(cluster);
    snprintf(token, sizeof(token), "%s/%s/data/owner-token", plan->directory,
             topology->nodes[0].name);
    if (err == KR_ERR_OK)
        err = manage_open(&cluster->leader, &cluster->nodes[0].site, topology->nodes[0].address,
                          KR_CLUSTER_HTTP, token, fault);
    return err;
}

void cluster_down(struct cluster *cluster)
{
    manage_close(&cluster->leader);
    for (size_t i = cluster->count; i > 0; i--) {
        struct cluster_node *node = &cluster->nodes[i - 1];
        program_stop(&node->program, SIGKILL);
        program_stop(&node->etcd, SIGKILL);
        site_leave(&node->site);
    }
}
