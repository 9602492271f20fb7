// SPDX-License-Identifier: Apache-2.0
// A link's socket: non-blocking from its first moment, so that no node can hold up its client.
#include "client/libkeyreeve/link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/rand.h"

enum { KR_RETRY_LEAST_MS = 50, KR_RETRY_MOST_MS = 5000, KR_OUT_BYTES = 8 << 20, KR_P99_EVERY = 16 };

void link_init(struct link *link)
{
    link->fd = -1;
    buf_init(&link->out, KR_OUT_BYTES);
    link->in = mem_alloc(KR_LINK_IN_BYTES);
}

void link_fini(struct link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    buf_fini(&link->out);
    mem_free(link->in);
}

// Doubles from 50 ms to 5 s, each time between a half and all of it: clients that lost a node
// together do not come back together.
static uint64_t back_off_ms(unsigned failures)
{
    uint64_t most_ms = KR_RETRY_LEAST_MS;
    for (unsigned i = 1; i < failures && most_ms < KR_RETRY_MOST_MS; i++)
        most_ms *= 2;
    most_ms = most_ms < KR_RETRY_MOST_MS ? most_ms : KR_RETRY_MOST_MS;
    return most_ms / 2 + rand_u64() % (most_ms / 2 + 1);
}

void link_close(struct link *link, uint64_t now_ms)
{
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
    link->state = KR_LINK_DOWN;
    link->failures++;
    link->retry_at_ms = now_ms + back_off_ms(link->failures);
    link->is_broken = link->is_proven = false;
    buf_clear(&link->out);
    link->out_at = link->in_size = link->in_at = 0;
    link->pending = 0;
    link->probe_ns = 0;
}

void link_open(struct link *link, uint64_t now_ms)
{
    const int on = 1;
    int family = link->address.ss_family;
    link->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    link->since_ms = now_ms;
    link->state = KR_LINK_CONNECTING;
    if (link->fd >= 0 && family != AF_UNIX)
        setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (link->fd >= 0 &&
        (connect(link->fd, (const struct sockaddr *)&link->address, link->address_size) == 0 ||
         errno == EINPROGRESS))
        return;
    link_close(link, now_ms);
}

void link_connected(struct link *link, uint64_t now_ms)
{
    int number = 0;
    socklen_t size = sizeof(number);
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0 || number != 0) {
        link->is_broken = true;
        return;
    }
    link->state = KR_LINK_UP;
    link->heard_ms = now_ms;
    link->probed_ms = 0;
}

void link_expect(struct link *link, uint64_t now_ms)
{
    if (link->pending++ == 0)
        link->heard_ms = now_ms;
}

bool link_wants_write(const struct link *link)
{
    return link->state == KR_LINK_CONNECTING || link->out_at < link->out.size;
}

void link_flush(struct link *link)
{
    if (link->state != KR_LINK_UP || link->out_at == link->out.size)
        return;
    ssize_t sent =
        send(link->fd, link->out.data + link->out_at, link->out.size - link->out_at, MSG_NOSIGNAL);
    if (sent < 0) {
        link->is_broken |= errno != EAGAIN && errno != EINTR;
        return;
    }
    mem_zero(link->out.data + link->out_at, (size_t)sent);
    link->out_at += (size_t)sent;
    if (link->out_at < link->out.size)
        return;
    buf_clear(&link->out);
    link->out_at = 0;
}

bool link_receive(struct link *link, uint64_t now_ms)
{
    memmove(link->in, link->in + link->in_at, link->in_size - link->in_at);
    link->in_size -= link->in_at;
    link->in_at = 0;
    ssize_t size = recv(link->fd, link->in + link->in_size, KR_LINK_IN_BYTES - link->in_size, 0);
    if (size > 0) {
        link->in_size += (size_t)size;
        link->heard_ms = now_ms;
        link->failures = 0;
        link->is_proven = true;
        return true;
    }
    link->is_broken |= size == 0 || (errno != EAGAIN && errno != EINTR);
    return false;
}

bool link_next(struct link *link, struct binary_answer *out)
{
    size_t used = 0;
    struct bytes in = bytes_of(link->in + link->in_at, link->in_size - link->in_at);
    enum binary_read read = binary_read_answer(in, out, &used);
    // More than one key's answer was not asked for.
    link->is_broken |=
        read == KR_BINARY_BROKEN || (read == KR_BINARY_MORE && in.size == KR_LINK_IN_BYTES);
    if (read != KR_BINARY_FRAME)
        return false;
    link->in_at += used;
    return true;
}

// The second largest of the latest 128.
static uint32_t p99_of(const struct link *link)
{
    uint32_t first = 0, second = 0;
    for (size_t i = 0; i < KR_LINK_SAMPLES; i++) {
        uint32_t sample = link->samples_us[i];
        if (sample >= first) {
            second = first;
            first = sample;
        } else if (sample > second) {
            second = sample;
        }
    }
    return second;
}

void link_sample(struct link *link, uint64_t took_ns)
{
    double took_us = (double)took_ns / 1e3;
    link->smoothed_us =
        link->smoothed_us > 0 ? link->smoothed_us + (took_us - link->smoothed_us) / 8 : took_us;
    link->samples_us[link->sample_count++ % KR_LINK_SAMPLES] =
        took_us < UINT32_MAX ? (uint32_t)took_us : UINT32_MAX;
    if (link->sample_count % KR_P99_EVERY == 0 && link->sample_count >= KR_LINK_SAMPLES)
        link->p99_us = p99_of(link);
}
