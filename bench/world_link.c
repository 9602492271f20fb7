// SPDX-License-Identifier: Apache-2.0
// A world of packets: reads them from every region's device, keeps each for as long as its path
// takes, and writes it to the region that it is for.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "bench/region.h"
#include "bench/world.h"
#include "bench/world_serve.h"
#include "core/base/clock.h"
#include "core/base/mem.h"

enum { KR_LINK_READS = 64 }; // packets of one region a turn

struct packets {
    struct region regions[KR_TOPOLOGY_REGIONS];
    int pid_fd;
};

// The region of 10.84.R.x; region_count: the packet is for none.
static size_t target_of(const struct topology *topology, const uint8_t *packet, size_t size)
{
    size_t none = topology->region_count;
    if (size < 20 || packet[0] >> 4 != 4 || packet[16] != topology->net[0] ||
        packet[17] != topology->net[1])
        return none;
    size_t region = (size_t)packet[18] - 1;
    return packet[18] >= 1 && region < none ? region : none;
}

static void take_packets(struct world_process *process, uint32_t from)
{
    const struct packets *packets = process->ctx;
    uint8_t packet[KR_REGION_PACKET];
    for (int i = 0; i < KR_LINK_READS; i++) {
        ssize_t size = read(packets->regions[from].tun_fd, packet, sizeof(packet));
        if (size <= 0)
            return;
        size_t to = target_of(process->topology, packet, (size_t)size);
        if (to < process->topology->region_count && to != from)
            link_push(process->link, from, to, bytes_of(packet, (size_t)size), clock_mono_ns());
    }
}

static void give_packets(struct world_process *process)
{
    const struct packets *packets = process->ctx;
    struct link_packet *packet;
    while ((packet = link_pop(process->link, clock_mono_ns())) != NULL) {
        // A device that takes no more drops the packet, as a network card would.
        if (write(packets->regions[packet->to].tun_fd, packet->data, packet->size_bytes) < 0 &&
            errno != EAGAIN && errno != ENOBUFS && errno != EIO)
            _exit(1);
        mem_free(packet);
    }
}

static uint64_t next_packet_ns(const struct world_process *process)
{
    return link_next_ns(process->link);
}

// "enter REGION": its namespaces.
static enum world_outcome let_in(struct world_process *process, int client, char *request)
{
    static const char enter[] = "enter ";
    const struct packets *packets = process->ctx;
    if (strncmp(request, enter, sizeof(enter) - 1) != 0)
        return KR_WORLD_NO_REQUEST;
    size_t region = topology_region(process->topology, request + sizeof(enter) - 1);
    if (region == process->topology->region_count) {
        world_serve_answer(client, bytes_text("-there is no such region"), NULL);
        return KR_WORLD_ANSWERED;
    }
    const int fds[2] = {packets->regions[region].net_fd, packets->pid_fd};
    world_serve_answer(client, bytes_text("+"), fds);
    return KR_WORLD_ANSWERED;
}

// "reach REGION ADDRESS PORT": by that address, over the links.
static enum world_outcome take_request(struct world_process *process, int client, char *request)
{
    char address[INET_ADDRSTRLEN] = "", answer[INET_ADDRSTRLEN + 1];
    if (sscanf(request, "reach %*s %15s", address) != 1)
        return let_in(process, client, request);
    snprintf(answer, sizeof(answer), "+%s", address);
    world_serve_answer(client, bytes_text(answer), NULL);
    return KR_WORLD_ANSWERED;
}

static enum kr_err open_regions(struct world_process *process, struct fault *fault)
{
    const struct topology *topology = process->topology;
    struct packets *packets = mem_zalloc(sizeof(*packets));
    process->ctx = packets;
    packets->pid_fd = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (packets->pid_fd < 0)
        return fault_set(fault, KR_ERR_IO, "/proc/self/ns/pid: %s", strerror(errno));
    for (size_t i = 0; i < topology->region_count; i++) {
        enum kr_err err = region_open(topology, i, &packets->regions[i], fault);
        if (err != KR_ERR_OK)
            return err;
        if (!world_serve_watch(process, packets->regions[i].tun_fd, (uint32_t)i))
            return fault_set(fault, KR_ERR_IO, "epoll: %s", strerror(errno));
    }
    return KR_ERR_OK;
}

const struct world_carrier world_packets = {open_regions, take_packets, give_packets,
                                            next_packet_ns, take_request};
