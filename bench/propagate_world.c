// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench propagate --world: how fast a revocation is true everywhere in an emulated world,
// which it makes, with a cluster in it.
#include "bench/propagate_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/interrupt.h"
#include "bench/options.h"
#include "bench/program.h"
#include "bench/progress.h"
#include "bench/propagate_internal.h"
#include "core/base/file.h"
#include "core/base/mem.h"

enum { KR_WORLD_STALENESS_MS = 2000 };

static enum kr_err open_calls(struct propagate_bench *bench)
{
    char token[512];
    const struct cluster_node *leader = &bench->cluster.nodes[0];
    enum kr_err err = KR_ERR_OK;
    snprintf(token, sizeof(token), "%s/%s/data/owner-token", bench->directory, leader->at->name);
    for (; bench->call_count < KR_PROPAGATE_BURST && err == KR_ERR_OK; bench->call_count++)
        err = manage_open(&bench->calls[bench->call_count], &leader->site, leader->site.address,
                          KR_CLUSTER_HTTP, token, &bench->fault);
    return err;
}

static enum kr_err prepare(struct propagate_bench *bench)
{
    char bound[64];
    struct bytes answer;
    struct manage *leader = &bench->cluster.leader;
    snprintf(bound, sizeof(bound), "{\"maxStalenessMs\":%d}", KR_WORLD_STALENESS_MS);
    enum kr_err err =
        manage_call(leader, "PATCH", KR_PROPAGATE_BUCKETS "/production", bound, &answer);
    if (err == KR_ERR_OK)
        err = manage_call(leader, "POST", KR_PROPAGATE_BUCKETS, "{\"name\":\"bulk\"}", &answer);
    if (err == KR_ERR_OK)
        err = manage_call(leader, "POST", KR_PROPAGATE_BUCKETS "/production/consumers",
                          "{\"name\":\"propagate\"}", &answer);
    if (err == KR_ERR_OK)
        err = propagate_import(bench);
    if (err == KR_ERR_OK)
        err = open_calls(bench);
    return err == KR_ERR_OK
               ? prober_open(&bench->prober, &bench->cluster, bench->rate, &bench->fault)
               : err;
}

// "five-regions" of "bench/five-regions.yaml".
static void name_world(struct propagate_bench *bench)
{
    const char *path = bench->topology_path != NULL ? bench->topology_path : "five-regions";
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    size_t size = dot != NULL ? (size_t)(dot - name) : strlen(name);
    snprintf(bench->world_name, sizeof(bench->world_name), "%.*s", (int)size, name);
    snprintf(bench->name, sizeof(bench->name), "propagate-%d", (int)getpid());
}

static enum kr_err run(struct propagate_bench *bench)
{
    const char *programs = bench->programs;
    if (programs == NULL)
        programs = program_folder(bench->own_programs, sizeof(bench->own_programs));
    struct cluster_plan plan = {.world = bench->name,
                                .topology = &bench->topology,
                                .engine = bench->engine,
                                .programs = programs,
                                .directory = bench->directory};
    const struct world_plan world = {bench->name, &bench->topology, bench->seed, bench->is_relay};
    name_world(bench);
    if (strcmp(bench->engine, "local") != 0 && strcmp(bench->engine, "etcd") != 0)
        return fault_set(&bench->fault, KR_ERR_INVALID, "--engine: write local or etcd");
    enum kr_err err = topology_load(bench->topology_path, &bench->topology, &bench->fault);
    if (err == KR_ERR_OK)
        err = world_start(&world, &bench->world, &bench->fault);
    if (err == KR_ERR_OK)
        err = program_directory("propagate", bench->directory, sizeof(bench->directory),
                                &bench->fault);
    progress_say("starting %zu nodes", bench->topology.node_count);
    if (err == KR_ERR_OK)
        err = cluster_up(&bench->cluster, &plan, &bench->fault);
    if (err == KR_ERR_OK)
        err = prepare(bench);
    return err == KR_ERR_OK ? propagate_phases(bench) : err;
}

// Whatever of it was begun.
static void end(struct propagate_bench *bench)
{
    struct fault ignored;
    prober_close(&bench->prober);
    for (size_t i = 0; i < bench->call_count; i++)
        manage_close(&bench->calls[i]);
    cluster_down(&bench->cluster);
    world_stop(&bench->world);
    if (bench->directory[0] != '\0' && file_remove_tree(bench->directory, &ignored) != KR_ERR_OK)
        fprintf(stderr, "keyreeve-bench propagate: %s\n", ignored.text);
    mem_free(bench->keys);
    mem_free(bench->joins_ms);
}

static enum option_outcome parse(int argc, char **argv, struct propagate_bench *bench)
{
    const struct option_row rows[] = {
        {"--topology", "FILE", KR_OPTION_TEXT, &bench->topology_path, 0, 0, false,
         "regions, links and nodes (default: those of bench/five-regions.yaml)"},
        {"--engine", "NAME", KR_OPTION_TEXT, &bench->engine, 0, 0, false,
         "local, or etcd with a member beside each core node (default local)"},
        {"--relay", NULL, KR_OPTION_FLAG, &bench->is_relay, 0, 0, false,
         "links of TCP relays: as they are where root or TUN is missing"},
        {"--bin", "DIR", KR_OPTION_TEXT, &bench->programs, 0, 0, false,
         "of keyreeved and keyreeve (default: where this program is)"},
        {"--rounds", "N", KR_OPTION_COUNT, &bench->rounds, 1, 100000, false,
         "revocations one by one, a phase (default 100)"},
        {"--bursts", "N", KR_OPTION_COUNT, &bench->bursts, 0, 10000, false,
         "of 32 revocations at the same time (default 10)"},
        {"--cuts", "N", KR_OPTION_COUNT, &bench->cuts, 0, 1000, false,
         "revocations while a region is cut off (default 5)"},
        {"--bulk-keys", "N", KR_OPTION_COUNT, &bench->bulk_keys, 100, 1e9, false,
         "of a bucket that is revoked at once (default 100000)"},
        {"--rate", "N", KR_OPTION_REAL, &bench->rate, 10, 1e6, false,
         "probes a second and node (default 12000)"},
        {"--seed", "N", KR_OPTION_COUNT, &bench->seed, 0, 1e18, false,
         "of the links' chances and the imported keys (default 1)"},
        KR_RESULT_OPTIONS(&bench->results),
    };
    const struct option_spec spec = {
        "propagate --world",
        "Starts a cluster in an emulated world (see keyreeve-bench wan) and measures from a\n"
        "revocation to the first refusal at every node, and the same less the link's one-way\n"
        "delay, measured in between: quiet, in bursts, under 70 % of the validations that the\n"
        "nodes manage on this machine, while a follower catches up, with 1 % of the packets\n"
        "lost, with a region cut off, and for a whole bucket. Without root or TUN the links are\n"
        "TCP relays, and nothing is measured with packets lost. The prober spins.\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  sudo keyreeve-bench propagate --world --engine etcd --out out\n"};
    return options_parse(&spec, argc, argv);
}

int propagate_world(int argc, char **argv)
{
    struct propagate_bench *bench = mem_zalloc(sizeof(*bench));
    int status = KR_BENCH_OK;
    bench->engine = "local";
    bench->rounds = 100;
    bench->bursts = 10;
    bench->cuts = 5;
    bench->bulk_keys = 100000;
    bench->rate = 12000; // at least 10,000 are wanted, and none is made up for
    bench->seed = 1;
    bench->world.tie = -1;
    enum option_outcome outcome = parse(argc, argv, bench);
    if (outcome != KR_OPTIONS_RUN) {
        mem_free(bench);
        return outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
    }
    interrupt_watch();
    bench->results.seed = bench->seed;
    enum kr_err err = result_open(&bench->results, argc + 1, argv - 1, &bench->fault);
    if (err == KR_ERR_OK)
        err = run(bench);
    end(bench);
    if (result_close(&bench->results, err) != KR_ERR_OK) {
        fprintf(stderr, "keyreeve-bench propagate: %s\n", bench->fault.text);
        status = KR_BENCH_FAILED;
    }
    mem_free(bench);
    interrupt_pass_on();
    return status;
}
