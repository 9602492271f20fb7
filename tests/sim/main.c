// SPDX-License-Identifier: Apache-2.0
// The simulation's command: runs seeds, and prints what a failing one needs to be found again.
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

enum { KR_SIM_TAIL = 60 };

static const struct {
    const char *name, *letters, *what;
} breaks[] = {{"", "", ""},
#define X(id, text, letters, what) {text, letters, what},
              KR_SIM_BREAKS(X)
#undef X
};

static const char usage[] =
    "usage: sim [--seed N] [--count N] [--trace] [--break NAME] [--expect-found] [--list]\n"
    "\n"
    "Runs --count seeds from --seed on (1). The exit code is 0 when no invariant was broken; with\n"
    "--expect-found, when one was that --break NAME may break. --trace prints every step.\n";

static struct sim_figures total;

static void print_failure(uint64_t seed)
{
    uint64_t first = sim.shown_count > KR_SIM_TAIL ? sim.shown_count - KR_SIM_TAIL : 0;
    printf("seed %" PRIu64 "%s%s: %s\n", seed, sim.options.broken ? " broken by " : "",
           breaks[sim.options.broken].name, sim.violation);
    printf("  %s, %u core nodes of %u; faults:\n", sim.is_etcd ? "etcd" : "local", sim.core_count,
           sim.node_count);
    for (size_t i = 0; i < sim.plan_count; i++)
        printf("    %s\n", sim.plan[i]);
    printf("  the last steps (all of them: --seed %" PRIu64 " --trace):\n", seed);
    for (uint64_t i = first; i < sim.shown_count; i++)
        printf("    %s\n", sim.shown[i % KR_SIM_SHOWN]);
}

static void add_figures(void)
{
    const uint64_t *one = (const uint64_t *)&sim.figures;
    uint64_t *sum = (uint64_t *)&total;
    sim.figures.seeds = 1;
    sim.figures.events = sim.event_total;
    for (size_t i = 0; i < sizeof(total) / sizeof(*sum); i++)
        sum[i] += one[i];
}

static void print_figures(void)
{
    printf("%" PRIu64 " seeds, %" PRIu64 " faults injected, %" PRIu64
           " writes acknowledged, %" PRIu64 " answers checked, %" PRIu64 " violations\n",
           total.seeds, total.faults, total.acked, total.answers, total.violations);
    printf("  %" PRIu64 " entries, %" PRIu64 " receipts complete, %" PRIu64 " late, %" PRIu64
           " VALID, %" PRIu64 " STALE, %" PRIu64 " leaderships, %" PRIu64 " promotions, %" PRIu64
           " processes ended, %" PRIu64 " snapshots (%" PRIu64 " resumed, %" PRIu64
           " taken over), %" PRIu64 " events\n",
           total.entries, total.receipts, total.late, total.valid, total.stale, total.leaders,
           total.promotions, total.crashes, total.snapshots, total.resumed, total.rebuilt,
           total.events);
}

static unsigned find_break(const char *name)
{
    for (unsigned i = 1; i < KR_SIM_BREAK_COUNT; i++)
        if (strcmp(breaks[i].name, name) == 0)
            return i;
    fprintf(stderr, "sim: nothing is called \"%s\"; --list shows what can be broken\n", name);
    exit(2);
}

static void list(void)
{
    for (unsigned i = 1; i < KR_SIM_BREAK_COUNT; i++)
        printf("%s\t%s\t%s\n", breaks[i].name, breaks[i].letters, breaks[i].what);
}

static bool is_expected(unsigned broken)
{
    return strchr(breaks[broken].letters, sim.violation[1]) != NULL;
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"seed", required_argument, NULL, 's'},   {"count", required_argument, NULL, 'c'},
        {"trace", no_argument, NULL, 't'},        {"break", required_argument, NULL, 'b'},
        {"expect-found", no_argument, NULL, 'e'}, {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    struct sim_options options = {.seed = 1};
    uint64_t count = 1, found = 0, first = 0;
    bool is_expecting = false;
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (option == 's')
            options.seed = strtoull(optarg, NULL, 10);
        else if (option == 'c')
            count = strtoull(optarg, NULL, 10);
        else if (option == 't')
            options.is_traced = true;
        else if (option == 'b')
            options.broken = find_break(optarg);
        else if (option == 'e')
            is_expecting = true;
        else if (option == 'l')
            return list(), 0;
        else
            return fputs(usage, option == 'h' ? stdout : stderr), option == 'h' ? 0 : 2;
    }
    for (uint64_t i = 0; i < count; i++, options.seed++) {
        sim_run(&options);
        add_figures();
        bool is_found = sim.has_violation && (!is_expecting || is_expected(options.broken));
        if (is_found && found++ == 0)
            first = options.seed;
        if (sim.has_violation && !is_expecting)
            print_failure(options.seed);
        if (is_found && is_expecting)
            printf("%s: found at seed %" PRIu64 ": %s\n", breaks[options.broken].name, first,
                   sim.violation);
        if (count <= 3)
            printf("transcript %016" PRIx64 "\n", sim.shown_hash);
        sim_fini();
        if (is_found && is_expecting)
            return 0;
    }
    print_figures();
    return is_expecting || found > 0;
}
