// SPDX-License-Identifier: Apache-2.0
// Tests of the verify core over a real store: what the index of an answer promises.
#include "tests/unit/node/replica_fixture.h"

#include "core/base/clock.h"
#include "node/validate.h"

#define KR_KEYS KR_API_BUCKETS "/production/consumers/acme/keys"
#define KR_IMPORTED "a-value-of-a-caller-s-own-making"

static int start(void **state)
{
    struct api_world *world = calloc(1, sizeof(*world));
    api_start(world);
    replica_start(&world->node, true);
    api_expect(world, 200, "POST", KR_API_BUCKETS "/production/consumers", "{\"name\":\"acme\"}");
    hot_thread_register();
    *state = world;
    return 0;
}

static int end(void **state)
{
    struct api_world *world = *state;
    hot_thread_unregister();
    replica_end(&world->node);
    api_end(world);
    free(world);
    return 0;
}

static void look_up(struct api_world *world, struct validate_question *question)
{
    validate_look_up(&world->node, &question, 1);
}

static enum verdict_code judge(struct api_world *world, struct validate_question *question)
{
    validate_judge(&world->node, question, world->now_ms, clock_boot_ms());
    return question->code;
}

static void a_finding_answers_for_no_index_that_came_behind_it(void **state)
{
    struct api_world *world = *state;
    struct validate_question question;
    api_expect(world, 200, "POST", KR_KEYS, "{}");
    const char *key = api_text(world, "key"), *id = api_text(world, "id");
    const char *path = arena_printf(&world->arena, KR_KEYS "/%s/revoke", id);
    validate_init(&question);
    question.ask.key = bytes_text(key);
    question.ask.min_index = store_applied_index(world->node.store) + 1;
    look_up(world, &question);
    assert_int_equal(question.found.lookup, KR_STORE_FOUND);
    assert_true(validate_is_ahead(&question));
    api_expect(world, 200, "POST", path, "{}");
    assert_int_equal(store_applied_index(world->node.store), question.ask.min_index);
    assert_true(validate_is_ahead(&question));
    look_up(world, &question);
    assert_false(validate_is_ahead(&question));
    assert_int_equal(judge(world, &question), KR_VERDICT_REVOKED);
    assert_int_equal(question.index, question.ask.min_index);
}

static void who_gives_up_is_told_nothing_of_the_key(void **state)
{
    struct api_world *world = *state;
    struct validate_question question;
    api_expect(world, 200, "POST", KR_KEYS, "{}");
    const char *key = api_text(world, "key");
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
    struct api_world *world = *state;
    struct validate_question question;
    validate_init(&question);
    question.ask.key = bytes_text(KR_IMPORTED);
    question.ask.min_index = store_applied_index(world->node.store) + 1;
    look_up(world, &question);
    assert_true(validate_is_ahead(&question));
    api_expect(world, 200, "POST", KR_KEYS, "{\"key\":\"" KR_IMPORTED "\"}");
    look_up(world, &question);
    assert_int_equal(judge(world, &question), KR_VERDICT_VALID);
}

static void ask(struct api_world *world, struct validate_question *question, const char *key)
{
    validate_init(question);
    question->ask.key = bytes_text(key);
    look_up(world, question);
    judge(world, question);
}

static void stand_by(struct node *node)
{
    replica_end(node);
    replica_start(node, false);
}

#define KR_ALWAYS KR_API_BUCKETS "/always"
#define KR_ALWAYS_KEYS KR_ALWAYS "/consumers/acme/keys"

// Its bucket would rather have an old answer than none.
static const char *make_key_without_bound(struct api_world *world)
{
    api_expect(world, 200, "POST", KR_API_BUCKETS,
               "{\"name\":\"always\",\"environment\":\"production\",\"maxStalenessMs\":null}");
    api_expect(world, 200, "POST", KR_ALWAYS "/consumers", "{\"name\":\"acme\"}");
    api_expect(world, 200, "POST", KR_ALWAYS_KEYS, "{}");
    return api_text(world, "key");
}

static void what_is_in_doubt_is_stale_whatever_the_bound(void **state)
{
    struct api_world *world = *state;
    struct validate_question question;
    const char *key = make_key_without_bound(world);
    stand_by(&world->node);
    ask(world, &question, key);
    assert_int_equal(question.code, KR_VERDICT_VALID);
    replica_note_doubt(world->node.replica, true);
    ask(world, &question, key);
    assert_int_equal(question.code, KR_VERDICT_STALE);
    replica_note_doubt(world->node.replica, false);
    ask(world, &question, key);
    assert_int_equal(question.code, KR_VERDICT_VALID);
}

// The verdict of a loaded node on a key that it does not have.
static enum verdict_code judge_absent(struct api_world *world, const char *bucket)
{
    struct validate_question question;
    validate_init(&question);
    question.ask.key = bytes_text(KR_IMPORTED);
    question.ask.bucket = bytes_text(bucket);
    look_up(world, &question);
    question.found.lookup = KR_STORE_ABSENT;
    return judge(world, &question);
}

// A node that is cut off has not heard of keys that were made since.
static void what_is_not_found_is_stale_by_the_bound_of_the_bucket_asked_for(void **state)
{
    struct api_world *world = *state;
    make_key_without_bound(world);
    stand_by(&world->node);
    assert_int_equal(judge_absent(world, ""), KR_VERDICT_STALE);
    assert_int_equal(judge_absent(world, "nowhere"), KR_VERDICT_STALE);
    assert_int_equal(judge_absent(world, "production"), KR_VERDICT_STALE);
    assert_int_equal(judge_absent(world, "always"), KR_VERDICT_NOT_FOUND);
}

static void an_age_that_nobody_knows_is_null(void **state)
{
    struct api_world *world = *state;
    struct validate_question question;
    struct buf out;
    const char *key = make_key_without_bound(world);
    stand_by(&world->node);
    ask(world, &question, key);
    buf_init(&out, 4096);
    validate_write_json(&out, &question, bytes_text("\"node\":\"n\""));
    buf_add_u8(&out, '\0');
    assert_non_null(strstr((const char *)out.data, ",\"ageMs\":null,\"node\":\"n\"}"));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_finding_answers_for_no_index_that_came_behind_it, start,
                                        end),
        cmocka_unit_test_setup_teardown(who_gives_up_is_told_nothing_of_the_key, start, end),
        cmocka_unit_test_setup_teardown(the_first_value_that_is_imported_is_seen_at_its_index,
                                        start, end),
        cmocka_unit_test_setup_teardown(
            what_is_not_found_is_stale_by_the_bound_of_the_bucket_asked_for, start, end),
        cmocka_unit_test_setup_teardown(what_is_in_doubt_is_stale_whatever_the_bound, start, end),
        cmocka_unit_test_setup_teardown(an_age_that_nobody_knows_is_null, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
