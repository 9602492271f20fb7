// SPDX-License-Identifier: Apache-2.0
// Tests of a listening socket: whoever comes is accepted, also behind a time without descriptors.
#include "replication/acceptor.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>
// cmocka needs three of the above.
#include <cmocka.h>

enum { KR_CALLERS = 100 };

struct door {
    uv_loop_t loop;
    struct acceptor *acceptor;
    struct sockaddr_in address;
    int callers[KR_CALLERS];
    size_t caller_count, accepted;
    bool is_closed;
};

static void on_accepted(void *ctx, int fd)
{
    struct door *door = ctx;
    door->accepted++;
    close(fd);
}

static void on_closed(void *ctx)
{
    ((struct door *)ctx)->is_closed = true;
}

static void open_door(struct door *door)
{
    socklen_t size = sizeof(door->address);
    *door = (struct door){.address = {.sin_family = AF_INET}};
    door->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    uv_loop_init(&door->loop);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&door->address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&door->address, &size), 0);
    const struct acceptor_options options = {
        .loop = &door->loop, .fd = fd, .backlog = 128, .accepted = on_accepted, .ctx = door};
    door->acceptor = acceptor_new(&options);
    assert_non_null(door->acceptor);
}

static int call(struct door *door)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int status = connect(fd, (struct sockaddr *)&door->address, sizeof(door->address));
    door->callers[door->caller_count++] = fd;
    return status;
}

static void turn(struct door *door)
{
    uv_run(&door->loop, UV_RUN_NOWAIT);
}

static void shut(struct door *door)
{
    acceptor_close(&door->acceptor, on_closed);
    assert_null(door->acceptor);
    assert_int_equal(call(door), -1); // refused at once
    assert_false(door->is_closed);
    uv_run(&door->loop, UV_RUN_DEFAULT);
    assert_true(door->is_closed);
    assert_int_equal(uv_loop_close(&door->loop), 0);
    while (door->caller_count > 0)
        close(door->callers[--door->caller_count]);
}

static void many_are_accepted_in_a_few_turns(void **state)
{
    (void)state;
    struct door door;
    open_door(&door);
    while (door.caller_count < KR_CALLERS - 1)
        assert_int_equal(call(&door), 0);
    turn(&door);
    assert_in_range(door.accepted, 1, KR_CALLERS - 2); // the loop has other things to do as well
    while (door.accepted < door.caller_count)
        turn(&door);
    assert_false(acceptor_tick(door.acceptor));
    shut(&door);
}

// As many as are open, so that there is none more. Gives the limit as it was.
static struct rlimit use_up_descriptors(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = dup(STDERR_FILENO);
    close(next);
    const struct rlimit low = {.rlim_cur = (rlim_t)next, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    return limit;
}

static void without_descriptors_they_wait_and_are_accepted_later(void **state)
{
    (void)state;
    struct door door;
    open_door(&door);
    assert_int_equal(call(&door), 0);
    const struct rlimit limit = use_up_descriptors();
    turn(&door); // comes back
    turn(&door);
    assert_true(acceptor_tick(door.acceptor));
    assert_false(acceptor_tick(door.acceptor));
    turn(&door);
    assert_true(acceptor_tick(door.acceptor));
    assert_int_equal(door.accepted, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    turn(&door);
    assert_int_equal(door.accepted, 1);
    assert_false(acceptor_tick(door.acceptor));
    shut(&door);
}

static void one_that_waits_for_descriptors_can_be_closed(void **state)
{
    (void)state;
    struct door door;
    open_door(&door);
    assert_int_equal(call(&door), 0);
    const struct rlimit limit = use_up_descriptors();
    turn(&door);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    shut(&door);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_are_accepted_in_a_few_turns),
        cmocka_unit_test(without_descriptors_they_wait_and_are_accepted_later),
        cmocka_unit_test(one_that_waits_for_descriptors_can_be_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
