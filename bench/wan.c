// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench wan: an emulated world, its links, and programs in its regions.
#include "bench/wan.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/manual.h"
#include "bench/options.h"
#include "bench/table.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/troff.h"

enum { KR_WAN_WORDS = 2 };
#define KR_WAN_DEFAULT "default"

#define KR_WAN_NAME_ROW(out)                                                                       \
    {                                                                                              \
        "--name", "NAME", KR_OPTION_TEXT, out, 0, 0, false,                                        \
            "of the world (default \"" KR_WAN_DEFAULT "\")"                                        \
    }

static int fail(const char *action, const struct fault *fault)
{
    fprintf(stderr, "keyreeve-bench wan %s: %s\n", action, fault->text);
    return KR_BENCH_FAILED;
}

static int status_of(enum option_outcome outcome)
{
    return outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
}

static int ask(const char *action, const char *name, const char *request)
{
    struct fault fault = {0};
    struct buf answer;
    buf_init(&answer, KR_WORLD_ANSWER);
    enum kr_err err = world_ask(name, request, &answer, &fault);
    buf_fini(&answer);
    return err == KR_ERR_OK ? KR_BENCH_OK : fail(action, &fault);
}

// The words before the first option; they are taken off the arguments.
static size_t take_words(int *argc, char ***argv, const char *words[KR_WAN_WORDS])
{
    size_t count = 0;
    while (*argc > 1 && (*argv)[1][0] != '-' && count < KR_WAN_WORDS) {
        words[count++] = (*argv)[1];
        (*argc)--;
        (*argv)++;
    }
    return count;
}

// --- up, down ------------------------------------------------------------------------------------

static void print_regions(const struct topology *topology, enum link_kind form)
{
    static struct table table;
    char address[KR_TOPOLOGY_ADDRESS], text[KR_TABLE_CELL];
    table_row(&table, "region");
    table_text(&table, "address");
    table_text(&table, "network");
    for (size_t i = 0; i < topology->region_count; i++) {
        topology_address(topology, i, 1, address);
        table_row(&table, topology->regions[i]);
        table_text(&table, address);
        topology_address(topology, i, 0, address);
        snprintf(text, sizeof(text), "%s/24", address);
        table_text(&table, text);
    }
    table_print(&table, stdout);
    printf("\nform %s%s\n", world_form(form),
           form == KR_LINK_STREAMS ? ": programs of other regions reach a port by the address that "
                                     "wan reach tells"
                                   : "");
}

// Waits for a signal, or for the end of the world's process, which is the end of the world.
static int stay(struct world *world)
{
    sigset_t awaited;
    int number = SIGCHLD;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGINT);
    sigaddset(&awaited, SIGTERM);
    sigaddset(&awaited, SIGCHLD);
    sigprocmask(SIG_BLOCK, &awaited, NULL);
    printf("up until it is interrupted\n");
    fflush(stdout);
    while (number == SIGCHLD && waitpid(world->pid, NULL, WNOHANG) == 0)
        sigwait(&awaited, &number);
    if (number == SIGCHLD)
        world->pid = 0;
    world_stop(world);
    if (number != SIGCHLD)
        return KR_BENCH_OK;
    fprintf(stderr, "keyreeve-bench wan up: the world's process has ended\n");
    return KR_BENCH_FAILED;
}

static int wan_up(int argc, char **argv)
{
    const char *name = KR_WAN_DEFAULT, *file = NULL;
    uint64_t seed = 1;
    bool stays = false, is_relay = false;
    const struct option_row rows[] = {
        KR_WAN_NAME_ROW(&name),
        {"--topology", "FILE", KR_OPTION_TEXT, &file, 0, 0, false,
         "regions and links, in YAML (default: the five of bench/five-regions.yaml)"},
        {"--seed", "N", KR_OPTION_COUNT, &seed, 0, 1e18, false, "of loss and jitter (default 1)"},
        {"--relay", NULL, KR_OPTION_FLAG, &is_relay, 0, 0, false,
         "links of TCP relays: as they are where root or TUN is missing"},
        {"--foreground", NULL, KR_OPTION_FLAG, &stays, 0, 0, false,
         "stays until it is interrupted, and the world ends with it"},
    };
    const struct option_spec spec = {
        "wan up",
        "Makes a world: a network namespace with a TUN device for each region, and one process\n"
        "that carries the packets between them with the delays of the topology. Without root or\n"
        "TUN regions are addresses of the loopback device, and the process relays TCP between\n"
        "them: with delay, jitter, bandwidth and cuts, without loss and reordering.\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  keyreeve-bench wan up\n"
        "  keyreeve-bench wan exec us-east -- ping -c 3 10.84.4.1\n"
        "  keyreeve-bench wan down\n"};
    struct topology topology;
    struct world world;
    struct fault fault = {0};
    enum option_outcome outcome = options_parse(&spec, argc, argv);
    if (outcome != KR_OPTIONS_RUN)
        return status_of(outcome);
    const struct world_plan plan = {name, &topology, seed, is_relay};
    enum kr_err err = topology_load(file, &topology, &fault);
    if (err == KR_ERR_OK)
        err = world_start(&plan, &world, &fault);
    if (err != KR_ERR_OK)
        return fail("up", &fault);
    print_regions(&topology, world.form);
    if (stays)
        return stay(&world);
    fflush(stdout);
    signal(SIGINT, SIG_IGN); // from here on the world is up, and that is what the exit code says
    return world_detach(&world, &fault) == KR_ERR_OK ? KR_BENCH_OK : fail("up", &fault);
}

static int wan_down(int argc, char **argv)
{
    const char *name = KR_WAN_DEFAULT;
    struct fault fault = {0};
    const struct option_row rows[] = {KR_WAN_NAME_ROW(&name)};
    const struct option_spec spec = {
        "wan down", "Ends a world and every process in it, and waits for that.\n", rows,
        sizeof(rows) / sizeof(rows[0]), "  keyreeve-bench wan down\n"};
    enum option_outcome outcome = options_parse(&spec, argc, argv);
    if (outcome != KR_OPTIONS_RUN)
        return status_of(outcome);
    return world_end(name, &fault) == KR_ERR_OK ? KR_BENCH_OK : fail("down", &fault);
}

// --- links ---------------------------------------------------------------------------------------

// A shape's settings; below zero: it stays as it is.
struct wished {
    double delay_ms, jitter_ms, loss_percent, reorder_percent, reorder_ms, mbit, queue_kib;
};

static void add_wishes(const struct wished *wished, struct buf *request)
{
    const struct {
        const char *name;
        double value;
    } parts[] = {
        {"delay_ms", wished->delay_ms},         {"jitter_ms", wished->jitter_ms},
        {"loss_percent", wished->loss_percent}, {"reorder_percent", wished->reorder_percent},
        {"reorder_ms", wished->reorder_ms},     {"mbit", wished->mbit},
        {"queue_kib", wished->queue_kib},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (parts[i].value >= 0)
            buf_printf(request, " %s=%.9g", parts[i].name, parts[i].value);
}

static int tell(const char *action, const char *name, const char *const words[2], bool is_one_way,
                const struct wished *wished)
{
    char memory[KR_WORLD_REQUEST];
    struct buf request;
    buf_init_fixed(&request, memory, sizeof(memory));
    buf_printf(&request, "%s %s %s%s", action, words[0], words[1], is_one_way ? " one-way" : "");
    if (wished != NULL)
        add_wishes(wished, &request);
    buf_add_u8(&request, 0);
    if (buf_result(&request) == KR_ERR_OK)
        return ask(action, name, memory);
    fprintf(stderr, "keyreeve-bench wan %s: the names are too long\n", action);
    return KR_BENCH_USAGE;
}

static int wan_set(int argc, char **argv)
{
    struct wished wished = {-1, -1, -1, -1, -1, -1, -1};
    const char *name = KR_WAN_DEFAULT, *words[KR_WAN_WORDS] = {"all", "all"};
    bool is_one_way = false;
    const struct option_row rows[] = {
        KR_WAN_NAME_ROW(&name),
        {"--delay", "MS", KR_OPTION_REAL, &wished.delay_ms, 0, KR_LINK_DELAY_MAX_MS, false,
         "one-way delay"},
        {"--jitter", "MS", KR_OPTION_REAL, &wished.jitter_ms, 0, KR_LINK_DELAY_MAX_MS, false,
         "up to so much more or less, uniform; nothing overtakes"},
        {"--loss", "PERCENT", KR_OPTION_REAL, &wished.loss_percent, 0, 100, false,
         "of the packets, each by itself"},
        {"--reorder", "PERCENT", KR_OPTION_REAL, &wished.reorder_percent, 0, 100, false,
         "of the packets is held back"},
        {"--reorder-by", "MS", KR_OPTION_REAL, &wished.reorder_ms, 0, KR_LINK_DELAY_MAX_MS, false,
         "for so long"},
        {"--mbit", "N", KR_OPTION_REAL, &wished.mbit, KR_LINK_MBIT_MIN, KR_LINK_MBIT_MAX, false,
         "bandwidth in 10^6 bits a second"},
        {"--queue", "KIB", KR_OPTION_REAL, &wished.queue_kib, 2, 1 << 20, false,
         "what may wait for the bandwidth; more is dropped"},
        {"--one-way", NULL, KR_OPTION_FLAG, &is_one_way, 0, 0, false,
         "only from the first region to the second"},
    };
    const struct option_spec spec = {
        "wan set [A [B]]",
        "Changes the links between two regions, or of one, or all, while the world runs.\n"
        "What is not named stays as it is; packets under way keep their time.\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  keyreeve-bench wan set us-east eu-west --delay 45 --loss 1\n"
        "  keyreeve-bench wan set --loss 0\n"};
    take_words(&argc, &argv, words);
    enum option_outcome outcome = options_parse(&spec, argc, argv);
    return outcome == KR_OPTIONS_RUN ? tell("set", name, words, is_one_way, &wished)
                                     : status_of(outcome);
}

static int cut_or_heal(bool is_cut, int argc, char **argv)
{
    const char *name = KR_WAN_DEFAULT, *words[KR_WAN_WORDS] = {"all", "all"};
    bool is_one_way = false;
    const struct option_row rows[] = {
        KR_WAN_NAME_ROW(&name),
        {"--one-way", NULL, KR_OPTION_FLAG, &is_one_way, 0, 0, false,
         "only from the first region to the second"},
    };
    const struct option_spec spec = {
        is_cut ? "wan cut A [B]" : "wan heal [A [B]]",
        is_cut ? "Cuts two regions from each other, or one from all. What is under way is lost.\n"
               : "Heals the links between two regions, or of one, or all.\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        is_cut ? "  keyreeve-bench wan cut eu-west\n" : "  keyreeve-bench wan heal\n"};
    size_t count = take_words(&argc, &argv, words);
    enum option_outcome outcome = options_parse(&spec, argc, argv);
    if (outcome != KR_OPTIONS_RUN)
        return status_of(outcome);
    if (is_cut && count == 0) {
        fputs("keyreeve-bench wan cut: name a region, or all; see --help\n", stderr);
        return KR_BENCH_USAGE;
    }
    return tell(is_cut ? "cut" : "heal", name, words, is_one_way, NULL);
}

static int wan_cut(int argc, char **argv)
{
    return cut_or_heal(true, argc, argv);
}

static int wan_heal(int argc, char **argv)
{
    return cut_or_heal(false, argc, argv);
}

// --- status --------------------------------------------------------------------------------------

static void print_links(const struct json *description)
{
    static const char *const headings[] = {"to",   "delay ms", "jitter ms", "loss %",
                                           "Mbit", "state",    "passed",    "dropped"};
    static struct table table;
    const struct json *links = json_member(description, "links");
    table_row(&table, "from");
    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
        table_text(&table, headings[i]);
    for (size_t i = 0; i < json_size(links) && i + 1 < KR_TABLE_ROWS; i++) {
        const struct json *one = json_at(links, i);
        table_row(&table, json_text(json_member(one, "from")));
        table_text(&table, json_text(json_member(one, "to")));
        table_number(&table, json_double(json_member(one, "delayMs")), 1);
        table_number(&table, json_double(json_member(one, "jitterMs")), 1);
        table_number(&table, json_double(json_member(one, "lossPercent")), 2);
        table_number(&table, json_double(json_member(one, "mbit")), 0);
        table_text(&table, json_bool(json_member(one, "cut")) ? "cut" : "up");
        table_number(&table, (double)json_int64(json_member(one, "passed")), 0);
        table_number(&table,
                     (double)(json_int64(json_member(one, "lost")) +
                              json_int64(json_member(one, "overflowed")) +
                              json_int64(json_member(one, "cutOff"))),
                     0);
    }
    table_print(&table, stdout);
    printf("\nform %s\n", json_text(json_member(description, "form")));
}

static int wan_status(int argc, char **argv)
{
    const char *name = KR_WAN_DEFAULT;
    bool is_json = false;
    struct fault fault = {0};
    struct json *description = NULL;
    struct buf answer;
    const struct option_row rows[] = {
        KR_WAN_NAME_ROW(&name),
        {"--json", NULL, KR_OPTION_FLAG, &is_json, 0, 0, false, "one JSON object, no table"},
    };
    const struct option_spec spec = {
        "wan status", "Shows the links of a world: how they are, what they passed and dropped.\n",
        rows, sizeof(rows) / sizeof(rows[0]), "  keyreeve-bench wan status\n"};
    enum option_outcome outcome = options_parse(&spec, argc, argv);
    if (outcome != KR_OPTIONS_RUN)
        return status_of(outcome);
    buf_init(&answer, KR_WORLD_ANSWER);
    enum kr_err err = world_ask(name, "describe", &answer, &fault);
    if (err == KR_ERR_OK && is_json)
        printf("%.*s\n", (int)answer.size, (const char *)answer.data);
    else if (err == KR_ERR_OK)
        err = json_parse(buf_bytes(&answer), &description, &fault);
    if (description != NULL)
        print_links(description);
    json_free(&description);
    buf_fini(&answer);
    return err == KR_ERR_OK ? KR_BENCH_OK : fail("status", &fault);
}

// --- reach ---------------------------------------------------------------------------------------

// HOST:PORT, taken apart; 0: that is none.
static uint16_t take_port(char *address)
{
    char *colon = strrchr(address, ':'), *end = NULL;
    unsigned long port = colon != NULL ? strtoul(colon + 1, &end, 10) : 0;
    if (port < 1 || port > 65535 || *end != '\0')
        return 0;
    *colon = '\0';
    return (uint16_t)port;
}

static int wan_reach(int argc, char **argv)
{
    const char *name = KR_WAN_DEFAULT, *words[KR_WAN_WORDS] = {NULL};
    char address[INET_ADDRSTRLEN + 8], found[INET_ADDRSTRLEN];
    struct fault fault = {0};
    const struct option_row rows[] = {KR_WAN_NAME_ROW(&name)};
    const struct option_spec spec = {
        "wan reach REGION ADDRESS:PORT",
        "Prints the address at which programs in a region reach a port of another region's\n"
        "address. Where links are relays it makes the relay that the address is of; else it is\n"
        "the same one.\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  keyreeve-bench wan reach us-east 127.200.3.1:7000\n"};
    size_t count = take_words(&argc, &argv, words);
    enum option_outcome outcome = options_parse(&spec, argc, argv);
    if (outcome != KR_OPTIONS_RUN)
        return status_of(outcome);
    snprintf(address, sizeof(address), "%s", count == 2 ? words[1] : "");
    uint16_t port = take_port(address);
    if (port == 0) {
        fputs("keyreeve-bench wan reach: name a region and an ADDRESS:PORT; see --help\n", stderr);
        return KR_BENCH_USAGE;
    }
    if (world_reach(name, words[0], address, port, found, &fault) != KR_ERR_OK)
        return fail("reach", &fault);
    printf("%s:%u\n", found, port);
    return KR_BENCH_OK;
}

// --- exec ----------------------------------------------------------------------------------------

static int wan_exec(int argc, char **argv)
{
    const char *name = KR_WAN_DEFAULT, *words[KR_WAN_WORDS] = {NULL};
    struct fault fault = {0};
    struct world_place place;
    const struct option_row rows[] = {KR_WAN_NAME_ROW(&name)};
    const struct option_spec spec = {
        "wan exec REGION [OPTION]... -- COMMAND",
        "Runs a command in a region, as a process of the world: it ends with it. Exits as the\n"
        "command does; where links are relays, all that the command has started ends then too.\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  keyreeve-bench wan exec eu-west -- ping -c 3 10.84.1.1\n"};
    int end = 0;
    while (end < argc && strcmp(argv[end], "--") != 0)
        end++;
    char **command = argv + end + 1;
    size_t count = take_words(&end, &argv, words);
    enum option_outcome outcome = options_parse(&spec, end, argv);
    if (outcome != KR_OPTIONS_RUN)
        return status_of(outcome);
    if (count != 1 || command[-1] == NULL || command[0] == NULL) {
        fputs("keyreeve-bench wan exec: name a region and, behind --, a command; see --help\n",
              stderr);
        return KR_BENCH_USAGE;
    }
    if (world_open_place(name, words[0], &place, &fault) != KR_ERR_OK)
        return fail("exec", &fault);
    int status = KR_BENCH_FAILED;
    enum kr_err err = wan_run(&place, command, &status, &fault);
    world_close_place(&place);
    return err == KR_ERR_OK ? status : fail("exec", &fault);
}

// --- all of them ---------------------------------------------------------------------------------

static const struct wan_action {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} actions[] = {
    {"up", wan_up, "makes a world of regions and the links between them"},
    {"down", wan_down, "ends it, and all that runs in it"},
    {"set", wan_set, "changes delay, jitter, loss, reordering or bandwidth while it runs"},
    {"cut", wan_cut, "cuts two regions from each other, or one from all"},
    {"heal", wan_heal, "heals links"},
    {"status", wan_status, "how the links are, what they have passed and dropped"},
    {"reach", wan_reach, "the address at which a region reaches another's port"},
    {"exec", wan_exec, "runs a command in a region"},
    {"probe", wan_probe, "measures the links: delay, loss and bandwidth asked against got"},
};

enum { KR_WAN_ACTIONS = sizeof(actions) / sizeof(actions[0]) };

static const char about[] =
    "An emulated world on this machine: packets between its regions take as long, get lost\n"
    "and wait for bandwidth as on a real path, and real programs run in it. Without root or\n"
    "TUN its links are TCP relays.\n";

static const char example[] = "  keyreeve-bench wan up\n"
                              "  keyreeve-bench wan probe\n"
                              "  keyreeve-bench wan down\n";

static void print_help(FILE *out)
{
    fprintf(out, "Usage: keyreeve-bench wan ACTION [OPTION]...\n\n%s\nActions:\n", about);
    for (size_t i = 0; i < KR_WAN_ACTIONS; i++)
        fprintf(out, "  %-9s %s\n", actions[i].name, actions[i].summary);
    fprintf(
        out,
        "\n  --help    this text; keyreeve-bench wan ACTION --help: its options\n"
        "  --man     this text as a manual page (troff); each action has one as well\n"
        "\n"
        "Exit codes: 0 done; 1 it could not be done; 2 the command line is not valid; exec exits\n"
        "as its command does.\n"
        "\n"
        "Example:\n%s",
        example);
}

static void print_manual(void)
{
    struct buf page;
    manual_begin(&page, &(struct manual_head){"wan", "an emulated world on one machine", about});
    troff_add_section(&page, "ACTIONS");
    for (size_t i = 0; i < KR_WAN_ACTIONS; i++)
        troff_add_term(&page, actions[i].name, actions[i].summary);
    manual_end(&page, example);
}

int bench_wan(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(stdout);
        return KR_BENCH_OK;
    }
    if (strcmp(name, "--man") == 0) {
        print_manual();
        return KR_BENCH_OK;
    }
    for (size_t i = 0; i < KR_WAN_ACTIONS; i++)
        if (strcmp(name, actions[i].name) == 0)
            return actions[i].run(argc - 1, argv + 1);
    if (argc > 1)
        fprintf(stderr, "keyreeve-bench wan: no action \"%s\"\n\n", name);
    print_help(stderr);
    return KR_BENCH_USAGE;
}
