// SPDX-License-Identifier: Apache-2.0
// Where programs run and sockets are.
#include "bench/site.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KR_SITE_BACKLOG = 16 };

void site_init(struct site *site)
{
    *site = (struct site){.address = "127.0.0.1"};
}

enum kr_err site_enter(struct site *site, const char *world, const char *region,
                       const char *address, struct fault *fault)
{
    *site = (struct site){.is_in_world = true};
    snprintf(site->address, sizeof(site->address), "%s", address);
    return world_open_place(world, region, &site->place, fault);
}

void site_leave(struct site *site)
{
    if (site->is_in_world)
        world_close_place(&site->place);
    site->is_in_world = false;
}

static int open_socket(const struct site *site)
{
    if (site->is_in_world)
        return world_socket(&site->place, SOCK_STREAM);
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static struct sockaddr_in address_of(const char *text, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, text, &address.sin_addr);
    return address;
}

static int give_up(int fd)
{
    int number = errno;
    if (fd >= 0)
        close(fd);
    errno = number;
    return -1;
}

int site_connect(const struct site *site, const char *address, uint16_t port)
{
    const int on = 1;
    const struct sockaddr_in to = address_of(address, port);
    int fd = open_socket(site);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
        return give_up(fd);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

int site_listen(const struct site *site, uint16_t *port)
{
    struct sockaddr_in address = address_of(site->address, 0);
    socklen_t size = sizeof(address);
    int fd = open_socket(site);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, size) != 0 ||
        listen(fd, KR_SITE_BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return give_up(fd);
    *port = ntohs(address.sin_port);
    return fd;
}

uint16_t site_free_port(const struct site *site)
{
    uint16_t port = 0;
    int fd = site_listen(site, &port);
    if (fd >= 0)
        close(fd);
    return port;
}

pid_t site_fork(const struct site *site)
{
    if (site->is_in_world)
        return world_fork(&site->place);
    pid_t parent = getpid(), child = fork();
    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    return 0;
}
