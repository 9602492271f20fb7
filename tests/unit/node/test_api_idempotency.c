// SPDX-License-Identifier: Apache-2.0
// Tests of Idempotency-Key: the same answer again, one effect, nothing readable on disk.
#include "tests/unit/node/api_fixture.h"

#include "node/api/idempotency.h"

#define KR_CONSUMERS KR_API_BUCKETS "/production/consumers"
#define KR_KEYS KR_CONSUMERS "/acme/keys"

static int start(void **state)
{
    api_setup(state);
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_CONSUMERS, "{\"name\":\"acme\"}");
    return 0;
}

static const char *body_of(struct api_world *world)
{
    return arena_text_of(&world->arena, buf_bytes(&world->call->answer.body));
}

static void send(struct api_world *world, unsigned status, const char *key, const char *path,
                 const char *body)
{
    world->idempotency_key = key;
    api_expect(world, status, "POST", path, body);
}

static void the_same_request_gets_the_same_answer_and_one_effect(void **state)
{
    struct api_world *world = *state;
    send(world, 200, "k1", KR_KEYS, "{\"description\":\"d\"}");
    const char *answer = body_of(world);
    const char *tag = arena_text(&world->arena, api_answer_field(world, "ETag"));
    const char *index = arena_text(&world->arena, api_answer_field(world, "Keyreeve-Index"));
    uint64_t applied = store_applied_index(world->node.store);
    world->now_ms += 5000;
    send(world, 200, "k1", KR_KEYS, "{\"description\":\"d\"}");
    assert_string_equal(body_of(world), answer);
    assert_string_equal(api_answer_field(world, "ETag"), tag);
    assert_string_equal(api_answer_field(world, "Keyreeve-Index"), index);
    assert_string_equal(world->call->answer.content_type, "application/json");
    assert_int_equal(store_applied_index(world->node.store), applied);
    api_expect(world, 200, "GET", KR_KEYS, NULL);
    assert_int_equal(api_number(world, "total"), 1);
}

static void another_request_under_the_same_key_is_a_conflict(void **state)
{
    struct api_world *world = *state;
    send(world, 200, "k1", KR_KEYS, "{\"description\":\"d\"}");
    send(world, 409, "k1", KR_KEYS, "{\"description\":\"e\"}");
    send(world, 409, "k1", KR_CONSUMERS, "{\"description\":\"d\"}");
    send(world, 409, "k1", KR_KEYS "?x=y", "{\"description\":\"d\"}");
    send(world, 200, "k2", KR_KEYS, "{\"description\":\"d\"}");
}

static void a_refusal_is_not_kept(void **state)
{
    struct api_world *world = *state;
    send(world, 404, "k1", KR_CONSUMERS "/later/keys", NULL);
    api_expect(world, 200, "POST", KR_CONSUMERS, "{\"name\":\"later\"}");
    send(world, 200, "k1", KR_CONSUMERS "/later/keys", NULL);
}

static void another_token_has_its_own_keys(void **state)
{
    struct api_world *world = *state;
    send(world, 200, "k1", KR_KEYS, NULL);
    api_end_call(world);
    world->idempotency_key = "k1";
    api_make(world, "POST", KR_KEYS, bytes_text("{\"description\":\"other\"}"));
    strcpy(world->call->actor.token_id, "key_0000000000000000000other");
    api_run(world);
    assert_int_equal(world->call->answer.status, 200);
}

static void after_a_day_the_key_is_free_again(void **state)
{
    struct api_world *world = *state;
    send(world, 200, "k1", KR_KEYS, "{\"description\":\"d\"}");
    world->now_ms += (int64_t)24 * 60 * 60 * 1000;
    send(world, 200, "k1", KR_KEYS, "{\"description\":\"e\"}");
    send(world, 200, "k1", KR_KEYS, "{\"description\":\"e\"}");
    api_expect(world, 200, "GET", KR_KEYS, NULL);
    assert_int_equal(api_number(world, "total"), 2);
}

static void a_key_that_is_none_is_refused(void **state)
{
    struct api_world *world = *state;
    char key[257];
    memset(key, 'k', 256);
    key[256] = '\0';
    send(world, 400, key, KR_KEYS, NULL);
    send(world, 400, "", KR_KEYS, NULL);
    send(world, 400, "with space", KR_KEYS, NULL);
    send(world, 400, "\xc3\xa4", KR_KEYS, NULL);
    key[255] = '\0';
    send(world, 200, key, KR_KEYS, NULL);
}

static void only_post_looks_at_it(void **state)
{
    struct api_world *world = *state;
    world->idempotency_key = "k1";
    api_expect(world, 200, "PATCH", KR_CONSUMERS "/acme", "{\"description\":\"a\"}");
    world->idempotency_key = "k1";
    api_expect(world, 200, "PATCH", KR_CONSUMERS "/acme", "{\"description\":\"b\"}");
    assert_string_equal(api_text(world, "description"), "b");
}

static void a_revocation_is_replayed_with_its_receipt(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS, NULL);
    send(world, 200, "r1", KR_CONSUMERS "/acme/revoke?wait=everywhere", "{\"confirm\":\"acme\"}");
    const char *receipt = body_of(world);
    assert_int_equal(api_number(world, "keys"), 1);
    api_expect(world, 200, "POST", KR_KEYS, NULL);
    send(world, 200, "r1", KR_CONSUMERS "/acme/revoke?wait=everywhere", "{\"confirm\":\"acme\"}");
    assert_string_equal(body_of(world), receipt);
    api_expect(world, 200, "GET", KR_KEYS "?status=active", NULL);
    assert_int_equal(api_number(world, "total"), 1);
}

static void an_answer_without_a_body_is_replayed_without_one(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS, NULL);
    send(world, 204, "r1", KR_CONSUMERS "/acme/roll-key", NULL);
    send(world, 204, "r1", KR_CONSUMERS "/acme/roll-key", NULL);
    assert_null(world->call->answer.content_type);
    assert_int_equal(world->call->answer.body.size, 0);
    api_expect(world, 200, "GET", KR_KEYS, NULL);
    assert_int_equal(api_number(world, "total"), 2);
}

// What a retry does when its first try is still on its way.
static void send_first(struct api_world *world)
{
    send(world, 200, "k1", KR_KEYS, "{\"description\":\"d\"}");
}

static void of_two_tries_at_once_one_has_the_effect(void **state)
{
    struct api_world *world = *state;
    world->meanwhile = send_first;
    send(world, 200, "k1", KR_KEYS, "{\"description\":\"d\"}");
    assert_int_equal(world->runs, 2);
    api_expect(world, 200, "GET", KR_KEYS, NULL);
    assert_int_equal(api_number(world, "total"), 1);
}

static void the_stored_answer_tells_nobody_the_value(void **state)
{
    struct api_world *world = *state;
    send(world, 200, "k1", KR_KEYS, NULL);
    struct bytes value = bytes_text(api_text(world, "key"));
    const struct idempotency *stored = world->call->command.idempotency;
    assert_non_null(stored);
    assert_null(memmem(stored->answer.data, stored->answer.size, value.data, value.size));
    struct buf plain;
    buf_init(&plain, 1u << 20);
    struct bytes guess = bytes_text("k1");
    assert_int_equal(vault_open_for(guess, "idempotent answer", stored->answer, &plain),
                     KR_ERR_CORRUPT);
    buf_fini(&plain);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, api_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_same_request_gets_the_same_answer_and_one_effect),
        TEST(another_request_under_the_same_key_is_a_conflict),
        TEST(a_refusal_is_not_kept),
        TEST(another_token_has_its_own_keys),
        TEST(after_a_day_the_key_is_free_again),
        TEST(a_key_that_is_none_is_refused),
        TEST(only_post_looks_at_it),
        TEST(a_revocation_is_replayed_with_its_receipt),
        TEST(an_answer_without_a_body_is_replayed_without_one),
        TEST(of_two_tries_at_once_one_has_the_effect),
        TEST(the_stored_answer_tells_nobody_the_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
