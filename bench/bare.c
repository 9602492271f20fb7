// SPDX-License-Identifier: Apache-2.0
// The bare responder: a child process with an epoll loop.
#include "bench/bare.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KR_BARE_EVENTS = 512, KR_BARE_IN = 16384, KR_BARE_BACKLOG = 1024 };

// --- the child -----------------------------------------------------------------------------------

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        close(fd);
}

static void take_connection(int epoll, int listener)
{
    const int on = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    watch(epoll, fd);
}

static void answer(int fd)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
    static char in[KR_BARE_IN];
    ssize_t size = recv(fd, in, sizeof(in), 0);
    bool is_broken = size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
    if (size > 0)
        is_broken = send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL) < 0;
    if (is_broken)
        close(fd);
}

__attribute__((noreturn)) static void respond(int listener)
{
    struct epoll_event events[KR_BARE_EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, listener);
    for (;;) {
        int count = epoll_wait(epoll, events, KR_BARE_EVENTS, -1);
        if (count < 0 && errno != EINTR)
            _exit(1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                take_connection(epoll, listener);
            else
                answer(events[i].data.fd);
        }
    }
}

static bool pin(uint64_t cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof(set), &set) == 0;
}

// --- the parent ----------------------------------------------------------------------------------

static int open_listener(struct load_target *target)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    target->address_size = sizeof(address);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
        listen(fd, KR_BARE_BACKLOG) == 0 &&
        getsockname(fd, (struct sockaddr *)&target->address, &target->address_size) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

enum kr_err bare_start(uint64_t cpu, struct bare *bare, struct fault *fault)
{
    cpu_set_t own;
    CPU_ZERO(&own);
    int fd = open_listener(&bare->target);
    if (fd < 0)
        return fault_set(fault, KR_ERR_IO, "--compare-bare: cannot listen: %s", strerror(errno));
    // The child inherits the core that the parent has at the fork, so a wrong one is told here.
    bool is_pinned = sched_getaffinity(0, sizeof(own), &own) == 0 && pin(cpu);
    pid_t parent = getpid();
    bare->pid = is_pinned ? fork() : -1;
    if (bare->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        respond(fd);
    }
    close(fd);
    bare->target.pid = bare->pid;
    if (bare->pid > 0 && sched_setaffinity(0, sizeof(own), &own) == 0)
        return KR_ERR_OK;
    bare_stop(bare);
    return fault_set(fault, KR_ERR_INVALID,
                     "--compare-bare %llu: this machine has no such core, or no room for a process",
                     (unsigned long long)cpu);
}

void bare_stop(struct bare *bare)
{
    if (bare->pid <= 0)
        return;
    kill(bare->pid, SIGKILL);
    waitpid(bare->pid, NULL, 0);
    bare->pid = 0;
}
