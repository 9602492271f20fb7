// SPDX-License-Identifier: Apache-2.0
// Reads the bundle's names and checks that the settings about peers and the engine fit together.
#include "node/identity.h"

#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/keys/format.h"
#include "core/tls/authority.h"

// What the settings say of a name that a certificate says too. The default says nothing.
static enum kr_err check_name(const char *setting, const char *set, const char *fallback,
                              const char *certified, struct fault *fault)
{
    if (strcmp(set, fallback) == 0 || strcmp(set, certified) == 0)
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_INVALID,
                     "%s: \"%.63s\" is set and the certificate of peer_bundle says \"%s\"; leave "
                     "the setting out, or make a bundle for that name",
                     setting, set, certified);
}

static enum kr_err take_bundle(const struct config *config, struct identity *out,
                               struct fault *fault)
{
    struct tls_peer self;
    struct buf bundle;
    buf_init(&bundle, KR_TLS_BUNDLE_MAX);
    enum kr_err err = file_read_secret(config->peer_bundle, &bundle, fault);
    if (err == KR_ERR_OK)
        err = authority_read(buf_bytes(&bundle), &self, fault);
    buf_fini(&bundle);
    if (err == KR_ERR_OK)
        err = check_name("node_id", config->node_id, "node-1", self.node_id, fault);
    if (err == KR_ERR_OK)
        err = check_name("region", config->region, "local", self.region, fault);
    if (err == KR_ERR_OK)
        err = check_name("cluster_id", config->cluster_id, "", self.cluster_id, fault);
    if (err != KR_ERR_OK)
        return err;
    snprintf(out->node_id, sizeof(out->node_id), "%s", self.node_id);
    snprintf(out->region, sizeof(out->region), "%s", self.region);
    snprintf(out->cluster_id, sizeof(out->cluster_id), "%s", self.cluster_id);
    out->is_core = self.role == KR_TLS_ROLE_CORE;
    if (self.not_after_ms <= clock_unix_ms())
        LOG_WARN("the certificate of peer_bundle has expired: other nodes refuse this one",
                 LOG_TEXT("mend", "keyreeve node add --renew, then copy the bundle here"));
    return KR_ERR_OK;
}

// Only a bundle names a new cluster: here the setting says which directory is meant, no more.
static enum kr_err check_cluster(const struct config *config, struct fault *fault)
{
    if (config->cluster_id[0] == '\0' || format_is_id(config->cluster_id, "clst"))
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_INVALID,
                     "cluster_id: \"%.63s\" is no cluster's id, clst_ and 24 letters and digits; "
                     "keyreeve status shows it",
                     config->cluster_id);
}

static enum kr_err check_engine(const struct config *config, const struct identity *identity,
                                struct fault *fault)
{
    bool is_etcd = config_wants_etcd(config);
    if (!is_etcd && strcmp(config->engine, "local") != 0)
        return fault_set(fault, KR_ERR_INVALID, "engine: \"%.32s\" is neither local nor etcd",
                         config->engine);
    if (!identity->has_peers && (is_etcd || config->upstreams[0] != '\0'))
        return fault_set(fault, KR_ERR_INVALID,
                         "peer_bundle: needed with %s; keyreeve node add makes one",
                         is_etcd ? "engine etcd" : "upstreams");
    if (is_etcd && identity->is_core && config->etcd_endpoints[0] == '\0')
        return fault_set(fault, KR_ERR_INVALID,
                         "etcd_endpoints: needed with engine etcd, like https://10.0.0.1:2379");
    if (!identity->is_core && config->upstreams[0] == '\0')
        return fault_set(fault, KR_ERR_INVALID,
                         "upstreams: a follower needs the peer address of a node to follow");
    return KR_ERR_OK;
}

// Where clients reach `http`, unless another URL is told them.
static void take_http(const struct config *config, struct identity *out)
{
    bool has_scheme = strstr(config->http, "://") != NULL;
    const char *scheme = config->tls_cert[0] != '\0' ? "https://" : "http://";
    snprintf(out->http_address, sizeof(out->http_address), "%s%s", has_scheme ? "" : scheme,
             config->http);
}

static void take_addresses(const struct config *config, struct identity *out)
{
    const char *peer =
        config->peer_advertise[0] != '\0' ? config->peer_advertise : config->peer_listen;
    snprintf(out->peer_address, sizeof(out->peer_address), "%s", out->has_peers ? peer : "");
    if (config->http_advertise[0] != '\0')
        snprintf(out->http_address, sizeof(out->http_address), "%s", config->http_advertise);
    else
        take_http(config, out);
}

enum kr_err identity_read(const struct config *config, struct identity *out, struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    *out = (struct identity){.is_core = true, .has_peers = config->peer_bundle[0] != '\0'};
    if (out->has_peers) {
        err = take_bundle(config, out, fault);
    } else {
        snprintf(out->node_id, sizeof(out->node_id), "%s", config->node_id);
        snprintf(out->region, sizeof(out->region), "%s", config->region);
        err = check_cluster(config, fault);
    }
    if (err == KR_ERR_OK)
        err = check_engine(config, out, fault);
    take_addresses(config, out);
    return err;
}
