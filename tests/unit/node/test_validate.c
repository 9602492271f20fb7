// SPDX-License-Identifier: Apache-2.0
// Tests of the verify core over a real store: what the index of an answer promises.
#include "tests/unit/node/api_fixture.h"

#include "core/base/clock.h"
#include "node/validate.h"
#include "replication/engine_local.h"
#include "replication/state_store.h"

#define KR_KEYS KR_API_BUCKETS "/production/consumers/acme/keys"
#define KR_IMPORTED "a-value-of-a-caller-s-own-making"

struct validate_world {
    struct api_world api;
    bool is_closed;
};

static void on_closed(void *ctx)
{
    ((struct validate_world *)ctx)->is_closed = true;
}

static void on_fatal(void *ctx, enum kr_err err, const struct fault *fault)
{
    (void)ctx, (void)err;
    fail_msg("%s", fault->text);
}

static int start(void **state)
{
    struct validate_world *world = calloc(1, sizeof(*world));
    struct node *node = &world->api.node;
    api_start(&world->api);
    const struct engine_local_options local = {.store = node->store, .leads = true};
    state_store_init(&node->state, node->store);
    node->engine = engine_local_new(&local, NULL);
    const struct replica_options options = {
        .state = &node->state, .engine = node->engine, .fatal = on_fatal};
    node->replica = replica_new(&options);
    engine_turn(node->engine);
    api_expect(&world->api, 200, "POST", KR_API_BUCKETS "/production/consumers",
               "{\"name\":\"acme\"}");
    hot_thread_register();
    *state = world;
    return 0;
}

static int end(void **state)
{
    struct validate_world *world = *state;
    struct node *node = &world->api.node;
    hot_thread_unregister();
    replica_close(node->replica, on_closed, world);
    while (!world->is_closed) {
        engine_turn(node->engine);
        replica_turn(node->replica);
    }
    world->is_closed = false;
    node->engine->verbs->close(node->engine, on_closed, world);
    while (!world->is_closed)
        engine_turn(node->engine);
    api_end(&world->api);
    free(world);
    return 0;
}

static void look_up(struct validate_world *world, struct validate_question *question)
{
    validate_look_up(&world->api.node, &question, 1);
}

static enum verdict_code judge(struct validate_world *world, struct validate_question *question)
{
    validate_judge(&world->api.node, question, world->api.now_ms, clock_boot_ms());
    return question->code;
}

static void a_finding_answers_for_no_index_that_came_behind_it(void **state)
{
    struct validate_world *world = *state;
    struct validate_question question;
    api_expect(&world->api, 200, "POST", KR_KEYS, "{}");
    const char *key = api_text(&world->api, "key"), *id = api_text(&world->api, "id");
    const char *path = arena_printf(&world->api.arena, KR_KEYS "/%s/revoke", id);
    validate_init(&question);
    question.ask.key = bytes_text(key);
    question.ask.min_index = store_applied_index(world->api.node.store) + 1;
    look_up(world, &question);
    assert_int_equal(question.found.lookup, KR_STORE_FOUND);
    assert_true(validate_is_ahead(&question));
    api_expect(&world->api, 200, "POST", path, "{}");
    assert_int_equal(store_applied_index(world->api.node.store), question.ask.min_index);
    assert_true(validate_is_ahead(&question));
    look_up(world, &question);
    assert_false(validate_is_ahead(&question));
    assert_int_equal(judge(world, &question), KR_VERDICT_REVOKED);
    assert_int_equal(question.index, question.ask.min_index);
}

static void who_gives_up_is_told_nothing_of_the_key(void **state)
{
    struct validate_world *world = *state;
    struct validate_question question;
    api_expect(&world->api, 200, "POST", KR_KEYS, "{}");
    const char *key = api_text(&world->api, "key");
    validate_init(&question);
    question.ask.key = bytes_text(key);
    question.ask.min_index = INT64_MAX;
    look_up(world, &question);
    validate_give_up(&question);
    assert_int_equal(judge(world, &question), KR_VERDICT_STALE);
    assert_int_equal(question.found.lookup, KR_STORE_ABSENT);
}

static void the_first_value_that_is_imported_is_seen_at_its_index(void **state)
{
    struct validate_world *world = *state;
    struct validate_question question;
    validate_init(&question);
    question.ask.key = bytes_text(KR_IMPORTED);
    question.ask.min_index = store_applied_index(world->api.node.store) + 1;
    look_up(world, &question);
    assert_true(validate_is_ahead(&question));
    api_expect(&world->api, 200, "POST", KR_KEYS, "{\"key\":\"" KR_IMPORTED "\"}");
    look_up(world, &question);
    assert_int_equal(judge(world, &question), KR_VERDICT_VALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_finding_answers_for_no_index_that_came_behind_it, start,
                                        end),
        cmocka_unit_test_setup_teardown(who_gives_up_is_told_nothing_of_the_key, start, end),
        cmocka_unit_test_setup_teardown(the_first_value_that_is_imported_is_seen_at_its_index,
                                        start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
