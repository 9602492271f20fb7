// SPDX-License-Identifier: Apache-2.0
// A world of relays, for machines without root or TUN: regions are addresses of the loopback
// device, and TCP between two of them passes this process, which makes it wait.
//
// Region R (from 1) has the addresses 127.N.R.x, where its programs listen. Nobody can be kept from
// connecting there; so programs elsewhere are told another address for it, at which a door listens:
// 127.(N+1).(16 F + T).x, of region T as it is reached from F, both from 0. With F = T it is for
// those whose own address tells where they are.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "bench/streams.h"
#include "bench/world.h"
#include "bench/world_serve.h"
#include "core/base/mem.h"

enum { KR_RELAY_STREAMS_EVENT = 0, KR_RELAY_DOORS = 1024 };

struct relays {
    struct streams *streams;
    struct sockaddr_in opened[KR_RELAY_DOORS];
    size_t count;
};

// --- addresses -----------------------------------------------------------------------------------

// The region whose own address it is; region_count: nobody's.
static size_t region_of(const struct topology *topology, const struct in_addr *address)
{
    uint8_t part[4];
    memcpy(part, address, sizeof(part));
    bool is_ours = memcmp(part, topology->net, sizeof(topology->net)) == 0;
    return is_ours && part[2] >= 1 && part[2] <= topology->region_count ? part[2] - 1U
                                                                        : topology->region_count;
}

static size_t origin_of(void *ctx, const struct sockaddr_storage *address)
{
    const struct topology *topology = ((const struct world_process *)ctx)->topology;
    const struct sockaddr_in *peer = (const struct sockaddr_in *)(const void *)address;
    size_t region =
        peer->sin_family == AF_INET ? region_of(topology, &peer->sin_addr) : topology->region_count;
    return region < topology->region_count ? region : KR_STREAMS_NOWHERE;
}

// The door's address for a program of region to; from == to: for those who say where they are.
static struct sockaddr_in door_of(const struct topology *topology, size_t from,
                                  const struct sockaddr_in *target)
{
    struct sockaddr_in at = *target;
    uint8_t part[4];
    memcpy(part, &target->sin_addr, sizeof(part));
    part[1] = (uint8_t)(topology->net[1] + 1);
    part[2] = (uint8_t)(KR_TOPOLOGY_REGIONS * from + (part[2] - 1U));
    memcpy(&at.sin_addr, part, sizeof(part));
    return at;
}

// --- doors ---------------------------------------------------------------------------------------

static struct streams_address address_of(const struct sockaddr_in *address)
{
    struct streams_address out = {.size = sizeof(*address)};
    memcpy(&out.address, address, sizeof(*address));
    return out;
}

static enum kr_err open_door(struct world_process *process, size_t from, size_t to,
                             const struct sockaddr_in *target, struct sockaddr_in *at,
                             struct fault *fault)
{
    struct relays *relays = process->ctx;
    struct fault why;
    char text[INET_ADDRSTRLEN];
    bool is_by_address = from == process->topology->region_count;
    *at = door_of(process->topology, is_by_address ? to : from, target);
    for (size_t i = 0; i < relays->count; i++)
        if (memcmp(&relays->opened[i], at, sizeof(*at)) == 0)
            return KR_ERR_OK;
    if (relays->count == KR_RELAY_DOORS)
        return fault_set(fault, KR_ERR_TOO_LARGE, "more than %d ways between programs",
                         KR_RELAY_DOORS);
    const struct streams_door door = {.at = address_of(at),
                                      .target = address_of(target),
                                      .from = is_by_address ? KR_STREAMS_BY_ADDRESS : from,
                                      .to = to};
    if (streams_open(relays->streams, &door, &why) == KR_ERR_OK) {
        relays->opened[relays->count++] = *at;
        return KR_ERR_OK;
    }
    inet_ntop(AF_INET, &at->sin_addr, text, sizeof(text));
    return fault_set(fault, why.err, "a relay cannot listen on %s:%u: %.200s", text,
                     ntohs(at->sin_port), why.text);
}

// "reach FROM ADDRESS PORT": at which address a region reaches that of another; FROM "anywhere": at
// which all do that come from an address of their region.
static enum kr_err reach(struct world_process *process, char *request, char out[INET_ADDRSTRLEN],
                         struct fault *fault)
{
    const struct topology *topology = process->topology;
    char *state = NULL, *end = NULL;
    (void)strtok_r(request, " ", &state);
    const char *region = strtok_r(NULL, " ", &state), *address = strtok_r(NULL, " ", &state);
    const char *port = strtok_r(NULL, " ", &state);
    struct sockaddr_in target = {.sin_family = AF_INET}, at;
    unsigned long number = port != NULL ? strtoul(port, &end, 10) : 0;
    if (number < 1 || number > 65535 || *end != '\0' ||
        inet_pton(AF_INET, address, &target.sin_addr) != 1)
        return fault_set(fault, KR_ERR_INVALID, "reach takes a region, an address and a port");
    target.sin_port = htons((uint16_t)number);
    size_t from = topology_region(topology, region), to = region_of(topology, &target.sin_addr);
    if (from == topology->region_count && strcmp(region, KR_WORLD_ANYWHERE) != 0)
        return fault_set(fault, KR_ERR_INVALID, "there is no region %s", region);
    if (to == topology->region_count)
        return fault_set(fault, KR_ERR_INVALID, "%s is no region's own address", address);
    snprintf(out, INET_ADDRSTRLEN, "%s", address);
    if (from == to)
        return KR_ERR_OK;
    enum kr_err err = open_door(process, from, to, &target, &at, fault);
    if (err == KR_ERR_OK)
        inet_ntop(AF_INET, &at.sin_addr, out, INET_ADDRSTRLEN);
    return err;
}

// By its directory's descriptor, which stays open: a unix socket's own path is short.
static enum kr_err set_path(const char *path, struct streams_address *out, struct fault *fault)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char directory[KR_WORLD_REQUEST];
    const char *slash = strrchr(path, '/');
    snprintf(directory, sizeof(directory), "%.*s", slash != NULL ? (int)(slash - path) : 0, path);
    int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fault_set(fault, KR_ERR_IO, "%.200s: %s", directory, strerror(errno));
    int size =
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d%s", fd, slash);
    if ((size_t)size >= sizeof(address.sun_path))
        return fault_set(fault, KR_ERR_INVALID, "%.200s: a longer name than a socket may have",
                         slash + 1);
    out->size = sizeof(address);
    memcpy(&out->address, &address, sizeof(address));
    return KR_ERR_OK;
}

// "pass FROM TO AT", a tab, "TARGET": the one path stands for the other.
static enum kr_err pass(struct world_process *process, char *request, struct fault *fault)
{
    const struct topology *topology = process->topology;
    const struct relays *relays = process->ctx;
    char *state = NULL;
    (void)strtok_r(request, " ", &state);
    const char *from = strtok_r(NULL, " ", &state), *to = strtok_r(NULL, " ", &state);
    const char *at = strtok_r(NULL, "\t", &state), *target = strtok_r(NULL, "\t", &state);
    struct streams_door door = {.from = 0};
    struct fault why;
    if (target == NULL)
        return fault_set(fault, KR_ERR_INVALID, "pass takes two regions and two paths");
    door.from = topology_region(topology, from);
    door.to = topology_region(topology, to);
    if (door.from == topology->region_count || door.to == topology->region_count)
        return fault_set(fault, KR_ERR_INVALID, "there is no region %s or %s", from, to);
    enum kr_err err = set_path(at, &door.at, fault);
    if (err == KR_ERR_OK)
        err = set_path(target, &door.target, fault);
    if (err == KR_ERR_OK && streams_open(relays->streams, &door, &why) != KR_ERR_OK)
        err = fault_set(fault, why.err, "%.150s: %.200s", at, why.text);
    return err;
}

// "enter REGION": nothing but a tie to the world.
static enum world_outcome let_in(const struct world_process *process, int client,
                                 const char *region)
{
    bool is_there = topology_region(process->topology, region) < process->topology->region_count;
    world_serve_answer(client, bytes_text(is_there ? "+" : "-there is no such region"), NULL);
    return is_there ? KR_WORLD_JOINED : KR_WORLD_ANSWERED;
}

static bool begins(const char *request, const char *word)
{
    return strncmp(request, word, strlen(word)) == 0;
}

static enum world_outcome take_request(struct world_process *process, int client, char *request)
{
    char answer[sizeof(struct fault)] = "+";
    struct fault fault = {0};
    enum kr_err err;
    if (begins(request, "enter "))
        return let_in(process, client, request + strlen("enter "));
    if (begins(request, "reach "))
        err = reach(process, request, answer + 1, &fault);
    else if (begins(request, "pass "))
        err = pass(process, request, &fault);
    else
        return KR_WORLD_NO_REQUEST;
    if (err != KR_ERR_OK)
        snprintf(answer, sizeof(answer), "-%s", fault.text);
    world_serve_answer(client, bytes_text(answer), NULL);
    return KR_WORLD_ANSWERED;
}

// --- the carrier ---------------------------------------------------------------------------------

static void allow_many_sockets(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

// Within a region nothing is late.
static enum kr_err open_streams(struct world_process *process, struct fault *fault)
{
    const struct link_shape near = {.mbit = KR_LINK_MBIT_MAX, .queue_bytes = UINT64_C(1) << 30};
    struct relays *relays = mem_zalloc(sizeof(*relays));
    process->ctx = relays;
    allow_many_sockets();
    for (size_t i = 0; i < process->topology->region_count; i++)
        link_set(process->link, i, i, &near);
    relays->streams = streams_new(process->link, origin_of, process);
    if (world_serve_watch(process, streams_fd(relays->streams), KR_RELAY_STREAMS_EVENT))
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_IO, "epoll: no more descriptors");
}

// A turn follows each wait.
static void take_nothing(struct world_process *process, uint32_t event)
{
    (void)process;
    (void)event;
}

static void turn(struct world_process *process)
{
    const struct relays *relays = process->ctx;
    streams_turn(relays->streams);
}

static uint64_t next_ns(const struct world_process *process)
{
    const struct relays *relays = process->ctx;
    return streams_next_ns(relays->streams);
}

const struct world_carrier world_streams = {open_streams, take_nothing, turn, next_ns,
                                            take_request};
