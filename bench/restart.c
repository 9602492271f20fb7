// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench restart: from start to healthz, to a first right answer, to readyz; memory a key.
#include "bench/bench.h"

#include <ftw.h>
#include <stdio.h>

#include "bench/child.h"
#include "bench/options.h"
#include "bench/process.h"
#include "bench/program.h"
#include "bench/progress.h"
#include "bench/result.h"
#include "bench/table.h"
#include "core/base/mem.h"

enum { KR_RESTART_TURNS = 50, KR_RESTART_FIGURES = 5, KR_RESTART_PATH = 256 };

struct restart_figures {
    double healthy_ms, answered_ms, ready_ms, resident_bytes, stop_ms;
};

struct restart {
    const char *program, *data, *http, *keys_path;
    uint64_t turns, key_count;
    double deadline_s;
    struct result_run results;
    struct keyset keys;
    struct restart_figures figures[KR_RESTART_TURNS];
    struct restart_figures empty; // a node without keys
    struct fault fault;
};

static enum option_outcome parse(int argc, char **argv, struct restart *r)
{
    const struct option_row rows[] = {
        {"--bin", "PATH", KR_OPTION_TEXT, &r->program, 0, 0, true, "the keyreeved program"},
        {"--data", "DIR", KR_OPTION_TEXT, &r->data, 0, 0, true,
         "its data directory, in use by nobody"},
        {"--http", "HOST:PORT", KR_OPTION_TEXT, &r->http, 0, 0, false,
         "where it listens (default 127.0.0.1:7480)"},
        {"--keys", "FILE", KR_OPTION_TEXT, &r->keys_path, 0, 0, false,
         "one key a line; the first is asked until it is let in"},
        {"--key-count", "N", KR_OPTION_COUNT, &r->key_count, 1, 1e12, false,
         "keys in the data directory (default: the lines of --keys)"},
        {"--turns", "N", KR_OPTION_COUNT, &r->turns, 1, KR_RESTART_TURNS, false, "default 5"},
        {"--deadline", "S", KR_OPTION_REAL, &r->deadline_s, 1, 3600, false,
         "gives up a start after this (default 120)"},
        KR_RESULT_OPTIONS(&r->results),
    };
    const struct option_spec spec = {
        "restart",
        "Starts keyreeved on a data directory, asks every millisecond until /healthz, the first\n"
        "key of --keys on /authz/forward, and /readyz answer 200, notes the resident memory, and\n"
        "stops it. A node on an empty directory, started once, is what memory a key is counted\n"
        "from. The kernel's page cache is warm from the second turn on.\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  keyreeve-bench restart --bin build/release/bin/keyreeved --data data --keys keys.txt\n"};
    return options_parse(&spec, argc, argv);
}

static enum kr_err run_node(struct restart *r, const char *data, bool is_empty,
                            struct restart_figures *out)
{
    const struct child_options options = {
        .program = r->program, .data = data, .http = r->http, .is_quiet = is_empty};
    struct child child;
    uint64_t healthy_ns = 0, answered_ns = 0, ready_ns = 0;
    const struct bytes nothing = {0};
    enum kr_err err = child_start(&options, &child, &r->fault);
    if (err == KR_ERR_OK)
        err = child_await(&child, "/healthz", nothing, r->deadline_s, &healthy_ns, &r->fault);
    if (err == KR_ERR_OK && r->keys.count > 0 && !is_empty)
        err = child_await(&child, "/authz/forward", keyset_at(&r->keys, 0), r->deadline_s,
                          &answered_ns, &r->fault);
    if (err == KR_ERR_OK)
        err = child_await(&child, "/readyz", nothing, r->deadline_s, &ready_ns, &r->fault);
    out->resident_bytes = child.pid > 0 ? (double)process_resident_bytes(child.pid) : -1;
    out->healthy_ms = (double)healthy_ns / 1e6;
    out->answered_ms = answered_ns > 0 ? (double)answered_ns / 1e6 : -1;
    out->ready_ms = (double)ready_ns / 1e6;
    out->stop_ms = (double)child_stop(&child) / 1e6;
    return err;
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *place)
{
    (void)about;
    (void)kind;
    (void)place;
    return remove(path);
}

static enum kr_err run_empty(struct restart *r)
{
    char data[KR_RESTART_PATH];
    enum kr_err err = program_directory("restart", data, sizeof(data), &r->fault);
    if (err != KR_ERR_OK)
        return err;
    progress_say("an empty node");
    err = run_node(r, data, true, &r->empty);
    nftw(data, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return err;
}

static enum kr_err run_turns(struct restart *r)
{
    enum kr_err err = KR_ERR_OK;
    if (r->keys_path != NULL)
        err = keyset_open(r->keys_path, &r->keys, &r->fault);
    if (r->key_count == 0)
        r->key_count = r->keys.count;
    if (err == KR_ERR_OK)
        err = run_empty(r);
    for (uint64_t turn = 0; turn < r->turns && err == KR_ERR_OK; turn++) {
        progress_say("turn %llu of %llu", (unsigned long long)turn + 1,
                     (unsigned long long)r->turns);
        err = run_node(r, r->data, false, &r->figures[turn]);
    }
    progress_say("%s", "");
    return err;
}

// --- print ---------------------------------------------------------------------------------------

// One figure of all turns.
static void collect(const struct restart *r, size_t figure, double out[KR_RESTART_TURNS])
{
    for (size_t i = 0; i < r->turns; i++) {
        const struct restart_figures *turn = &r->figures[i];
        const double all[KR_RESTART_FIGURES] = {turn->healthy_ms, turn->answered_ms, turn->ready_ms,
                                                turn->resident_bytes, turn->stop_ms};
        out[i] = all[figure];
    }
}

static struct restart_figures median_of(const struct restart *r)
{
    double medians[KR_RESTART_FIGURES], turns[KR_RESTART_TURNS];
    for (size_t i = 0; i < KR_RESTART_FIGURES; i++) {
        collect(r, i, turns);
        medians[i] = table_median(turns, r->turns);
    }
    return (struct restart_figures){medians[0], medians[1], medians[2], medians[3], medians[4]};
}

static void add_row(struct table *table, const char *name, const struct restart_figures *turn)
{
    table_row(table, name);
    table_number(table, turn->healthy_ms, 1);
    table_number(table, turn->answered_ms, 1);
    table_number(table, turn->ready_ms, 1);
    table_number(table, turn->resident_bytes < 0 ? -1 : turn->resident_bytes / 1048576, 1);
    table_number(table, turn->stop_ms, 1);
}

static void print(const struct restart *r)
{
    static const char *const headings[] = {"healthz ms", "first answer ms", "readyz ms",
                                           "resident MiB", "stop ms"};
    const struct restart_figures median = median_of(r);
    struct table *table = mem_zalloc(sizeof(*table));
    char name[KR_TABLE_CELL];
    table_row(table, "");
    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
        table_text(table, headings[i]);
    add_row(table, "empty", &r->empty);
    for (uint64_t turn = 0; turn < r->turns; turn++) {
        snprintf(name, sizeof(name), "turn %llu", (unsigned long long)turn + 1);
        add_row(table, name, &r->figures[turn]);
    }
    add_row(table, "median", &median);
    table_print(table, stdout);
    if (r->key_count > 0)
        printf("\n%llu keys: %.1f bytes resident a key, %.1f beyond the empty node\n",
               (unsigned long long)r->key_count, median.resident_bytes / (double)r->key_count,
               (median.resident_bytes - r->empty.resident_bytes) / (double)r->key_count);
    mem_free(table);
}

static void write_rows(struct restart *r)
{
    static const struct {
        const char *name, *label;
    } figures[] = {{"restart.healthz", "from start to healthz"},
                   {"restart.answer", "from start to the first right answer"},
                   {"restart.ready", "from start to readyz"}};
    double turns[KR_RESTART_TURNS];
    struct result_row row = {.unit = "ms",
                             .conditions = {{"keys", (double)r->key_count, NULL}},
                             .values = turns,
                             .count = r->turns};
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        collect(r, i, turns);
        row.name = figures[i].name;
        row.label = figures[i].label;
        if (turns[0] >= 0)
            result_write(&r->results, &row);
    }
    collect(r, 3, turns);
    for (size_t i = 0; i < r->turns; i++)
        turns[i] = (turns[i] - r->empty.resident_bytes) / (double)r->key_count;
    row.name = "restart.memory";
    row.label = "resident memory a key, beyond an empty node";
    row.unit = "bytes";
    if (r->key_count > 0)
        result_write(&r->results, &row);
}

static enum kr_err run(struct restart *r, int argc, char **argv)
{
    r->results.disk = r->data;
    enum kr_err err = result_open(&r->results, argc, argv, &r->fault);
    if (err == KR_ERR_OK)
        err = run_turns(r);
    if (err == KR_ERR_OK)
        write_rows(r);
    return result_close(&r->results, err);
}

int bench_restart(int argc, char **argv)
{
    struct restart *r = mem_zalloc(sizeof(*r));
    int status = KR_BENCH_OK;
    r->http = "127.0.0.1:7480";
    r->turns = 5;
    r->deadline_s = 120;
    enum option_outcome outcome = parse(argc, argv, r);
    if (outcome != KR_OPTIONS_RUN) {
        status = outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
    } else if (run(r, argc, argv) != KR_ERR_OK) {
        fprintf(stderr, "keyreeve-bench restart: %s\n", r->fault.text);
        status = KR_BENCH_FAILED;
    } else if (!r->results.is_json) {
        print(r);
    }
    keyset_close(&r->keys);
    mem_free(r);
    return status;
}
