// SPDX-License-Identifier: Apache-2.0
// Views and cursors: every record reads back as it was put, as of one moment, in a fixed order.
#include "store_fixture.h"

#include "core/store/index.h"
#include "core/store/rows.h"
#include "core/store/store_vault.h"

// --- single records ------------------------------------------------------------------------------
static void buckets_consumers_and_keys_read_back_by_every_name(void **state)
{
    struct world world;
    struct command command = {0};
    struct bucket bucket;
    struct consumer consumer;
    struct key key;
    uint8_t digest[KR_DIGEST_SIZE];
    (void)state;
    world_start(&world);
    add_bucket(&world, &command, 1, "production");
    command.ops[0].as.bucket_put.record.description = "what it is for";
    add_consumer(&world, &command, 1, 1);
    struct key *put = add_key(&world, &command, 1, 1, 1);
    put->tags = (struct tags){(const struct tag[]){{"team", "a"}, {"tier", ""}}, 2};
    assert_int_equal(world_apply(&world, &command), KR_APPLY_OK);
    struct store_view *view = store_view_open(world.store);
    assert_int_equal(store_view_index(view), 1);
    assert_true(store_get_bucket_named(view, "production", &world.arena, &bucket));
    assert_string_equal(bucket.description, "what it is for");
    assert_int_equal(bucket.revision, 1);
    assert_true(store_get_consumer_named(view, bucket.id, "consumer-1", &world.arena, &consumer));
    assert_string_equal(consumer.metadata, "{\"plan\":\"gold\"}");
    assert_true(store_get_consumer(view, consumer.id, &world.arena, &consumer));
    assert_true(store_get_key_by_id(view, id_of(&world, "key", 1), &world.arena, &key));
    digest_of(1, digest);
    assert_memory_equal(key.digest, digest, sizeof digest);
    assert_int_equal(key.tags.count, 2);
    assert_string_equal(key.tags.items[1].name, "tier");
    assert_false(store_get_bucket_named(view, "productio", &world.arena, &bucket));
    assert_false(store_get_consumer_named(view, bucket.id, "consumer-2", &world.arena, &consumer));
    assert_false(store_get_key_by_id(view, id_of(&world, "key", 2), &world.arena, &key));
    assert_int_equal(store_get_count(view, 'c', bucket.id), 1);
    assert_int_equal(store_get_count(view, 'b', bucket.id), 1);
    assert_int_equal(store_get_count(view, 'k', consumer.id), 1);
    assert_int_equal(store_get_count(view, 'k', "csmr_unknown"), 0);
    assert_int_equal(store_view_error(view, &world.fault), KR_ERR_OK);
    store_view_close(&view);
    world_fini(&world);
}

static void what_stands_beside_the_keys_reads_back(void **state)
{
    struct world world;
    struct command command = {0}, second = {0};
    struct store_cluster cluster;
    struct sealed sealed;
    struct idempotency answer,
        stored = {.answer = bytes_text("sealed answer"), .expires_ms = KR_FIXTURE_NOW_MS + 5};
    struct receipt receipt;
    struct store_view *view;
    (void)state;
    world_start(&world);
    view = store_view_open(world.store);
    assert_false(store_get_cluster(view, &world.arena, &cluster));
    assert_null(cluster.cluster_id);
    store_view_close(&view);
    command_add(&command, KR_OP_CLUSTER_INIT, &world.arena)->as.cluster_init =
        (struct command_cluster_init){"cluster", "account", "default"};
    add_bucket(&world, &command, 1, "production");
    add_consumer(&world, &command, 1, 1);
    add_key(&world, &command, 1, 1, 1);
    command_add(&command, KR_OP_VAULT_PUT, &world.arena)->as.vault_put = (struct sealed){
        .key_id = id_of(&world, "key", 1), .vault_version = 3, .box = bytes_text("box")};
    memset(stored.scope, 7, sizeof stored.scope);
    memset(stored.body, 8, sizeof stored.body);
    command.idempotency = &stored;
    assert_int_equal(world_apply(&world, &command), KR_APPLY_OK);
    command_add(&second, KR_OP_KEY_REVOKE, &world.arena);
    digest_of(1, second.ops[0].as.key_revoke.digest);
    second.requested_ms = 99;
    assert_int_equal(world_apply(&world, &second), KR_APPLY_OK);
    view = store_view_open(world.store);
    assert_true(store_get_cluster(view, &world.arena, &cluster));
    assert_string_equal(cluster.cluster_id, "cluster");
    assert_string_equal(cluster.account_name, "default");
    assert_true(store_get_sealed(view, id_of(&world, "key", 1), &world.arena, &sealed));
    assert_int_equal(sealed.vault_version, 3);
    assert_true(bytes_equal_text(sealed.box, "box"));
    assert_true(store_get_idempotency(view, stored.scope, &world.arena, &answer));
    assert_true(bytes_equal_text(answer.answer, "sealed answer"));
    assert_true(store_get_receipt(view, 2, &world.arena, &receipt));
    assert_int_equal(receipt.keys, 1);
    assert_int_equal(receipt.requested_ms, 99);
    assert_false(store_get_receipt(view, 1, &world.arena, &receipt));
    store_view_close(&view);
    world_fini(&world);
}

static void the_vault_reads_back_in_the_order_of_its_keys(void **state)
{
    struct world world;
    struct command command = {0};
    struct sealed sealed;
    struct sealed_versions versions;
    (void)state;
    world_start(&world);
    struct store_view *view = store_view_open(world.store);
    assert_false(store_vault_versions(view, &world.arena, &versions));
    assert_int_equal(versions.count, 0);
    store_view_close(&view);
    put_keys(&world, 3);
    command_add(&command, KR_OP_VAULT_VERSION, &world.arena)->as.vault_version.current =
        (struct sealed_version){.version = 4, .check = "check"};
    for (unsigned i = 3; i > 0; i--)
        command_add(&command, KR_OP_VAULT_PUT, &world.arena)->as.vault_put = (struct sealed){
            .key_id = id_of(&world, "key", i), .vault_version = 4 + i, .box = bytes_text("box")};
    assert_int_equal(world_apply(&world, &command), KR_APPLY_OK);
    view = store_view_open(world.store);
    assert_true(store_vault_versions(view, &world.arena, &versions));
    assert_int_equal(versions.count, 1);
    assert_int_equal(versions.items[0].version, 4);
    assert_string_equal((const char *)versions.items[0].check, "check");
    struct store_cursor *cursor = store_vault_values(view, id_of(&world, "key", 1));
    for (uint32_t i = 2; i <= 3; i++) {
        assert_true(store_vault_next(cursor, &world.arena, &sealed));
        assert_int_equal(sealed.vault_version, 4 + i);
    }
    assert_false(store_vault_next(cursor, &world.arena, &sealed));
    store_cursor_close(&cursor);
    cursor = store_vault_values(view, NULL);
    assert_true(store_vault_next(cursor, &world.arena, &sealed));
    assert_int_equal(sealed.vault_version, 5);
    store_cursor_close(&cursor);
    assert_int_equal(store_view_error(view, &world.fault), KR_ERR_OK);
    store_view_close(&view);
    world_fini(&world);
}

static void a_view_stays_as_it_was_while_the_store_goes_on(void **state)
{
    struct world world;
    struct key key;
    (void)state;
    world_start(&world);
    put_keys(&world, 3);
    struct store_view *view = store_view_open(world.store);
    struct store_cursor *cursor = store_keys(view, id_of(&world, "csmr", 1), NULL);
    put_key(&world, 1, 1, 4);
    revoke_key(&world, 2, 0);
    revoke_key(&world, 3, world.now_ms + 1);
    purge(&world, world.now_ms + 1, 100);
    assert_int_equal(store_view_index(view), 3);
    for (unsigned i = 1; i <= 3; i++) {
        assert_true(store_next_key(cursor, &world.arena, &key));
        assert_string_equal(key.id, id_of(&world, "key", i));
        assert_false(key.is_revoked);
    }
    assert_false(store_next_key(cursor, &world.arena, &key));
    assert_int_equal(store_get_count(view, 'k', id_of(&world, "csmr", 1)), 3);
    store_cursor_close(&cursor);
    store_view_close(&view);
    view = store_view_open(world.store);
    assert_int_equal(store_view_index(view), world_index(&world));
    assert_true(store_get_key_by_id(view, id_of(&world, "key", 2), &world.arena, &key));
    assert_true(key.is_revoked);
    assert_false(store_get_key_by_id(view, id_of(&world, "key", 3), &world.arena, &key));
    store_view_close(&view);
    world_fini(&world);
}

// Of more consumers than a view keeps, while the store goes on.
static void callers_that_share_a_view_see_the_same_moment(void **state)
{
    enum { CONSUMERS = 40 };
    struct world world;
    struct bucket bucket;
    struct consumer consumer;
    (void)state;
    world_start(&world);
    put_bucket(&world, 1, "production");
    for (unsigned i = 1; i <= CONSUMERS; i++)
        put_consumer(&world, 1, i);
    uint64_t index = world_index(&world);
    struct store_view *view = store_view_open(world.store);
    for (unsigned round = 0; round < 3; round++) {
        store_view_reuse(view);
        assert_int_equal(store_view_index(view), index);
        assert_true(store_get_bucket_named(view, "production", &world.arena, &bucket));
        assert_string_equal(bucket.id, id_of(&world, "bckt", 1));
        for (unsigned i = 1; i <= CONSUMERS; i++) {
            const char *id = id_of(&world, "csmr", i);
            assert_true(store_get_consumer(view, id, &world.arena, &consumer));
            assert_string_equal(consumer.id, id);
            assert_int_equal(consumer.revision, i + 1);
            assert_false(consumer.is_deleted);
        }
        assert_false(store_get_consumer(view, "csmr_unknown", &world.arena, &consumer));
        if (round == 0)
            delete_target(&world, KR_OP_CONSUMER_DELETE, id_of(&world, "csmr", 7),
                          world.now_ms + 1);
    }
    store_view_close(&view);
    world_fini(&world);
}

// --- cursors -------------------------------------------------------------------------------------
static void buckets_are_listed_by_name_without_deleted_ones(void **state)
{
    struct world world;
    struct bucket bucket;
    (void)state;
    world_start(&world);
    put_bucket(&world, 1, "charlie");
    put_bucket(&world, 2, "alpha");
    put_bucket(&world, 3, "bravo");
    put_bucket(&world, 4, "delta");
    delete_target(&world, KR_OP_BUCKET_DELETE, id_of(&world, "bckt", 3), world.now_ms + 1);
    struct store_view *view = store_view_open(world.store);
    struct store_cursor *cursor = store_buckets(view, NULL);
    static const char *const names[] = {"alpha", "charlie", "delta"};
    for (unsigned i = 0; i < 3; i++) {
        assert_true(store_next_bucket(cursor, &world.arena, &bucket));
        assert_string_equal(bucket.name, names[i]);
    }
    assert_false(store_next_bucket(cursor, &world.arena, &bucket));
    store_cursor_close(&cursor);
    cursor = store_buckets(view, "bravo"); // a name that nobody bears
    assert_true(store_next_bucket(cursor, &world.arena, &bucket));
    assert_string_equal(bucket.name, "charlie");
    store_cursor_close(&cursor);
    cursor = store_buckets(view, "charlie");
    assert_int_equal(store_cursor_skip(cursor, 5), 1);
    store_cursor_close(&cursor);
    store_view_close(&view);
    world_fini(&world);
}

static void consumers_are_listed_by_bucket_and_prefix(void **state)
{
    struct world world;
    struct consumer consumer;
    (void)state;
    world_start(&world);
    put_bucket(&world, 1, "production");
    put_bucket(&world, 2, "preview");
    for (unsigned i = 1; i <= 30; i++) {
        put_consumer(&world, 1 + i % 2, i);
    }
    struct store_view *view = store_view_open(world.store);
    struct store_cursor *cursor =
        store_consumers(view, id_of(&world, "bckt", 1), "consumer-2", NULL);
    static const char *const names[] = {"consumer-2",  "consumer-20", "consumer-22",
                                        "consumer-24", "consumer-26", "consumer-28"};
    for (unsigned i = 0; i < 6; i++) {
        assert_true(store_next_consumer(cursor, &world.arena, &consumer));
        assert_string_equal(consumer.name, names[i]);
    }
    assert_false(store_next_consumer(cursor, &world.arena, &consumer));
    store_cursor_close(&cursor);
    cursor = store_consumers(view, id_of(&world, "bckt", 1), "consumer-2", "consumer-22");
    assert_true(store_next_consumer(cursor, &world.arena, &consumer));
    assert_string_equal(consumer.name, "consumer-24");
    store_cursor_close(&cursor);
    cursor = store_consumers(view, id_of(&world, "bckt", 1), "consumer-2", "aaa");
    assert_true(store_next_consumer(cursor, &world.arena, &consumer));
    assert_string_equal(consumer.name, "consumer-2"); // not what is before the prefix
    store_cursor_close(&cursor);
    cursor = store_consumers(view, id_of(&world, "bckt", 1), NULL, NULL);
    assert_int_equal(store_cursor_skip(cursor, 10), 10);
    assert_int_equal(store_cursor_skip(cursor, 10), 5);
    assert_false(store_next_consumer(cursor, &world.arena, &consumer));
    store_cursor_close(&cursor);
    assert_int_equal(store_view_error(view, NULL), KR_ERR_OK);
    store_view_close(&view);
    world_fini(&world);
}

static void a_view_that_is_given_up_ends_its_walks_and_says_so(void **state)
{
    struct world world;
    struct consumer consumer;
    _Atomic bool is_given_up = false;
    (void)state;
    world_start(&world);
    put_bucket(&world, 1, "production");
    for (unsigned i = 1; i <= 5; i++) {
        put_consumer(&world, 1, i);
    }
    struct store_view *view = store_view_open(world.store);
    store_view_heed(view, &is_given_up);
    struct store_cursor *cursor = store_consumers(view, id_of(&world, "bckt", 1), NULL, NULL);
    assert_true(store_next_consumer(cursor, &world.arena, &consumer));
    assert_int_equal(store_cursor_skip(cursor, 1), 1);
    assert_int_equal(store_view_error(view, NULL), KR_ERR_OK);
    is_given_up = true;
    assert_int_equal(store_cursor_skip(cursor, UINT64_MAX), 0);
    assert_false(store_next_consumer(cursor, &world.arena, &consumer));
    assert_int_equal(store_view_error(view, NULL), KR_ERR_BUSY);
    store_cursor_close(&cursor);
    store_view_close(&view);
    world_fini(&world);
}

static void keys_are_listed_by_creation_and_from_behind_one(void **state)
{
    struct world world;
    struct command command = {0};
    struct key key;
    (void)state;
    world_start(&world);
    put_bucket(&world, 1, "production");
    put_consumer(&world, 1, 1);
    put_consumer(&world, 1, 2);
    for (unsigned i = 1; i <= 10; i++) {
        add_key(&world, &command, 1, 1, i)->created_ms = 1000 - 10 * i;
        add_key(&world, &command, 1, 2, 100 + i);
    }
    assert_int_equal(world_apply(&world, &command), KR_APPLY_OK);
    struct store_view *view = store_view_open(world.store);
    struct store_cursor *cursor = store_keys(view, id_of(&world, "csmr", 1), NULL);
    for (unsigned i = 10; i >= 1; i--) {
        assert_true(store_next_key(cursor, &world.arena, &key));
        assert_string_equal(key.id, id_of(&world, "key", i));
    }
    assert_false(store_next_key(cursor, &world.arena, &key));
    store_cursor_close(&cursor);
    cursor = store_keys(view, id_of(&world, "csmr", 1),
                        &(struct key){.created_ms = 960, .id = id_of(&world, "key", 4)});
    assert_int_equal(store_cursor_skip(cursor, 1), 1);
    assert_true(store_next_key(cursor, &world.arena, &key));
    assert_string_equal(key.id, id_of(&world, "key", 2));
    store_cursor_close(&cursor);
    cursor = store_keys(view, id_of(&world, "csmr", 1), // a place that no key has any more
                        &(struct key){.created_ms = 965, .id = id_of(&world, "key", 99)});
    assert_int_equal(store_cursor_skip(cursor, 100), 3);
    store_cursor_close(&cursor);
    store_view_close(&view);
    world_fini(&world);
}

static void managers_are_listed_by_consumer(void **state)
{
    struct world world;
    struct command command = {0}, removal = {0};
    struct manager manager;
    (void)state;
    world_start(&world);
    put_bucket(&world, 1, "production");
    put_consumer(&world, 1, 1);
    for (unsigned i = 1; i <= 3; i++) {
        command_add(&command, KR_OP_MANAGER_PUT, &world.arena)->as.manager_put =
            (struct manager){.id = id_of(&world, "eusr", i),
                             .consumer_id = id_of(&world, "csmr", 1),
                             .email = "a@example.com"};
    }
    assert_int_equal(world_apply(&world, &command), KR_APPLY_OK);
    command_add(&removal, KR_OP_MANAGER_DELETE, &world.arena)->as.manager_delete =
        (struct command_manager_delete){id_of(&world, "csmr", 1), id_of(&world, "eusr", 2)};
    assert_int_equal(world_apply(&world, &removal), KR_APPLY_OK);
    struct store_view *view = store_view_open(world.store);
    struct store_cursor *cursor = store_managers(view, id_of(&world, "csmr", 1));
    assert_true(store_next_manager(cursor, &world.arena, &manager));
    assert_string_equal(manager.id, id_of(&world, "eusr", 1));
    assert_true(store_next_manager(cursor, &world.arena, &manager));
    assert_string_equal(manager.id, id_of(&world, "eusr", 3));
    assert_string_equal(manager.email, "a@example.com");
    assert_null(manager.sub);
    assert_false(store_next_manager(cursor, &world.arena, &manager));
    store_cursor_close(&cursor);
    store_view_close(&view);
    world_fini(&world);
}

static void members_and_their_leader_read_back(void **state)
{
    struct world world;
    struct command command = {0};
    struct member member;
    struct leader leader;
    (void)state;
    world_start(&world);
    static const char *const ids[] = {"eu-2", "eu-1", "us-1"};
    for (size_t i = 0; i < 3; i++) {
        command_add(&command, KR_OP_MEMBER_PUT, &world.arena)->as.member_put = (struct member){
            .id = ids[i], .region = "eu", .role = KR_MEMBER_FOLLOWER, .peer_address = "a:1"};
    }
    command_add(&command, KR_OP_LEAD, &world.arena)->as.lead = (struct command_lead){"eu-1", 1};
    command_add(&command, KR_OP_MEMBER_REMOVE, &world.arena)->as.member_remove.id = "us-1";
    assert_int_equal(world_apply(&world, &command), KR_APPLY_OK);
    world_reopen(&world);
    struct store_view *view = store_view_open(world.store);
    struct store_cursor *cursor = store_members(view);
    for (unsigned i = 1; i <= 3; i++) {
        assert_true(store_next_member(cursor, &world.arena, &member));
        assert_string_equal(member.id, i < 3 ? ids[2 - i] : "us-1");
        assert_int_equal(member.is_removed, i == 3);
        assert_int_equal(member.role, KR_MEMBER_FOLLOWER);
    }
    assert_false(store_next_member(cursor, &world.arena, &member));
    assert_true(store_get_member(view, "us-1", &world.arena, &member));
    assert_false(store_get_member(view, "us", &world.arena, &member));
    assert_true(store_get_leader(view, &world.arena, &leader));
    assert_string_equal(leader.member_id, "eu-1");
    assert_int_equal(leader.since_ms, world.now_ms);
    assert_int_equal(store_view_error(view, NULL), KR_ERR_OK);
    store_cursor_close(&cursor);
    store_view_close(&view);
    world_fini(&world);
}

static void audit_rows_are_listed_newest_first_between_two_times(void **state)
{
    struct world world;
    struct audit audit;
    (void)state;
    world_start(&world);
    for (unsigned i = 1; i <= 10; i++) {
        struct command command = {0};
        world.now_ms = KR_FIXTURE_NOW_MS + 10 * (int64_t)i;
        add_audit(&world, &command, arena_printf(&world.arena, "action-%u", i));
        assert_int_equal(world_apply(&world, &command), KR_APPLY_OK);
    }
    struct store_view *view = store_view_open(world.store);
    struct store_cursor *cursor =
        store_audits(view, KR_FIXTURE_NOW_MS + 30, KR_FIXTURE_NOW_MS + 70);
    for (unsigned i = 6; i >= 3; i--) {
        assert_true(store_next_audit(cursor, &world.arena, &audit));
        assert_string_equal(audit.action, arena_printf(&world.arena, "action-%u", i));
        assert_int_equal(audit.index, i);
    }
    assert_false(store_next_audit(cursor, &world.arena, &audit));
    store_cursor_close(&cursor);
    cursor = store_audits(view, 0, INT64_MAX);
    assert_int_equal(store_cursor_skip(cursor, 9), 9);
    assert_true(store_next_audit(cursor, &world.arena, &audit));
    assert_string_equal(audit.action, "action-1");
    store_cursor_close(&cursor);
    cursor = store_audits(view, KR_FIXTURE_NOW_MS + 30, KR_FIXTURE_NOW_MS + 30);
    assert_false(store_next_audit(cursor, &world.arena, &audit));
    store_cursor_close(&cursor);
    store_view_close(&view);
    world_fini(&world);
}

// --- damage --------------------------------------------------------------------------------------
static void damage_is_remembered_and_hides_behind_no_absence(void **state)
{
    struct world world;
    struct rows_key row;
    struct index *index = NULL;
    struct bucket bucket;
    (void)state;
    world_start(&world);
    put_bucket(&world, 1, "production");
    put_consumer(&world, 1, 1);
    store_close(&world.store);
    struct index_options options = {.directory = world.directory, .block_cache_bytes = 1u << 20};
    assert_int_equal(index_open(&options, &index, &world.fault), KR_ERR_OK);
    struct index_batch *batch = index_batch_new();
    rows_tagged(&row, 'i', id_of(&world, "csmr", 1));
    index_batch_put(index, batch, KR_INDEX_SUBJECTS, rows_key_bytes(&row), bytes_text("\xff"));
    assert_int_equal(index_write(index, batch, true, &world.fault), KR_ERR_OK);
    index_batch_free(&batch);
    index_close(&index);
    world_open(&world);
    struct store_view *view = store_view_open(world.store);
    struct consumer consumer;
    assert_false(store_get_consumer(view, id_of(&world, "csmr", 1), &world.arena, &consumer));
    assert_int_equal(store_view_error(view, &world.fault), KR_ERR_CORRUPT);
    assert_non_null(strstr(world.fault.text, "subjects"));
    assert_false(store_get_bucket_named(view, "production", &world.arena, &bucket));
    for (unsigned caller = 2; caller <= 4; caller++) { // each meets it anew, and nothing else
        store_view_reuse(view);
        assert_true(store_get_bucket_named(view, "production", &world.arena, &bucket));
        assert_int_equal(store_view_error(view, NULL), KR_ERR_OK);
        assert_false(store_get_consumer(view, id_of(&world, "csmr", 1), &world.arena, &consumer));
        assert_int_equal(store_view_error(view, NULL), KR_ERR_CORRUPT);
    }
    store_view_close(&view);
    view = store_view_open(world.store);
    struct store_cursor *cursor = store_consumers(view, id_of(&world, "bckt", 1), NULL, NULL);
    assert_false(store_next_consumer(cursor, &world.arena, &consumer));
    assert_int_equal(store_view_error(view, NULL), KR_ERR_CORRUPT);
    store_cursor_close(&cursor);
    store_view_close(&view);
    struct command command = {0};
    add_key(&world, &command, 1, 1, 1);
    assert_int_equal(world_try(&world, &command), KR_ERR_CORRUPT);
    assert_int_equal(world_index(&world), 2);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_consumers_and_keys_read_back_by_every_name),
        cmocka_unit_test(what_stands_beside_the_keys_reads_back),
        cmocka_unit_test(the_vault_reads_back_in_the_order_of_its_keys),
        cmocka_unit_test(a_view_stays_as_it_was_while_the_store_goes_on),
        cmocka_unit_test(callers_that_share_a_view_see_the_same_moment),
        cmocka_unit_test(buckets_are_listed_by_name_without_deleted_ones),
        cmocka_unit_test(consumers_are_listed_by_bucket_and_prefix),
        cmocka_unit_test(a_view_that_is_given_up_ends_its_walks_and_says_so),
        cmocka_unit_test(keys_are_listed_by_creation_and_from_behind_one),
        cmocka_unit_test(managers_are_listed_by_consumer),
        cmocka_unit_test(members_and_their_leader_read_back),
        cmocka_unit_test(audit_rows_are_listed_newest_first_between_two_times),
        cmocka_unit_test(damage_is_remembered_and_hides_behind_no_absence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
