// SPDX-License-Identifier: Apache-2.0
// Questions that are late where they are: other nodes are asked beside it, until one answers.
#include <stdio.h>

#include "client/libkeyreeve/client.h"
#include "core/base/rand.h"
#include "tests/unit/client/libkeyreeve/world.h"

enum {
    TIMEOUT_MS = 60000,         // no node is taken for lost before
    LATE_MS = TIMEOUT_MS / 4,   // of nodes whose round trips are not known yet
    LATER_MS = 2 * LATE_MS + 1, // than that
    NODES = 3,
    STEP_MS = 50,    // less than what counts as having been away
    FARTHER_MS = 200 // each node than the one before it: the order in which they are asked
};

struct sky {
    struct world world;
    struct node further[NODES - 1];
    enum keyreeve_code code; // of the question
};

static struct node *node_at(struct sky *sky, size_t number)
{
    return number == 0 ? &sky->world.node : &sky->further[number - 1];
}

static void pass(struct sky *sky, unsigned ms)
{
    for (unsigned passed = 0; passed < ms; passed += STEP_MS) {
        world_skip(STEP_MS);
        (void)keyreeve_run(sky->world.client, 0);
    }
    keyreeve_figures(sky->world.client, &sky->world.figures);
}

static void take_code(void *ctx, const struct keyreeve_answer *answer)
{
    *(enum keyreeve_code *)ctx = answer->code;
}

static void ask(struct sky *sky)
{
    const struct keyreeve_question question = world_question();
    sky->code = 0;
    assert_int_equal(keyreeve_ask(sky->world.client, &question, take_code, &sky->code),
                     KR_KEYREEVE_OK);
    (void)keyreeve_run(sky->world.client, 0);
}

// The node answers whatever has come, and is heard.
static void answers(struct sky *sky, size_t number)
{
    UNTIL(sky->code != 0, {
        node_turn(node_at(sky, number));
        (void)keyreeve_run(sky->world.client, 1);
    });
    keyreeve_figures(sky->world.client, &sky->world.figures);
}

// Nodes of which each is farther than the one before; so many of them listen.
static void open_sky(struct sky *sky, size_t listening)
{
    char nodes[128];
    struct keyreeve_figures *figures = &sky->world.figures;
    sky->code = 0;
    world_init(&sky->world);
    for (size_t i = 1; i < NODES; i++) {
        node_init(node_at(sky, i));
        if (i < listening)
            node_listen(node_at(sky, i));
    }
    snprintf(nodes, sizeof(nodes), "127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u", node_at(sky, 0)->port,
             node_at(sky, 1)->port, node_at(sky, 2)->port);
    world_open(&sky->world, (struct keyreeve_options){.nodes = nodes, .timeout_ms = TIMEOUT_MS});
    UNTIL(figures->nodes_up == listening, {
        (void)keyreeve_run(sky->world.client, 1);
        keyreeve_figures(sky->world.client, figures);
    });
    for (size_t i = 0; i < listening; i++) {
        node_turn(node_at(sky, i));
        (void)keyreeve_run(sky->world.client, 1);
        pass(sky, FARTHER_MS);
    }
}

static void close_sky(struct sky *sky)
{
    world_fini(&sky->world);
    for (size_t i = 1; i < NODES; i++)
        node_fini(node_at(sky, i));
}

static void one_that_cannot_tell_beside_a_silent_one_makes_room_for_a_third(void **state)
{
    struct sky sky;
    (void)state;
    open_sky(&sky, NODES);
    node_at(&sky, 1)->is_stale = true;
    ask(&sky);
    pass(&sky, LATE_MS);
    assert_int_equal(sky.world.figures.hedged, 1);
    UNTIL(sky.world.figures.failed_over > 0, {
        node_turn(node_at(&sky, 1));
        (void)keyreeve_run(sky.world.client, 1);
        keyreeve_figures(sky.world.client, &sky.world.figures);
    });
    assert_int_equal(sky.code, 0); // who is silent may know it
    answers(&sky, 2);
    assert_int_equal(sky.code, KR_KEYREEVE_VALID);
    assert_int_equal(sky.world.figures.hedged, 1);
    close_sky(&sky);
}

static void one_that_is_lost_beside_a_silent_one_makes_room_for_a_third(void **state)
{
    struct sky sky;
    (void)state;
    open_sky(&sky, NODES);
    ask(&sky);
    pass(&sky, LATE_MS);
    node_leave(node_at(&sky, 1));
    answers(&sky, 2);
    assert_int_equal(sky.code, KR_KEYREEVE_VALID);
    assert_int_equal(sky.world.figures.hedged, 1);
    assert_int_equal(sky.world.figures.failed_over, 1);
    close_sky(&sky);
}

static void where_two_are_silent_a_third_is_asked(void **state)
{
    struct sky sky;
    (void)state;
    open_sky(&sky, NODES);
    ask(&sky);
    pass(&sky, LATE_MS);
    assert_int_equal(sky.world.figures.hedged, 1);
    pass(&sky, LATER_MS);
    assert_int_equal(sky.world.figures.hedged, 2);
    answers(&sky, 2);
    assert_int_equal(sky.code, KR_KEYREEVE_VALID);
    close_sky(&sky);
}

static void each_is_asked_once_and_the_first_may_still_answer(void **state)
{
    struct sky sky;
    (void)state;
    open_sky(&sky, NODES);
    ask(&sky);
    pass(&sky, LATE_MS + LATER_MS);
    assert_int_equal(sky.world.figures.hedged, NODES - 1);
    answers(&sky, 0);
    assert_int_equal(sky.code, KR_KEYREEVE_VALID);
    close_sky(&sky);
}

static void nobody_can_tell_only_when_all_have_said_so(void **state)
{
    struct sky sky;
    (void)state;
    open_sky(&sky, NODES);
    node_at(&sky, 1)->is_stale = node_at(&sky, 2)->is_stale = true;
    ask(&sky);
    pass(&sky, LATE_MS + LATER_MS);
    assert_int_equal(sky.world.figures.hedged, NODES - 1);
    const struct ask *asked = sky.world.client->first;
    assert_int_equal(asked->waiting, 1u << 0 | 1u << 1 | 1u << 2);
    UNTIL(sky.code != 0 || asked->waiting == 1u << 0, {
        node_turn(node_at(&sky, 1));
        node_turn(node_at(&sky, 2));
        (void)keyreeve_run(sky.world.client, 1);
    });
    assert_int_equal(sky.code, 0); // both have said that they cannot tell, and the first may
    answers(&sky, 0);
    assert_int_equal(sky.code, KR_KEYREEVE_VALID);
    close_sky(&sky);
}

static void one_that_comes_up_is_asked_beside_a_silent_one(void **state)
{
    struct sky sky;
    (void)state;
    open_sky(&sky, 1);
    ask(&sky);
    pass(&sky, LATE_MS);
    assert_int_equal(sky.world.figures.hedged, 0);
    node_listen(node_at(&sky, 1));
    UNTIL(sky.code != 0, {
        pass(&sky, STEP_MS);
        node_turn(node_at(&sky, 1));
        (void)keyreeve_run(sky.world.client, 1);
    });
    assert_int_equal(sky.code, KR_KEYREEVE_VALID);
    close_sky(&sky);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_cannot_tell_beside_a_silent_one_makes_room_for_a_third),
        cmocka_unit_test(one_that_is_lost_beside_a_silent_one_makes_room_for_a_third),
        cmocka_unit_test(where_two_are_silent_a_third_is_asked),
        cmocka_unit_test(each_is_asked_once_and_the_first_may_still_answer),
        cmocka_unit_test(nobody_can_tell_only_when_all_have_said_so),
        cmocka_unit_test(one_that_comes_up_is_asked_beside_a_silent_one),
    };
    rand_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
