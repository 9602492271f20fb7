// SPDX-License-Identifier: Apache-2.0
// Tests of consumers and their managers over the API.
#include "tests/unit/node/api_fixture.h"

#define KR_CONSUMERS KR_API_BUCKETS "/production/consumers"
#define KR_KEPT KR_API_BUCKETS "/vault/consumers"
#define KR_ACME KR_CONSUMERS "/acme"

static size_t size_of(const struct api_world *world, const char *path)
{
    const struct json *value = api_value(world, path);
    assert_non_null(value);
    return json_size(value);
}

// --- create --------------------------------------------------------------------------------------

static void the_documented_curl_line_creates_a_consumer(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_CONSUMERS,
               "{\"metadata\":{\"testId\":\"1234\"},\"name\":\"my-consumer\"}");
    assert_true(format_is_id(api_text(world, "id"), "csmr"));
    assert_string_equal(api_text(world, "name"), "my-consumer");
    assert_string_equal(api_text(world, "metadata.testId"), "1234");
    assert_int_equal(json_type_of(api_value(world, "description")), KR_JSON_NULL);
    assert_int_equal(size_of(world, "tags"), 0);
    assert_null(api_value(world, "apiKeys"));
    assert_null(api_value(world, "managers"));
    struct audit audit = api_last_audit(world);
    assert_string_equal(audit.action, "consumer.create");
    assert_string_equal(audit.target_name, "my-consumer");
}

static void a_consumer_comes_with_keys_and_managers_when_asked(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_CONSUMERS "?with-api-key=true",
               "{\"name\":\"acme\",\"managers\":[{\"email\":\"a@example.com\",\"sub\":\"s\"},"
               "{\"email\":\"b@example.com\"}],"
               "\"apiKeys\":[{\"description\":\"first\",\"scopes\":[\"read\"]}]}");
    assert_int_equal(size_of(world, "apiKeys"), 2);
    assert_string_equal(api_text(world, "apiKeys.0.description"), "first");
    assert_string_equal(api_text(world, "apiKeys.0.scopes.0"), "read");
    for (int i = 0; i < 2; i++) {
        const char *path = i == 0 ? "apiKeys.0.key" : "apiKeys.1.key";
        assert_int_equal(format_check(bytes_text(api_text(world, path))), KR_FORMAT_OK);
    }
    assert_string_equal(api_text(world, "managers.0.sub"), "s");
    assert_int_equal(json_type_of(api_value(world, "managers.1.sub")), KR_JSON_NULL);
    api_expect(world, 200, "GET", KR_ACME "/keys", NULL);
    assert_int_equal(api_number(world, "total"), 2);
}

static void what_is_wrong_in_a_part_refuses_the_whole(void **state)
{
    static const struct {
        unsigned status;
        const char *body, *part;
    } refused[] = {
        {400, "{\"name\":\"acme\",\"apiKeys\":[{},{\"colour\":1}]}", "apiKeys[1].colour"},
        {400, "{\"name\":\"acme\",\"apiKeys\":[1]}", "apiKeys[0]"},
        {400, "{\"name\":\"acme\",\"apiKeys\":{}}", "apiKeys"},
        {400, "{\"name\":\"acme\",\"apiKeys\":[{\"key\":\"short\"}]}", "apiKeys[0].key"},
        {400,
         "{\"name\":\"acme\",\"apiKeys\":[{\"keyHash\":{\"algorithm\":\"md5\",\"value\":\"x\"}}]}",
         "apiKeys[0].keyHash.algorithm"},
        {400, "{\"name\":\"acme\",\"apiKeys\":[{\"ipAllow\":[\"10.0.0.1/8\"]}]}",
         "apiKeys[0].ipAllow[0]"},
        {400, "{\"name\":\"acme\",\"apiKeys\":[{\"scopes\":[\"a b\"]}]}", "apiKeys[0].scopes[0]"},
        {409,
         "{\"name\":\"acme\",\"apiKeys\":[{\"key\":\"0123456789abcdef\"},"
         "{\"key\":\"0123456789abcdef\"}]}",
         "apiKeys[1].key"},
        {400, "{\"name\":\"acme\",\"managers\":[{\"email\":\"nobody\"}]}", "managers[0].email"},
        {400, "{\"name\":\"acme\",\"managers\":[{\"sub\":\"s\"}]}", "managers[0].email"},
        {409, "{\"name\":\"acme\",\"managers\":[{\"email\":\"a@b.c\"},{\"email\":\"A@b.c\"}]}",
         "managers[1].email"},
        {400, "{\"name\":\"Acme\"}", "name"},
        {400, "{\"name\":\"acme\",\"metadata\":[]}", "metadata"},
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        api_expect_problem(*state, refused[i].status, "POST", KR_CONSUMERS, refused[i].body,
                           refused[i].part);
    api_expect(*state, 404, "GET", KR_ACME, NULL);
}

static void no_refusal_repeats_a_value(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_CONSUMERS,
               "{\"name\":\"acme\",\"apiKeys\":[{\"key\":\"secret-value-0123456789\"}]}");
    api_expect(world, 409, "POST", KR_CONSUMERS,
               "{\"name\":\"other\",\"apiKeys\":[{\"key\":\"secret-value-0123456789\"}]}");
    assert_null(strstr(api_text(world, "detail"), "secret-value"));
    api_expect(world, 400, "POST", KR_CONSUMERS,
               "{\"name\":\"other\",\"apiKeys\":[{\"key\":\"secret value 0123456789\"}]}");
    assert_null(strstr(api_text(world, "detail"), "secret value"));
}

static void metadata_is_bounded_by_its_bucket(void **state)
{
    struct api_world *world = *state;
    char body[2100], filler[1100];
    memset(filler, 'x', sizeof(filler));
    filler[1016] = '\0'; // {"a":"…"} takes 8 bytes more
    snprintf(body, sizeof(body), "{\"name\":\"fits\",\"metadata\": {\"a\" : \"%s\"} }", filler);
    api_expect(world, 200, "POST", KR_CONSUMERS, body);
    filler[1016] = 'x';
    filler[1017] = '\0';
    snprintf(body, sizeof(body), "{\"name\":\"over\",\"metadata\":{\"a\":\"%s\"}}", filler);
    api_expect_problem(world, 400, "POST", KR_CONSUMERS, body, "metadata");
    api_expect(world, 200, "PATCH", KR_API_BUCKETS "/production", "{\"metadataLimit\":2048}");
    api_expect(world, 200, "POST", KR_CONSUMERS, body);
}

static void a_name_is_unique_in_its_bucket(void **state)
{
    api_expect(*state, 200, "POST", KR_CONSUMERS, "{\"name\":\"acme\"}");
    api_expect_problem(*state, 409, "POST", KR_CONSUMERS, "{\"name\":\"acme\"}", "name");
    api_expect(*state, 200, "POST", KR_KEPT, "{\"name\":\"acme\"}");
}

// --- list ----------------------------------------------------------------------------------------

static void fill(struct api_world *world)
{
    static const char *const bodies[] = {
        "{\"name\":\"alpha-1\",\"tags\":{\"team\":\"red\"}}",
        "{\"name\":\"alpha-2\",\"tags\":{\"team\":\"blue\",\"plan\":\"gold\"}}",
        "{\"name\":\"beta-1\",\"tags\":{\"team\":\"red\"},"
        "\"managers\":[{\"email\":\"ada@example.com\",\"sub\":\"s\"}]}",
        "{\"name\":\"gamma\",\"managers\":[{\"email\":\"ADA@example.com\"}]}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        api_expect(world, 200, "POST", KR_CONSUMERS, bodies[i]);
}

static void expect_names(struct api_world *world, const char *query, const char *names,
                         int64_t total)
{
    char got[256] = "";
    api_expect(world, 200, "GET", arena_printf(&world->arena, KR_CONSUMERS "?%s", query), NULL);
    const struct json *data = api_value(world, "data");
    for (size_t i = 0; i < json_size(data); i++) {
        strcat(got, i > 0 ? " " : "");
        strcat(got, json_text(json_member(json_at(data, i), "name")));
    }
    assert_string_equal(got, names);
    assert_int_equal(api_number(world, "total"), total);
}

static void the_list_is_filtered_by_prefix_tags_and_manager(void **state)
{
    struct api_world *world = *state;
    fill(world);
    expect_names(world, "", "alpha-1 alpha-2 beta-1 gamma", 4);
    expect_names(world, "q=alpha", "alpha-1 alpha-2", 2);
    expect_names(world, "tag.team=red", "alpha-1 beta-1", 2);
    expect_names(world, "tag.team=blue&tag.plan=gold", "alpha-2", 1);
    expect_names(world, "tag.team=red&q=beta", "beta-1", 1);
    expect_names(world, "tag.team=green", "", 0);
    expect_names(world, "manager-email=ada%40example.com", "beta-1 gamma", 2);
    api_expect_problem(world, 400, "GET", KR_CONSUMERS "?q=A!", NULL, "q");
    api_expect_problem(world, 400, "GET", KR_CONSUMERS "?include-api-keys=perhaps", NULL,
                       "include-api-keys");
}

static void run_given_up(struct api_world *world, const char *method, const char *target,
                         const char *body)
{
    api_end_call(world);
    api_make(world, method, target, bytes_text(body));
    world->call->is_given_up = true;
    api_run(world);
}

static void a_list_that_nobody_waits_for_ends_and_a_change_does_not(void **state)
{
    static const char *const lists[] = {KR_CONSUMERS, KR_CONSUMERS "?q=ac", KR_CONSUMERS "?tag.a=b",
                                        KR_ACME "/keys?status=active",
                                        "/v1/accounts/default/audit-logs"};
    struct api_world *world = *state;
    run_given_up(world, "POST", KR_CONSUMERS "?with-api-key=true", "{\"name\":\"acme\"}");
    assert_int_equal(world->call->answer.status, 200);
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        api_expect(world, 200, "GET", lists[i], NULL);
        run_given_up(world, "GET", lists[i], "");
        assert_int_equal(world->call->answer.status, 503);
        assert_true(api_answer_has(world, "given up"));
    }
}

static void pages_follow_each_other_by_cursor(void **state)
{
    struct api_world *world = *state;
    fill(world);
    const char *queries[] = {"limit=1", "limit=1&tag.team=red", "limit=1&q=alpha"};
    const char *names[] = {"alpha-1 alpha-2 beta-1 gamma", "alpha-1 beta-1", "alpha-1 alpha-2"};
    for (size_t i = 0; i < 3; i++) {
        char got[256] = "";
        const char *cursor = NULL;
        do {
            api_expect(world, 200, "GET",
                       arena_printf(&world->arena, KR_CONSUMERS "?%s%s%s", queries[i],
                                    cursor == NULL ? "" : "&cursor=", cursor == NULL ? "" : cursor),
                       NULL);
            strcat(got, got[0] == '\0' ? "" : " ");
            strcat(got, api_text(world, "data.0.name"));
            cursor = api_text(world, "cursor");
        } while (cursor != NULL);
        assert_string_equal(got, names[i]);
    }
    expect_names(world, "limit=2&offset=1", "alpha-2 beta-1", 4);
    expect_names(world, "limit=2&offset=1&tag.team=red", "beta-1", 2);
    expect_names(world, "offset=9", "", 4);
}

static void a_page_that_is_too_large_says_so(void **state)
{
    struct api_world *world = *state;
    fill(world);
    api_end_call(world);
    api_make(world, "GET", KR_CONSUMERS, bytes_text(""));
    world->call->answer.body.limit = 600;
    api_run(world);
    assert_int_equal(world->call->answer.status, 413);
    assert_true(api_answer_has(world, "ask for fewer items"));
}

static void keys_and_managers_are_embedded_when_asked(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEPT "?with-api-key=true",
               "{\"name\":\"acme\",\"managers\":[{\"email\":\"a@b.c\",\"sub\":\"s\"},"
               "{\"email\":\"d@b.c\"}]}");
    const char *value = api_text(world, "apiKeys.0.key");
    const char *masked = api_text(world, "apiKeys.0.masked");
    api_expect(world, 200, "GET", KR_KEPT "/acme", NULL);
    assert_null(api_value(world, "apiKeys"));
    api_expect(world, 200, "GET", KR_KEPT "/acme?include-api-keys=true&include-managers=true",
               NULL);
    assert_string_equal(api_text(world, "apiKeys.0.key"), masked);
    assert_int_equal(size_of(world, "managers"), 1);
    api_expect(world, 200, "GET", KR_KEPT "?include-managers=true&include-manager-invites=true",
               NULL);
    assert_int_equal(size_of(world, "data.0.managers"), 2);
    api_expect(world, 200, "GET", KR_KEPT "?include-api-keys=true&key-format=none", NULL);
    assert_null(api_value(world, "data.0.apiKeys.0.key"));
    api_expect(world, 200, "GET", KR_KEPT "?include-api-keys=true&key-format=visible", NULL);
    assert_string_equal(api_text(world, "data.0.apiKeys.0.key"), value);
    assert_string_equal(api_answer_field(world, "Cache-Control"), "no-store");
    struct audit audit = api_last_audit(world);
    assert_string_equal(audit.action, "key.reveal");
    assert_null(strstr(audit.detail, value));
}

static void visible_keys_need_the_right_and_a_bucket_that_keeps_them(void **state)
{
    struct api_world *world = *state;
    api_expect_problem(world, 400, "GET", KR_CONSUMERS "?key-format=all", NULL, "key-format");
    api_expect(world, 409, "GET", KR_CONSUMERS "?key-format=visible", NULL);
    world->roles = KR_ROLE_VIEWER;
    api_expect(world, 403, "GET", KR_KEPT "?key-format=visible", NULL);
    assert_string_equal(api_last_audit(world).action, "access.denied");
    world->roles = KR_ROLE_DEVELOPER;
    api_expect(world, 200, "GET", KR_KEPT "?key-format=visible", NULL);
}

// --- one consumer --------------------------------------------------------------------------------

static void tags_are_a_precondition_on_one_consumer(void **state)
{
    struct api_world *world = *state;
    fill(world);
    api_expect(world, 200, "GET", KR_CONSUMERS "/alpha-2?tag.team=blue&tag.plan=gold", NULL);
    api_expect(world, 404, "GET", KR_CONSUMERS "/alpha-2?tag.team=red", NULL);
    api_expect(world, 404, "PATCH", KR_CONSUMERS "/alpha-2?tag.plan=tin", "{}");
    api_expect(world, 404, "DELETE", KR_CONSUMERS "/alpha-2?tag.none=x", NULL);
    api_expect(world, 404, "POST", KR_CONSUMERS "/alpha-2/managers?tag.team=red",
               "{\"email\":\"x@y.z\"}");
    api_expect(world, 204, "DELETE", KR_CONSUMERS "/alpha-2?tag.team=blue", NULL);
}

static void a_consumer_changes_but_not_its_name(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_CONSUMERS, "{\"name\":\"acme\",\"description\":\"d\"}");
    const char *id = api_text(world, "id");
    const char *tag = arena_text(&world->arena, api_answer_field(world, "ETag"));
    world->now_ms += 1000;
    world->if_match = tag;
    api_expect(world, 200, "PATCH", KR_ACME, "{\"metadata\":{\"b\":[1,2.5,null]}}");
    assert_string_equal(api_text(world, "description"), "d");
    assert_string_equal(api_text(world, "createdOn"), "2023-11-14T22:13:20.000Z");
    assert_string_equal(api_text(world, "updatedOn"), "2023-11-14T22:13:21.000Z");
    const char *next = arena_text(&world->arena, api_answer_field(world, "ETag"));
    api_expect(world, 200, "GET", arena_printf(&world->arena, KR_CONSUMERS "/%s", id), NULL);
    assert_string_equal(api_answer_field(world, "ETag"), next);
    assert_string_not_equal(next, tag);
    world->if_match = tag;
    api_expect(world, 412, "PATCH", KR_ACME, "{}");
    api_expect_problem(world, 400, "PATCH", KR_ACME, "{\"name\":\"acme\"}", "name");
    api_expect_problem(world, 400, "PATCH", KR_ACME, "{\"apiKeys\":[]}", "apiKeys");
}

static void a_consumer_of_another_bucket_is_not_found_by_its_id(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEPT, "{\"name\":\"acme\"}");
    const char *id = api_text(world, "id");
    api_expect(world, 404, "GET", arena_printf(&world->arena, KR_CONSUMERS "/%s", id), NULL);
}

static void a_deleted_consumer_makes_room_for_its_name(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_CONSUMERS "?with-api-key=true", "{\"name\":\"acme\"}");
    const char *id = api_text(world, "id");
    api_expect(world, 204, "DELETE", KR_ACME, NULL);
    api_expect(world, 404, "GET", KR_ACME, NULL);
    api_expect(world, 404, "GET", arena_printf(&world->arena, KR_CONSUMERS "/%s", id), NULL);
    expect_names(world, "", "", 0);
    api_expect(world, 200, "POST", KR_CONSUMERS, "{\"name\":\"acme\"}");
    api_expect(world, 200, "GET", KR_ACME "/keys", NULL);
    assert_int_equal(api_number(world, "total"), 0);
}

static void a_second_revocation_leaves_what_the_first_says(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_CONSUMERS, "{\"name\":\"acme\"}");
    api_expect(world, 200, "POST", KR_ACME "/keys", NULL);
    const char *first = api_text(world, "id");
    api_expect(world, 200, "POST", KR_ACME "/revoke",
               "{\"confirm\":\"acme\",\"reason\":\"keyCompromise\"}");
    api_expect(world, 200, "POST", KR_ACME "/keys", NULL);
    const char *second = api_text(world, "id");
    world->now_ms += 60000;
    api_expect(world, 200, "POST", KR_ACME "/revoke",
               "{\"confirm\":\"acme\",\"reason\":\"superseded\"}");
    api_expect(world, 200, "GET", arena_printf(&world->arena, KR_ACME "/keys/%s", first), NULL);
    assert_string_equal(api_text(world, "revokeReason"), "keyCompromise");
    assert_string_equal(api_text(world, "revokedOn"), "2023-11-14T22:13:20.000Z");
    api_expect(world, 200, "GET", arena_printf(&world->arena, KR_ACME "/keys/%s", second), NULL);
    assert_string_equal(api_text(world, "revokeReason"), "superseded");
    assert_string_equal(api_text(world, "revokedOn"), "2023-11-14T22:14:20.000Z");
}

static void every_key_of_a_consumer_dies_by_one_record(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_CONSUMERS "?with-api-key=true", "{\"name\":\"acme\"}");
    api_expect_problem(world, 400, "POST", KR_ACME "/revoke", "{\"confirm\":\"other\"}", "confirm");
    api_expect(world, 200, "POST", KR_ACME "/revoke", "{\"confirm\":\"acme\"}");
    assert_string_equal(api_text(world, "level"), "committed");
    assert_int_equal(api_number(world, "keys"), 1);
    api_expect(world, 200, "GET", KR_ACME "/keys?status=revoked", NULL);
    assert_int_equal(api_number(world, "total"), 1);
    assert_string_equal(api_last_audit(world).action, "consumer.revoke");
}

// --- managers ------------------------------------------------------------------------------------

static void managers_are_invited_accepted_and_removed(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_CONSUMERS, "{\"name\":\"acme\"}");
    api_expect(world, 200, "POST", KR_ACME "/managers", "{\"email\":\"ada@example.com\"}");
    const char *id = api_text(world, "id");
    assert_true(format_is_id(id, "eusr"));
    api_expect_problem(world, 409, "POST", KR_ACME "/managers", "{\"email\":\"Ada@example.com\"}",
                       "email");
    api_expect(world, 200, "POST", KR_ACME "/managers",
               "{\"email\":\"ada@example.com\",\"sub\":\"auth0|1\"}");
    assert_string_equal(api_text(world, "id"), id);
    api_expect(world, 409, "POST", KR_ACME "/managers",
               "{\"email\":\"ada@example.com\",\"sub\":\"auth0|2\"}");
    api_expect(world, 200, "POST", KR_ACME "/managers", "{\"email\":\"bob@example.com\"}");
    api_expect(world, 200, "GET", KR_ACME "/managers?limit=1", NULL);
    assert_int_equal(size_of(world, "data"), 1);
    assert_int_equal(api_number(world, "total"), 2);
    const char *cursor = api_text(world, "cursor");
    api_expect(world, 200, "GET",
               arena_printf(&world->arena, KR_ACME "/managers?limit=1&cursor=%s", cursor), NULL);
    assert_null(api_text(world, "cursor"));
    api_expect(world, 204, "DELETE", arena_printf(&world->arena, KR_ACME "/managers/%s", id), NULL);
    api_expect(world, 404, "DELETE", arena_printf(&world->arena, KR_ACME "/managers/%s", id), NULL);
}

static void invite_ada(struct api_world *world)
{
    api_expect(world, 200, "POST", KR_ACME "/managers", "{\"email\":\"ada@example.com\"}");
}

static void accept_ada(struct api_world *world)
{
    api_expect(world, 200, "POST", KR_ACME "/managers",
               "{\"email\":\"ada@example.com\",\"sub\":\"auth0|1\"}");
}

static void two_at_once_make_no_address_twice(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_CONSUMERS, "{\"name\":\"acme\"}");
    world->meanwhile = invite_ada;
    api_expect_problem(world, 409, "POST", KR_ACME "/managers", "{\"email\":\"Ada@example.com\"}",
                       "email");
    assert_int_equal(world->runs, 2);
    world->meanwhile = accept_ada;
    api_expect_problem(world, 409, "POST", KR_ACME "/managers",
                       "{\"email\":\"ada@example.com\",\"sub\":\"auth0|2\"}", "email");
    api_expect(world, 200, "GET", KR_ACME "/managers", NULL);
    assert_int_equal(api_number(world, "total"), 1);
    assert_string_equal(api_text(world, "data.0.sub"), "auth0|1");
}

static void an_address_is_one(void **state)
{
    static const char *const refused[] = {"",      "a",     "@b",         "a@",
                                          "a@b@c", "a b@c", "a@b\\u000a", "<a@b>"};
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_CONSUMERS, "{\"name\":\"acme\"}");
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        api_expect_problem(world, 400, "POST", KR_ACME "/managers",
                           arena_printf(&world->arena, "{\"email\":\"%s\"}", refused[i]), "email");
    api_expect_problem(world, 400, "POST", KR_ACME "/managers", "{\"email\":\"a@b\",\"sub\":\"\"}",
                       "sub");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_documented_curl_line_creates_a_consumer),
        TEST(a_consumer_comes_with_keys_and_managers_when_asked),
        TEST(what_is_wrong_in_a_part_refuses_the_whole),
        TEST(no_refusal_repeats_a_value),
        TEST(metadata_is_bounded_by_its_bucket),
        TEST(a_name_is_unique_in_its_bucket),
        TEST(the_list_is_filtered_by_prefix_tags_and_manager),
        TEST(a_list_that_nobody_waits_for_ends_and_a_change_does_not),
        TEST(pages_follow_each_other_by_cursor),
        TEST(a_page_that_is_too_large_says_so),
        TEST(keys_and_managers_are_embedded_when_asked),
        TEST(visible_keys_need_the_right_and_a_bucket_that_keeps_them),
        TEST(tags_are_a_precondition_on_one_consumer),
        TEST(a_consumer_changes_but_not_its_name),
        TEST(a_consumer_of_another_bucket_is_not_found_by_its_id),
        TEST(a_deleted_consumer_makes_room_for_its_name),
        TEST(every_key_of_a_consumer_dies_by_one_record),
        TEST(managers_are_invited_accepted_and_removed),
        TEST(two_at_once_make_no_address_twice),
        TEST(an_address_is_one),
        TEST(a_second_revocation_leaves_what_the_first_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
