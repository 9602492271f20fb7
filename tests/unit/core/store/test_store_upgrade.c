// SPDX-License-Identifier: Apache-2.0
// Directories of format 1 come up to this one, whole, also when the way was cut short.
#include "store_fixture.h"

#include "core/store/index.h"
#include "core/store/rows.h"

#define KR_DAY_MS INT64_C(86400000)

struct old {
    struct index *index;
    struct index_batch *batch;
    struct buf scratch;
    struct store_position position;
};

static void take_term(struct old *old, enum store_class from, struct hash128 now,
                      struct hash128 before)
{
    struct hash128 *core = &old->position.digest[KR_CLASS_CORE];
    old->position.digest[from] = hash_sum_sub(old->position.digest[from], now);
    *core = hash_sum_add(*core, before);
}

// Due rows without their groups, in the core class. The first `kept` stay as they are, as a crash
// leaves them.
static void degroup(struct old *old, unsigned kept)
{
    struct bytes key, value;
    struct index_cursor *cursor =
        index_cursor_open(old->index, &(struct index_range){.family = KR_INDEX_DUE});
    index_cursor_first(cursor);
    for (unsigned i = 0; index_cursor_row(cursor, &key, &value); index_cursor_next(cursor), i++) {
        struct bytes before = bytes_of(key.data + 1, key.size - 1);
        take_term(old, key.data[0] == 'v' ? KR_CLASS_DUE : KR_CLASS_CORE,
                  rows_term(&old->scratch, KR_INDEX_DUE, key, value),
                  rows_term(&old->scratch, KR_INDEX_DUE, before, value));
        if (i >= kept) {
            index_batch_put(old->index, old->batch, KR_INDEX_DUE, before, value);
            index_batch_delete(old->index, old->batch, KR_INDEX_DUE, key);
        }
    }
    index_cursor_close(&cursor);
}

static void put_meta(struct old *old, const char *name, struct bytes value)
{
    index_batch_put(old->index, old->batch, KR_INDEX_META, bytes_text(name), value);
}

static void put_old_applied(struct old *old)
{
    static const enum store_class classes[] = {KR_CLASS_BUCKET, KR_CLASS_CONSUMER, KR_CLASS_KEY,
                                               KR_CLASS_CORE};
    uint8_t value[8 * 15];
    struct buf out;
    buf_init_fixed(&out, value, sizeof value);
    buf_add_u64(&out, old->position.index);
    buf_add_u64(&out, old->position.epoch);
    buf_add_u64(&out, old->position.chain.high);
    buf_add_u64(&out, old->position.chain.low);
    for (size_t i = 0; i < 4; i++) {
        buf_add_u64(&out, old->position.digest[classes[i]].high);
        buf_add_u64(&out, old->position.digest[classes[i]].low);
    }
    buf_add_u64(&out, 1);    // the log begins
    buf_add_u64(&out, 4711); // its bytes
    buf_add_u64(&out, hash_u64(buf_bytes(&out), 0));
    assert_int_equal(buf_result(&out), KR_ERR_OK);
    put_meta(old, "applied", buf_bytes(&out));
}

// Rewrites a closed directory as format 1 would have it.
static void make_old(struct world *world, unsigned kept)
{
    struct old old = {.batch = index_batch_new()};
    struct index_options options = {.directory = world->directory, .block_cache_bytes = 1u << 20};
    struct bytes cluster;
    store_position(world->store, &old.position);
    store_close(&world->store);
    buf_init(&old.scratch, 1u << 20);
    assert_int_equal(index_open(&options, &old.index, &world->fault), KR_ERR_OK);
    degroup(&old, kept);
    struct index_reader reader = {.index = old.index};
    assert_true(index_read(&reader, KR_INDEX_META, bytes_text("cluster"), &world->arena, &cluster));
    struct hash128 term = rows_term(&old.scratch, KR_INDEX_META, bytes_text("cluster"), cluster);
    take_term(&old, KR_CLASS_MEMBER, term, term);
    put_old_applied(&old);
    put_meta(&old, "format", bytes_of("\0\0\0\1", 4));
    index_batch_delete(old.index, old.batch, KR_INDEX_META, bytes_text("holding"));
    assert_int_equal(index_write(old.index, old.batch, true, &world->fault), KR_ERR_OK);
    index_batch_free(&old.batch);
    index_close(&old.index);
    buf_fini(&old.scratch);
}

// Everything that has a place of its own in either format.
static void fill(struct world *world)
{
    struct command command = {0};
    world_start(world);
    command_add(&command, KR_OP_CLUSTER_INIT, &world->arena)->as.cluster_init =
        (struct command_cluster_init){"clst_1", "acct_1", "default"};
    assert_int_equal(world_apply(world, &command), KR_APPLY_OK);
    put_keys(world, 20);
    for (unsigned i = 1; i <= 5; i++) {
        revoke_key(world, i, world->now_ms + KR_DAY_MS);
    }
    put_consumer(world, 1, 2);
    delete_target(world, KR_OP_CONSUMER_DELETE, id_of(world, "csmr", 2), world->now_ms + KR_DAY_MS);
}

static void assert_upgrades(unsigned kept)
{
    struct world world;
    struct store_position before, after;
    fill(&world);
    store_position(world.store, &before);
    make_old(&world, kept);
    world_open(&world);
    store_position(world.store, &after);
    assert_int_equal(after.index, before.index);
    assert_true(hash_equal(after.chain, before.chain));
    for (size_t i = 0; i < KR_CLASS_COUNT; i++) {
        assert_true(hash_equal(after.digest[i], before.digest[i]));
    }
    assert_int_equal(store_log_first(world.store), 0);
    world_load(&world);
    assert_int_equal(find_key(&world, 20).lookup, KR_STORE_FOUND);
    // Life goes on: the log begins anew, and what was due is purged.
    assert_true(store_is_due(world.store, world.now_ms + KR_DAY_MS, 0));
    assert_int_equal(purge(&world, world.now_ms + KR_DAY_MS, 100), 5 + 1);
    assert_int_equal(store_log_first(world.store), before.index + 1);
    world_reopen(&world);
    assert_int_equal(store_verify_log(world.store, &world.fault), KR_ERR_OK);
    world_load(&world);
    assert_int_equal(find_key(&world, 1).lookup, KR_STORE_ABSENT);
    world_fini(&world);
}

static void a_directory_of_format_1_is_brought_up_and_loses_its_log_alone(void **state)
{
    (void)state;
    assert_upgrades(0);
}

static void an_upgrade_that_was_cut_short_is_taken_up_again(void **state)
{
    (void)state;
    assert_upgrades(3);
}

static void a_new_directory_of_format_1_is_brought_up(void **state)
{
    struct world world;
    struct index *index = NULL;
    (void)state;
    world_init(&world);
    struct index_options options = {.directory = world.directory, .block_cache_bytes = 1u << 20};
    assert_int_equal(index_open(&options, &index, &world.fault), KR_ERR_OK);
    struct index_batch *batch = index_batch_new();
    index_batch_put(index, batch, KR_INDEX_META, bytes_text("format"), bytes_of("\0\0\0\1", 4));
    assert_int_equal(index_write(index, batch, true, &world.fault), KR_ERR_OK);
    index_batch_free(&batch);
    index_close(&index);
    world_open(&world);
    put_keys(&world, 2);
    world_reopen(&world);
    assert_int_equal(world_index(&world), 3);
    world_fini(&world);
}

static void a_follower_does_not_take_over_a_core_nodes_directory(void **state)
{
    struct world world;
    (void)state;
    world_start(&world);
    put_keys(&world, 2);
    store_close(&world.store);
    world.options.holding = KR_HOLD_VALIDATION;
    assert_int_equal(world_try_open(&world), KR_ERR_CONFLICT);
    assert_non_null(strstr(world.fault.text, "core node"));
    world.options.holding = KR_HOLD_ALL;
    world_open(&world);
    world_fini(&world);
    // And of format 1, which only core nodes wrote: it stays as it is.
    fill(&world);
    make_old(&world, 0);
    world.options.holding = KR_HOLD_VALIDATION;
    assert_int_equal(world_try_open(&world), KR_ERR_CONFLICT);
    world.options.holding = KR_HOLD_ALL;
    world_open(&world);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_of_format_1_is_brought_up_and_loses_its_log_alone),
        cmocka_unit_test(an_upgrade_that_was_cut_short_is_taken_up_again),
        cmocka_unit_test(a_new_directory_of_format_1_is_brought_up),
        cmocka_unit_test(a_follower_does_not_take_over_a_core_nodes_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
