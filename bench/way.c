// SPDX-License-Identifier: Apache-2.0
// Ways between regions, for measuring them.
#include "bench/way.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KR_WAY_PATIENCE_MS = 30000 }; // a relay has a target only one way later

// --- opening -------------------------------------------------------------------------------------

static bool bind_to(int fd, struct sockaddr_in *address)
{
    socklen_t size = sizeof(*address);
    return bind(fd, (const struct sockaddr *)address, size) == 0 &&
           getsockname(fd, (struct sockaddr *)address, &size) == 0;
}

// A socket at each end; the sending one is connected, so that what is sent goes there.
static bool open_packets(struct way *way, const struct site *from, const struct site *to)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    inet_pton(AF_INET, to->address, &address.sin_addr);
    way->in = site_socket(to, SOCK_DGRAM | SOCK_NONBLOCK);
    way->out = site_socket(from, SOCK_DGRAM | SOCK_NONBLOCK);
    return way->in >= 0 && way->out >= 0 && bind_to(way->in, &address) &&
           connect(way->out, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

static bool is_readable(int fd)
{
    struct pollfd awaited = {.fd = fd, .events = POLLIN};
    int ready = poll(&awaited, 1, KR_WAY_PATIENCE_MS);
    if (ready == 0)
        errno = ETIMEDOUT;
    return ready == 1;
}

// The connection is through when a first byte is: what is sent before waits for that.
static bool pass_one(const struct way *way)
{
    char byte = 0;
    return send(way->out, &byte, 1, MSG_NOSIGNAL) == 1 && is_readable(way->in) &&
           recv(way->in, &byte, 1, 0) == 1 && fcntl(way->out, F_SETFL, O_NONBLOCK) == 0;
}

static bool open_stream(struct way *way, const struct site *from, const struct site *to,
                        struct fault *fault)
{
    char address[INET_ADDRSTRLEN];
    uint16_t port = 0;
    int listener = site_listen(to, &port);
    if (listener >= 0 && site_reach(from, to, port, address, fault) == KR_ERR_OK)
        way->out = site_connect(from, address, port);
    if (way->out >= 0 && is_readable(listener))
        way->in = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    bool is_open = way->in >= 0 && pass_one(way);
    int number = errno;
    if (listener >= 0)
        close(listener);
    errno = number;
    return is_open;
}

enum kr_err way_open(struct way *way, const struct site *from, const struct site *to,
                     struct fault *fault)
{
    struct fault why = {0};
    *way = (struct way){.out = -1, .in = -1, .is_stream = from->place.form == KR_LINK_STREAMS};
    bool is_open = way->is_stream ? open_stream(way, from, to, &why) : open_packets(way, from, to);
    if (is_open && stamp_ask(way->in))
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_IO, "the way from %s to %s: %.200s", from->region, to->region,
                     why.err != KR_ERR_OK ? why.text : strerror(errno));
}

void way_close(struct way *way)
{
    if (way->out >= 0)
        close(way->out);
    if (way->in >= 0)
        close(way->in);
    way->out = way->in = -1;
}

// --- messages ------------------------------------------------------------------------------------

bool way_send(const struct way *way, const void *bytes, size_t size_bytes)
{
    return send(way->out, bytes, size_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
}

bool way_receive(struct way *way, const struct stamp *stamp, void *bytes, size_t size_bytes,
                 uint64_t *at_ns)
{
    ssize_t size = stamp_receive(stamp, way->in, way->partial + way->partial_bytes,
                                 size_bytes - way->partial_bytes, at_ns);
    if (size <= 0)
        return false;
    if (way->is_stream)
        way->partial_bytes += (size_t)size;
    else
        way->partial_bytes = (size_t)size;
    bool is_whole = way->partial_bytes == size_bytes;
    if (is_whole)
        memcpy(bytes, way->partial, size_bytes);
    if (is_whole || !way->is_stream)
        way->partial_bytes = 0;
    return is_whole;
}

size_t way_drain(const struct way *way, const struct stamp *stamp, uint64_t *at_ns)
{
    uint8_t bytes[65536];
    ssize_t size = stamp_receive(stamp, way->in, bytes, sizeof(bytes), at_ns);
    return size > 0 ? (size_t)size : 0;
}
