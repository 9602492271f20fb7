// SPDX-License-Identifier: Apache-2.0
// Starting a cluster in an emulated world or on the loopback.
#include "bench/cluster.h"

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

enum {
    KR_CLUSTER_PATH = 512,
    KR_CLUSTER_TEXT = 4096,
    KR_CLUSTER_ETCD_CLIENT = 2379,
    KR_CLUSTER_ETCD_PEER = 2380,
    KR_CLUSTER_PATIENCE_MS = 300000
};

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

// One certificate, for the members and for the nodes as their clients.
static enum kr_err make_etcd_certificates(struct cluster *cluster)
{
    static const char script[] =
        "set -e; mkdir etcd-ca; cd etcd-ca; "
        "new='openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'; "
        "$new -x509 -days 3650 -subj /CN=etcd-ca -keyout ca-key.pem -out ca.pem; "
        "$new -subj /CN=etcd -keyout etcd-key.pem -out etcd.csr; "
        "printf 'subjectAltName=%s\\nextendedKeyUsage=serverAuth,clientAuth\\n' \"$1\" >etcd.ext; "
        "openssl x509 -req -in etcd.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 3650 "
        "-extfile etcd.ext -out etcd.pem";
    char names[KR_CLUSTER_TEXT];
    struct site here;
    struct buf list;
    site_init(&here);
    buf_init_fixed(&list, names, sizeof(names) - 1);
    for (size_t i = 0; i < cluster->count; i++)
        buf_printf(&list, "%sIP:%s", i == 0 ? "" : ",", cluster->nodes[i].at->address);
    names[list.size] = '\0';
    const struct program_plan plan = {.site = &here,
                                      .directory = cluster->plan.directory,
                                      .name = "certificates",
                                      .arguments = {"sh", "-c", script, "sh", names}};
    return program_run(&plan, cluster->fault);
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
        buf_printf(out, "%s%s:%d", comma, other->address, KR_CLUSTER_PEERS);
        comma = ",";
    }
    buf_add_text(out, comma[0] == ',' ? "\n" : "");
}

// Of all members, the nearest first, which is that in the node's own region.
static void add_etcd_endpoints(const struct cluster *cluster, const struct topology_node *node,
                               struct buf *out)
{
    buf_printf(out, "https://%s:%d", node->address, KR_CLUSTER_ETCD_CLIENT);
    for (size_t i = 0; i < cluster->count; i++)
        if (cluster->nodes[i].at->is_core && cluster->nodes[i].at != node)
            buf_printf(out, ",https://%s:%d", cluster->nodes[i].at->address,
                       KR_CLUSTER_ETCD_CLIENT);
}

static void add_etcd(const struct cluster *cluster, const struct topology_node *node,
                     struct buf *out)
{
    const char *directory = cluster->plan.directory;
    buf_printf(out, "engine: etcd\netcd_ca_file: %s/etcd-ca/ca.pem\n", directory);
    buf_printf(out, "etcd_cert_file: %s/etcd-ca/etcd.pem\n", directory);
    buf_printf(out, "etcd_key_file: %s/etcd-ca/etcd-key.pem\netcd_endpoints: ", directory);
    add_etcd_endpoints(cluster, node, out);
    buf_add_text(out, "\n");
}

// Clients speak to a node from its own region, in a private namespace, or from this machine: in the
// clear.
static enum kr_err make_config(struct cluster *cluster, const struct topology_node *node)
{
    const char *directory = cluster->plan.directory, *name = node->name;
    char path[KR_CLUSTER_PATH];
    struct buf text;
    buf_init(&text, KR_CLUSTER_TEXT);
    buf_printf(&text, "data: %s/%s/data\n", directory, name);
    buf_printf(&text, "http: %s:%d\n", node->address, KR_CLUSTER_HTTP);
    buf_printf(&text, "binary_listen: %s:%d\n", node->address, KR_CLUSTER_BINARY);
    buf_printf(&text, "peer_listen: %s:%d\n", node->address, KR_CLUSTER_PEERS);
    buf_printf(&text, "peer_bundle: %s/ca/%s/node.pem\n", directory, name);
    buf_add_text(&text, "insecure: true\nrate_limit_per_token: 0\nserve_threads: 1\n");
    // The connections of a later phase wait for their turn.
    buf_add_text(&text, "log_level: warn\nidle_timeout_ms: 3600000\n");
    if (node->is_core)
        buf_printf(&text, "master_key_file: %s/ca/%s/master-key\n", directory, name);
    if (node->is_core && has_etcd(cluster))
        add_etcd(cluster, node, &text);
    else if (node != cluster->nodes[0].at)
        add_upstreams(cluster, node, &text);
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    enum kr_err err = file_make_directory(path, 0700, cluster->fault);
    snprintf(path, sizeof(path), "%s/%s/keyreeve.yaml", directory, name);
    if (err == KR_ERR_OK)
        err = file_replace(path, buf_bytes(&text), 0600, cluster->fault);
    buf_fini(&text);
    return err;
}

// --- processes -----------------------------------------------------------------------------------

static enum kr_err start_etcd(struct cluster *cluster, struct cluster_node *node)
{
    char client[64], peer[64], data[64], all[KR_CLUSTER_TEXT];
    struct buf members;
    buf_init_fixed(&members, all, sizeof(all) - 1);
    for (size_t i = 0; i < cluster->count; i++)
        if (cluster->nodes[i].at->is_core)
            buf_printf(&members, "%s%s=http://%s:%d", members.size > 0 ? "," : "",
                       cluster->nodes[i].at->name, cluster->nodes[i].at->address,
                       KR_CLUSTER_ETCD_PEER);
    all[members.size] = '\0';
    snprintf(client, sizeof(client), "https://%s:%d", node->at->address, KR_CLUSTER_ETCD_CLIENT);
    snprintf(peer, sizeof(peer), "http://%s:%d", node->at->address, KR_CLUSTER_ETCD_PEER);
    snprintf(data, sizeof(data), "%s/etcd", node->at->name);
    const struct program_plan plan = {.site = &node->site,
                                      .directory = cluster->plan.directory,
                                      .name = "etcd",
                                      .arguments = {"etcd",
                                                    "--name",
                                                    node->at->name,
                                                    "--data-dir",
                                                    data,
                                                    "--listen-client-urls",
                                                    client,
                                                    "--advertise-client-urls",
                                                    client,
                                                    "--listen-peer-urls",
                                                    peer,
                                                    "--initial-advertise-peer-urls",
                                                    peer,
                                                    "--initial-cluster",
                                                    all,
                                                    "--client-cert-auth",
                                                    "--trusted-ca-file",
                                                    "etcd-ca/ca.pem",
                                                    "--cert-file",
                                                    "etcd-ca/etcd.pem",
                                                    "--key-file",
                                                    "etcd-ca/etcd-key.pem",
                                                    "--logger",
                                                    "zap",
                                                    "--log-level",
                                                    "error"}};
    return program_start(&plan, &node->etcd, cluster->fault);
}

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

// Its leader is where ours is, as who runs both would have it: else every append goes a long way
// round, or not, by chance.
static enum kr_err lead_etcd(struct cluster *cluster)
{
    static const char script[] =
        "export ETCDCTL_API=3 ETCDCTL_CACERT=etcd-ca/ca.pem ETCDCTL_CERT=etcd-ca/etcd.pem "
        "ETCDCTL_KEY=etcd-ca/etcd-key.pem; "
        "for try in $(seq 40); do "
        "etcdctl --endpoints \"${2%%,*}\" endpoint status | cut -d, -f5 | grep -q true && exit 0; "
        "id=$(etcdctl --endpoints \"$2\" member list | sed -n \"s/, started, $1, .*//p\"); "
        "[ -z \"$id\" ] || etcdctl --endpoints \"$2\" move-leader \"$id\"; sleep 0.5; done; "
        "echo 'etcd does not let its leader be moved'; exit 1";
    char endpoints[KR_CLUSTER_TEXT];
    struct cluster_node *first = &cluster->nodes[0];
    struct buf list;
    buf_init_fixed(&list, endpoints, sizeof(endpoints) - 1);
    add_etcd_endpoints(cluster, first->at, &list);
    endpoints[list.size] = '\0';
    const struct program_plan plan = {
        .site = &first->site,
        .directory = cluster->plan.directory,
        .name = "etcdctl",
        .arguments = {"sh", "-c", script, "sh", first->at->name, endpoints}};
    return program_run(&plan, cluster->fault);
}

// --- all of it -----------------------------------------------------------------------------------

static enum kr_err start_all(struct cluster *cluster)
{
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 0; i < cluster->count && err == KR_ERR_OK; i++)
        if (cluster->nodes[i].at->is_core && has_etcd(cluster))
            err = start_etcd(cluster, &cluster->nodes[i]);
    for (size_t i = 0; i < cluster->count && err == KR_ERR_OK; i++)
        if (cluster->nodes[i].etcd.pid != 0)
            err = program_await(&cluster->nodes[i].etcd, &cluster->nodes[i].site,
                                KR_CLUSTER_ETCD_CLIENT, cluster->fault);
    if (err == KR_ERR_OK && has_etcd(cluster))
        err = lead_etcd(cluster);
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
    if (plan->world != NULL)
        return site_enter(&node->site, plan->world, plan->topology->regions[node->at->region],
                          node->at->address, cluster->fault);
    site_init(&node->site);
    snprintf(node->site.address, sizeof(node->site.address), "%s", node->at->address);
    return KR_ERR_OK;
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
        err = make_etcd_certificates(cluster);
    for (size_t i = 0; i < cluster->count && err == KR_ERR_OK; i++)
        err = make_config(cluster, cluster->nodes[i].at);
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
