// SPDX-License-Identifier: Apache-2.0
// One request at a time over a TCP connection.
#include "bench/talk.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench/interrupt.h"
#include "core/base/clock.h"

enum { KR_TALK_BYTES = 1 << 20, KR_TALK_PATIENCE_MS = 30000 };

void talk_init(struct talk *talk, const char *name, struct fault *fault)
{
    *talk = (struct talk){.name = name, .fd = -1, .fault = fault};
    buf_init(&talk->out, KR_TALK_BYTES);
    buf_init(&talk->in, KR_TALK_BYTES);
}

enum kr_err talk_open(struct talk *talk, const struct site *from, const char *address,
                      uint16_t port)
{
    if (talk->fd >= 0)
        close(talk->fd);
    buf_clear(&talk->out);
    talk->fd = site_connect(from, address, port);
    if (talk->fd < 0)
        return fault_set(talk->fault, KR_ERR_IO, "%s: %s:%u: %s", talk->name, address, port,
                         strerror(errno));
    talk_take(talk, talk->fd, KR_TALK_PATIENCE_MS);
    return KR_ERR_OK;
}

void talk_take(struct talk *talk, int fd, unsigned patience_ms)
{
    const struct timeval patience = {.tv_sec = patience_ms / 1000,
                                     .tv_usec = patience_ms % 1000 * 1000};
    talk->fd = fd;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

enum kr_err talk_reach(struct talk *talk, const struct site *from, const struct site *to,
                       uint16_t port)
{
    char address[INET_ADDRSTRLEN];
    enum kr_err err = site_reach(from, to, port, address, talk->fault);
    return err == KR_ERR_OK ? talk_open(talk, from, address, port) : err;
}

void talk_close(struct talk *talk)
{
    if (talk->fd >= 0)
        close(talk->fd);
    talk->fd = -1;
    buf_fini(&talk->out);
    buf_fini(&talk->in);
}

enum kr_err talk_send(struct talk *talk)
{
    enum kr_err err = buf_result(&talk->out);
    for (size_t at = 0; at < talk->out.size && err == KR_ERR_OK;) {
        ssize_t size = send(talk->fd, talk->out.data + at, talk->out.size - at, MSG_NOSIGNAL);
        if (size > 0)
            at += (size_t)size;
        else if (errno != EINTR || interrupt_is_noted())
            err = fault_set(talk->fault, KR_ERR_IO, "%s: %s", talk->name, strerror(errno));
    }
    talk->sent_ns = clock_mono_ns();
    buf_clear(&talk->out);
    buf_clear(&talk->in);
    return err;
}

static enum kr_err receive(struct talk *talk, int flags)
{
    uint8_t block[16384];
    ssize_t size = recv(talk->fd, block, sizeof(block), flags);
    if (size > 0) {
        buf_add(&talk->in, block, (size_t)size);
        return buf_result(&talk->in);
    }
    if (size == 0)
        return fault_set(talk->fault, KR_ERR_IO, "%s: the connection has ended", talk->name);
    if (interrupt_is_noted())
        return fault_set(talk->fault, KR_ERR_IO, "interrupted");
    if (errno == EINTR || (errno == EAGAIN && (flags & MSG_DONTWAIT) != 0))
        return KR_ERR_NOT_FOUND;
    return fault_set(talk->fault, errno == EAGAIN ? KR_ERR_TIMEOUT : KR_ERR_IO, "%s: %s",
                     talk->name, errno == EAGAIN ? "no answer" : strerror(errno));
}

enum kr_err talk_look(struct talk *talk)
{
    return receive(talk, MSG_DONTWAIT);
}

enum kr_err talk_wait(struct talk *talk)
{
    enum kr_err err = receive(talk, 0);
    return err == KR_ERR_NOT_FOUND ? KR_ERR_OK : err; // a signal that ends nothing
}

const uint8_t *talk_find(const struct talk *talk, struct bytes wanted)
{
    if (talk->in.size < wanted.size)
        return NULL;
    return memmem(talk->in.data, talk->in.size, wanted.data, wanted.size);
}
