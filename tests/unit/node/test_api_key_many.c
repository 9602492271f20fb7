// SPDX-License-Identifier: Apache-2.0
// Tests of $bulk and roll-key: what happens to many keys of one consumer at once.
#include "tests/unit/node/api_fixture.h"

#define KR_CONSUMERS KR_API_BUCKETS "/production/consumers"
#define KR_ACME KR_CONSUMERS "/acme"
#define KR_KEYS KR_ACME "/keys"
#define KR_BULK KR_KEYS "/$bulk"
#define KR_ROLL KR_ACME "/roll-key"

static int start(void **state)
{
    api_setup(state);
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_CONSUMERS, "{\"name\":\"acme\"}");
    return 0;
}

static const char *text_at(struct api_world *world, unsigned position, const char *name)
{
    return api_text(world, arena_printf(&world->arena, "data.%u.%s", position, name));
}

static void expect_total(struct api_world *world, const char *query, int64_t total)
{
    api_expect(world, 200, "GET", arena_printf(&world->arena, KR_KEYS "%s", query), NULL);
    assert_int_equal(api_number(world, "total"), total);
}

// --- $bulk ---------------------------------------------------------------------------------------

static void many_keys_are_made_by_one_entry(void **state)
{
    struct api_world *world = *state;
    uint64_t index = store_applied_index(world->node.store);
    api_expect(world, 200, "POST", KR_BULK,
               "[{\"description\":\"a\"},{},{\"key\":\"a-custom-value-of-a-key-000001\"}]");
    assert_int_equal(store_applied_index(world->node.store), index + 1);
    assert_int_equal(json_size(api_value(world, "data")), 3);
    assert_int_equal(api_number(world, "total"), 3);
    assert_int_equal(format_check(bytes_text(text_at(world, 0, "key"))), KR_FORMAT_OK);
    assert_string_equal(text_at(world, 2, "key"), "a-custom-value-of-a-key-000001");
    assert_string_equal(api_answer_field(world, "Cache-Control"), "no-store");
    struct audit audit = api_last_audit(world);
    assert_string_equal(audit.action, "key.bulk");
    assert_string_equal(audit.detail, "{\"keys\":3}");
    expect_total(world, "", 3);
}

static void one_bad_item_makes_none(void **state)
{
    static const struct {
        unsigned status;
        const char *body, *part;
    } cases[] = {
        {400, "[{},{\"scopes\":[1]}]", "[1].scopes"},
        {400, "[{},7]", "[1]"},
        {400, "[{},{\"key\":\"short\"}]", "[1].key"},
        {400, "[]", "1 to 10000"},
        {400, "{}", "array"},
        {409,
         "[{\"key\":\"a-custom-value-of-a-key-000002\"},{},"
         "{\"key\":\"a-custom-value-of-a-key-000002\"}]",
         "[2].key: the same value as [0].key"},
        {409, "[{},{\"key\":\"a-custom-value-of-a-key-000001\"}]", "[1].key"},
    };
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS, "{\"key\":\"a-custom-value-of-a-key-000001\"}");
    uint64_t index = store_applied_index(world->node.store);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        api_expect_problem(world, cases[i].status, "POST", KR_BULK, cases[i].body, cases[i].part);
    assert_int_equal(store_applied_index(world->node.store), index);
    expect_total(world, "", 1);
}

static const char *bulk_of(struct api_world *world, unsigned count)
{
    char *body = arena_alloc(&world->arena, 3 * count + 2);
    for (unsigned i = 0; i < count; i++)
        memcpy(body + 3 * i, i == 0 ? "[{}" : ",{}", 3);
    memcpy(body + 3 * count, "]", 2);
    return body;
}

#define KR_HASH(end)                                                                               \
    "{\"keyHash\":{\"algorithm\":\"sha256\",\"value\":"                                            \
    "\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a" end "\"}}"

static void hashes_that_begin_alike_are_one_value(void **state)
{
    struct api_world *world = *state;
    api_expect_problem(world, 409, "POST", KR_BULK, "[" KR_HASH("08") "," KR_HASH("09") "]", "[1]");
    expect_total(world, "", 0);
}

static void more_than_ten_thousand_are_too_many(void **state)
{
    struct api_world *world = *state;
    api_expect_problem(world, 400, "POST", KR_BULK, bulk_of(world, 10001), "10001");
}

// --- roll-key ------------------------------------------------------------------------------------

static void a_roll_ends_all_keys_and_makes_one(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS, "{\"expiresOn\":\"2023-11-15T00:00:00Z\"}");
    world->now_ms += 1000;
    api_expect(world, 200, "POST", KR_KEYS,
               "{\"description\":\"new\",\"scopes\":[\"read\"],\"ipAllow\":[\"192.0.2.0/24\"],"
               "\"tags\":{\"a\":\"b\"},\"metadata\":{\"n\":1},\"notBefore\":\"2020-01-01\"}");
    const char *newest = api_text(world, "id");
    world->now_ms += 1000;
    uint64_t index = store_applied_index(world->node.store);
    api_expect(world, 204, "POST", KR_ROLL, NULL);
    assert_int_equal(world->call->answer.body.size, 0);
    assert_int_equal(store_applied_index(world->node.store), index + 1);

    api_expect(world, 200, "GET", KR_KEYS, NULL);
    assert_int_equal(api_number(world, "total"), 3);
    assert_string_equal(text_at(world, 0, "expiresOn"), "2023-11-15T00:00:00.000Z");
    assert_string_equal(text_at(world, 1, "expiresOn"), "2023-11-21T22:13:22.000Z");
    assert_string_equal(text_at(world, 1, "status"), "expiring");
    assert_string_equal(text_at(world, 1, "scopes.0"), "read");
    assert_string_equal(text_at(world, 2, "status"), "active");
    assert_string_equal(text_at(world, 2, "description"), "new");
    assert_string_equal(text_at(world, 2, "scopes.0"), "read");
    assert_string_equal(text_at(world, 2, "ipAllow.0"), "192.0.2.0/24");
    assert_string_equal(text_at(world, 2, "tags.a"), "b");
    assert_int_equal(api_number(world, "data.2.metadata.n"), 1);
    assert_string_equal(text_at(world, 2, "rotatedFrom"), newest);
    assert_null(text_at(world, 2, "expiresOn"));
    assert_null(text_at(world, 2, "notBefore"));
}

static void a_roll_may_show_the_new_key(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS, NULL);
    api_expect(world, 200, "POST", KR_ROLL "?return=key",
               "{\"expiresOn\":\"2023-11-14T23:00:00Z\"}");
    assert_int_equal(format_check(bytes_text(api_text(world, "key"))), KR_FORMAT_OK);
    assert_string_equal(api_answer_field(world, "Cache-Control"), "no-store");
    const char *value = api_text(world, "key");
    struct audit audit = api_last_audit(world);
    assert_string_equal(audit.action, "consumer.roll");
    assert_non_null(strstr(audit.detail, "\"keys\":1"));
    assert_null(strstr(audit.detail, value));
    api_expect_problem(world, 400, "POST", KR_ROLL "?return=all", NULL, "return");
    api_expect_problem(world, 400, "POST", KR_ROLL, "{\"expires\":1}", "expires");
}

static void a_roll_into_the_past_revokes_at_once(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS, "{\"expiresOn\":\"2023-11-14T22:14:00Z\"}");
    world->now_ms += 1000;
    api_expect(world, 200, "POST", KR_KEYS, NULL);
    world->now_ms += 1000;
    api_expect(world, 204, "POST", KR_ROLL, "{\"expiresOn\":\"2023-11-14T00:00:00Z\"}");
    api_expect(world, 200, "GET", KR_KEYS, NULL);
    assert_string_equal(text_at(world, 0, "status"), "revoked");
    assert_string_equal(text_at(world, 0, "revokeReason"), "superseded");
    assert_string_equal(text_at(world, 1, "status"), "revoked");
    assert_string_equal(text_at(world, 2, "status"), "active");
}

static void a_roll_wants_a_time_or_nothing(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS, NULL);
    api_expect_problem(world, 400, "POST", KR_ROLL, "{\"expiresOn\":null}",
                       "expiresOn: needs a time");
    api_expect(world, 200, "GET", KR_KEYS, NULL);
    assert_int_equal(api_number(world, "total"), 1);
    assert_null(text_at(world, 0, "expiresOn"));
    api_expect(world, 204, "POST", KR_ROLL, "{}");
}

static void a_roll_leaves_what_has_ended_alone(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS, "{\"expiresOn\":\"2023-11-14T22:13:21Z\"}");
    const char *expired = arena_text(&world->arena, api_answer_field(world, "ETag"));
    const char *id = api_text(world, "id");
    world->now_ms += 5000;
    api_expect(world, 204, "POST", KR_ROLL, "{\"expiresOn\":\"2020-01-01T00:00:00Z\"}");
    api_expect(world, 200, "GET", arena_printf(&world->arena, KR_KEYS "/%s", id), NULL);
    assert_string_equal(api_text(world, "status"), "expired");
    assert_string_equal(api_answer_field(world, "ETag"), expired);
}

static void a_revoked_key_passes_no_rights_on(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS, "{\"scopes\":[\"read\"]}");
    world->now_ms += 1000;
    api_expect(world, 200, "POST", KR_KEYS, "{\"scopes\":[\"admin\"]}");
    const char *id = api_text(world, "id");
    api_expect(world, 200, "POST", arena_printf(&world->arena, KR_KEYS "/%s/revoke", id), NULL);
    api_expect(world, 200, "POST", KR_ROLL "?return=key", NULL);
    assert_string_equal(api_text(world, "scopes.0"), "read");
}

static void a_consumer_whose_keys_are_all_revoked_gets_a_fresh_one(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS, NULL);
    api_expect(world, 200, "POST", KR_ACME "/revoke", "{\"confirm\":\"acme\"}");
    api_expect(world, 200, "POST", KR_ROLL "?return=key", NULL);
    assert_string_equal(api_text(world, "status"), "active");
    expect_total(world, "?status=active", 1);
    expect_total(world, "?status=revoked", 1);
}

static void an_expired_key_passes_its_rights_to_nobody_whose_newest_key_is_revoked(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS,
               "{\"expiresOn\":\"2023-11-14T22:13:21Z\",\"scopes\":[\"admin\"]}");
    world->now_ms += 5000;
    api_expect(world, 200, "POST", KR_KEYS, "{\"scopes\":[\"read\"]}");
    const char *id = api_text(world, "id");
    api_expect(world, 200, "POST", arena_printf(&world->arena, KR_KEYS "/%s/revoke", id), NULL);
    world->roles = KR_ROLE_DEVELOPER;
    api_expect_problem(world, 403, "POST", KR_ROLL, NULL, "revoked");
    world->roles = KR_ROLE_ADMIN;
    api_expect(world, 200, "POST", KR_ROLL "?return=key", NULL);
    assert_string_equal(api_text(world, "scopes.0"), "read");
}

static void a_consumer_whose_newest_key_has_expired_may_be_rolled(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS, "{\"expiresOn\":\"2023-11-14T22:13:21Z\"}");
    world->now_ms += 5000;
    world->roles = KR_ROLE_DEVELOPER;
    api_expect(world, 200, "POST", KR_ROLL "?return=key", NULL);
    assert_string_equal(api_text(world, "status"), "active");
}

static void of_keys_made_together_the_last_is_the_newest(void **state)
{
    struct api_world *world = *state;
    for (int i = 0; i < 8; i++) {
        api_expect(world, 200, "POST", KR_BULK,
                   "[{\"scopes\":[\"a\"]},{\"scopes\":[\"b\"]},{\"scopes\":[\"c\"]}]");
        api_expect(world, 200, "POST", KR_ROLL "?return=key", NULL);
        assert_string_equal(api_text(world, "scopes.0"), "c");
        world->now_ms += 1000;
    }
}

static void a_consumer_without_keys_has_nothing_to_roll(void **state)
{
    api_expect_problem(*state, 409, "POST", KR_ROLL, NULL, "no key");
}

static void make_another(struct api_world *world)
{
    api_expect(world, 204, "POST", KR_ROLL, NULL);
}

static void two_rolls_at_once_leave_one_lasting_key(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS, NULL);
    world->meanwhile = make_another;
    api_expect(world, 204, "POST", KR_ROLL, NULL);
    assert_int_equal(world->runs, 2);
    expect_total(world, "?status=active", 1);
    expect_total(world, "?status=expiring", 2);
}

static void a_developer_may_roll_and_a_viewer_not(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS, NULL);
    world->roles = KR_ROLE_VIEWER;
    api_expect(world, 403, "POST", KR_ROLL, NULL);
    world->roles = KR_ROLE_DEVELOPER;
    api_expect(world, 204, "POST", KR_ROLL, NULL);
}

static void a_roll_lets_nobody_in_who_was_shut_out(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS, "{\"notBefore\":\"2024-06-01T00:00:00Z\"}");
    const char *path = arena_printf(&world->arena, KR_KEYS "/%s", api_text(world, "id"));
    api_expect(world, 200, "PATCH", path, "{\"enabled\":false}");
    world->roles = KR_ROLE_DEVELOPER;
    api_expect(world, 200, "POST", KR_ROLL "?return=key", NULL);
    assert_string_equal(api_text(world, "status"), "disabled");
    assert_string_equal(api_text(world, "notBefore"), "2024-06-01T00:00:00.000Z");
    world->roles = KR_ROLE_ADMIN;
    api_expect(world, 200, "POST", KR_ACME "/revoke", "{\"confirm\":\"acme\"}");
    world->roles = KR_ROLE_DEVELOPER;
    api_expect_problem(world, 403, "POST", KR_ROLL, NULL, "revoked");
    assert_string_equal(api_last_audit(world).action, "access.denied");
    expect_total(world, "", 2);
}

static void ten_thousand_live_keys_are_rolled_and_no_more(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_BULK, bulk_of(world, 10000));
    api_expect(world, 204, "POST", KR_ROLL, NULL);
    expect_total(world, "?limit=1&status=expiring", 10000);
    // Those that end soon enough already need no change, so only what is new counts.
    api_expect(world, 200, "POST", KR_BULK, bulk_of(world, 10000));
    uint64_t index = store_applied_index(world->node.store);
    api_expect_problem(world, 409, "POST", KR_ROLL, NULL, "10000");
    assert_int_equal(store_applied_index(world->node.store), index);
}

#define KR_TEST(name) cmocka_unit_test_setup_teardown(name, start, api_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KR_TEST(many_keys_are_made_by_one_entry),
        KR_TEST(one_bad_item_makes_none),
        KR_TEST(hashes_that_begin_alike_are_one_value),
        KR_TEST(more_than_ten_thousand_are_too_many),
        KR_TEST(a_roll_ends_all_keys_and_makes_one),
        KR_TEST(a_roll_may_show_the_new_key),
        KR_TEST(a_roll_into_the_past_revokes_at_once),
        KR_TEST(a_roll_wants_a_time_or_nothing),
        KR_TEST(a_roll_leaves_what_has_ended_alone),
        KR_TEST(a_revoked_key_passes_no_rights_on),
        KR_TEST(a_consumer_whose_keys_are_all_revoked_gets_a_fresh_one),
        KR_TEST(an_expired_key_passes_its_rights_to_nobody_whose_newest_key_is_revoked),
        KR_TEST(a_consumer_whose_newest_key_has_expired_may_be_rolled),
        KR_TEST(of_keys_made_together_the_last_is_the_newest),
        KR_TEST(a_consumer_without_keys_has_nothing_to_roll),
        KR_TEST(two_rolls_at_once_leave_one_lasting_key),
        KR_TEST(a_developer_may_roll_and_a_viewer_not),
        KR_TEST(a_roll_lets_nobody_in_who_was_shut_out),
        KR_TEST(ten_thousand_live_keys_are_rolled_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
