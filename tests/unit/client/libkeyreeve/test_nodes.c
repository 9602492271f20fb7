// SPDX-License-Identifier: Apache-2.0
// Nodes that say what no node may: they are not believed.
#include "tests/unit/client/libkeyreeve/world.h"

enum { TIMEOUT_MS = 500 };

struct heard {
    enum keyreeve_code code;
    bool is_cached;
};

static void hear(void *ctx, const struct keyreeve_answer *answer)
{
    struct heard *heard = ctx;
    *heard = (struct heard){answer->code, answer->is_cached};
}

static void a_refusal_that_may_be_kept_is_no_answer(void **state)
{
    struct world world;
    struct keyreeve_question question = world_question();
    (void)state;
    world_init(&world);
    world.node.keeps_all = true;
    world_open(&world, (struct keyreeve_options){.timeout_ms = TIMEOUT_MS, .cache_entries = 64});
    assert_int_equal(world_ask(&world), KR_KEYREEVE_VALID);
    question.key_size = 0; // which is MALFORMED
    for (int i = 0; i < 2; i++) {
        struct heard heard = {.code = 0};
        unsigned accepted = world.node.accepted, answered = world.node.answered;
        assert_int_equal(keyreeve_ask(world.client, &question, hear, &heard), KR_KEYREEVE_OK);
        UNTIL(world.node.accepted > accepted, world_turn(&world)); // it is left, and tried anew
        assert_true(world.node.answered > answered);
        world_skip(TIMEOUT_MS);
        UNTIL(heard.code != 0, world_turn(&world));
        assert_int_equal(heard.code, KR_KEYREEVE_UNAVAILABLE);
        assert_false(heard.is_cached);
    }
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_that_may_be_kept_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
