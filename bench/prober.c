// SPDX-License-Identifier: Apache-2.0
// Probing all nodes of a cluster from one thread.
#include "bench/prober.h"

#include <math.h>
#include <string.h>

#include "bench/interrupt.h"
#include "bench/table.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/keys/verdict.h"

enum {
    KR_PROBER_PENDING = 64, // frames without an answer; a node that is further behind is let be
    KR_PROBER_LOADS = 2,
    KR_PROBER_WAY_NS = 1000000, // from packet to packet, over all regions in turns
    KR_PROBER_PATIENCE_MS = 60000
};

// --- opening -------------------------------------------------------------------------------------

static enum kr_err open_node(struct prober *prober, struct prober_node *node)
{
    const struct site *site = &node->at->site;
    enum kr_err err =
        channel_open(&node->probes, site, site->address, KR_CLUSTER_BINARY, prober->fault);
    if (err == KR_ERR_OK)
        err = channel_open(&node->load, site, site->address, KR_CLUSTER_BINARY, prober->fault);
    node->is_watched = err == KR_ERR_OK;
    return err;
}

static enum kr_err open_way(struct prober *prober, const struct cluster_node *node)
{
    const struct cluster_node *first = &prober->cluster->nodes[0];
    size_t region = node->at->region;
    if (region == first->at->region || prober->ways[region].out >= 0)
        return KR_ERR_OK;
    return way_open(&prober->ways[region], &first->site, &node->site, prober->fault);
}

enum kr_err prober_open(struct prober *prober, const struct cluster *cluster, double rate,
                        struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    *prober = (struct prober){.cluster = cluster, .rate = rate, .fault = fault};
    prober->nodes = mem_zalloc(cluster->count * sizeof(*prober->nodes));
    for (size_t i = 0; i < KR_TOPOLOGY_REGIONS; i++)
        prober->ways[i].out = prober->ways[i].in = -1;
    for (size_t i = 0; i < cluster->count; i++) {
        prober->nodes[i].at = &cluster->nodes[i];
        prober->nodes[i].probes.fd = prober->nodes[i].load.fd = -1;
    }
    prober->count = cluster->count;
    for (size_t i = 0; i < prober->count && err == KR_ERR_OK; i++) {
        err = open_node(prober, &prober->nodes[i]);
        if (err == KR_ERR_OK)
            err = open_way(prober, prober->nodes[i].at);
    }
    return err;
}

void prober_leave(struct prober *prober, size_t node)
{
    channel_close(&prober->nodes[node].probes);
    channel_close(&prober->nodes[node].load);
    prober->nodes[node].is_watched = false;
}

void prober_close(struct prober *prober)
{
    for (size_t i = 0; i < prober->count; i++)
        prober_leave(prober, i);
    for (size_t i = 0; i < KR_TOPOLOGY_REGIONS && prober->nodes != NULL; i++)
        way_close(&prober->ways[i]);
    mem_free(prober->nodes);
    *prober = (struct prober){.nodes = NULL};
}

enum kr_err prober_rejoin(struct prober *prober, size_t node)
{
    prober_leave(prober, node);
    return open_node(prober, &prober->nodes[node]);
}

// --- the ways ------------------------------------------------------------------------------------

static void send_way(struct prober *prober, uint64_t now_ns)
{
    if (now_ns < prober->next_way_ns)
        return;
    prober->next_way_ns = now_ns + KR_PROBER_WAY_NS;
    size_t first = prober->next_region;
    do
        prober->next_region = (prober->next_region + 1) % KR_TOPOLOGY_REGIONS;
    while (prober->ways[prober->next_region].out < 0 && prober->next_region != first);
    const struct way *way = &prober->ways[prober->next_region];
    const uint64_t sent_ns = clock_mono_ns();
    if (way->out >= 0)
        way_send(way, &sent_ns, sizeof(sent_ns));
}

static void take_ways(struct prober *prober)
{
    uint64_t sent_ns, at_ns;
    for (size_t i = 0; i < KR_TOPOLOGY_REGIONS; i++) {
        if (prober->ways[i].in < 0 ||
            !way_receive(&prober->ways[i], &prober->stamp, &sent_ns, sizeof(sent_ns), &at_ns))
            continue;
        if (sent_ns >= prober->ways_since_ns && prober->way_counts[i] < KR_PROBER_WAYS)
            prober->ways_us[i][prober->way_counts[i]++] = (double)(int64_t)(at_ns - sent_ns) / 1e3;
    }
}

double prober_way_us(struct prober *prober, size_t region)
{
    if (region == prober->cluster->nodes[0].at->region)
        return 0;
    if (prober->way_counts[region] == 0)
        return NAN;
    return table_median(prober->ways_us[region], prober->way_counts[region]);
}

// --- the nodes -----------------------------------------------------------------------------------

static void note_answer(void *ctx, const struct binary_answer *answer, uint64_t at_ns)
{
    struct prober_node *node = ctx;
    const uint8_t *at = answer->results;
    for (size_t i = 0; i < answer->count && i < KR_PROBER_KEYS; i++) {
        enum verdict_code code = (enum verdict_code)(binary_next_result(&at).code - 1);
        struct prober_key *key = &node->keys[i];
        if (code == KR_VERDICT_VALID)
            key->valid_ns = at_ns;
        if (code != KR_VERDICT_REVOKED || key->refused_ns != 0)
            continue;
        key->refused_ns = at_ns;
        node->left--;
    }
}

static void count_answer(void *ctx, const struct binary_answer *answer, uint64_t at_ns)
{
    struct prober_node *node = ctx;
    (void)at_ns;
    node->load_keys += answer->count;
}

static enum kr_err turn_node(struct prober *prober, struct prober_node *node)
{
    enum kr_err err = channel_turn(&node->probes, node->left > 0, note_answer, node, prober->fault);
    if (err == KR_ERR_OK && (prober->is_loaded || node->load.pending > 0))
        err = channel_turn(&node->load, prober->is_loaded, count_answer, node, prober->fault);
    return err;
}

enum kr_err prober_turn(struct prober *prober)
{
    enum kr_err err = KR_ERR_OK;
    uint64_t now_ns = clock_mono_ns(), spent_ns = now_ns - prober->since_ns;
    prober->since_ns = now_ns;
    send_way(prober, now_ns);
    take_ways(prober);
    for (size_t i = 0; i < prober->count && err == KR_ERR_OK; i++) {
        struct prober_node *node = &prober->nodes[i];
        if (!node->is_watched)
            continue;
        node->watched_ns += node->left > 0 ? spent_ns : 0;
        uint64_t sent = node->probes.sent;
        err = turn_node(prober, node);
        node->probes_sent += node->probes.sent - sent;
        if (err != KR_ERR_OK) {
            const struct fault why = *prober->fault;
            fault_set(prober->fault, err, "%s: %.300s", node->at->at->name, why.text);
        }
    }
    if (err == KR_ERR_OK && interrupt_is_noted())
        err = fault_set(prober->fault, KR_ERR_IO, "interrupted");
    return err;
}

size_t prober_left(const struct prober *prober)
{
    size_t left = 0;
    for (size_t i = 0; i < prober->count; i++)
        left += prober->nodes[i].is_watched && prober->nodes[i].left > 0;
    return left;
}

static bool knows_all(const struct prober *prober, const struct prober_node *node)
{
    for (size_t i = 0; i < prober->key_count && node->is_watched; i++)
        if (node->keys[i].valid_ns == 0)
            return false;
    return true;
}

static const struct prober_node *who_knows_not(const struct prober *prober)
{
    for (size_t i = 0; i < prober->count; i++)
        if (!knows_all(prober, &prober->nodes[i]))
            return &prober->nodes[i];
    return NULL;
}

enum kr_err prober_begin(struct prober *prober, const struct bytes *keys, size_t count)
{
    uint64_t until_ms = clock_boot_ms() + KR_PROBER_PATIENCE_MS;
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 0; i < prober->count && err == KR_ERR_OK; i++) {
        struct prober_node *node = &prober->nodes[i];
        if (!node->is_watched)
            continue;
        err = channel_drain(&node->probes, prober->fault);
        channel_ask(&node->probes, keys, count, prober->rate, KR_PROBER_PENDING);
        memset(node->keys, 0, sizeof(node->keys));
        node->left = count;
    }
    prober->key_count = count;
    memset(prober->way_counts, 0, sizeof(prober->way_counts));
    stamp_init(&prober->stamp);
    prober->since_ns = prober->ways_since_ns = clock_mono_ns();
    while (err == KR_ERR_OK && who_knows_not(prober) != NULL) {
        err = prober_turn(prober);
        if (err == KR_ERR_OK && clock_boot_ms() > until_ms)
            err = fault_set(prober->fault, KR_ERR_TIMEOUT, "%s does not know a new key after %d s",
                            who_knows_not(prober)->at->at->name, KR_PROBER_PATIENCE_MS / 1000);
    }
    return err;
}

// --- load ----------------------------------------------------------------------------------------

void prober_load(struct prober *prober, const struct bytes *keys, size_t count, double per_second)
{
    prober->is_loaded = per_second > 0;
    for (size_t i = 0; i < prober->count && prober->is_loaded; i++)
        if (prober->nodes[i].is_watched)
            channel_ask(&prober->nodes[i].load, keys, count, per_second / (double)count,
                        KR_PROBER_LOADS);
}

enum kr_err prober_measure_capacity(struct prober *prober, const struct bytes *keys, size_t count,
                                    double seconds, double *per_second)
{
    uint64_t begin_ns = clock_mono_ns(), answered = 0;
    enum kr_err err = KR_ERR_OK;
    prober_load(prober, keys, count, 1e9);
    for (size_t i = 0; i < prober->count; i++)
        answered -= prober->nodes[i].load_keys;
    while (err == KR_ERR_OK && (double)(clock_mono_ns() - begin_ns) < seconds * 1e9)
        err = prober_turn(prober);
    for (size_t i = 0; i < prober->count; i++)
        answered += prober->nodes[i].load_keys;
    *per_second = (double)answered * 1e9 / (double)(clock_mono_ns() - begin_ns);
    prober_load(prober, keys, count, 0);
    for (size_t i = 0; i < prober->count && err == KR_ERR_OK; i++)
        if (prober->nodes[i].is_watched)
            err = channel_drain(&prober->nodes[i].load, prober->fault);
    return err;
}
