// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench plan: what a deployment needs, by arithmetic over what was measured.
//
// Figures come from the rows of a run where it has them, else from the table of docs/capacity.md,
// which this program carries. Each result is told with its formula.
#include "bench/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/options.h"
#include "bench/result.h"
#include "bench/table.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/mem.h"

enum { KR_PLAN_NAME = 32, KR_PLAN_ROWS_BYTES = 1 << 28, KR_PLAN_RELAYS = 2, KR_PLAN_DAY_S = 86400 };

extern const unsigned char capacity_md_data[];
extern const size_t capacity_md_size;

enum figure {
    KR_PLAN_VALIDATIONS, // a second of a core
    KR_PLAN_KEY_BYTES,
    KR_PLAN_NODE_BYTES,
    KR_PLAN_ENTRY_BYTES, // on a link
    KR_PLAN_LINK_BYTES,  // a second, of a link on which nothing happens
    KR_PLAN_HOP_US,
    KR_PLAN_FAR_US,
    KR_PLAN_FIGURES
};

// How a figure is called in docs/capacity.md, and which rows tell it.
static const struct figure_row {
    const char *name, *row, *stat;
    bool is_largest; // of several rows, else the last
    struct {
        const char *name, *text;
    } conditions[2]; // of rows that tell it
} figures[KR_PLAN_FIGURES] = {
    [KR_PLAN_VALIDATIONS] = {"validations", "serve.rate", "p50", false, {{"protocol", "http"}}},
    [KR_PLAN_KEY_BYTES] = {"key.bytes", "restart.memory", "p50", false, {{NULL, NULL}}},
    [KR_PLAN_NODE_BYTES] = {"node.bytes", NULL, NULL, false, {{NULL, NULL}}},
    [KR_PLAN_ENTRY_BYTES] = {"entry.bytes", NULL, NULL, false, {{NULL, NULL}}},
    [KR_PLAN_LINK_BYTES] = {"link.bytes", NULL, NULL, false, {{NULL, NULL}}},
    [KR_PLAN_HOP_US] =
        {"hop.us", "propagate.excess", "p99", true, {{"load", "idle"}, {"way", "single"}}},
    [KR_PLAN_FAR_US] =
        {"far.us", "propagate.link", "p50", true, {{"load", "idle"}, {"way", "single"}}},
};

struct plan {
    const char *from;
    double requests_per_day, regions, keys, peak, load, cores, changes, far_ms;
    double values[KR_PLAN_FIGURES];
    bool is_measured[KR_PLAN_FIGURES]; // by the rows of --from
    struct result_run results;
    struct table table;
    struct fault fault;
};

static enum option_outcome parse(int argc, char **argv, struct plan *plan)
{
    const struct option_row rows[] = {
        {"--requests-per-day", "N", KR_OPTION_REAL, &plan->requests_per_day, 1, 1e15, false,
         "validations, all regions (default 10e9)"},
        {"--regions", "N", KR_OPTION_REAL, &plan->regions, 1, 1000, false, "default 12"},
        {"--keys", "N", KR_OPTION_REAL, &plan->keys, 1, 1e12, false, "default 100e6"},
        {"--peak", "FACTOR", KR_OPTION_REAL, &plan->peak, 1, 1000, false,
         "the busiest second to the day's mean (default 2.5)"},
        {"--load", "SHARE", KR_OPTION_REAL, &plan->load, 0.01, 1, false,
         "how busy a core may be then (default 0.5)"},
        {"--cores", "N", KR_OPTION_REAL, &plan->cores, 1, 1024, false, "a node (default 4)"},
        {"--changes", "SHARE", KR_OPTION_REAL, &plan->changes, 0, 1000, false,
         "of all keys, made or revoked a day (default 0.01)"},
        {"--far-ms", "MS", KR_OPTION_REAL, &plan->far_ms, 0, 10000, false,
         "one way to the farthest region (default: the figures')"},
        {"--from", "DIR", KR_OPTION_TEXT, &plan->from, 0, 0, false,
         "a run, whose figures take the place of the committed ones"},
        KR_RESULT_OPTIONS(&plan->results),
    };
    const struct option_spec spec = {
        "plan",
        "Tells how many nodes, cores and bytes a deployment needs, each by a formula that it\n"
        "prints, over the figures of docs/capacity.md or of a run (--from).\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  keyreeve-bench plan --requests-per-day 10e9 --regions 12 --keys 100e6\n"};
    return options_parse(&spec, argc, argv);
}

// --- figures -------------------------------------------------------------------------------------

// The lines of the table are "| `NAME` | VALUE | …".
static bool find_committed(const char *name, double *out)
{
    char wanted[KR_PLAN_NAME + 8];
    struct bytes page = bytes_of(capacity_md_data, capacity_md_size);
    int size = snprintf(wanted, sizeof(wanted), "\n| `%s` | ", name);
    const char *at = memmem(page.data, page.size, wanted, (size_t)size);
    if (at == NULL)
        return false;
    char *end = NULL;
    *out = strtod(at + size, &end);
    return end != at + size;
}

static enum kr_err load_committed(struct plan *plan)
{
    for (size_t i = 0; i < KR_PLAN_FIGURES; i++)
        if (!find_committed(figures[i].name, &plan->values[i]))
            return fault_set(&plan->fault, KR_ERR_CORRUPT, "docs/capacity.md: lacks %s",
                             figures[i].name);
    return KR_ERR_OK;
}

static bool is_text(const struct json *object, const char *member, const char *wanted)
{
    const struct json *value = object != NULL ? json_member(object, member) : NULL;
    return value != NULL && json_type_of(value) == KR_JSON_STRING &&
           strcmp(json_text(value), wanted) == 0;
}

static bool is_row_of(const struct json *row, const struct figure_row *figure)
{
    const struct json *conditions = json_member(row, "conditions");
    bool is_it = figure->row != NULL && is_text(row, "name", figure->row) &&
                 is_text(row, "system", "keyreeve");
    for (size_t i = 0; i < 2 && figure->conditions[i].name != NULL; i++)
        is_it =
            is_it && is_text(conditions, figure->conditions[i].name, figure->conditions[i].text);
    return is_it;
}

static void take_row(struct plan *plan, const struct json *row)
{
    for (size_t i = 0; i < KR_PLAN_FIGURES; i++) {
        const struct json *stats = json_member(row, "stats");
        if (!is_row_of(row, &figures[i]) || stats == NULL)
            continue;
        const struct json *value = json_member(stats, figures[i].stat);
        double number = value != NULL ? json_double(value) : 0;
        if (number > 0 &&
            !(plan->is_measured[i] && figures[i].is_largest && number < plan->values[i]))
            plan->values[i] = number;
        plan->is_measured[i] |= number > 0;
    }
}

static enum kr_err take_rows(struct plan *plan, struct bytes text)
{
    enum kr_err err = KR_ERR_OK;
    while (text.size > 0 && err == KR_ERR_OK) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t size = end != NULL ? (size_t)(end - text.data) + 1 : text.size;
        struct json *row = NULL;
        err = json_parse(bytes_of(text.data, size), &row, &plan->fault);
        if (err == KR_ERR_OK)
            take_row(plan, row);
        if (row != NULL)
            json_free(&row);
        text = bytes_of(text.data + size, text.size - size);
    }
    return err;
}

static enum kr_err load_run(struct plan *plan)
{
    char path[4096];
    struct buf content;
    if (plan->from == NULL)
        return KR_ERR_OK;
    snprintf(path, sizeof(path), "%s/rows.jsonl", plan->from);
    buf_init(&content, KR_PLAN_ROWS_BYTES);
    enum kr_err err = file_read(path, &content, &plan->fault);
    if (err == KR_ERR_OK)
        err = take_rows(plan, buf_bytes(&content));
    buf_fini(&content);
    return err;
}

// --- results -------------------------------------------------------------------------------------

struct outcome {
    const char *name, *label, *unit, *formula;
    double value;
};

static void tell(struct plan *plan, const struct outcome *outcome)
{
    char text[KR_TABLE_CELL];
    const struct result_row row = {.name = outcome->name,
                                   .label = outcome->label,
                                   .unit = outcome->unit,
                                   .conditions = {{"formula", 0, outcome->formula}},
                                   .values = &outcome->value,
                                   .count = 1};
    result_write(&plan->results, &row);
    table_row(&plan->table, outcome->label);
    table_number(&plan->table, outcome->value, outcome->value < 100 ? 1 : 0);
    table_text(&plan->table, outcome->unit);
    snprintf(text, sizeof(text), "  %s", outcome->formula);
    table_text(&plan->table, text);
}

static void tell_nodes(struct plan *plan, double nodes_a_region, double region_rate)
{
    const double *v = plan->values;
    double nodes = plan->regions * nodes_a_region;
    double memory = v[KR_PLAN_NODE_BYTES] + plan->keys * v[KR_PLAN_KEY_BYTES];
    const struct outcome outcomes[] = {
        {"plan.peak", "validations in the busiest second", "1/s", "requests a day / 86,400 * peak",
         plan->requests_per_day / KR_PLAN_DAY_S * plan->peak},
        {"plan.region_peak", "the same in the largest region", "1/s",
         "busiest second * min(1, 2 / regions)", region_rate},
        {"plan.region_cores", "cores that answer them", "", "largest region / (validations * load)",
         region_rate / (v[KR_PLAN_VALIDATIONS] * plan->load)},
        {"plan.region_nodes", "nodes a region", "", "max(2, ceil(cores / cores a node) + 1)",
         nodes_a_region},
        {"plan.nodes", "validating nodes", "", "regions * nodes a region", nodes},
        {"plan.cores", "their cores", "", "nodes * cores a node", nodes * plan->cores},
        {"plan.node_memory", "memory of a node", "bytes", "node.bytes + keys * key.bytes", memory},
        {"plan.memory", "memory of all nodes", "bytes", "nodes * memory of a node", nodes * memory},
    };
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
        tell(plan, &outcomes[i]);
}

static void tell_tree(struct plan *plan, double nodes_a_region)
{
    const double *v = plan->values;
    double writes = plan->keys * plan->changes / KR_PLAN_DAY_S * plan->peak;
    double child = writes * v[KR_PLAN_ENTRY_BYTES] + v[KR_PLAN_LINK_BYTES];
    double relays = nodes_a_region < KR_PLAN_RELAYS ? nodes_a_region : KR_PLAN_RELAYS;
    double below = ceil((nodes_a_region - relays) / relays), depth = below > 0 ? 2 : 1;
    double far_ms = plan->far_ms >= 0 ? plan->far_ms : v[KR_PLAN_FAR_US] / 1e3;
    const struct outcome outcomes[] = {
        {"plan.writes", "writes in the busiest second", "1/s", "keys * changes / 86,400 * peak",
         writes},
        {"plan.child_bytes", "bytes a second to one follower", "bytes/s",
         "writes * entry.bytes + link.bytes", child},
        {"plan.fan_out", "followers of the leader", "", "regions * min(2, nodes a region)",
         plan->regions * relays},
        {"plan.leader_bytes", "bytes a second that the leader sends", "bytes/s",
         "followers of the leader * bytes to one", plan->regions * relays * child},
        {"plan.relay_fan_out", "followers of a relay", "",
         "ceil((nodes a region - relays) / relays)", below},
        {"plan.relay_bytes", "bytes a second that a relay sends", "bytes/s",
         "followers of a relay * bytes to one", below * child},
        {"plan.depth", "depth of the tree", "", "1, or 2 where a relay has followers", depth},
        {"plan.worst", "a revocation at the last node, p99", "ms", "far + depth * hop (p99)",
         far_ms + depth * v[KR_PLAN_HOP_US] / 1e3},
    };
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
        tell(plan, &outcomes[i]);
}

static void print_figures(const struct plan *plan)
{
    static struct table table;
    table_row(&table, "\nfigure");
    table_text(&table, "value");
    table_text(&table, "  from");
    for (size_t i = 0; i < KR_PLAN_FIGURES; i++) {
        table_row(&table, figures[i].name);
        table_number(&table, plan->values[i], 0);
        table_text(&table, plan->is_measured[i] ? "  the run" : "  docs/capacity.md");
    }
    table_print(&table, stdout);
}

static void derive(struct plan *plan)
{
    double peak = plan->requests_per_day / KR_PLAN_DAY_S * plan->peak;
    double region = peak * (plan->regions > 2 ? 2 / plan->regions : 1);
    double cores = region / (plan->values[KR_PLAN_VALIDATIONS] * plan->load);
    double nodes = ceil(cores / plan->cores) + 1;
    table_row(&plan->table, "");
    table_text(&plan->table, "");
    table_text(&plan->table, "");
    table_text(&plan->table, "  by");
    tell_nodes(plan, nodes < 2 ? 2 : nodes, region);
    tell_tree(plan, nodes < 2 ? 2 : nodes);
}

static enum kr_err run(struct plan *plan, int argc, char **argv)
{
    enum kr_err err = result_open(&plan->results, argc, argv, &plan->fault);
    if (err == KR_ERR_OK)
        err = load_committed(plan);
    if (err == KR_ERR_OK)
        err = load_run(plan);
    if (err == KR_ERR_OK)
        derive(plan);
    if (err == KR_ERR_OK && !plan->results.is_json) {
        table_print(&plan->table, stdout);
        print_figures(plan);
    }
    return result_close(&plan->results, err);
}

int bench_plan(int argc, char **argv)
{
    struct plan *plan = mem_zalloc(sizeof(*plan));
    int status = KR_BENCH_OK;
    plan->requests_per_day = 10e9;
    plan->regions = 12;
    plan->keys = 100e6;
    plan->peak = 2.5;
    plan->load = 0.5;
    plan->cores = 4;
    plan->changes = 0.01;
    plan->far_ms = -1;
    enum option_outcome outcome = parse(argc, argv, plan);
    if (outcome != KR_OPTIONS_RUN) {
        status = outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
    } else if (run(plan, argc, argv) != KR_ERR_OK) {
        fprintf(stderr, "keyreeve-bench plan: %s\n", plan->fault.text);
        status = KR_BENCH_FAILED;
    }
    mem_free(plan);
    return status;
}
