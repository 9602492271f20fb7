// SPDX-License-Identifier: Apache-2.0
// Room on the disk, and a state that is known to be wrong.
#include "store_fixture.h"

#include "core/store/store_health.h"

static void an_entry_needs_room_beside_what_is_kept_free(void **state)
{
    struct world world;
    (void)state;
    world_start(&world);
    assert_int_equal(store_check_room(world.store, 1 << 20, &world.fault), KR_ERR_OK);
    assert_int_equal(store_check_room(world.store, UINT64_MAX / 8, &world.fault), KR_ERR_DISK_FULL);
    assert_non_null(strstr(world.fault.text, "free space"));
    world.options.disk_reserve_bytes = UINT64_MAX / 2;
    world_reopen(&world);
    assert_int_equal(store_check_room(world.store, 1, &world.fault), KR_ERR_DISK_FULL);
    world_fini(&world);
}

static void a_wrong_state_stays_wrong_over_a_restart(void **state)
{
    struct world world;
    (void)state;
    world_start(&world);
    put_keys(&world, 3);
    assert_false(store_is_wrong(world.store));
    assert_int_equal(store_mark_wrong(world.store, "class 3 differs\n", &world.fault), KR_ERR_OK);
    assert_true(store_is_wrong(world.store));
    world_reopen(&world);
    assert_true(store_is_wrong(world.store));
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_needs_room_beside_what_is_kept_free),
        cmocka_unit_test(a_wrong_state_stays_wrong_over_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
