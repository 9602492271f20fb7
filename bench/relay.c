// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench relay: TCP links between nodes on one machine that can be cut and healed, without
// root or packet filters.
//
// A link listens, and passes each connection on to its target. Who a connection is from is told by
// the link's own row, or, with "*", by the address that it comes from. A cut between two names,
// read from a file that is looked at again when it changes, holds both directions, as a partition
// looks to TCP: nothing arrives and nothing is refused; when it is healed, what was held arrives.
// One thread.
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/bench.h"
#include "bench/load.h"
#include "bench/options.h"
#include "bench/streams.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/mem.h"

enum {
    KR_RELAY_LINKS_MAX = 256,
    KR_RELAY_NODES_MAX = 64,
    KR_RELAY_CUTS_MAX = 256,
    KR_RELAY_NAMES_MAX = 200, // of nodes and links, and the one for who is unknown
    KR_RELAY_NAME = 32,
    KR_RELAY_FILE_MAX = 1 << 20,
    KR_RELAY_TICK_MS = 10
};

struct relay_node {
    size_t name;
    struct load_target address; // its connections come from here
};

struct relay_link {
    char place[128]; // where it listens
    struct streams_door door;
};

struct relay {
    const char *table_path, *cuts_path;
    char names[KR_RELAY_NAMES_MAX][KR_RELAY_NAME]; // the places; the first is nobody's
    struct relay_node nodes[KR_RELAY_NODES_MAX];
    struct relay_link links[KR_RELAY_LINKS_MAX];
    size_t name_count, node_count, link_count;
    struct link *paths;
    struct streams *streams;
    struct timespec cuts_changed;
    struct fault fault;
};

static volatile sig_atomic_t is_stopped;

static void on_stop(int number)
{
    (void)number;
    is_stopped = 1;
}

// --- the table -----------------------------------------------------------------------------------

static enum kr_err bad_line(struct relay *relay, unsigned line)
{
    return fault_set(&relay->fault, KR_ERR_INVALID,
                     "%s:%u: write \"node NAME ADDRESS\" or \"link FROM TO LISTEN TARGET\"",
                     relay->table_path, line);
}

// name_count: there is none.
static size_t find_name(const struct relay *relay, const char *name)
{
    size_t i = 1;
    while (i < relay->name_count && strcmp(relay->names[i], name) != 0)
        i++;
    return i;
}

static enum kr_err take_name(struct relay *relay, const char *name, size_t *out)
{
    *out = find_name(relay, name);
    if (*out < relay->name_count)
        return KR_ERR_OK;
    if (relay->name_count == KR_RELAY_NAMES_MAX)
        return fault_set(&relay->fault, KR_ERR_TOO_LARGE, "%s: more than %d names",
                         relay->table_path, KR_RELAY_NAMES_MAX - 1);
    snprintf(relay->names[relay->name_count++], KR_RELAY_NAME, "%s", name);
    return KR_ERR_OK;
}

static enum kr_err add_node(struct relay *relay, const char *name, const char *address)
{
    char place[128];
    if (relay->node_count == KR_RELAY_NODES_MAX)
        return fault_set(&relay->fault, KR_ERR_TOO_LARGE, "%s: more than %d nodes",
                         relay->table_path, KR_RELAY_NODES_MAX);
    struct relay_node *node = &relay->nodes[relay->node_count++];
    snprintf(place, sizeof(place), "%s:0", address);
    enum kr_err err = take_name(relay, name, &node->name);
    return err == KR_ERR_OK ? load_resolve(place, false, &node->address, &relay->fault) : err;
}

static enum kr_err read_address(struct relay *relay, const char *place, struct streams_address *out)
{
    struct load_target target;
    enum kr_err err = load_resolve(place, false, &target, &relay->fault);
    if (err == KR_ERR_OK)
        *out = (struct streams_address){target.address, target.address_size};
    return err;
}

static enum kr_err add_link(struct relay *relay, char *const words[4])
{
    if (relay->link_count == KR_RELAY_LINKS_MAX)
        return fault_set(&relay->fault, KR_ERR_TOO_LARGE, "%s: more than %d links",
                         relay->table_path, KR_RELAY_LINKS_MAX);
    struct relay_link *link = &relay->links[relay->link_count++];
    bool is_by_address = strcmp(words[0], "*") == 0;
    enum kr_err err = is_by_address ? KR_ERR_OK : take_name(relay, words[0], &link->door.from);
    if (is_by_address)
        link->door.from = KR_STREAMS_BY_ADDRESS;
    if (err == KR_ERR_OK)
        err = take_name(relay, words[1], &link->door.to);
    snprintf(link->place, sizeof(link->place), "%s", words[2]);
    if (err == KR_ERR_OK)
        err = read_address(relay, words[2], &link->door.at);
    return err == KR_ERR_OK ? read_address(relay, words[3], &link->door.target) : err;
}

static enum kr_err take_row(struct relay *relay, char *text, unsigned line)
{
    char *words[6] = {NULL}, *state = NULL;
    size_t count = 0;
    for (char *word = strtok_r(text, " \t", &state); word != NULL && count < 6;
         word = strtok_r(NULL, " \t", &state))
        words[count++] = word;
    if (count == 0 || words[0][0] == '#')
        return KR_ERR_OK;
    if (count == 3 && strcmp(words[0], "node") == 0)
        return add_node(relay, words[1], words[2]);
    if (count == 5 && strcmp(words[0], "link") == 0)
        return add_link(relay, words + 1);
    return bad_line(relay, line);
}

static enum kr_err read_table(struct relay *relay)
{
    struct buf text;
    buf_init(&text, KR_RELAY_FILE_MAX);
    enum kr_err err = file_read(relay->table_path, &text, &relay->fault);
    buf_add_u8(&text, 0);
    char *state = NULL;
    unsigned line = 1;
    for (char *row = err == KR_ERR_OK ? strtok_r((char *)text.data, "\n", &state) : NULL;
         row != NULL && err == KR_ERR_OK; row = strtok_r(NULL, "\n", &state), line++)
        err = take_row(relay, row, line);
    buf_fini(&text);
    return err;
}

// --- the cuts ------------------------------------------------------------------------------------

// From one name to the other, by their places; a line of the file that names nobody cuts nothing.
static size_t read_pairs(const struct relay *relay, FILE *file, size_t pairs[][2])
{
    char line[128], a[KR_RELAY_NAME], b[KR_RELAY_NAME];
    size_t count = 0;
    while (fgets(line, sizeof(line), file) != NULL && count < KR_RELAY_CUTS_MAX) {
        if (sscanf(line, "%31s %31s", a, b) != 2)
            continue;
        pairs[count][0] = find_name(relay, a);
        pairs[count][1] = find_name(relay, b);
        count += pairs[count][0] < relay->name_count && pairs[count][1] < relay->name_count;
    }
    return count;
}

static bool is_cut(size_t pairs[][2], size_t count, size_t from, size_t to)
{
    for (size_t i = 0; i < count; i++)
        if ((pairs[i][0] == from && pairs[i][1] == to) ||
            (pairs[i][0] == to && pairs[i][1] == from))
            return true;
    return false;
}

static void cut(struct relay *relay, size_t pairs[][2], size_t count)
{
    for (size_t from = 0; from < relay->name_count; from++)
        for (size_t to = 0; to < relay->name_count; to++) {
            bool wanted = is_cut(pairs, count, from, to);
            if (wanted != link_is_cut(relay->paths, from, to))
                link_cut(relay->paths, from, to, wanted);
        }
}

// A file that is not there means that nothing is cut. It is replaced as a whole, so that no half of
// it is read.
static void read_cuts(struct relay *relay)
{
    size_t pairs[KR_RELAY_CUTS_MAX + 1][2];
    struct stat status = {0};
    FILE *file = NULL;
    bool is_there = stat(relay->cuts_path, &status) == 0;
    if (memcmp(&status.st_mtim, &relay->cuts_changed, sizeof(status.st_mtim)) == 0)
        return;
    if (is_there && (file = fopen(relay->cuts_path, "re")) == NULL)
        return;
    relay->cuts_changed = status.st_mtim;
    cut(relay, pairs, file != NULL ? read_pairs(relay, file, pairs) : 0);
    if (file != NULL)
        fclose(file);
}

// --- the links -----------------------------------------------------------------------------------

static bool is_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

// Who is unknown has a place as well, which nothing cuts off.
static size_t origin_of(void *ctx, const struct sockaddr_storage *peer)
{
    const struct relay *relay = ctx;
    for (size_t i = 0; i < relay->node_count; i++)
        if (is_same_host(&relay->nodes[i].address.address, peer))
            return relay->nodes[i].name;
    return 0;
}

// Paths that take no time and all that comes.
static void make_paths(struct relay *relay)
{
    const struct link_shape shape = {.mbit = KR_LINK_MBIT_MAX, .queue_bytes = UINT64_C(1) << 30};
    relay->paths = link_new(KR_LINK_STREAMS, relay->name_count, 0);
    for (size_t from = 0; from < relay->name_count; from++)
        for (size_t to = 0; to < relay->name_count; to++)
            link_set(relay->paths, from, to, &shape);
    relay->streams = streams_new(relay->paths, origin_of, relay);
}

static enum kr_err open_links(struct relay *relay)
{
    struct fault why;
    for (size_t i = 0; i < relay->link_count; i++) {
        const struct relay_link *link = &relay->links[i];
        if (streams_open(relay->streams, &link->door, &why) != KR_ERR_OK)
            return fault_set(&relay->fault, why.err, "cannot listen on %s: %.200s", link->place,
                             why.text);
    }
    return KR_ERR_OK;
}

// Until something comes or is due, or for a tick.
static int wait_ms(const struct relay *relay)
{
    uint64_t next_ns = streams_next_ns(relay->streams), now_ns = clock_mono_ns();
    if (next_ns <= now_ns)
        return 0;
    uint64_t ms = (next_ns - now_ns) / 1000000 + 1;
    return ms < KR_RELAY_TICK_MS ? (int)ms : KR_RELAY_TICK_MS;
}

static void step(struct relay *relay)
{
    struct pollfd awaited = {.fd = streams_fd(relay->streams), .events = POLLIN};
    poll(&awaited, 1, wait_ms(relay));
    read_cuts(relay);
    streams_turn(relay->streams);
}

static enum kr_err run(struct relay *relay)
{
    enum kr_err err = read_table(relay);
    if (err != KR_ERR_OK)
        return err;
    make_paths(relay);
    err = open_links(relay);
    if (err != KR_ERR_OK)
        return err;
    signal(SIGTERM, on_stop);
    signal(SIGINT, on_stop);
    printf("relay: %zu links\n", relay->link_count);
    fflush(stdout);
    while (!is_stopped)
        step(relay);
    return KR_ERR_OK;
}

int bench_relay(int argc, char **argv)
{
    struct relay *relay = mem_zalloc(sizeof(*relay));
    relay->name_count = 1;
    const struct option_row rows[] = {
        {"--table", "FILE", KR_OPTION_TEXT, &relay->table_path, 0, 0, true,
         "the nodes and the links, a line each"},
        {"--cuts", "FILE", KR_OPTION_TEXT, &relay->cuts_path, 0, 0, true,
         "pairs of names that are cut, read again when it changes"},
    };
    const struct option_spec spec = {
        "relay",
        "Passes TCP connections on, and holds those between two names while the file of cuts\n"
        "has a line with both. The table has lines \"node NAME ADDRESS\" (connections from this\n"
        "address are NAME's) and \"link FROM TO LISTEN TARGET\" (FROM *: by the address). Runs\n"
        "until it is interrupted.\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  printf 'node a 127.0.1.1\\nlink * b 127.0.1.2:9003 127.0.1.2:9002\\n' > table\n"
        "  keyreeve-bench relay --table table --cuts cuts & sleep 5; echo a b > cuts\n"};
    int status = KR_BENCH_OK;
    enum option_outcome outcome = options_parse(&spec, argc, argv);
    if (outcome != KR_OPTIONS_RUN) {
        status = outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
    } else if (run(relay) != KR_ERR_OK) {
        fprintf(stderr, "keyreeve-bench relay: %s\n", relay->fault.text);
        status = KR_BENCH_FAILED;
    }
    streams_free(&relay->streams);
    link_free(&relay->paths);
    mem_free(relay);
    return status;
}
