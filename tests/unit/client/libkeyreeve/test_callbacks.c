// SPDX-License-Identifier: Apache-2.0
// Callbacks that ask again: while the client closes, and from inside an answer that was kept.
#include <string.h>

#include "tests/unit/client/libkeyreeve/world.h"

#define LEASE_MS 2000 // that the node gives
#define CHAIN 200

// Each answer asks the next.
struct chain {
    struct world *world;
    struct keyreeve_question question;
    unsigned left, depth, deepest, answers;
    enum keyreeve_code code;
    enum keyreeve_error error;
    bool was_cached;
    bool outlives_lease; // the lease ends before the next one is asked
    bool is_body_whole;
};

static void go_on(void *ctx, const struct keyreeve_answer *answer)
{
    struct chain *chain = ctx;
    chain->answers++;
    chain->code = answer->code;
    chain->was_cached = answer->is_cached;
    chain->depth++;
    if (chain->depth > chain->deepest)
        chain->deepest = chain->depth;
    if (chain->outlives_lease)
        world_skip(LEASE_MS + 1);
    if (chain->left > 0) {
        chain->left--;
        chain->error = keyreeve_ask(chain->world->client, &chain->question, go_on, chain);
    }
    chain->is_body_whole = answer->body_size == 0 || memcmp(answer->body, "\"sub\"", 5) == 0;
    chain->depth--;
}

static struct chain begin_chain(struct world *world, unsigned left)
{
    return (struct chain){.world = world, .question = world_question(), .left = left};
}

static void ask(struct chain *chain)
{
    chain->answers = 0;
    assert_int_equal(keyreeve_ask(chain->world->client, &chain->question, go_on, chain),
                     KR_KEYREEVE_OK);
}

static void ask_and_wait(struct chain *chain)
{
    ask(chain);
    UNTIL(chain->answers > 0, world_turn(chain->world));
}

// A client to which this question is answered at once.
static void keep(struct world *world)
{
    struct chain one = begin_chain(world, 0);
    world_open(world, (struct keyreeve_options){.timeout_ms = 60000, .cache_entries = 16});
    UNTIL(one.was_cached, ask_and_wait(&one));
}

static void closing_takes_no_more_questions(void **state)
{
    struct world world;
    (void)state;
    world_init(&world);
    world_open(&world, (struct keyreeve_options){.timeout_ms = 60000});
    struct chain chain = begin_chain(&world, CHAIN);
    ask(&chain);
    keyreeve_close(&world.client);
    assert_int_equal(chain.answers, 1);
    assert_int_equal(chain.code, KR_KEYREEVE_UNAVAILABLE);
    assert_int_equal(chain.error, KR_KEYREEVE_INVALID);
    world_fini(&world);
}

static void a_kept_answer_may_ask_the_next(void **state)
{
    struct world world;
    (void)state;
    world_init(&world);
    keep(&world);
    struct chain chain = begin_chain(&world, CHAIN);
    ask(&chain);
    assert_true(chain.was_cached);
    UNTIL(chain.answers == CHAIN + 1, world_turn(&world));
    assert_in_range(chain.deepest, 1, 2);
    assert_int_equal(chain.code, KR_KEYREEVE_VALID);
    world_fini(&world);
}

static void a_key_that_is_too_long_may_ask_the_next(void **state)
{
    struct world world;
    char key[KR_KEYREEVE_KEY_MAX + 1];
    (void)state;
    world_init(&world);
    world_open(&world, (struct keyreeve_options){.timeout_ms = 60000});
    struct chain chain = begin_chain(&world, CHAIN);
    memset(key, 'x', sizeof(key));
    chain.question.key = key;
    chain.question.key_size = sizeof(key);
    ask(&chain);
    UNTIL(chain.answers == CHAIN + 1, world_turn(&world));
    assert_in_range(chain.deepest, 1, 2);
    assert_int_equal(chain.code, KR_KEYREEVE_MALFORMED);
    // Without a node as well.
    node_leave(&world.node);
    chain.left = 1;
    ask(&chain);
    world_skip(60001);
    UNTIL(chain.answers == 2, world_turn(&world));
    assert_int_equal(chain.code, KR_KEYREEVE_MALFORMED);
    world_fini(&world);
}

static void what_a_kept_answer_lends_outlasts_its_lease(void **state)
{
    struct world world;
    (void)state;
    world_init(&world);
    keep(&world);
    struct chain chain = begin_chain(&world, 1);
    chain.outlives_lease = true;
    ask(&chain);
    assert_true(chain.was_cached && chain.is_body_whole);
    UNTIL(chain.answers == 2, world_turn(&world));
    assert_int_equal(chain.code, KR_KEYREEVE_VALID);
    assert_false(chain.was_cached);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_takes_no_more_questions),
        cmocka_unit_test(a_kept_answer_may_ask_the_next),
        cmocka_unit_test(a_key_that_is_too_long_may_ask_the_next),
        cmocka_unit_test(what_a_kept_answer_lends_outlasts_its_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
