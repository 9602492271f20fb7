// SPDX-License-Identifier: Apache-2.0
// The link to etcd: which settings it refuses, and what becomes of calls that reach nobody.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "replication/etcd_link.h"

static void assert_refused(struct etcd_link_options options, const char *why)
{
    struct etcd_link *link = NULL;
    struct fault fault = {0};
    uv_loop_t loop;
    uv_loop_init(&loop);
    options.loop = &loop;
    assert_int_equal(etcd_link_new(&options, &link, &fault), KR_ERR_INVALID);
    if (strstr(fault.text, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", fault.text, why);
    assert_int_equal(uv_loop_close(&loop), 0); // nothing is left behind
}

static void settings_that_cannot_work_are_refused(void **state)
{
    (void)state;
    const struct etcd_link_options none = {
        .endpoints = "", .ca_file = "", .cert_file = "", .key_file = ""};
    struct etcd_link_options options = none;
    assert_refused(options, "etcd_endpoints is empty");
    options.endpoints = "ftp://127.0.0.1";
    assert_refused(options, "no endpoint");
    options.endpoints = "http://127.0.0.1:1,http://user@127.0.0.1:1";
    assert_refused(options, "\"http://user@127.0.0.1:1\" is no endpoint");
    options.endpoints = "http://127.0.0.1:1/v3";
    assert_refused(options, "no endpoint");
    options.endpoints = "http://127.evil.example:2379";
    assert_refused(options, "use https://");
    options.endpoints = "https://etcd-1:2379";
    assert_refused(options, "etcd_ca_file is empty");
    options.ca_file = "/nonexistent/ca.pem";
    assert_refused(options, "/nonexistent/ca.pem: cannot be read");
    options = none;
    options.cert_file = "/dev/null";
    assert_refused(options, "go together");
}

struct outcome {
    struct etcd_link *link;
    unsigned count;
    enum kr_err err;
    bool is_surely_unsent, is_closed;
};

static void on_closed(void *ctx)
{
    ((struct outcome *)ctx)->is_closed = true;
}

static void on_answered(void *ctx, const struct etcd_answer *answer)
{
    struct outcome *outcome = ctx;
    outcome->count++;
    outcome->err = answer->err;
    outcome->is_surely_unsent = answer->is_surely_unsent;
    assert_true(answer->text[0] != '\0' && answer->sent_at_ms > 0);
}

static void post_call(struct outcome *outcome, struct etcd_call call)
{
    struct buf body;
    const struct etcd_port *port = etcd_link_port(outcome->link);
    call.path = "/v3/kv/range";
    call.body = &body;
    call.answered = on_answered;
    call.ctx = outcome;
    buf_init(&body, 64);
    buf_add_text(&body, "{}");
    port->post(port->ctx, &call);
    assert_int_equal(body.size, 0); // taken
}

static void post(struct outcome *outcome, unsigned deadline_ms)
{
    post_call(outcome,
              (struct etcd_call){.deadline_ms = deadline_ms, .endpoint = KR_ETCD_ANY_ENDPOINT});
}

static void open_link_to(uv_loop_t *loop, struct outcome *outcome, const char *endpoints)
{
    struct fault fault = {0};
    uv_loop_init(loop);
    *outcome = (struct outcome){0};
    const struct etcd_link_options options = {
        .loop = loop, .endpoints = endpoints, .ca_file = "", .cert_file = "", .key_file = ""};
    assert_int_equal(etcd_link_new(&options, &outcome->link, &fault), KR_ERR_OK);
    assert_int_equal(etcd_link_port(outcome->link)->endpoint_count, 2);
}

// Nobody listens on the lowest ports.
static void open_link(uv_loop_t *loop, struct outcome *outcome)
{
    open_link_to(loop, outcome, "http://127.0.0.1:1, http://127.0.0.1:2/");
}

static void close_link(uv_loop_t *loop, struct outcome *outcome)
{
    etcd_link_close(outcome->link, on_closed, outcome);
    assert_false(outcome->is_closed);
    uv_run(loop, UV_RUN_DEFAULT);
    assert_true(outcome->is_closed);
    assert_int_equal(uv_loop_close(loop), 0);
}

static void a_call_that_reaches_nobody_has_surely_not_left(void **state)
{
    uv_loop_t loop;
    struct outcome outcome;
    (void)state;
    open_link(&loop, &outcome);
    post(&outcome, 5000);
    assert_int_equal(outcome.count, 0);
    while (outcome.count == 0)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(outcome.err, KR_ERR_IO);
    assert_true(outcome.is_surely_unsent);
    close_link(&loop, &outcome);
    assert_int_equal(outcome.count, 1);
}

static void a_close_answers_what_is_under_way_first(void **state)
{
    uv_loop_t loop;
    struct outcome outcome;
    (void)state;
    open_link(&loop, &outcome);
    post(&outcome, 5000);
    assert_int_equal(outcome.count, 0);
    close_link(&loop, &outcome);
    assert_int_equal(outcome.count, 1);
    assert_int_equal(outcome.err, KR_ERR_IO);
}

static int listen_anywhere(unsigned *port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

// The first member is defragmented; who writes goes to the second, not to the one that stands
// still.
static void calls_keep_away_from_a_member_that_is_stopped(void **state)
{
    uv_loop_t loop;
    struct outcome outcome;
    unsigned stopped_port, other_port;
    char endpoints[128];
    (void)state;
    int stopped = listen_anywhere(&stopped_port), other = listen_anywhere(&other_port);
    snprintf(endpoints, sizeof(endpoints), "http://127.0.0.1:%u,http://127.0.0.1:%u", stopped_port,
             other_port);
    open_link_to(&loop, &outcome, endpoints);
    post_call(&outcome,
              (struct etcd_call){.deadline_ms = 20000, .endpoint = 0, .stops_endpoint = true});
    post(&outcome, 20000);
    struct pollfd polled = {.fd = other, .events = POLLIN};
    for (unsigned i = 0; i < 2000 && poll(&polled, 1, 5) == 0; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(polled.revents, POLLIN);
    close_link(&loop, &outcome);
    assert_int_equal(outcome.count, 2);
    close(stopped);
    close(other);
}

// What libcurl looks names up with: a name server that is silent until it is told to speak.
static sem_t asked, speak, has_spoken;

int getaddrinfo(const char *restrict name, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
    struct timespec until;
    (void)name, (void)service, (void)hints, (void)out;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    sem_post(&asked);
    sem_timedwait(&speak, &until);
    sem_post(&has_spoken);
    return EAI_AGAIN;
}

static void a_silent_name_server_holds_nobody_up(void **state)
{
    uv_loop_t loop;
    int spoken;
    struct fault fault = {0};
    struct outcome outcome = {0};
    (void)state;
    sem_init(&asked, 0, 0);
    sem_init(&speak, 0, 0);
    sem_init(&has_spoken, 0, 0);
    uv_loop_init(&loop);
    const struct etcd_link_options options = {.loop = &loop,
                                              .endpoints = "https://etcd-1.test:2379",
                                              .ca_file = "/dev/null",
                                              .cert_file = "",
                                              .key_file = ""};
    assert_int_equal(etcd_link_new(&options, &outcome.link, &fault), KR_ERR_OK);
    post(&outcome, 300);
    while (outcome.count == 0)
        uv_run(&loop, UV_RUN_ONCE);
    post(&outcome, 5000); // and one that the close ends
    close_link(&loop, &outcome);
    assert_int_equal(outcome.count, 2);
    sem_getvalue(&has_spoken, &spoken);
    assert_int_equal(spoken, 0);
    while (sem_trywait(&asked) == 0) {
        sem_post(&speak);
        sem_wait(&has_spoken);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_that_cannot_work_are_refused),
        cmocka_unit_test(a_call_that_reaches_nobody_has_surely_not_left),
        cmocka_unit_test(a_close_answers_what_is_under_way_first),
        cmocka_unit_test(calls_keep_away_from_a_member_that_is_stopped),
        cmocka_unit_test(a_silent_name_server_holds_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
