// SPDX-License-Identifier: Apache-2.0
// Filling a Redis: RESP2 over a blocking socket, a thousand SETs at a time.
#include "bench/redis.h"

#include <errno.h>
#include <unistd.h>

#include "bench/progress.h"

enum { KR_REDIS_PIPELINE = 1000, KR_REDIS_VALUE = 64, KR_REDIS_BATCH = 1 << 20 };

static bool send_all(int fd, struct bytes bytes)
{
    for (size_t at = 0; at < bytes.size;) {
        ssize_t sent = send(fd, bytes.data + at, bytes.size - at, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += (size_t)sent;
    }
    return true;
}

static void add_set(struct bytes key, struct buf *out)
{
    static const char value[KR_REDIS_VALUE + 1] =
        "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv";
    buf_add_text(out, "*3\r\n$3\r\nSET\r\n$");
    buf_add_decimal(out, key.size);
    buf_add_text(out, "\r\n");
    buf_add_bytes(out, key);
    buf_add_text(out, "\r\n$64\r\n");
    buf_add_text(out, value);
    buf_add_text(out, "\r\n");
}

// Every SET is answered "+OK"; anything else ends the filling.
static bool read_answers(int fd, uint64_t count)
{
    static const char expected[] = "+OK\r\n";
    char in[KR_REDIS_PIPELINE * (sizeof(expected) - 1)];
    size_t wanted = count * (sizeof(expected) - 1);
    for (size_t at = 0; at < wanted;) {
        ssize_t size = recv(fd, in + at, wanted - at, 0);
        if (size <= 0)
            return false;
        for (size_t end = at + (size_t)size; at < end; at++)
            if (in[at] != expected[at % (sizeof(expected) - 1)])
                return false;
    }
    return true;
}

static bool fill(int fd, const struct keyset *keys, struct buf *out)
{
    bool is_good = true;
    struct progress progress;
    progress_begin(&progress, "redis", keys->count);
    for (uint64_t i = 0; i < keys->count && is_good; i += KR_REDIS_PIPELINE) {
        uint64_t rest = keys->count - i;
        uint64_t count = rest < KR_REDIS_PIPELINE ? rest : KR_REDIS_PIPELINE;
        buf_clear(out);
        for (uint64_t j = 0; j < count; j++)
            add_set(keyset_at(keys, i + j), out);
        is_good = send_all(fd, buf_bytes(out)) && read_answers(fd, count);
        progress_at(&progress, i);
    }
    progress_end(&progress);
    return is_good;
}

enum kr_err redis_fill(const struct load_target *target, const struct keyset *keys,
                       struct fault *fault)
{
    struct buf out;
    int fd = load_connect(target);
    if (fd < 0)
        return fault_set(fault, KR_ERR_IO, "redis: cannot connect: %s", strerror(errno));
    buf_init(&out, KR_REDIS_BATCH);
    bool is_good = fill(fd, keys, &out);
    buf_fini(&out);
    close(fd);
    return is_good ? KR_ERR_OK
                   : fault_set(fault, KR_ERR_IO,
                               "redis: SET was not answered with OK (is it full, "
                               "or does it want a password?)");
}
