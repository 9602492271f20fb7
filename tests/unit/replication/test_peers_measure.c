// SPDX-License-Identifier: Apache-2.0
// Core nodes that led, where that is the operator's word: whom they ask before they lead again, and
// what they tell an older leader.
#include "peers_world.h"

static void know_core(struct peer_node *node, const char *id, const char *address)
{
    struct state_member member = {.is_core = true, .region = "fra"};
    snprintf(member.id, sizeof(member.id), "%s", id);
    snprintf(member.peer_address, sizeof(member.peer_address), "%s", address);
    fake_add_member(node->fake, &member);
}

// A core node that led when it stopped; its state knows the others as members.
static struct peer_node *add_former_leader(struct world *world, const char *other,
                                           const char *address)
{
    struct peer_node *node = make_node(world, "former", KR_HOLD_ALL, NULL);
    know_core(node, other, address);
    fake_commit(node->fake, 1, bytes_text("led"));
    node->leads = false;
    node->leads_by_word = node->asks_first = true;
    start(node);
    return node;
}

static struct peer_node *add_core(struct world *world, uint64_t epoch, bool leads)
{
    struct peer_node *node = make_node(world, "other", KR_HOLD_ALL, NULL);
    fake_commit(node->fake, 1, bytes_text("led"));
    if (epoch > 1)
        fake_commit(node->fake, epoch, bytes_text("promoted"));
    node->leads = leads;
    node->epoch = epoch - leads;
    node->leads_by_word = true;
    start(node);
    return node;
}

static void it_leads_again_when_the_others_know_no_more(void **state)
{
    struct world *world = *state;
    struct peer_node *other = add_core(world, 1, false);
    struct peer_node *former = add_former_leader(world, "other", peers_address(other->peers));
    uint64_t began_ms = clock_boot_ms();
    assert_false(is_fresh(former));
    wait_for(world, replica_is_leader(former->replica));
    assert_true(clock_boot_ms() < began_ms + KR_PEERS_ASK_MS);
    assert_int_equal(former->unopposed, 1);
    assert_int_equal(former->outranked, 0);
    assert_true(is_fresh(former));
}

static void it_stands_by_when_another_was_promoted(void **state)
{
    struct world *world = *state;
    struct peer_node *other = add_core(world, 2, true);
    struct peer_node *former = add_former_leader(world, "other", peers_address(other->peers));
    wait_for(world, is_fresh(former) && is_same_index(former, other));
    assert_false(replica_is_leader(former->replica));
    assert_int_equal(former->unopposed, 0);
    assert_string_equal(peers_upstream_id(former->peers), "other");
}

static void it_leads_again_after_a_while_when_nobody_answers(void **state)
{
    struct world *world = *state;
    struct peer_node *former = add_former_leader(world, "other", "127.0.0.1:1");
    uint64_t began_ms = clock_boot_ms();
    wait_for(world, replica_is_leader(former->replica));
    assert_true(clock_boot_ms() >= began_ms + KR_PEERS_ASK_MS);
    assert_int_equal(former->unopposed, 1);
}

// At the addresses of core nodes, somebody else has the word.
static void who_is_no_core_member_is_not_believed(void **state)
{
    struct world *world = *state;
    const struct state_member removed = {.id = "other", .is_core = true, .is_removed = true};
    struct peer_node *other = add_core(world, 2, false);
    struct peer_node *below = make_node(world, "below", KR_HOLD_VALIDATION, NULL);
    fake_commit(below->fake, 3, bytes_text("followed"));
    below->leads = false;
    start(below);
    struct peer_node *former = add_former_leader(world, "second", peers_address(other->peers));
    know_core(former, "third", peers_address(below->peers));
    fake_add_member(former->fake, &removed);
    uint64_t began_ms = clock_boot_ms();
    wait_for(world, former->unopposed == 1);
    assert_true(clock_boot_ms() >= began_ms + KR_PEERS_ASK_MS); // nobody has answered
    assert_int_equal(former->outranked, 0);
}

// It was promoted while the old one was cut off, which now can be reached.
static void a_leader_tells_an_older_one_of_its_epoch(void **state)
{
    struct world *world = *state;
    struct peer_node *old = add_core(world, 1, true);
    struct peer_node *promoted = add_former_leader(world, "other", peers_address(old->peers));
    wait_for(world, promoted->unopposed == 1 && replica_is_leader(promoted->replica));
    assert_int_equal(old->outranked, 0);
    promote(promoted, 2);
    wait_for(world, old->outranked == 2 && !replica_is_leader(old->replica));
    assert_true(replica_is_leader(promoted->replica));
    assert_int_equal(promoted->outranked, 0);
}

static void a_promotion_ends_the_asking(void **state)
{
    struct world *world = *state;
    struct peer_node *former = add_former_leader(world, "other", "127.0.0.1:1");
    turn(world);
    promote(former, 2);
    wait_for(world, former->peers->asking == KR_PEERS_KNOWS);
    assert_true(replica_is_leader(former->replica));
    assert_int_equal(former->unopposed, 0);
}

// It heard of it while it stood by, when nothing followed from that.
static void who_begins_to_lead_below_an_epoch_that_it_knows_steps_down(void **state)
{
    struct world *world = *state;
    struct peer_node *node = add_core(world, 1, false);
    turn(world);
    peers_outranked(node->peers, 3);
    node->outranked = 0;
    promote(node, 2);
    wait_for(world, node->outranked == 3 && !replica_is_leader(node->replica));
    assert_int_equal(peers_known_epoch(node->peers), 3);
}

static void a_leader_steps_down_for_an_epoch_that_was_known_already(void **state)
{
    struct world *world = *state;
    struct peer_node *node = add_core(world, 1, false);
    promote(node, 2);
    wait_for(world, node->peers->was_leader);
    node->peers->carry.known_epoch = 3;
    peers_outranked(node->peers, 2);
    assert_int_equal(node->outranked, 0);
    peers_outranked(node->peers, 3);
    assert_int_equal(node->outranked, 3);
    wait_for(world, !replica_is_leader(node->replica));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_leads_again_when_the_others_know_no_more, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(it_stands_by_when_another_was_promoted, setup, teardown),
        cmocka_unit_test_setup_teardown(it_leads_again_after_a_while_when_nobody_answers, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_is_no_core_member_is_not_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_leader_tells_an_older_one_of_its_epoch, setup, teardown),
        cmocka_unit_test_setup_teardown(a_promotion_ends_the_asking, setup, teardown),
        cmocka_unit_test_setup_teardown(who_begins_to_lead_below_an_epoch_that_it_knows_steps_down,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_leader_steps_down_for_an_epoch_that_was_known_already,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
