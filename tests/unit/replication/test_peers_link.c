// SPDX-License-Identifier: Apache-2.0
// Nodes with real sockets and certificates on one loop: attaching, relaying, losing and finding an
// upstream, strangers, calls, snapshots, a renewed bundle.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <uv.h>

#include "fake_state.h"

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/rand.h"
#include "core/tls/authority.h"
#include "replication/peers_link.h"
#include "replication/roster.h"

enum { KR_TEST_NODES = 4, KR_TEST_WAIT_MS = 20000 };

static const int64_t day_ms = 86400000;

struct peer_node {
    char name[32], directory[64], bundle[96], upstreams[128];
    struct fake *fake;
    struct engine engine;
    bool leads, has_role, is_closed;
    struct replica *replica;
    struct roster *roster;
    struct peers *peers; // NULL: down
    size_t enlisted, replaced, applied, heard;
    struct peers_call *call;
    struct world *world;
};

struct world {
    uv_loop_t loop;
    struct authority *authority;
    struct peer_node nodes[KR_TEST_NODES];
    size_t count;
    struct buf certificate, key;
};

// --- an engine that leads or not, as it is told --------------------------------------------------

static struct peer_node *node_of(struct engine *engine)
{
    return (struct peer_node *)(void *)((char *)engine - offsetof(struct peer_node, engine));
}

static void engine_campaign(struct engine *engine)
{
    node_of(engine)->has_role = true;
}

static uint64_t engine_valid(const struct engine *engine)
{
    (void)engine;
    return UINT64_MAX;
}

static bool engine_step(struct engine *engine)
{
    struct peer_node *node = node_of(engine);
    if (!node->has_role)
        return false;
    node->has_role = false;
    engine->events.role(engine->events.ctx, node->leads ? KR_ENGINE_LEADER : KR_ENGINE_STANDBY, 1);
    return true;
}

static const struct engine_verbs verbs = {.name = "told",
                                          .campaign = engine_campaign,
                                          .valid_until_ms = engine_valid,
                                          .turn = engine_step};

// --- a node --------------------------------------------------------------------------------------

static void on_fatal(void *ctx, enum kr_err err, const struct fault *fault)
{
    (void)ctx;
    (void)err;
    fail_msg("%s", fault->text);
}

static void on_forwarded(void *ctx, struct peers_call *call, const struct forward_request *request)
{
    struct peer_node *node = ctx;
    assert_string_equal(request->target, "/v1/keys");
    assert_int_equal(request->body.size, 100000);
    node->call = call;
}

static void on_enlist(void *ctx, const struct peer_member *member)
{
    struct peer_node *node = ctx;
    struct state_member row = {.is_core = member->role == KR_PEER_CORE};
    snprintf(row.id, sizeof(row.id), "%s", member->id);
    snprintf(row.region, sizeof(row.region), "%s", member->region);
    snprintf(row.peer_address, sizeof(row.peer_address), "%s", member->peer_address);
    snprintf(row.http_address, sizeof(row.http_address), "%s", member->http_address);
    node->enlisted++;
    for (size_t i = 0; i < node->world->count; i++) // as the entry would, everywhere
        fake_add_member(node->world->nodes[i].fake, &row);
}

static void on_outranked(void *ctx, uint64_t epoch)
{
    (void)ctx;
    fail_msg("outranked by %llu", (unsigned long long)epoch);
}

static void on_applied(void *ctx, uint64_t index)
{
    ((struct peer_node *)ctx)->applied = index;
}

static void on_heard(void *ctx)
{
    ((struct peer_node *)ctx)->heard++;
}

static void on_replaced(void *ctx)
{
    ((struct peer_node *)ctx)->replaced++;
}

static uint64_t on_validations(void *ctx)
{
    (void)ctx;
    return 42;
}

static void issue(struct peer_node *node, const struct authority *authority, int days)
{
    struct fault fault = {0};
    struct buf bundle;
    const struct authority_request request = {
        .node_id = node->name,
        .region = "fra",
        .role = node->fake->verbs.holding == KR_HOLD_ALL ? KR_TLS_ROLE_CORE : KR_TLS_ROLE_FOLLOWER,
        .not_before_ms = clock_unix_ms() - day_ms,
        .not_after_ms = clock_unix_ms() + days * day_ms};
    buf_init(&bundle, 1 << 16);
    assert_int_equal(authority_issue(authority, &request, &bundle, &fault), KR_ERR_OK);
    assert_int_equal(file_replace(node->bundle, buf_bytes(&bundle), 0600, &fault), KR_ERR_OK);
    buf_fini(&bundle);
}

static void start(struct peer_node *node)
{
    struct fault fault = {0};
    const struct replica_options replica = {
        .state = &node->fake->verbs, .engine = &node->engine, .fatal = on_fatal, .ctx = node};
    node->engine = (struct engine){.verbs = &verbs, .is_store_backed = true};
    node->replica = replica_new(&replica);
    node->roster = roster_new(node->name, clock_boot_ms());
    const struct peers_options options = {.loop = &node->world->loop,
                                          .bundle_path = node->bundle,
                                          .listen = "127.0.0.1:0",
                                          .advertise = "",
                                          .http_advertise = "http://here",
                                          .upstreams = node->upstreams,
                                          .version = "test",
                                          .state = &node->fake->verbs,
                                          .replica = node->replica,
                                          .roster = node->roster,
                                          .owner = {node, on_forwarded, on_enlist, on_outranked,
                                                    on_applied, on_heard, on_replaced, on_fatal,
                                                    on_validations}};
    enum kr_err err = peers_new(&options, &node->peers, &fault);
    if (err != KR_ERR_OK)
        fail_msg("%s", fault.text);
}

static struct peer_node *add_node(struct world *world, const char *name, enum store_holding holding,
                                  struct peer_node *upstream)
{
    struct peer_node *node = &world->nodes[world->count++];
    *node = (struct peer_node){.world = world, .directory = "/tmp/keyreeve-test-XXXXXX"};
    assert_non_null(mkdtemp(node->directory));
    snprintf(node->name, sizeof(node->name), "%s", name);
    strcat(strcpy(node->bundle, node->directory), "/node.pem");
    node->leads = upstream == NULL;
    if (upstream != NULL)
        strncat(node->upstreams, peers_address(upstream->peers), sizeof(node->upstreams) - 1);
    node->fake = fake_new(holding);
    issue(node, world->authority, 30);
    start(node);
    return node;
}

static void turn(struct world *world)
{
    uv_run(&world->loop, UV_RUN_ONCE);
    for (size_t i = 0; i < world->count; i++) {
        struct peer_node *node = &world->nodes[i];
        if (node->replica == NULL)
            continue;
        engine_turn(&node->engine);
        replica_turn(node->replica);
        if (node->peers != NULL)
            peers_turn(node->peers);
    }
}

#define wait_for(world, condition)                                                                 \
    do {                                                                                           \
        uint64_t deadline_ms = clock_boot_ms() + KR_TEST_WAIT_MS;                                  \
        while (!(condition)) {                                                                     \
            turn(world);                                                                           \
            if (clock_boot_ms() > deadline_ms)                                                     \
                fail_msg("never came: %s", #condition);                                            \
        }                                                                                          \
    } while (0)

static void on_closed(void *ctx)
{
    struct peer_node *node = ctx;
    node->is_closed = true;
    node->peers = NULL;
}

static void stop(struct peer_node *node)
{
    if (node->peers == NULL)
        return;
    node->is_closed = false;
    peers_close(node->peers, on_closed, node);
    node->peers = NULL;
    wait_for(node->world, node->is_closed);
}

static void on_replica_closed(void *ctx)
{
    (void)ctx;
}

static void remove_node(struct peer_node *node)
{
    stop(node);
    replica_close(node->replica, on_replica_closed, NULL);
    replica_turn(node->replica);
    node->replica = NULL;
    roster_free(&node->roster);
    fake_free(node->fake);
    remove(node->bundle);
    remove(node->directory);
}

static struct authority *make_authority(struct world *world, const char *cluster_id)
{
    struct fault fault = {0};
    struct authority *authority;
    int64_t now_ms = clock_unix_ms();
    buf_init(&world->certificate, 1 << 16);
    buf_init(&world->key, 1 << 16);
    assert_int_equal(authority_make(cluster_id, now_ms - day_ms, now_ms + 365 * day_ms,
                                    &world->certificate, &world->key, &fault),
                     KR_ERR_OK);
    assert_int_equal(
        authority_open(buf_bytes(&world->certificate), buf_bytes(&world->key), &authority, &fault),
        KR_ERR_OK);
    buf_fini(&world->certificate);
    buf_fini(&world->key);
    return authority;
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    rand_init();
    log_configure(KR_LOG_ERROR, KR_LOG_TEXT);
    uv_loop_init(&world->loop);
    world->authority = make_authority(world, "clst_000000000000000000000001");
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    for (size_t i = world->count; i-- > 0;)
        remove_node(&world->nodes[i]);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    authority_close(&world->authority);
    free(world);
    return 0;
}

static bool is_fresh(const struct peer_node *node)
{
    return replica_age_ms(node->replica, clock_boot_ms()) < 1000;
}

static bool is_same_index(const struct peer_node *a, const struct peer_node *b)
{
    return a->fake->position.index == b->fake->position.index;
}

static void commit(struct peer_node *leader, const char *text)
{
    fake_commit_text(leader->fake, text);
    peers_committed(leader->peers);
}

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

static void a_relay_feeds_a_leaf_and_tells_of_it(void **state)
{
    struct world *world = *state;
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct peer_node *relay = add_node(world, "a-relay", KR_HOLD_VALIDATION, leader);
    commit(leader, "first");
    wait_for(world, is_fresh(relay));
    struct peer_node *leaf = add_node(world, "leaf", KR_HOLD_VALIDATION, relay);
    fake_add_member(leaf->fake, &leader->fake->members[0]);
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

struct told {
    uint32_t status;
    size_t count, size;
};

static void on_told(void *ctx, enum kr_err err, const struct forward_answer *answer)
{
    struct told *told = ctx;
    assert_int_equal(err, KR_ERR_OK);
    told->status = answer->status;
    told->size = answer->body.size;
    told->count++;
}

static void a_call_from_a_leaf_is_answered_by_the_leader(void **state)
{
    struct world *world = *state;
    struct told told = {0};
    static const uint8_t body[100000];
    struct peer_node *leader = add_node(world, "leader", KR_HOLD_ALL, NULL);
    struct peer_node *relay = add_node(world, "a-relay", KR_HOLD_VALIDATION, leader);
    commit(leader, "first");
    wait_for(world, is_fresh(relay));
    struct peer_node *leaf = add_node(world, "leaf", KR_HOLD_VALIDATION, relay);
    const struct forward_request request = {.method = "POST",
                                            .target = "/v1/keys",
                                            .body = bytes_of(body, sizeof(body)),
                                            .client_address = "10.0.0.1",
                                            .request_id = "req",
                                            .deadline_ms = clock_boot_ms() + 60000};
    // Before it has an upstream: it waits.
    assert_int_equal(peers_forward(leaf->peers, &request, on_told, &told), KR_ERR_OK);
    wait_for(world, leader->call != NULL);
    const struct forward_answer answer = {.status = 201, .body = bytes_of(body, 70000)};
    peers_answer(leader->peers, leader->call, &answer);
    wait_for(world, told.count == 1);
    assert_int_equal(told.status, 201);
    assert_int_equal(told.size, 70000);
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
        cmocka_unit_test_setup_teardown(a_lost_upstream_is_replaced_by_another, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stranger_is_refused_and_disturbs_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(noise_is_closed_and_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_call_from_a_leaf_is_answered_by_the_leader, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_is_checked_beside_the_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(a_renewed_bundle_is_used_by_new_links, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused_at_the_start, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
