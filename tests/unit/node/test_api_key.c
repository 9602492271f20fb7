// SPDX-License-Identifier: Apache-2.0
// Tests of keys over the API: create, list, show, change, delete, revoke, reveal.
#include "core/base/text.h"
#include "tests/unit/node/api_fixture.h"

#define KR_CONSUMERS KR_API_BUCKETS "/production/consumers"
#define KR_ACME KR_CONSUMERS "/acme"
#define KR_KEYS KR_ACME "/keys"
#define KR_KEPT KR_API_BUCKETS "/vault/consumers/acme"

static int start(void **state)
{
    api_setup(state);
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_CONSUMERS,
               "{\"name\":\"acme\",\"tags\":{\"plan\":\"gold\"}}");
    api_expect(world, 200, "POST", KR_API_BUCKETS "/vault/consumers", "{\"name\":\"acme\"}");
    return 0;
}

static const char *key_path(struct api_world *world, const char *keys, const char *body)
{
    api_expect(world, 200, "POST", keys, body);
    return arena_printf(&world->arena, "%s/%s", keys, api_text(world, "id"));
}

static const char *with(struct api_world *world, const char *path, const char *more)
{
    return arena_printf(&world->arena, "%s%s", path, more);
}

// --- create --------------------------------------------------------------------------------------

static void a_new_key_shows_its_value_once(void **state)
{
    struct api_world *world = *state;
    const char *path = key_path(world, KR_KEYS, "{\"description\":\"My first API Key\"}");
    const char *value = api_text(world, "key");
    assert_int_equal(format_check(bytes_text(value)), KR_FORMAT_OK);
    assert_string_equal(api_text(world, "description"), "My first API Key");
    assert_string_equal(api_text(world, "status"), "active");
    assert_string_equal(api_text(world, "createdBy"), KR_API_TOKEN);
    assert_null(api_text(world, "expiresOn"));
    assert_string_equal(api_answer_field(world, "Cache-Control"), "no-store");
    assert_non_null(api_answer_field(world, "Keyreeve-Index"));
    const char *tag = arena_text(&world->arena, api_answer_field(world, "ETag"));

    api_expect(world, 200, "GET", path, NULL);
    const char *masked = api_text(world, "key");
    assert_string_not_equal(masked, value);
    assert_string_equal(masked, api_text(world, "masked"));
    assert_string_equal(masked + strlen(masked) - 4, value + strlen(value) - 4);
    assert_string_equal(api_answer_field(world, "ETag"), tag);
}

static void a_body_may_be_left_out(void **state)
{
    api_expect(*state, 200, "POST", KR_KEYS, NULL);
}

static void a_creation_is_audited_without_the_value(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS, "{\"key\":\"a-custom-value-of-a-key-000001\"}");
    struct audit audit = api_last_audit(world);
    assert_string_equal(audit.action, "key.create");
    assert_string_equal(audit.actor_id, KR_API_TOKEN);
    assert_true(audit.is_success);
    assert_non_null(strstr(audit.detail, "acme"));
    assert_null(strstr(audit.detail, "a-custom-value"));
}

static void a_caller_may_supply_a_value_once(void **state)
{
    struct api_world *world = *state;
    const char *value = "zpka_d67b7e241bb948758f415b79aa8ec822_2efb7009";
    const char *body = arena_printf(&world->arena, "{\"key\":\"%s\"}", value);
    api_expect(world, 200, "POST", KR_KEYS, body);
    assert_string_equal(api_text(world, "key"), value);
    api_expect_problem(world, 409, "POST", KR_KEYS, body, "key");
    api_expect_problem(world, 409, "POST", KR_KEPT "/keys", body, "key");
    assert_null(strstr(api_text(world, "detail"), value));
}

static void a_hash_may_be_imported_but_never_revealed(void **state)
{
    struct api_world *world = *state;
    const char *path =
        key_path(world, KR_KEPT "/keys",
                 "{\"keyHash\":{\"algorithm\":\"sha256\",\"last4\":\"abcd\",\"value\":"
                 "\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"}}");
    assert_string_equal(api_text(world, "key"), "...abcd");
    api_expect_problem(world, 409, "POST", with(world, path, "/reveal"), NULL, "hash");
    api_expect_problem(world, 409, "POST", KR_KEPT "/keys",
                       "{\"keyHash\":{\"algorithm\":\"sha256\",\"value\":"
                       "\"n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=\"}}",
                       "keyHash");
}

// A hash that begins like the digest of a value: whoever knows that may choose the rest.
static const char *hash_like(struct api_world *world, const char *value)
{
    uint8_t digest[KR_DIGEST_SIZE];
    char hex[2 * KR_DIGEST_SIZE + 1];
    digest_sha256(bytes_text(value), digest);
    digest[KR_DIGEST_UNIQUE_BYTES] ^= 1;
    text_hex(digest, KR_DIGEST_SIZE, hex);
    return arena_printf(&world->arena, "{\"keyHash\":{\"algorithm\":\"sha256\",\"value\":\"%s\"}}",
                        hex);
}

#define KR_VALUE "zpka_d67b7e241bb948758f415b79aa8ec822_2efb7009"

static void a_hash_that_begins_like_another_digest_is_in_use(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_KEYS, "{\"key\":\"" KR_VALUE "\"}");
    api_expect_problem(world, 409, "POST", KR_KEPT "/keys", hash_like(world, KR_VALUE), "keyHash");
}

static void make_value(struct api_world *world)
{
    api_expect(world, 200, "POST", KR_KEYS, "{\"key\":\"" KR_VALUE "\"}");
}

static void two_that_begin_alike_are_not_made_at_once(void **state)
{
    struct api_world *world = *state;
    world->meanwhile = make_value;
    api_expect_problem(world, 409, "POST", KR_KEPT "/keys", hash_like(world, KR_VALUE), "keyHash");
    assert_int_equal(world->runs, 2);
}

static void a_default_expiry_counts_for_not_before(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "PATCH", KR_API_BUCKETS "/production", "{\"defaultExpiryDays\":1}");
    api_expect_problem(world, 400, "POST", KR_KEYS, "{\"notBefore\":\"2023-12-01T00:00:00Z\"}",
                       "notBefore");
    api_expect(world, 200, "POST", KR_KEYS,
               "{\"notBefore\":\"2023-12-01T00:00:00Z\",\"expiresOn\":null}");
}

static void what_a_new_key_may_not_be(void **state)
{
    static const struct {
        const char *body, *part;
    } cases[] = {
        {"{\"expiresOn\":\"2023-11-14T22:13:19Z\"}", "expiresOn"},
        {"{\"expiresOn\":\"tomorrow\"}", "expiresOn"},
        {"{\"expiresOn\":17}", "expiresOn"},
        {"{\"expiresOn\":\"2024-01-01T00:00:00Z\",\"notBefore\":\"2024-01-01T00:00:00Z\"}",
         "notBefore"},
        {"{\"key\":\"too-short\"}", "key"},
        {"{\"key\":\"with a space in the middle\"}", "key"},
        {"{\"key\":\"zpka_d67b7e241bb948758f415b79aa8ec822_2efb7000\"}", "checksum"},
        {"{\"key\":\"a-custom-value-of-a-key-000001\",\"keyHash\":{\"algorithm\":\"sha256\","
         "\"value\":\"00\"}}",
         "keyHash"},
        {"{\"keyHash\":{\"algorithm\":\"md5\",\"value\":\"00\"}}", "keyHash.algorithm"},
        {"{\"keyHash\":{\"algorithm\":\"sha256\",\"value\":\"00\"}}", "keyHash.value"},
        {"{\"ipAllow\":[\"10.0.0.1/8\"]}", "ipAllow[0]"},
        {"{\"scopes\":[\"read\",\"a b\"]}", "scopes[1]"},
        {"{\"scopes\":\"read\"}", "scopes"},
        {"{\"enabled\":1}", "enabled"},
        {"{\"colour\":\"red\"}", "colour"},
        {"[]", "object"},
        {"{\"description\":", "JSON"},
    };
    struct api_world *world = *state;
    uint64_t index = store_applied_index(world->node.store);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        api_expect_problem(world, 400, "POST", KR_KEYS, cases[i].body, cases[i].part);
    assert_int_equal(store_applied_index(world->node.store), index);
}

// --- list ----------------------------------------------------------------------------------------

static void make_keys(struct api_world *world, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        world->now_ms += 1000;
        api_expect(world, 200, "POST", KR_KEYS,
                   arena_printf(&world->arena, "{\"description\":\"key %u\"}", i));
    }
}

static void a_list_comes_in_pages(void **state)
{
    struct api_world *world = *state;
    make_keys(world, 5);
    api_expect(world, 200, "GET", KR_KEYS "?limit=2&offset=1", NULL);
    assert_int_equal(json_size(api_value(world, "data")), 2);
    assert_string_equal(api_text(world, "data.0.description"), "key 1");
    assert_string_equal(api_text(world, "data.1.description"), "key 2");
    assert_int_equal(api_number(world, "total"), 5);
    assert_int_equal(api_number(world, "limit"), 2);
    assert_int_equal(api_number(world, "offset"), 1);
    const char *next = with(world, KR_KEYS "?limit=2&cursor=", api_text(world, "cursor"));
    api_expect(world, 200, "GET", next, NULL);
    assert_string_equal(api_text(world, "data.0.description"), "key 3");
    assert_string_equal(api_text(world, "data.1.description"), "key 4");
    assert_null(api_value(world, "cursor"));
}

static void a_list_is_filtered_by_status(void **state)
{
    struct api_world *world = *state;
    make_keys(world, 6);
    api_expect(world, 200, "GET", KR_KEYS, NULL);
    for (unsigned i = 0; i < 6; i += 2) {
        const char *id = api_text(world, arena_printf(&world->arena, "data.%u.id", i));
        api_expect(world, 200, "POST", arena_printf(&world->arena, KR_KEYS "/%s/revoke", id), NULL);
        api_expect(world, 200, "GET", KR_KEYS, NULL);
    }
    api_expect(world, 200, "GET", KR_KEYS "?status=revoked&limit=2", NULL);
    assert_int_equal(api_number(world, "total"), 3);
    assert_string_equal(api_text(world, "data.0.description"), "key 0");
    assert_string_equal(api_text(world, "data.1.description"), "key 2");
    const char *next =
        with(world, KR_KEYS "?status=revoked&limit=2&cursor=", api_text(world, "cursor"));
    api_expect(world, 200, "GET", next, NULL);
    assert_int_equal(json_size(api_value(world, "data")), 1);
    assert_string_equal(api_text(world, "data.0.description"), "key 4");
    assert_null(api_value(world, "cursor"));
    api_expect(world, 200, "GET", KR_KEYS "?status=revoked&offset=1&limit=1", NULL);
    assert_string_equal(api_text(world, "data.0.description"), "key 2");
    api_expect(world, 200, "GET", KR_KEYS "?status=disabled", NULL);
    assert_int_equal(api_number(world, "total"), 0);
    api_expect_problem(world, 400, "GET", KR_KEYS "?status=tired", NULL, "status");
}

static void key_format_decides_what_is_shown(void **state)
{
    struct api_world *world = *state;
    const char *path = key_path(world, KR_KEPT "/keys", NULL);
    const char *value = api_text(world, "key");
    api_expect(world, 200, "GET", with(world, path, "?key-format=none"), NULL);
    assert_null(api_value(world, "key"));
    uint64_t index = store_applied_index(world->node.store);
    api_expect(world, 200, "GET", with(world, path, "?key-format=visible"), NULL);
    assert_string_equal(api_text(world, "key"), value);
    assert_string_equal(api_answer_field(world, "Cache-Control"), "no-store");
    assert_int_equal(store_applied_index(world->node.store), index + 1);
    assert_string_equal(api_last_audit(world).action, "key.reveal");
    api_expect(world, 200, "GET", KR_KEPT "/keys?key-format=visible", NULL);
    assert_string_equal(api_text(world, "data.0.key"), value);
    api_expect(world, 409, "GET", KR_KEYS "?key-format=visible", NULL);
    api_expect(world, 400, "GET", KR_KEYS "?key-format=plain", NULL);
}

static void tags_of_the_consumer_are_a_precondition(void **state)
{
    struct api_world *world = *state;
    const char *path = key_path(world, KR_KEYS, NULL);
    api_expect(world, 200, "GET", with(world, path, "?tag.plan=gold"), NULL);
    api_expect(world, 404, "GET", with(world, path, "?tag.plan=lead"), NULL);
    api_expect(world, 404, "DELETE", with(world, path, "?tag.plan=lead"), NULL);
}

static void a_key_is_found_only_under_its_consumer(void **state)
{
    struct api_world *world = *state;
    const char *path = key_path(world, KR_KEYS, NULL);
    const char *id = strrchr(path, '/');
    api_expect(world, 200, "POST", KR_CONSUMERS, "{\"name\":\"other\"}");
    api_expect(world, 404, "GET", with(world, KR_CONSUMERS "/other/keys", id), NULL);
    api_expect(world, 404, "GET", KR_KEYS "/key_000000000000000000000000", NULL);
    api_expect(world, 404, "GET", KR_KEYS "/nonsense", NULL);
    api_expect(world, 404, "GET", KR_CONSUMERS "/nobody/keys", NULL);
}

// --- change --------------------------------------------------------------------------------------

static void a_change_keeps_what_it_does_not_name(void **state)
{
    struct api_world *world = *state;
    const char *path = key_path(world, KR_KEYS,
                                "{\"description\":\"a\",\"scopes\":[\"read\"],"
                                "\"expiresOn\":\"2024-01-01T00:00:00Z\"}");
    world->now_ms += 1000;
    api_expect(world, 200, "PATCH", path,
               "{\"enabled\":false,\"tags\":{\"a\":\"b\"},\"metadata\":{\"n\":1},"
               "\"ipAllow\":[\"192.0.2.7\"]}");
    api_expect(world, 200, "GET", path, NULL);
    assert_string_equal(api_text(world, "description"), "a");
    assert_string_equal(api_text(world, "scopes.0"), "read");
    assert_string_equal(api_text(world, "expiresOn"), "2024-01-01T00:00:00.000Z");
    assert_string_equal(api_text(world, "status"), "disabled");
    assert_string_equal(api_text(world, "tags.a"), "b");
    assert_int_equal(api_number(world, "metadata.n"), 1);
    assert_string_equal(api_text(world, "ipAllow.0"), "192.0.2.7/32");
    assert_string_equal(api_text(world, "updatedOn"), "2023-11-14T22:13:21.000Z");
    api_expect(world, 200, "PATCH", path, "{\"expiresOn\":null,\"enabled\":true}");
    assert_string_equal(api_text(world, "status"), "active");
}

static void a_key_that_ends_before_it_begins_can_be_disabled(void **state)
{
    struct api_world *world = *state;
    const char *path = key_path(world, KR_KEYS, "{\"notBefore\":\"2024-06-01T00:00:00Z\"}");
    api_expect(world, 204, "POST", KR_ACME "/roll-key", "{\"expiresOn\":\"2024-01-01T00:00:00Z\"}");
    api_expect(world, 200, "PATCH", path, "{\"enabled\":false}");
    assert_string_equal(api_text(world, "status"), "disabled");
    api_expect_problem(world, 400, "PATCH", path, "{\"expiresOn\":\"2024-02-01T00:00:00Z\"}",
                       "notBefore");
    api_expect_problem(world, 400, "PATCH", path, "{\"notBefore\":\"2024-02-01T00:00:00Z\"}",
                       "notBefore");
    api_expect(world, 200, "PATCH", path, "{\"notBefore\":null,\"enabled\":true}");
}

static void what_is_fixed_stays(void **state)
{
    struct api_world *world = *state;
    const char *path = key_path(world, KR_KEYS, "{\"scopes\":[\"read\"]}");
    api_expect_problem(world, 400, "PATCH", path, "{\"scopes\":[\"write\"]}", "scopes");
    api_expect_problem(world, 400, "PATCH", path, "{\"key\":\"a-custom-value-000001\"}", "key");
    api_expect_problem(world, 400, "PATCH", path, "{\"name\":\"x\"}", "name");
    api_expect(world, 200, "GET", path, NULL);
    assert_string_equal(api_text(world, "scopes.0"), "read");
}

static void if_match_guards_changes(void **state)
{
    struct api_world *world = *state;
    const char *path = key_path(world, KR_KEYS, NULL);
    const char *first = arena_text(&world->arena, api_answer_field(world, "ETag"));
    world->if_match = first;
    api_expect(world, 200, "PATCH", path, "{\"description\":\"b\"}");
    const char *second = arena_text(&world->arena, api_answer_field(world, "ETag"));
    assert_string_not_equal(first, second);
    world->if_match = first;
    api_expect(world, 412, "PATCH", path, "{\"description\":\"c\"}");
    world->if_match = first;
    api_expect(world, 412, "DELETE", path, NULL);
    api_expect(world, 200, "GET", path, NULL);
    assert_string_equal(api_answer_field(world, "ETag"), second);
    assert_string_equal(api_text(world, "description"), "b");
    world->if_match = second;
    api_expect(world, 204, "DELETE", path, NULL);
}

static const char *raced;

static void disable(struct api_world *world)
{
    api_expect(world, 200, "PATCH", raced, "{\"enabled\":false}");
}

static void a_change_beside_another_loses_neither(void **state)
{
    struct api_world *world = *state;
    raced = key_path(world, KR_KEYS, NULL);
    world->meanwhile = disable;
    api_expect(world, 200, "PATCH", raced, "{\"description\":\"b\"}");
    assert_int_equal(world->runs, 2);
    api_expect(world, 200, "GET", raced, NULL);
    assert_string_equal(api_text(world, "description"), "b");
    assert_string_equal(api_text(world, "status"), "disabled");
}

// --- revoke and delete ---------------------------------------------------------------------------

static void a_revocation_answers_with_a_receipt(void **state)
{
    struct api_world *world = *state;
    const char *path = key_path(world, KR_KEYS, NULL);
    api_expect(world, 200, "POST", with(world, path, "/revoke?wait=everywhere"),
               "{\"reason\":\"keyCompromise\"}");
    assert_int_equal(api_number(world, "keys"), 1);
    assert_int_equal(api_number(world, "index"), store_applied_index(world->node.store));
    assert_string_equal(api_text(world, "level"), "everywhere");
    assert_string_equal(api_text(world, "nodes.0.state"), "applied");
    api_expect(world, 200, "GET", path, NULL);
    assert_string_equal(api_text(world, "status"), "revoked");
    assert_string_equal(api_text(world, "revokeReason"), "keyCompromise");
    assert_string_equal(api_text(world, "revokedOn"), "2023-11-14T22:13:20.000Z");
}

static void a_second_revocation_revokes_nothing(void **state)
{
    struct api_world *world = *state;
    const char *path = key_path(world, KR_KEYS, NULL);
    const char *revoke = with(world, path, "/revoke");
    api_expect(world, 200, "POST", revoke, "{\"reason\":\"keyCompromise\"}");
    world->now_ms += 1000;
    api_expect(world, 200, "POST", revoke, "{\"reason\":\"superseded\"}");
    assert_int_equal(api_number(world, "keys"), 0);
    api_expect(world, 200, "GET", path, NULL);
    assert_string_equal(api_text(world, "revokeReason"), "keyCompromise");
    api_expect_problem(world, 400, "POST", revoke, "{\"reason\":\"boredom\"}", "reason");
    api_expect_problem(world, 400, "POST", with(world, path, "/revoke?wait=never"), NULL, "wait");
}

static void a_revoked_key_never_comes_back(void **state)
{
    struct api_world *world = *state;
    const char *path =
        key_path(world, KR_KEYS, "{\"expiresOn\":\"2024-01-01T00:00:00Z\",\"enabled\":false}");
    api_expect(world, 200, "POST", with(world, path, "/revoke"), NULL);
    api_expect_problem(world, 409, "PATCH", path, "{\"enabled\":true}", "enabled");
    api_expect_problem(world, 409, "PATCH", path, "{\"expiresOn\":null}", "expiresOn");
    api_expect_problem(world, 409, "PATCH", path, "{\"expiresOn\":\"2025-01-01T00:00:00Z\"}",
                       "expiresOn");
    api_expect(world, 200, "PATCH", path, "{\"description\":\"why\",\"enabled\":false}");
    assert_string_equal(api_text(world, "status"), "revoked");
    api_expect(world, 200, "GET", path, NULL);
    assert_string_equal(api_text(world, "status"), "revoked");
}

static void a_key_whose_consumer_is_revoked_stays_so_through_changes(void **state)
{
    struct api_world *world = *state;
    const char *path = key_path(world, KR_KEYS, NULL);
    api_expect(world, 200, "POST", KR_ACME "/revoke", "{\"confirm\":\"acme\"}");
    assert_int_equal(api_number(world, "keys"), 1);
    api_expect(world, 200, "PATCH", path, "{\"description\":\"b\"}");
    assert_string_equal(api_text(world, "status"), "revoked");
    api_expect(world, 200, "GET", path, NULL);
    assert_string_equal(api_text(world, "status"), "revoked");
    api_expect_problem(world, 409, "PATCH", path, "{\"enabled\":true}", "enabled");
}

// Until a key that stops being good now is purged.
static void pass_retention(struct api_world *world)
{
    const int64_t day_ms = INT64_C(86400000);
    assert_false(store_is_due(world->node.store, world->now_ms + 30 * day_ms - 1, 0));
    world->now_ms += 30 * day_ms;
    struct command purge = {.actor = "system"};
    command_add(&purge, KR_OP_PURGE, &world->arena)->as.purge =
        (struct command_purge){.now_ms = world->now_ms, .limit = 100};
    assert_int_equal(api_apply(world, &purge).code, KR_APPLY_OK);
}

static void a_deleted_key_stays_listed_for_the_retention_period(void **state)
{
    struct api_world *world = *state;
    const char *path = key_path(world, KR_KEYS, NULL);
    api_expect(world, 204, "DELETE", with(world, path, "?wait=everywhere"), NULL);
    assert_int_equal(world->call->answer.body.size, 0);
    api_expect(world, 200, "GET", path, NULL);
    assert_string_equal(api_text(world, "status"), "revoked");
    api_expect(world, 204, "DELETE", path, NULL);
    pass_retention(world);
    api_expect(world, 404, "GET", path, NULL);
    api_expect(world, 200, "GET", KR_KEYS, NULL);
    assert_int_equal(api_number(world, "total"), 0);
}

static void so_does_a_revoked_one_and_one_that_was_rolled_away(void **state)
{
    struct api_world *world = *state;
    const char *revoked = key_path(world, KR_KEYS, NULL), *rolled = key_path(world, KR_KEYS, NULL);
    api_expect(world, 200, "POST", with(world, revoked, "/revoke"), NULL);
    api_expect(world, 204, "POST", KR_ACME "/roll-key", "{\"expiresOn\":\"2020-01-01T00:00:00Z\"}");
    pass_retention(world);
    api_expect(world, 404, "GET", revoked, NULL);
    api_expect(world, 404, "GET", rolled, NULL);
    api_expect(world, 200, "GET", KR_KEYS, NULL);
    assert_int_equal(api_number(world, "total"), 1);
}

// --- reveal and rights ---------------------------------------------------------------------------

static void a_reveal_shows_the_value_and_leaves_a_trace(void **state)
{
    struct api_world *world = *state;
    const char *path = key_path(world, KR_KEPT "/keys", NULL);
    const char *value = api_text(world, "key");
    api_expect(world, 200, "POST", with(world, path, "/reveal"), NULL);
    assert_string_equal(api_text(world, "key"), value);
    assert_string_equal(api_answer_field(world, "Cache-Control"), "no-store");
    struct audit audit = api_last_audit(world);
    assert_string_equal(audit.action, "key.reveal");
    assert_string_equal(audit.target, strrchr(path, '/') + 1);
    assert_null(strstr(audit.detail, value));
}

static void each_reveal_leaves_its_own_trace(void **state)
{
    struct api_world *world = *state;
    const char *path = key_path(world, KR_KEPT "/keys", NULL);
    for (int times = 0; times < 2; times++) {
        uint64_t index = store_applied_index(world->node.store);
        world->idempotency_key = "the same";
        api_expect(world, 200, "POST", with(world, path, "/reveal"), NULL);
        assert_int_equal(store_applied_index(world->node.store), index + 1);
        assert_string_equal(api_last_audit(world).action, "key.reveal");
    }
}

static void nothing_is_revealed_that_is_not_kept(void **state)
{
    struct api_world *world = *state;
    const char *path = key_path(world, KR_KEYS, NULL);
    api_expect_problem(world, 409, "POST", with(world, path, "/reveal"), NULL, "isRetrievable");
}

static void roles_decide(void **state)
{
    struct api_world *world = *state;
    const char *path = key_path(world, KR_KEPT "/keys", NULL);
    world->roles = KR_ROLE_VIEWER;
    api_expect(world, 200, "GET", path, NULL);
    api_expect(world, 403, "GET", with(world, path, "?key-format=visible"), NULL);
    assert_string_equal(api_last_audit(world).action, "access.denied");
    api_expect(world, 403, "POST", with(world, path, "/reveal"), NULL);
    api_expect(world, 403, "POST", KR_KEYS, NULL);
    world->roles = KR_ROLE_DEVELOPER;
    api_expect(world, 200, "POST", with(world, path, "/reveal"), NULL);
    api_expect(world, 403, "POST", with(world, path, "/revoke"), NULL);
    api_expect(world, 403, "DELETE", path, NULL);
}

static void the_same_idempotency_key_makes_one_key(void **state)
{
    struct api_world *world = *state;
    world->idempotency_key = "order-66";
    const char *path = key_path(world, KR_KEYS, "{\"description\":\"a\"}");
    const char *value = api_text(world, "key");
    world->idempotency_key = "order-66";
    api_expect(world, 200, "POST", KR_KEYS, "{\"description\":\"a\"}");
    assert_string_equal(api_text(world, "key"), value);
    assert_string_equal(with(world, KR_KEYS "/", api_text(world, "id")), path);
    world->idempotency_key = "order-66";
    api_expect(world, 409, "POST", KR_KEYS, "{\"description\":\"b\"}");
    api_expect(world, 200, "GET", KR_KEYS, NULL);
    assert_int_equal(api_number(world, "total"), 1);
}

#define KR_TEST(name) cmocka_unit_test_setup_teardown(name, start, api_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KR_TEST(a_new_key_shows_its_value_once),
        KR_TEST(a_body_may_be_left_out),
        KR_TEST(a_creation_is_audited_without_the_value),
        KR_TEST(a_caller_may_supply_a_value_once),
        KR_TEST(a_hash_may_be_imported_but_never_revealed),
        KR_TEST(a_hash_that_begins_like_another_digest_is_in_use),
        KR_TEST(two_that_begin_alike_are_not_made_at_once),
        KR_TEST(a_default_expiry_counts_for_not_before),
        KR_TEST(what_a_new_key_may_not_be),
        KR_TEST(a_list_comes_in_pages),
        KR_TEST(a_list_is_filtered_by_status),
        KR_TEST(key_format_decides_what_is_shown),
        KR_TEST(tags_of_the_consumer_are_a_precondition),
        KR_TEST(a_key_is_found_only_under_its_consumer),
        KR_TEST(a_change_keeps_what_it_does_not_name),
        KR_TEST(a_key_that_ends_before_it_begins_can_be_disabled),
        KR_TEST(what_is_fixed_stays),
        KR_TEST(if_match_guards_changes),
        KR_TEST(a_change_beside_another_loses_neither),
        KR_TEST(a_revocation_answers_with_a_receipt),
        KR_TEST(a_second_revocation_revokes_nothing),
        KR_TEST(a_revoked_key_never_comes_back),
        KR_TEST(a_key_whose_consumer_is_revoked_stays_so_through_changes),
        KR_TEST(a_deleted_key_stays_listed_for_the_retention_period),
        KR_TEST(so_does_a_revoked_one_and_one_that_was_rolled_away),
        KR_TEST(a_reveal_shows_the_value_and_leaves_a_trace),
        KR_TEST(each_reveal_leaves_its_own_trace),
        KR_TEST(nothing_is_revealed_that_is_not_kept),
        KR_TEST(roles_decide),
        KR_TEST(the_same_idempotency_key_makes_one_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
