// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench: load and measurement, one subcommand a figure.
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/hot.h"
#include "bench/manual.h"
#include "core/base/standard.h"
#include "core/base/troff.h"

struct subcommand {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
};

static const struct subcommand subcommands[] = {
    {"hot", bench_hot, "digest, look-up, verdict and freshness in memory, without a server"},
    {"serve", bench_serve, "HTTP validations against a running node, beside its empty handler"},
    {"restart", bench_restart, "time from start to healthz and readyz, memory a key"},
    {"keys", bench_keys, "makes a file of keys, and the JSON Lines that import them"},
    {"propagate", bench_propagate, "time from a revocation to the refusal at every node"},
    {"write", bench_write, "durable writes, one at a time and many, beside the disk's own flush"},
    {"beside", bench_beside, "how fast a change spreads here, in Redis, PostgreSQL and etcd"},
    {"failover", bench_failover, "what clients see when the leader is killed or stopped"},
    {"join", bench_join, "a follower from an empty directory until it serves"},
    {"plan", bench_plan, "nodes, cores and bytes of a deployment, from what was measured"},
    {"report", bench_report, "one page of charts and tables from the rows of a run"},
    {"wan", bench_wan, "an emulated world: regions, their links, programs in them"},
    {"relay", bench_relay, "TCP links between local nodes that can be cut and healed"},
};

enum { KR_SUBCOMMANDS = sizeof(subcommands) / sizeof(subcommands[0]) };

static const char about[] =
    "Measures Keyreeve. Machines are noisy, so figures are medians over turns, and what is\n"
    "compared is measured in turns within one run.\n";

static const char example[] =
    "  keyreeve-bench keys --count 1000000 --out keys.txt --jsonl import.jsonl\n"
    "  keyreeve import import.jsonl\n"
    "  keyreeve-bench serve --keys keys.txt --path /authz/forward\n";

static void print_help(FILE *out)
{
    fprintf(out, "Usage: keyreeve-bench SUBCOMMAND [OPTION]...\n\n%s\nSubcommands:\n", about);
    for (size_t i = 0; i < KR_SUBCOMMANDS; i++)
        fprintf(out, "  %-9s %s\n", subcommands[i].name, subcommands[i].summary);
    fprintf(out,
            "\n"
            "  --help    this text; keyreeve-bench SUBCOMMAND --help: its options and an example\n"
            "  --man     this text as a manual page (troff); each subcommand has one as well\n"
            "  --version the version\n"
            "\n"
            "Exit codes: 0 measured; 1 could not measure; 2 the command line is not valid.\n"
            "\n"
            "Example:\n%s",
            example);
}

static void print_manual(void)
{
    struct buf page;
    manual_begin(&page, &(struct manual_head){"", "load and measurement of Keyreeve", about});
    troff_add_section(&page, "SUBCOMMANDS");
    for (size_t i = 0; i < KR_SUBCOMMANDS; i++)
        troff_add_term(&page, subcommands[i].name, subcommands[i].summary);
    troff_add_section(&page, "OPTIONS");
    troff_add_term(&page, "--help", "The subcommands; behind one, its options and an example.");
    troff_add_term(&page, "--man", "This page; behind a subcommand, its own.");
    troff_add_term(&page, "--version", "The version.");
    manual_end(&page, example);
}

static int run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return KR_BENCH_OK;
    }
    if (strcmp(name, "--man") == 0) {
        print_manual();
        return KR_BENCH_OK;
    }
    if (strcmp(name, "--version") == 0) {
        puts("keyreeve-bench " KR_VERSION);
        return KR_BENCH_OK;
    }
    for (size_t i = 0; i < KR_SUBCOMMANDS; i++)
        if (strcmp(name, subcommands[i].name) == 0)
            return subcommands[i].run(argc - 1, argv + 1);
    if (argc > 1)
        fprintf(stderr, "keyreeve-bench: no subcommand \"%s\"\n\n", name);
    print_help(stderr);
    return KR_BENCH_USAGE;
}

int main(int argc, char **argv)
{
    standard_hold();
    signal(SIGPIPE, SIG_IGN);
    int code = run(argc, argv);
    // A figure that nobody can read was not measured.
    bool is_printed = standard_end("keyreeve-bench");
    return code == KR_BENCH_OK && !is_printed ? KR_BENCH_FAILED : code;
}
