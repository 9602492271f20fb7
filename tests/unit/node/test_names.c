// SPDX-License-Identifier: Apache-2.0
// Tests of the names that are remembered: right for every token, however many there are, and not
// forgotten with what they name.
#include "node/names.h"

#include "tests/unit/node/api_fixture.h"

enum { KR_TOKENS = 600 }; // more than are remembered

static const char *token_id(struct api_world *world, unsigned number)
{
    return arena_printf(&world->arena, "key_%024u", number);
}

static void put_token(struct api_world *world, unsigned number, const char *label)
{
    struct command command = {.actor = "system", .requested_ms = world->now_ms};
    struct command_op *op = command_add(&command, KR_OP_KEY_PUT, &world->arena);
    struct bucket bucket;
    struct consumer consumer;
    struct store_view *view = store_view_open(world->node.store);
    assert_true(store_get_bucket_named(view, "production", &world->arena, &bucket));
    assert_true(store_get_consumer_named(view, bucket.id, "ci", &world->arena, &consumer));
    store_view_close(&view);
    op->as.key_put.record = (struct key){.id = token_id(world, number),
                                         .bucket_id = bucket.id,
                                         .consumer_id = consumer.id,
                                         .description = label,
                                         .metadata = "{}",
                                         .masked = "kr_live_...0000",
                                         .created_by = "system",
                                         .is_enabled = true,
                                         .created_ms = world->now_ms,
                                         .updated_ms = world->now_ms};
    digest_sha256(bytes_text(token_id(world, number)), op->as.key_put.record.digest);
    assert_int_equal(api_apply(world, &command).code, KR_APPLY_OK);
}

static const char *label_of(struct api_world *world, unsigned number)
{
    struct store_view *view = store_view_open(world->node.store);
    const char *label =
        names_label(world->node.names, view, token_id(world, number), &world->arena);
    store_view_close(&view);
    return label;
}

static bool has_token(struct api_world *world, unsigned number)
{
    struct key key;
    struct store_view *view = store_view_open(world->node.store);
    bool is_there = store_get_key_by_id(view, token_id(world, number), &world->arena, &key);
    store_view_close(&view);
    return is_there;
}

static bool is_account(struct api_world *world, const char *name_or_id)
{
    struct store_view *view = store_view_open(world->node.store);
    bool is_ours = names_is_account(world->node.names, view, name_or_id);
    store_view_close(&view);
    return is_ours;
}

static void the_account_is_known_by_name_and_id(void **state)
{
    struct api_world *world = *state;
    for (int times = 0; times < 2; times++) {
        assert_false(is_account(world, "another"));
        assert_true(is_account(world, "default"));
        assert_true(is_account(world, KR_API_ACCOUNT));
    }
}

static void every_token_has_its_own_label(void **state)
{
    struct api_world *world = *state;
    api_expect(world, 200, "POST", KR_API_BUCKETS "/production/consumers", "{\"name\":\"ci\"}");
    assert_null(label_of(world, 0)); // not there yet, which is not remembered
    for (unsigned i = 0; i < KR_TOKENS; i++)
        put_token(world, i, i % 3 == 0 ? NULL : arena_printf(&world->arena, "label %u", i));
    for (unsigned asked = 0; asked < 2 * KR_TOKENS; asked++) {
        unsigned i = asked % KR_TOKENS;
        const char *label = label_of(world, i);
        if (i % 3 == 0)
            assert_null(label);
        else
            assert_string_equal(label, arena_printf(&world->arena, "label %u", i));
    }
}

// Behind its revocation and the purge.
static void a_label_outlives_its_token(void **state)
{
    struct api_world *world = *state;
    struct command command = {.actor = "system", .requested_ms = world->now_ms};
    struct command_op *op = command_add(&command, KR_OP_KEY_REVOKE, &world->arena);
    assert_string_equal(label_of(world, 1), "label 1");
    digest_sha256(bytes_text(token_id(world, 1)), op->as.key_revoke.digest);
    op->as.key_revoke.purge_ms = world->now_ms + 1;
    command_add(&command, KR_OP_PURGE, &world->arena)->as.purge =
        (struct command_purge){world->now_ms + 1, 100, 0};
    assert_int_equal(api_apply(world, &command).code, KR_APPLY_OK);
    assert_false(has_token(world, 1));
    assert_string_equal(label_of(world, 1), "label 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_account_is_known_by_name_and_id),
        cmocka_unit_test(every_token_has_its_own_label),
        cmocka_unit_test(a_label_outlives_its_token),
    };
    return cmocka_run_group_tests(tests, api_setup, api_teardown);
}
