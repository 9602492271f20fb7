// SPDX-License-Identifier: Apache-2.0
// What a leader makes of the nodes that ask to be registered.
#include "tests/unit/node/replica_fixture.h"

#include "node/leading.h"

struct scene {
    struct api_world world;
    struct leading *leading;
};

static int setup(void **state)
{
    struct scene *scene = mem_zalloc(sizeof(*scene));
    api_start(&scene->world);
    replica_start(&scene->world.node, true);
    replica_turn(scene->world.node.replica);
    scene->leading = leading_new(&scene->world.node);
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    replica_end(&scene->world.node);
    leading_free(&scene->leading);
    api_end(&scene->world);
    mem_free(scene);
    return 0;
}

// How many entries came of it.
static uint64_t enlist(struct scene *scene, const struct member *member)
{
    struct node *node = &scene->world.node;
    uint64_t before = store_applied_index(node->store);
    leading_enlist(scene->leading, member);
    for (int turns = 0; turns < 3; turns++) {
        replica_turn(node->replica);
        engine_turn(node->engine);
    }
    return store_applied_index(node->store) - before;
}

static void assert_stored(struct scene *scene, const struct member *expected)
{
    struct member stored;
    struct store_view *view = store_view_open(scene->world.node.store);
    assert_true(store_get_member(view, expected->id, &scene->world.arena, &stored));
    assert_string_equal(stored.region, expected->region);
    assert_int_equal(stored.role, expected->role);
    assert_string_equal(stored.peer_address, expected->peer_address);
    assert_string_equal(stored.http_address, expected->http_address);
    store_view_close(&view);
}

static struct member core_2(void)
{
    return (struct member){.id = "core-2",
                           .region = "fra",
                           .role = KR_MEMBER_CORE,
                           .peer_address = "10.0.0.2:7402",
                           .http_address = "http://10.0.0.2:7400"};
}

static void a_newcomer_is_registered_once(void **state)
{
    struct scene *scene = *state;
    const struct member member = core_2();
    assert_int_equal(enlist(scene, &member), 1);
    assert_stored(scene, &member);
    assert_int_equal(enlist(scene, &member), 0);
}

static void a_member_may_come_from_other_addresses(void **state)
{
    struct scene *scene = *state;
    struct member member = core_2();
    assert_int_equal(enlist(scene, &member), 1);
    member.peer_address = "10.0.0.9:7402";
    member.http_address = "http://10.0.0.9:7400";
    assert_int_equal(enlist(scene, &member), 1);
    assert_stored(scene, &member);
}

// Any node that is fed may say so of any other.
static void a_members_role_and_region_stay(void **state)
{
    struct scene *scene = *state;
    const struct member member = core_2();
    struct member other = member;
    assert_int_equal(enlist(scene, &member), 1);
    other.role = KR_MEMBER_FOLLOWER;
    assert_int_equal(enlist(scene, &other), 0);
    other = member;
    other.region = "sin";
    other.peer_address = "10.0.0.9:7402";
    assert_int_equal(enlist(scene, &other), 0);
    assert_stored(scene, &member);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_newcomer_is_registered_once),
        TEST(a_member_may_come_from_other_addresses),
        TEST(a_members_role_and_region_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
