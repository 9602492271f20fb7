// SPDX-License-Identifier: Apache-2.0
// Counts of a consumer's keys: the same from memory and from the index, whatever is written when.
#include "store_fixture.h"

// How many keys a revocation of the consumer says that it met.
static uint64_t revoked(struct world *world, unsigned consumer)
{
    delete_target(world, KR_OP_CONSUMER_REVOKE, id_of(world, "csmr", consumer), 0);
    return world->result.keys;
}

static uint64_t listed(struct world *world, unsigned consumer)
{
    struct store_view *view = store_view_open(world->store);
    uint64_t count = store_get_count(view, 'k', id_of(world, "csmr", consumer));
    assert_int_equal(store_view_error(view, NULL), KR_ERR_OK);
    store_view_close(&view);
    return count;
}

static void purge_keys(struct world *world, unsigned first, unsigned last)
{
    for (unsigned i = first; i <= last; i++) {
        revoke_key(world, i, world->now_ms + 1);
    }
    assert_int_equal(purge(world, world->now_ms + 1, 1000), last - first + 1);
}

static void counts_are_right_before_while_and_after_loading(void **state)
{
    struct world world;
    struct loading loading;
    (void)state;
    world_start(&world);
    put_keys(&world, 3000);
    put_consumer(&world, 1, 2);
    world_reopen(&world);
    purge_keys(&world, 1, 10);
    put_key(&world, 1, 2, 9001);
    assert_int_equal(revoked(&world, 1), 2990);
    loading_begin(&world, &loading);
    purge_keys(&world, 11, 40);
    put_key(&world, 1, 1, 9002);
    put_key(&world, 1, 2, 9003);
    assert_int_equal(loading_wait(&loading), KR_ERR_OK);
    assert_int_equal(revoked(&world, 1), 2961);
    assert_int_equal(listed(&world, 1), 2961); // too many to count in a snapshot
    assert_int_equal(revoked(&world, 2), 2);
    purge_keys(&world, 41, 45);
    put_key(&world, 1, 2, 9004);
    assert_int_equal(revoked(&world, 1), 2956);
    assert_int_equal(revoked(&world, 2), 3);
    world_reopen(&world);
    assert_int_equal(listed(&world, 1), 2956);
    assert_int_equal(revoked(&world, 1), 2956);
    assert_int_equal(revoked(&world, 2), 3);
    world_fini(&world);
}

static void a_consumer_that_is_purged_while_loading_takes_its_count_along(void **state)
{
    struct world world;
    struct loading loading;
    (void)state;
    world_start(&world);
    put_keys(&world, 500);
    world_reopen(&world);
    loading_begin(&world, &loading);
    delete_target(&world, KR_OP_CONSUMER_DELETE, id_of(&world, "csmr", 1), world.now_ms + 1);
    assert_int_equal(purge(&world, world.now_ms + 1, 1000), 501);
    put_consumer(&world, 1, 2);
    put_key(&world, 1, 2, 9001);
    assert_int_equal(loading_wait(&loading), KR_ERR_OK);
    assert_int_equal(listed(&world, 1), 0);
    assert_int_equal(revoked(&world, 2), 1);
    world_fini(&world);
}

static void a_commit_counts_what_it_has_changed_itself(void **state)
{
    struct world world;
    struct command failing = {0}, good = {0}, revoking = {0};
    struct apply_result results[3];
    (void)state;
    world_start(&world);
    put_keys(&world, 3);
    for (unsigned is_loaded = 0; is_loaded <= 1; is_loaded++) {
        unsigned first = 10 + 10 * is_loaded;
        failing = good = revoking = (struct command){0};
        add_key(&world, &failing, 1, 1, first);
        add_key(&world, &failing, 1, 1, 1); // is there already
        add_key(&world, &good, 1, 1, first + 1);
        add_key(&world, &good, 1, 1, first + 2);
        command_add(&revoking, KR_OP_CONSUMER_REVOKE, &world.arena)->as.target =
            (struct command_target){.id = id_of(&world, "csmr", 1)};
        uint64_t next = world_index(&world) + 1;
        struct store_row rows[] = {encode_entry(&world, &failing, next),
                                   encode_entry(&world, &good, next + 1),
                                   encode_entry(&world, &revoking, next + 2)};
        assert_int_equal(store_apply(world.store, rows, 3, results, &world.fault), KR_ERR_OK);
        assert_int_equal(results[0].code, KR_APPLY_EXISTS);
        assert_int_equal(results[2].keys, 5 + 2 * is_loaded);
        if (!is_loaded) {
            world_load(&world);
        }
    }
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_right_before_while_and_after_loading),
        cmocka_unit_test(a_consumer_that_is_purged_while_loading_takes_its_count_along),
        cmocka_unit_test(a_commit_counts_what_it_has_changed_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
