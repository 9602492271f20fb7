// SPDX-License-Identifier: Apache-2.0
// The loop of a world's process.
//
// One thread. It sleeps until shortly before something is due, and spins for the rest: a sleep is
// no more exact than the machine is idle. It asks for a real-time priority, since every process of
// the world waits for it and it needs little; without root it does without.
#include "bench/world_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/program.h"
#include "bench/world_control.h"
#include "core/base/clock.h"

enum {
    KR_SERVE_EVENTS = 32,
    KR_SERVE_BACKLOG = 16,
    KR_SERVE_SPIN_NS = 60000 // before something is due
};

// What an event is about: the carrier's, one of these, or a client's descriptor on top.
enum { KR_EVENT_CONTROL = KR_WORLD_EVENTS, KR_EVENT_TIE, KR_EVENT_CLIENT };

static void on_stop(int number)
{
    (void)number;
    _exit(0);
}

bool world_serve_watch(struct world_process *process, int fd, uint32_t event)
{
    struct epoll_event told = {.events = EPOLLIN, .data.u32 = event};
    return epoll_ctl(process->epoll, EPOLL_CTL_ADD, fd, &told) == 0;
}

// --- control -------------------------------------------------------------------------------------

void world_serve_answer(int client, struct bytes text, const int fds[2])
{
    char room[CMSG_SPACE(2 * sizeof(int))] = {0};
    union {
        const uint8_t *in;
        void *out;
    } bytes = {.in = text.data};
    struct iovec part = {bytes.out, text.size};
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

static void carry_out(struct world_process *process, int client, char *request)
{
    struct fault fault = {0};
    struct buf answer;
    buf_init(&answer, KR_WORLD_ANSWER);
    buf_add_text(&answer, "+");
    if (world_control(process->topology, process->link, request, &answer, &fault) != KR_ERR_OK) {
        buf_clear(&answer);
        buf_printf(&answer, "-%s", fault.text);
    }
    world_serve_answer(client, buf_bytes(&answer), NULL);
    buf_fini(&answer);
}

// Only who may end this process anyway is listened to.
static void take_client(struct world_process *process)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof(peer);
    int client = accept4(process->control, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0)
        return;
    getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    if ((peer.uid != 0 && peer.uid != geteuid()) ||
        !world_serve_watch(process, client, KR_EVENT_CLIENT + (uint32_t)client))
        close(client);
}

static void serve_client(struct world_process *process, int client)
{
    char request[KR_WORLD_REQUEST];
    ssize_t size = recv(client, request, sizeof(request) - 1, 0);
    enum world_outcome outcome = KR_WORLD_ANSWERED;
    if (size > 0) {
        request[size] = '\0';
        outcome = process->carrier->request(process, client, request);
    }
    if (outcome == KR_WORLD_NO_REQUEST)
        carry_out(process, client, request);
    if (outcome != KR_WORLD_JOINED)
        close(client);
}

// The process that started the world says that it may go on alone, or has ended. It waits for the
// answer: its end would be this process's as well, as long as the kernel has not been told.
static void hear_tie(struct world_process *process)
{
    char byte = 0;
    if (recv(process->tie, &byte, 1, 0) != 1)
        _exit(0);
    prctl(PR_SET_PDEATHSIG, 0);
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        dup2(nowhere, fd);
    close(nowhere);
    if (chdir("/") != 0 || send(process->tie, &byte, 1, MSG_NOSIGNAL) != 1)
        _exit(1);
    close(process->tie);
}

// --- the loop ------------------------------------------------------------------------------------

static int wait_for_events(const struct world_process *process, struct epoll_event *events)
{
    uint64_t next_ns = process->carrier->next_ns(process), now_ns = clock_mono_ns();
    struct timespec rest = {0};
    if (next_ns == UINT64_MAX)
        return epoll_wait(process->epoll, events, KR_SERVE_EVENTS, -1);
    if (next_ns > now_ns + KR_SERVE_SPIN_NS) {
        uint64_t sleep_ns = next_ns - now_ns - KR_SERVE_SPIN_NS;
        rest.tv_sec = (time_t)(sleep_ns / 1000000000);
        rest.tv_nsec = (long)(sleep_ns % 1000000000);
    }
    return epoll_pwait2(process->epoll, events, KR_SERVE_EVENTS, &rest, NULL);
}

static void take_event(struct world_process *process, uint32_t event)
{
    if (event < KR_WORLD_EVENTS)
        process->carrier->take(process, event);
    else if (event == KR_EVENT_CONTROL)
        take_client(process);
    else if (event == KR_EVENT_TIE)
        hear_tie(process);
    else
        serve_client(process, (int)(event - KR_EVENT_CLIENT));
}

__attribute__((noreturn)) static void carry(struct world_process *process)
{
    struct epoll_event events[KR_SERVE_EVENTS];
    for (;;) {
        int count = wait_for_events(process, events);
        if (count < 0 && errno != EINTR)
            _exit(1);
        for (int i = 0; i < count; i++)
            take_event(process, events[i].data.u32);
        process->carrier->give(process);
    }
}

void world_serve(struct world_process *process)
{
    const struct sched_param priority = {.sched_priority = 1};
    struct fault fault = {0};
    signal(SIGTERM, on_stop);
    signal(SIGINT, on_stop);
    signal(SIGHUP, on_stop);
    signal(SIGCHLD, SIG_IGN); // orphans of a process namespace come here to end
    prctl(PR_SET_NAME, "keyreeve-wan");
    prctl(PR_SET_TIMERSLACK, 1);
    if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority) != 0)
        program_leave_cores();
    process->epoll = epoll_create1(EPOLL_CLOEXEC);
    // Who connects is told this process by the kernel, because it is the one that listens.
    if (process->epoll < 0 || listen(process->control, KR_SERVE_BACKLOG) != 0 ||
        !world_serve_watch(process, process->control, KR_EVENT_CONTROL) ||
        !world_serve_watch(process, process->tie, KR_EVENT_TIE))
        fault_set(&fault, KR_ERR_IO, "the world's process: %s", strerror(errno));
    else
        fault.err = process->carrier->open(process, &fault);
    if (send(process->tie, &fault, sizeof(fault), MSG_NOSIGNAL) != sizeof(fault) ||
        fault.err != KR_ERR_OK)
        _exit(1);
    carry(process);
}
