// SPDX-License-Identifier: Apache-2.0
// Which node a client that keeps answers asks: the one whose news it gets, though another is a
// little nearer.
#include <stdio.h>
#include <string.h>

#include "core/base/rand.h"
#include "tests/unit/client/libkeyreeve/world.h"

#define HOME_MS 100 // a round trip
#define NEARER_MS 80

static void take_answer(void *ctx, const struct keyreeve_answer *answer)
{
    struct keyreeve_answer *out = ctx;
    *out = *answer;
}

// One round trip of both.
static void turn_both(struct world *world, struct node *nearer)
{
    (void)keyreeve_run(world->client, 0);
    world_skip(NEARER_MS);
    node_turn(nearer);
    (void)keyreeve_run(world->client, 0);
    world_skip(HOME_MS - NEARER_MS);
    node_turn(&world->node);
    (void)keyreeve_run(world->client, 0);
}

static struct keyreeve_answer ask_both(struct world *world, struct node *nearer)
{
    struct keyreeve_answer answer = {0};
    const struct keyreeve_question question = world_question();
    assert_int_equal(keyreeve_ask(world->client, &question, take_answer, &answer), KR_KEYREEVE_OK);
    UNTIL(answer.code != 0, turn_both(world, nearer));
    return answer;
}

static void answers_are_kept_though_another_node_is_nearer(void **state)
{
    struct world world;
    struct node nearer;
    char nodes[64];
    (void)state;
    world_init(&world);
    node_init(&nearer);
    node_listen(&nearer);
    snprintf(nodes, sizeof(nodes), "127.0.0.1:%u,127.0.0.1:%u", world.node.port, nearer.port);
    world_open(&world,
               (struct keyreeve_options){.nodes = nodes, .timeout_ms = 60000, .cache_entries = 16});
    // Both are up and measured, and the home is the first.
    UNTIL(world.node.answered > 8 && nearer.answered > 2, turn_both(&world, &nearer));
    assert_false(ask_both(&world, &nearer).is_cached);
    assert_true(ask_both(&world, &nearer).is_cached);
    world_fini(&world);
    node_fini(&nearer);
}

static void a_node_is_not_near_before_it_was_measured(void **state)
{
    struct world world;
    struct node far;
    struct keyreeve_answer answer = {0};
    const struct keyreeve_question question = world_question();
    char nodes[64];
    (void)state;
    world_init(&world);
    node_init(&far);
    node_listen(&far);
    snprintf(nodes, sizeof(nodes), "127.0.0.1:%u,127.0.0.1:%u", world.node.port, far.port);
    world_open(&world, (struct keyreeve_options){.nodes = nodes, .timeout_ms = 60000});
    UNTIL(world.node.answered > 0, world_turn(&world));
    (void)keyreeve_run(world.client, 0);
    // The far one's answer comes while nobody looks: it shows that it is there, and not how near.
    UNTIL(far.answered > 0, node_turn(&far));
    world_skip(1500);
    (void)keyreeve_run(world.client, 0);
    assert_int_equal(keyreeve_ask(world.client, &question, take_answer, &answer), KR_KEYREEVE_OK);
    UNTIL(answer.code != 0, world_turn(&world));
    assert_int_equal(answer.code, KR_KEYREEVE_VALID);
    assert_int_equal(world.figures.hedged, 0);
    world_fini(&world);
    node_fini(&far);
}

static bool is_answered_from_kept(struct world *world)
{
    uint64_t before = world->figures.cached;
    assert_int_equal(world_ask(world), KR_KEYREEVE_VALID);
    keyreeve_figures(world->client, &world->figures);
    return world->figures.cached > before;
}

static void what_was_kept_goes_with_its_lease(void **state)
{
    struct world world;
    (void)state;
    world_init(&world);
    world_open(&world, (struct keyreeve_options){.timeout_ms = 60000, .cache_entries = 16});
    UNTIL(is_answered_from_kept(&world), (void)0);
    // It runs out, and the next one is there before anybody asks for the key.
    unsigned answered = world.node.answered;
    world_skip(2001);
    UNTIL(world.node.answered > answered + 4, {
        world_skip(501);
        world_turn(&world);
    });
    assert_false(is_answered_from_kept(&world));
    assert_true(is_answered_from_kept(&world));
    assert_int_equal(world.figures.reconnected, 0);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_kept_though_another_node_is_nearer),
        cmocka_unit_test(what_was_kept_goes_with_its_lease),
        cmocka_unit_test(a_node_is_not_near_before_it_was_measured),
    };
    rand_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
