// SPDX-License-Identifier: Apache-2.0
// A tree of many followers on virtual time: how late the last one has an entry, how deep the tree
// is that they form, and what the leader sends for it.
//
// The nodes are the simulation's: the real replica, feeds, sessions, leases and choice of an
// upstream, over simulated clocks and links. In the place of its faults and checks stand a world of
// regions and a stopwatch: from an entry's commit at the leader until a follower has applied it.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/histogram.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_asks.h"
#include "tests/sim/sim_check.h"
#include "tests/sim/sim_faults.h"
#include "tests/sim/sim_writes.h"

enum {
    KR_TREE_JOIN_US = 10000000, // the followers start in this time
    KR_TREE_NEAR_LEAST_US = 60,
    KR_TREE_NEAR_MOST_US = 400,
    KR_TREE_REGIONS_MOST = 64,
    KR_TREE_RELAYS = 2, // of a region
};

static const char usage[] =
    "usage: sim-tree [--followers N] [--regions N] [--far-ms MS] [--settle S] [--measure S]\n"
    "                [--seed N] [--flat] [--json]\n"
    "\n"
    "One leader and N followers (default 1000) in regions (default 12) whose one-way delay from\n"
    "the leader's is up to MS (default 120). They join, settle for S seconds (default 60), and "
    "then\n"
    "the leader writes 25 entries a second for S seconds (default 10). All on virtual time.\n";

static struct {
    uint64_t followers, regions, far_ms, settle_s, measure_s, seed;
    bool is_json, is_flat;
} options = {1000, 12, 120, 30, 10, 1, false, false};

static struct {
    uint64_t committed_us[KR_SIM_INDEXES]; // 0: not yet
    uint32_t missing[KR_SIM_INDEXES];      // followers without it
    uint64_t begin_us, first_index;        // of what is measured
    uint64_t bytes_before, bytes_after;
    struct histogram delay, last; // ns: of every follower; of an entry's last
} watch;

// --- the stopwatch -------------------------------------------------------------------------------

struct sim_check *sim_check_new(void)
{
    return NULL;
}

void sim_check_free(struct sim_check **check)
{
    (void)check;
}

void sim_check_committed(uint64_t index, uint64_t epoch, struct bytes entry)
{
    (void)epoch, (void)entry;
    if (index >= KR_SIM_INDEXES) {
        sim_violated('c', "more entries than there is room for");
        return;
    }
    if (watch.committed_us[index] != 0)
        return;
    watch.committed_us[index] = sim.now_us;
    watch.missing[index] = (uint32_t)options.followers;
    sim.figures.entries = index;
}

void sim_check_applied(struct sim_node *node, uint64_t index, uint64_t epoch, struct hash128 chain,
                       const struct hash128 digest[KR_CLASS_COUNT])
{
    (void)epoch, (void)chain, (void)digest;
    bool is_measured = watch.begin_us > 0 && index >= watch.first_index;
    if (node->is_core || !is_measured || watch.missing[index] == 0)
        return;
    uint64_t delay_ns = (sim.now_us - watch.committed_us[index]) * 1000;
    histogram_record(&watch.delay, delay_ns);
    if (--watch.missing[index] == 0)
        histogram_record(&watch.last, delay_ns);
}

void sim_check_effect(uint64_t index, uint64_t epoch, const struct command_op *op)
{
    (void)index, (void)epoch, (void)op;
}

void sim_check_holds(const struct sim_node *node)
{
    (void)node;
}

void sim_check_cut(uint64_t index, uint64_t epoch)
{
    (void)index, (void)epoch;
}

void sim_check_started(struct sim_node *node)
{
    (void)node;
}

void sim_faults_found(const struct sim_node *node)
{
    (void)node;
}

void sim_check_acked(uint64_t index, const char *request_id)
{
    (void)index, (void)request_id;
}

void sim_check_promised(unsigned key, uint64_t index)
{
    (void)key, (void)index;
}

void sim_asks_begin(void)
{
}

// --- the world -----------------------------------------------------------------------------------

static uint64_t leader_bytes_out(void)
{
    const struct peers *peers = sim.nodes[0].peers;
    struct peer_link_figures sum = peers->link_figures;
    for (const struct peers_child *child = peers->children; child != NULL; child = child->next)
        if (child->link != NULL)
            peer_link_figures(child->link, &sum);
    return sum.bytes_out;
}

static void begin_measuring(struct sim_node *none, uint64_t arg)
{
    (void)none, (void)arg;
    watch.begin_us = sim.now_us;
    watch.first_index = sim.figures.entries + 1;
    watch.bytes_before = leader_bytes_out();
    sim_writes_again();
}

static void end_measuring(struct sim_node *none, uint64_t arg)
{
    (void)none, (void)arg;
    watch.bytes_after = leader_bytes_out();
}

static void start_one(struct sim_node *none, uint64_t slot)
{
    (void)none;
    sim_node_start(&sim.nodes[slot]);
}

// The relays of a follower's region, nearest by number; NULL: it follows the leader.
static const char *upstreams_of(unsigned slot)
{
    static char texts[KR_TREE_REGIONS_MOST][KR_TREE_RELAYS * 24];
    unsigned region = (unsigned)(slot % options.regions);
    unsigned first = region == 0 ? (unsigned)options.regions : region, at = 0;
    if (options.is_flat || slot <= KR_TREE_RELAYS * options.regions)
        return NULL;
    for (unsigned i = 0; i < KR_TREE_RELAYS; i++)
        at += (unsigned)snprintf(texts[region] + at, sizeof(texts[0]) - at, "%s%s",
                                 i > 0 ? "," : "", sim.nodes[first + i * options.regions].address);
    return texts[region];
}

static void make_node(unsigned slot)
{
    struct sim_node *node = &sim.nodes[slot];
    *node = (struct sim_node){.slot = slot, .is_core = slot == 0, .incarnation = 1};
    snprintf(node->id, sizeof(node->id), slot == 0 ? "core" : "f%04u", slot);
    snprintf(node->region, sizeof(node->region), "r%02u", (unsigned)(slot % options.regions));
    snprintf(node->address, sizeof(node->address), "10.%u.%u.1:7402", slot / 250, slot % 250);
    node->rate_ppm_up = sim_below(1001);
    node->boot_base_us = sim_below(5000000000);
    node->upstreams = slot == 0 ? NULL : upstreams_of(slot);
    node->disk = sim_state_new(node, node->is_core ? KR_HOLD_ALL : KR_HOLD_VALIDATION);
    node->disk->retention = 1000000;
}

// The regions lie around the leader's (0) at distances that grow evenly to the farthest; between
// two others it is the difference, and a third of the way of the nearer one.
static uint32_t region_delay_us(unsigned a, unsigned b)
{
    uint64_t step_us = options.far_ms * 1000 / (options.regions > 1 ? options.regions - 1 : 1);
    unsigned near = a < b ? a : b, far = a < b ? b : a;
    return (uint32_t)((far - near) * step_us + near * step_us / 3);
}

static void make_ways(void)
{
    for (unsigned a = 0; a < sim.node_count; a++)
        for (unsigned b = 0; b < a; b++) {
            unsigned from = (unsigned)(a % options.regions), to = (unsigned)(b % options.regions);
            uint32_t near_us = (uint32_t)sim_between(KR_TREE_NEAR_LEAST_US, KR_TREE_NEAR_MOST_US);
            uint32_t delay_us = near_us + (from == to ? 0 : region_delay_us(from, to));
            const struct sim_way way = {.delay_us = delay_us, .jitter_us = near_us / 3 + 50};
            sim.ways[a][b] = sim.ways[b][a] = way;
        }
}

void sim_faults_begin(void)
{
    uint64_t begin_us = KR_TREE_JOIN_US + options.settle_s * 1000000;
    sim.core_count = 1;
    sim.node_count = 1 + (unsigned)options.followers;
    sim.appointed = &sim.nodes[0];
    sim.is_quiet = true; // no faults, and no writes but the leader's own
    for (unsigned i = 0; i < sim.node_count; i++)
        make_node(i);
    make_ways();
    for (unsigned i = 0; i < sim.node_count; i++)
        sim_after(i == 0 ? 0 : sim_between(500000, KR_TREE_JOIN_US), NULL, start_one, i);
    sim_at(begin_us, NULL, begin_measuring, 0);
    sim_at(begin_us + options.measure_s * 1000000, NULL, end_measuring, 0);
    sim.end_us = begin_us + options.measure_s * 1000000 + 2 * options.far_ms * 1000 + 1000000;
}

// --- figures -------------------------------------------------------------------------------------

// How many links are between a node and the leader; 0: it follows nobody.
static unsigned depth_of(const struct sim_node *node)
{
    unsigned depth = 0;
    while (node != NULL && !node->is_core) {
        const struct upstream_candidate *above = node->peers->upstream.current;
        node = above != NULL ? sim_node_by_id(above->id) : NULL;
        if (node == NULL || ++depth > sim.node_count)
            return 0;
    }
    return depth;
}

struct shape {
    uint64_t children, lost, depth, depths;
};

static struct shape shape_of_tree(void)
{
    struct shape shape = {0};
    for (unsigned i = 1; i < sim.node_count; i++) {
        unsigned depth = depth_of(&sim.nodes[i]);
        shape.children += depth == 1;
        shape.lost += depth == 0;
        shape.depths += depth;
        shape.depth = depth > shape.depth ? depth : shape.depth;
    }
    return shape;
}

static double ms_of(const struct histogram *histogram, double share)
{
    return (double)histogram_percentile(histogram, share) / 1e6;
}

static void print(void)
{
    const struct shape shape = shape_of_tree();
    const double far = (double)region_delay_us(0, (unsigned)options.regions - 1) / 1e3;
    const double seconds = (double)options.measure_s, count = (double)options.followers;
    const double egress = (double)(watch.bytes_after - watch.bytes_before) / seconds;
    if (options.is_json)
        printf("{\"followers\":%" PRIu64 ",\"regions\":%" PRIu64
               ",\"farMs\":%.1f,\"entries\":%" PRIu64 ",\"complete\":%" PRIu64
               ",\"leaderChildren\":%" PRIu64 ",\"depth\":%" PRIu64
               ",\"meanDepth\":%.2f,\"unattached\":%" PRIu64
               ",\"delayP50Ms\":%.3f,\"worstP50Ms\":%.3f,\"worstP99Ms\":%.3f,\"worstMaxMs\":%.3f,"
               "\"leaderBytesPerSecond\":%.0f}\n",
               options.followers, options.regions, far, sim.figures.entries - watch.first_index + 1,
               watch.last.count, shape.children, shape.depth, (double)shape.depths / count,
               shape.lost, ms_of(&watch.delay, 0.5), ms_of(&watch.last, 0.5),
               ms_of(&watch.last, 0.99), ms_of(&watch.last, 1), egress);
    else
        printf("%" PRIu64 " followers in %" PRIu64 " regions, the farthest %.1f ms away\n"
               "  tree      %" PRIu64 " follow the leader, depth %" PRIu64 " (mean %.2f), %" PRIu64
               " follow nobody\n"
               "  delay     p50 %.1f ms of all; the last follower p50 %.1f ms, p99 %.1f ms, max "
               "%.1f ms\n"
               "  leader    sends %.0f bytes a second at 25 entries a second\n"
               "  entries   %" PRIu64 ", of which all followers have %" PRIu64 "\n",
               options.followers, options.regions, far, shape.children, shape.depth,
               (double)shape.depths / count, shape.lost, ms_of(&watch.delay, 0.5),
               ms_of(&watch.last, 0.5), ms_of(&watch.last, 0.99), ms_of(&watch.last, 1), egress,
               sim.figures.entries - watch.first_index + 1, watch.last.count);
}

static bool parse(int argc, char **argv)
{
    const struct {
        const char *name;
        uint64_t *out, least, most;
    } rows[] = {{"--followers", &options.followers, 1, KR_SIM_NODES - 1},
                {"--regions", &options.regions, 1, KR_TREE_REGIONS_MOST},
                {"--far-ms", &options.far_ms, 0, 1000},
                {"--settle", &options.settle_s, 1, 3600},
                {"--measure", &options.measure_s, 1, 600},
                {"--seed", &options.seed, 0, UINT64_MAX}};
    for (int i = 1; i < argc; i++) {
        size_t at = 0, count = sizeof(rows) / sizeof(rows[0]);
        if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "--flat") == 0) {
            *(argv[i][2] == 'j' ? &options.is_json : &options.is_flat) = true;
            continue;
        }
        while (at < count && strcmp(argv[i], rows[at].name) != 0)
            at++;
        if (at == count || i + 1 == argc)
            return false;
        *rows[at].out = strtoull(argv[++i], NULL, 10);
        if (*rows[at].out < rows[at].least || *rows[at].out > rows[at].most)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    if (!parse(argc, argv))
        return fputs(usage, stderr), 2;
    const struct sim_options run = {.seed = options.seed};
    sim_run(&run);
    if (sim.has_violation)
        fprintf(stderr, "sim-tree: %s\n", sim.violation);
    else
        print();
    bool is_good = !sim.has_violation && watch.last.count > 0;
    sim_fini();
    return is_good ? 0 : 1;
}
