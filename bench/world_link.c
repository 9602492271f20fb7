// SPDX-License-Identifier: Apache-2.0
// The link process: reads packets from every region, keeps each for as long as its path takes, and
// writes it to the region that it is for.
//
// One thread. It sleeps until shortly before the next packet is due, and spins for the rest: a
// sleep is no more exact than the machine is idle. It asks for a real-time priority, since every
// process of the world waits for it and it needs little.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/region.h"
#include "bench/world.h"
#include "bench/world_control.h"
#include "core/base/clock.h"
#include "core/base/mem.h"

enum {
    KR_LINK_EVENTS = 32,
    KR_LINK_BACKLOG = 16,
    KR_LINK_READS = 64,     // packets of one region a turn
    KR_LINK_SPIN_NS = 60000 // before a packet is due
};

// What an event is about: a region's number, one of these, or a client's descriptor on top.
enum { KR_EVENT_CONTROL = KR_LINK_PLACES, KR_EVENT_TIE, KR_EVENT_CLIENT };

struct link_process {
    const struct topology *topology;
    struct link *link;
    struct region regions[KR_LINK_PLACES];
    int epoll, control, tie, pid_fd;
};

static void on_stop(int number)
{
    (void)number;
    _exit(0);
}

static bool watch(struct link_process *process, int fd, uint32_t what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = what};
    return epoll_ctl(process->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

// --- packets -------------------------------------------------------------------------------------

// The region of 10.84.R.x; region_count: the packet is for none.
static size_t target_of(const struct link_process *process, const uint8_t *packet, size_t size)
{
    size_t none = process->topology->region_count;
    if (size < 20 || packet[0] >> 4 != 4 || packet[16] != 10 || packet[17] != 84)
        return none;
    size_t region = (size_t)packet[18] - 1;
    return packet[18] >= 1 && region < none ? region : none;
}

static void take_packets(struct link_process *process, size_t from)
{
    uint8_t packet[KR_REGION_PACKET];
    for (int i = 0; i < KR_LINK_READS; i++) {
        ssize_t size = read(process->regions[from].tun_fd, packet, sizeof(packet));
        if (size <= 0)
            return;
        size_t to = target_of(process, packet, (size_t)size);
        if (to < process->topology->region_count && to != from)
            link_push(process->link, from, to, bytes_of(packet, (size_t)size), clock_mono_ns());
    }
}

static void give_packets(struct link_process *process)
{
    struct link_packet *packet;
    while ((packet = link_pop(process->link, clock_mono_ns())) != NULL) {
        // A device that takes no more drops the packet, as a network card would.
        if (write(process->regions[packet->to].tun_fd, packet->data, packet->size_bytes) < 0 &&
            errno != EAGAIN && errno != ENOBUFS && errno != EIO)
            _exit(1);
        mem_free(packet);
    }
}

// --- control -------------------------------------------------------------------------------------

static void answer_with(int client, const char *text, size_t size, const int fds[2])
{
    char room[CMSG_SPACE(2 * sizeof(int))] = {0};
    union {
        const char *in;
        void *out;
    } bytes = {.in = text};
    struct iovec part = {bytes.out, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fds != NULL) {
        message.msg_control = room;
        message.msg_controllen = sizeof(room);
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(2 * sizeof(int));
        memcpy(CMSG_DATA(head), fds, 2 * sizeof(int));
    }
    sendmsg(client, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void let_in(const struct link_process *process, int client, const char *name)
{
    static const char unknown[] = "-there is no such region";
    size_t region = topology_region(process->topology, name);
    if (region == process->topology->region_count) {
        answer_with(client, unknown, sizeof(unknown) - 1, NULL);
        return;
    }
    const int fds[2] = {process->regions[region].net_fd, process->pid_fd};
    answer_with(client, "+", 1, fds);
}

static void carry_out(struct link_process *process, int client, char *request)
{
    static const char enter[] = "enter ";
    struct fault fault = {0};
    struct buf answer;
    if (strncmp(request, enter, sizeof(enter) - 1) == 0) {
        let_in(process, client, request + sizeof(enter) - 1);
        return;
    }
    buf_init(&answer, KR_WORLD_ANSWER);
    buf_add_text(&answer, "+");
    if (world_control(process->topology, process->link, request, &answer, &fault) != KR_ERR_OK) {
        buf_clear(&answer);
        buf_printf(&answer, "-%s", fault.text);
    }
    answer_with(client, (const char *)answer.data, answer.size, NULL);
    buf_fini(&answer);
}

// Only who may end this process anyway is listened to.
static void take_client(struct link_process *process)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof(peer);
    int client = accept4(process->control, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0)
        return;
    getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    if ((peer.uid != 0 && peer.uid != geteuid()) ||
        !watch(process, client, KR_EVENT_CLIENT + (uint32_t)client))
        close(client);
}

static void serve_client(struct link_process *process, int client)
{
    char request[KR_WORLD_REQUEST];
    ssize_t size = recv(client, request, sizeof(request) - 1, 0);
    if (size > 0) {
        request[size] = '\0';
        carry_out(process, client, request);
    }
    close(client);
}

// The process that started the world says that it may go on alone, or has ended.
static void hear_tie(struct link_process *process)
{
    char byte;
    if (recv(process->tie, &byte, 1, 0) != 1)
        _exit(0);
    prctl(PR_SET_PDEATHSIG, 0);
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        dup2(nowhere, fd);
    close(nowhere);
    close(process->tie);
    if (chdir("/") != 0)
        _exit(1);
}

// --- the loop ------------------------------------------------------------------------------------

static int wait_for_events(struct link_process *process, struct epoll_event *events)
{
    uint64_t next_ns = link_next_ns(process->link), now_ns = clock_mono_ns();
    struct timespec rest = {0};
    if (next_ns == UINT64_MAX)
        return epoll_wait(process->epoll, events, KR_LINK_EVENTS, -1);
    if (next_ns > now_ns + KR_LINK_SPIN_NS) {
        uint64_t sleep_ns = next_ns - now_ns - KR_LINK_SPIN_NS;
        rest.tv_sec = (time_t)(sleep_ns / 1000000000);
        rest.tv_nsec = (long)(sleep_ns % 1000000000);
    }
    return epoll_pwait2(process->epoll, events, KR_LINK_EVENTS, &rest, NULL);
}

static void take_event(struct link_process *process, uint32_t what)
{
    if (what < KR_LINK_PLACES)
        take_packets(process, what);
    else if (what == KR_EVENT_CONTROL)
        take_client(process);
    else if (what == KR_EVENT_TIE)
        hear_tie(process);
    else
        serve_client(process, (int)(what - KR_EVENT_CLIENT));
}

__attribute__((noreturn)) static void carry_packets(struct link_process *process)
{
    struct epoll_event events[KR_LINK_EVENTS];
    for (;;) {
        int count = wait_for_events(process, events);
        if (count < 0 && errno != EINTR)
            _exit(1);
        for (int i = 0; i < count; i++)
            take_event(process, events[i].data.u32);
        give_packets(process);
    }
}

static enum kr_err make_regions(struct link_process *process, struct fault *fault)
{
    const struct topology *topology = process->topology;
    for (size_t i = 0; i < topology->region_count; i++) {
        enum kr_err err = region_open(i, &process->regions[i], fault);
        if (err != KR_ERR_OK)
            return err;
        if (!watch(process, process->regions[i].tun_fd, (uint32_t)i))
            return fault_set(fault, KR_ERR_IO, "epoll: %s", strerror(errno));
        for (size_t to = 0; to < topology->region_count; to++)
            if (to != i)
                link_set(process->link, i, to, &topology->shapes[i][to]);
    }
    return KR_ERR_OK;
}

void world_run(const struct topology *topology, uint64_t seed, int control, int tie)
{
    struct link_process process = {.topology = topology,
                                   .link = link_new(topology->region_count, seed),
                                   .epoll = epoll_create1(EPOLL_CLOEXEC),
                                   .control = control,
                                   .tie = tie};
    const struct sched_param priority = {.sched_priority = 1};
    struct fault fault = {0};
    signal(SIGTERM, on_stop);
    signal(SIGINT, on_stop);
    signal(SIGCHLD, SIG_IGN); // orphans of the process namespace come here to end
    prctl(PR_SET_NAME, "keyreeve-wan");
    prctl(PR_SET_TIMERSLACK, 1);
    sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority);
    process.pid_fd = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    // Who connects is told this process by the kernel, because it is the one that listens.
    if (process.pid_fd < 0 || listen(control, KR_LINK_BACKLOG) != 0 ||
        !watch(&process, control, KR_EVENT_CONTROL) || !watch(&process, tie, KR_EVENT_TIE))
        fault_set(&fault, KR_ERR_IO, "the link process: %s", strerror(errno));
    else
        fault.err = make_regions(&process, &fault);
    if (send(tie, &fault, sizeof(fault), MSG_NOSIGNAL) != sizeof(fault) || fault.err != KR_ERR_OK)
        _exit(1);
    carry_packets(&process);
}
