// SPDX-License-Identifier: Apache-2.0
// A client that nobody runs for longer than its time-out: its nodes are not to blame.
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "core/base/rand.h"
#include "tests/unit/client/libkeyreeve/world.h"
#include "tests/unit/core/tls/browser.h"

#define TIMEOUT_MS 60000 // so that what a slow machine takes is nothing beside it
#define PROBE_MS 1001

// What the client has asked by now is answered, and lies in its socket.
static void answer_in_its_absence(struct world *world, unsigned count)
{
    unsigned before = world->node.answered;
    UNTIL(world->node.answered >= before + count, node_turn(&world->node));
}

static void a_client_that_asks_seldom_keeps_its_connection(void **state)
{
    struct world world;
    (void)state;
    world_init(&world);
    world_open(&world, (struct keyreeve_options){.timeout_ms = TIMEOUT_MS});
    assert_int_equal(world_ask(&world), KR_KEYREEVE_VALID);
    for (int i = 0; i < 3; i++) {
        world_skip(PROBE_MS);
        (void)keyreeve_run(world.client, 0);
        answer_in_its_absence(&world, 1);
        world_skip(TIMEOUT_MS + 1);
        assert_int_equal(world_ask(&world), KR_KEYREEVE_VALID);
    }
    assert_int_equal(world.node.accepted, 1);
    assert_int_equal(world.figures.reconnected, 0);
    assert_int_equal(world.figures.failed_over, 0);
    world_fini(&world);
}

static void a_node_that_hangs_is_lost_all_the_same(void **state)
{
    struct world world;
    unsigned visits = 0;
    (void)state;
    world_init(&world);
    world_open(&world, (struct keyreeve_options){.timeout_ms = TIMEOUT_MS});
    assert_int_equal(world_ask(&world), KR_KEYREEVE_VALID);
    UNTIL(world.figures.nodes_up == 0, {
        world_skip(TIMEOUT_MS + 1);
        (void)keyreeve_run(world.client, 0);
        keyreeve_figures(world.client, &world.figures);
        visits++;
    });
    assert_in_range(visits, 3, 1000);
    world_fini(&world);
}

static void take_codes(void *ctx, const struct keyreeve_answer *answer)
{
    enum keyreeve_code **next = ctx;
    *(*next)++ = answer->code;
}

static void a_loop_that_was_held_up_keeps_its_connection(void **state)
{
    struct world world;
    uv_loop_t loop;
    enum keyreeve_code codes[3] = {0}, *next = codes;
    const struct keyreeve_question question = world_question();
    (void)state;
    world_init(&world);
    uv_loop_init(&loop);
    world_open(&world, (struct keyreeve_options){.timeout_ms = TIMEOUT_MS});
    assert_int_equal(keyreeve_attach(world.client, &loop), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(keyreeve_ask(world.client, &question, take_codes, &next), KR_KEYREEVE_OK);
        if (i == 1) { // it leaves, and its answer comes while the loop is busy with other things
            uv_run(&loop, UV_RUN_NOWAIT);
            answer_in_its_absence(&world, 1);
            world_skip(TIMEOUT_MS + 1);
            continue;
        }
        UNTIL(next == codes + i + 1, {
            uv_run(&loop, UV_RUN_NOWAIT);
            node_turn(&world.node);
        });
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(codes[i], KR_KEYREEVE_VALID);
    assert_int_equal(world.node.accepted, 1);
    world_fini(&world);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static struct tls_context *open_server(const struct identity *identity, struct tls_tickets *tickets)
{
    struct fault fault = {0};
    struct tls_context *context;
    const struct tls_files files = files_of(identity);
    const struct tls_server_options options = {.certificates = &files,
                                               .certificate_count = 1,
                                               .tickets = tickets,
                                               .alpn = "keyreeve-validate/1",
                                               .client_names = ""};
    if (tls_server_context_new(&options, clock_unix_ms(), &context, &fault) != KR_ERR_OK)
        fail_msg("%s", fault.text);
    return context;
}

static bool has_input(int fd)
{
    char byte;
    return fd >= 0 && recv(fd, &byte, 1, MSG_PEEK) == 1;
}

static void a_handshake_outlasts_a_pause(void **state)
{
    struct world world;
    struct identity authority, identity;
    struct tls_tickets *tickets = tls_tickets_new();
    char path[] = "/tmp/keyreeve-ca-XXXXXX";
    (void)state;
    world_init(&world);
    identity_make(&authority, "CA", NULL, 30, NULL);
    identity_make(&identity, "node", "IP:127.0.0.1", 30, &authority);
    world.node.secure = open_server(&identity, tickets);
    int fd = mkstemp(path);
    assert_int_equal(write(fd, authority.chain_pem.data, authority.chain_pem.size),
                     (ssize_t)authority.chain_pem.size);
    close(fd);
    world_open(&world, (struct keyreeve_options){.timeout_ms = TIMEOUT_MS, .ca_file = path});
    unlink(path);
    UNTIL(has_input(world.node.fd), {
        (void)keyreeve_run(world.client, 1);
        node_accept(&world.node);
    });
    world_skip(TIMEOUT_MS + 1);
    node_turn(&world.node);
    assert_int_equal(world_ask(&world), KR_KEYREEVE_VALID);
    assert_int_equal(world.node.accepted, 1);
    world_fini(&world);
    tls_context_free(&world.node.secure);
    tls_tickets_free(&tickets);
    identity_fini(&authority);
    identity_fini(&identity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_that_asks_seldom_keeps_its_connection),
        cmocka_unit_test(a_node_that_hangs_is_lost_all_the_same),
        cmocka_unit_test(a_loop_that_was_held_up_keeps_its_connection),
        cmocka_unit_test(a_handshake_outlasts_a_pause),
    };
    rand_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
