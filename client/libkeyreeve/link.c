// SPDX-License-Identifier: Apache-2.0
// A link's socket: non-blocking from its first moment, so that no node can hold up its client.
#include "client/libkeyreeve/link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/rand.h"

enum {
    KR_RETRY_LEAST_MS = 50,
    KR_RETRY_MOST_MS = 5000,
    KR_OUT_BYTES = 8 << 20,
    KR_SEAL_BYTES = 1 << 20,
    KR_SEALED_IN_BYTES = 32768,
    KR_P99_EVERY = 16
};

void link_init(struct link *link)
{
    link->fd = -1;
    buf_init(&link->out, KR_OUT_BYTES);
    buf_init(&link->sealed, 2 * KR_OUT_BYTES);
    link->in = mem_alloc(KR_LINK_IN_BYTES);
}

void link_fini(struct link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    tls_free(&link->tls);
    buf_fini(&link->out);
    buf_fini(&link->sealed);
    mem_free(link->in);
}

void link_add_address(struct link *link, const void *place, socklen_t size)
{
    if (link->address_count == KR_LINK_ADDRESSES_MAX)
        return;
    struct link_address *address = &link->addresses[link->address_count++];
    memcpy(&address->place, place, size);
    address->size = size;
}

static void broken(struct link *link, const char *why)
{
    link->is_broken = true;
    fault_set(&link->fault, KR_ERR_IO, "%s", why);
}

static void broken_by(struct link *link, int number)
{
    char text[64];
    broken(link, strerror_r(number, text, sizeof(text)));
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

// An address that has answered is tried again first. One that has not hands over to the next, at
// once: only when none of them answers, the node is what fails.
static void choose_next(struct link *link, uint64_t now_ms)
{
    if (!link->is_proven) {
        link->address = (link->address + 1) % link->address_count;
        link->retry_at_ms = now_ms;
        if (++link->in_vain < link->address_count)
            return;
    }
    link->in_vain = 0;
    link->failures++;
    link->retry_at_ms = now_ms + back_off_ms(link->failures);
}

void link_close(struct link *link, uint64_t now_ms)
{
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
    link->state = KR_LINK_DOWN;
    choose_next(link, now_ms);
    link->is_broken = link->is_proven = false;
    link->fault = (struct fault){0};
    tls_free(&link->tls);
    buf_clear(&link->out);
    buf_clear(&link->sealed);
    link->sent = link->in_size = link->in_at = 0;
    link->pending = 0;
    link->index = 0;
    link->probe_ns = 0;
}

void link_open(struct link *link, uint64_t now_ms)
{
    const int on = 1;
    const struct link_address *address = &link->addresses[link->address];
    int family = address->place.ss_family;
    link->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    link->since_ms = now_ms;
    link->state = KR_LINK_CONNECTING;
    if (link->fd >= 0 && family != AF_UNIX)
        setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (link->fd >= 0 &&
        (connect(link->fd, (const struct sockaddr *)&address->place, address->size) == 0 ||
         errno == EINPROGRESS))
        return;
    broken_by(link, errno);
}

static void go_up(struct link *link, uint64_t now_ms)
{
    link->state = KR_LINK_UP;
    link->heard_ms = now_ms;
    link->probed_ms = 0;
}

static void check_tls(struct link *link)
{
    if (tls_state(link->tls) == KR_TLS_FAILED)
        broken(link, tls_fault(link->tls)->text);
    else if (tls_state(link->tls) == KR_TLS_CLOSED)
        broken(link, "the node has closed the connection");
}

void link_connected(struct link *link, uint64_t now_ms)
{
    int number = 0;
    socklen_t size = sizeof(number);
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0 || number != 0) {
        broken_by(link, number);
    } else if (link->is_tls) {
        link->tls = tls_client_new(link->tls_context, link->host);
        link->state = KR_LINK_SECURING;
        check_tls(link);
    } else {
        go_up(link, now_ms);
    }
}

bool link_is_up(const struct link *link)
{
    return link->state == KR_LINK_UP && !link->is_broken;
}

void link_expect(struct link *link, uint64_t now_ms)
{
    if (link->pending++ == 0)
        link->heard_ms = now_ms;
}

void link_ask(struct link *link, enum binary_op op, uint32_t tag, uint64_t now_ms)
{
    const struct binary_request request = {.op = op, .tag = tag};
    link->is_broken |= binary_add_request(&link->out, &request, NULL) != KR_ERR_OK;
    link_expect(link, now_ms);
}

void link_heard(struct link *link, uint64_t index)
{
    link->pending -= link->pending > 0;
    if (index > link->index)
        link->index = index;
}

// --- sending -------------------------------------------------------------------------------------

static const struct buf *wire_of(const struct link *link)
{
    return link->is_tls ? &link->sealed : &link->out;
}

bool link_wants_write(const struct link *link)
{
    return link->state == KR_LINK_CONNECTING || link->sent < wire_of(link)->size ||
           (link->tls != NULL && tls_untaken(link->tls) > 0);
}

// Piece by piece, as what waits in a connection is bounded.
static void seal(struct link *link)
{
    for (size_t at = 0; link->state == KR_LINK_UP && at < link->out.size; at += KR_SEAL_BYTES) {
        size_t left = link->out.size - at;
        struct bytes piece =
            bytes_of(link->out.data + at, left < KR_SEAL_BYTES ? left : KR_SEAL_BYTES);
        link->is_broken |= tls_write(link->tls, piece) != KR_ERR_OK;
        tls_take(link->tls, &link->sealed);
    }
    if (link->state == KR_LINK_UP) {
        mem_zero(link->out.data, link->out.size);
        buf_clear(&link->out);
    }
    tls_take(link->tls, &link->sealed);
    link->is_broken |= buf_result(&link->sealed) != KR_ERR_OK;
}

void link_flush(struct link *link)
{
    struct buf *wire = link->is_tls ? &link->sealed : &link->out;
    if (link->tls != NULL)
        seal(link);
    if (link->state < KR_LINK_SECURING || link->sent == wire->size)
        return;
    ssize_t size = send(link->fd, wire->data + link->sent, wire->size - link->sent, MSG_NOSIGNAL);
    if (size < 0) {
        if (errno != EAGAIN && errno != EINTR)
            broken_by(link, errno);
        return;
    }
    mem_zero(wire->data + link->sent, (size_t)size);
    link->sent += (size_t)size;
    if (link->sent < wire->size)
        return;
    buf_clear(wire);
    link->sent = 0;
}

// --- receiving -----------------------------------------------------------------------------------

// What the socket has; 0: nothing, or the link is broken.
static size_t read_socket(struct link *link, uint8_t *space, size_t room)
{
    ssize_t size = recv(link->fd, space, room, 0);
    if (size > 0)
        return (size_t)size;
    if (size == 0)
        broken(link, "the node has closed the connection");
    else if (errno != EAGAIN && errno != EINTR)
        broken_by(link, errno);
    return 0;
}

static size_t unseal(struct link *link)
{
    struct buf plain;
    buf_init_fixed(&plain, link->in + link->in_size, KR_LINK_IN_BYTES - link->in_size);
    return tls_read(link->tls, &plain);
}

// What was received before comes first, and before the end that came with it. *has_moved: the
// socket had something.
static size_t read_tls(struct link *link, uint64_t now_ms, bool *has_moved)
{
    uint8_t sealed[KR_SEALED_IN_BYTES];
    size_t plain = unseal(link);
    if (plain == 0)
        check_tls(link);
    size_t size = plain > 0 || link->is_broken ? 0 : read_socket(link, sealed, sizeof(sealed));
    *has_moved = plain > 0 || size > 0;
    if (size == 0)
        return plain;
    if (tls_receive(link->tls, bytes_of(sealed, size)) != KR_ERR_OK)
        broken(link, "the node sends more than it was asked for");
    if (link->state == KR_LINK_SECURING && tls_state(link->tls) == KR_TLS_OPEN)
        go_up(link, now_ms);
    return unseal(link);
}

bool link_receive(struct link *link, uint64_t now_ms)
{
    bool has_moved = false;
    memmove(link->in, link->in + link->in_at, link->in_size - link->in_at);
    link->in_size -= link->in_at;
    link->in_at = 0;
    size_t size = link->tls != NULL ? read_tls(link, now_ms, &has_moved)
                                    : read_socket(link, link->in + link->in_size,
                                                  KR_LINK_IN_BYTES - link->in_size);
    if (size == 0)
        return has_moved;
    link->in_size += size;
    link->heard_ms = now_ms;
    link->failures = 0;
    link->is_proven = true;
    return true;
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

static uint64_t earlier(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

void link_forgive(struct link *link, uint64_t gap_ms, uint64_t now_ms)
{
    link->since_ms = earlier(link->since_ms + gap_ms, now_ms);
    link->heard_ms = earlier(link->heard_ms + gap_ms, now_ms);
    link->is_probe_late = true;
}
