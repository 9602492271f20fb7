// SPDX-License-Identifier: Apache-2.0
// The figures of serve, as tables for people and as one JSON object.
#include "bench/serve_figures.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "bench/table.h"
#include "core/base/json.h"
#include "core/base/mem.h"

struct figure {
    const char *heading, *member;
    size_t offset;
    int decimals;
};

static const struct figure figures[] = {
    {"requests/s", "perSecond", offsetof(struct serve_figures, per_second), 0},
    {"/server CPU-s", "perServerCpuSecond", offsetof(struct serve_figures, per_cpu_second), 0},
    {"CPU-s", "serverCpuSeconds", offsetof(struct serve_figures, cpu_seconds), 2},
    {"own CPU-s", "generatorCpuSeconds", offsetof(struct serve_figures, own_cpu_seconds), 2},
    {"p50 us", "p50Us", offsetof(struct serve_figures, p50_us), 0},
    {"p99 us", "p99Us", offsetof(struct serve_figures, p99_us), 0},
    {"p99.9 us", "p999Us", offsetof(struct serve_figures, p999_us), 0},
    {"max us", "maxUs", offsetof(struct serve_figures, max_us), 0},
};

enum { KR_FIGURES = sizeof(figures) / sizeof(figures[0]), KR_SERVE_JSON = 1 << 20 };

static double value_of(const struct serve_figures *turn, const struct figure *figure)
{
    double value;
    memcpy(&value, (const char *)turn + figure->offset, sizeof(value));
    return value;
}

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
    double count = (double)result->latency.count;
    out->per_second = count / result->seconds;
    out->cpu_seconds = result->server_cpu_ns > 0 ? (double)result->server_cpu_ns / 1e9 : -1;
    out->own_cpu_seconds = (double)result->own_cpu_ns / 1e9;
    out->per_cpu_second = out->cpu_seconds > 0 ? count / out->cpu_seconds : -1;
    out->p50_us = (double)histogram_percentile(&result->latency, 0.5) / 1e3;
    out->p99_us = (double)histogram_percentile(&result->latency, 0.99) / 1e3;
    out->p999_us = (double)histogram_percentile(&result->latency, 0.999) / 1e3;
    out->max_us = (double)result->latency.max_ns / 1e3;
    contender->broken += result->broken;
    contender->unanswered += result->unanswered;
    add_codes(contender, result);
}

static double median_of(const struct serve_report *report, size_t at, const struct figure *figure)
{
    double values[KR_SERVE_TURNS];
    for (size_t turn = 0; turn < report->turns; turn++)
        values[turn] = value_of(&report->contenders[at].turns[turn], figure);
    return table_median(values, report->turns);
}

// The median over turns of (first contender / this one), which a drifting machine does not move.
static double ratio_of(const struct serve_report *report, size_t at, const struct figure *figure)
{
    double values[KR_SERVE_TURNS];
    size_t count = 0;
    for (size_t turn = 0; turn < report->turns; turn++) {
        double first = value_of(&report->contenders[0].turns[turn], figure);
        double other = value_of(&report->contenders[at].turns[turn], figure);
        if (first > 0 && other > 0)
            values[count++] = first / other;
    }
    return table_median(values, count);
}

// --- for people ----------------------------------------------------------------------------------

static void add_turns(const struct serve_report *report, struct table *table, size_t turn)
{
    char name[KR_TABLE_CELL];
    for (size_t at = 0; at < report->count; at++) {
        snprintf(name, sizeof(name), "turn %zu  %s", turn + 1, report->contenders[at].name);
        table_row(table, name);
        for (size_t i = 0; i < KR_FIGURES; i++)
            table_number(table, value_of(&report->contenders[at].turns[turn], &figures[i]),
                         figures[i].decimals);
    }
}

static void add_medians(const struct serve_report *report, struct table *table)
{
    char name[KR_TABLE_CELL];
    for (size_t at = 0; at < report->count; at++) {
        snprintf(name, sizeof(name), "median  %s", report->contenders[at].name);
        table_row(table, name);
        for (size_t i = 0; i < KR_FIGURES; i++)
            table_number(table, median_of(report, at, &figures[i]), figures[i].decimals);
    }
}

static void add_heading(struct table *table)
{
    table_row(table, "");
    for (size_t i = 0; i < KR_FIGURES; i++)
        table_text(table, figures[i].heading);
}

static void print_ratios(const struct serve_report *report, struct table *table, FILE *out)
{
    char name[KR_TABLE_CELL];
    if (report->count < 2)
        return;
    memset(table, 0, sizeof(*table));
    table_row(table, "ratio, median of the turns");
    table_text(table, figures[0].heading);
    table_text(table, figures[1].heading);
    for (size_t at = 1; at < report->count; at++) {
        snprintf(name, sizeof(name), "%.36s / %.36s", report->contenders[0].name,
                 report->contenders[at].name);
        table_row(table, name);
        table_number(table, ratio_of(report, at, &figures[0]), 3);
        table_number(table, ratio_of(report, at, &figures[1]), 3);
    }
    fputc('\n', out);
    table_print(table, out);
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

void serve_print(const struct serve_report *report, FILE *out)
{
    const struct load_plan *plan = &report->plan;
    struct table *table = mem_zalloc(sizeof(*table));
    fprintf(out, "%zu turns of %.3g s, %u connections, ", report->turns, plan->seconds,
            plan->connections);
    if (plan->depth > 1)
        fprintf(out, "%u requests in flight on each, ", plan->depth);
    if (plan->rate > 0)
        fprintf(out, "open loop of %.0f requests/s\n\n", plan->rate);
    else
        fputs("closed loop\n\n", out);
    // Beyond what a table holds, the medians say enough.
    add_heading(table);
    if (report->turns * report->count + report->count + 1 <= KR_TABLE_ROWS)
        for (size_t turn = 0; turn < report->turns; turn++)
            add_turns(report, table, turn);
    add_medians(report, table);
    table_print(table, out);
    print_ratios(report, table, out);
    fputc('\n', out);
    for (size_t at = 0; at < report->count; at++)
        print_codes(&report->contenders[at], out);
    mem_free(table);
}

// --- for programs --------------------------------------------------------------------------------

static void write_real(struct json_writer *writer, const char *name, double value)
{
    char text[32];
    int size = snprintf(text, sizeof(text), "%.6g", value);
    if (value < 0)
        json_write_null(writer, name);
    else
        json_write_raw(writer, name, bytes_of(text, (size_t)size));
}

static void write_figures(struct json_writer *writer, const char *name,
                          const struct serve_figures *turn)
{
    json_open(writer, name, '{');
    for (size_t i = 0; i < KR_FIGURES; i++)
        write_real(writer, figures[i].member, value_of(turn, &figures[i]));
    json_close(writer, '}');
}

static void write_codes(struct json_writer *writer, const struct serve_contender *contender)
{
    json_open(writer, "answers", '[');
    for (size_t i = 0; i < contender->code_count; i++) {
        json_open(writer, NULL, '{');
        json_write_integer(writer, "status", contender->codes[i].answer.status);
        json_write_string(writer, "code", contender->codes[i].answer.code);
        json_write_integer(writer, "count", (int64_t)contender->codes[i].count);
        json_close(writer, '}');
    }
    json_close(writer, ']');
}

static void write_contender(struct json_writer *writer, const struct serve_report *report,
                            size_t at)
{
    const struct serve_contender *contender = &report->contenders[at];
    json_open(writer, NULL, '{');
    json_write_string(writer, "name", contender->name);
    json_open(writer, "median", '{');
    for (size_t i = 0; i < KR_FIGURES; i++)
        write_real(writer, figures[i].member, median_of(report, at, &figures[i]));
    json_close(writer, '}');
    write_real(writer, "firstToThis", ratio_of(report, at, &figures[0]));
    write_real(writer, "firstToThisPerCpuSecond", ratio_of(report, at, &figures[1]));
    json_open(writer, "turns", '[');
    for (size_t turn = 0; turn < report->turns; turn++)
        write_figures(writer, NULL, &contender->turns[turn]);
    json_close(writer, ']');
    write_codes(writer, contender);
    json_write_integer(writer, "broken", (int64_t)contender->broken);
    json_write_integer(writer, "unanswered", (int64_t)contender->unanswered);
    json_close(writer, '}');
}

void serve_print_json(const struct serve_report *report, FILE *out)
{
    struct json_writer writer;
    struct buf text;
    buf_init(&text, KR_SERVE_JSON);
    json_begin(&writer, &text);
    json_open(&writer, NULL, '{');
    write_real(&writer, "secondsPerTurn", report->plan.seconds);
    json_write_integer(&writer, "connections", report->plan.connections);
    json_write_integer(&writer, "depth", report->plan.depth);
    write_real(&writer, "ratePerSecond", report->plan.rate);
    json_open(&writer, "contenders", '[');
    for (size_t at = 0; at < report->count; at++)
        write_contender(&writer, report, at);
    json_close(&writer, ']');
    json_close(&writer, '}');
    fprintf(out, "%.*s\n", (int)text.size, (const char *)text.data);
    buf_fini(&text);
}
