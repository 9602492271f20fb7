// SPDX-License-Identifier: Apache-2.0
// What the board knows of other nodes, as callers and monitoring read it: how far a snapshot has
// come, and how far away they are.
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

static void add_member(struct api_world *world, const char *id, const char *region)
{
    struct command command = {.actor = "system", .requested_ms = world->now_ms};
    command_add(&command, KR_OP_MEMBER_PUT, &world->arena)->as.member_put =
        (struct member){.id = id, .region = region, .role = KR_MEMBER_FOLLOWER};
    assert_int_equal(api_apply(world, &command).code, KR_APPLY_OK);
}

static void the_nearest_come_by_their_distance(void **state)
{
    struct api_world *world = *state;
    static const char *const expected[] = {"node-1", "node-5", "node-2", "node-3", "node-4"};
    static const int64_t distances[] = {0, 150, 90000, INT64_MIN, INT64_MIN};
    const struct board_node other = {.id = "node-2"},
                            away = {.id = "node-6", .state = KR_BOARD_UNHEARD};
    const struct board_node nodes[] = {other, away};
    const struct board_distance ways[] = {
        {"node-2", 95000}, {"node-5", 150}, {"node-2", 90000}, {"node-6", 7}, {"node-9", 1}};
    const struct board_facts facts = {
        .nodes = nodes, .count = 2, .distances = ways, .distance_count = 5};
    for (char id[] = "node-1"; id[5] <= '6'; id[5]++)
        add_member(world, id, id[5] == '1' || id[5] == '3' ? "local" : "far");
    board_put(world->node.board, &facts);
    board_put(world->node.board, &facts); // in the place of the first
    api_expect(world, 200, "GET", "/v1/nodes/nearest", NULL);
    assert_string_equal(api_text(world, "region"), "local");
    for (size_t i = 0; i < 5; i++) {
        char path[32];
        snprintf(path, sizeof(path), "nodes.%zu.id", i);
        assert_string_equal(api_text(world, path), expected[i]);
        snprintf(path, sizeof(path), "nodes.%zu.roundTripUs", i);
        assert_int_equal(api_number(world, path), distances[i]);
    }
    assert_null(api_value(world, "nodes.5"));
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
        cmocka_unit_test_setup_teardown(the_nearest_come_by_their_distance, start, end),
        cmocka_unit_test(its_bytes_are_gauges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
