// SPDX-License-Identifier: Apache-2.0
// Calls for the leader over real links: through a relay, and when the link or the upstream changes
// while one is under way.
#include "peers_world.h"

struct told {
    enum kr_err err;
    uint32_t status;
    size_t count, size;
};

static void on_told(void *ctx, enum kr_err err, const struct forward_answer *answer)
{
    struct told *told = ctx;
    told->err = err;
    told->status = answer != NULL ? answer->status : 0;
    told->size = answer != NULL ? answer->body.size : 0;
    told->count++;
}

static const uint8_t call_body[100000];
static const struct forward_answer created = {.status = 201};

// send_by_ms 0: it waits for a link as long as for the answer.
static void call(struct peer_node *node, struct told *told, uint64_t send_by_ms)
{
    const struct forward_request request = {.method = "POST",
                                            .target = "/v1/keys",
                                            .body = bytes_of(call_body, sizeof(call_body)),
                                            .client_address = "10.0.0.1",
                                            .request_id = "req",
                                            .deadline_ms = clock_boot_ms() + 60000,
                                            .send_by_ms = send_by_ms};
    *told = (struct told){0};
    assert_int_equal(peers_forward(node->peers, &request, on_told, told), KR_ERR_OK);
}

// A call from a leaf below a relay has arrived at the leader.
static struct peer_node *call_through_a_relay(struct world *world, struct told *told)
{
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct peer_node *relay = add_node(world, "a-relay", KR_HOLD_VALIDATION, leader);
    commit(leader, "first");
    wait_for(world, is_fresh(relay));
    struct peer_node *leaf = add_node(world, "leaf", KR_HOLD_VALIDATION, relay);
    call(leaf, told, 0); // before it has an upstream: it waits
    wait_for(world, leader->call != NULL);
    return leader;
}

static void a_call_from_a_leaf_is_answered_by_the_leader(void **state)
{
    struct world *world = *state;
    struct told told = {0};
    struct peer_node *leader = call_through_a_relay(world, &told);
    const struct forward_answer answer = {.status = 201, .body = bytes_of(call_body, 70000)};
    peers_answer(leader->peers, leader->call, &answer);
    wait_for(world, told.count == 1);
    assert_int_equal(told.status, 201);
    assert_int_equal(told.size, 70000);
}

// The node has measured another one, and long enough ago come to where it is.
static void find_better(struct peer_node *node, const struct peer_node *better)
{
    struct upstream *upstream = &node->peers->upstream;
    const char *address = peers_address(better->peers);
    const struct state_member member = {.region = "fra", .is_core = true};
    assert_int_equal(upstream_configure(upstream, address, &(struct fault){0}), KR_ERR_OK);
    upstream_identified(upstream, address, &member);
    for (int i = 0; i < 3; i++)
        upstream_measured(upstream, address, 1);
    upstream->current->measured = 1;
    upstream->current->round_trip_us = 1000000;
    upstream->attached_ms = 0;
}

static void what_is_on_its_way_is_answered_before_a_better_upstream_is_followed(void **state)
{
    struct world *world = *state;
    struct told first = {0}, second = {0};
    struct peer_node *leader = call_through_a_relay(world, &first), *leaf = &world->nodes[2];
    struct peers_session *session = leaf->peers->session;
    find_better(leaf, leader);
    wait_for(world, session->retire_by_ms != 0);
    session->retire_by_ms = UINT64_MAX;
    call(leaf, &second, 0);
    struct peers_call *under_way = leader->call;
    leader->call = NULL;
    commit(leader, "meanwhile");
    wait_for(world, is_same_index(leader, leaf));
    assert_null(leader->call);
    peers_answer(leader->peers, under_way, &created);
    wait_for(world, first.count == 1 && leader->call != NULL);
    assert_int_equal(first.status, 201);
    assert_string_equal(peers_upstream_id(leaf->peers), "leader");
    peers_answer(leader->peers, leader->call, &created);
    wait_for(world, second.count == 1);
    assert_int_equal(second.status, 201);
}

static void a_better_upstream_is_not_waited_for_long(void **state)
{
    struct world *world = *state;
    struct told told = {0};
    struct peer_node *leader = call_through_a_relay(world, &told), *leaf = &world->nodes[2];
    find_better(leaf, leader);
    wait_for(world, told.count == 1);
    assert_int_equal(told.err, KR_ERR_TIMEOUT);
    wait_for(world, strcmp(peers_upstream_id(leaf->peers), "leader") == 0);
    peers_answer(leader->peers, leader->call, &created); // nobody waits for it
}

static void what_a_relay_does_not_know_of_a_call_its_leaf_does_not_know(void **state)
{
    struct world *world = *state;
    struct told told = {0};
    struct peer_node *leader = call_through_a_relay(world, &told);
    struct peers_child *relay = leader->peers->children;
    while (!relay->is_attached) // who only measures the way is there too
        relay = relay->next;
    peers_child_close(relay, KR_PEERS_FAILED, KR_ERR_IO, "lost");
    wait_for(world, told.count == 1);
    assert_int_equal(told.err, KR_ERR_TIMEOUT);
    peers_answer(leader->peers, leader->call, &created); // nobody waits for it
}

static void a_relay_waits_for_a_leader_no_longer_than_it_may(void **state)
{
    struct world *world = *state;
    struct told told = {0};
    struct peer_node *leader = call_through_a_relay(world, &told), *leaf = &world->nodes[2];
    peers_answer(leader->peers, leader->call, &created);
    wait_for(world, told.count == 1);
    stop(leader);
    const uint64_t send_by_ms = clock_boot_ms() + 300;
    call(leaf, &told, send_by_ms);
    wait_for(world, told.count == 1);
    assert_int_equal(told.err, KR_ERR_NO_LEADER);
    assert_true(clock_boot_ms() < send_by_ms + 1000);
}

static void what_waits_to_be_sent_ends_when_this_node_leads(void **state)
{
    struct world *world = *state;
    struct told told = {0};
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct peer_node *heir = add_node(world, "heir", KR_HOLD_ALL, leader);
    stop(leader);
    call(heir, &told, 0);
    lead(heir, true);
    wait_for(world, told.count == 1);
    assert_int_equal(told.err, KR_ERR_NO_LEADER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_from_a_leaf_is_answered_by_the_leader),
        TEST(what_is_on_its_way_is_answered_before_a_better_upstream_is_followed),
        TEST(a_better_upstream_is_not_waited_for_long),
        TEST(what_a_relay_does_not_know_of_a_call_its_leaf_does_not_know),
        TEST(a_relay_waits_for_a_leader_no_longer_than_it_may),
        TEST(what_waits_to_be_sent_ends_when_this_node_leads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
