// SPDX-License-Identifier: Apache-2.0
// The measured delays of a phase, as rows and as a table.
#include "bench/propagate_samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/table.h"
#include "core/base/mem.h"

static double *new_column(size_t capacity)
{
    double *column = mem_alloc(capacity * sizeof(*column));
    for (size_t i = 0; i < capacity; i++)
        column[i] = NAN;
    return column;
}

void propagate_samples_init(struct propagate_samples *samples, const char *load, const char *way,
                            size_t nodes, size_t capacity)
{
    *samples = (struct propagate_samples){.load = load, .way = way, .capacity = capacity};
    for (size_t i = 0; i < nodes; i++) {
        samples->delays_us[i] = new_column(capacity);
        samples->ways_us[i] = new_column(capacity);
    }
    samples->answers_us = new_column(capacity);
    samples->worsts_us = new_column(capacity);
}

void propagate_samples_fini(struct propagate_samples *samples)
{
    for (size_t i = 0; i < KR_TOPOLOGY_NODES; i++) {
        mem_free(samples->delays_us[i]);
        mem_free(samples->ways_us[i]);
    }
    mem_free(samples->answers_us);
    mem_free(samples->worsts_us);
    *samples = (struct propagate_samples){.count = 0};
}

// --- rows ----------------------------------------------------------------------------------------

static const char *form_of(const struct propagate_frame *frame)
{
    return site_form(&frame->cluster->nodes[0].site);
}

static struct result_row row_of(const struct propagate_frame *frame,
                                const struct propagate_samples *samples)
{
    return (struct result_row){.unit = "us",
                               .conditions = {{"world", 0, frame->world},
                                              {"form", 0, form_of(frame)},
                                              {"engine", 0, frame->cluster->plan.engine},
                                              {"load", 0, samples->load},
                                              {"way", 0, samples->way}},
                               .count = samples->count};
}

static void write_node(const struct propagate_frame *frame, const struct propagate_samples *samples,
                       size_t node, double *excesses_us)
{
    const struct topology_node *at = frame->cluster->nodes[node].at;
    struct result_row row = row_of(frame, samples);
    row.region = frame->cluster->plan.topology->regions[at->region];
    row.conditions[5] = (struct result_condition){"node", 0, at->name};
    row.conditions[6] = (struct result_condition){"role", 0, at->is_core ? "core" : "follower"};
    row.name = "propagate.delay";
    row.label = "from a revocation at the leader to the first refusal";
    row.values = samples->delays_us[node];
    result_write(frame->results, &row);
    row.name = "propagate.link";
    row.label = "one-way delay of the link from the leader";
    row.values = samples->ways_us[node];
    result_write(frame->results, &row);
    for (size_t i = 0; i < samples->count; i++)
        excesses_us[i] = samples->delays_us[node][i] - samples->ways_us[node][i];
    row.name = "propagate.excess";
    row.label = "the delay less the link's";
    row.values = excesses_us;
    result_write(frame->results, &row);
}

void propagate_figure_write(const struct propagate_frame *frame, const char *name,
                            const char *label, const char *load, const char *unit,
                            const double *values, size_t count)
{
    const struct result_row row = {.name = name,
                                   .label = label,
                                   .unit = unit,
                                   .conditions = {{"world", 0, frame->world},
                                                  {"form", 0, form_of(frame)},
                                                  {"engine", 0, frame->cluster->plan.engine},
                                                  {"load", 0, load}},
                                   .values = values,
                                   .count = count};
    result_write(frame->results, &row);
}

// --- the table -----------------------------------------------------------------------------------

static int compare(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

// By nearest rank, in ms; sorts what was measured to the front.
static void add_spread(struct table *table, const double *values, size_t count)
{
    static const double shares[] = {0.5, 0.9, 0.99, 1};
    double *sorted = mem_alloc(count * sizeof(*sorted) + 1);
    size_t measured = 0;
    for (size_t i = 0; i < count; i++)
        if (!isnan(values[i]))
            sorted[measured++] = values[i];
    qsort(sorted, measured, sizeof(*sorted), compare);
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        size_t rank = (size_t)ceil(shares[i] * (double)measured);
        table_number(table, measured > 0 ? sorted[rank - 1] / 1e3 : -1, 2);
    }
    mem_free(sorted);
}

static void print_node(struct table *table, const struct propagate_frame *frame,
                       const struct propagate_samples *samples, size_t node,
                       const double *excesses_us)
{
    const struct topology_node *at = frame->cluster->nodes[node].at;
    table_row(table, at->name);
    table_text(table, frame->cluster->plan.topology->regions[at->region]);
    add_spread(table, samples->delays_us[node], samples->count);
    add_spread(table, excesses_us, samples->count);
}

static void print_total(struct table *table, const char *name, const double *values, size_t count)
{
    table_row(table, name);
    table_text(table, "");
    add_spread(table, values, count);
}

static struct table *new_table(const struct propagate_samples *samples, const char *form)
{
    static const char *const headings[] = {"region",    "p50 ms", "p90", "p99", "max",
                                           "less link", "p90",    "p99", "max"};
    struct table *table = mem_zalloc(sizeof(*table));
    char title[KR_TABLE_CELL];
    snprintf(title, sizeof(title), "%s, %s, form %s", samples->load, samples->way, form);
    table_row(table, title);
    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
        table_text(table, headings[i]);
    return table;
}

void propagate_samples_write(const struct propagate_frame *frame,
                             const struct propagate_samples *samples)
{
    struct table *table = new_table(samples, form_of(frame));
    double *excesses_us = mem_alloc(samples->count * sizeof(*excesses_us) + 1);
    struct result_row row = row_of(frame, samples);
    for (size_t node = 0; node < frame->cluster->count; node++) {
        write_node(frame, samples, node, excesses_us);
        print_node(table, frame, samples, node, excesses_us);
    }
    row.name = "propagate.worst";
    row.label = "from a revocation to the refusal at the last of all nodes";
    row.values = samples->worsts_us;
    result_write(frame->results, &row);
    row.name = "propagate.answer";
    row.label = "from a revocation to the leader's answer";
    row.values = samples->answers_us;
    result_write(frame->results, &row);
    print_total(table, "the last of all nodes", samples->worsts_us, samples->count);
    print_total(table, "the leader's answer", samples->answers_us, samples->count);
    if (!frame->results->is_json) {
        table_print(table, stdout);
        putchar('\n');
        fflush(stdout);
    }
    mem_free(excesses_us);
    mem_free(table);
}
