// SPDX-License-Identifier: Apache-2.0
// Tests of management tokens, who-am-i and the audit trail over the API.
#include "tests/unit/node/api_fixture.h"

#define KR_TOKENS "/v1/accounts/default/tokens"
#define KR_AUDIT "/v1/accounts/default/audit-logs"
#define KR_OWNER_ID "key_00000000000000000000ownr"

// The consumer of the tokens and one owner, as the bootstrap makes them.
static void add_owner(struct api_world *world)
{
    static const char *const scopes[] = {"role:owner"};
    struct command command = {.actor = "system", .requested_ms = world->now_ms};
    struct bucket bucket;
    struct store_view *view = store_view_open(world->node.store);
    assert_true(store_get_bucket_named(view, KR_SYSTEM_BUCKET, &world->arena, &bucket));
    store_view_close(&view);
    struct command_op *op = command_add(&command, KR_OP_CONSUMER_PUT, &world->arena);
    op->as.consumer_put.record = (struct consumer){.id = "csmr_00000000000000000000mgmt",
                                                   .bucket_id = bucket.id,
                                                   .name = "management",
                                                   .metadata = "{}",
                                                   .created_ms = world->now_ms,
                                                   .updated_ms = world->now_ms};
    op = command_add(&command, KR_OP_KEY_PUT, &world->arena);
    op->as.key_put.record = (struct key){.id = KR_OWNER_ID,
                                         .bucket_id = bucket.id,
                                         .consumer_id = "csmr_00000000000000000000mgmt",
                                         .description = "first owner",
                                         .metadata = "{}",
                                         .scopes = {scopes, 1},
                                         .masked = "kr_mgmt_...0000",
                                         .created_by = "system",
                                         .is_enabled = true,
                                         .created_ms = world->now_ms,
                                         .updated_ms = world->now_ms};
    digest_sha256(bytes_text("the value of the first owner"), op->as.key_put.record.digest);
    assert_int_equal(api_apply(world, &command).code, KR_APPLY_OK);
}

static int start(void **state)
{
    api_setup(state);
    struct api_world *world = *state;
    add_owner(world);
    return 0;
}

static const char *token_path(struct api_world *world, const char *id)
{
    return arena_printf(&world->arena, KR_TOKENS "/%s", id);
}

// --- tokens --------------------------------------------------------------------------------------

static void a_new_token_shows_its_value_once(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_TOKENS,
               "{\"label\":\"ci\",\"roles\":[\"developer\",\"viewer\"],\"buckets\":[\"vault\"],"
               "\"environment\":\"production\",\"expiresOn\":\"2024-01-01\"}");
    const char *value = api_text(world, "token");
    assert_int_equal(strncmp(value, "kr_mgmt_", 8), 0);
    assert_int_equal(format_check(bytes_text(value)), KR_FORMAT_OK);
    assert_string_equal(api_text(world, "label"), "ci");
    assert_string_equal(api_text(world, "roles.0"), "developer");
    assert_string_equal(api_text(world, "roles.1"), "viewer");
    assert_string_equal(api_text(world, "buckets.0"), "vault");
    assert_string_equal(api_text(world, "environment"), "production");
    assert_string_equal(api_text(world, "expiresOn"), "2024-01-01T00:00:00.000Z");
    const char *id = api_text(world, "id");
    struct audit audit = api_last_audit(world);
    assert_string_equal(audit.action, "token.create");
    assert_string_equal(audit.target, id);
    assert_null(strstr(audit.detail, value));

    api_expect(world, 200, "GET", KR_TOKENS, NULL);
    assert_int_equal(api_number(world, "total"), 2);
    struct bytes answer = buf_bytes(&world->call->answer.body);
    assert_null(memmem(answer.data, answer.size, value, strlen(value)));
}

static void a_token_lets_in_with_its_roles(void **state)
{
    struct api_world *world = *state;
    struct access access;
    api_expect(world, 200, "POST", KR_TOKENS, "{\"roles\":[\"viewer\"],\"buckets\":[\"vault\"]}");
    struct bytes value = bytes_text(api_text(world, "token"));
    const char *id = api_text(world, "id");
    struct store_view *view = store_view_open(world->node.store);
    struct key key;
    uint8_t digest[KR_DIGEST_SIZE];
    digest_sha256(value, digest);
    assert_true(store_get_key(view, digest, &world->arena, &key));
    assert_string_equal(key.id, id);
    access_from_scopes(&key.scopes, &access);
    assert_int_equal(access.roles, KR_ROLE_VIEWER);
    assert_int_equal(access.bucket_count, 1);
    assert_int_equal(access.environment, -1);
    store_view_close(&view);
}

static void what_is_not_valid_is_refused_by_name(void **state)
{
    static const struct {
        const char *body, *part;
    } refused[] = {
        {"{}", "roles"},
        {"{\"roles\":[]}", "roles"},
        {"{\"roles\":[\"king\"]}", "roles[0]"},
        {"{\"roles\":\"owner\"}", "roles"},
        {"{\"roles\":[\"viewer\"],\"buckets\":[\"vault\",\"nowhere\"]}", "buckets[1]"},
        {"{\"roles\":[\"viewer\"],\"buckets\":[\"keyreeve-system\"]}", "buckets[0]"},
        {"{\"roles\":[\"viewer\"],\"environment\":\"moon\"}", "environment"},
        {"{\"roles\":[\"viewer\"],\"expiresOn\":\"2020-01-01\"}", "expiresOn"},
        {"{\"roles\":[\"viewer\"],\"expiresOn\":\"soon\"}", "expiresOn"},
        {"{\"roles\":[\"viewer\"],\"label\":7}", "label"},
        {"{\"roles\":[\"viewer\"],\"key\":\"0123456789abcdef\"}", "key"},
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        api_expect_problem(*state, 400, "POST", KR_TOKENS, refused[i].body, refused[i].part);
}

static void only_an_owner_manages_tokens(void **state)
{
    struct api_world *world = *state;
    world->roles = KR_ROLE_ADMIN | KR_ROLE_DEVELOPER | KR_ROLE_VIEWER;
    api_expect(world, 403, "GET", KR_TOKENS, NULL);
    api_expect(world, 403, "POST", KR_TOKENS, "{\"roles\":[\"viewer\"]}");
    api_expect(world, 403, "DELETE", token_path(world, KR_OWNER_ID), NULL);
}

static void send_limited(struct api_world *world, const char *bucket_id, const char *method,
                         const char *target, const char *body)
{
    struct fault fault;
    api_end_call(world);
    api_make(world, method, target, bytes_text(body));
    world->call->actor.bucket_count = 1;
    strcpy(world->call->actor.buckets[0], bucket_id);
    api_run(world);
    if (world->call->answer.body.size > 0)
        assert_int_equal(json_parse(buf_bytes(&world->call->answer.body), &world->json, &fault),
                         KR_ERR_OK);
}

static unsigned create_limited(struct api_world *world, const char *bucket_id, const char *body)
{
    send_limited(world, bucket_id, "POST", KR_TOKENS, body);
    return world->call->answer.status;
}

static const char *id_of_bucket(struct api_world *world, const char *name)
{
    api_expect(world, 200, "GET", arena_printf(&world->arena, KR_API_BUCKETS "/%s", name), NULL);
    return api_text(world, "id");
}

static void a_limited_owner_makes_no_token_that_reaches_further(void **state)
{
    struct api_world *world = *state;
    const char *id = id_of_bucket(world, "vault");
    assert_int_equal(create_limited(world, id, "{\"roles\":[\"owner\"]}"), 403);
    assert_int_equal(
        create_limited(world, id,
                       "{\"roles\":[\"viewer\"],\"buckets\":[\"vault\",\"production\"]}"),
        403);
    assert_string_equal(api_last_audit(world).action, "access.denied");
    assert_int_equal(create_limited(world, id, "{\"roles\":[\"viewer\"],\"buckets\":[\"vault\"]}"),
                     200);
}

static void a_limited_owner_sees_the_tokens_within_its_limits(void **state)
{
    struct api_world *world = *state;
    const char *id = id_of_bucket(world, "vault");
    static const char *const bodies[] = {
        "{\"label\":\"a\",\"roles\":[\"viewer\"],\"buckets\":[\"vault\"]}",
        "{\"label\":\"b\",\"roles\":[\"viewer\"],\"buckets\":[\"vault\",\"production\"]}",
        "{\"label\":\"c\",\"roles\":[\"viewer\"],\"environment\":\"production\"}",
        "{\"label\":\"d\",\"roles\":[\"owner\"],\"buckets\":[\"vault\"]}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        world->now_ms++;
        api_expect(world, 200, "POST", KR_TOKENS, bodies[i]);
    }
    send_limited(world, id, "GET", KR_TOKENS "?limit=1", "");
    assert_int_equal(api_number(world, "total"), 2);
    assert_string_equal(api_text(world, "data.0.label"), "a");
    const char *cursor = api_text(world, "cursor");
    send_limited(world, id, "GET",
                 arena_printf(&world->arena, KR_TOKENS "?limit=1&cursor=%s", cursor), "");
    assert_string_equal(api_text(world, "data.0.label"), "d");
    assert_null(api_value(world, "cursor"));
    send_limited(world, id, "GET", KR_TOKENS "?offset=1", "");
    assert_int_equal(json_size(api_value(world, "data")), 1);
    assert_string_equal(api_text(world, "data.0.label"), "d");
    api_expect(world, 200, "GET", KR_TOKENS, NULL);
    assert_int_equal(api_number(world, "total"), 5);
}

static void a_limited_token_sees_the_receipts_of_its_buckets(void **state)
{
    struct api_world *world = *state;
    const char *own = id_of_bucket(world, "vault"), *other = id_of_bucket(world, "production");
    api_expect(world, 200, "POST", KR_API_BUCKETS "/vault/revoke", "{\"confirm\":\"vault\"}");
    const char *path =
        arena_printf(&world->arena, "/v1/receipts/%lld", (long long)api_number(world, "index"));
    send_limited(world, own, "GET", path, "");
    assert_int_equal(world->call->answer.status, 200);
    send_limited(world, other, "GET", path, "");
    assert_int_equal(world->call->answer.status, 403);
    assert_string_equal(api_last_audit(world).action, "access.denied");
}

static void a_denial_again_and_again_is_a_row_a_minute(void **state)
{
    struct api_world *world = *state;
    world->roles = KR_ROLE_VIEWER;
    api_expect(world, 403, "POST", KR_TOKENS, "{\"roles\":[\"viewer\"]}");
    uint64_t index = store_applied_index(world->node.store);
    for (int i = 0; i < 5; i++) {
        api_expect(world, 403, "POST", KR_TOKENS, "{\"roles\":[\"viewer\"]}");
        assert_null(api_answer_field(world, "Keyreeve-Index"));
    }
    assert_int_equal(store_applied_index(world->node.store), index);
    assert_null(api_last_audit(world).detail);
    api_expect(world, 403, "GET", KR_TOKENS, NULL); // another route
    assert_int_equal(store_applied_index(world->node.store), index + 1);
    world->now_ms += 60000;
    api_expect(world, 403, "POST", KR_TOKENS, "{\"roles\":[\"viewer\"]}");
    assert_string_equal(api_last_audit(world).action, "access.denied");
    assert_string_equal(api_last_audit(world).detail, "{\"leftOut\":5}");
}

static void a_limited_token_does_not_reach_what_is_the_accounts(void **state)
{
    struct api_world *world = *state;
    const struct {
        const char *method, *target, *body;
    } calls[] = {
        {"GET", KR_AUDIT, ""},
        {"DELETE", token_path(world, KR_OWNER_ID), ""},
        {"POST", "/v1/cluster/promote", "{\"oldLeaderIsDown\":true}"},
        {"POST", "/v1/cluster/vault/rotate", "{}"},
        {"DELETE", "/v1/cluster/nodes/node-2", ""},
    };
    api_expect(world, 200, "POST", KR_TOKENS, "{\"roles\":[\"owner\"]}");
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        api_end_call(world);
        api_make(world, calls[i].method, calls[i].target, bytes_text(calls[i].body));
        world->call->actor.environment = KR_ENV_PRODUCTION;
        api_run(world);
        assert_int_equal(world->call->answer.status, 403);
        struct audit audit = api_last_audit(world);
        assert_string_equal(audit.action, "access.denied");
        assert_string_equal(audit.request_id, world->call->request_id);
    }
}

static void a_denial_stands_where_nothing_can_be_written(void **state)
{
    struct api_world *world = *state;
    const struct replica_outcome outcome = {.err = KR_ERR_NO_LEADER};
    world->roles = KR_ROLE_VIEWER;
    api_end_call(world);
    api_make(world, "POST", "/v1/cluster/promote", bytes_text("{\"oldLeaderIsDown\":true}"));
    assert_int_equal(api_execute(world), KR_EXECUTOR_SUBMIT);
    assert_int_equal(executor_committed(world->call, &outcome), KR_EXECUTOR_ANSWERED);
    assert_int_equal(world->call->answer.status, 403);
}

static void a_deleted_token_is_revoked(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_TOKENS, "{\"roles\":[\"viewer\"]}");
    const char *id = api_text(world, "id");
    api_expect(world, 204, "DELETE", token_path(world, id), NULL);
    api_expect(world, 200, "GET", KR_TOKENS, NULL);
    assert_string_equal(api_text(world, "data.1.id"), id);
    assert_string_equal(api_text(world, "data.1.status"), "revoked");
    api_expect(world, 404, "DELETE", token_path(world, "key_000000000000000000000000"), NULL);
    api_expect(world, 404, "DELETE", token_path(world, "nonsense"), NULL);
}

static void the_last_owner_token_stays(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 409, "DELETE", token_path(world, KR_OWNER_ID), NULL);
    api_expect(world, 200, "POST", KR_TOKENS, "{\"roles\":[\"owner\"]}");
    const char *second = token_path(world, api_text(world, "id"));
    api_expect(world, 204, "DELETE", token_path(world, KR_OWNER_ID), NULL);
    api_expect(world, 409, "DELETE", second, NULL);
}

static void a_limited_owner_is_no_last_owner(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_TOKENS,
               "{\"roles\":[\"owner\"],\"environment\":\"production\"}");
    const char *limited = token_path(world, api_text(world, "id"));
    api_expect(world, 200, "POST", KR_TOKENS, "{\"roles\":[\"owner\"],\"buckets\":[\"vault\"]}");
    api_expect(world, 409, "DELETE", token_path(world, KR_OWNER_ID), NULL);
    api_expect(world, 204, "DELETE", limited, NULL);
}

static void an_owner_that_ends_replaces_none_that_lasts(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_TOKENS,
               "{\"roles\":[\"owner\"],\"expiresOn\":\"2024-01-01T00:00:00Z\"}");
    const char *early = token_path(world, api_text(world, "id"));
    api_expect(world, 409, "DELETE", token_path(world, KR_OWNER_ID), NULL);
    api_expect(world, 200, "POST", KR_TOKENS,
               "{\"roles\":[\"owner\"],\"expiresOn\":\"2024-02-01T00:00:00Z\"}");
    const char *late = token_path(world, api_text(world, "id"));
    api_expect(world, 409, "DELETE", token_path(world, KR_OWNER_ID), NULL);
    api_expect(world, 204, "DELETE", early, NULL);
    api_expect(world, 200, "POST", KR_TOKENS, "{\"roles\":[\"owner\"]}");
    api_expect(world, 204, "DELETE", token_path(world, KR_OWNER_ID), NULL);
    api_expect(world, 204, "DELETE", late, NULL);
}

static void delete_first_owner(struct api_world *world)
{
    api_expect(world, 204, "DELETE", token_path(world, KR_OWNER_ID), NULL);
}

static void two_deletions_at_once_leave_an_owner(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_TOKENS, "{\"roles\":[\"owner\"]}");
    const char *second = token_path(world, api_text(world, "id"));
    world->meanwhile = delete_first_owner;
    api_expect(world, 409, "DELETE", second, NULL);
    assert_int_equal(world->runs, 2);
}

static void a_token_that_another_node_passes_on_is_checked(void **state)
{
    struct api_world *world = *state;
    api_end_call(world);
    api_make(world, "GET", "/v1/who-am-i", bytes_text(""));
    world->call->must_check_token = true; // its token is none of this node's
    api_run(world);
    assert_int_equal(world->call->answer.status, 401);
    assert_string_equal(api_answer_field(world, "WWW-Authenticate"), "Bearer realm=\"keyreeve\"");
}

static void who_am_i_says_what_the_token_is(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "GET", "/v1/who-am-i", NULL);
    assert_string_equal(api_text(world, "sub"), KR_API_TOKEN);
    assert_string_equal(api_text(world, "account"), "default");
    assert_string_equal(api_text(world, "roles.0"), "owner");
    assert_null(api_text(world, "environment"));
}

// --- audit trail ---------------------------------------------------------------------------------

static void add_rows(struct api_world *world)
{
    for (int i = 0; i < 5; i++) {
        world->now_ms += 1000;
        api_expect(world, 200, "PATCH", KR_API_BUCKETS "/vault",
                   arena_printf(&world->arena, "{\"description\":\"%d\"}", i));
    }
}

static void the_trail_is_newest_first_in_pages(void **state)
{
    struct api_world *world = *state;
    add_rows(world);
    api_expect(world, 200, "GET", KR_AUDIT "?limit=2", NULL);
    assert_string_equal(api_text(world, "data.0.action"), "bucket.update");
    assert_string_equal(api_text(world, "data.0.timestamp"), "2023-11-14T22:13:25.000Z");
    assert_string_equal(api_text(world, "data.0.targetName"), "vault");
    assert_string_equal(api_text(world, "data.0.actor"), KR_API_TOKEN);
    assert_string_equal(api_text(world, "data.0.clientAddress"), "192.0.2.1");
    assert_string_equal(api_text(world, "data.0.detail.changed.0"), "description");
    assert_int_equal(api_number(world, "pagination.total"), 5);
    assert_int_equal(api_number(world, "pagination.limit"), 2);
    assert_true(json_bool(api_value(world, "pagination.hasMore")));
    const char *cursor = api_text(world, "pagination.cursor");
    add_rows(world);
    api_expect(world, 200, "GET",
               arena_printf(&world->arena, KR_AUDIT "?limit=3&cursor=%s", cursor), NULL);
    assert_string_equal(api_text(world, "data.0.timestamp"), "2023-11-14T22:13:23.000Z");
    assert_string_equal(api_text(world, "data.2.timestamp"), "2023-11-14T22:13:21.000Z");
    assert_false(json_bool(api_value(world, "pagination.hasMore")));
    api_expect(world, 200, "GET", KR_AUDIT "?offset=9", NULL);
    assert_string_equal(api_text(world, "data.0.timestamp"), "2023-11-14T22:13:21.000Z");
    assert_int_equal(api_number(world, "pagination.limit"), 20);
    api_expect(world, 200, "GET", KR_AUDIT "?limit=1000", NULL);
    assert_int_equal(api_number(world, "pagination.limit"), 100);
}

static void the_trail_is_filtered(void **state)
{
    struct api_world *world = *state;
    add_rows(world);
    api_expect(world, 200, "POST", KR_TOKENS, "{\"roles\":[\"viewer\"]}");
    world->roles = KR_ROLE_VIEWER;
    api_expect(world, 403, "POST", KR_TOKENS, "{\"roles\":[\"viewer\"]}");
    world->roles = KR_ROLE_OWNER;
    api_expect(world, 200, "GET", KR_AUDIT "?action=bucket.update&limit=2", NULL);
    assert_int_equal(api_number(world, "pagination.total"), 5);
    assert_true(json_bool(api_value(world, "pagination.hasMore")));
    api_expect(world, 200, "GET",
               arena_printf(&world->arena, KR_AUDIT "?action=bucket.update&limit=4&cursor=%s",
                            api_text(world, "pagination.cursor")),
               NULL);
    assert_int_equal(json_size(api_value(world, "data")), 3);
    api_expect(world, 200, "GET", KR_AUDIT "?success=false", NULL);
    assert_int_equal(api_number(world, "pagination.total"), 1);
    assert_string_equal(api_text(world, "data.0.action"), "access.denied");
    api_expect(world, 200, "GET", KR_AUDIT "?actor=nobody", NULL);
    assert_int_equal(api_number(world, "pagination.total"), 0);
    api_expect(world, 200, "GET", KR_AUDIT "?actor=" KR_API_TOKEN, NULL);
    assert_int_equal(api_number(world, "pagination.total"), 7);
    api_expect(world, 200, "GET",
               KR_AUDIT "?startDate=2023-11-14T22:13:22Z&endDate=2023-11-14T22:13:23Z", NULL);
    assert_int_equal(api_number(world, "pagination.total"), 2);
}

static void the_range_is_at_most_thirty_days(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "GET", KR_AUDIT "?startDate=2023-11-01&endDate=2023-12-01", NULL);
    api_expect_problem(world, 400, "GET", KR_AUDIT "?startDate=2023-11-01&endDate=2023-12-02", NULL,
                       "30 days");
    api_expect_problem(world, 400, "GET", KR_AUDIT "?startDate=2023-11-02&endDate=2023-11-01", NULL,
                       "startDate");
    api_expect_problem(world, 400, "GET", KR_AUDIT "?startDate=then", NULL, "startDate");
    api_expect_problem(world, 400, "GET", KR_AUDIT "?success=maybe", NULL, "success");
    api_expect_problem(world, 400, "GET", KR_AUDIT "?cursor=YWJj", NULL, "cursor");
    api_expect(world, 200, "GET", KR_AUDIT "?startDate=2020-01-01", NULL);
    world->roles = KR_ROLE_DEVELOPER;
    api_expect(world, 403, "GET", KR_AUDIT, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, api_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_token_shows_its_value_once),
        TEST(a_token_lets_in_with_its_roles),
        TEST(what_is_not_valid_is_refused_by_name),
        TEST(only_an_owner_manages_tokens),
        TEST(a_limited_owner_makes_no_token_that_reaches_further),
        TEST(a_limited_owner_sees_the_tokens_within_its_limits),
        TEST(a_limited_token_sees_the_receipts_of_its_buckets),
        TEST(a_denial_again_and_again_is_a_row_a_minute),
        TEST(a_limited_token_does_not_reach_what_is_the_accounts),
        TEST(a_denial_stands_where_nothing_can_be_written),
        TEST(a_deleted_token_is_revoked),
        TEST(the_last_owner_token_stays),
        TEST(a_limited_owner_is_no_last_owner),
        TEST(an_owner_that_ends_replaces_none_that_lasts),
        TEST(two_deletions_at_once_leave_an_owner),
        TEST(who_am_i_says_what_the_token_is),
        TEST(the_trail_is_newest_first_in_pages),
        TEST(the_trail_is_filtered),
        TEST(the_range_is_at_most_thirty_days),
        TEST(a_token_that_another_node_passes_on_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
