// SPDX-License-Identifier: Apache-2.0
// The store: what is applied is there, exactly, and again after a reopen; what is refused is not.
#include "store_fixture.h"

#include "core/store/index.h"
#include "core/store/rows.h"

static bool has_key(struct world *world, unsigned number)
{
    struct store_view *view = store_view_open(world->store);
    uint8_t digest[KR_DIGEST_SIZE];
    struct key key;
    digest_of(number, digest);
    bool is_there = store_get_key(view, digest, &world->arena, &key);
    assert_int_equal(store_view_error(view, NULL), KR_ERR_OK);
    store_view_close(&view);
    return is_there;
}

static uint64_t count_of(struct world *world, char what, const char *id)
{
    struct store_view *view = store_view_open(world->store);
    uint64_t count = store_get_count(view, what, id);
    store_view_close(&view);
    return count;
}

// --- life ----------------------------------------------------------------------------------------
static void a_new_store_stands_at_zero(void **state)
{
    struct world world;
    struct store_position position;
    (void)state;
    world_start(&world);
    store_position(world.store, &position);
    assert_int_equal(position.index, 0);
    assert_int_equal(store_log_first(world.store), 0);
    assert_false(store_is_loaded(world.store));
    assert_int_equal(find_key(&world, 1).lookup, KR_STORE_ASK_INDEX);
    world_load(&world);
    assert_int_equal(find_key(&world, 1).lookup, KR_STORE_ABSENT);
    world_fini(&world);
}

static void a_reopened_store_stands_where_it_stood(void **state)
{
    struct world world, other;
    (void)state;
    world_start(&world);
    put_keys(&world, 20);
    revoke_key(&world, 3, 0);
    world_reopen(&world);
    assert_int_equal(world_index(&world), 4);
    world_start(&other);
    replay(&world, &other);
    assert_same_position(world.store, other.store);
    put_key(&world, 1, 1, 21);
    assert_int_equal(world_index(&world), 5);
    world_fini(&other);
    world_fini(&world);
}

static void a_directory_in_use_is_refused(void **state)
{
    struct world world;
    struct store *second;
    (void)state;
    world_start(&world);
    assert_int_equal(store_open(&world.options, &second, &world.fault), KR_ERR_LOCKED);
    assert_null(second);
    assert_non_null(strstr(world.fault.text, "LOCK"));
    world_fini(&world);
}

// Opens the directory below the store.
static struct index *open_rows(struct world *world)
{
    struct index *index = NULL;
    struct index_options options = {.directory = world->directory, .block_cache_bytes = 1u << 20};
    store_close(&world->store);
    assert_int_equal(index_open(&options, &index, &world->fault), KR_ERR_OK);
    return index;
}

static void write_row(struct index *index, enum index_family family, struct bytes key,
                      struct bytes value)
{
    struct fault fault;
    struct index_batch *batch = index_batch_new();
    index_batch_put(index, batch, family, key, value);
    assert_int_equal(index_write(index, batch, true, &fault), KR_ERR_OK);
    index_batch_free(&batch);
}

static void another_format_is_refused_by_its_number(void **state)
{
    struct world world;
    uint8_t format[4];
    (void)state;
    world_start(&world);
    struct index *index = open_rows(&world);
    rows_put_u32(format, 7);
    write_row(index, KR_INDEX_META, bytes_text(KR_ROWS_FORMAT), bytes_of(format, 4));
    index_close(&index);
    assert_int_equal(world_try_open(&world), KR_ERR_VERSION);
    assert_non_null(strstr(world.fault.text, "format 7"));
    world_fini(&world);
}

static void a_damaged_position_is_refused(void **state)
{
    struct world world;
    uint8_t value[KR_ROWS_APPLIED_SIZE] = {0};
    (void)state;
    world_start(&world);
    put_keys(&world, 1);
    struct index *index = open_rows(&world);
    write_row(index, KR_INDEX_META, bytes_text(KR_ROWS_APPLIED), bytes_of(value, sizeof value));
    index_close(&index);
    assert_int_equal(world_try_open(&world), KR_ERR_CORRUPT);
    assert_non_null(strstr(world.fault.text, "meta"));
    world_fini(&world);
}

// --- applying ------------------------------------------------------------------------------------
static void a_refused_entry_changes_nothing_but_keeps_its_place(void **state)
{
    struct world world;
    struct store_position before, after;
    struct command command = {0};
    struct bytes entry;
    struct hash128 chain;
    (void)state;
    world_start(&world);
    put_keys(&world, 2);
    store_position(world.store, &before);
    add_consumer(&world, &command, 1, 2);
    add_key(&world, &command, 1, 2, 3);
    add_key(&world, &command, 1, 1, 1); // in use
    assert_int_equal(world_apply(&world, &command), KR_APPLY_EXISTS);
    assert_int_equal(world.result.op, 2);
    store_position(world.store, &after);
    assert_int_equal(after.index, before.index + 1);
    assert_false(hash_equal(after.chain, before.chain));
    for (size_t i = 0; i < KR_CLASS_COUNT; i++) {
        assert_true(hash_equal(after.digest[i], before.digest[i]));
    }
    assert_false(has_key(&world, 3));
    world_load(&world);
    assert_int_equal(find_key(&world, 3).lookup, KR_STORE_ABSENT);
    assert_int_equal(count_of(&world, 'k', id_of(&world, "csmr", 1)), 2);
    assert_int_equal(
        store_log_read(world.store, after.index, &world.arena, &entry, &chain, &world.fault),
        KR_ERR_OK);
    world_fini(&world);
}

static void rows_of_one_batch_see_each_other_around_a_refused_one(void **state)
{
    struct world world, single;
    struct command commands[4] = {{0}};
    struct store_row rows[4];
    struct apply_result results[4];
    (void)state;
    world_start(&world);
    world_start(&single);
    add_bucket(&world, &commands[0], 1, "production");
    add_consumer(&world, &commands[0], 1, 1);
    add_key(&world, &commands[1], 1, 1, 1);
    add_key(&world, &commands[2], 1, 1, 2);
    add_key(&world, &commands[2], 1, 1, 1);
    add_key(&world, &commands[3], 1, 1, 2);
    for (unsigned i = 0; i < 4; i++) {
        rows[i] = encode_entry(&world, &commands[i], i + 1);
    }
    assert_int_equal(store_apply(world.store, rows, 4, results, &world.fault), KR_ERR_OK);
    assert_int_equal(results[0].code, KR_APPLY_OK);
    assert_int_equal(results[1].code, KR_APPLY_OK);
    assert_int_equal(results[2].code, KR_APPLY_EXISTS);
    assert_int_equal(results[3].code, KR_APPLY_OK);
    assert_int_equal(count_of(&world, 'b', id_of(&world, "bckt", 1)), 2);
    replay(&world, &single); // one row a commit ends at the same state
    assert_same_position(world.store, single.store);
    world_fini(&single);
    world_fini(&world);
}

static void a_row_that_does_not_follow_is_refused_and_nothing_is_written(void **state)
{
    struct world world;
    struct command command = {0};
    struct store_position before, after;
    (void)state;
    world_start(&world);
    put_keys(&world, 1);
    store_position(world.store, &before);
    add_key(&world, &command, 1, 1, 2);
    struct store_row gap = encode_entry(&world, &command, before.index + 2);
    assert_int_equal(store_apply(world.store, &gap, 1, &world.result, &world.fault),
                     KR_ERR_CORRUPT);
    world.epoch = 0;
    struct store_row old = encode_entry(&world, &command, before.index + 1);
    assert_int_equal(store_apply(world.store, &old, 1, &world.result, &world.fault),
                     KR_ERR_CORRUPT);
    struct store_row noise = {before.index + 1, bytes_text("\xff\xff\xff")};
    assert_int_equal(store_apply(world.store, &noise, 1, &world.result, &world.fault),
                     KR_ERR_CORRUPT);
    store_position(world.store, &after);
    assert_memory_equal(&before, &after, sizeof before);
    assert_false(has_key(&world, 2));
    world_fini(&world);
}

static void purging_everything_leaves_the_sums_where_they_began(void **state)
{
    struct world world;
    struct store_position position;
    (void)state;
    world_start(&world);
    put_keys(&world, 50);
    delete_target(&world, KR_OP_BUCKET_DELETE, id_of(&world, "bckt", 1), world.now_ms + 1000);
    assert_false(store_is_due(world.store, world.now_ms, 0));
    assert_true(store_is_due(world.store, world.now_ms + 1000, 0));
    world.now_ms += 40 * INT64_C(86400000);
    while (store_is_due(world.store, world.now_ms, 0)) {
        assert_true(purge(&world, world.now_ms, 7) <= 8);
    }
    store_position(world.store, &position);
    assert_true(hash_equal(position.digest[KR_CLASS_BUCKET], (struct hash128){0}));
    assert_true(hash_equal(position.digest[KR_CLASS_CONSUMER], (struct hash128){0}));
    assert_true(hash_equal(position.digest[KR_CLASS_KEY], (struct hash128){0}));
    assert_true(hash_equal(position.digest[KR_CLASS_CORE], (struct hash128){0}));
    assert_int_equal(count_of(&world, 'b', id_of(&world, "bckt", 1)), 0);
    struct store_figures figures;
    store_figures(world.store, &figures);
    assert_int_equal(figures.hot.keys, 0);
    assert_int_equal(figures.hot.subjects, 0);
    world_fini(&world);
}

static void old_audit_rows_go_with_a_purge_and_leave_the_sums_where_they_began(void **state)
{
    struct world world;
    struct store_position position;
    (void)state;
    world_start(&world);
    int64_t start_ms = world.now_ms;
    for (unsigned i = 0; i < 10; i++) {
        struct command command = {.actor = "system"};
        add_audit(&world, &command, "some.action");
        world.now_ms = start_ms + i;
        assert_int_equal(world_apply(&world, &command), KR_APPLY_OK);
    }
    assert_false(store_is_due(world.store, INT64_MAX - 1, 0));
    assert_false(store_is_due(world.store, INT64_MAX - 1, start_ms));
    assert_true(store_is_due(world.store, 0, start_ms + 1));
    assert_int_equal(purge_audits(&world, 0, 100, 0), 0);
    assert_int_equal(purge_audits(&world, 0, 3, start_ms + 5), 3);
    assert_true(store_is_due(world.store, 0, start_ms + 5));
    assert_int_equal(purge_audits(&world, 0, 3, start_ms + 5), 2);
    assert_false(store_is_due(world.store, 0, start_ms + 5));
    world_reopen(&world);
    assert_false(store_is_due(world.store, 0, start_ms + 5));
    assert_int_equal(purge_audits(&world, 0, 100, INT64_MAX), 5);
    assert_false(store_is_due(world.store, 0, INT64_MAX));
    store_position(world.store, &position);
    assert_true(hash_equal(position.digest[KR_CLASS_CORE], (struct hash128){0}));
    world_fini(&world);
}

static void a_freed_name_can_be_taken_again_and_the_purge_leaves_its_new_bearer(void **state)
{
    struct world world;
    struct bucket bucket;
    (void)state;
    world_start(&world);
    put_keys(&world, 2);
    delete_target(&world, KR_OP_BUCKET_DELETE, id_of(&world, "bckt", 1), world.now_ms + 1);
    put_bucket(&world, 2, "production");
    world.now_ms += 2;
    while (store_is_due(world.store, world.now_ms, 0)) {
        purge(&world, world.now_ms, 100);
    }
    struct store_view *view = store_view_open(world.store);
    assert_true(store_get_bucket_named(view, "production", &world.arena, &bucket));
    assert_string_equal(bucket.id, id_of(&world, "bckt", 2));
    assert_false(store_get_bucket(view, id_of(&world, "bckt", 1), &world.arena, &bucket));
    store_view_close(&view);
    world_fini(&world);
}

static void a_changed_environment_shows_in_every_subject(void **state)
{
    struct world world;
    struct command command = {0};
    (void)state;
    world_start(&world);
    put_keys(&world, 1);
    world_load(&world);
    add_bucket(&world, &command, 1, "production");
    command.ops[0].as.bucket_put.expected_version = 1;
    command.ops[0].as.bucket_put.record.environment = KR_ENV_PREVIEW;
    assert_int_equal(world_apply(&world, &command), KR_APPLY_OK);
    struct store_found found = find_key(&world, 1);
    assert_int_equal(found.lookup, KR_STORE_FOUND);
    assert_int_equal(found.bucket->environment, KR_ENV_PREVIEW);
    struct bytes json = bytes_of(found.subject->texts, found.subject->json_size);
    assert_non_null(memmem(json.data, json.size, "\"preview\"", 9));
    world_fini(&world);
}

static void a_full_disk_refuses_writes_and_says_the_mend(void **state)
{
    struct world world;
    struct command command = {0};
    (void)state;
    world_init(&world);
    world.options.disk_reserve_bytes = UINT64_MAX / 4;
    world_open(&world);
    add_bucket(&world, &command, 1, "production");
    assert_int_equal(world_try(&world, &command), KR_ERR_DISK_FULL);
    assert_non_null(strstr(world.fault.text, "free space"));
    assert_int_equal(world_index(&world), 0);
    assert_int_equal(world_try(&world, &command), KR_ERR_DISK_FULL);
    store_close(&world.store);
    world.options.disk_reserve_bytes = 0;
    world_open(&world);
    assert_int_equal(world_apply(&world, &command), KR_APPLY_OK);
    world_fini(&world);
}

// What the store is told of the disk; the real one has other users. 0: the truth.
static uint64_t told_free;

uint64_t __real_index_disk_free(const struct index *index);
uint64_t __wrap_index_disk_free(const struct index *index);
uint64_t __wrap_index_disk_free(const struct index *index)
{
    return told_free != 0 ? told_free : __real_index_disk_free(index);
}

static void writes_go_on_by_themselves_when_there_is_room_again(void **state)
{
    struct world world;
    struct command command = {0};
    (void)state;
    world_init(&world);
    world.options.disk_reserve_bytes = 1 << 30;
    world_open(&world);
    add_bucket(&world, &command, 1, "production");
    told_free = (1 << 30) - 1;
    assert_int_equal(world_try(&world, &command), KR_ERR_DISK_FULL);
    told_free = (1 << 30) + (1 << 20); // and the write itself
    assert_int_equal(world_apply(&world, &command), KR_APPLY_OK);
    assert_int_equal(world_index(&world), 1);
    told_free = 0;
    world_fini(&world);
}

// --- look-ups ------------------------------------------------------------------------------------
static void what_is_applied_is_found_in_memory_and_in_the_index_alike(void **state)
{
    struct world world;
    struct command command = {0};
    uint8_t digest[KR_DIGEST_SIZE];
    (void)state;
    world_start(&world);
    put_keys(&world, 1);
    struct key *key = add_key(&world, &command, 1, 1, 2);
    key->scopes = (struct texts){(const char *const[]){"read", "write"}, 2};
    key->ip_allow = (struct texts){(const char *const[]){"10.0.0.0/8"}, 1};
    key->not_before_ms = 5;
    key->expires_ms = world.now_ms + 10;
    key->is_enabled = false;
    key->is_custom = true;
    assert_int_equal(world_apply(&world, &command), KR_APPLY_OK);
    world_load(&world);
    for (unsigned i = 1; i <= 2; i++) {
        struct store_found hot = find_key(&world, i), cold;
        digest_of(i, digest);
        assert_int_equal(store_find_index(world.store, digest, &world.arena, &cold), KR_ERR_OK);
        assert_int_equal(hot.lookup, KR_STORE_FOUND);
        assert_int_equal(cold.lookup, KR_STORE_FOUND);
        assert_int_equal(hot.record->flags, cold.record->flags);
        assert_memory_equal(hot.record->id, cold.record->id, sizeof hot.record->id);
        assert_memory_equal(hot.record->digest, digest, KR_HOT_DIGEST_BYTES);
        assert_memory_equal(cold.record->digest, digest, KR_HOT_DIGEST_BYTES);
        assert_memory_equal(hot.record->expires, cold.record->expires, 6);
        assert_memory_equal(hot.record->revision, cold.record->revision, 6);
        assert_int_equal(hot.bucket->number, cold.bucket->number);
        assert_string_equal(hot.bucket->id, cold.bucket->id);
        assert_string_equal(hot.bucket->name, cold.bucket->name);
        assert_int_equal(hot.subject->bucket, cold.subject->bucket);
        assert_int_equal(hot.subject->json_size, cold.subject->json_size);
        assert_memory_equal(hot.subject->texts, cold.subject->texts, hot.subject->json_size);
        assert_int_equal(hot.extra != NULL, i == 2);
        assert_int_equal(cold.extra != NULL, i == 2);
    }
    struct store_found found = find_key(&world, 2);
    assert_int_equal(found.extra->not_before_ms, 5);
    assert_int_equal(found.extra->scopes.count, 2);
    assert_string_equal(found.extra->scopes.items[1], "write");
    assert_int_equal(found.extra->ip_allow_count, 1);
    assert_int_equal(found.extra->ip_allow[0].prefix_bits, 96 + 8);
    digest_of(99, digest);
    assert_int_equal(store_find_index(world.store, digest, &world.arena, &found), KR_ERR_OK);
    assert_int_equal(found.lookup, KR_STORE_ABSENT);
    world_fini(&world);
}

static void revocations_reach_the_hot_table_with_the_commit(void **state)
{
    struct world world;
    (void)state;
    world_start(&world);
    put_keys(&world, 3);
    world_load(&world);
    revoke_key(&world, 1, 0);
    assert_true(find_key(&world, 1).record->flags & KR_HOT_REVOKED);
    assert_false(find_key(&world, 2).record->flags & KR_HOT_REVOKED);
    delete_target(&world, KR_OP_CONSUMER_REVOKE, id_of(&world, "csmr", 1), 0);
    assert_int_equal(find_key(&world, 2).subject->revoked_before, world_index(&world));
    delete_target(&world, KR_OP_BUCKET_REVOKE, id_of(&world, "bckt", 1), 0);
    assert_int_equal(find_key(&world, 2).bucket->revoked_before, world_index(&world));
    world_fini(&world);
}

static void a_key_of_a_deleted_bucket_is_found_in_the_index_as_revoked(void **state)
{
    struct world world;
    struct store_found found;
    uint8_t digest[KR_DIGEST_SIZE];
    (void)state;
    world_start(&world);
    put_keys(&world, 1);
    delete_target(&world, KR_OP_BUCKET_DELETE, id_of(&world, "bckt", 1), world.now_ms + 1000);
    world_reopen(&world);
    digest_of(1, digest);
    assert_int_equal(store_find_index(world.store, digest, &world.arena, &found), KR_ERR_OK);
    assert_int_equal(found.lookup, KR_STORE_FOUND);
    assert_int_equal(found.bucket->revoked_before, world_index(&world));
    world_fini(&world);
}

static void last_use_is_remembered_over_a_restart(void **state)
{
    struct world world;
    struct key key;
    const uint32_t minute = (uint32_t)(KR_FIXTURE_NOW_MS / 60000);
    (void)state;
    world_start(&world);
    put_keys(&world, 300);
    world_load(&world);
    hot_note_used(find_key(&world, 7).record, minute);
    struct store_view *view = store_view_open(world.store);
    digest_of(7, key.digest);
    assert_int_equal(store_last_used_ms(view, &key), (int64_t)minute * 60000);
    digest_of(8, key.digest);
    assert_int_equal(store_last_used_ms(view, &key), 0);
    store_view_close(&view);
    for (int64_t now = KR_FIXTURE_NOW_MS; now < KR_FIXTURE_NOW_MS + 180000; now += 500) {
        store_maintain(world.store, now); // a sweep, and another one
    }
    hot_note_used(find_key(&world, 8).record, minute + 5);
    world_reopen(&world);
    view = store_view_open(world.store);
    digest_of(7, key.digest);
    assert_int_equal(store_last_used_ms(view, &key), (int64_t)minute * 60000);
    digest_of(8, key.digest);
    assert_int_equal(store_last_used_ms(view, &key), (int64_t)(minute + 5) * 60000);
    store_view_close(&view);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_store_stands_at_zero),
        cmocka_unit_test(a_reopened_store_stands_where_it_stood),
        cmocka_unit_test(a_directory_in_use_is_refused),
        cmocka_unit_test(another_format_is_refused_by_its_number),
        cmocka_unit_test(a_damaged_position_is_refused),
        cmocka_unit_test(a_refused_entry_changes_nothing_but_keeps_its_place),
        cmocka_unit_test(rows_of_one_batch_see_each_other_around_a_refused_one),
        cmocka_unit_test(a_row_that_does_not_follow_is_refused_and_nothing_is_written),
        cmocka_unit_test(purging_everything_leaves_the_sums_where_they_began),
        cmocka_unit_test(old_audit_rows_go_with_a_purge_and_leave_the_sums_where_they_began),
        cmocka_unit_test(a_freed_name_can_be_taken_again_and_the_purge_leaves_its_new_bearer),
        cmocka_unit_test(a_changed_environment_shows_in_every_subject),
        cmocka_unit_test(a_full_disk_refuses_writes_and_says_the_mend),
        cmocka_unit_test(writes_go_on_by_themselves_when_there_is_room_again),
        cmocka_unit_test(what_is_applied_is_found_in_memory_and_in_the_index_alike),
        cmocka_unit_test(revocations_reach_the_hot_table_with_the_commit),
        cmocka_unit_test(a_key_of_a_deleted_bucket_is_found_in_the_index_as_revoked),
        cmocka_unit_test(last_use_is_remembered_over_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
