// SPDX-License-Identifier: Apache-2.0
// The session upwards and the replica beside it: who may write to the log, and when; and a stop
// while a snapshot is being checked.
#include "peers_world.h"

#include "replication/feed_internal.h"
#include "replication/follow_internal.h"

// The leader and another core node that follows it.
struct two {
    struct peer_node *leader, *heir;
};

static struct two make_two(struct world *world)
{
    struct two two = {.leader = add_node(world, "leader", KR_HOLD_ALL, NULL)};
    two.heir = add_node(world, "heir", KR_HOLD_ALL, two.leader);
    commit(two.leader, "first");
    wait_for(world, is_fresh(two.heir) && is_same_index(two.leader, two.heir));
    return two;
}

static void take_turn(struct peer_node *node)
{
    engine_turn(&node->engine);
    replica_turn(node->replica);
}

static void on_outcome(void *ctx, const struct replica_outcome *outcome)
{
    *(enum kr_err *)ctx = outcome->err;
}

static void who_leads_no_more_follows_once_its_last_append_is_settled(void **state)
{
    struct world *world = *state;
    const struct command command = {.request_id = "req", .actor = "system"};
    const struct fault unknown = {.err = KR_ERR_TIMEOUT};
    enum kr_err outcome = KR_ERR_OK;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    commit(leader, "first");
    struct peer_node *former = make_node(world, "former", KR_HOLD_ALL, leader);
    former->leads = true;
    start(former);
    take_turn(former);
    assert_int_equal(replica_submit(former->replica, &command, on_outcome, &outcome), KR_ERR_OK);
    take_turn(former);
    assert_non_null(former->done);
    take_role(former, false);
    take_turn(former);
    peers_tick(former->peers);
    assert_null(former->peers->session);
    former->done(former->done_ctx, KR_ERR_TIMEOUT, &unknown);
    assert_int_equal(outcome, KR_ERR_TIMEOUT);
    peers_tick(former->peers);
    assert_non_null(former->peers->session);
    wait_for(world, is_same_index(leader, former));
}

static void who_is_about_to_lead_follows_no_more(void **state)
{
    struct world *world = *state;
    const struct two two = make_two(world);
    two.heir->engine.is_store_backed = false; // its log has to be read before it leads
    take_role(two.heir, true);
    wait_for(world, two.heir->peers->session == NULL);
    assert_false(replica_is_leader(two.heir->replica));
    commit(two.leader, "under the former leadership");
    peers_tick(two.heir->peers);
    assert_null(two.heir->peers->session);
    assert_int_equal(two.heir->fake->position.index, 1);
}

// Digests make the session apply at once what it has gathered.
static void send_digests(const struct peer_node *leader, bool may)
{
    leader->peers->children->feed->digest_due_ms = may ? 0 : UINT64_MAX;
}

// It is promoted in the turn of the loop in which that entry has come, and writes its own first.
static void promote_over_what_was_gathered(struct world *world, const struct two *two)
{
    send_digests(two->leader, false);
    commit(two->leader, "gathered");
    while (two->heir->peers->session->follow->row_count == 0)
        uv_run(&world->loop, UV_RUN_ONCE);
    promote(two->heir, 2);
    take_turn(two->heir);
    assert_true(replica_is_leader(two->heir->replica));
    fake_commit(two->heir->fake, 2, bytes_text("of the new leader"));
}

static void assert_untouched(const struct peer_node *heir)
{
    struct peers_figures figures;
    peers_figures(heir->peers, &figures);
    assert_int_equal(figures.differences, 0);
    assert_false(heir->peers->carry.must_rebuild);
    assert_int_equal(heir->fake->position.index, 2);
    assert_int_equal(heir->fake->position.epoch, 2);
}

static void what_was_gathered_when_it_was_promoted_is_never_applied(void **state)
{
    struct world *world = *state;
    const struct two two = make_two(world);
    promote_over_what_was_gathered(world, &two);
    wait_for(world, two.heir->peers->session == NULL);
    assert_untouched(two.heir);
}

// In the same turn.
static void what_comes_behind_a_promotion_is_passed_over(void **state)
{
    struct world *world = *state;
    const struct two two = make_two(world);
    promote_over_what_was_gathered(world, &two);
    send_digests(two.leader, true);
    commit(two.leader, "and more");
    while (two.heir->peers->session != NULL)
        uv_run(&world->loop, UV_RUN_ONCE);
    assert_untouched(two.heir);
}

// --- a state that differs ------------------------------------------------------------------------

static bool is_in_doubt(const struct peer_node *node)
{
    return replica_known(node->replica).is_doubtful;
}

static bool has_differed(const struct peer_node *node)
{
    return node->peers->figures.differences > 0;
}

static void who_differs_is_in_doubt_until_it_leads_or_is_fresh_again(void **state)
{
    struct world *world = *state;
    const struct two two = make_two(world);
    assert_false(is_in_doubt(two.heir));
    two.heir->fake->position.chain.low ^= 1; // people decide, so that no snapshot is asked for
    commit(two.leader, "does not fit");
    wait_for(world, has_differed(two.heir));
    assert_true(is_in_doubt(two.heir) && !two.heir->peers->carry.must_rebuild);
    assert_false(is_in_doubt(two.leader));
    two.heir->fake->position.chain.low ^= 1;
    wait_for(world, is_fresh(two.heir) && is_same_index(two.leader, two.heir));
    assert_false(is_in_doubt(two.heir));
    two.heir->fake->position.chain.low ^= 1;
    commit(two.leader, "does not fit either");
    wait_for(world, is_in_doubt(two.heir));
    promote(two.heir, 2);
    wait_for(world, replica_is_leader(two.heir->replica) && !is_in_doubt(two.heir));
}

static void whose_log_is_refused_is_in_doubt(void **state)
{
    struct world *world = *state;
    const struct two two = make_two(world);
    end(two.heir);
    two.heir->fake->position.chain.low ^= 1;
    start(two.heir);
    assert_false(is_in_doubt(two.heir));
    wait_for(world, is_in_doubt(two.heir));
    assert_false(has_differed(two.heir) || two.heir->peers->carry.must_rebuild);
}

static void a_damaged_state_is_in_doubt_until_it_is_replaced(void **state)
{
    struct world *world = *state;
    const struct two two = make_two(world);
    two.heir->fake->position.digest[KR_CLASS_KEY].low ^= 1;
    commit(two.leader, "second");
    wait_for(world, has_differed(two.heir));
    assert_true(is_in_doubt(two.heir) && two.heir->peers->carry.must_rebuild);
    wait_for(world, two.heir->replaced > 0);
    assert_true(is_in_doubt(two.heir)); // the next start has the new state
}

// --- the end of a snapshot -----------------------------------------------------------------------

static uv_sem_t begun, may_end;

static enum kr_err finish_when_told(struct state_import *import, struct fault *fault)
{
    uv_sem_post(&begun);
    uv_sem_wait(&may_end);
    return fake_import_finish(import, fault);
}

// What it says of epochs would be believed by all that follow it.
static void who_was_removed_is_followed_by_nobody_that_knows(void **state)
{
    struct world *world = *state;
    const struct state_member removed = {.id = "gone", .is_core = true, .is_removed = true};
    struct peer_node *gone = add_node(world, "gone", KR_HOLD_ALL, NULL);
    fake_commit(gone->fake, 9, bytes_text("of nobody's epoch"));
    struct peer_node *follower = make_node(world, "follower", KR_HOLD_VALIDATION, gone);
    fake_add_member(follower->fake, &removed);
    start(follower);
    wait_for(world, follower->peers->figures.closed[KR_PEERS_REFUSED] > 0);
    assert_int_equal(peers_known_epoch(follower->peers), 0);
    assert_false(is_fresh(follower));
}

// The upstream would send the same entry again, at once and for ever.
static void who_cannot_read_an_entry_asks_for_it_now_and_then(void **state)
{
    struct world *world = *state;
    struct two two = make_two(world);
    const struct upstream *upstream = &two.heir->peers->upstream;
    two.heir->fake->is_old = true;
    commit(two.leader, "of a later version");
    wait_for(world, two.heir->peers->figures.closed[KR_PEERS_BROKEN] > 0);
    assert_in_range(upstream->candidates[0].next_try_ms,
                    clock_boot_ms() + KR_UPSTREAM_BACKOFF_MOST_MS / 4, UINT64_MAX);
    assert_int_equal(two.heir->fake->position.index + 1, two.leader->fake->position.index);
}

static void a_stop_waits_for_the_check_and_ends_with_it(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    for (int i = 0; i < 50; i++)
        commit(leader, "entry");
    leader->fake->first = 40;
    struct peer_node *follower = make_node(world, "follower", KR_HOLD_VALIDATION, leader);
    uv_sem_init(&begun, 0);
    uv_sem_init(&may_end, 0);
    follower->fake->verbs.import_finish = finish_when_told;
    start(follower);
    wait_for(world, uv_sem_trywait(&begun) == 0);
    peers_close(follower->peers, on_closed, follower);
    follower->peers = NULL;
    wait_for(world, leader->peers->figures.closed[KR_PEERS_LEFT] > 0);
    assert_false(follower->is_closed);
    uv_sem_post(&may_end);
    wait_for(world, follower->is_closed);
    assert_int_equal(follower->replaced, 0);
    assert_true(follower->fake->is_next_whole); // the next start goes on with it
    uv_sem_destroy(&begun);
    uv_sem_destroy(&may_end);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_leads_no_more_follows_once_its_last_append_is_settled),
        TEST(who_is_about_to_lead_follows_no_more),
        TEST(what_was_gathered_when_it_was_promoted_is_never_applied),
        TEST(what_comes_behind_a_promotion_is_passed_over),
        TEST(who_differs_is_in_doubt_until_it_leads_or_is_fresh_again),
        TEST(whose_log_is_refused_is_in_doubt),
        TEST(a_damaged_state_is_in_doubt_until_it_is_replaced),
        TEST(who_was_removed_is_followed_by_nobody_that_knows),
        TEST(who_cannot_read_an_entry_asks_for_it_now_and_then),
        TEST(a_stop_waits_for_the_check_and_ends_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
