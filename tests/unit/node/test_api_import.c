// SPDX-License-Identifier: Apache-2.0
// Tests of $import: rows stand or fall alone, and a repeated import changes nothing.
#include "tests/unit/node/api_fixture.h"

#define KR_PRODUCTION KR_API_BUCKETS "/production"
#define KR_IMPORT KR_PRODUCTION "/$import"
#define KR_CONSUMERS KR_PRODUCTION "/consumers"

static void expect_counts(struct api_world *world, int64_t imported, int64_t existing,
                          size_t refused)
{
    assert_int_equal(api_number(world, "imported"), imported);
    assert_int_equal(api_number(world, "existing"), existing);
    assert_int_equal(json_size(api_value(world, "refused")), refused);
}

static void import(struct api_world *world, const char *rows)
{
    api_expect(world, 200, "POST", KR_IMPORT, arena_printf(&world->arena, "{\"rows\":[%s]}", rows));
}

static void expect_refused(struct api_world *world, unsigned position, int64_t row,
                           const char *part)
{
    const char *at = arena_printf(&world->arena, "refused.%u", position);
    assert_int_equal(api_number(world, arena_printf(&world->arena, "%s.row", at)), row);
    const char *detail = api_text(world, arena_printf(&world->arena, "%s.detail", at));
    if (detail == NULL || strstr(detail, part) == NULL)
        fail_msg("row %d: \"%s\" does not name %s", (int)row, detail == NULL ? "" : detail, part);
}

static int64_t total_of(struct api_world *world, const char *path)
{
    api_expect(world, 200, "GET", arena_printf(&world->arena, KR_CONSUMERS "%s", path), NULL);
    return api_number(world, "total");
}

#define KR_VALUE(n) "imported-value-of-a-key-00000" #n
#define KR_ROW(consumer, n) "{\"consumer\":\"" consumer "\",\"key\":\"" KR_VALUE(n) "\"}"

static void rows_make_consumers_and_keys_by_one_entry(void **state)
{
    struct api_world *world = *state;
    uint64_t index = store_applied_index(world->node.store);
    import(world,
           "{\"consumer\":\"acme\",\"consumerDescription\":\"Acme\",\"consumerTags\":"
           "{\"plan\":\"gold\"},\"consumerMetadata\":{\"n\":1},\"key\":\"" KR_VALUE(
               1) "\","
                  "\"description\":\"first\",\"expiresOn\":\"2024-01-01T00:00:00Z\","
                  "\"scopes\":[\"read\"],\"tags\":{\"a\":\"b\"},\"metadata\":{\"m\":2},"
                  "\"notBefore\":\"2023-01-01\",\"ipAllow\":[\"192.0.2.1\"]},"
                  "{\"consumer\":\"acme\",\"consumerDescription\":\"ignored\",\"keyHash\":"
                  "{\"algorithm\":\"sha256\",\"value\":\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2"
                  "b0b822cd15d6c15b0f00a08\",\"last4\":\"abcd\"}}," KR_ROW("other", 2));
    expect_counts(world, 3, 0, 0);
    assert_int_equal(store_applied_index(world->node.store), index + 1);
    assert_false(api_answer_has(world, KR_VALUE(1)));

    api_expect(world, 200, "GET", KR_CONSUMERS "/acme", NULL);
    assert_string_equal(api_text(world, "description"), "Acme");
    assert_string_equal(api_text(world, "tags.plan"), "gold");
    assert_int_equal(api_number(world, "metadata.n"), 1);
    api_expect(world, 200, "GET", KR_CONSUMERS "/acme/keys", NULL);
    assert_int_equal(api_number(world, "total"), 2);
    unsigned hashed = api_text(world, "data.0.description") == NULL ? 0 : 1;
    const char *at = hashed == 0 ? "data.1" : "data.0";
    const char *rest[][2] = {{"description", "first"},
                             {"expiresOn", "2024-01-01T00:00:00.000Z"},
                             {"scopes.0", "read"},
                             {"tags.a", "b"},
                             {"notBefore", "2023-01-01T00:00:00.000Z"},
                             {"ipAllow.0", "192.0.2.1/32"},
                             {"status", "expiring"},
                             {"createdBy", KR_API_TOKEN}};
    for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
        assert_string_equal(api_text(world, arena_printf(&world->arena, "%s.%s", at, rest[i][0])),
                            rest[i][1]);
    assert_string_equal(api_text(world, arena_printf(&world->arena, "data.%u.masked", hashed)),
                        "...abcd");
    assert_int_equal(total_of(world, ""), 2);
}

static void a_repeated_import_changes_nothing(void **state)
{
    struct api_world *world = *state;
    import(world, KR_ROW("acme", 1) "," KR_ROW("acme", 2));
    expect_counts(world, 2, 0, 0);
    api_expect(world, 200, "GET", KR_CONSUMERS "/acme", NULL);
    const char *tag = arena_text(&world->arena, api_answer_field(world, "ETag"));
    world->now_ms += 1000;
    import(world, KR_ROW("acme", 2) "," KR_ROW("acme", 1) "," KR_ROW("acme", 3));
    expect_counts(world, 1, 2, 0);
    api_expect(world, 200, "GET", KR_CONSUMERS "/acme", NULL);
    assert_string_equal(api_answer_field(world, "ETag"), tag);
    assert_int_equal(total_of(world, "/acme/keys"), 3);
}

static void a_value_of_another_consumer_is_refused(void **state)
{
    struct api_world *world = *state;
    import(world, KR_ROW("acme", 1));
    import(world, KR_ROW("thief", 1) "," KR_ROW("honest", 2));
    expect_counts(world, 1, 0, 1);
    expect_refused(world, 0, 0, "in use");
    assert_int_equal(total_of(world, "?q=thief"), 0);
    assert_int_equal(total_of(world, ""), 2);
}

static void of_a_consumers_rows_the_last_is_its_newest_key(void **state)
{
    struct api_world *world = *state;
    import(world,
           KR_ROW("acme", 1) ",{\"consumer\":\"acme\"}," KR_ROW("acme", 2) "," KR_ROW(
               "other", 3) "," KR_ROW("acme", 4) "," KR_ROW("acme", 5) "," KR_ROW("acme", 6));
    expect_counts(world, 6, 0, 1);
    api_expect(world, 200, "GET", KR_CONSUMERS "/acme/keys", NULL);
    static const char last[] = "12456";
    for (unsigned i = 0; i < sizeof(last) - 1; i++) {
        const char *masked = api_text(world, arena_printf(&world->arena, "data.%u.masked", i));
        assert_int_equal(masked[strlen(masked) - 1], last[i]);
    }
}

static void equal_values_in_one_import_count_once(void **state)
{
    struct api_world *world = *state;
    import(world, KR_ROW("acme", 1) "," KR_ROW("acme", 1) "," KR_ROW("thief", 1));
    expect_counts(world, 1, 1, 1);
    expect_refused(world, 0, 2, "another row");
    assert_int_equal(total_of(world, ""), 1);
    assert_int_equal(total_of(world, "/acme/keys"), 1);
}

#define KR_HASH_ROW(consumer, end)                                                                 \
    "{\"consumer\":\"" consumer "\",\"keyHash\":{\"algorithm\":\"sha256\",\"value\":"              \
    "\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a" end "\"}}"

static void a_hash_that_begins_like_another_is_refused(void **state)
{
    struct api_world *world = *state;
    import(world, KR_HASH_ROW("acme", "08") "," KR_HASH_ROW("acme", "09") "," KR_HASH_ROW(
                      "acme", "08") "," KR_HASH_ROW("other", "0a"));
    expect_counts(world, 1, 1, 2);
    expect_refused(world, 0, 1, "same value");
    expect_refused(world, 1, 3, "same value");
    import(world, KR_HASH_ROW("acme", "09") "," KR_HASH_ROW("acme", "08"));
    expect_counts(world, 0, 1, 1);
    expect_refused(world, 0, 0, "in use");
}

static void a_value_that_was_revoked_does_not_come_back(void **state)
{
    struct api_world *world = *state;
    import(world, KR_ROW("acme", 1) "," KR_ROW("acme", 2) "," KR_ROW("other", 3));
    api_expect(world, 200, "GET", KR_CONSUMERS "/acme/keys", NULL);
    const char *path =
        arena_printf(&world->arena, KR_CONSUMERS "/acme/keys/%s", api_text(world, "data.0.id"));
    api_expect(world, 204, "DELETE", path, NULL);
    api_expect(world, 200, "POST", KR_CONSUMERS "/other/revoke", "{\"confirm\":\"other\"}");
    import(world, KR_ROW("acme", 1) "," KR_ROW("acme", 2) "," KR_ROW("other", 3));
    expect_counts(world, 0, 1, 2);
    expect_refused(world, 0, api_number(world, "refused.0.row"), "revoked");
    expect_refused(world, 1, 2, "revoked");
}

static void a_bad_row_leaves_the_others_alone(void **state)
{
    static const struct {
        const char *row, *part;
    } cases[] = {
        {"7", "object"},
        {"{}", "consumer"},
        {"{\"consumer\":\"acme\"}", "key"},
        {"{\"consumer\":\"acme\",\"key\":\"short\"}", "key"},
        {"{\"consumer\":\"A B\",\"key\":\"" KR_VALUE(7) "\"}", "consumer"},
        {"{\"consumer\":\"csmr_000000000000000000000000\",\"key\":\"" KR_VALUE(7) "\",\"x\":1}",
         "x"},
        {"{\"consumer\":\"csmr_00000000000000000000000A\",\"key\":\"" KR_VALUE(7) "\"}", "id"},
        {"{\"consumer\":\"acme\",\"key\":\"" KR_VALUE(7) "\",\"scopes\":[\"a b\"]}", "scopes[0]"},
        {"{\"consumer\":\"acme\",\"key\":\"" KR_VALUE(7) "\",\"expiresOn\":\"2020-01-01\"}",
         "expiresOn"},
        {"{\"consumer\":\"acme\",\"keyHash\":{\"algorithm\":\"sha256\",\"value\":\"zz\"}}",
         "keyHash.value"},
        {"{\"consumer\":\"acme\",\"consumerTags\":[],\"key\":\"" KR_VALUE(7) "\"}", "consumerTags"},
    };
    enum { KR_CASES = sizeof(cases) / sizeof(cases[0]) };
    struct api_world *world = *state;
    struct buf rows;
    buf_init(&rows, 65536);
    for (size_t i = 0; i < KR_CASES; i++)
        buf_printf(&rows, "%s,", cases[i].row);
    buf_printf(&rows, "%s%c", KR_ROW("acme", 7), '\0');
    import(world, (const char *)rows.data);
    buf_fini(&rows);
    expect_counts(world, 1, 0, KR_CASES);
    for (unsigned i = 0; i < KR_CASES; i++)
        expect_refused(world, i, i, cases[i].part);
    assert_false(api_answer_has(world, KR_VALUE(7)));
    assert_int_equal(total_of(world, ""), 1);
}

static void a_consumer_may_be_named_by_its_id(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_CONSUMERS, "{\"name\":\"acme\"}");
    const char *id = api_text(world, "id");
    import(world,
           arena_printf(&world->arena, "{\"consumer\":\"%s\",\"key\":\"" KR_VALUE(1) "\"},%s", id,
                        KR_ROW("acme", 1)));
    expect_counts(world, 1, 1, 0);
    assert_int_equal(total_of(world, "/acme/keys"), 1);
}

// Of before that name was taken away: an export names it so.
static void a_consumer_may_be_named_as_none_could_be_today(void **state)
{
    struct api_world *world = *state;
    import(world, KR_ROW("-", 1));
    expect_counts(world, 0, 0, 1);
    expect_refused(world, 0, 0, "not '-' alone");
    api_expect(world, 200, "GET", KR_PRODUCTION, NULL);
    struct command command = {.actor = "system", .requested_ms = world->now_ms};
    command_add(&command, KR_OP_CONSUMER_PUT, &world->arena)->as.consumer_put.record =
        (struct consumer){.id = "csmr_00000000000000000000000A",
                          .bucket_id = arena_text(&world->arena, api_text(world, "id")),
                          .name = "-",
                          .metadata = "{}",
                          .created_ms = world->now_ms,
                          .updated_ms = world->now_ms};
    assert_int_equal(api_apply(world, &command).code, KR_APPLY_OK);
    import(world, KR_ROW("-", 1));
    expect_counts(world, 1, 0, 0);
    assert_int_equal(total_of(world, "/csmr_00000000000000000000000A/keys"), 1);
}

static void what_is_no_list_of_rows_is_refused_whole(void **state)
{
    struct api_world *world = *state;
    api_expect_problem(world, 400, "POST", KR_IMPORT, NULL, "rows");
    api_expect_problem(world, 400, "POST", KR_IMPORT, "{\"rows\":{}}", "rows");
    api_expect_problem(world, 400, "POST", KR_IMPORT, "{\"rows\":[],\"more\":1}", "more");
    api_expect_problem(world, 400, "POST", KR_IMPORT, "{\"rows\":[", "JSON");
    char *rows = arena_alloc(&world->arena, 2 * 2001 + 1);
    for (size_t i = 0; i < 2001; i++)
        memcpy(rows + 2 * i, "7,", 2);
    rows[2 * 2001 - 1] = '\0';
    api_expect_problem(world, 400, "POST", KR_IMPORT,
                       arena_printf(&world->arena, "{\"rows\":[%s]}", rows), "2001");
    import(world, "");
    expect_counts(world, 0, 0, 0);
}

static void an_import_is_one_row_of_the_audit_trail(void **state)
{
    struct api_world *world = *state;
    import(world, KR_ROW("acme", 1) "," KR_ROW("acme", 1) ",{}");
    struct audit audit = api_last_audit(world);
    assert_string_equal(audit.action, "bucket.import");
    assert_string_equal(audit.target_name, "production");
    assert_true(audit.is_success);
    assert_string_equal(audit.detail, "{\"imported\":1,\"existing\":1,\"refused\":1}");
}

static void values_are_sealed_where_the_bucket_keeps_them(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_API_BUCKETS "/vault/$import",
               "{\"rows\":[" KR_ROW("acme", 1) "]}");
    expect_counts(world, 1, 0, 0);
    api_expect(world, 200, "GET", KR_API_BUCKETS "/vault/consumers/acme/keys?key-format=visible",
               NULL);
    assert_string_equal(api_text(world, "data.0.key"), KR_VALUE(1));
}

static void make_one_more(struct api_world *world)
{
    static int number = 0;
    api_expect(world, 200, "POST", KR_CONSUMERS,
               arena_printf(&world->arena, "{\"name\":\"c%d\"}", number++));
    world->meanwhile = make_one_more;
}

static void consumers_that_others_make_meanwhile_do_not_stop_an_import(void **state)
{
    struct api_world *world = *state;
    world->meanwhile = make_one_more;
    import(world, KR_ROW("c0", 0) "," KR_ROW("c1", 1) "," KR_ROW("c2", 2) "," KR_ROW("c3", 3));
    expect_counts(world, 4, 0, 0);
    assert_int_equal(world->runs, 1);
    world->meanwhile = NULL;
    assert_int_equal(total_of(world, ""), 4);
    assert_int_equal(total_of(world, "/c0/keys"), 1);
    assert_int_equal(total_of(world, "/c3/keys"), 1);
}

static void import_the_same(struct api_world *world)
{
    import(world, KR_ROW("acme", 1));
}

static void two_imports_at_once_make_one_consumer(void **state)
{
    struct api_world *world = *state;
    world->meanwhile = import_the_same;
    import(world, KR_ROW("acme", 1) "," KR_ROW("acme", 2));
    assert_int_equal(world->runs, 2);
    expect_counts(world, 1, 1, 0);
    assert_int_equal(total_of(world, ""), 1);
    assert_int_equal(total_of(world, "/acme/keys"), 2);
}

static void imported_keys_are_found_by_their_digest(void **state)
{
    struct api_world *world = *state;
    import(world, KR_ROW("acme", 1));
    uint8_t digest[KR_DIGEST_SIZE];
    struct key key;
    digest_sha256(bytes_text(KR_VALUE(1)), digest);
    struct store_view *view = store_view_open(world->node.store);
    assert_true(store_get_key(view, digest, &world->arena, &key));
    store_view_close(&view);
    assert_true(key.is_custom);
    assert_true(key.is_enabled);
    assert_false(key.is_sealed);
}

#define KR_TEST(name) cmocka_unit_test_setup_teardown(name, api_setup, api_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KR_TEST(rows_make_consumers_and_keys_by_one_entry),
        KR_TEST(a_repeated_import_changes_nothing),
        KR_TEST(a_value_of_another_consumer_is_refused),
        KR_TEST(of_a_consumers_rows_the_last_is_its_newest_key),
        KR_TEST(equal_values_in_one_import_count_once),
        KR_TEST(a_hash_that_begins_like_another_is_refused),
        KR_TEST(a_value_that_was_revoked_does_not_come_back),
        KR_TEST(a_bad_row_leaves_the_others_alone),
        KR_TEST(a_consumer_may_be_named_by_its_id),
        KR_TEST(a_consumer_may_be_named_as_none_could_be_today),
        KR_TEST(what_is_no_list_of_rows_is_refused_whole),
        KR_TEST(an_import_is_one_row_of_the_audit_trail),
        KR_TEST(values_are_sealed_where_the_bucket_keeps_them),
        KR_TEST(consumers_that_others_make_meanwhile_do_not_stop_an_import),
        KR_TEST(two_imports_at_once_make_one_consumer),
        KR_TEST(imported_keys_are_found_by_their_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
