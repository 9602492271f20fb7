// SPDX-License-Identifier: Apache-2.0
// What options and questions may be: the limits that the header states.
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "core/base/rand.h"
#include "tests/unit/client/libkeyreeve/world.h"

static enum keyreeve_error open_and_close(const struct keyreeve_options *like, char *why,
                                          size_t why_size)
{
    struct keyreeve *client = NULL;
    struct keyreeve_options options = *like;
    options.why = why;
    options.why_size = why_size;
    enum keyreeve_error error = keyreeve_open(&options, &client);
    assert_true((error == KR_KEYREEVE_OK) == (client != NULL));
    keyreeve_close(&client);
    return error;
}

static void a_server_name_has_1_to_255_bytes(void **state)
{
    const size_t sizes[] = {0, 1, 255, 256, 299, 300, 400};
    char name[401], why[200];
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        memset(name, 'n', sizeof(name));
        name[sizes[i]] = '\0';
        bool is_good = sizes[i] >= 1 && sizes[i] <= 255;
        const struct keyreeve_options options = {.nodes = "tls://127.0.0.1:9", .server_name = name};
        assert_int_equal(open_and_close(&options, why, sizeof(why)),
                         is_good ? KR_KEYREEVE_OK : KR_KEYREEVE_INVALID);
        assert_true(is_good || strstr(why, "1 to 255 bytes") != NULL);
    }
}

static void never(void *ctx, const struct keyreeve_answer *answer)
{
    (void)ctx;
    if (answer->code != KR_KEYREEVE_UNAVAILABLE) // of what is under way when the client closes
        fail();
}

static void a_bucket_has_1_to_255_bytes(void **state)
{
    const size_t sizes[] = {0, 1, 255, 256};
    const struct keyreeve_options options = {.nodes = "127.0.0.1:9"};
    struct keyreeve *client;
    char bucket[257];
    (void)state;
    assert_int_equal(keyreeve_open(&options, &client), KR_KEYREEVE_OK);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct keyreeve_question question = world_question();
        memset(bucket, 'b', sizeof(bucket));
        bucket[sizes[i]] = '\0';
        question.bucket = bucket;
        bool is_good = sizes[i] >= 1 && sizes[i] <= 255;
        assert_int_equal(keyreeve_ask(client, &question, never, NULL),
                         is_good ? KR_KEYREEVE_OK : KR_KEYREEVE_INVALID);
    }
    keyreeve_close(&client);
}

static void a_host_has_a_name(void **state)
{
    const char *const nodes[] = {"[]:7401", "tls://[]:7401", ":7401"};
    char why[200];
    (void)state;
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        const struct keyreeve_options options = {.nodes = nodes[i]};
        assert_int_equal(open_and_close(&options, why, sizeof(why)), KR_KEYREEVE_INVALID);
    }
}

// Its exit status tells.
static int use_in_child(struct world *world)
{
    const struct keyreeve_question question = world_question();
    struct keyreeve_answer answer;
    bool is_refused = keyreeve_ask(world->client, &question, never, NULL) == KR_KEYREEVE_INVALID &&
                      keyreeve_verify(world->client, &question, &answer) == KR_KEYREEVE_INVALID &&
                      keyreeve_run(world->client, 0) == 0;
    keyreeve_close(&world->client);
    world_open(world, (struct keyreeve_options){.nodes = "127.0.0.1:9"});
    bool is_taken = keyreeve_ask(world->client, &question, never, NULL) == KR_KEYREEVE_OK;
    keyreeve_close(&world->client);
    return is_refused && is_taken ? 0 : 1;
}

static void a_child_has_to_open_its_own(void **state)
{
    struct world world;
    int status = -1;
    (void)state;
    world_init(&world);
    world_open(&world, (struct keyreeve_options){.timeout_ms = 60000, .cache_entries = 16});
    assert_int_equal(world_ask(&world), KR_KEYREEVE_VALID);
    pid_t child = fork();
    if (child == 0)
        _exit(use_in_child(&world));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    // What the child has closed is still the parent's.
    assert_int_equal(world_ask(&world), KR_KEYREEVE_VALID);
    assert_int_equal(world.figures.reconnected, 0);
    world_fini(&world);
}

// Its exit status tells: a loop that has nothing to wait for has nothing to spin for.
static int run_loop_in_child(uv_loop_t *loop)
{
    if (uv_loop_fork(loop) != 0)
        return 2;
    for (int i = 0; i < 5000 && uv_loop_alive(loop); i++) {
        uv_run(loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    return uv_loop_alive(loop) ? 1 : 0;
}

static void a_childs_loop_leaves_it_alone(void **state)
{
    struct world world;
    uv_loop_t loop;
    int status = -1;
    (void)state;
    world_init(&world);
    uv_loop_init(&loop);
    world_open(&world, (struct keyreeve_options){.timeout_ms = 60000});
    assert_int_equal(world_ask(&world), KR_KEYREEVE_VALID);
    assert_int_equal(keyreeve_attach(world.client, &loop), 0);
    uv_run(&loop, UV_RUN_NOWAIT);
    node_hang_up(&world.node); // its end is there to be read
    pid_t child = fork();
    if (child == 0)
        _exit(run_loop_in_child(&loop));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    world_fini(&world);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_name_has_1_to_255_bytes),
        cmocka_unit_test(a_bucket_has_1_to_255_bytes),
        cmocka_unit_test(a_host_has_a_name),
        cmocka_unit_test(a_child_has_to_open_its_own),
        cmocka_unit_test(a_childs_loop_leaves_it_alone),
    };
    rand_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
