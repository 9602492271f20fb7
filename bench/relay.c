// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench relay: TCP links that can be cut and healed while they run, without root.
//
// Every link has an address of its own that passes on to a target. A cut holds both directions of
// the links between two names, new connections included, as a partition looks to TCP: nothing
// arrives and nothing is refused; when it is healed, what was held arrives. One thread, poll(2).
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/load.h"
#include "bench/options.h"
#include "core/base/file.h"
#include "core/base/mem.h"

enum {
    KR_RELAY_LINKS_MAX = 256,
    KR_RELAY_NODES_MAX = 64,
    KR_RELAY_CUTS_MAX = 256,
    KR_RELAY_PIPES_MAX = 1024,
    KR_RELAY_NAME = 32,
    KR_RELAY_BLOCK = 65536,
    KR_RELAY_FILE_MAX = 1 << 20,
    KR_RELAY_TICK_MS = 10
};

struct relay_node {
    char name[KR_RELAY_NAME];
    struct load_target address; // its connections come from here
};

struct relay_link {
    char from[KR_RELAY_NAME]; // "*": by the address that a connection comes from
    char to[KR_RELAY_NAME];
    struct load_target target;
    int fd;
};

struct relay_cut {
    char a[KR_RELAY_NAME], b[KR_RELAY_NAME];
};

// One direction: what was read from the one end and is not yet written to the other.
struct relay_flow {
    uint8_t data[KR_RELAY_BLOCK];
    size_t at, end;
    bool is_over; // the reading end has closed
    bool is_told; // and the other end knows
};

struct relay_pipe {
    int client, server; // the ends; server -1: not connected yet
    bool is_connecting;
    const struct relay_link *link;
    char from[KR_RELAY_NAME];
    struct relay_flow up, down; // client → server, server → client
};

struct relay {
    const char *table_path, *cuts_path;
    struct relay_node nodes[KR_RELAY_NODES_MAX];
    struct relay_link links[KR_RELAY_LINKS_MAX];
    struct relay_cut cuts[KR_RELAY_CUTS_MAX];
    struct relay_pipe *pipes[KR_RELAY_PIPES_MAX];
    size_t node_count, link_count, cut_count, pipe_count;
    struct timespec cuts_changed;
    struct pollfd polls[KR_RELAY_LINKS_MAX + 2 * KR_RELAY_PIPES_MAX];
    size_t poll_count;
    struct fault fault;
};

static volatile sig_atomic_t is_stopped;

static void on_stop(int number)
{
    (void)number;
    is_stopped = 1;
}

// --- the table and the cuts ----------------------------------------------------------------------

static enum kr_err bad_line(struct relay *relay, const char *path, unsigned line)
{
    return fault_set(&relay->fault, KR_ERR_INVALID,
                     "%s:%u: write \"node NAME ADDRESS\", \"link FROM TO LISTEN TARGET\", or, "
                     "in the file of cuts, \"NAME NAME\"",
                     path, line);
}

static enum kr_err add_node(struct relay *relay, const char *name, const char *address)
{
    char place[128];
    if (relay->node_count == KR_RELAY_NODES_MAX)
        return fault_set(&relay->fault, KR_ERR_TOO_LARGE, "%s: more than %d nodes",
                         relay->table_path, KR_RELAY_NODES_MAX);
    struct relay_node *node = &relay->nodes[relay->node_count++];
    snprintf(node->name, sizeof(node->name), "%s", name);
    snprintf(place, sizeof(place), "%s:0", address);
    return load_resolve(place, false, &node->address, &relay->fault);
}

static enum kr_err open_link(struct relay *relay, struct relay_link *link, const char *listen_at)
{
    const int on = 1;
    struct load_target here;
    enum kr_err err = load_resolve(listen_at, false, &here, &relay->fault);
    if (err != KR_ERR_OK)
        return err;
    link->fd = socket(here.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (link->fd >= 0)
        setsockopt(link->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (link->fd < 0 || bind(link->fd, (struct sockaddr *)&here.address, here.address_size) != 0 ||
        listen(link->fd, SOMAXCONN) != 0)
        return fault_set(&relay->fault, KR_ERR_LOCKED, "cannot listen on %s: %s", listen_at,
                         strerror(errno));
    return KR_ERR_OK;
}

static enum kr_err add_link(struct relay *relay, const char *from, const char *to,
                            const char *listen_at, const char *target)
{
    if (relay->link_count == KR_RELAY_LINKS_MAX)
        return fault_set(&relay->fault, KR_ERR_TOO_LARGE, "%s: more than %d links",
                         relay->table_path, KR_RELAY_LINKS_MAX);
    struct relay_link *link = &relay->links[relay->link_count];
    snprintf(link->from, sizeof(link->from), "%s", from);
    snprintf(link->to, sizeof(link->to), "%s", to);
    enum kr_err err = load_resolve(target, false, &link->target, &relay->fault);
    if (err == KR_ERR_OK)
        err = open_link(relay, link, listen_at);
    if (err == KR_ERR_OK)
        relay->link_count++;
    return err;
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
        return add_link(relay, words[1], words[2], words[3], words[4]);
    return bad_line(relay, relay->table_path, line);
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

// A file that is not there means that nothing is cut. It is replaced as a whole, so that no half of
// it is read.
static void read_cuts(struct relay *relay)
{
    struct stat status;
    char line[128];
    if (stat(relay->cuts_path, &status) != 0) {
        relay->cut_count = 0;
        relay->cuts_changed = (struct timespec){0};
        return;
    }
    if (memcmp(&status.st_mtim, &relay->cuts_changed, sizeof(status.st_mtim)) == 0)
        return;
    FILE *file = fopen(relay->cuts_path, "re");
    if (file == NULL)
        return;
    relay->cuts_changed = status.st_mtim;
    relay->cut_count = 0;
    while (fgets(line, sizeof(line), file) != NULL && relay->cut_count < KR_RELAY_CUTS_MAX) {
        struct relay_cut *cut = &relay->cuts[relay->cut_count];
        relay->cut_count += sscanf(line, "%31s %31s", cut->a, cut->b) == 2;
    }
    fclose(file);
}

static bool is_cut(const struct relay *relay, const struct relay_pipe *pipe)
{
    const char *from = pipe->from, *to = pipe->link->to;
    for (size_t i = 0; i < relay->cut_count; i++) {
        const struct relay_cut *cut = &relay->cuts[i];
        if ((strcmp(cut->a, from) == 0 && strcmp(cut->b, to) == 0) ||
            (strcmp(cut->a, to) == 0 && strcmp(cut->b, from) == 0))
            return true;
    }
    return false;
}

// --- pipes ---------------------------------------------------------------------------------------

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

static const char *name_of(const struct relay *relay, const struct sockaddr_storage *peer)
{
    for (size_t i = 0; i < relay->node_count; i++)
        if (is_same_host(&relay->nodes[i].address.address, peer))
            return relay->nodes[i].name;
    return "?";
}

static void accept_pipe(struct relay *relay, const struct relay_link *link)
{
    const int on = 1;
    struct sockaddr_storage peer = {0};
    socklen_t size = sizeof(peer);
    int fd = accept4(link->fd, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (relay->pipe_count == KR_RELAY_PIPES_MAX) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct relay_pipe *pipe = mem_alloc(sizeof(*pipe));
    *pipe = (struct relay_pipe){.client = fd, .server = -1, .link = link};
    bool is_named = strcmp(link->from, "*") != 0;
    snprintf(pipe->from, sizeof(pipe->from), "%s", is_named ? link->from : name_of(relay, &peer));
    relay->pipes[relay->pipe_count++] = pipe;
}

// False: the target refuses.
static bool connect_pipe(struct relay_pipe *pipe)
{
    const int on = 1;
    const struct load_target *target = &pipe->link->target;
    pipe->server = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (pipe->server < 0)
        return false;
    setsockopt(pipe->server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    int result =
        connect(pipe->server, (const struct sockaddr *)&target->address, target->address_size);
    pipe->is_connecting = result != 0 && errno == EINPROGRESS;
    return result == 0 || pipe->is_connecting;
}

// False: the pipe has broken.
static bool read_flow(int fd, struct relay_flow *flow)
{
    ssize_t size = recv(fd, flow->data, sizeof(flow->data), 0);
    if (size < 0)
        return errno == EAGAIN || errno == EINTR;
    flow->at = 0;
    flow->end = (size_t)size;
    flow->is_over = size == 0;
    return true;
}

static bool write_flow(int fd, struct relay_flow *flow)
{
    if (flow->at < flow->end) {
        ssize_t size = send(fd, flow->data + flow->at, flow->end - flow->at, MSG_NOSIGNAL);
        if (size < 0)
            return errno == EAGAIN || errno == EINTR;
        flow->at += (size_t)size;
    }
    if (flow->at == flow->end && flow->is_over && !flow->is_told) {
        flow->is_told = true;
        return shutdown(fd, SHUT_WR) == 0;
    }
    return true;
}

static bool move_flow(int from, int to, struct relay_flow *flow)
{
    if (flow->at == flow->end && !flow->is_over && !read_flow(from, flow))
        return false;
    return write_flow(to, flow);
}

// False: it is over, or broken.
static bool step_pipe(struct relay *relay, struct relay_pipe *pipe)
{
    int failure = 0;
    socklen_t size = sizeof(failure);
    if (is_cut(relay, pipe))
        return true;
    if (pipe->server < 0 && !connect_pipe(pipe))
        return false;
    if (pipe->is_connecting) {
        struct pollfd poll_one = {pipe->server, POLLOUT, 0};
        if (poll(&poll_one, 1, 0) == 0)
            return true;
        pipe->is_connecting = false;
        if (getsockopt(pipe->server, SOL_SOCKET, SO_ERROR, &failure, &size) != 0 || failure != 0)
            return false;
    }
    if (!move_flow(pipe->client, pipe->server, &pipe->up) ||
        !move_flow(pipe->server, pipe->client, &pipe->down))
        return false;
    return !(pipe->up.is_told && pipe->down.is_told);
}

static void close_pipe(struct relay_pipe *pipe)
{
    close(pipe->client);
    if (pipe->server >= 0)
        close(pipe->server);
    mem_free(pipe);
}

// --- the loop ------------------------------------------------------------------------------------

static void watch(struct relay *relay, int fd, short events)
{
    if (events != 0)
        relay->polls[relay->poll_count++] = (struct pollfd){fd, events, 0};
}

static short wanted(const struct relay_flow *in, const struct relay_flow *out)
{
    bool may_read = in->at == in->end && !in->is_over;
    bool must_write = out->at < out->end;
    return (short)((may_read ? POLLIN : 0) | (must_write ? POLLOUT : 0));
}

static void watch_pipe(struct relay *relay, const struct relay_pipe *pipe)
{
    if (is_cut(relay, pipe) || pipe->server < 0)
        return;
    if (pipe->is_connecting) {
        watch(relay, pipe->server, POLLOUT);
        return;
    }
    watch(relay, pipe->client, wanted(&pipe->up, &pipe->down));
    watch(relay, pipe->server, wanted(&pipe->down, &pipe->up));
}

static void step(struct relay *relay)
{
    relay->poll_count = 0;
    for (size_t i = 0; i < relay->link_count; i++)
        watch(relay, relay->links[i].fd, POLLIN);
    for (size_t i = 0; i < relay->pipe_count; i++)
        watch_pipe(relay, relay->pipes[i]);
    if (poll(relay->polls, (nfds_t)relay->poll_count, KR_RELAY_TICK_MS) < 0 && errno != EINTR)
        return;
    read_cuts(relay);
    for (size_t i = 0; i < relay->link_count; i++)
        accept_pipe(relay, &relay->links[i]);
    for (size_t i = 0; i < relay->pipe_count;) {
        if (step_pipe(relay, relay->pipes[i])) {
            i++;
            continue;
        }
        close_pipe(relay->pipes[i]);
        relay->pipes[i] = relay->pipes[--relay->pipe_count];
    }
}

static enum kr_err run(struct relay *relay)
{
    enum kr_err err = read_table(relay);
    if (err != KR_ERR_OK)
        return err;
    signal(SIGTERM, on_stop);
    signal(SIGINT, on_stop);
    printf("relay: %zu links\n", relay->link_count);
    fflush(stdout);
    while (!is_stopped)
        step(relay);
    for (size_t i = 0; i < relay->pipe_count; i++)
        close_pipe(relay->pipes[i]);
    return KR_ERR_OK;
}

int bench_relay(int argc, char **argv)
{
    struct relay *relay = mem_zalloc(sizeof(*relay));
    const struct option_row rows[] = {
        {"--table", "FILE", KR_OPTION_TEXT, &relay->table_path, 0, 0, true,
         "the nodes and the links, a line each (required)"},
        {"--cuts", "FILE", KR_OPTION_TEXT, &relay->cuts_path, 0, 0, true,
         "pairs of names that are cut, read again when it changes (required)"},
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
    for (size_t i = 0; i < relay->link_count; i++)
        close(relay->links[i].fd);
    mem_free(relay);
    return status;
}
