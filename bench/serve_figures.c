// SPDX-License-Identifier: Apache-2.0
// The figures of serve: one table for people, and result rows.
//
// A contender's figure is its answers a second of its server's processor time, where that is
// counted, for it stays the same on a busy machine; else a second of the clock. Ratios are of one
// turn's two figures, so that a drift of the machine is in both.
#include "bench/serve_figures.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "bench/table.h"
#include "core/base/mem.h"

struct comparison {
    enum serve_who one, other;
    const char *beside;
};

static const struct comparison comparisons[] = {
    {KR_SERVE_HTTP, KR_SERVE_EMPTY, "empty"},
    {KR_SERVE_HTTP, KR_SERVE_REDIS, "redis"},
    {KR_SERVE_HTTP, KR_SERVE_BARE, "bare"},
    {KR_SERVE_HTTP_UNIX, KR_SERVE_HTTP, "tcp"},
    {KR_SERVE_HTTPS, KR_SERVE_HTTP, "http"},
    {KR_SERVE_BARE, KR_SERVE_REDIS, "redis"},
    {KR_SERVE_BINARY, KR_SERVE_REDIS_PIPELINE, "redis pipeline"},
    {KR_SERVE_BINARY, KR_SERVE_BARE_BINARY, "bare"},
    {KR_SERVE_BARE_BINARY, KR_SERVE_REDIS_PIPELINE, "redis pipeline"},
    {KR_SERVE_BINARY_UNIX, KR_SERVE_BINARY, "binary"},
    {KR_SERVE_BINARY_TLS, KR_SERVE_BINARY, "binary"},
    {KR_SERVE_GRPC, KR_SERVE_EMPTY_HTTP2, "empty http2"},
};

enum { KR_COMPARISONS = sizeof(comparisons) / sizeof(comparisons[0]) };

static void add_codes(struct serve_contender *contender, const struct load_result *result)
{
    for (size_t i = 0; i < result->code_count; i++) {
        const struct load_code *code = &result->codes[i];
        size_t at = 0;
        while (at < contender->code_count &&
               (contender->codes[at].answer.status != code->answer.status ||
                strcmp(contender->codes[at].answer.code, code->answer.code) != 0))
            at++;
        if (at < contender->code_count)
            contender->codes[at].count += code->count;
        else if (at < KR_LOAD_CODES)
            contender->codes[contender->code_count++] = *code;
    }
}

void serve_note(struct serve_contender *contender, size_t turn, const struct load_result *result)
{
    struct serve_figures *out = &contender->turns[turn];
    double count = (double)result->latency.count, cpu_s = (double)result->server_cpu_ns / 1e9;
    out->per_second = count / result->seconds;
    out->per_cpu_second = cpu_s > 0 ? count / cpu_s : -1;
    out->cpu_share = cpu_s > 0 ? cpu_s / result->seconds : -1;
    out->own_cpu_share = (double)result->own_cpu_ns / 1e9 / result->seconds;
    histogram_merge(&contender->latency, &result->latency);
    contender->broken += result->broken;
    contender->unanswered += result->unanswered;
    add_codes(contender, result);
}

static bool is_by_cpu(const struct serve_contender *contender)
{
    for (size_t turn = 0; turn < KR_SERVE_TURNS; turn++)
        if (contender->turns[turn].per_cpu_second > 0)
            return true;
    return false;
}

// NAN where a turn was too short to tell.
static void fill_rates(const struct serve_report *report, const struct serve_contender *contender,
                       bool is_by_cpu, double out[KR_SERVE_TURNS])
{
    for (size_t turn = 0; turn < report->turns; turn++) {
        const struct serve_figures *figures = &contender->turns[turn];
        out[turn] = is_by_cpu ? figures->per_cpu_second : figures->per_second;
        if (out[turn] <= 0)
            out[turn] = NAN;
    }
}

static void fill_ratios(const struct serve_report *report, const struct comparison *comparison,
                        double out[KR_SERVE_TURNS])
{
    double others[KR_SERVE_TURNS];
    const struct serve_contender *one = &report->contenders[comparison->one];
    const struct serve_contender *other = &report->contenders[comparison->other];
    bool is_counted = is_by_cpu(one) && is_by_cpu(other);
    fill_rates(report, one, is_counted, out);
    fill_rates(report, other, is_counted, others);
    for (size_t turn = 0; turn < report->turns; turn++)
        out[turn] /= others[turn];
}

static bool is_measured(const struct serve_report *report, const struct comparison *comparison)
{
    return report->contenders[comparison->one].is_there &&
           report->contenders[comparison->other].is_there;
}

// --- rows ----------------------------------------------------------------------------------------

static struct result_row row_of(const struct serve_report *report,
                                const struct serve_contender *contender, const char *name,
                                const char *unit)
{
    const struct load_plan *plan = &report->plan;
    return (struct result_row){.name = name,
                               .label = contender->name,
                               .system = contender->system,
                               .unit = unit,
                               .conditions = {{"protocol", 0, contender->protocol},
                                              {"keys", (double)plan->keys->count, NULL},
                                              {"zipf", plan->zipf, NULL},
                                              {"unknown", plan->unknown, NULL},
                                              {"connections", contender->connections, NULL},
                                              {contender->depth_name, contender->depth, NULL},
                                              {"rate", plan->rate, NULL},
                                              {"secondsPerTurn", plan->seconds, NULL}}};
}

static struct result_row ratio_row(const struct serve_report *report,
                                   const struct comparison *comparison)
{
    struct result_row row =
        row_of(report, &report->contenders[comparison->one], "serve.ratio", "ratio");
    size_t at = 0;
    while (row.conditions[at].name != NULL)
        at++;
    row.conditions[at] = (struct result_condition){"beside", 0, comparison->beside};
    row.count = report->turns;
    return row;
}

static struct result_row rate_row(const struct serve_report *report,
                                  const struct serve_contender *contender)
{
    struct result_row row = row_of(report, contender, "serve.rate", "1/s");
    size_t at = 0;
    while (row.conditions[at].name != NULL)
        at++;
    row.conditions[at] =
        (struct result_condition){"per", 0, is_by_cpu(contender) ? "cpu" : "clock"};
    row.count = report->turns;
    return row;
}

void serve_write_rows(const struct serve_report *report, struct result_run *run)
{
    double values[KR_SERVE_TURNS];
    for (size_t who = 0; who < KR_SERVE_COUNT; who++) {
        const struct serve_contender *contender = &report->contenders[who];
        if (!contender->is_there)
            continue;
        struct result_row rate = rate_row(report, contender);
        fill_rates(report, contender, is_by_cpu(contender), values);
        rate.values = values;
        result_write(run, &rate);
        struct result_row latency = row_of(report, contender, "serve.latency", "us");
        latency.histogram = &contender->latency;
        result_write(run, &latency);
    }
    for (size_t i = 0; i < KR_COMPARISONS; i++) {
        if (!is_measured(report, &comparisons[i]))
            continue;
        struct result_row row = ratio_row(report, &comparisons[i]);
        fill_ratios(report, &comparisons[i], values);
        row.values = values;
        result_write(run, &row);
    }
}

// --- the table -----------------------------------------------------------------------------------

static void add_spread(struct table *table, double *values, size_t count, int decimals)
{
    size_t measured = 0;
    for (size_t i = 0; i < count; i++)
        if (!isnan(values[i]))
            values[measured++] = values[i];
    double median = table_median(values, measured); // sorts
    table_number(table, median, decimals);
    table_number(table, measured > 0 ? values[0] : -1, decimals);
    table_number(table, measured > 0 ? values[measured - 1] : -1, decimals);
}

static void add_share(struct table *table, const struct serve_report *report,
                      const struct serve_contender *contender, size_t offset)
{
    double shares[KR_SERVE_TURNS];
    for (size_t turn = 0; turn < report->turns; turn++)
        memcpy(&shares[turn], (const char *)&contender->turns[turn] + offset, sizeof(double));
    double median = table_median(shares, report->turns);
    table_number(table, median < 0 ? -1 : median * 100, 0);
}

// Of a contender's own figure.
static void rate_target(const struct serve_report *report, const struct serve_contender *contender,
                        const struct result_run *run, char out[KR_TABLE_CELL])
{
    const struct result_row row = rate_row(report, contender);
    result_target(run, &row, out, KR_TABLE_CELL);
}

static void add_ratio(struct table *table, const struct serve_report *report,
                      const struct comparison *comparison, const struct result_run *run)
{
    double ratios[KR_SERVE_TURNS];
    char target[KR_TABLE_CELL];
    const struct result_row row = ratio_row(report, comparison);
    fill_ratios(report, comparison, ratios);
    result_target(run, &row, target, sizeof(target));
    if (target[0] == '\0')
        rate_target(report, &report->contenders[comparison->one], run, target);
    table_text(table, report->contenders[comparison->other].name);
    add_spread(table, ratios, report->turns, 3);
    table_text(table, target);
}

static void add_contender(struct table *table, const struct serve_report *report,
                          const struct serve_contender *contender)
{
    double rates[KR_SERVE_TURNS];
    table_row(table, contender->name);
    fill_rates(report, contender, is_by_cpu(contender), rates);
    add_spread(table, rates, report->turns, 0);
    add_share(table, report, contender, offsetof(struct serve_figures, cpu_share));
    add_share(table, report, contender, offsetof(struct serve_figures, own_cpu_share));
    table_number(table, (double)histogram_percentile(&contender->latency, 0.5) / 1e3, 0);
    table_number(table, (double)histogram_percentile(&contender->latency, 0.999) / 1e3, 0);
}

// The first comparison of a contender stands beside it, others in rows below.
static void add_rows(struct table *table, const struct serve_report *report, enum serve_who who,
                     const struct result_run *run)
{
    bool is_first = true;
    const struct serve_contender *contender = &report->contenders[who];
    add_contender(table, report, contender);
    for (size_t i = 0; i < KR_COMPARISONS; i++) {
        if (comparisons[i].one != who || !is_measured(report, &comparisons[i]))
            continue;
        if (!is_first) {
            table_row(table, "");
            for (int column = 0; column < 7; column++)
                table_text(table, "");
        }
        add_ratio(table, report, &comparisons[i], run);
        is_first = false;
    }
    if (is_first) { // its own figure may have a target
        char target[KR_TABLE_CELL];
        rate_target(report, contender, run, target);
        for (int column = 0; column < 4 && target[0] != '\0'; column++)
            table_text(table, "");
        if (target[0] != '\0')
            table_text(table, target);
    }
}

static void print_codes(const struct serve_contender *contender, FILE *out)
{
    fprintf(out, "answers  %s:", contender->name);
    for (size_t i = 0; i < contender->code_count; i++)
        fprintf(out, "  %u%s%s %llu", contender->codes[i].answer.status,
                contender->codes[i].answer.code[0] != '\0' ? " " : "",
                contender->codes[i].answer.code, (unsigned long long)contender->codes[i].count);
    if (contender->broken > 0)
        fprintf(out, "  broken connections %llu", (unsigned long long)contender->broken);
    if (contender->unanswered > 0)
        fprintf(out, "  unanswered %llu", (unsigned long long)contender->unanswered);
    fputc('\n', out);
}

void serve_print(const struct serve_report *report, const struct result_run *run, FILE *out)
{
    static const char *const headings[] = {"answers/CPU-s", "min",    "max",      "CPU %",
                                           "own CPU %",     "p50 us", "p99.9 us", "beside",
                                           "ratio",         "min",    "max",      "target"};
    const struct load_plan *plan = &report->plan;
    struct table *table = mem_zalloc(sizeof(*table));
    bool is_counted = true;
    for (size_t who = 0; who < KR_SERVE_COUNT; who++)
        is_counted &= !report->contenders[who].is_there || is_by_cpu(&report->contenders[who]);
    fprintf(out, "%zu turns of %.3g s, %llu keys, %s", report->turns, plan->seconds,
            (unsigned long long)plan->keys->count, plan->zipf > 0 ? "Zipf " : "uniform");
    if (plan->zipf > 0)
        fprintf(out, "%.3g", plan->zipf);
    if (plan->rate > 0)
        fprintf(out, ", open loop of %.0f requests/s\n\n", plan->rate);
    else
        fputs(", closed loop\n\n", out);
    table_row(table, "");
    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
        table_text(table, i == 0 && !is_counted ? "answers/s" : headings[i]);
    for (enum serve_who who = 0; who < KR_SERVE_COUNT; who++)
        if (report->contenders[who].is_there)
            add_rows(table, report, who, run);
    table_print(table, out);
    fputc('\n', out);
    for (size_t who = 0; who < KR_SERVE_COUNT; who++)
        if (report->contenders[who].is_there)
            print_codes(&report->contenders[who], out);
    mem_free(table);
}
