// SPDX-License-Identifier: Apache-2.0
// A name with several addresses: the one that answers is used, whichever it is.
#include "tests/unit/client/libkeyreeve/world.h"

static void a_name_is_reached_at_whichever_address_answers(void **state)
{
    struct world world;
    struct node other;
    (void)state;
    world_init(&world);
    node_init(&other); // and refuses connections
    const uint16_t ports[] = {other.port, other.port, other.port, world.node.port};
    world_resolve(ports, 4);
    world_open(&world,
               (struct keyreeve_options){.nodes = "node.example:7401", .timeout_ms = 60000});
    assert_int_equal(world_ask(&world), KR_KEYREEVE_VALID);
    assert_int_equal(world.figures.reconnected, 0);
    assert_int_equal(world.figures.failed_over, 0);

    // What has answered is gone, and the other one is there.
    node_leave(&world.node);
    node_listen(&other);
    struct node gone = world.node;
    world.node = other;
    UNTIL(world.node.answered > 0, world_turn(&world));
    assert_int_equal(world_ask(&world), KR_KEYREEVE_VALID);
    assert_int_equal(world.figures.reconnected, 1);
    world_fini(&world);
    node_fini(&gone);
}

static void an_address_that_answered_is_tried_first(void **state)
{
    struct world world;
    struct node other;
    (void)state;
    world_init(&world);
    node_init(&other);
    const uint16_t ports[] = {other.port, world.node.port};
    world_resolve(ports, 2);
    world_open(&world,
               (struct keyreeve_options){.nodes = "node.example:7401", .timeout_ms = 60000});
    assert_int_equal(world_ask(&world), KR_KEYREEVE_VALID);
    node_listen(&other);
    node_hang_up(&world.node);
    UNTIL(world.node.accepted == 2, world_turn(&world));
    node_accept(&other);
    assert_int_equal(other.accepted, 0);
    world_fini(&world);
    node_fini(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_reached_at_whichever_address_answers),
        cmocka_unit_test(an_address_that_answered_is_tried_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
