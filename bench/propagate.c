// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench propagate: from a revocation at the leader to the first refusal at every node.
//
// A round: a key is made and VALID everywhere; the revocation is sent; one prober a node asks over
// and over, without sleeping, until its node refuses. All times are this machine's CLOCK_MONOTONIC.
// The floor is what the two links alone cost, measured in the same round by requests that need no
// replication: half of the leader's round trip and half of the node's.
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/api.h"
#include "bench/bench.h"
#include "bench/load.h"
#include "bench/options.h"
#include "bench/probes.h"
#include "bench/progress.h"
#include "bench/propagate_world.h"
#include "bench/result.h"
#include "bench/table.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/priority.h"

enum {
    KR_PROPAGATE_NODES_MAX = 32,
    KR_PROPAGATE_ROUNDS_MAX = 100000,
    KR_PROPAGATE_DEADLINE_MS = 15000,
    KR_PROPAGATE_FLOORS = 5 // round trips measured a round
};

struct node_probe {
    struct talk talk;
    bool is_refused;
    uint64_t answers, watched_ns; // to probes, and for how long it was asked, over all rounds
    double *delays_us, *floors_us, *excesses_us; // one a round
};

struct propagate {
    const char *leader, *nodes, *token_file, *bucket;
    uint64_t rounds;
    const char *engine;
    struct result_run results;
    struct talk control;
    struct node_probe probes[KR_PROPAGATE_NODES_MAX];
    size_t node_count;
    double *commits_us; // the leader's answer, one a round
    char token[KR_API_TOKEN], consumer[64];
    struct api_key key;
    struct fault fault;
};

// --- connections ---------------------------------------------------------------------------------

static enum kr_err open_talk(struct propagate *bench, struct talk *talk, const char *url)
{
    struct load_target target;
    talk->name = strncmp(url, "http://", 7) == 0 ? url + 7 : url;
    enum kr_err err = load_resolve(talk->name, false, &target, &bench->fault);
    if (err != KR_ERR_OK)
        return err;
    int fd = load_connect(&target);
    if (fd < 0)
        return fault_set(&bench->fault, KR_ERR_IO, "cannot connect to %s: %s", talk->name,
                         strerror(errno));
    talk_take(talk, fd, KR_PROPAGATE_DEADLINE_MS);
    return KR_ERR_OK;
}

// --- probing -------------------------------------------------------------------------------------

static enum kr_err send_probe(struct propagate *bench, struct node_probe *probe)
{
    api_add_validate(&probe->talk, bench->key.value);
    return talk_send(&probe->talk);
}

static enum kr_err measure_way(struct talk *talk, double *round_trip_us)
{
    double measured[KR_PROPAGATE_FLOORS];
    struct protocol_answer answer;
    const struct protocol_request request = {KR_PROTOCOL_EMPTY, talk->name, "/healthz"};
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 0; i < KR_PROPAGATE_FLOORS && err == KR_ERR_OK; i++) {
        protocol_add(&request, (struct bytes){0}, &talk->out);
        uint64_t begin_ns = clock_mono_ns();
        err = api_ask(talk, &answer);
        measured[i] = (double)(clock_mono_ns() - begin_ns) / 1e3;
    }
    *round_trip_us = err == KR_ERR_OK ? table_median(measured, KR_PROPAGATE_FLOORS) : 0;
    return err;
}

static enum kr_err look_at(struct propagate *bench, struct node_probe *probe, uint64_t begin_ns,
                           size_t round)
{
    struct protocol_answer answer;
    enum kr_err err = api_look(&probe->talk, &answer);
    if (err != KR_ERR_OK)
        return err == KR_ERR_NOT_FOUND ? KR_ERR_OK : err;
    probe->answers++;
    if (strcmp(answer.code, "VALID") == 0)
        return send_probe(bench, probe);
    probe->is_refused = true;
    uint64_t took_ns = clock_mono_ns() - begin_ns;
    probe->watched_ns += took_ns;
    probe->delays_us[round] = (double)took_ns / 1e3;
    if (strcmp(answer.code, "REVOKED") == 0)
        return KR_ERR_OK;
    return fault_set(&bench->fault, KR_ERR_IO, "%s: %s in place of REVOKED", probe->talk.name,
                     answer.code);
}

static enum kr_err watch_round(struct propagate *bench, size_t round)
{
    struct protocol_answer answer;
    uint64_t begin_ns = bench->control.sent_ns;
    bool is_committed = false;
    size_t left = bench->node_count;
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && (left > 0 || !is_committed)) {
        for (size_t i = 0; i < bench->node_count && err == KR_ERR_OK; i++) {
            struct node_probe *probe = &bench->probes[i];
            if (probe->is_refused)
                continue;
            err = look_at(bench, probe, begin_ns, round);
            left -= probe->is_refused;
        }
        if (err == KR_ERR_OK && !is_committed) {
            enum kr_err looked = api_look(&bench->control, &answer);
            is_committed = looked == KR_ERR_OK;
            if (is_committed)
                bench->commits_us[round] = (double)(clock_mono_ns() - begin_ns) / 1e3;
            err = looked == KR_ERR_NOT_FOUND ? KR_ERR_OK : looked;
        }
        if (err == KR_ERR_OK && clock_mono_ns() - begin_ns > KR_PROPAGATE_DEADLINE_MS * 1000000ULL)
            err = fault_set(&bench->fault, KR_ERR_TIMEOUT, "%zu nodes do not refuse after %d ms",
                            left, KR_PROPAGATE_DEADLINE_MS);
    }
    return err;
}

static enum kr_err run_round(struct propagate *bench, size_t round)
{
    double leader_us = 0, node_us = 0;
    enum kr_err err =
        api_make_key(&bench->control, bench->token, bench->bucket, bench->consumer, &bench->key);
    for (size_t i = 0; i < bench->node_count && err == KR_ERR_OK; i++)
        err = api_await_valid(&bench->probes[i].talk, bench->key.value, KR_PROPAGATE_DEADLINE_MS);
    if (err == KR_ERR_OK)
        err = measure_way(&bench->control, &leader_us);
    for (size_t i = 0; i < bench->node_count && err == KR_ERR_OK; i++) {
        struct node_probe *probe = &bench->probes[i];
        err = measure_way(&probe->talk, &node_us);
        probe->floors_us[round] = (leader_us + node_us) / 2;
        probe->is_refused = false;
        if (err == KR_ERR_OK)
            err = send_probe(bench, probe);
    }
    if (err != KR_ERR_OK)
        return err;
    api_add_post(&bench->control, bench->token, bench->bucket, bench->key.revoke, "{}");
    err = talk_send(&bench->control);
    if (err == KR_ERR_OK)
        err = watch_round(bench, round);
    for (size_t i = 0; i < bench->node_count; i++) {
        struct node_probe *probe = &bench->probes[i];
        double excess_us = probe->delays_us[round] - probe->floors_us[round];
        probe->excesses_us[round] = excess_us > 0 ? excess_us : 0;
    }
    return err;
}

// --- the run -------------------------------------------------------------------------------------

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(double *values, size_t count, double share)
{
    qsort(values, count, sizeof(*values), compare);
    size_t at = (size_t)(share * (double)count);
    return values[at < count ? at : count - 1];
}

static void print_row(struct table *table, const char *name, double *values, size_t count)
{
    table_row(table, name);
    table_number(table, percentile(values, count, 0.5), 0);
    table_number(table, percentile(values, count, 0.9), 0);
    table_number(table, percentile(values, count, 0.99), 0);
    table_number(table, percentile(values, count, 1), 0);
}

static void print_table(struct propagate *bench)
{
    static struct table table;
    char name[KR_TABLE_CELL];
    table_row(&table, "us from the request");
    table_text(&table, "p50");
    table_text(&table, "p90");
    table_text(&table, "p99");
    table_text(&table, "max");
    print_row(&table, "the leader's answer", bench->commits_us, bench->rounds);
    for (size_t i = 0; i < bench->node_count; i++) {
        struct node_probe *probe = &bench->probes[i];
        snprintf(name, sizeof(name), "%.40s refuses", probe->talk.name);
        print_row(&table, name, probe->delays_us, bench->rounds);
        print_row(&table, "  less the links", probe->excesses_us, bench->rounds);
        print_row(&table, "  the links", probe->floors_us, bench->rounds);
    }
    table_print(&table, stdout);
    printf("\n%" PRIu64 " revocations, %zu nodes\n", bench->rounds, bench->node_count);
}

static void write_node(struct propagate *bench, const struct node_probe *probe)
{
    const struct {
        const char *name, *label;
        const double *values;
    } figures[] = {
        {"propagate.delay", "from a revocation at the leader to the first refusal",
         probe->delays_us},
        {"propagate.link", "one-way delay of the ways to the leader and to the node",
         probe->floors_us},
        {"propagate.excess", "the delay less the links'", probe->excesses_us},
    };
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        const struct result_row row = {.name = figures[i].name,
                                       .label = figures[i].label,
                                       .unit = "us",
                                       .conditions = {{"world", 0, "loopback"},
                                                      {"engine", 0, bench->engine},
                                                      {"load", 0, "idle"},
                                                      {"way", 0, "single"},
                                                      {"node", 0, probe->talk.name}},
                                       .values = figures[i].values,
                                       .count = bench->rounds};
        result_write(&bench->results, &row);
    }
}

static void write_rows(struct propagate *bench)
{
    double *worsts_us = mem_zalloc(bench->rounds * sizeof(double));
    const struct result_row row = {.name = "propagate.worst",
                                   .label =
                                       "from a revocation to the refusal at the last of all nodes",
                                   .unit = "us",
                                   .conditions = {{"world", 0, "loopback"},
                                                  {"engine", 0, bench->engine},
                                                  {"load", 0, "idle"},
                                                  {"way", 0, "single"}},
                                   .values = worsts_us,
                                   .count = bench->rounds};
    for (size_t i = 0; i < bench->node_count; i++) {
        write_node(bench, &bench->probes[i]);
        for (size_t round = 0; round < bench->rounds; round++)
            worsts_us[round] = fmax(worsts_us[round], bench->probes[i].delays_us[round]);
    }
    result_write(&bench->results, &row);
    mem_free(worsts_us);
}

static void write_probes(struct propagate *bench)
{
    double rates[KR_PROPAGATE_NODES_MAX];
    for (size_t i = 0; i < bench->node_count; i++)
        rates[i] = (double)bench->probes[i].answers * 1e9 / (double)bench->probes[i].watched_ns;
    const struct probes probes = {"loopback", bench->engine, "idle",
                                  NULL,       rates,         bench->node_count};
    probes_write(&bench->results, &probes);
}

static enum kr_err open_nodes(struct propagate *bench, char *list)
{
    char *state = NULL;
    enum kr_err err = KR_ERR_OK;
    for (char *url = strtok_r(list, ",", &state); url != NULL && err == KR_ERR_OK;
         url = strtok_r(NULL, ",", &state)) {
        if (bench->node_count == KR_PROPAGATE_NODES_MAX)
            return fault_set(&bench->fault, KR_ERR_INVALID, "--nodes: more than %d",
                             KR_PROPAGATE_NODES_MAX);
        struct node_probe *probe = &bench->probes[bench->node_count++];
        talk_init(&probe->talk, url, &bench->fault);
        probe->delays_us = mem_zalloc(bench->rounds * sizeof(double));
        probe->floors_us = mem_zalloc(bench->rounds * sizeof(double));
        probe->excesses_us = mem_zalloc(bench->rounds * sizeof(double));
        err = open_talk(bench, &probe->talk, url);
    }
    return err;
}

static enum kr_err run(struct propagate *bench, char *nodes)
{
    struct progress progress;
    bench->commits_us = mem_zalloc(bench->rounds * sizeof(double));
    snprintf(bench->consumer, sizeof(bench->consumer), "propagate-%" PRIx64, clock_mono_ns());
    enum kr_err err = api_read_token(bench->token_file, bench->token, &bench->fault);
    if (err == KR_ERR_OK)
        err = open_talk(bench, &bench->control, bench->leader);
    if (err == KR_ERR_OK)
        err = open_nodes(bench, nodes);
    if (err == KR_ERR_OK)
        err = api_make_consumer(&bench->control, bench->token, bench->bucket, bench->consumer);
    priority_take(KR_PRIORITY_SPIN);
    progress_begin(&progress, "revocations", bench->rounds);
    for (size_t round = 0; round < bench->rounds && err == KR_ERR_OK; round++) {
        err = run_round(bench, round);
        progress_at(&progress, round);
    }
    progress_end(&progress);
    return err;
}

// The rows keep the rounds' order, which the table's percentiles do not.
static enum kr_err measure(struct propagate *bench, char *nodes, int argc, char **argv)
{
    enum kr_err err = result_open(&bench->results, argc, argv, &bench->fault);
    if (err == KR_ERR_OK)
        err = run(bench, nodes);
    if (err == KR_ERR_OK)
        write_rows(bench);
    if (err == KR_ERR_OK && !bench->results.is_json)
        print_table(bench);
    if (err == KR_ERR_OK)
        write_probes(bench);
    return result_close(&bench->results, err);
}

static void close_all(struct propagate *bench)
{
    talk_close(&bench->control);
    for (size_t i = 0; i < bench->node_count; i++) {
        talk_close(&bench->probes[i].talk);
        mem_free(bench->probes[i].delays_us);
        mem_free(bench->probes[i].floors_us);
        mem_free(bench->probes[i].excesses_us);
    }
    mem_free(bench->commits_us);
}

int bench_propagate(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--world") == 0)
        return propagate_world(argc - 1, argv + 1);
    struct propagate *bench = mem_zalloc(sizeof(*bench));
    talk_init(&bench->control, "the leader", &bench->fault);
    bench->rounds = 200;
    bench->bucket = KR_API_BUCKET;
    bench->engine = "local";
    const struct option_row rows[] = {
        {"--leader", "URL", KR_OPTION_TEXT, &bench->leader, 0, 0, true,
         "where keys are made and revoked"},
        {"--nodes", "URLS", KR_OPTION_TEXT, &bench->nodes, 0, 0, true,
         "the nodes to watch, comma-separated"},
        {"--token-file", "FILE", KR_OPTION_TEXT, &bench->token_file, 0, 0, true,
         "a management token, 0600"},
        {"--bucket", "NAME", KR_OPTION_TEXT, &bench->bucket, 0, 0, false,
         "of the keys (default production)"},
        {"--rounds", "N", KR_OPTION_COUNT, &bench->rounds, 1, KR_PROPAGATE_ROUNDS_MAX, false,
         "revocations (default 200)"},
        {"--engine", "NAME", KR_OPTION_TEXT, &bench->engine, 0, 0, false,
         "what the results call the log engine (default local)"},
        KR_RESULT_OPTIONS(&bench->results),
    };
    const struct option_spec spec = {
        "propagate",
        "Revokes key after key at the leader and asks every node, over and over, until it "
        "refuses:\n"
        "the time from the request to the first refusal, and the same less what the links alone\n"
        "cost. The prober spins: give it a core of its own (taskset).\n"
        "With --world as its first option it starts a cluster in an emulated world by itself:\n"
        "propagate --world --help.\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  keyreeve-bench propagate --leader http://127.0.77.1:7400 \\\n"
        "      --nodes http://127.0.77.2:7400,http://127.0.77.3:7400 \\\n"
        "      --token-file local-cluster/owner-token\n"};
    int status = KR_BENCH_OK;
    enum option_outcome outcome = options_parse(&spec, argc, argv);
    char *nodes = bench->nodes != NULL ? mem_text(bench->nodes) : NULL;
    if (outcome != KR_OPTIONS_RUN) {
        status = outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
    } else if (measure(bench, nodes, argc, argv) != KR_ERR_OK) {
        fprintf(stderr, "keyreeve-bench propagate: %s\n", bench->fault.text);
        status = KR_BENCH_FAILED;
    }
    close_all(bench);
    mem_free(nodes);
    mem_zero(bench->token, sizeof(bench->token));
    mem_free(bench);
    return status;
}
