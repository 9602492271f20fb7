// SPDX-License-Identifier: Apache-2.0
// Questions for an index that the nodes have not reached: held back, so that no node waits, and
// nothing behind them.
#include <stdio.h>

#include "core/base/rand.h"
#include "tests/unit/client/libkeyreeve/world.h"

#define TIMEOUT_MS 60000
#define HELD_MS 1001 // for no longer

static void take_code(void *ctx, const struct keyreeve_answer *answer)
{
    *(enum keyreeve_code *)ctx = answer->code;
}

static void ask_for(struct world *world, uint64_t index, enum keyreeve_code *code)
{
    struct keyreeve_question question = world_question();
    question.min_index = index;
    assert_int_equal(keyreeve_ask(world->client, &question, take_code, code), KR_KEYREEVE_OK);
}

static void others_do_not_wait_behind_it(void **state)
{
    struct world world;
    enum keyreeve_code code = 0;
    (void)state;
    world_init(&world);
    world_open(&world, (struct keyreeve_options){.timeout_ms = TIMEOUT_MS});
    ask_for(&world, 5, &code); // before anything is known of the node
    for (int i = 0; i < 20; i++)
        assert_int_equal(world_ask(&world), KR_KEYREEVE_VALID);
    assert_int_equal(code, 0);
    world.node.index = 5;
    UNTIL(code != 0, world_turn(&world));
    assert_int_equal(code, KR_KEYREEVE_VALID);
    code = 0;
    ask_for(&world, 5, &code); // which is known by now: at once
    (void)keyreeve_run(world.client, 0);
    node_turn(&world.node);
    UNTIL(code != 0, (void)keyreeve_run(world.client, 1));
    assert_int_equal(code, KR_KEYREEVE_VALID);
    assert_int_equal(world.node.accepted, 1);
    world_fini(&world);
}

static void it_is_stale_when_no_node_gets_there(void **state)
{
    struct world world;
    enum keyreeve_code codes[2] = {0};
    (void)state;
    world_init(&world);
    world_open(&world, (struct keyreeve_options){.timeout_ms = TIMEOUT_MS});
    assert_int_equal(world_ask(&world), KR_KEYREEVE_VALID);
    for (int i = 0; i < 2; i++) {
        ask_for(&world, 5, &codes[0]);
        ask_for(&world, 6, &codes[1]);
        world_turn(&world);
        assert_int_equal(codes[0], 0);
        world_skip(HELD_MS);
        world_turn(&world);
        assert_int_equal(codes[0], KR_KEYREEVE_STALE);
        assert_int_equal(codes[1], KR_KEYREEVE_STALE);
        codes[0] = codes[1] = 0;
    }
    // Where no node has said anything, nothing is known.
    node_leave(&world.node);
    ask_for(&world, 5, &codes[0]);
    world_skip(HELD_MS);
    (void)keyreeve_run(world.client, 0);
    assert_int_equal(codes[0], 0);
    world_skip(TIMEOUT_MS);
    (void)keyreeve_run(world.client, 0);
    assert_int_equal(codes[0], KR_KEYREEVE_UNAVAILABLE);
    world_fini(&world);
}

static void the_node_that_has_it_is_asked(void **state)
{
    struct world world;
    struct node ahead;
    enum keyreeve_code code = 0;
    char nodes[64];
    (void)state;
    world_init(&world);
    node_init(&ahead);
    node_listen(&ahead);
    ahead.index = 5;
    snprintf(nodes, sizeof(nodes), "127.0.0.1:%u,127.0.0.1:%u", world.node.port, ahead.port);
    world_open(&world, (struct keyreeve_options){.nodes = nodes, .timeout_ms = TIMEOUT_MS});
    ask_for(&world, 5, &code);
    UNTIL(code != 0, {
        world_turn(&world);
        node_turn(&ahead);
    });
    assert_int_equal(code, KR_KEYREEVE_VALID);
    world_fini(&world);
    node_fini(&ahead);
}

static void turn_two(struct world *world, struct node *other)
{
    world_turn(world);
    node_turn(other);
}

// The world's node has the index and is asked; the other one gets there later.
static void open_two(struct world *world, struct node *later)
{
    char nodes[64];
    world_init(world);
    node_init(later);
    node_listen(later);
    world->node.index = 5;
    snprintf(nodes, sizeof(nodes), "127.0.0.1:%u,127.0.0.1:%u", world->node.port, later->port);
    world_open(world, (struct keyreeve_options){.nodes = nodes, .timeout_ms = TIMEOUT_MS});
    for (int i = 0; i < 40; i++)
        turn_two(world, later);
}

static void who_cannot_tell_has_not_the_last_word_while_another_may_get_there(void **state)
{
    struct world world;
    struct node later;
    enum keyreeve_code code = 0;
    (void)state;
    open_two(&world, &later);
    world.node.is_stale = true;
    ask_for(&world, 5, &code);
    for (int i = 0; i < 20; i++)
        turn_two(&world, &later);
    assert_int_equal(code, 0);
    later.index = 5;
    UNTIL(code != 0, turn_two(&world, &later));
    assert_int_equal(code, KR_KEYREEVE_VALID);
    world_fini(&world);
    node_fini(&later);
}

static void a_hedge_waits_for_the_node_that_gets_there(void **state)
{
    struct world world;
    struct node later;
    enum keyreeve_code code = 0;
    (void)state;
    open_two(&world, &later);
    ask_for(&world, 5, &code);
    (void)keyreeve_run(world.client, 0); // to the world's node, which hangs from now on
    world_skip(TIMEOUT_MS / 3);          // the hedge is due, and nobody is there for it
    for (int i = 0; i < 20; i++) {
        (void)keyreeve_run(world.client, 1);
        node_turn(&later);
    }
    assert_int_equal(code, 0);
    later.index = 5;
    UNTIL(code != 0, {
        (void)keyreeve_run(world.client, 1);
        node_turn(&later);
    });
    assert_int_equal(code, KR_KEYREEVE_VALID);
    world_fini(&world);
    node_fini(&later);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_do_not_wait_behind_it),
        cmocka_unit_test(it_is_stale_when_no_node_gets_there),
        cmocka_unit_test(the_node_that_has_it_is_asked),
        cmocka_unit_test(who_cannot_tell_has_not_the_last_word_while_another_may_get_there),
        cmocka_unit_test(a_hedge_waits_for_the_node_that_gets_there),
    };
    rand_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
