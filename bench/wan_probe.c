// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench wan probe: what the links of a world do, beside what they are asked to do.
//
// One thread with both ends of every path sends and receives, so that there is one clock. It spins;
// but when a packet came is told by the kernel, so that it is the links that are measured, and not
// when this thread had a core. Delay: packets one after the other, over all paths in turns. Loss:
// the same, more and closer; not where the links are relays, which lose nothing. Bandwidth: each
// path by itself is offered more than it takes.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/options.h"
#include "bench/progress.h"
#include "bench/result.h"
#include "bench/table.h"
#include "bench/wan.h"
#include "bench/way.h"
#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/mem.h"

enum {
    KR_PROBE_HEADERS = 28, // of a packet, which the link counts as well
    KR_PROBE_DELAY_GAP_US = 500,
    KR_PROBE_LOSS_GAP_US = 25,
    KR_PROBE_EMPTY = 100,   // looks without a packet that are enough to have read all
    KR_PROBE_SLACK_MS = 200 // after the longest delay, a packet is lost
};

struct probe_packet {
    uint64_t sent_ns, phase;
};

// One direction, as it is asked for and as it turns out.
struct probe_path {
    size_t from, to;
    struct way way;
    double delay_ms, loss_percent, mbit; // asked
    double *delays_us;                   // got, of each packet that came
    uint64_t sent, got;                  // of the loss phase
    size_t delay_count;
    uint64_t first_ns, last_ns, bytes; // of the bandwidth phase
};

struct probe {
    const char *name;
    struct result_run results;
    uint64_t packets, losses;
    double blast_ms;
    size_t region_count, path_count;
    char regions[KR_TOPOLOGY_REGIONS][KR_TOPOLOGY_NAME];
    struct site sites[KR_TOPOLOGY_REGIONS];
    struct probe_path paths[KR_TOPOLOGY_REGIONS * KR_TOPOLOGY_REGIONS];
    double longest_ms;
    struct stamp stamp;
    uint64_t phase;
    struct fault fault;
};

enum { KR_PHASE_DELAY = 1, KR_PHASE_LOSS };

// --- the world -----------------------------------------------------------------------------------

static size_t region_of(const struct probe *probe, const char *name)
{
    size_t i = 0;
    while (i < probe->region_count && strcmp(probe->regions[i], name) != 0)
        i++;
    return i;
}

static void take_description(struct probe *probe, const struct json *description)
{
    const struct json *regions = json_member(description, "regions");
    const struct json *links = json_member(description, "links");
    for (; probe->region_count < json_size(regions); probe->region_count++) {
        const struct json *one = json_at(regions, probe->region_count);
        snprintf(probe->regions[probe->region_count], KR_TOPOLOGY_NAME, "%s",
                 json_text(json_member(one, "name")));
        snprintf(probe->sites[probe->region_count].address, INET_ADDRSTRLEN, "%s",
                 json_text(json_member(one, "address")));
    }
    for (size_t i = 0; i < json_size(links); i++) {
        const struct json *one = json_at(links, i);
        if (json_bool(json_member(one, "cut")))
            continue;
        struct probe_path *path = &probe->paths[probe->path_count++];
        *path = (struct probe_path){.from = region_of(probe, json_text(json_member(one, "from"))),
                                    .to = region_of(probe, json_text(json_member(one, "to"))),
                                    .delay_ms = json_double(json_member(one, "delayMs")),
                                    .loss_percent = json_double(json_member(one, "lossPercent")),
                                    .mbit = json_double(json_member(one, "mbit"))};
        path->way.in = path->way.out = -1;
        path->delays_us = mem_zalloc(probe->packets * sizeof(double));
        double last_ms = path->delay_ms + json_double(json_member(one, "jitterMs"));
        probe->longest_ms = last_ms > probe->longest_ms ? last_ms : probe->longest_ms;
    }
}

static enum kr_err read_world(struct probe *probe)
{
    struct json *description = NULL;
    struct buf answer;
    buf_init(&answer, KR_WORLD_ANSWER);
    enum kr_err err = world_ask(probe->name, "describe", &answer, &probe->fault);
    if (err == KR_ERR_OK)
        err = json_parse(buf_bytes(&answer), &description, &probe->fault);
    if (err == KR_ERR_OK)
        take_description(probe, description);
    json_free(&description);
    buf_fini(&answer);
    if (err == KR_ERR_OK && probe->path_count == 0)
        err = fault_set(&probe->fault, KR_ERR_INVALID, "all links are cut");
    return err;
}

static enum kr_err open_ways(struct probe *probe)
{
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 0; i < probe->region_count && err == KR_ERR_OK; i++) {
        char address[INET_ADDRSTRLEN];
        memcpy(address, probe->sites[i].address, sizeof(address));
        err = site_enter(&probe->sites[i], probe->name, probe->regions[i], address, &probe->fault);
    }
    for (size_t i = 0; i < probe->path_count && err == KR_ERR_OK; i++) {
        struct probe_path *path = &probe->paths[i];
        err =
            way_open(&path->way, &probe->sites[path->from], &probe->sites[path->to], &probe->fault);
    }
    return err;
}

// Of the world's form, which all regions have.
static bool is_of_relays(const struct probe *probe)
{
    return probe->sites[0].place.form == KR_LINK_STREAMS;
}

// --- packets -------------------------------------------------------------------------------------

static bool send_packet(struct probe *probe, const struct probe_path *path)
{
    const struct probe_packet packet = {clock_mono_ns(), probe->phase};
    return way_send(&path->way, &packet, sizeof(packet));
}

// Whether one has come.
static bool receive_from(struct probe *probe, struct probe_path *path)
{
    struct probe_packet packet;
    uint64_t at_ns;
    if (!way_receive(&path->way, &probe->stamp, &packet, sizeof(packet), &at_ns))
        return false;
    if (packet.phase != probe->phase)
        return true; // of an earlier phase
    if (probe->phase == KR_PHASE_LOSS)
        path->got++;
    else if (path->delay_count < probe->packets)
        path->delays_us[path->delay_count++] = (double)(int64_t)(at_ns - packet.sent_ns) / 1e3;
    return true;
}

// How many have come, at most one a path.
static size_t receive(struct probe *probe)
{
    size_t count = 0;
    for (size_t i = 0; i < probe->path_count; i++)
        count += receive_from(probe, &probe->paths[i]);
    return count;
}

// As long as a packet may be under way, and on until there is nothing left to read: a thread that
// had no core for a while has not lost what waits for it.
static void receive_for(struct probe *probe, double ms)
{
    uint64_t until_ns = clock_mono_ns() + (uint64_t)(ms * 1e6);
    for (unsigned empty = 0; empty < KR_PROBE_EMPTY;) {
        empty = receive(probe) > 0 ? 0 : empty + 1;
        if (clock_mono_ns() < until_ns)
            empty = 0;
    }
}

static double longest_wait_ms(const struct probe *probe)
{
    return probe->longest_ms + KR_PROBE_SLACK_MS;
}

// count small packets on every path, all paths in turns.
static void send_in_turns(struct probe *probe, uint64_t count, uint64_t gap_us, const char *what)
{
    struct progress progress;
    uint64_t next_ns = clock_mono_ns(), total = count * probe->path_count;
    progress_begin(&progress, what, total);
    for (uint64_t i = 0; i < total; i++) {
        struct probe_path *path = &probe->paths[i % probe->path_count];
        while (clock_mono_ns() < next_ns)
            receive(probe);
        next_ns += gap_us * 1000;
        bool is_sent = send_packet(probe, path);
        path->sent += is_sent && probe->phase == KR_PHASE_LOSS;
        progress_at(&progress, i);
    }
    receive_for(probe, longest_wait_ms(probe));
    progress_end(&progress);
}

// Whether anything has come.
static bool count_bytes(struct probe *probe, struct probe_path *path)
{
    uint64_t at_ns;
    size_t size = way_drain(&path->way, &probe->stamp, &at_ns);
    if (size == 0)
        return false;
    if (path->first_ns == 0)
        path->first_ns = at_ns;
    else
        path->bytes += size + (path->way.is_stream ? 0 : KR_PROBE_HEADERS);
    path->last_ns = at_ns;
    return true;
}

// A tenth more than the path takes, for blast_ms, and then all that is under way.
static void blast(struct probe *probe, struct probe_path *path)
{
    static const uint8_t bytes[KR_WAY_MESSAGE];
    double gap_ns = (KR_WAY_MESSAGE + KR_PROBE_HEADERS) * 8e3 / path->mbit / 1.1;
    uint64_t begin_ns = clock_mono_ns();
    uint64_t end_ns = begin_ns + (uint64_t)(probe->blast_ms * 1e6);
    for (double next_ns = (double)begin_ns; next_ns < (double)end_ns; next_ns += gap_ns) {
        while ((double)clock_mono_ns() < next_ns)
            count_bytes(probe, path);
        if (clock_mono_ns() > end_ns)
            break; // this machine cannot offer so much
        way_send(&path->way, bytes, sizeof(bytes));
        count_bytes(probe, path);
    }
    uint64_t wait_ns = (uint64_t)((path->delay_ms + KR_PROBE_SLACK_MS) * 1e6);
    for (uint64_t heard_ns = clock_mono_ns(); clock_mono_ns() - heard_ns < wait_ns;)
        if (count_bytes(probe, path))
            heard_ns = clock_mono_ns();
}

static enum kr_err run(struct probe *probe)
{
    enum kr_err err = read_world(probe);
    if (err == KR_ERR_OK)
        err = open_ways(probe);
    if (err != KR_ERR_OK)
        return err;
    stamp_init(&probe->stamp);
    probe->phase = KR_PHASE_DELAY;
    send_in_turns(probe, probe->packets, KR_PROBE_DELAY_GAP_US, "delay");
    probe->phase = KR_PHASE_LOSS;
    if (!is_of_relays(probe))
        send_in_turns(probe, probe->losses, KR_PROBE_LOSS_GAP_US, "loss");
    for (size_t i = 0; i < probe->path_count && probe->blast_ms > 0; i++) {
        progress_say("bandwidth: path %zu of %zu", i + 1, probe->path_count);
        blast(probe, &probe->paths[i]);
    }
    progress_say("%s", "");
    return KR_ERR_OK;
}

// --- results -------------------------------------------------------------------------------------

static double lost_share(const struct probe_path *path)
{
    return path->sent > 0 ? 1 - (double)path->got / (double)path->sent : NAN;
}

static double bits_a_second(const struct probe_path *path)
{
    if (path->last_ns <= path->first_ns)
        return NAN;
    return (double)path->bytes * 8e9 / (double)(path->last_ns - path->first_ns);
}

static void write_figure(struct probe *probe, const struct probe_path *path,
                         const struct result_condition *asked, double got)
{
    const char *from = probe->regions[path->from], *to = probe->regions[path->to];
    bool is_loss = strcmp(asked->name, "askedRatio") == 0;
    const struct result_row row = {.name = is_loss ? "world.loss" : "world.bandwidth",
                                   .label = is_loss ? "share of the packets that a link loses"
                                                    : "bits a second over a link",
                                   .system = "world",
                                   .region = to,
                                   .unit = is_loss ? "ratio" : "1/s",
                                   .conditions = {{"form", 0, site_form(&probe->sites[0])},
                                                  {"from", 0, from},
                                                  {"to", 0, to},
                                                  *asked},
                                   .values = &got,
                                   .count = 1};
    result_write(&probe->results, &row);
}

static void write_path(struct probe *probe, struct probe_path *path)
{
    const char *from = probe->regions[path->from], *to = probe->regions[path->to];
    struct result_row row = {.name = "world.delay",
                             .label = "one-way delay of a link",
                             .system = "world",
                             .region = to,
                             .unit = "us",
                             .conditions = {{"form", 0, site_form(&probe->sites[0])},
                                            {"from", 0, from},
                                            {"to", 0, to},
                                            {"askedUs", path->delay_ms * 1e3, NULL}},
                             .values = path->delays_us,
                             .count = path->delay_count};
    result_write(&probe->results, &row);
    for (size_t i = 0; i < path->delay_count; i++)
        path->delays_us[i] -= path->delay_ms * 1e3;
    row.name = "world.delay_error";
    row.label = "a link's delay less what was asked for";
    result_write(&probe->results, &row);
    const struct result_condition loss = {"askedRatio", path->loss_percent / 100, NULL};
    const struct result_condition rate = {"askedPerSecond", path->mbit * 1e6, NULL};
    write_figure(probe, path, &loss, lost_share(path));
    write_figure(probe, path, &rate, bits_a_second(path));
}

static void add_number(struct table *table, double value, int decimals)
{
    char text[KR_TABLE_CELL];
    snprintf(text, sizeof(text), "%.*f", decimals, value);
    table_text(table, isfinite(value) ? text : "-");
}

static int compare(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

// Of the errors, which have taken the delays' place.
static void print_path(struct table *table, const struct probe *probe, struct probe_path *path)
{
    double *errors_us = path->delays_us;
    size_t count = path->delay_count;
    qsort(errors_us, count, sizeof(*errors_us), compare);
    table_row(table, probe->regions[path->from]);
    table_text(table, probe->regions[path->to]);
    add_number(table, path->delay_ms, 1);
    add_number(table, count > 0 ? errors_us[(count - 1) / 2] : NAN, 0);
    add_number(table, count > 0 ? errors_us[(count - 1) * 99 / 100] : NAN, 0);
    add_number(table, count > 0 ? errors_us[count - 1] : NAN, 0);
    add_number(table, path->loss_percent, 2);
    add_number(table, lost_share(path) * 100, 2);
    add_number(table, path->mbit, 0);
    add_number(table, bits_a_second(path) / 1e6, 0);
}

static void print(struct probe *probe)
{
    static const char *const headings[] = {
        "to", "delay ms", "error us p50", "p99", "max", "loss %", "got", "Mbit/s", "got at most"};
    static struct table table;
    table_row(&table, "from");
    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
        table_text(&table, headings[i]);
    for (size_t i = 0; i < probe->path_count && i + 1 < KR_TABLE_ROWS; i++)
        print_path(&table, probe, &probe->paths[i]);
    table_print(&table, stdout);
    if (is_of_relays(probe))
        printf("\nform relay: TCP over relays, which lose nothing; a delay is that of bytes on an "
               "open connection\n");
}

static enum option_outcome parse(int argc, char **argv, struct probe *probe)
{
    const struct option_row rows[] = {
        {"--name", "NAME", KR_OPTION_TEXT, &probe->name, 0, 0, false,
         "of the world (default \"default\")"},
        {"--packets", "N", KR_OPTION_COUNT, &probe->packets, 1, 1e6, false,
         "a path, for its delay (default 100)"},
        {"--losses", "N", KR_OPTION_COUNT, &probe->losses, 1, 1e7, false,
         "packets a path, for its loss (default 2000)"},
        {"--blast", "MS", KR_OPTION_REAL, &probe->blast_ms, 0, 60000, false,
         "a path, for its bandwidth; 0: not measured (default 100)"},
        KR_RESULT_OPTIONS(&probe->results),
    };
    const struct option_spec spec = {
        "wan probe",
        "Measures a world that is up: the one-way delay, loss and bandwidth of every link that is\n"
        "not cut, beside what is asked for. The error of a delay is got less asked. It spins.\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  keyreeve-bench wan up && keyreeve-bench wan probe; keyreeve-bench wan down\n"};
    return options_parse(&spec, argc, argv);
}

static void show(struct probe *probe)
{
    for (size_t i = 0; i < probe->path_count; i++)
        write_path(probe, &probe->paths[i]);
    if (!probe->results.is_json)
        print(probe);
}

static void close_all(struct probe *probe)
{
    for (size_t i = 0; i < probe->path_count; i++) {
        way_close(&probe->paths[i].way);
        mem_free(probe->paths[i].delays_us);
    }
    for (size_t i = 0; i < probe->region_count; i++)
        site_leave(&probe->sites[i]);
    mem_free(probe);
}

int wan_probe(int argc, char **argv)
{
    struct probe *probe = mem_zalloc(sizeof(*probe));
    int status = KR_BENCH_OK;
    probe->name = "default";
    probe->packets = 100;
    probe->losses = 2000;
    probe->blast_ms = 100;
    enum option_outcome outcome = parse(argc, argv, probe);
    if (outcome != KR_OPTIONS_RUN) {
        close_all(probe);
        return outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
    }
    enum kr_err err = result_open(&probe->results, argc + 1, argv - 1, &probe->fault);
    if (err == KR_ERR_OK)
        err = run(probe);
    if (err == KR_ERR_OK)
        show(probe);
    if (result_close(&probe->results, err) != KR_ERR_OK) {
        fprintf(stderr, "keyreeve-bench wan probe: %s\n", probe->fault.text);
        status = KR_BENCH_FAILED;
    }
    close_all(probe);
    return status;
}
