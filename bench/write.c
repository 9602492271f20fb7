// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench write: keys made one at a time and many at a time, in turns with what the disk
// itself needs to flush a small append.
//
// A write is one POST that makes a key of the consumer that --consumer names, answered when it is
// durable. With --etcd-endpoint, bare puts of the same size to the cluster's etcd have their turns.
#include "bench/bench.h"

#include <stdio.h>

#include "bench/flush.h"
#include "bench/options.h"
#include "bench/progress.h"
#include "bench/puts.h"
#include "bench/result.h"
#include "bench/table.h"
#include "bench/writer.h"
#include "core/base/mem.h"

enum { KR_WRITE_TURNS = 50, KR_WRITE_FLUSHES = 200 };
enum { KR_WRITE_FLUSH, KR_WRITE_PUT, KR_WRITE_ONE, KR_WRITE_MANY, KR_WRITE_ROWS };

struct write_figures {
    double rate, p50_us, p99_us, cpu_us; // -1: not measured
};

struct write_bench {
    const char *url, *token_file, *bucket, *consumer, *disk, *engine;
    uint64_t outstanding, turns, server_pid;
    double seconds;
    struct puts_options etcd; // endpoint NULL: no puts
    struct puts puts;
    struct writer writer;
    struct write_figures figures[KR_WRITE_ROWS][KR_WRITE_TURNS];
    struct histogram latency[KR_WRITE_ROWS]; // over all turns
    struct result_run results;
    struct fault fault;
};

static enum option_outcome parse(int argc, char **argv, struct write_bench *bench)
{
    const struct option_row rows[] = {
        {"--token-file", "FILE", KR_OPTION_TEXT, &bench->token_file, 0, 0, true,
         "a management token, 0600"},
        {"--consumer", "NAME", KR_OPTION_TEXT, &bench->consumer, 0, 0, true,
         "whose keys are made; it must exist, and is good for nothing else afterwards"},
        {"--url", "URL", KR_OPTION_URL, &bench->url, 0, 0, false,
         "the node (default http://127.0.0.1:7400)"},
        {"--bucket", "NAME", KR_OPTION_TEXT, &bench->bucket, 0, 0, false,
         "the consumer's (default production)"},
        {"--outstanding", "N", KR_OPTION_COUNT, &bench->outstanding, 2, KR_LOAD_CONNECTIONS_MAX,
         false, "of many at a time (default 1000)"},
        {"--seconds", "S", KR_OPTION_REAL, &bench->seconds, 0.1, 3600, false,
         "each measurement, after a warm-up of a tenth of it (default 3)"},
        {"--turns", "N", KR_OPTION_COUNT, &bench->turns, 1, KR_WRITE_TURNS, false, "default 5"},
        {"--disk", "DIR", KR_OPTION_TEXT, &bench->disk, 0, 0, false,
         "a directory on the node's file system, for the flush (default .)"},
        {"--server-pid", "PID", KR_OPTION_COUNT, &bench->server_pid, 1, 4194304, false,
         "counts the node's processor time, all threads"},
        {"--engine", "NAME", KR_OPTION_TEXT, &bench->engine, 0, 0, false,
         "what the results call the node's log engine (default local)"},
        {"--etcd-endpoint", "URL", KR_OPTION_TEXT, &bench->etcd.endpoint, 0, 0, false,
         "the node's etcd, for bare puts in turns; https needs the next three"},
        {"--etcd-ca-file", "FILE", KR_OPTION_TEXT, &bench->etcd.ca_file, 0, 0, false,
         "PEM: who signed etcd's certificate"},
        {"--etcd-cert-file", "FILE", KR_OPTION_TEXT, &bench->etcd.cert_file, 0, 0, false,
         "PEM: what is shown to etcd"},
        {"--etcd-key-file", "FILE", KR_OPTION_TEXT, &bench->etcd.key_file, 0, 0, false,
         "its key, 0600"},
        KR_RESULT_OPTIONS(&bench->results),
    };
    const struct option_spec spec = {
        "write",
        "Makes keys over keep-alive connections, one at a time and then many, each answered\n"
        "when it is durable, and prints them beside the disk's own flush and, where the log is\n"
        "in etcd, a bare put to it. Medians over turns.\n"
        "The node's rate_limit_per_token must be 0.\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  keyreeve consumer create bench\n"
        "  keyreeve-bench write --token-file data/owner-token --consumer bench --disk data\n"
        "  keyreeve-bench write --engine etcd $(./deploy/local-cluster.sh etcd core-1) \\\n"
        "      --url http://127.0.77.1:7400 --token-file local-cluster/owner-token \\\n"
        "      --consumer bench --disk local-cluster\n"};
    return options_parse(&spec, argc, argv);
}

// --- the disk ------------------------------------------------------------------------------------

static struct write_figures figures_of(const struct histogram *latency, double seconds)
{
    return (struct write_figures){.rate = seconds > 0 ? (double)latency->count / seconds : -1,
                                  .p50_us = (double)histogram_percentile(latency, 0.5) / 1e3,
                                  .p99_us = (double)histogram_percentile(latency, 0.99) / 1e3,
                                  .cpu_us = -1};
}

static enum kr_err measure_disk(struct write_bench *bench, struct write_figures *out)
{
    struct flush flush;
    struct histogram *latency = mem_zalloc(sizeof(*latency));
    enum kr_err err = flush_open(&flush, bench->disk, &bench->fault);
    for (size_t i = 0; i < KR_WRITE_FLUSHES && err == KR_ERR_OK; i++) {
        uint64_t took_ns = 0;
        err = flush_once(&flush, &took_ns, &bench->fault);
        histogram_record(latency, took_ns);
    }
    flush_close(&flush);
    *out = figures_of(latency, 0);
    histogram_merge(&bench->latency[KR_WRITE_FLUSH], latency);
    mem_free(latency);
    return err;
}

// --- the node ------------------------------------------------------------------------------------

static enum kr_err measure_node(struct write_bench *bench, size_t row, uint64_t turn)
{
    const unsigned outstanding = row == KR_WRITE_ONE ? 1 : (unsigned)bench->outstanding;
    struct write_figures *out = &bench->figures[row][turn];
    const struct load_plan plan = {.keys = &bench->writer.token,
                                   .seed = turn,
                                   .connections = outstanding,
                                   .depth = 1,
                                   .seconds = bench->seconds};
    struct load_result *result = mem_zalloc(sizeof(*result));
    enum kr_err err = load_run(&bench->writer.target, &plan, result, &bench->fault);
    if (err == KR_ERR_OK)
        err = writer_check(&bench->writer, result, &bench->fault);
    *out = figures_of(&result->latency, result->seconds);
    if (bench->server_pid > 0 && result->latency.count > 0)
        out->cpu_us = (double)result->server_cpu_ns / 1e3 / (double)result->latency.count;
    histogram_merge(&bench->latency[row], &result->latency);
    mem_free(result);
    return err;
}

// --- etcd ----------------------------------------------------------------------------------------

// Behind the writes one at a time, of which the log's newest row is.
static enum kr_err measure_puts(struct write_bench *bench, uint64_t turn)
{
    struct load_result *result = mem_zalloc(sizeof(*result));
    enum kr_err err =
        bench->puts.value_bytes == 0 ? puts_like_log(&bench->puts, &bench->fault) : KR_ERR_OK;
    if (err == KR_ERR_OK)
        err = puts_run(&bench->puts, bench->seconds, result, &bench->fault);
    bench->figures[KR_WRITE_PUT][turn] = figures_of(&result->latency, result->seconds);
    histogram_merge(&bench->latency[KR_WRITE_PUT], &result->latency);
    mem_free(result);
    return err;
}

// --- turns ---------------------------------------------------------------------------------------

static enum kr_err run_turns(struct write_bench *bench)
{
    enum kr_err err = writer_open(&bench->writer, bench->url, bench->token_file, bench->bucket,
                                  bench->consumer, &bench->fault);
    bench->writer.target.pid = (pid_t)bench->server_pid;
    if (err == KR_ERR_OK && bench->etcd.endpoint != NULL)
        err = puts_open(&bench->puts, &bench->etcd, &bench->fault);
    for (uint64_t turn = 0; turn < bench->turns && err == KR_ERR_OK; turn++) {
        progress_say("turn %llu of %llu", (unsigned long long)turn + 1,
                     (unsigned long long)bench->turns);
        err = measure_disk(bench, &bench->figures[KR_WRITE_FLUSH][turn]);
        if (err == KR_ERR_OK)
            err = measure_node(bench, KR_WRITE_ONE, turn);
        if (err == KR_ERR_OK && bench->etcd.endpoint != NULL)
            err = measure_puts(bench, turn);
        if (err == KR_ERR_OK)
            err = measure_node(bench, KR_WRITE_MANY, turn);
    }
    progress_say("%s", "");
    return err;
}

// --- print ---------------------------------------------------------------------------------------

static void add_row(struct table *table, const struct write_bench *bench, size_t row,
                    const char *name)
{
    double columns[4][KR_WRITE_TURNS];
    for (size_t i = 0; i < bench->turns; i++) {
        const struct write_figures *one = &bench->figures[row][i];
        columns[0][i] = one->rate;
        columns[1][i] = one->p50_us;
        columns[2][i] = one->p99_us;
        columns[3][i] = one->cpu_us;
    }
    table_row(table, name);
    for (size_t i = 0; i < 4; i++)
        table_number(table, table_median(columns[i], bench->turns), 0);
}

static void print(const struct write_bench *bench)
{
    static const char *const headings[] = {"writes/s", "p50 us", "p99 us", "node CPU us each"};
    struct table *table = mem_zalloc(sizeof(*table));
    char many[KR_TABLE_CELL], put[KR_TABLE_CELL];
    table_row(table, "medians");
    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
        table_text(table, headings[i]);
    snprintf(many, sizeof(many), "%llu at a time", (unsigned long long)bench->outstanding);
    add_row(table, bench, KR_WRITE_FLUSH, "the disk's flush");
    snprintf(put, sizeof(put), "a bare etcd put of %zu bytes", bench->puts.value_bytes);
    if (bench->etcd.endpoint != NULL)
        add_row(table, bench, KR_WRITE_PUT, put);
    add_row(table, bench, KR_WRITE_ONE, "one at a time");
    add_row(table, bench, KR_WRITE_MANY, many);
    table_print(table, stdout);
    mem_free(table);
}

// --- rows ----------------------------------------------------------------------------------------

static void write_latency(struct write_bench *bench, size_t figure, const char *name,
                          const char *label)
{
    const struct result_row row = {
        .name = name,
        .label = label,
        .system = figure == KR_WRITE_FLUSH ? "disk"
                  : figure == KR_WRITE_PUT ? "etcd"
                                           : NULL,
        .unit = "us",
        .conditions = {{"engine", 0, bench->engine},
                       {"outstanding", figure == KR_WRITE_MANY ? (double)bench->outstanding : 1,
                        NULL}},
        .histogram = &bench->latency[figure]};
    result_write(&bench->results, &row);
}

static void write_turns(struct write_bench *bench, const struct result_row *like, size_t figure)
{
    double beyond_us[KR_WRITE_TURNS], rates[KR_WRITE_TURNS];
    struct result_row row = *like;
    for (size_t i = 0; i < bench->turns; i++) {
        beyond_us[i] = bench->figures[figure][i].p50_us - bench->figures[KR_WRITE_FLUSH][i].p50_us;
        rates[i] = bench->figures[figure][i].rate;
    }
    row.values = figure == KR_WRITE_ONE ? beyond_us : rates;
    row.count = bench->turns;
    result_write(&bench->results, &row);
}

static void write_puts(struct write_bench *bench)
{
    double ratios[KR_WRITE_TURNS];
    const struct result_row row = {.name = "write.etcd_ratio",
                                   .label = "a write, to a bare etcd put of the same size",
                                   .unit = "ratio",
                                   .conditions = {{"engine", 0, bench->engine},
                                                  {"outstanding", 1, NULL},
                                                  {"bytes", (double)bench->puts.value_bytes, NULL}},
                                   .values = ratios,
                                   .count = bench->turns};
    if (bench->etcd.endpoint == NULL)
        return;
    for (size_t i = 0; i < bench->turns; i++)
        ratios[i] = bench->figures[KR_WRITE_ONE][i].p50_us / bench->figures[KR_WRITE_PUT][i].p50_us;
    write_latency(bench, KR_WRITE_PUT, "write.etcd_put", "a bare etcd put of the same size");
    result_write(&bench->results, &row);
}

static void write_rows(struct write_bench *bench)
{
    const struct result_row beyond = {
        .name = "write.beyond_flush",
        .label = "a write, beyond the disk's flush",
        .unit = "us",
        .conditions = {{"engine", 0, bench->engine}, {"outstanding", 1, NULL}}};
    const struct result_row many = {
        .name = "write.many",
        .label = "writes, many at a time",
        .unit = "1/s",
        .conditions = {{"engine", 0, bench->engine},
                       {"outstanding", (double)bench->outstanding, NULL}}};
    write_latency(bench, KR_WRITE_FLUSH, "write.flush", "the disk's flush");
    write_latency(bench, KR_WRITE_ONE, "write.one", "a write, one at a time");
    write_latency(bench, KR_WRITE_MANY, "write.many_latency", "a write, many at a time");
    write_turns(bench, &beyond, KR_WRITE_ONE);
    write_turns(bench, &many, KR_WRITE_MANY);
    write_puts(bench);
}

static enum kr_err run(struct write_bench *bench, int argc, char **argv)
{
    bench->results.disk = bench->disk;
    enum kr_err err = result_open(&bench->results, argc, argv, &bench->fault);
    if (err == KR_ERR_OK)
        err = run_turns(bench);
    if (err == KR_ERR_OK)
        write_rows(bench);
    return result_close(&bench->results, err);
}

int bench_write(int argc, char **argv)
{
    struct write_bench *bench = mem_zalloc(sizeof(*bench));
    int status = KR_BENCH_OK;
    bench->url = "http://127.0.0.1:7400";
    bench->bucket = "production";
    bench->disk = ".";
    bench->engine = "local";
    bench->outstanding = 1000;
    bench->turns = 5;
    bench->seconds = 3;
    enum option_outcome outcome = parse(argc, argv, bench);
    if (outcome != KR_OPTIONS_RUN) {
        status = outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
    } else if (run(bench, argc, argv) != KR_ERR_OK) {
        fprintf(stderr, "keyreeve-bench write: %s\n", bench->fault.text);
        status = KR_BENCH_FAILED;
    } else if (!bench->results.is_json) {
        print(bench);
    }
    if (bench->etcd.endpoint != NULL && outcome == KR_OPTIONS_RUN)
        puts_close(&bench->puts);
    writer_close(&bench->writer);
    mem_free(bench);
    return status;
}
