// SPDX-License-Identifier: Apache-2.0
// What is received, with the kernel's time of arrival.
#include "bench/stamp.h"

#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "core/base/clock.h"

enum { KR_STAMP_ROOM = 32 << 20, KR_STAMP_READINGS = 100 };

static uint64_t ns_of(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_nsec;
}

// The narrowest of some readings, since this thread may lose its core between two clocks.
void stamp_init(struct stamp *stamp)
{
    uint64_t narrowest_ns = UINT64_MAX;
    for (int i = 0; i < KR_STAMP_READINGS; i++) {
        struct timespec real;
        uint64_t before_ns = clock_mono_ns();
        clock_gettime(CLOCK_REALTIME, &real);
        uint64_t after_ns = clock_mono_ns();
        if (after_ns - before_ns >= narrowest_ns)
            continue;
        narrowest_ns = after_ns - before_ns;
        stamp->epoch_ns = ns_of(&real) - before_ns - narrowest_ns / 2;
    }
}

bool stamp_ask(int fd)
{
    const int room = KR_STAMP_ROOM, on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)); // without root: the usual room
    return setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) == 0;
}

ssize_t stamp_receive(const struct stamp *stamp, int fd, void *bytes, size_t size_bytes,
                      uint64_t *at_ns)
{
    char room[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec part = {bytes, size_bytes};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    struct timespec time;
    ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT);
    const struct cmsghdr *head = size >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (head == NULL || head->cmsg_type != SCM_TIMESTAMPNS)
        return -1;
    memcpy(&time, CMSG_DATA(head), sizeof(time));
    *at_ns = ns_of(&time) - stamp->epoch_ns;
    return size;
}
