// SPDX-License-Identifier: Apache-2.0
// Tests of buckets over the API: create, list, show, change, delete, revoke whole.
#include "tests/unit/node/api_fixture.h"

#define KR_PRODUCTION KR_API_BUCKETS "/production"

static bool api_flag(const struct api_world *world, const char *path)
{
    const struct json *value = api_value(world, path);
    assert_non_null(value);
    return json_bool(value);
}

static bool is_null(const struct api_world *world, const char *path)
{
    const struct json *value = api_value(world, path);
    assert_non_null(value);
    return json_type_of(value) == KR_JSON_NULL;
}

// --- create --------------------------------------------------------------------------------------

static void a_new_bucket_has_the_defaults(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_API_BUCKETS, "{\"name\":\"pay-ments_1\"}");
    assert_true(format_is_id(api_text(world, "id"), "bckt"));
    assert_string_equal(api_text(world, "name"), "pay-ments_1");
    assert_true(is_null(world, "description"));
    assert_false(api_flag(world, "isRetrievable"));
    assert_string_equal(api_text(world, "environment"), "production");
    assert_string_equal(api_text(world, "keyPrefix"), "kr_live");
    assert_true(is_null(world, "defaultExpiryDays"));
    assert_int_equal(api_number(world, "maxStalenessMs"), 60000);
    assert_int_equal(api_number(world, "metadataLimit"), 1024);
    assert_false(api_flag(world, "deleteProtection"));
    assert_string_equal(api_text(world, "createdOn"), "2023-11-14T22:13:20.000Z");
    assert_non_null(api_answer_field(world, "ETag"));
    assert_non_null(api_answer_field(world, "Keyreeve-Index"));
}

static void a_new_bucket_takes_every_setting(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_API_BUCKETS,
               "{\"name\":\"all\",\"description\":\"d\",\"tags\":{\"a\":\"b\"},"
               "\"isRetrievable\":true,\"environment\":\"development\",\"keyPrefix\":\"acme_dev\","
               "\"defaultExpiryDays\":90,\"maxStalenessMs\":null,\"metadataLimit\":16384,"
               "\"deleteProtection\":true}");
    api_expect(world, 200, "GET", KR_API_BUCKETS "/all", NULL);
    assert_string_equal(api_text(world, "description"), "d");
    assert_string_equal(api_text(world, "tags.a"), "b");
    assert_true(api_flag(world, "isRetrievable"));
    assert_string_equal(api_text(world, "environment"), "development");
    assert_string_equal(api_text(world, "keyPrefix"), "acme_dev");
    assert_int_equal(api_number(world, "defaultExpiryDays"), 90);
    assert_true(is_null(world, "maxStalenessMs"));
    assert_int_equal(api_number(world, "metadataLimit"), 16384);
    assert_true(api_flag(world, "deleteProtection"));
}

static void the_prefix_follows_the_environment(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_API_BUCKETS,
               "{\"name\":\"pre\",\"environment\":\"preview\"}");
    assert_string_equal(api_text(world, "keyPrefix"), "kr_test");
}

static void what_is_not_valid_is_refused_by_name(void **state)
{
    static const struct {
        const char *body, *part;
    } refused[] = {
        {"{}", "name"},
        {"{\"name\":null}", "name"},
        {"{\"name\":\"ab\"}", "name"},
        {"{\"name\":\"Upper\"}", "name"},
        {"{\"name\":1}", "name"},
        {"{\"name\":\"abc\",\"colour\":\"red\"}", "colour"},
        {"{\"name\":\"abc\",\"environment\":\"moon\"}", "environment"},
        {"{\"name\":\"abc\",\"keyPrefix\":\"_x\"}", "keyPrefix"},
        {"{\"name\":\"abc\",\"defaultExpiryDays\":-1}", "defaultExpiryDays"},
        {"{\"name\":\"abc\",\"defaultExpiryDays\":1.5}", "defaultExpiryDays"},
        {"{\"name\":\"abc\",\"metadataLimit\":16385}", "metadataLimit: must be from 1 to 16384"},
        {"{\"name\":\"abc\",\"metadataLimit\":0}", "metadataLimit: must be from 1 to 16384"},
        {"{\"name\":\"abc\",\"metadataLimit\":-1}", "metadataLimit: must be from 1 to 16384"},
        {"{\"name\":\"abc\",\"isRetrievable\":\"yes\"}", "isRetrievable"},
        {"{\"name\":\"abc\",\"tags\":[\"a\"]}", "tags"},
        {"{\"name\":\"abc\",\"tags\":{\"a\":1}}", "tags"},
        {"{\"name\":\"abc\",\"tags\":{\"a\":\"\",\"b\":\"\",\"c\":\"\",\"d\":\"\",\"e\":\"\","
         "\"f\":\"\"}}",
         "tags"},
        {"[]", "object"},
        {"{\"name\":\"abc\"", "JSON"},
        {"{\"name\":\"abc\",\"name\":\"abd\"}", "JSON"},
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        api_expect_problem(*state, 400, "POST", KR_API_BUCKETS, refused[i].body, refused[i].part);
    api_expect(*state, 404, "GET", KR_API_BUCKETS "/abc", NULL);
}

static void a_description_has_at_most_1024_characters(void **state)
{
    struct api_world *world = *state;
    char body[4200], text[2 * 1025 + 1];
    for (size_t i = 0; i < 1025; i++)
        memcpy(text + 2 * i, "\xc3\xa4", 2);
    text[2 * 1025] = '\0';
    snprintf(body, sizeof(body), "{\"name\":\"long\",\"description\":\"%s\"}", text);
    api_expect_problem(world, 400, "POST", KR_API_BUCKETS, body, "description");
    text[2 * 1024] = '\0';
    snprintf(body, sizeof(body), "{\"name\":\"long\",\"description\":\"%s\"}", text);
    api_expect(world, 200, "POST", KR_API_BUCKETS, body);
}

static void a_name_in_use_is_a_conflict(void **state)
{
    api_expect_problem(*state, 409, "POST", KR_API_BUCKETS, "{\"name\":\"production\"}", "name");
    api_expect(*state, 409, "POST", KR_API_BUCKETS, "{\"name\":\"keyreeve-system\"}");
}

static void steal_name(struct api_world *world)
{
    api_expect(world, 200, "POST", KR_API_BUCKETS, "{\"name\":\"wanted\"}");
}

static void a_name_taken_meanwhile_is_a_conflict(void **state)
{
    struct api_world *world = *state;
    world->meanwhile = steal_name;
    api_expect_problem(world, 409, "POST", KR_API_BUCKETS, "{\"name\":\"wanted\"}", "wanted");
    assert_int_equal(world->runs, 2);
}

// --- list, show ----------------------------------------------------------------------------------

static void the_list_is_by_name_without_the_systems_own(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "GET", KR_API_BUCKETS, NULL);
    assert_int_equal(api_number(world, "total"), 2);
    assert_int_equal(api_number(world, "limit"), 1000);
    assert_int_equal(api_number(world, "offset"), 0);
    assert_string_equal(api_text(world, "data.0.name"), "production");
    assert_string_equal(api_text(world, "data.1.name"), "vault");
    assert_null(api_value(world, "cursor"));
    api_expect(world, 404, "GET", KR_API_BUCKETS "/keyreeve-system", NULL);
}

static void the_list_has_pages_by_offset_and_by_cursor(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "GET", KR_API_BUCKETS "?limit=1&offset=1", NULL);
    assert_string_equal(api_text(world, "data.0.name"), "vault");
    assert_null(api_value(world, "cursor"));
    api_expect(world, 200, "GET", KR_API_BUCKETS "?limit=1", NULL);
    const char *cursor = api_text(world, "cursor");
    assert_non_null(cursor);
    api_expect(world, 200, "GET",
               arena_printf(&world->arena, KR_API_BUCKETS "?limit=1&cursor=%s", cursor), NULL);
    assert_string_equal(api_text(world, "data.0.name"), "vault");
    assert_int_equal(api_number(world, "total"), 2);
    assert_null(api_value(world, "cursor"));
}

static void a_page_that_is_none_is_refused(void **state)
{
    api_expect_problem(*state, 400, "GET", KR_API_BUCKETS "?limit=0", NULL, "limit");
    api_expect_problem(*state, 400, "GET", KR_API_BUCKETS "?limit=x", NULL, "limit");
    api_expect_problem(*state, 400, "GET", KR_API_BUCKETS "?limit=x", NULL, "number, 1 or more");
    api_expect_problem(*state, 400, "GET", KR_API_BUCKETS "?offset=x", NULL, "number, 0 or more");
    api_expect_problem(*state, 400, "GET", KR_API_BUCKETS "?offset=-1", NULL, "offset");
    api_expect_problem(*state, 400, "GET", KR_API_BUCKETS "?cursor=!", NULL, "cursor");
    api_expect_problem(*state, 400, "GET", KR_API_BUCKETS "?cursor=YWI&offset=1", NULL, "cursor");
    struct api_world *world = *state;
    api_expect(world, 200, "GET", KR_API_BUCKETS "?limit=5000", NULL);
    assert_int_equal(api_number(world, "limit"), 1000);
}

static void a_bucket_is_shown_by_name_and_by_id(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "GET", KR_PRODUCTION, NULL);
    const char *id = api_text(world, "id");
    api_expect(world, 200, "GET", arena_printf(&world->arena, KR_API_BUCKETS "/%s", id), NULL);
    assert_string_equal(api_text(world, "name"), "production");
    api_expect(world, 200, "GET", "/v1/accounts/" KR_API_ACCOUNT "/key-buckets/production", NULL);
    api_expect(world, 404, "GET", "/v1/accounts/other/key-buckets/production", NULL);
    api_expect_problem(world, 404, "GET", KR_API_BUCKETS "/nowhere", NULL, "nowhere");
    assert_string_equal(api_text(world, "title"), "Not Found");
    assert_string_equal(api_text(world, "type"), "https://httpproblems.com/http-status/404");
    assert_string_equal(api_text(world, "instance"), KR_API_BUCKETS "/nowhere");
    assert_non_null(api_text(world, "trace.requestId"));
}

static void a_limited_token_sees_only_its_buckets(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "GET", KR_API_BUCKETS "/vault", NULL);
    struct access limited = {.roles = KR_ROLE_OWNER, .environment = -1, .bucket_count = 1};
    strcpy(limited.buckets[0], api_text(world, "id"));
    strcpy(limited.token_id, KR_API_TOKEN);
    api_end_call(world);
    api_make(world, "GET", KR_API_BUCKETS, bytes_text(""));
    world->call->actor = limited;
    api_run(world);
    struct bytes answer = buf_bytes(&world->call->answer.body);
    assert_non_null(memmem(answer.data, answer.size, "\"vault\"", 7));
    assert_null(memmem(answer.data, answer.size, "production\",\"desc", 17));
    api_end_call(world);
    api_make(world, "GET", KR_PRODUCTION, bytes_text(""));
    world->call->actor = limited;
    api_run(world);
    assert_int_equal(world->call->answer.status, 403);
    struct audit audit = api_last_audit(world);
    assert_string_equal(audit.action, "access.denied");
    assert_false(audit.is_success);
}

// --- change --------------------------------------------------------------------------------------

static void a_change_leaves_out_what_stays(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "PATCH", KR_PRODUCTION, "{\"description\":\"new\"}");
    api_expect(world, 200, "PATCH", KR_PRODUCTION, "{\"tags\":{\"a\":\"b\"}}");
    assert_string_equal(api_text(world, "description"), "new");
    assert_string_equal(api_text(world, "tags.a"), "b");
    assert_string_equal(api_last_audit(world).detail, "{\"changed\":[\"tags\"]}");
    api_expect(world, 200, "PATCH", KR_PRODUCTION,
               "{\"description\":null,\"keyPrefix\":\"abc\",\"defaultExpiryDays\":1}");
    assert_true(is_null(world, "description"));
    assert_string_equal(api_text(world, "keyPrefix"), "abc");
    api_expect(world, 200, "PATCH", KR_PRODUCTION,
               "{\"keyPrefix\":null,\"defaultExpiryDays\":null,\"metadataLimit\":null}");
    assert_string_equal(api_text(world, "keyPrefix"), "kr_live");
    assert_true(is_null(world, "defaultExpiryDays"));
}

static void what_is_fixed_at_creation_cannot_be_changed(void **state)
{
    api_expect_problem(*state, 400, "PATCH", KR_PRODUCTION, "{\"name\":\"other\"}", "name");
    api_expect_problem(*state, 400, "PATCH", KR_PRODUCTION, "{\"isRetrievable\":true}",
                       "isRetrievable");
    api_expect_problem(*state, 400, "PATCH", KR_PRODUCTION, "{\"environment\":\"preview\"}",
                       "environment");
}

static void a_change_may_name_the_state_it_is_meant_for(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "GET", KR_PRODUCTION, NULL);
    const char *tag = arena_text(&world->arena, api_answer_field(world, "ETag"));
    world->if_match = arena_printf(&world->arena, "\"other\", %s", tag);
    api_expect(world, 200, "PATCH", KR_PRODUCTION, "{\"description\":\"one\"}");
    assert_string_not_equal(api_answer_field(world, "ETag"), tag);
    world->if_match = tag;
    api_expect(world, 412, "PATCH", KR_PRODUCTION, "{\"description\":\"two\"}");
    world->if_match = tag;
    api_expect(world, 412, "DELETE", KR_PRODUCTION, NULL);
    world->if_match = "*";
    api_expect(world, 200, "PATCH", KR_PRODUCTION, "{\"description\":\"three\"}");
}

static void change_description(struct api_world *world)
{
    api_expect(world, 200, "PATCH", KR_PRODUCTION, "{\"description\":\"theirs\"}");
}

static void changes_at_the_same_time_are_both_kept(void **state)
{
    struct api_world *world = *state;
    world->meanwhile = change_description;
    api_expect(world, 200, "PATCH", KR_PRODUCTION, "{\"tags\":{\"mine\":\"yes\"}}");
    assert_int_equal(world->runs, 2);
    assert_string_equal(api_text(world, "description"), "theirs");
    assert_string_equal(api_text(world, "tags.mine"), "yes");
}

static void tags_of_the_query_are_about_the_bucket_itself(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "PATCH", KR_PRODUCTION, "{\"tags\":{\"env\":\"prod\"}}");
    static const char other[] = KR_PRODUCTION "?tag.env=test";
    static const char part[] = "no bucket with these tags named production";
    api_expect_problem(world, 404, "GET", other, NULL, part);
    api_expect_problem(world, 404, "PATCH", other, "{\"description\":\"no\"}", part);
    api_expect_problem(world, 404, "DELETE", other, NULL, part);
    api_expect_problem(world, 404, "POST", KR_PRODUCTION "/revoke?tag.env=test",
                       "{\"confirm\":\"production\"}", part);
    api_expect(world, 200, "GET", KR_API_BUCKETS "?tag.env=prod", NULL);
    assert_int_equal(api_number(world, "total"), 1);
    assert_string_equal(api_text(world, "data.0.name"), "production");
    api_expect(world, 200, "GET", KR_API_BUCKETS "?tag.env=test", NULL);
    assert_int_equal(api_number(world, "total"), 0);
    // Below the bucket they are the consumer's.
    api_expect(world, 200, "POST", KR_PRODUCTION "/consumers?tag.env=test",
               "{\"name\":\"acme\",\"tags\":{\"env\":\"test\"}}");
    api_expect(world, 200, "GET", KR_PRODUCTION "/consumers/acme?tag.env=test", NULL);
    api_expect(world, 204, "DELETE", KR_PRODUCTION "?tag.env=prod", NULL);
}

static const char *below_buckets(struct api_world *world, const char *place, const char *item)
{
    return arena_printf(&world->arena, KR_API_BUCKETS "/%s%s", place, item);
}

static void what_may_be_a_keys_value_is_not_repeated(void **state)
{
    static const char value[] = "kr_live_4RXcZkuGLWcoKmqoxZaGs8uEiTnB3xWfYd6hVjLpQa1_0badc0de";
    static const struct {
        const char *method, *place;
    } asked[] = {{"GET", ""},
                 {"GET", "production/consumers/"},
                 {"GET", "production/consumers/acme/keys/"},
                 {"DELETE", "production/consumers/acme/managers/"}};
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_PRODUCTION "/consumers", "{\"name\":\"acme\"}");
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        api_expect_problem(world, 404, asked[i].method, below_buckets(world, asked[i].place, value),
                           NULL, "there is no such");
        assert_false(api_answer_has(world, value + 8));
        assert_string_equal(api_text(world, "instance"), below_buckets(world, asked[i].place, "…"));
    }
    api_expect_problem(world, 400, "POST", KR_PRODUCTION "/consumers/acme/keys",
                       arena_printf(&world->arena, "{\"%s\":1}", value), "unknown field");
    assert_false(api_answer_has(world, value + 8));
}

// --- delete, revoke ------------------------------------------------------------------------------

static void a_deleted_bucket_is_gone_with_everything_in_it(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_PRODUCTION "/consumers", "{\"name\":\"acme\"}");
    api_expect(world, 204, "DELETE", KR_PRODUCTION, NULL);
    assert_null(world->call->answer.content_type);
    api_expect(world, 404, "GET", KR_PRODUCTION, NULL);
    api_expect(world, 404, "GET", KR_PRODUCTION "/consumers/acme", NULL);
    api_expect(world, 200, "POST", KR_API_BUCKETS, "{\"name\":\"production\"}");
    api_expect(world, 404, "GET", KR_PRODUCTION "/consumers/acme", NULL);
}

static void a_protected_bucket_cannot_be_deleted(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "PATCH", KR_PRODUCTION, "{\"deleteProtection\":true}");
    api_expect_problem(world, 409, "DELETE", KR_PRODUCTION, NULL, "deleteProtection");
    api_expect(world, 200, "PATCH", KR_PRODUCTION, "{\"deleteProtection\":false}");
    api_expect(world, 204, "DELETE", KR_PRODUCTION, NULL);
}

static void a_bucket_is_revoked_whole_when_its_name_is_said(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_PRODUCTION "/consumers?with-api-key=true",
               "{\"name\":\"acme\",\"apiKeys\":[{}]}");
    api_expect_problem(world, 400, "POST", KR_PRODUCTION "/revoke", "{}", "confirm");
    api_expect_problem(world, 400, "POST", KR_PRODUCTION "/revoke", NULL, "confirm");
    api_expect_problem(world, 400, "POST", KR_PRODUCTION "/revoke", "{\"confirm\":\"vault\"}",
                       "confirm");
    api_expect_problem(world, 400, "POST", KR_PRODUCTION "/revoke",
                       "{\"confirm\":\"production\",\"reason\":\"boredom\"}", "reason");
    api_expect_problem(world, 400, "POST", KR_PRODUCTION "/revoke?wait=never",
                       "{\"confirm\":\"production\"}", "wait");
    api_expect_problem(world, 400, "POST", KR_PRODUCTION "/revoke?timeoutMs=0",
                       "{\"confirm\":\"production\"}",
                       "timeoutMs: a whole number from 1 to 600000");
    api_expect(world, 200, "POST", KR_PRODUCTION "/revoke?wait=everywhere&timeoutMs=600000",
               "{\"confirm\":\"production\",\"reason\":\"keyCompromise\"}");
    assert_int_equal(api_number(world, "keys"), 2);
    assert_string_equal(api_text(world, "level"), "everywhere");
    assert_string_equal(api_text(world, "nodes.0.node"), "node-1");
    assert_string_equal(api_text(world, "nodes.0.state"), "applied");
    int64_t index = api_number(world, "index");
    api_expect(world, 200, "GET", KR_PRODUCTION "/consumers/acme/keys", NULL);
    assert_string_equal(api_text(world, "data.0.status"), "revoked");
    assert_string_equal(api_text(world, "data.0.revokeReason"), "keyCompromise");
    assert_string_equal(api_text(world, "data.1.revokedOn"), "2023-11-14T22:13:20.000Z");
    api_expect(world, 200, "GET",
               arena_printf(&world->arena, "/v1/receipts/%lld", (long long)index), NULL);
    assert_int_equal(api_number(world, "keys"), 2);
    api_expect(world, 404, "GET", "/v1/receipts/1", NULL);
    api_expect(world, 404, "GET", "/v1/receipts/x", NULL);
    api_expect(world, 200, "POST", KR_PRODUCTION "/consumers/acme/keys", NULL);
    assert_string_equal(api_text(world, "status"), "active");
}

static void roles_below_the_owner_may_not_touch_buckets(void **state)
{
    struct api_world *world = *state;
    world->roles = KR_ROLE_ADMIN;
    api_expect(world, 403, "POST", KR_API_BUCKETS, "{\"name\":\"abc\"}");
    api_expect(world, 403, "PATCH", KR_PRODUCTION, "{}");
    api_expect(world, 403, "DELETE", KR_PRODUCTION, NULL);
    api_expect(world, 200, "GET", KR_PRODUCTION, NULL);
    struct audit audit = api_last_audit(world);
    assert_string_equal(audit.action, "access.denied");
    world->roles = KR_ROLE_VIEWER;
    api_expect(world, 403, "POST", KR_PRODUCTION "/revoke", "{\"confirm\":\"production\"}");
    api_expect(world, 200, "GET", KR_API_BUCKETS, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_bucket_has_the_defaults),
        TEST(a_new_bucket_takes_every_setting),
        TEST(the_prefix_follows_the_environment),
        TEST(what_is_not_valid_is_refused_by_name),
        TEST(a_description_has_at_most_1024_characters),
        TEST(a_name_in_use_is_a_conflict),
        TEST(a_name_taken_meanwhile_is_a_conflict),
        TEST(the_list_is_by_name_without_the_systems_own),
        TEST(the_list_has_pages_by_offset_and_by_cursor),
        TEST(a_page_that_is_none_is_refused),
        TEST(a_bucket_is_shown_by_name_and_by_id),
        TEST(a_limited_token_sees_only_its_buckets),
        TEST(a_change_leaves_out_what_stays),
        TEST(what_is_fixed_at_creation_cannot_be_changed),
        TEST(a_change_may_name_the_state_it_is_meant_for),
        TEST(changes_at_the_same_time_are_both_kept),
        TEST(a_deleted_bucket_is_gone_with_everything_in_it),
        TEST(a_protected_bucket_cannot_be_deleted),
        TEST(a_bucket_is_revoked_whole_when_its_name_is_said),
        TEST(roles_below_the_owner_may_not_touch_buckets),
        TEST(tags_of_the_query_are_about_the_bucket_itself),
        TEST(what_may_be_a_keys_value_is_not_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
