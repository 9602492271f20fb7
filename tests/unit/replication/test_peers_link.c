// SPDX-License-Identifier: Apache-2.0
// Nodes with real sockets and certificates on one loop: attaching, relaying, losing and finding an
// upstream, strangers, snapshots, a renewed bundle.
#include "peers_world.h"

#include <sys/resource.h>
#include <sys/stat.h>

// --- tests ---------------------------------------------------------------------------------------

struct seen {
    size_t count, leaders;
    uint64_t validations, lowest_index;
};

static void see(void *ctx, const struct peers_node *node)
{
    struct seen *seen = ctx;
    seen->count++;
    seen->leaders += node->is_leader;
    seen->validations += node->validations_per_second;
    if (node->applied_index < seen->lowest_index)
        seen->lowest_index = node->applied_index;
}

static struct seen look(const struct peer_node *node)
{
    struct seen seen = {.lowest_index = UINT64_MAX};
    peers_each_node(node->peers, see, &seen);
    return seen;
}

struct wanted {
    const char *id;
    uint64_t round_trip_us; // 0: nobody has measured it
};

static void find_distance(void *ctx, const char *id, uint64_t round_trip_us)
{
    struct wanted *wanted = ctx;
    if (strcmp(id, wanted->id) == 0)
        wanted->round_trip_us = round_trip_us;
}

static uint64_t distance_us(const struct peer_node *from, const char *to)
{
    struct wanted wanted = {.id = to};
    peers_each_distance(from->peers, find_distance, &wanted);
    return wanted.round_trip_us;
}

static void a_follower_attaches_is_fed_and_fresh(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct peer_node *follower = add_node(world, "follower", KR_HOLD_VALIDATION, leader);
    commit(leader, "first");
    wait_for(world, is_fresh(follower) && is_same_index(leader, follower));
    assert_int_equal(leader->enlisted, 1);
    assert_string_equal(peers_upstream_id(follower->peers), "leader");
    assert_string_equal(peers_leader_id(follower->peers), "leader");
    assert_string_equal(peers_leader_http(follower->peers), "http://here");
    commit(leader, "second");
    wait_for(world, is_same_index(leader, follower));
    const struct roster_demand demand = {.index = 2, .max_staleness_ms = 60000};
    wait_for(world, roster_wait(leader->roster, &demand, UINT64_MAX, clock_boot_ms()) ==
                        KR_ROSTER_COMPLETE);
    assert_true(leader->heard > 0);
    assert_int_equal(follower->applied, 2);
    struct peers_figures once, again;
    peers_figures(leader->peers, &once);
    peers_figures(leader->peers, &again);
    assert_int_equal(once.children, 1);
    assert_true(once.bytes_in > 0 && again.bytes_in == once.bytes_in);
    stop(follower);
    wait_for(world, look(leader).count == 1);
    peers_figures(leader->peers, &again);
    assert_true(again.bytes_in >= once.bytes_in && again.frames_out >= once.frames_out);
    assert_int_equal(again.closed[KR_PEERS_LEFT], 1);
}

// A leader, a relay that is fresh, and a leaf below it that has just begun.
struct line {
    struct peer_node *leader, *relay, *leaf;
};

static struct line make_line(struct world *world)
{
    struct line line = {.leader = add_node(world, "leader", KR_HOLD_ALL, NULL)};
    line.relay = add_node(world, "a-relay", KR_HOLD_VALIDATION, line.leader);
    commit(line.leader, "first");
    wait_for(world, is_fresh(line.relay));
    line.leaf = add_node(world, "leaf", KR_HOLD_VALIDATION, line.relay);
    fake_add_member(line.leaf->fake, &line.leader->fake->members[0]);
    return line;
}

static void a_relay_feeds_a_leaf_and_tells_of_it(void **state)
{
    struct world *world = *state;
    const struct line line = make_line(world);
    struct peer_node *leader = line.leader, *leaf = line.leaf;
    wait_for(world, is_fresh(leaf) && is_same_index(leader, leaf));
    assert_string_equal(peers_upstream_id(leaf->peers), "a-relay");
    assert_string_equal(peers_leader_id(leaf->peers), "leader");
    assert_int_equal(leader->enlisted, 2);
    commit(leader, "second");
    wait_for(world, is_same_index(leader, leaf));
    const struct roster_demand demand = {.index = 2, .max_staleness_ms = 60000};
    wait_for(world, roster_wait(leader->roster, &demand, UINT64_MAX, clock_boot_ms()) ==
                        KR_ROSTER_COMPLETE);
    wait_for(world, look(leader).count == 3 && look(leader).validations == 126);
    assert_int_equal(look(leader).leaders, 1);
    wait_for(world, look(leader).lowest_index == 2);
}

static void a_node_knows_the_ways_to_whom_it_may_follow_and_to_its_children(void **state)
{
    struct world *world = *state;
    const struct line line = make_line(world);
    struct peer_node *leader = line.leader, *relay = line.relay, *leaf = line.leaf;
    wait_for(world, distance_us(leader, "a-relay") > 0 && distance_us(relay, "leader") > 0);
    wait_for(world, distance_us(relay, "leaf") > 0 && distance_us(leaf, "a-relay") > 0);
    assert_int_equal(distance_us(leader, "leaf"), 0);
    assert_int_equal(distance_us(leader, "leader"), 0);
    // A node that cannot be reached any more is not said to be near.
    upstream_missed(&leaf->peers->upstream, peers_address(relay->peers));
    assert_int_equal(distance_us(leaf, "a-relay"), 0);
    stop(relay);
    wait_for(world, distance_us(leader, "a-relay") == 0);
}

// It may have a snapshot, and say VALID by that where a bucket has no bound, before it attaches.
static void a_member_counts_from_its_registration_on(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = make_line(world).leader;
    wait_for(world, leader->enlisted == 2);
    assert_false(roster_has(leader->roster, "leaf"));
    commit(leader, "second");
    assert_true(roster_has(leader->roster, "leaf"));
}

static void a_lost_upstream_is_replaced_by_another(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct peer_node *standby = add_node(world, "standby", KR_HOLD_ALL, leader);
    struct peer_node *follower = add_node(world, "follower", KR_HOLD_VALIDATION, leader);
    commit(leader, "first");
    wait_for(world, is_fresh(standby) && is_fresh(follower));
    struct state_member member = {.id = "leader", .region = "fra", .is_core = true};
    strcpy(member.peer_address, peers_address(leader->peers));
    fake_add_member(follower->fake, &member);
    stop(follower);
    snprintf(follower->upstreams, sizeof(follower->upstreams), "127.0.0.1:1,%s",
             peers_address(standby->peers));
    roster_free(&follower->roster);
    replica_close(follower->replica, on_replica_closed, NULL);
    replica_turn(follower->replica);
    start(follower);
    wait_for(world, is_fresh(follower));
    commit(leader, "second");
    wait_for(world, is_same_index(leader, follower));
    // Whichever it chose: with the other gone, or with this one gone, it goes on.
    struct peer_node *chosen =
        strcmp(peers_upstream_id(follower->peers), "leader") == 0 ? leader : standby;
    if (chosen == standby) {
        stop(standby);
        commit(leader, "third");
        wait_for(world, is_same_index(leader, follower));
        assert_string_equal(peers_upstream_id(follower->peers), "leader");
    } else {
        stop(leader);
        wait_for(world,
                 strcmp(peers_upstream_id(follower->peers), "standby") == 0 || !is_fresh(follower));
    }
}

static void a_stranger_is_refused_and_disturbs_nobody(void **state)
{
    struct world *world = *state;
    struct authority *ours = world->authority;
    struct peers_figures figures;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct peer_node *follower = add_node(world, "follower", KR_HOLD_VALIDATION, leader);
    commit(leader, "first");
    wait_for(world, is_fresh(follower));
    world->authority = make_authority(world, "clst_000000000000000000000002");
    struct peer_node *stranger = add_node(world, "stranger", KR_HOLD_VALIDATION, leader);
    do {
        turn(world);
        peers_figures(leader->peers, &figures);
    } while (figures.closed[KR_PEERS_UNTRUSTED] + figures.closed[KR_PEERS_REFUSED] == 0);
    assert_int_equal(stranger->fake->position.index, 0);
    assert_false(is_fresh(stranger));
    commit(leader, "second");
    wait_for(world, is_same_index(leader, follower));
    authority_close(&world->authority);
    world->authority = ours;
}

static void on_noise_connected(uv_connect_t *connect, int status)
{
    static const char noise[] = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)noise, sizeof(noise) - 1);
    assert_int_equal(status, 0);
    assert_true(uv_try_write(connect->handle, &buf, 1) > 0);
}

static void noise_is_closed_and_counted(void **state)
{
    struct world *world = *state;
    struct peers_figures figures;
    struct sockaddr_in address;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    static uv_tcp_t socket;
    static uv_connect_t connect;
    uv_tcp_init(&world->loop, &socket);
    uv_ip4_addr("127.0.0.1", atoi(strrchr(peers_address(leader->peers), ':') + 1), &address);
    uv_tcp_connect(&connect, &socket, (const struct sockaddr *)&address, on_noise_connected);
    do {
        turn(world);
        peers_figures(leader->peers, &figures);
    } while (figures.closed[KR_PEERS_BROKEN] == 0);
    assert_int_equal(figures.children, 0);
    uv_close((uv_handle_t *)&socket, NULL);
}

struct stranger {
    uv_tcp_t socket;
    uv_connect_t connect;
    char read[64];
};

enum { KR_TEST_STRANGERS = 200 };

static struct stranger strangers[KR_TEST_STRANGERS];
static size_t gone;

static void on_stranger_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct stranger *stranger = handle->data;
    (void)suggested;
    *buf = uv_buf_init(stranger->read, sizeof(stranger->read));
}

static void on_stranger_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    (void)buf;
    if (size >= 0)
        return;
    gone++;
    uv_close((uv_handle_t *)stream, NULL);
}

static void on_stranger_connected(uv_connect_t *connect, int status)
{
    assert_int_equal(status, 0);
    uv_read_start(connect->handle, on_stranger_alloc, on_stranger_read);
}

// They connect, from so many addresses, and say nothing.
static void come(struct world *world, const struct peer_node *node, size_t count, size_t hosts)
{
    struct sockaddr_in to, from;
    char host[32];
    gone = 0;
    uv_ip4_addr("127.0.0.1", atoi(strrchr(peers_address(node->peers), ':') + 1), &to);
    for (size_t i = 0; i < count; i++) {
        struct stranger *stranger = &strangers[i];
        snprintf(host, sizeof(host), "127.0.0.%u", (unsigned)(2 + i % hosts));
        uv_ip4_addr(host, 0, &from);
        uv_tcp_init(&world->loop, &stranger->socket);
        stranger->socket.data = stranger;
        assert_int_equal(uv_tcp_bind(&stranger->socket, (const struct sockaddr *)&from, 0), 0);
        assert_int_equal(uv_tcp_connect(&stranger->connect, &stranger->socket,
                                        (const struct sockaddr *)&to, on_stranger_connected),
                         0);
    }
}

static void leave(size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!uv_is_closing((uv_handle_t *)&strangers[i].socket))
            uv_close((uv_handle_t *)&strangers[i].socket, NULL);
}

static uint64_t displaced(const struct peer_node *node)
{
    struct peers_figures figures;
    peers_figures(node->peers, &figures);
    return figures.closed[KR_PEERS_FAILED];
}

static void strangers_take_no_nodes_place(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    commit(leader, "first");
    come(world, leader, KR_TEST_STRANGERS, 20);
    wait_for(world, gone >= KR_TEST_STRANGERS - KR_PEERS_STRANGERS_MAX);
    assert_int_equal(displaced(leader), KR_TEST_STRANGERS - KR_PEERS_STRANGERS_MAX);
    struct peer_node *follower = add_node(world, "follower", KR_HOLD_VALIDATION, leader);
    wait_for(world, is_fresh(follower) && is_same_index(leader, follower));
    // A line each would fill the disk.
    assert_in_range(leader->peers->strangers.told, 1, KR_PEERS_STRANGERS_TOLD);
    assert_true(leader->peers->strangers.untold > 0);
    leave(KR_TEST_STRANGERS);
}

static void an_address_has_a_few_places_for_strangers(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    come(world, leader, 50, 1);
    wait_for(world, gone >= 50 - KR_PEERS_STRANGERS_HOST);
    assert_int_equal(displaced(leader), 50 - KR_PEERS_STRANGERS_HOST);
    leave(50);
}

static void who_comes_when_the_roster_is_full_is_refused(void **state)
{
    struct world *world = *state;
    struct peers_figures figures;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    char name[16];
    commit(leader, "first");
    for (unsigned i = 0; i < KR_PEER_NODES_MAX; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        assert_int_equal(roster_member(leader->roster, name, false), KR_ERR_OK);
    }
    struct peer_node *follower = add_node(world, "follower", KR_HOLD_VALIDATION, leader);
    wait_for(world, leader->peers->figures.closed[KR_PEERS_REFUSED] > 0);
    peers_figures(leader->peers, &figures);
    assert_int_equal(figures.children, 0);
    assert_false(is_fresh(follower));
}

// A name that nobody has registered, in the Ack of one that is a member.
static void names_that_a_child_makes_up_are_no_members(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct peer_node *relay = add_node(world, "a-relay", KR_HOLD_VALIDATION, leader);
    const struct state_member removed = {.id = "gone", .region = "fra", .is_removed = true};
    fake_add_member(leader->fake, &removed);
    commit(leader, "first");
    wait_for(world, is_fresh(relay));
    roster_attached(relay->roster, "gone", 1, 1);
    roster_attached(relay->roster, "made-up", 1, 1);
    wait_for(world, roster_has(leader->roster, "gone"));
    assert_false(roster_has(leader->roster, "made-up"));
}

static void a_snapshot_is_checked_beside_the_loop(void **state)
{
    struct world *world = *state;
    struct peers_figures figures;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    for (int i = 0; i < 50; i++)
        commit(leader, i % 2 ? "-core" : "entry");
    leader->fake->first = 40;
    struct peer_node *follower = add_node(world, "follower", KR_HOLD_VALIDATION, leader);
    wait_for(world, follower->replaced == 1);
    assert_true(follower->fake->is_next_whole);
    stop(follower);
    fake_switch(follower->fake);
    replica_close(follower->replica, on_replica_closed, NULL);
    replica_turn(follower->replica);
    roster_free(&follower->roster);
    start(follower);
    commit(leader, "later");
    wait_for(world, is_fresh(follower) && is_same_index(leader, follower));
    peers_figures(leader->peers, &figures);
    assert_int_equal(figures.snapshots_sent, 1);
}

static void a_renewed_bundle_is_used_by_new_links(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct peer_node *follower = add_node(world, "follower", KR_HOLD_VALIDATION, leader);
    commit(leader, "first");
    wait_for(world, is_fresh(follower));
    int64_t before_ms = peers_own(leader->peers)->not_after_ms;
    issue(leader, world->authority, 300);
    peers_reload(leader->peers);
    assert_true(peers_own(leader->peers)->not_after_ms > before_ms + 200 * day_ms);
    commit(leader, "over the link that is there");
    wait_for(world, is_same_index(leader, follower));
    struct peer_node *late = add_node(world, "late", KR_HOLD_VALIDATION, leader);
    wait_for(world, is_fresh(late) && is_same_index(leader, late));
    // What is no bundle changes nothing.
    struct fault fault;
    assert_int_equal(file_replace(leader->bundle, bytes_text("not PEM"), 0600, &fault), KR_ERR_OK);
    peers_reload(leader->peers);
    commit(leader, "still");
    wait_for(world, is_same_index(leader, follower) && is_same_index(leader, late));
}

// Its mode alone mends it; so does what has nothing to do with the file.
static void a_bundle_that_could_not_be_read_is_tried_again(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct rlimit before, none;
    int64_t before_ms = peers_own(leader->peers)->not_after_ms;
    issue(leader, world->authority, 150);
    assert_int_equal(chmod(leader->bundle, 0644), 0);
    peers_port_watch(leader->peers);
    assert_int_equal(peers_own(leader->peers)->not_after_ms, before_ms);
    assert_int_equal(chmod(leader->bundle, 0600), 0);
    peers_port_watch(leader->peers);
    int64_t renewed_ms = peers_own(leader->peers)->not_after_ms;
    assert_true(renewed_ms > before_ms + 50 * day_ms);
    issue(leader, world->authority, 300);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    peers_port_watch(leader->peers);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(peers_own(leader->peers)->not_after_ms, renewed_ms);
    peers_port_watch(leader->peers);
    assert_true(peers_own(leader->peers)->not_after_ms > renewed_ms + 100 * day_ms);
}

static void a_leader_that_steps_down_ages_from_the_end_of_its_validity(void **state)
{
    struct world *world = *state;
    struct peer_node *other = add_node(world, "other", KR_HOLD_ALL, NULL);
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, other);
    commit(other, "first");
    lead(leader, true);
    const uint64_t until_ms = leader->valid_until_ms = clock_boot_ms() - 300;
    other->valid_until_ms = 1;
    turn(world);
    lead(leader, false);
    // An upstream that has nothing to lend takes nothing away.
    wait_for(world, strcmp(peers_upstream_id(leader->peers), "other") == 0);
    assert_int_equal(replica_age_ms(leader->replica, until_ms + 700), KR_REPLICA_WINDOW_MS + 700);
    other->valid_until_ms = 0;
    wait_for(world, is_fresh(leader));
}

static void who_follows_a_leader_that_wrote_nothing_and_steps_down_ages_on(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct peer_node *follower = add_node(world, "follower", KR_HOLD_VALIDATION, leader);
    commit(leader, "first");
    wait_for(world, is_fresh(follower));
    lead(leader, false);
    lead(leader, true);
    wait_for(world, peers_known_epoch(follower->peers) == 2 && is_fresh(follower));
    uint64_t until_ms = leader->valid_until_ms = clock_boot_ms() + 1;
    turn(world);
    lead(leader, false);
    wait_for(world, clock_boot_ms() > until_ms + 500);
    assert_in_range(replica_age_ms(follower->replica, until_ms + 500), 500,
                    KR_REPLICA_WINDOW_MS + 500);
}

static void a_leader_without_end_that_is_deposed_has_no_lease(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    lead(leader, true);
    lead(leader, false);
    assert_true(replica_age_ms(leader->replica, clock_boot_ms()) == UINT64_MAX);
}

static void what_cannot_be_is_refused_at_the_start(void **state)
{
    struct world *world = *state;
    struct peers *peers = NULL;
    struct fault fault = {0};
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct peers_options options = {.loop = &world->loop,
                                    .bundle_path = leader->bundle,
                                    .listen = peers_address(leader->peers),
                                    .http_advertise = "",
                                    .upstreams = "",
                                    .version = "test",
                                    .state = &leader->fake->verbs,
                                    .replica = leader->replica,
                                    .roster = leader->roster};
    assert_int_equal(peers_new(&options, &peers, &fault), KR_ERR_LOCKED);
    assert_non_null(strstr(fault.text, "is in use by another process"));
    options.listen = "here";
    assert_int_equal(peers_new(&options, &peers, &fault), KR_ERR_INVALID);
    options.listen = "127.0.0.1:0";
    options.upstreams = "10.0.0.1:7402,10.0.0.2";
    assert_int_equal(peers_new(&options, &peers, &fault), KR_ERR_INVALID);
    assert_string_equal(
        fault.text, "upstreams: \"10.0.0.2\" is no address; write HOST:PORT, like 10.0.0.1:7402");
    options.bundle_path = "/nowhere/node.pem";
    assert_int_equal(peers_new(&options, &peers, &fault), KR_ERR_NOT_FOUND);
    assert_null(peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_follower_attaches_is_fed_and_fresh, setup, teardown),
        cmocka_unit_test_setup_teardown(a_relay_feeds_a_leaf_and_tells_of_it, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_node_knows_the_ways_to_whom_it_may_follow_and_to_its_children, setup, teardown),
        cmocka_unit_test_setup_teardown(a_member_counts_from_its_registration_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_upstream_is_replaced_by_another, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stranger_is_refused_and_disturbs_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(noise_is_closed_and_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(who_comes_when_the_roster_is_full_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(names_that_a_child_makes_up_are_no_members, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(strangers_take_no_nodes_place, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_has_a_few_places_for_strangers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_is_checked_beside_the_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(a_renewed_bundle_is_used_by_new_links, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bundle_that_could_not_be_read_is_tried_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_leader_that_steps_down_ages_from_the_end_of_its_validity,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            who_follows_a_leader_that_wrote_nothing_and_steps_down_ages_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_leader_without_end_that_is_deposed_has_no_lease, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused_at_the_start, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
