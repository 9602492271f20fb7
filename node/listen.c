// SPDX-License-Identifier: Apache-2.0
// Listening sockets. Opened by the main thread before the loops run.
#include "node/listen_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "node/config_row.h"

static unsigned bound_ports[KR_LISTEN_COUNT];
static int unix_fds[KR_LISTEN_COUNT] = {-1, -1, -1, -1, -1};

// --- TCP -----------------------------------------------------------------------------------------

static void learn_port(enum listen_number number, int fd)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);
    if (bound_ports[number] != 0 || getsockname(fd, (struct sockaddr *)&name, &size) != 0)
        return;
    bound_ports[number] =
        ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&name)->sin6_port
                                         : ((struct sockaddr_in *)(void *)&name)->sin_port);
}

// SO_REUSEPORT would let a second node of the same user share the port without a word, so the first
// socket of this process is bound without it once, to see whether the port is free.
static enum kr_err probe_port(const struct sockaddr_storage *address, socklen_t size,
                              const struct listen_plan *plan, struct fault *fault)
{
    int yes = 1;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    int status = bind(fd, (const struct sockaddr *)address, size);
    int number = errno;
    close(fd);
    if (status == 0)
        return KR_ERR_OK;
    char flag[KR_CONFIG_NAME_SIZE];
    config_dashes(plan->setting, flag);
    if (number == EADDRINUSE)
        return fault_set(fault, KR_ERR_LOCKED,
                         "%s: %s is in use by another process; stop it (ss -ltnp shows which), "
                         "or choose another port with --%s",
                         plan->setting, plan->address, flag);
    return fault_set(fault, KR_ERR_INVALID, "%s: cannot bind %s: %s", plan->setting, plan->address,
                     strerror(number));
}

enum kr_err listen_tcp(const struct listen_plan *plan, enum listen_number number, int *fd,
                       struct fault *fault)
{
    char host[64];
    unsigned port = 0;
    struct sockaddr_storage address;
    enum kr_err err = KR_ERR_OK;
    bool is_address = config_split_address(plan->address, host, sizeof(host), &port);
    assert(is_address);
    if (bound_ports[number] != 0)
        port = bound_ports[number];
    socklen_t size = listen_fill_address(host, port, &address);
    assert(size > 0);
    if (bound_ports[number] == 0)
        err = probe_port(&address, size, plan, fault);
    if (err != KR_ERR_OK)
        return err;
    int yes = 1;
    *fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    setsockopt(*fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
    if (bind(*fd, (struct sockaddr *)&address, size) != 0) {
        err = fault_set(fault, KR_ERR_LOCKED, "%s: cannot bind %s: %s", plan->setting,
                        plan->address, strerror(errno));
        close(*fd);
        *fd = -1;
        return err;
    }
    learn_port(number, *fd);
    return KR_ERR_OK;
}

void listen_tcp_address(const struct listen_plan *plan, enum listen_number number, char *out,
                        size_t size)
{
    char host[64];
    unsigned port;
    out[0] = '\0';
    if (bound_ports[number] != 0 && config_split_address(plan->address, host, sizeof(host), &port))
        snprintf(out, size, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host,
                 bound_ports[number]);
}

// --- the unix socket -----------------------------------------------------------------------------

static bool answers(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_alive = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
    close(fd);
    return is_alive;
}

// A path that is free, or has a socket that nobody serves.
static enum kr_err look_at_path(const struct listen_plan *plan, struct sockaddr_un *address,
                                struct fault *fault)
{
    const char *name = plan->unix_setting, *path = plan->unix_path;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    enum kr_err err = listen_check_path(plan, fault);
    if (err == KR_ERR_OK)
        err = listen_check_directory(plan, true, fault); // <data> has been made by now
    if (err != KR_ERR_OK)
        return err;
    strcpy(address->sun_path, path);
    if (access(path, F_OK) == 0 && answers(address))
        return fault_set(fault, KR_ERR_LOCKED,
                         "%s: another process serves %s; stop it or choose another path", name,
                         path);
    return KR_ERR_OK;
}

static enum kr_err open_unix(const struct listen_plan *plan, enum listen_number number,
                             struct fault *fault)
{
    struct sockaddr_un address;
    const char *name = plan->unix_setting, *path = plan->unix_path;
    enum kr_err err = look_at_path(plan, &address, fault);
    if (err != KR_ERR_OK)
        return err;
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0117);
    int status = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (status == 0) {
        unix_fds[number] = fd;
        return KR_ERR_OK;
    }
    fault_set(fault, KR_ERR_INVALID, "%s: cannot bind %s: %s", name, path, strerror(errno));
    close(fd);
    return KR_ERR_INVALID;
}

enum kr_err listen_unix(const struct listen_plan *plan, enum listen_number number, int *fd,
                        struct fault *fault)
{
    *fd = -1;
    if (plan->unix_path[0] == '\0')
        return KR_ERR_OK;
    enum kr_err err = unix_fds[number] >= 0 ? KR_ERR_OK : open_unix(plan, number, fault);
    if (err == KR_ERR_OK)
        *fd = fcntl(unix_fds[number], F_DUPFD_CLOEXEC, 0);
    return err;
}

// --- before anything is opened -------------------------------------------------------------------

static enum kr_err probe(const struct listen_plan *plan, enum listen_number number,
                         struct fault *fault)
{
    char host[64];
    unsigned port;
    struct sockaddr_storage address;
    struct sockaddr_un path;
    enum kr_err err = KR_ERR_OK;
    if (bound_ports[number] == 0 && config_split_address(plan->address, host, sizeof(host), &port))
        err = probe_port(&address, listen_fill_address(host, port, &address), plan, fault);
    if (err == KR_ERR_OK && plan->unix_path[0] != '\0' && unix_fds[number] < 0)
        err = look_at_path(plan, &path, fault);
    return err;
}

static enum kr_err probe_peer(const struct config *config, struct fault *fault)
{
    char host[64];
    unsigned port;
    struct sockaddr_storage address;
    const struct listen_plan plan = listen_peer_plan(config);
    if (!config_split_address(plan.address, host, sizeof(host), &port))
        return KR_ERR_OK; // there are no other nodes, or listen_check has refused it
    return probe_port(&address, listen_fill_address(host, port, &address), &plan, fault);
}

enum kr_err listen_probe(const struct config *config, struct fault *fault)
{
    struct listen_plan plans[KR_LISTEN_COUNT];
    enum kr_err err = listen_plan(config, plans, fault);
    for (enum listen_number i = 0; i < KR_LISTEN_COUNT && err == KR_ERR_OK; i++)
        err = probe(&plans[i], i, fault);
    return err == KR_ERR_OK ? probe_peer(config, fault) : err;
}

// --- the end -------------------------------------------------------------------------------------

// Who has connected and was not accepted finds the connection closed, and not one that is silent.
static void turn_away(int fd)
{
    int waiting;
    shutdown(fd, SHUT_RD); // of all descriptors of this socket: the loops have theirs
    while ((waiting = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        close(waiting);
}

void listen_unix_end(const struct config *config)
{
    struct fault fault;
    struct listen_plan plans[KR_LISTEN_COUNT];
    if (listen_plan(config, plans, &fault) != KR_ERR_OK)
        return; // then nothing was opened
    for (size_t i = 0; i < KR_LISTEN_COUNT; i++) {
        if (unix_fds[i] < 0)
            continue;
        unlink(plans[i].unix_path);
        turn_away(unix_fds[i]);
        close(unix_fds[i]);
        unix_fds[i] = -1;
    }
}
