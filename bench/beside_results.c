// SPDX-License-Identifier: Apache-2.0
// What beside has measured, as rows and as a table.
#include "bench/beside_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/table.h"
#include "core/base/mem.h"

enum { KR_BESIDE_TTL_POINTS = 120 };

static const char *world_of(const struct beside *bench)
{
    return bench->is_in_world ? "five-regions" : "loopback";
}

static void add_condition(struct result_row *row, const char *name, const char *text)
{
    size_t i = 0;
    while (row->conditions[i].name != NULL)
        i++;
    row->conditions[i] = (struct result_condition){name, 0, text};
}

static void write_side(struct beside *bench, struct beside_side *side)
{
    const struct {
        const char *name;
        const double *values;
    } figures[] = {{"propagate.delay", side->delays_us},
                   {"propagate.link", bench->links_us},
                   {"propagate.excess", side->excesses_us}};
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        struct result_row row = {.name = figures[i].name,
                                 .label = side->system->label,
                                 .system = side->system->name,
                                 .region = bench->is_in_world ? bench->far_region : NULL,
                                 .unit = "us",
                                 .conditions = {{"world", 0, world_of(bench)},
                                                {"load", 0, "idle"},
                                                {"way", 0, "single"},
                                                {"node", 0, "replica"},
                                                {"settings", 0, side->system->settings}},
                                 .values = figures[i].values,
                                 .count = bench->rounds};
        if (side->system == &beside_keyreeve)
            add_condition(&row, "engine", "local");
        if (bench->is_in_world)
            add_condition(&row, "form", site_form(&bench->near));
        result_write(&bench->results, &row);
    }
}

// How much less, or more, ours takes than the others', round by round.
static void write_ratio(struct beside *bench, const struct beside_side *ours,
                        const struct beside_side *other)
{
    double *ratios = mem_alloc(bench->rounds * sizeof(*ratios));
    struct result_row row = {.name = "propagate.ratio",
                             .label = "Keyreeve's excess to another system's",
                             .region = bench->is_in_world ? bench->far_region : NULL,
                             .unit = "ratio",
                             .conditions = {{"world", 0, world_of(bench)},
                                            {"beside", 0, other->system->name},
                                            {"engine", 0, "local"}},
                             .values = ratios,
                             .count = bench->rounds};
    if (bench->is_in_world)
        add_condition(&row, "form", site_form(&bench->near));
    for (uint64_t i = 0; i < bench->rounds; i++)
        ratios[i] = other->excesses_us[i] > 0 ? ours->excesses_us[i] / other->excesses_us[i] : NAN;
    result_write(&bench->results, &row);
    mem_free(ratios);
}

static void write_ratios(struct beside *bench)
{
    for (size_t i = 1; i < bench->side_count; i++)
        if (bench->sides[0].system == &beside_keyreeve)
            write_ratio(bench, &bench->sides[0], &bench->sides[i]);
}

static void write_flush(struct beside *bench)
{
    const struct result_row row = {.name = "beside.flush",
                                   .label = "the disk's flush",
                                   .system = "disk",
                                   .unit = "us",
                                   .conditions = {{"world", 0, world_of(bench)}},
                                   .values = bench->flushes_us,
                                   .count = bench->rounds};
    result_write(&bench->results, &row);
}

// A key is looked up at a random moment of its entry's life, so what is left of it is uniform.
static void write_ttl(struct beside *bench)
{
    struct result_point points[KR_BESIDE_TTL_POINTS];
    const double whole_us = (double)bench->ttl_seconds * 1e6;
    for (int i = 0; i < KR_BESIDE_TTL_POINTS; i++) {
        double us = whole_us * pow(10, (double)(i + 1 - KR_BESIDE_TTL_POINTS) / 16);
        points[i] = (struct result_point){us, us / whole_us};
    }
    const struct result_row row = {.name = "propagate.ttl",
                                   .label = "a cache in front of a database, computed",
                                   .system = "ttl",
                                   .unit = "us",
                                   .conditions = {{"seconds", (double)bench->ttl_seconds, NULL}},
                                   .points = points,
                                   .count = KR_BESIDE_TTL_POINTS};
    result_write(&bench->results, &row);
}

static double spread_at(const double *values, uint64_t count, double share)
{
    double *sorted = mem_alloc(count * sizeof(*sorted));
    memcpy(sorted, values, count * sizeof(*sorted));
    (void)table_median(sorted, count); // sorts
    double value = sorted[(uint64_t)(share * (double)(count - 1))];
    mem_free(sorted);
    return value;
}

static void print_row(struct table *table, const struct beside *bench, const char *name,
                      const double *values)
{
    static const double shares[] = {0.5, 0.9, 0.99, 1};
    table_row(table, name);
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
        table_number(table, spread_at(values, bench->rounds, shares[i]), 0);
}

static void print(const struct beside *bench)
{
    static const char *const headings[] = {"p50", "p90", "p99", "max", "the way p50"};
    struct table *table = mem_zalloc(sizeof(*table));
    table_row(table, "us beyond the way");
    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
        table_text(table, headings[i]);
    for (size_t i = 0; i < bench->side_count; i++) {
        const struct beside_side *side = &bench->sides[i];
        print_row(table, bench, side->system->label, side->excesses_us);
        table_number(table, spread_at(bench->links_us, bench->rounds, 0.5), 1);
    }
    print_row(table, bench, "the disk's flush alone", bench->flushes_us);
    table_print(table, stdout);
    printf("\n%llu changes of each, in turns", (unsigned long long)bench->rounds);
    if (bench->is_in_world)
        printf(", form %s", site_form(&bench->near));
    putchar('\n');
    mem_free(table);
}

void beside_results(struct beside *bench)
{
    for (size_t i = 0; i < bench->side_count; i++)
        write_side(bench, &bench->sides[i]);
    write_ratios(bench);
    write_flush(bench);
    write_ttl(bench);
    if (!bench->results.is_json)
        print(bench);
}
