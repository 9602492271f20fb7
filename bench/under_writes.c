// SPDX-License-Identifier: Apache-2.0
// serve --writes: how late validations are while keys are made, beside the same without writes.
//
// An open loop at half of what the node can answer, measured first. Each turn has both, every
// second one the other way round; what is compared is p99.9 of the two.
#include "bench/serve_internal.h"

#include <math.h>
#include <stdio.h>

#include "bench/progress.h"
#include "bench/table.h"
#include "bench/writer.h"
#include "core/base/mem.h"

enum { KR_QUIET, KR_BUSY, KR_SIDES };

enum { KR_WRITE_CONNECTIONS = 256 };

struct under_writes {
    struct serve *serve;
    struct writer writer;
    double half_rate;
    struct load_result *result, *written;
    struct histogram latency[KR_SIDES]; // of all turns
    struct histogram write_latency;
    double p50_us[KR_SIDES][KR_SERVE_TURNS], p999_us[KR_SIDES][KR_SERVE_TURNS];
    double cpu_share[KR_SIDES][KR_SERVE_TURNS]; // of the serving loop
    double write_cpu_us[KR_SERVE_TURNS];        // of all others, a write
    double writes[KR_SERVE_TURNS], ratios[KR_SERVE_TURNS];
};

static struct load_plan plan_of(const struct under_writes *it, double rate)
{
    struct load_plan plan = it->serve->report.plan;
    plan.connections = (unsigned)it->serve->options.connections;
    plan.depth = 1;
    plan.rate = rate;
    return plan;
}

static const struct load_target *target_of(const struct under_writes *it)
{
    return &it->serve->report.contenders[KR_SERVE_HTTP].target;
}

static enum kr_err measure_capacity(struct under_writes *it)
{
    const struct load_plan plan = plan_of(it, 0);
    progress_say("what the node can answer");
    enum kr_err err = load_run(target_of(it), &plan, it->result, &it->serve->fault);
    it->half_rate = (double)it->result->latency.count / it->result->seconds / 2;
    if (err == KR_ERR_OK && it->half_rate < 1)
        err = fault_set(&it->serve->fault, KR_ERR_TIMEOUT, "the node answers nothing");
    return err;
}

static enum kr_err run_side(struct under_writes *it, size_t side, size_t turn)
{
    struct serve *serve = it->serve;
    struct load_plan plan = plan_of(it, it->half_rate);
    plan.seed = serve->results.seed + turn;
    const struct load_plan writes = {.keys = &it->writer.token,
                                     .connections = KR_WRITE_CONNECTIONS,
                                     .depth = 1,
                                     .seconds = plan.seconds,
                                     .rate = serve->options.writes};
    const struct load_part parts[] = {{target_of(it), &plan, it->result},
                                      {&it->writer.target, &writes, it->written}};
    progress_say("turn %zu of %llu  %s", turn + 1, (unsigned long long)serve->options.turns,
                 side == KR_BUSY ? "with writes" : "without");
    enum kr_err err = side == KR_BUSY ? load_run_both(parts, &serve->fault)
                                      : load_run(parts[0].target, &plan, it->result, &serve->fault);
    if (err == KR_ERR_OK && side == KR_BUSY) {
        err = writer_check(&it->writer, it->written, &serve->fault);
        it->writes[turn] = (double)it->written->latency.count / it->written->seconds;
        histogram_merge(&it->write_latency, &it->written->latency);
        it->write_cpu_us[turn] =
            ((double)it->written->server_cpu_ns - (double)it->result->server_cpu_ns) / 1e3 /
            (double)(it->written->latency.count + 1);
    }
    it->cpu_share[side][turn] = (double)it->result->server_cpu_ns / 1e9 / plan.seconds;
    it->p50_us[side][turn] = (double)histogram_percentile(&it->result->latency, 0.5) / 1e3;
    it->p999_us[side][turn] = (double)histogram_percentile(&it->result->latency, 0.999) / 1e3;
    histogram_merge(&it->latency[side], &it->result->latency);
    return err;
}

static enum kr_err run_turns(struct under_writes *it)
{
    enum kr_err err = measure_capacity(it);
    for (size_t turn = 0; turn < it->serve->options.turns && err == KR_ERR_OK; turn++) {
        err = run_side(it, turn % 2, turn);
        if (err == KR_ERR_OK)
            err = run_side(it, 1 - turn % 2, turn);
        it->ratios[turn] = it->p999_us[KR_QUIET][turn] > 0
                               ? it->p999_us[KR_BUSY][turn] / it->p999_us[KR_QUIET][turn]
                               : NAN;
    }
    progress_say("%s", "");
    return err;
}

// --- what came of it -----------------------------------------------------------------------------

static struct result_row row_of(const struct under_writes *it, const char *name, const char *label,
                                double writes)
{
    const struct load_plan *plan = &it->serve->report.plan;
    return (struct result_row){
        .name = name,
        .label = label,
        .unit = "us",
        .conditions = {{"protocol", 0, "http"},
                       {"keys", (double)plan->keys->count, NULL},
                       {"zipf", plan->zipf, NULL},
                       {"connections", (double)it->serve->options.connections, NULL},
                       {"rate", it->half_rate, NULL},
                       {"writesPerSecond", writes, NULL}}};
}

static struct result_row ratio_row(const struct under_writes *it)
{
    struct result_row row =
        row_of(it, "serve.under_writes", "p99.9 under writes beside p99.9 without",
               it->serve->options.writes);
    row.unit = "ratio";
    row.values = it->ratios;
    row.count = it->serve->options.turns;
    return row;
}

static void write_rows(const struct under_writes *it)
{
    struct result_run *run = &it->serve->results;
    struct result_row quiet = row_of(it, "serve.latency", "validations without writes", 0);
    struct result_row busy =
        row_of(it, "serve.latency", "validations under writes", it->serve->options.writes);
    const struct result_row ratio = ratio_row(it);
    quiet.histogram = &it->latency[KR_QUIET];
    busy.histogram = &it->latency[KR_BUSY];
    result_write(run, &quiet);
    result_write(run, &busy);
    result_write(run, &ratio);
}

static void add_side(struct table *table, struct under_writes *it, size_t side, const char *name)
{
    size_t turns = it->serve->options.turns;
    table_row(table, name);
    table_number(table, table_median(it->cpu_share[side], turns) * 100, 0);
    table_number(table, table_median(it->p50_us[side], turns), 0);
    table_number(table, table_median(it->p999_us[side], turns), 0); // sorts
    table_number(table, it->p999_us[side][0], 0);
    table_number(table, it->p999_us[side][turns - 1], 0);
}

static void print(struct under_writes *it)
{
    const char *const headings[] = {"CPU %", "p50 us", "p99.9 us", "min",   "max",
                                    "ratio", "min",    "max",      "target"};
    size_t turns = it->serve->options.turns;
    char target[KR_TABLE_CELL];
    struct table *table = mem_zalloc(sizeof(*table));
    const struct result_row row = ratio_row(it);
    result_target(&it->serve->results, &row, target, sizeof(target));
    printf("%zu turns of %.3g s, open loop of %.0f validations/s, %.0f keys made a second "
           "(p50 %.0f us,\n"
           "%.0f us of the node's processor time each, beside its serving loop)\n\n",
           turns, it->serve->options.seconds, it->half_rate, table_median(it->writes, turns),
           (double)histogram_percentile(&it->write_latency, 0.5) / 1e3,
           table_median(it->write_cpu_us, turns));
    table_row(table, "validations");
    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
        table_text(table, headings[i]);
    add_side(table, it, KR_QUIET, "without writes");
    add_side(table, it, KR_BUSY, "under writes");
    table_number(table, table_median(it->ratios, turns), 3); // sorts
    table_number(table, it->ratios[0], 3);
    table_number(table, it->ratios[turns - 1], 3);
    table_text(table, target);
    table_print(table, stdout);
    mem_free(table);
}

enum kr_err serve_under_writes(struct serve *serve)
{
    struct under_writes *it = mem_zalloc(sizeof(*it));
    it->serve = serve;
    it->result = mem_zalloc(sizeof(*it->result));
    it->written = mem_zalloc(sizeof(*it->written));
    enum kr_err err = serve_add_contenders(serve);
    if (err == KR_ERR_OK)
        err = writer_open(&it->writer, serve->rig.url, serve->rig.token, "production",
                          serve->rig.consumer, &serve->fault);
    it->writer.target.pid = serve->rig.node.pid;
    if (err == KR_ERR_OK)
        err = run_turns(it);
    if (err == KR_ERR_OK)
        write_rows(it);
    if (err == KR_ERR_OK && !serve->results.is_json)
        print(it);
    writer_close(&it->writer);
    mem_free(it->result);
    mem_free(it->written);
    mem_free(it);
    return err;
}
