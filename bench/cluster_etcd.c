// SPDX-License-Identifier: Apache-2.0
// The members of etcd beside the core nodes of a cluster in an emulated world.
//
// A member works in its node's directory. In a world of relays its peers are unix sockets there,
// since etcd has one address a member for all of them, and does not choose where its connections
// come from: what it finds under another member's name is a relay to that one's socket.
#include <stdio.h>
#include <string.h>

#include "bench/cluster_internal.h"

enum { KR_CLUSTER_ETCD_CLIENT = 2379, KR_CLUSTER_ETCD_PEER = 2380 };

static bool is_of_relays(const struct cluster_node *node)
{
    return node->site.place.form == KR_LINK_STREAMS;
}

// --- files ---------------------------------------------------------------------------------------

// Each member's address, and those by which other regions reach it.
static enum kr_err add_names(struct cluster *cluster, struct buf *out)
{
    char address[INET_ADDRSTRLEN];
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 0; i < cluster->count; i++)
        for (size_t k = 0; k < cluster->count && err == KR_ERR_OK; k++) {
            const struct cluster_node *node = &cluster->nodes[i], *from = &cluster->nodes[k];
            if (!node->at->is_core || !from->at->is_core)
                continue;
            err = site_reach(&from->site, &node->site, KR_CLUSTER_ETCD_CLIENT, address,
                             cluster->fault);
            buf_printf(out, "%sIP:%s", out->size > 0 ? "," : "", address);
        }
    return err;
}

enum kr_err cluster_etcd_certify(struct cluster *cluster)
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
    enum kr_err err = add_names(cluster, &list);
    names[list.size] = '\0';
    const struct program_plan plan = {.site = &here,
                                      .directory = cluster->plan.directory,
                                      .name = "certificates",
                                      .arguments = {"sh", "-c", script, "sh", names}};
    return err == KR_ERR_OK ? program_run(&plan, cluster->fault) : err;
}

// Of all members, the nearest first, which is that in the node's own region.
static enum kr_err add_endpoints(struct cluster *cluster, const struct cluster_node *node,
                                 struct buf *out)
{
    char address[INET_ADDRSTRLEN];
    enum kr_err err = KR_ERR_OK;
    buf_printf(out, "https://%s:%d", node->at->address, KR_CLUSTER_ETCD_CLIENT);
    for (size_t i = 0; i < cluster->count && err == KR_ERR_OK; i++) {
        const struct cluster_node *other = &cluster->nodes[i];
        if (!other->at->is_core || other == node)
            continue;
        err =
            site_reach(&node->site, &other->site, KR_CLUSTER_ETCD_CLIENT, address, cluster->fault);
        buf_printf(out, ",https://%s:%d", address, KR_CLUSTER_ETCD_CLIENT);
    }
    return err;
}

enum kr_err cluster_etcd_add(struct cluster *cluster, const struct cluster_node *node,
                             struct buf *out)
{
    const char *directory = cluster->plan.directory;
    buf_printf(out, "engine: etcd\netcd_ca_file: %s/etcd-ca/ca.pem\n", directory);
    buf_printf(out, "etcd_cert_file: %s/etcd-ca/etcd.pem\n", directory);
    buf_printf(out, "etcd_key_file: %s/etcd-ca/etcd-key.pem\netcd_endpoints: ", directory);
    enum kr_err err = add_endpoints(cluster, node, out);
    buf_add_text(out, "\n");
    return err;
}

// --- processes -----------------------------------------------------------------------------------

// A unix socket of NAME:PORT lies under this name where etcd works.
static void add_peer(const struct cluster_node *node, struct buf *out)
{
    if (is_of_relays(node))
        buf_printf(out, "unix://%s:%d", node->at->name, KR_CLUSTER_ETCD_PEER);
    else
        buf_printf(out, "http://%s:%d", node->at->address, KR_CLUSTER_ETCD_PEER);
}

static void path_of_peer(const struct cluster *cluster, const struct cluster_node *seen_by,
                         const struct cluster_node *node, char out[KR_CLUSTER_PATH])
{
    snprintf(out, KR_CLUSTER_PATH, "%s/%s/%s:%d", cluster->plan.directory, seen_by->at->name,
             node->at->name, KR_CLUSTER_ETCD_PEER);
}

// What the node's member finds under the others' names.
static enum kr_err pass_peers(struct cluster *cluster, const struct cluster_node *node)
{
    char at[KR_CLUSTER_PATH], target[KR_CLUSTER_PATH];
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 0; i < cluster->count && err == KR_ERR_OK; i++) {
        const struct cluster_node *other = &cluster->nodes[i];
        if (!other->at->is_core || other == node)
            continue;
        path_of_peer(cluster, node, other, at);
        path_of_peer(cluster, other, other, target);
        err = site_pass(&node->site, at, &other->site, target, cluster->fault);
    }
    return err;
}

static enum kr_err start_member(struct cluster *cluster, struct cluster_node *node)
{
    char client[64], peer[64], directory[KR_CLUSTER_PATH], all[KR_CLUSTER_TEXT];
    struct buf members, own;
    buf_init_fixed(&members, all, sizeof(all) - 1);
    for (size_t i = 0; i < cluster->count; i++)
        if (cluster->nodes[i].at->is_core) {
            buf_printf(&members, "%s%s=", members.size > 0 ? "," : "", cluster->nodes[i].at->name);
            add_peer(&cluster->nodes[i], &members);
        }
    all[members.size] = '\0';
    buf_init_fixed(&own, peer, sizeof(peer) - 1);
    add_peer(node, &own);
    peer[own.size] = '\0';
    snprintf(client, sizeof(client), "https://%s:%d", node->at->address, KR_CLUSTER_ETCD_CLIENT);
    snprintf(directory, sizeof(directory), "%s/%s", cluster->plan.directory, node->at->name);
    const struct program_plan plan = {.site = &node->site,
                                      .directory = directory,
                                      .name = "etcd",
                                      .arguments = {"etcd",
                                                    "--name",
                                                    node->at->name,
                                                    "--data-dir",
                                                    "etcd",
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
                                                    "../etcd-ca/ca.pem",
                                                    "--cert-file",
                                                    "../etcd-ca/etcd.pem",
                                                    "--key-file",
                                                    "../etcd-ca/etcd-key.pem",
                                                    "--logger",
                                                    "zap",
                                                    "--log-level",
                                                    "error"}};
    return program_start(&plan, &node->etcd, cluster->fault);
}

// Its leader is where ours is, as who runs both would have it: else every append goes a long way
// round, or not, by chance.
static enum kr_err lead(struct cluster *cluster)
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
    enum kr_err err = add_endpoints(cluster, first, &list);
    endpoints[list.size] = '\0';
    const struct program_plan plan = {
        .site = &first->site,
        .directory = cluster->plan.directory,
        .name = "etcdctl",
        .arguments = {"sh", "-c", script, "sh", first->at->name, endpoints}};
    return err == KR_ERR_OK ? program_run(&plan, cluster->fault) : err;
}

enum kr_err cluster_etcd_up(struct cluster *cluster)
{
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 0; i < cluster->count && err == KR_ERR_OK; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        if (node->at->is_core && is_of_relays(node))
            err = pass_peers(cluster, node);
        if (node->at->is_core && err == KR_ERR_OK)
            err = start_member(cluster, node);
    }
    for (size_t i = 0; i < cluster->count && err == KR_ERR_OK; i++)
        if (cluster->nodes[i].etcd.pid != 0)
            err = program_await(&cluster->nodes[i].etcd, &cluster->nodes[i].site,
                                KR_CLUSTER_ETCD_CLIENT, cluster->fault);
    return err == KR_ERR_OK ? lead(cluster) : err;
}
