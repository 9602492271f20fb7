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

#include "core/base/mem.h"
#include "core/keys/verdict.h"
#include "proto/binary.h"

enum {
    KR_BARE_EVENTS = 512,
    KR_BARE_IN = 16384,
    KR_BARE_BACKLOG = 1024,
    KR_BARE_BODY = 141,
    KR_BARE_HEAD = 4,
    KR_BARE_FRAMES = KR_BARE_IN / KR_BARE_HEAD + 1 // that one receive can end, were they empty
};

// --- the child -----------------------------------------------------------------------------------

// A listener, or a connection that one has taken.
struct peer {
    int fd;
    bool is_listener, has_frames;
    uint8_t head[KR_BARE_HEAD]; // of the frame that is coming
    size_t head_size, left;     // of its head, and of what follows that
};

struct responder {
    int epoll;
    struct buf http;    // one answer
    struct buf answers; // KR_BARE_FRAMES of them
    size_t answer_bytes;
};

static void watch(const struct responder *it, int fd, bool is_listener, bool has_frames)
{
    struct peer *peer = mem_zalloc(sizeof(*peer));
    *peer = (struct peer){.fd = fd, .is_listener = is_listener, .has_frames = has_frames};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    if (epoll_ctl(it->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
        return;
    close(fd);
    mem_free(peer);
}

static void take_connection(const struct responder *it, const struct peer *listener)
{
    const int on = 1;
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    watch(it, fd, false, listener->has_frames);
}

// How many frames end in what has come. A frame is its length in four bytes, and as many behind.
static size_t count_frames(struct peer *peer, const uint8_t *in, size_t size)
{
    size_t count = 0;
    for (size_t at = 0; at < size;) {
        if (peer->head_size < KR_BARE_HEAD) {
            peer->head[peer->head_size++] = in[at++];
            if (peer->head_size == KR_BARE_HEAD)
                peer->left = peer->head[0] | (size_t)peer->head[1] << 8 |
                             (size_t)peer->head[2] << 16 | (size_t)peer->head[3] << 24;
            continue;
        }
        size_t step = size - at < peer->left ? size - at : peer->left;
        at += step;
        peer->left -= step;
        if (peer->left == 0) {
            peer->head_size = 0;
            count++;
        }
    }
    return count;
}

static bool send_all(int fd, const uint8_t *data, size_t size)
{
    for (ssize_t sent = 0; size > 0; data += sent, size -= (size_t)sent) {
        sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
    }
    return true;
}

static void answer(const struct responder *it, struct peer *peer)
{
    static uint8_t in[KR_BARE_IN];
    ssize_t size = recv(peer->fd, in, sizeof(in), MSG_DONTWAIT);
    bool is_good = size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR));
    if (size > 0 && peer->has_frames) {
        size_t count = count_frames(peer, in, (size_t)size);
        is_good = send_all(peer->fd, it->answers.data, count * it->answer_bytes);
    } else if (size > 0) {
        is_good = send_all(peer->fd, it->http.data, it->http.size);
    }
    if (is_good)
        return;
    close(peer->fd);
    mem_free(peer);
}

static void write_answers(struct responder *it)
{
    static const uint8_t body[KR_BARE_BODY];
    const struct binary_result result = {.code = KR_VERDICT_VALID + 1,
                                         .body = bytes_of(body, sizeof(body))};
    buf_init(&it->http, KR_BARE_IN);
    buf_add_text(&it->http, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n");
    buf_init(&it->answers, SIZE_MAX);
    for (size_t i = 0; i < KR_BARE_FRAMES; i++) {
        size_t begin = binary_begin_answer(&it->answers, 0, 1);
        binary_add_result(&it->answers, &result);
        binary_end_answer(&it->answers, begin, 1, 0);
    }
    it->answer_bytes = it->answers.size / KR_BARE_FRAMES;
}

__attribute__((noreturn)) static void respond(int http, int binary)
{
    struct epoll_event events[KR_BARE_EVENTS];
    struct responder it = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
    write_answers(&it);
    watch(&it, http, true, false);
    watch(&it, binary, true, true);
    for (;;) {
        int count = epoll_wait(it.epoll, events, KR_BARE_EVENTS, -1);
        if (count < 0 && errno != EINTR)
            _exit(1);
        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;
            if (peer->is_listener)
                take_connection(&it, peer);
            else
                answer(&it, peer);
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
    int http = open_listener(&bare->http), binary = open_listener(&bare->binary);
    if (http < 0 || binary < 0)
        return fault_set(fault, KR_ERR_IO, "--compare-bare: cannot listen: %s", strerror(errno));
    // The child inherits the core that the parent has at the fork, so a wrong one is told here.
    bool is_pinned = sched_getaffinity(0, sizeof(own), &own) == 0 && pin(cpu);
    pid_t parent = getpid();
    bare->pid = is_pinned ? fork() : -1;
    if (bare->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        respond(http, binary);
    }
    close(http);
    close(binary);
    bare->http.pid = bare->binary.pid = bare->pid;
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
