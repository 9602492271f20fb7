// SPDX-License-Identifier: Apache-2.0
// What the board knows of a snapshot that is under way, as callers and monitoring read it.
#include "tests/unit/node/replica_fixture.h"

#include "node/metrics.h"

static int start(void **state)
{
    struct api_world *world = calloc(1, sizeof(*world));
    api_start(world);
    replica_start(&world->node, true);
    *state = world;
    return 0;
}

static int end(void **state)
{
    struct api_world *world = *state;
    replica_end(&world->node);
    api_end(world);
    free(world);
    return 0;
}

static void put_on_board(struct api_world *world, enum board_state state)
{
    struct board_node node = {
        .state = state, .snapshot_done_bytes = 300, .snapshot_total_bytes = 1000};
    const struct board_facts facts = {.nodes = &node, .count = 1};
    snprintf(node.id, sizeof(node.id), "%s", world->node.identity.node_id);
    board_put(world->node.board, &facts);
}

static void a_snapshot_that_is_under_way_shows_how_far_it_has_come(void **state)
{
    struct api_world *world = *state;
    put_on_board(world, KR_BOARD_FETCHING);
    api_expect(world, 200, "GET", "/v1/cluster", "");
    assert_true(api_answer_has(world, "\"state\":\"fetching\""));
    assert_true(api_answer_has(world, "\"snapshot\":{\"doneBytes\":300,\"totalBytes\":1000}"));
    put_on_board(world, KR_BOARD_SERVING);
    api_expect(world, 200, "GET", "/v1/cluster", "");
    assert_true(api_answer_has(world, "\"snapshot\":null"));
}

static void its_bytes_are_gauges(void **state)
{
    const struct metrics_node node = {
        .node_id = "n", .region = "r", .snapshot_done_bytes = 300, .snapshot_total_bytes = 1000};
    struct buf out;
    (void)state;
    buf_init(&out, 1 << 20);
    metrics_render(&out, NULL, 0, &node);
    buf_add_u8(&out, '\0');
    const char *text = (const char *)out.data;
    assert_non_null(strstr(text, "\nkeyreeve_snapshot_received_bytes 300\n"));
    assert_non_null(strstr(text, "\nkeyreeve_snapshot_expected_bytes 1000\n"));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_snapshot_that_is_under_way_shows_how_far_it_has_come,
                                        start, end),
        cmocka_unit_test(its_bytes_are_gauges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
