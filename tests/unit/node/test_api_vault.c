// SPDX-License-Identifier: Apache-2.0
// Tests of the vault's rotation over the API: its steps, what happens beside it, what breaks off.
#include "core/store/store_vault.h"
#include "tests/unit/node/api_fixture.h"

#define KR_CONSUMERS KR_API_BUCKETS "/vault/consumers"
#define KR_KEYS KR_CONSUMERS "/acme/keys"
#define KR_ROTATE "/v1/cluster/vault/rotate"

static int start(void **state)
{
    api_setup(state);
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_CONSUMERS, "{\"name\":\"acme\"}");
    return 0;
}

static void step(struct api_world *world, const char *cursor)
{
    api_expect(world, 200, "POST", KR_ROTATE,
               cursor == NULL ? "{}" : arena_printf(&world->arena, "{\"cursor\":\"%s\"}", cursor));
    assert_int_equal(api_number(world, "version"), 2);
}

static bool is_done(const struct api_world *world)
{
    return json_bool(api_value(world, "isDone"));
}

// How many values lie under a version.
static size_t sealed_under(struct api_world *world, uint32_t version)
{
    struct sealed sealed;
    size_t count = 0;
    struct store_view *view = store_view_open(world->node.store);
    struct store_cursor *cursor = store_vault_values(view, NULL);
    while (store_vault_next(cursor, &world->arena, &sealed))
        count += sealed.vault_version == version;
    store_cursor_close(&cursor);
    store_view_close(&view);
    return count;
}

static void add_keys(struct api_world *world, size_t count)
{
    struct buf body;
    buf_init(&body, 1 << 20);
    for (size_t i = 0; i < count; i++)
        buf_add_text(&body, i == 0 ? "[{}" : ",{}");
    buf_add_text(&body, "]");
    assert_int_equal(api_send_bytes(world, "POST", KR_KEYS "/$bulk", buf_bytes(&body)), 200);
    buf_fini(&body);
}

static void every_value_is_sealed_again_and_the_old_key_may_go(void **state)
{
    struct api_world *world = *state;
    const struct vault_master newer = {2, "the one that comes after it...."};
    api_expect(world, 200, "POST", KR_KEYS, NULL);
    const char *value = api_text(world, "key");
    const char *reveal = arena_printf(&world->arena, KR_KEYS "/%s/reveal", api_text(world, "id"));
    add_keys(world, 2);
    step(world, NULL);
    assert_int_equal(api_number(world, "remaining"), 3);
    assert_string_equal(api_last_audit(world).action, "vault.rotate");
    add_keys(world, 1);
    assert_int_equal(sealed_under(world, 2), 1);
    step(world, NULL);
    assert_int_equal(api_number(world, "resealed"), 3);
    assert_int_equal(api_number(world, "remaining"), 0);
    assert_false(is_done(world));
    step(world, NULL);
    assert_true(is_done(world));
    assert_string_equal(api_last_audit(world).action, "vault.rotated");
    assert_int_equal(sealed_under(world, 2), 4);
    vault_free(&world->node.vault);
    world->node.vault = vault_new(&newer, 1);
    api_expect(world, 200, "POST", reveal, NULL);
    assert_string_equal(api_text(world, "key"), value);
    step(world, NULL);
    assert_true(is_done(world));
    assert_int_equal(api_number(world, "resealed"), 0);
}

static void a_step_is_bounded_and_the_next_goes_on_behind_it(void **state)
{
    struct api_world *world = *state;
    add_keys(world, 1200);
    step(world, NULL);
    step(world, NULL);
    assert_int_equal(api_number(world, "resealed"), 500);
    assert_int_equal(api_number(world, "remaining"), 700);
    step(world, api_text(world, "cursor"));
    assert_int_equal(api_number(world, "resealed"), 500);
    assert_int_equal(sealed_under(world, 1), 200);
    step(world, api_text(world, "cursor"));
    assert_int_equal(api_number(world, "resealed"), 200);
    assert_null(api_text(world, "cursor"));
    assert_false(is_done(world));
    step(world, NULL);
    assert_true(is_done(world));
    assert_int_equal(sealed_under(world, 2), 1200);
}

static void who_breaks_off_goes_on_without_a_cursor(void **state)
{
    struct api_world *world = *state;
    add_keys(world, 600);
    step(world, NULL);
    step(world, NULL);
    step(world, NULL);
    assert_int_equal(api_number(world, "resealed"), 100);
    assert_int_equal(api_number(world, "remaining"), 0);
    step(world, NULL);
    assert_true(is_done(world));
}

static void begin_meanwhile(struct api_world *world)
{
    api_expect(world, 200, "POST", KR_ROTATE, "{}");
}

static void a_key_that_is_made_across_the_beginning_is_sealed_under_the_new_version(void **state)
{
    struct api_world *world = *state;
    world->meanwhile = begin_meanwhile;
    api_expect(world, 200, "POST", KR_KEYS, NULL);
    assert_int_equal(world->runs, 2);
    assert_int_equal(sealed_under(world, 1), 0);
    assert_int_equal(sealed_under(world, 2), 1);
}

static void a_value_that_no_key_opens_is_named_and_not_lost(void **state)
{
    struct api_world *world = *state;
    struct command command = {.actor = "system", .requested_ms = world->now_ms};
    add_keys(world, 1);
    api_expect(world, 200, "POST", KR_KEYS, NULL);
    const char *id = api_text(world, "id");
    command_add(&command, KR_OP_VAULT_PUT, &world->arena)->as.vault_put = (struct sealed){
        .key_id = id, .vault_version = 1, .box = bytes_text("sealed under who knows which key")};
    assert_int_equal(api_apply(world, &command).code, KR_APPLY_OK);
    step(world, NULL);
    step(world, NULL);
    assert_int_equal(api_number(world, "resealed"), 1);
    api_expect_problem(world, 409, "POST", KR_ROTATE, "{}", id);
    assert_int_equal(sealed_under(world, 1), 1);
}

static void a_node_without_a_newer_key_has_nothing_to_rotate(void **state)
{
    struct api_world *world = *state;
    const struct vault_master only = {1, "a master key for the tests only"};
    const struct vault_master other = {1, "the master key of someone else."};
    vault_free(&world->node.vault);
    world->node.vault = vault_new(&only, 1);
    add_keys(world, 2);
    api_expect(world, 200, "POST", KR_ROTATE, "{}");
    assert_true(is_done(world));
    assert_int_equal(api_number(world, "version"), 1);
    assert_int_equal(sealed_under(world, 1), 2);
    vault_free(&world->node.vault);
    world->node.vault = vault_new(&other, 1);
    api_expect_problem(world, 503, "POST", KR_ROTATE, "{}", "is not the cluster's");
    api_expect_problem(world, 503, "POST", KR_KEYS, NULL, "is not the cluster's");
    assert_int_equal(sealed_under(world, 1), 2);
}

static void tell(struct api_world *world, enum board_state state, uint64_t mark)
{
    struct board_node other = {.id = "node-2", .state = state, .vault_mark = mark};
    board_put(world->node.board, &(struct board_facts){.nodes = &other, .count = 1});
}

static void a_rotation_waits_for_core_nodes_that_lack_the_newest_key(void **state)
{
    struct api_world *world = *state;
    struct command command = {.actor = "system", .requested_ms = world->now_ms};
    command_add(&command, KR_OP_MEMBER_PUT, &world->arena)->as.member_put =
        (struct member){.id = "node-2", .region = "eu", .role = KR_MEMBER_CORE};
    assert_int_equal(api_apply(world, &command).code, KR_APPLY_OK);
    tell(world, KR_BOARD_SERVING, 0);
    api_expect_problem(world, 409, "POST", KR_ROTATE, "{}", "node-2");
    tell(world, KR_BOARD_STALE, vault_mark(world->node.vault) + 2);
    api_expect_problem(world, 409, "POST", KR_ROTATE, "{}", "version 2");
    tell(world, KR_BOARD_SERVING, vault_mark(world->node.vault));
    step(world, NULL);
    tell(world, KR_BOARD_SERVING, 0);
    step(world, NULL);
}

static void a_rotation_does_not_wait_for_who_is_away(void **state)
{
    struct api_world *world = *state;
    struct command command = {.actor = "system", .requested_ms = world->now_ms};
    command_add(&command, KR_OP_MEMBER_PUT, &world->arena)->as.member_put =
        (struct member){.id = "node-2", .region = "eu", .role = KR_MEMBER_CORE};
    assert_int_equal(api_apply(world, &command).code, KR_APPLY_OK);
    tell(world, KR_BOARD_UNHEARD, 0);
    step(world, NULL);
}

static void only_owners_rotate(void **state)
{
    struct api_world *world = *state;
    world->roles = KR_ROLE_ADMIN;
    api_expect(world, 403, "POST", KR_ROTATE, "{}");
    world->roles = KR_ROLE_OWNER;
    api_expect_problem(world, 400, "POST", KR_ROTATE, "{\"curser\":\"\"}", "curser");
}

int main(void)
{
#define KR_TEST(name) cmocka_unit_test_setup_teardown(name, start, api_teardown)
    const struct CMUnitTest tests[] = {
        KR_TEST(every_value_is_sealed_again_and_the_old_key_may_go),
        KR_TEST(a_step_is_bounded_and_the_next_goes_on_behind_it),
        KR_TEST(who_breaks_off_goes_on_without_a_cursor),
        KR_TEST(a_key_that_is_made_across_the_beginning_is_sealed_under_the_new_version),
        KR_TEST(a_value_that_no_key_opens_is_named_and_not_lost),
        KR_TEST(a_node_without_a_newer_key_has_nothing_to_rotate),
        KR_TEST(a_rotation_waits_for_core_nodes_that_lack_the_newest_key),
        KR_TEST(a_rotation_does_not_wait_for_who_is_away),
        KR_TEST(only_owners_rotate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
