// SPDX-License-Identifier: Apache-2.0
// Who may lead, as far as the links know: not who was removed, nor whose state is wrong; and with a
// full disk only where no other core node would.
#include "peers_world.h"

static enum engine_fitness fitness_of(const struct peer_node *node)
{
    struct fault why = {0};
    enum engine_fitness fitness = peers_fitness(node->peers, &why);
    assert_true(fitness == KR_ENGINE_FIT || why.text[0] != '\0');
    return fitness;
}

static void who_was_removed_is_unfit(void **state)
{
    struct world *world = *state;
    struct peer_node *node = add_node(world, "gone", KR_HOLD_ALL, NULL);
    assert_int_equal(fitness_of(node), KR_ENGINE_FIT);
    fake_add_member(node->fake, &(struct state_member){.id = "other", .is_removed = true});
    assert_int_equal(fitness_of(node), KR_ENGINE_FIT);
    fake_add_member(node->fake, &(struct state_member){.id = "gone", .is_removed = true});
    assert_int_equal(fitness_of(node), KR_ENGINE_UNFIT);
}

static void whose_state_is_found_to_differ_is_unfit_and_says_so_on_its_disk(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct peer_node *heir = add_node(world, "heir", KR_HOLD_ALL, leader);
    commit(leader, "first");
    wait_for(world, is_fresh(heir) && is_same_index(leader, heir));
    assert_int_equal(fitness_of(heir), KR_ENGINE_FIT);
    heir->fake->position.digest[KR_CLASS_MEMBER].low ^= 1;
    commit(leader, "second");
    wait_for(world, heir->fake->is_wrong);
    assert_int_equal(fitness_of(heir), KR_ENGINE_UNFIT);
    assert_true(replica_age_ms(heir->replica, clock_boot_ms()) == UINT64_MAX);
}

static void a_restart_does_not_forget_that_the_state_is_wrong(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct peer_node *heir = make_node(world, "heir", KR_HOLD_ALL, leader);
    commit(leader, "first");
    heir->fake->is_wrong = true;
    start(heir);
    assert_int_equal(fitness_of(heir), KR_ENGINE_UNFIT);
    wait_for(world, heir->replaced > 0);
    assert_true(replica_age_ms(heir->replica, clock_boot_ms()) == UINT64_MAX);
    assert_int_equal(fitness_of(heir), KR_ENGINE_UNFIT); // until it starts with the snapshot
}

static void a_full_disk_makes_it_a_last_resort(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct peer_node *follower = add_node(world, "follower", KR_HOLD_VALIDATION, leader);
    commit(leader, "first");
    wait_for(world, is_fresh(follower) && leader->peers->children->usage.count > 0);
    leader->fake->is_full = true;
    assert_int_equal(fitness_of(leader), KR_ENGINE_LAST_RESORT);
}

static void a_leader_with_a_full_disk_makes_way_for_one_that_has_room(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct peer_node *heir = add_node(world, "heir", KR_HOLD_ALL, leader);
    commit(leader, "first");
    wait_for(world, is_fresh(heir));
    leader->fake->is_full = true;
    wait_for(world, fitness_of(leader) == KR_ENGINE_UNFIT); // once the heir has told of itself
    heir->fake->is_full = true;
    assert_int_equal(fitness_of(heir), KR_ENGINE_LAST_RESORT);
    wait_for(world, fitness_of(leader) == KR_ENGINE_LAST_RESORT);
    heir->fake->is_full = false;
    wait_for(world, fitness_of(leader) == KR_ENGINE_UNFIT);
}

static void a_leader_that_nobody_came_after_makes_way_no_more_until_it_had_room(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct peer_node *heir = add_node(world, "heir", KR_HOLD_ALL, leader);
    commit(leader, "first");
    leader->fake->is_full = true;
    wait_for(world, is_fresh(heir) && fitness_of(leader) == KR_ENGINE_UNFIT);
    lead(leader, false);
    lead(leader, true);
    wait_for(world, is_fresh(heir) && leader->peers->children != NULL &&
                        leader->peers->children->usage.count > 0);
    assert_int_equal(fitness_of(leader), KR_ENGINE_LAST_RESORT);
    leader->fake->is_full = false;
    assert_int_equal(fitness_of(leader), KR_ENGINE_FIT);
    leader->fake->is_full = true; // another time
    wait_for(world, fitness_of(leader) == KR_ENGINE_UNFIT);
}

// A leader that is damaged itself would send one such snapshot after the other.
static void an_upstream_whose_snapshot_was_not_good_is_left_alone_for_a_while(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    for (int i = 0; i < 50; i++)
        commit(leader, "entry");
    leader->fake->first = 40;
    leader->fake->position.digest[KR_CLASS_KEY].low ^= 1;
    struct peer_node *heir = add_node(world, "heir", KR_HOLD_ALL, leader);
    const struct upstream *upstream = &heir->peers->upstream;
    wait_for(world, upstream->count > 0 && upstream->candidates[0].spoilt > 0);
    wait_for(world, heir->peers->session == NULL);
    assert_int_equal(upstream->candidates[0].spoilt, 1);
    assert_in_range(upstream->candidates[0].next_try_ms,
                    clock_boot_ms() + KR_UPSTREAM_BACKOFF_MOST_MS / 4, UINT64_MAX);
    assert_int_equal(heir->replaced, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_was_removed_is_unfit),
        TEST(whose_state_is_found_to_differ_is_unfit_and_says_so_on_its_disk),
        TEST(a_restart_does_not_forget_that_the_state_is_wrong),
        TEST(a_full_disk_makes_it_a_last_resort),
        TEST(a_leader_with_a_full_disk_makes_way_for_one_that_has_room),
        TEST(a_leader_that_nobody_came_after_makes_way_no_more_until_it_had_room),
        TEST(an_upstream_whose_snapshot_was_not_good_is_left_alone_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
