// SPDX-License-Identifier: Apache-2.0
// Starting a world, and speaking to one that runs.
//
// Start: bind the control socket, which nobody else may have → fork the first process of a new
// process namespace → it makes the regions and says so, or says why not. Where that is root or TUN,
// once more, with a process like any other, which relays.
#include "bench/world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/world_serve.h"

enum {
    KR_WORLD_PATIENCE_MS = 10000,
    KR_WORLD_NET_FIRST = 200, // 127.200 and 127.201 are the first world of relays
    KR_WORLD_NET_LAST = 252
};

const char *world_form(enum link_kind kind)
{
    return kind == KR_LINK_PACKETS ? "tun" : "relay";
}

unsigned world_address(const char *name, void *out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int size =
        snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "keyreeve-bench/wan/%s", name);
    memcpy(out, &address, sizeof(address));
    return (unsigned)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size);
}

// -1 with errno.
static int bind_abstract(const char *name)
{
    struct sockaddr_un address;
    socklen_t size = world_address(name, &address);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, size) == 0)
        return fd;
    int number = errno;
    if (fd >= 0)
        close(fd);
    errno = number;
    return -1;
}

static enum kr_err bind_control(const char *name, int *out, struct fault *fault)
{
    if (strlen(name) == 0 || strlen(name) >= KR_WORLD_NAME)
        return fault_set(fault, KR_ERR_INVALID, "a world's name has 1 to %d characters",
                         KR_WORLD_NAME - 1);
    *out = bind_abstract(name);
    if (*out >= 0)
        return KR_ERR_OK;
    if (errno == EADDRINUSE)
        return fault_set(fault, KR_ERR_LOCKED,
                         "the world \"%s\" is up already; keyreeve-bench wan down ends it", name);
    return fault_set(fault, err_from_errno(errno), "the world's socket: %s", strerror(errno));
}

// A network that no other world of relays has, as long as the descriptor is open: which is as long
// as the world's process lives.
static enum kr_err take_net(uint8_t net[2], int *out, struct fault *fault)
{
    char name[KR_WORLD_NAME];
    *out = -1;
    for (unsigned i = KR_WORLD_NET_FIRST; i <= KR_WORLD_NET_LAST && *out < 0; i += 2) {
        snprintf(name, sizeof(name), "/127.%u", i);
        *out = bind_abstract(name);
        net[0] = 127;
        net[1] = (uint8_t)i;
    }
    return *out >= 0 ? KR_ERR_OK
                     : fault_set(fault, KR_ERR_LOCKED, "too many worlds of relays are up: %s",
                                 strerror(errno));
}

// What the link process says first: nothing when it runs, else why it cannot, or its silence.
static enum kr_err await_ready(int tie, struct fault *fault)
{
    struct fault said = {0};
    ssize_t size = recv(tie, &said, sizeof(said), 0);
    if (size != sizeof(said))
        return fault_set(fault, KR_ERR_IO, "the world's link process ended before it was ready");
    said.text[sizeof(said.text) - 1] = '\0';
    return said.err == KR_ERR_OK ? KR_ERR_OK : fault_set(fault, said.err, "%s", said.text);
}

// A child in another process namespace: in the one of pid_fd, or, -1, the first one of a new. The
// caller itself stays what it was, so that its other children do as well.
static pid_t fork_elsewhere(int pid_fd)
{
    int home = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    pid_t child = -1;
    if (home < 0)
        return -1;
    // To where it is already: whoever may not do that could not come back.
    bool may_return = setns(home, CLONE_NEWPID) == 0;
    if (may_return && (pid_fd < 0 ? unshare(CLONE_NEWPID) : setns(pid_fd, CLONE_NEWPID)) == 0)
        child = fork();
    int number = errno;
    if (child != 0 && may_return && setns(home, CLONE_NEWPID) != 0)
        _exit(1); // every further child would be a stranger's
    close(home);
    errno = number;
    return child;
}

static pid_t fork_here(void)
{
    pid_t parent = getpid(), child = fork();
    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    return 0;
}

// The child says that it is tied to its parent, which may be gone by then: then nobody hears it.
static pid_t fork_into(const struct world_place *place)
{
    int tie[2];
    char byte = 0;
    if (pipe2(tie, O_CLOEXEC) != 0)
        return -1;
    pid_t child = fork_elsewhere(place->pid_fd);
    int number = errno;
    if (child == 0) {
        close(tie[0]);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (setns(place->net_fd, CLONE_NEWNET) != 0 || write(tie[1], &byte, 1) != 1)
            _exit(1);
    }
    close(tie[1]);
    if (child > 0 && read(tie[0], &byte, 1) != 1) {
        waitpid(child, NULL, 0);
        child = -1;
        number = EIO;
    }
    if (child != 0)
        close(tie[0]);
    errno = number;
    return child;
}

pid_t world_fork(const struct world_place *place)
{
    return place != NULL && place->form == KR_LINK_PACKETS ? fork_into(place) : fork_here();
}

__attribute__((noreturn)) static void become(const struct world_plan *plan, enum link_kind form,
                                             int control, int tie)
{
    struct world_process process = {
        .topology = plan->topology,
        .carrier = form == KR_LINK_PACKETS ? &world_packets : &world_streams,
        .link = link_new(form, plan->topology->region_count, plan->seed),
        .control = control,
        .tie = tie};
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL); // before it says that it is ready, which a parent hears
    for (size_t from = 0; from < plan->topology->region_count; from++)
        for (size_t to = 0; to < plan->topology->region_count; to++)
            if (to != from)
                link_set(process.link, from, to, &plan->topology->shapes[from][to]);
    world_serve(&process);
}

static enum kr_err start(const struct world_plan *plan, enum link_kind form, struct world *out,
                         struct fault *fault)
{
    int control = -1, ties[2] = {-1, -1};
    *out = (struct world){.tie = -1, .form = form};
    snprintf(out->name, sizeof(out->name), "%s", plan->name);
    enum kr_err err = bind_control(plan->name, &control, fault);
    if (err != KR_ERR_OK)
        return err;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ties) == 0)
        out->pid = form == KR_LINK_PACKETS ? fork_elsewhere(-1) : fork_here();
    else
        out->pid = -1;
    if (out->pid == 0) {
        close(ties[0]);
        become(plan, form, control, ties[1]);
    }
    if (out->pid < 0) {
        err = fault_set(fault, errno == EPERM ? KR_ERR_FORBIDDEN : err_from_errno(errno),
                        "a process namespace: %s; that needs root", strerror(errno));
        out->pid = 0;
    }
    close(control);
    if (ties[1] >= 0)
        close(ties[1]);
    out->tie = ties[0];
    if (err == KR_ERR_OK)
        err = await_ready(out->tie, fault);
    if (err != KR_ERR_OK)
        world_stop(out);
    return err;
}

static enum kr_err start_relays(const struct world_plan *plan, struct world *out,
                                struct fault *fault)
{
    uint8_t net[2];
    int reserved;
    enum kr_err err = topology_check_kind(plan->topology, KR_LINK_STREAMS, fault);
    if (err == KR_ERR_OK)
        err = take_net(net, &reserved, fault);
    if (err != KR_ERR_OK)
        return err;
    topology_move(plan->topology, net);
    err = start(plan, KR_LINK_STREAMS, out, fault);
    close(reserved); // the world's process has it
    return err;
}

enum kr_err world_start(const struct world_plan *plan, struct world *out, struct fault *fault)
{
    struct fault why = {0};
    *out = (struct world){.tie = -1};
    enum kr_err err = plan->is_relay ? KR_ERR_FORBIDDEN : start(plan, KR_LINK_PACKETS, out, &why);
    if (err != KR_ERR_FORBIDDEN && err != KR_ERR_NOT_FOUND)
        return err == KR_ERR_OK ? err : fault_set(fault, err, "%s", why.text);
    if (!plan->is_relay)
        fprintf(stderr,
                "keyreeve-bench: %s. So the links are TCP relays, which is less: TCP "
                "alone, no loss, no reordering\n",
                why.text);
    return start_relays(plan, out, fault);
}

enum kr_err world_detach(struct world *world, struct fault *fault)
{
    char byte;
    bool is_free = send(world->tie, "", 1, MSG_NOSIGNAL) == 1 && recv(world->tie, &byte, 1, 0) == 1;
    close(world->tie);
    *world = (struct world){.tie = -1};
    return is_free ? KR_ERR_OK : fault_set(fault, KR_ERR_IO, "the world has ended");
}

void world_stop(struct world *world)
{
    if (world->tie >= 0)
        close(world->tie);
    if (world->pid > 0) {
        kill(world->pid, SIGKILL);
        while (waitpid(world->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    world->tie = -1;
    world->pid = 0;
}

// --- speaking to it ------------------------------------------------------------------------------

static enum kr_err open_control(const char *name, int *out, struct fault *fault)
{
    struct sockaddr_un address;
    const struct timeval patience = {.tv_sec = KR_WORLD_PATIENCE_MS / 1000};
    socklen_t size = world_address(name, &address);
    *out = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (*out >= 0)
        setsockopt(*out, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (*out >= 0 && connect(*out, (const struct sockaddr *)&address, size) == 0)
        return KR_ERR_OK;
    int number = errno;
    if (*out >= 0)
        close(*out);
    return fault_set(fault, KR_ERR_NOT_FOUND,
                     "no world \"%s\" runs here (%s); keyreeve-bench wan up starts one", name,
                     strerror(number));
}

static void take_descriptors(struct msghdr *message, struct world_place *place)
{
    const struct cmsghdr *head = CMSG_FIRSTHDR(message);
    int fds[2];
    if (head == NULL || head->cmsg_type != SCM_RIGHTS || head->cmsg_len != CMSG_LEN(sizeof(fds)))
        return;
    memcpy(fds, CMSG_DATA(head), sizeof(fds));
    place->form = KR_LINK_PACKETS;
    place->net_fd = fds[0];
    place->pid_fd = fds[1];
}

// An answer is '+' and its text, or '-' and why not. A place without descriptors is one of streams,
// whose tie the connection is.
static enum kr_err ask(const char *name, const char *request, struct buf *answer,
                       struct world_place *place, struct fault *fault)
{
    static char text[KR_WORLD_ANSWER];
    char room[CMSG_SPACE(2 * sizeof(int))];
    struct iovec part = {text, sizeof(text)};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    int fd;
    enum kr_err err = open_control(name, &fd, fault);
    if (err != KR_ERR_OK)
        return err;
    ssize_t size = send(fd, request, strlen(request), MSG_NOSIGNAL);
    if (size >= 0)
        size = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (size < 1)
        err = fault_set(fault, KR_ERR_IO, "the world \"%s\" does not answer", name);
    else if (text[0] != '+')
        err = fault_set(fault, KR_ERR_INVALID, "%.*s", (int)size - 1, text + 1);
    else
        buf_add(answer, text + 1, (size_t)size - 1);
    if (err == KR_ERR_OK && place != NULL)
        take_descriptors(&message, place);
    if (err == KR_ERR_OK && place != NULL && place->form == KR_LINK_STREAMS)
        place->tie = fd;
    else
        close(fd);
    return err;
}

enum kr_err world_ask(const char *name, const char *request, struct buf *answer,
                      struct fault *fault)
{
    return ask(name, request, answer, NULL, fault);
}

// The process' end is that of everything in it: it is the first of its process namespace, or what
// was started is tied to it.
enum kr_err world_end(const char *name, struct fault *fault)
{
    int fd;
    struct ucred link = {0};
    socklen_t size = sizeof(link);
    enum kr_err err = open_control(name, &fd, fault);
    if (err != KR_ERR_OK)
        return err;
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &link, &size);
    int end = link.pid > 0 ? pidfd_open(link.pid, 0) : -1;
    struct pollfd ended = {.fd = end, .events = POLLIN};
    if (end < 0 || pidfd_send_signal(end, SIGKILL, NULL, 0) != 0)
        err = fault_set(fault, err_from_errno(errno), "the world \"%s\", process %d: %s", name,
                        (int)link.pid, strerror(errno));
    else if (poll(&ended, 1, KR_WORLD_PATIENCE_MS) != 1)
        err = fault_set(fault, KR_ERR_TIMEOUT, "the world \"%s\" has not ended within %d ms", name,
                        KR_WORLD_PATIENCE_MS);
    if (end >= 0)
        close(end);
    close(fd);
    return err;
}

enum kr_err world_open_place(const char *name, const char *region, struct world_place *out,
                             struct fault *fault)
{
    char request[KR_WORLD_REQUEST];
    struct buf answer;
    *out = (struct world_place){KR_LINK_STREAMS, -1, -1, -1};
    snprintf(request, sizeof(request), "enter %s", region);
    buf_init(&answer, KR_WORLD_ANSWER);
    enum kr_err err = ask(name, request, &answer, out, fault);
    buf_fini(&answer);
    return err;
}

enum kr_err world_reach(const char *name, const char *region, const char *address, uint16_t port,
                        char out[INET_ADDRSTRLEN], struct fault *fault)
{
    char request[KR_WORLD_REQUEST];
    struct buf answer;
    snprintf(request, sizeof(request), "reach %s %s %u", region, address, port);
    buf_init(&answer, KR_WORLD_ANSWER);
    enum kr_err err = ask(name, request, &answer, NULL, fault);
    if (err == KR_ERR_OK)
        snprintf(out, INET_ADDRSTRLEN, "%.*s", (int)answer.size, (const char *)answer.data);
    buf_fini(&answer);
    return err;
}

void world_close_place(struct world_place *place)
{
    if (place->net_fd >= 0)
        close(place->net_fd);
    if (place->pid_fd >= 0)
        close(place->pid_fd);
    if (place->tie >= 0)
        close(place->tie);
    *place = (struct world_place){KR_LINK_STREAMS, -1, -1, -1};
}

// A socket belongs to the namespace in which it was made, wherever its thread goes.
static int socket_in(const struct world_place *place, int type)
{
    int fd = -1, home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home < 0)
        return -1;
    if (setns(place->net_fd, CLONE_NEWNET) == 0) {
        fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
        if (setns(home, CLONE_NEWNET) != 0)
            _exit(1); // nowhere to go on from
    }
    close(home);
    return fd;
}

int world_socket(const struct world_place *place, int type)
{
    if (place != NULL && place->form == KR_LINK_PACKETS)
        return socket_in(place, type);
    return socket(AF_INET, type | SOCK_CLOEXEC, 0);
}
