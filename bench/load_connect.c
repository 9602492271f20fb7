// SPDX-License-Identifier: Apache-2.0
// Addresses and connections of the load generator.
#include "bench/load.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>

static enum kr_err resolve_unix(const char *path, struct load_target *out, struct fault *fault)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return fault_set(fault, KR_ERR_INVALID, "%s: longer than a unix socket's path may be",
                         path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    memcpy(&out->address, &address, sizeof(address));
    out->address_size = sizeof(address);
    return KR_ERR_OK;
}

enum kr_err load_resolve(const char *place, bool is_unix, struct load_target *out,
                         struct fault *fault)
{
    char host[KR_PROTOCOL_HOST_MAX + 1];
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    const char *colon = strrchr(place, ':');
    if (is_unix)
        return resolve_unix(place, out, fault);
    if (colon == NULL || colon == place || (size_t)(colon - place) >= sizeof(host))
        return fault_set(fault, KR_ERR_INVALID, "%s: not HOST:PORT", place);
    size_t size = (size_t)(colon - place);
    bool is_bracketed = place[0] == '[' && place[size - 1] == ']';
    if (is_bracketed)
        size -= 2;
    memcpy(host, place + is_bracketed, size);
    host[size] = '\0';
    int failure = getaddrinfo(host, colon + 1, &wanted, &found);
    if (failure != 0)
        return fault_set(fault, KR_ERR_INVALID, "%s: %s", place, gai_strerror(failure));
    memcpy(&out->address, found->ai_addr, found->ai_addrlen);
    out->address_size = found->ai_addrlen;
    freeaddrinfo(found);
    return KR_ERR_OK;
}

void load_host(const char *url, char host[KR_PROTOCOL_HOST_MAX + 1])
{
    int size = (int)strcspn(url + 7, "/");
    snprintf(host, KR_PROTOCOL_HOST_MAX + 1, "%.*s", size, url + 7);
    const char *colon = strrchr(host, ':');
    if (colon == NULL || strchr(colon, ']') != NULL)
        snprintf(host, KR_PROTOCOL_HOST_MAX + 1, "%.*s:80", size > 250 ? 250 : size, url + 7);
}

int load_connect(const struct load_target *target)
{
    const int on = 1;
    int fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)&target->address, target->address_size) != 0) {
        int number = errno;
        close(fd);
        errno = number;
        return -1;
    }
    if (target->address.ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

void load_watch(int epoll, int fd, void *connection, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    epoll_ctl(epoll, operation, fd, &event);
}
