// SPDX-License-Identifier: Apache-2.0
// Paced binary frames over one connection.
#include "bench/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"

enum { KR_CHANNEL_PATIENCE_MS = 10000 };

enum kr_err channel_open(struct channel *channel, const struct site *from, const char *address,
                         uint16_t port, struct fault *fault)
{
    *channel = (struct channel){.fd = site_connect(from, address, port)};
    buf_init(&channel->frame, KR_BINARY_FRAME_MAX);
    if (channel->fd >= 0)
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_IO, "%s:%u: %s", address, port, strerror(errno));
}

void channel_close(struct channel *channel)
{
    if (channel->fd >= 0)
        close(channel->fd);
    channel->fd = -1;
    buf_fini(&channel->frame);
}

void channel_ask(struct channel *channel, const struct bytes *keys, size_t count, double per_second,
                 size_t most_pending)
{
    const struct binary_request request = {.op = KR_BINARY_VALIDATE, .count = (uint16_t)count};
    buf_clear(&channel->frame);
    if (binary_add_request(&channel->frame, &request, keys) != KR_ERR_OK)
        channel->frame.has_failed = true;
    channel->interval_ns = 1e9 / per_second;
    channel->most_pending = most_pending;
    channel->next_ns = (double)clock_mono_ns();
    channel->sent = channel->late = 0;
}

// A frame that has begun goes on before anything else.
static enum kr_err send_due(struct channel *channel, bool may_send, struct fault *fault)
{
    double now_ns = (double)clock_mono_ns();
    if (channel->out_at == 0) {
        if (!may_send || channel->next_ns > now_ns || channel->pending >= channel->most_pending)
            return KR_ERR_OK;
        channel->sent++;
        channel->late += now_ns - channel->next_ns > channel->interval_ns;
        // What this thread or the node could not keep up with is not made up for.
        channel->next_ns += channel->interval_ns;
        if (channel->next_ns < now_ns - channel->interval_ns)
            channel->next_ns = now_ns;
        channel->pending++;
    }
    ssize_t size = send(channel->fd, channel->frame.data + channel->out_at,
                        channel->frame.size - channel->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0 && errno != EAGAIN && errno != EINTR)
        return fault_set(fault, KR_ERR_IO, "a probe: %s", strerror(errno));
    if (size > 0)
        channel->out_at = (channel->out_at + (size_t)size) % channel->frame.size;
    return KR_ERR_OK;
}

static enum kr_err take_answers(struct channel *channel, channel_answer_fn *answer, void *ctx,
                                uint64_t at_ns, struct fault *fault)
{
    struct binary_answer read;
    size_t at = 0, used = 0;
    enum binary_read outcome = KR_BINARY_FRAME;
    while (outcome == KR_BINARY_FRAME) {
        outcome =
            binary_read_answer(bytes_of(channel->in + at, channel->in_size - at), &read, &used);
        if (outcome == KR_BINARY_BROKEN || (outcome == KR_BINARY_FRAME && channel->pending == 0))
            return fault_set(fault, KR_ERR_IO, "an answer to a probe is none");
        if (outcome != KR_BINARY_FRAME)
            break;
        at += used;
        channel->pending--;
        if (read.op != KR_BINARY_VALIDATE)
            return fault_set(fault, KR_ERR_IO, "a probe is refused: %.*s",
                             (int)read.fault_text.size, (const char *)read.fault_text.data);
        answer(ctx, &read, at_ns);
    }
    channel->in_size -= at;
    memmove(channel->in, channel->in + at, channel->in_size);
    return KR_ERR_OK;
}

enum kr_err channel_turn(struct channel *channel, bool may_send, channel_answer_fn *answer,
                         void *ctx, struct fault *fault)
{
    enum kr_err err = send_due(channel, may_send, fault);
    if (err != KR_ERR_OK || channel->pending == 0)
        return err;
    ssize_t size = recv(channel->fd, channel->in + channel->in_size,
                        sizeof(channel->in) - channel->in_size, MSG_DONTWAIT);
    uint64_t at_ns = clock_mono_ns();
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return KR_ERR_OK;
    if (size <= 0)
        return fault_set(fault, KR_ERR_IO, "the node ends the prober's connection");
    channel->in_size += (size_t)size;
    return take_answers(channel, answer, ctx, at_ns, fault);
}

static void pass_over(void *ctx, const struct binary_answer *answer, uint64_t at_ns)
{
    (void)ctx;
    (void)answer;
    (void)at_ns;
}

enum kr_err channel_drain(struct channel *channel, struct fault *fault)
{
    uint64_t until_ms = clock_boot_ms() + KR_CHANNEL_PATIENCE_MS;
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && (channel->pending > 0 || channel->out_at > 0)) {
        err = channel_turn(channel, false, pass_over, NULL, fault);
        if (err == KR_ERR_OK && clock_boot_ms() > until_ms)
            err = fault_set(fault, KR_ERR_TIMEOUT, "a node does not answer the prober");
    }
    return err;
}
