// SPDX-License-Identifier: Apache-2.0
// Questions that outlive their turn: how many of them may ask the index at a time.
#include "node/serve_internal.h"

#include "tests/unit/node/api_fixture.h"

static void no_more_than_some_ask_the_index_at_a_time(void **state)
{
    struct api_world world = {.roles = 0};
    struct serve *serve = mem_zalloc(sizeof(*serve));
    struct connection connection = {.serve = serve};
    struct job job = {.connection = &connection};
    (void)state;
    api_start(&world);
    serve->node = &world.node;
    assert_int_equal(uv_loop_init(&serve->loop), 0);
    for (size_t i = 0; i < KR_SERVE_WORKS; i++)
        assert_true(suspend_index(&job));
    job.is_suspended = false;
    assert_false(suspend_index(&job));
    assert_false(job.is_suspended);
    assert_int_equal(serve->works, KR_SERVE_WORKS);
    connection_abandon(&connection);
    uv_run(&serve->loop, UV_RUN_DEFAULT);
    assert_int_equal(serve->works, 0);
    assert_true(suspend_index(&job));
    connection_abandon(&connection);
    uv_run(&serve->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&serve->loop), 0);
    mem_free(serve);
    api_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_than_some_ask_the_index_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
