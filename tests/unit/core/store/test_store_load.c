// SPDX-License-Identifier: Apache-2.0
// Start-up loading: the table ends equal to the index, whatever is written meanwhile.
#include "store_fixture.h"

#include "core/store/index.h"
#include "core/store/rows.h"

// Keys of several kinds, so that every way of decoding is taken.
static void put_kinds(struct world *world, unsigned count)
{
    static const char *const scopes[] = {"read"};
    static const char *const blocks[] = {"10.0.0.0/8", "::1/128"};
    struct command command = {0};
    put_bucket(world, 1, "production");
    put_bucket(world, 2, "preview");
    for (unsigned i = 1; i <= 9; i++) {
        add_consumer(world, &command, 1 + i % 2, i);
    }
    for (unsigned i = 1; i <= count; i++) {
        unsigned consumer = 1 + i % 9;
        struct key *key = add_key(world, &command, 1 + consumer % 2, consumer, i);
        key->expires_ms = i % 3 ? 0 : world->now_ms + i;
        key->not_before_ms = i % 5 ? 0 : i;
        key->is_enabled = i % 7 != 0;
        key->is_custom = i % 11 == 0;
        if (i % 4 == 0) {
            key->scopes = (struct texts){scopes, 1};
        }
        if (i % 6 == 0) {
            key->ip_allow = (struct texts){blocks, 2};
        }
    }
    assert_int_equal(world_apply(world, &command), KR_APPLY_OK);
}

static void assert_hot_equals_index(struct world *world, unsigned number)
{
    struct store_found hot = find_key(world, number), cold;
    uint8_t digest[KR_DIGEST_SIZE];
    digest_of(number, digest);
    assert_int_equal(store_find_index(world->store, digest, &world->arena, &cold), KR_ERR_OK);
    assert_int_equal(hot.lookup, cold.lookup);
    if (hot.lookup != KR_STORE_FOUND) {
        return;
    }
    assert_int_equal(hot.record->flags, cold.record->flags);
    assert_memory_equal(hot.record->id, cold.record->id, sizeof hot.record->id);
    assert_memory_equal(hot.record->expires, cold.record->expires, 6);
    assert_memory_equal(hot.record->revision, cold.record->revision, 6);
    assert_int_equal(hot.bucket->number, cold.bucket->number);
    assert_int_equal(hot.subject->json_size, cold.subject->json_size);
    assert_memory_equal(hot.subject->texts, cold.subject->texts, hot.subject->json_size);
    assert_int_equal(hot.subject->revoked_before, cold.subject->revoked_before);
    assert_int_equal(hot.extra != NULL, cold.extra != NULL);
    if (hot.extra) {
        assert_int_equal(hot.extra->not_before_ms, cold.extra->not_before_ms);
        assert_int_equal(hot.extra->scopes.count, cold.extra->scopes.count);
        assert_int_equal(hot.extra->ip_allow_count, cold.extra->ip_allow_count);
    }
}

static void the_loaded_table_equals_the_index(void **state)
{
    struct world world;
    struct store_figures figures;
    uint64_t done, total;
    (void)state;
    world_start(&world);
    put_kinds(&world, 1000);
    revoke_key(&world, 5, 0);
    for (unsigned threads = 1; threads <= 5; threads += 2) {
        store_close(&world.store);
        world.options.load_threads = threads;
        world_open(&world);
        world_load(&world);
        assert_true(store_is_loaded(world.store));
        for (unsigned i = 1; i <= 1001; i++) {
            assert_hot_equals_index(&world, i);
        }
        store_figures(world.store, &figures);
        assert_int_equal(figures.hot.keys, 1000);
        assert_int_equal(figures.hot.subjects, 9);
        assert_int_equal(figures.hot.buckets, 2);
        store_load_progress(world.store, &done, &total);
        assert_int_equal(done, 1000);
        assert_int_equal(total, 1000);
    }
    world_fini(&world);
}

static void what_is_written_before_and_while_loading_wins(void **state)
{
    struct world world;
    struct loading loading;
    (void)state;
    world_start(&world);
    put_kinds(&world, 3000);
    world_reopen(&world);
    revoke_key(&world, 1, world.now_ms + 1); // before it begins
    loading_begin(&world, &loading);
    for (unsigned i = 2; i <= 60; i++) {
        revoke_key(&world, i, world.now_ms + 1);
    }
    while (store_is_due(world.store, world.now_ms + 1, 0)) {
        purge(&world, world.now_ms + 1, 1000);
    }
    put_key(&world, 1, 2, 9001);
    delete_target(&world, KR_OP_CONSUMER_REVOKE, id_of(&world, "csmr", 3), 0);
    assert_int_equal(loading_wait(&loading), KR_ERR_OK);
    for (unsigned i = 1; i <= 60; i++) {
        assert_int_equal(find_key(&world, i).lookup, KR_STORE_ABSENT);
    }
    for (unsigned i = 1; i <= 3000; i += 13) {
        assert_hot_equals_index(&world, i);
    }
    assert_hot_equals_index(&world, 9001);
    assert_int_equal(find_key(&world, 9001).lookup, KR_STORE_FOUND);
    world_fini(&world);
}

static void whole_buckets_purged_while_loading_stay_gone(void **state)
{
    struct world world;
    struct loading loading;
    struct store_figures figures;
    (void)state;
    world_start(&world);
    put_kinds(&world, 2000);
    delete_target(&world, KR_OP_BUCKET_DELETE, id_of(&world, "bckt", 2), world.now_ms + 1);
    world_reopen(&world);
    loading_begin(&world, &loading);
    while (store_is_due(world.store, world.now_ms + 1, 0)) {
        purge(&world, world.now_ms + 1, 100);
    }
    assert_int_equal(loading_wait(&loading), KR_ERR_OK);
    for (unsigned i = 1; i <= 2000; i += 7) {
        assert_hot_equals_index(&world, i);
    }
    while (store_maintain(world.store, world.now_ms)) {
    }
    store_figures(world.store, &figures);
    assert_int_equal(figures.hot.buckets, 1);
    assert_int_equal(figures.hot.subjects, 4);
    world_fini(&world);
}

static void until_it_is_loaded_absence_means_ask_the_index(void **state)
{
    struct world world;
    (void)state;
    world_start(&world);
    put_kinds(&world, 10);
    world_reopen(&world);
    assert_int_equal(find_key(&world, 1).lookup, KR_STORE_ASK_INDEX);
    put_key(&world, 1, 2, 77); // its consumer is not in the table yet
    assert_int_equal(find_key(&world, 77).lookup, KR_STORE_FOUND);
    world_load(&world);
    assert_int_equal(find_key(&world, 1).lookup, KR_STORE_FOUND);
    assert_int_equal(find_key(&world, 78).lookup, KR_STORE_ABSENT);
    world_fini(&world);
}

static void closing_while_loading_waits_for_it(void **state)
{
    struct world world;
    struct loading loading;
    (void)state;
    world_start(&world);
    put_kinds(&world, 5000);
    for (unsigned i = 0; i < 3; i++) {
        world_reopen(&world);
        loading_begin(&world, &loading);
        store_close(&world.store);
        world_open(&world);
    }
    world_fini(&world);
}

// Puts a value that is no record as a row of the closed store; or deletes the row.
static void change_row(struct world *world, enum index_family family, struct bytes key,
                       bool is_noise)
{
    struct index *index = NULL;
    struct index_options options = {.directory = world->directory, .block_cache_bytes = 1u << 20};
    store_close(&world->store);
    assert_int_equal(index_open(&options, &index, &world->fault), KR_ERR_OK);
    struct index_batch *batch = index_batch_new();
    if (is_noise) {
        index_batch_put(index, batch, family, key, bytes_text("\xff noise"));
    } else {
        index_batch_delete(index, batch, family, key);
    }
    assert_int_equal(index_write(index, batch, true, &world->fault), KR_ERR_OK);
    index_batch_free(&batch);
    index_close(&index);
}

static void a_missing_row_is_found_by_the_digest_of_all(void **state)
{
    struct world world;
    struct loading loading;
    struct rows_key key;
    uint8_t digest[KR_DIGEST_SIZE];
    (void)state;
    world_start(&world);
    put_kinds(&world, 100);
    digest_of(50, digest);
    rows_digest(&key, digest, sizeof digest);
    change_row(&world, KR_INDEX_KEYS, rows_key_bytes(&key), false);
    world_open(&world);
    loading_begin(&world, &loading);
    assert_int_equal(loading_wait(&loading), KR_ERR_CORRUPT);
    assert_non_null(strstr(loading.fault.text, "the rows of keys are not those of entry"));
    assert_false(store_is_loaded(world.store));
    rows_tagged(&key, 'i', id_of(&world, "csmr", 4));
    change_row(&world, KR_INDEX_SUBJECTS, rows_key_bytes(&key), false);
    world_open(&world);
    loading_begin(&world, &loading);
    assert_int_equal(loading_wait(&loading), KR_ERR_CORRUPT);
    assert_non_null(strstr(loading.fault.text, "subjects"));
    rows_tagged(&key, 'i', id_of(&world, "bckt", 2));
    change_row(&world, KR_INDEX_BUCKETS, rows_key_bytes(&key), false);
    assert_int_equal(world_try_open(&world), KR_ERR_CORRUPT);
    assert_non_null(strstr(world.fault.text, "buckets"));
    world_fini(&world);
}

static void a_row_that_is_no_record_is_reported(void **state)
{
    struct world world;
    struct loading loading;
    struct store_found found;
    struct rows_key key;
    uint8_t digest[KR_DIGEST_SIZE];
    (void)state;
    world_start(&world);
    put_kinds(&world, 100);
    digest_of(50, digest);
    rows_digest(&key, digest, sizeof digest);
    change_row(&world, KR_INDEX_KEYS, rows_key_bytes(&key), true);
    world_open(&world);
    assert_int_equal(store_find_index(world.store, digest, &world.arena, &found), KR_ERR_CORRUPT);
    loading_begin(&world, &loading);
    assert_int_equal(loading_wait(&loading), KR_ERR_CORRUPT);
    assert_non_null(strstr(loading.fault.text, "keys"));
    assert_non_null(strstr(loading.fault.text, world.directory));
    assert_false(store_is_loaded(world.store));
    rows_tagged(&key, 'i', id_of(&world, "bckt", 1));
    change_row(&world, KR_INDEX_BUCKETS, rows_key_bytes(&key), true);
    assert_int_equal(world_try_open(&world), KR_ERR_CORRUPT);
    assert_non_null(strstr(world.fault.text, "buckets"));
    world_fini(&world);
}

static void verify_for_ever(void *ctx, enum kr_err err, const struct fault *fault)
{
    struct world *world = ctx;
    assert_int_equal(err, KR_ERR_OK);
    (void)fault;
    while (store_verify_log(world->store, &world->fault) == KR_ERR_OK) {
        continue;
    }
}

static void closing_does_not_wait_for_the_whole_log_to_be_verified(void **state)
{
    struct world world;
    (void)state;
    world_start(&world);
    put_kinds(&world, 10);
    world_reopen(&world);
    store_load(world.store, verify_for_ever, &world);
    while (!store_is_loaded(world.store)) {
        continue;
    }
    store_close(&world.store);
    assert_int_equal(world.fault.err, KR_ERR_BUSY);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loaded_table_equals_the_index),
        cmocka_unit_test(what_is_written_before_and_while_loading_wins),
        cmocka_unit_test(whole_buckets_purged_while_loading_stay_gone),
        cmocka_unit_test(until_it_is_loaded_absence_means_ask_the_index),
        cmocka_unit_test(closing_while_loading_waits_for_it),
        cmocka_unit_test(closing_does_not_wait_for_the_whole_log_to_be_verified),
        cmocka_unit_test(a_row_that_is_no_record_is_reported),
        cmocka_unit_test(a_missing_row_is_found_by_the_digest_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
