// SPDX-License-Identifier: Apache-2.0
// The log's rows: reading, verifying, damage named by its row, trimming.
#include "store_fixture.h"

#include "core/store/index.h"
#include "core/store/rows.h"

static struct index *open_rows(struct world *world)
{
    struct index *index = NULL;
    struct index_options options = {.directory = world->directory, .block_cache_bytes = 1u << 20};
    store_close(&world->store);
    assert_int_equal(index_open(&options, &index, &world->fault), KR_ERR_OK);
    return index;
}

static struct bytes read_log_row(struct world *world, struct index *index, uint64_t number)
{
    struct index_reader reader = {.index = index};
    struct rows_key key;
    struct bytes value = {0};
    rows_index(&key, number);
    assert_true(index_read(&reader, KR_INDEX_LOG, rows_key_bytes(&key), &world->arena, &value));
    return value;
}

// Puts the value as that log row; of size 0: deletes it.
static void write_log_row(struct index *index, uint64_t number, struct bytes value)
{
    struct fault fault;
    struct rows_key key;
    struct index_batch *batch = index_batch_new();
    rows_index(&key, number);
    if (value.size) {
        index_batch_put(index, batch, KR_INDEX_LOG, rows_key_bytes(&key), value);
    } else {
        index_batch_delete(index, batch, KR_INDEX_LOG, rows_key_bytes(&key));
    }
    assert_int_equal(index_write(index, batch, true, &fault), KR_ERR_OK);
    index_batch_free(&batch);
}

// Flips one bit of the row's last byte, which is the entry's.
static void damage_log_row(struct world *world, uint64_t number)
{
    struct index *index = open_rows(world);
    struct bytes value = read_log_row(world, index, number);
    uint8_t *bytes = (uint8_t *)(uintptr_t)value.data;
    bytes[value.size - 1] ^= 1;
    write_log_row(index, number, value);
    index_close(&index);
}

static enum kr_err read_entry(struct world *world, uint64_t number)
{
    struct bytes entry;
    struct hash128 chain;
    return store_log_read(world->store, number, &world->arena, &entry, &chain, &world->fault);
}

static void start_with_rows(struct world *world, unsigned rows)
{
    world_start(world);
    put_bucket(world, 1, "production");
    put_consumer(world, 1, 1);
    for (unsigned i = 3; i <= rows; i++) {
        put_key(world, 1, 1, i);
    }
}

static void every_row_reads_back_with_the_chain_over_all_before(void **state)
{
    struct world world;
    struct hash128 expected = {0};
    struct store_position position;
    (void)state;
    start_with_rows(&world, 9);
    for (uint64_t i = 1; i <= 9; i++) {
        struct bytes entry;
        struct hash128 chain;
        struct entry decoded;
        assert_int_equal(store_log_read(world.store, i, &world.arena, &entry, &chain, &world.fault),
                         KR_ERR_OK);
        expected = hash_chain(expected, entry);
        assert_true(hash_equal(chain, expected));
        assert_int_equal(codec_entry(entry, &world.arena, &decoded), KR_ERR_OK);
        assert_int_equal(decoded.index, i);
    }
    store_position(world.store, &position);
    assert_true(hash_equal(position.chain, expected));
    assert_int_equal(read_entry(&world, 0), KR_ERR_NOT_FOUND);
    assert_int_equal(read_entry(&world, 10), KR_ERR_NOT_FOUND);
    assert_int_equal(store_verify_log(world.store, &world.fault), KR_ERR_OK);
    world_fini(&world);
}

static void a_damaged_row_in_the_tail_is_refused_by_its_index(void **state)
{
    struct world world;
    (void)state;
    start_with_rows(&world, 9);
    damage_log_row(&world, 7);
    assert_int_equal(world_try_open(&world), KR_ERR_CORRUPT);
    assert_non_null(strstr(world.fault.text, "log row 7"));
    assert_non_null(strstr(world.fault.text, "restore"));
    world_fini(&world);
}

static void a_missing_row_in_the_tail_is_refused_by_its_index(void **state)
{
    struct world world;
    (void)state;
    start_with_rows(&world, 9);
    struct index *index = open_rows(&world);
    write_log_row(index, 8, (struct bytes){0});
    index_close(&index);
    assert_int_equal(world_try_open(&world), KR_ERR_CORRUPT);
    assert_non_null(strstr(world.fault.text, "log row 8 is missing"));
    world_fini(&world);
}

static void a_row_behind_the_position_is_refused(void **state)
{
    struct world world;
    (void)state;
    start_with_rows(&world, 5);
    struct index *index = open_rows(&world);
    struct bytes value = read_log_row(&world, index, 5);
    uint8_t *row = arena_alloc(&world.arena, value.size);
    struct bytes entry = bytes_of(value.data + KR_ROWS_LOG_HEAD, value.size - KR_ROWS_LOG_HEAD);
    memcpy(row + KR_ROWS_LOG_HEAD, entry.data, entry.size);
    rows_put_log_head(row, 6, &(struct rows_log){.epoch = 1, .entry = entry});
    write_log_row(index, 6, bytes_of(row, value.size));
    index_close(&index);
    assert_int_equal(world_try_open(&world), KR_ERR_CORRUPT);
    assert_non_null(strstr(world.fault.text, "log row 6"));
    world_fini(&world);
}

static void a_whole_row_with_another_chain_is_refused(void **state)
{
    struct world world;
    (void)state;
    start_with_rows(&world, 5);
    struct index *index = open_rows(&world);
    struct bytes value = read_log_row(&world, index, 4);
    uint8_t *row = (uint8_t *)(uintptr_t)value.data;
    struct bytes entry = bytes_of(row + KR_ROWS_LOG_HEAD, value.size - KR_ROWS_LOG_HEAD);
    rows_put_log_head(row, 4, &(struct rows_log){.chain = {1, 2}, .epoch = 1, .entry = entry});
    write_log_row(index, 4, value);
    index_close(&index);
    assert_int_equal(world_try_open(&world), KR_ERR_CORRUPT);
    assert_non_null(strstr(world.fault.text, "chain"));
    world_fini(&world);
}

static void damage_below_the_tail_is_found_by_verifying_and_by_reading(void **state)
{
    struct world world;
    (void)state;
    start_with_rows(&world, 400);
    damage_log_row(&world, 20);
    world_open(&world);
    assert_int_equal(store_verify_log(world.store, &world.fault), KR_ERR_CORRUPT);
    assert_non_null(strstr(world.fault.text, "log row 20"));
    assert_int_equal(read_entry(&world, 20), KR_ERR_CORRUPT);
    assert_int_equal(read_entry(&world, 21), KR_ERR_CORRUPT); // it chains to 20
    assert_int_equal(read_entry(&world, 22), KR_ERR_OK);
    world_fini(&world);
}

static void trim(struct world *world, int64_t now_ms)
{
    while (store_maintain(world->store, now_ms)) {
    }
}

static void rows_are_trimmed_by_size_but_never_the_newest(void **state)
{
    struct world world;
    struct store_figures figures;
    (void)state;
    world_init(&world);
    world.options.log_retention_bytes = 20000;
    world_open(&world);
    put_bucket(&world, 1, "production");
    put_consumer(&world, 1, 1);
    for (unsigned i = 3; i <= 600; i++) {
        put_key(&world, 1, 1, i);
    }
    trim(&world, world.now_ms);
    store_figures(world.store, &figures);
    assert_true(figures.log_bytes <= 20000);
    assert_true(figures.log_bytes > 10000);
    uint64_t first = store_log_first(world.store);
    assert_true(first > 1);
    assert_int_equal(figures.log_first_index, first);
    assert_int_equal(read_entry(&world, first - 1), KR_ERR_NOT_FOUND);
    assert_int_equal(read_entry(&world, first), KR_ERR_OK);
    assert_int_equal(store_verify_log(world.store, &world.fault), KR_ERR_OK);
    world_reopen(&world);
    assert_int_equal(store_log_first(world.store), first);
    store_close(&world.store);
    world.options.log_retention_bytes = 1;
    world_open(&world);
    trim(&world, world.now_ms);
    assert_int_equal(store_log_first(world.store), 600);
    assert_int_equal(read_entry(&world, 600), KR_ERR_OK);
    world_reopen(&world);
    put_key(&world, 1, 1, 601);
    world_fini(&world);
}

static void rows_are_trimmed_by_age(void **state)
{
    struct world world;
    (void)state;
    world_init(&world);
    world.options.log_retention_ms = 1000;
    world_open(&world);
    put_bucket(&world, 1, "production");
    put_consumer(&world, 1, 1);
    for (unsigned i = 3; i <= 300; i++) {
        world.now_ms += 10;
        put_key(&world, 1, 1, i);
    }
    trim(&world, world.now_ms);
    assert_int_equal(store_log_first(world.store), 200);
    trim(&world, world.now_ms + 100000);
    assert_int_equal(store_log_first(world.store), 300);
    world_fini(&world);
}

static void without_limits_nothing_is_trimmed(void **state)
{
    struct world world;
    (void)state;
    start_with_rows(&world, 5);
    trim(&world, INT64_MAX / 2);
    assert_int_equal(store_log_first(world.store), 1);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_reads_back_with_the_chain_over_all_before),
        cmocka_unit_test(a_damaged_row_in_the_tail_is_refused_by_its_index),
        cmocka_unit_test(a_missing_row_in_the_tail_is_refused_by_its_index),
        cmocka_unit_test(a_row_behind_the_position_is_refused),
        cmocka_unit_test(a_whole_row_with_another_chain_is_refused),
        cmocka_unit_test(damage_below_the_tail_is_found_by_verifying_and_by_reading),
        cmocka_unit_test(rows_are_trimmed_by_size_but_never_the_newest),
        cmocka_unit_test(rows_are_trimmed_by_age),
        cmocka_unit_test(without_limits_nothing_is_trimmed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
