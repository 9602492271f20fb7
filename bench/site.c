// SPDX-License-Identifier: Apache-2.0
// Where programs run and sockets are.
#include "bench/site.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
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
    snprintf(site->world, sizeof(site->world), "%s", world);
    snprintf(site->region, sizeof(site->region), "%s", region);
    return world_open_place(world, region, &site->place, fault);
}

void site_leave(struct site *site)
{
    if (site->is_in_world)
        world_close_place(&site->place);
    site->is_in_world = false;
}

static const struct world_place *place_of(const struct site *site)
{
    return site->is_in_world ? &site->place : NULL;
}

enum kr_err site_reach(const struct site *from, const struct site *to, uint16_t port,
                       char out[INET_ADDRSTRLEN], struct fault *fault)
{
    if (from->is_in_world && from->place.form == KR_LINK_STREAMS)
        return world_reach(from->world, from->region, to->address, port, out, fault);
    snprintf(out, INET_ADDRSTRLEN, "%s", to->address);
    return KR_ERR_OK;
}

enum kr_err site_pass(const struct site *from, const char *at, const struct site *to,
                      const char *target, struct fault *fault)
{
    char request[KR_WORLD_REQUEST];
    struct buf answer;
    snprintf(request, sizeof(request), "pass %s %s %s\t%s", from->region, to->region, at, target);
    buf_init(&answer, KR_WORLD_ANSWER);
    enum kr_err err = world_ask(from->world, request, &answer, fault);
    buf_fini(&answer);
    return err;
}

const char *site_form(const struct site *site)
{
    return world_form(site->place.form);
}

int site_socket(const struct site *site, int type)
{
    return world_socket(place_of(site), type);
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
    int fd = site_socket(site, SOCK_STREAM);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
        return give_up(fd);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

int site_listen(const struct site *site, uint16_t *port)
{
    struct sockaddr_in address = address_of(site->address, 0);
    socklen_t size = sizeof(address);
    int fd = site_socket(site, SOCK_STREAM);
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
    return world_fork(place_of(site));
}
