// SPDX-License-Identifier: Apache-2.0
// The feed and the session over two real stores: a core node feeds a follower and a standby, by
// entries and by snapshots, with links that break.
#include "tests/unit/core/store/store_fixture.h"

#include <pthread.h>

#include "pair.h"
#include "replication/state_store.h"

struct two {
    struct world leader, child;
    struct fake *up, *down; // their verbs are the stores'
    struct pair *pair;
};

static void put_member(struct world *world, const char *id, enum member_role role)
{
    struct command command = {0};
    struct command_op *op = command_add(&command, KR_OP_MEMBER_PUT, &world->arena);
    op->as.member_put = (struct member){.id = id,
                                        .region = "us",
                                        .role = role,
                                        .peer_address = "127.0.0.1:1",
                                        .http_address = "http://127.0.0.1:2",
                                        .added_ms = world->now_ms};
    assert_int_equal(world_apply(world, &command), KR_APPLY_OK);
}

static void open_two(struct two *two, enum store_holding holding)
{
    *two = (struct two){.up = fake_new(KR_HOLD_ALL), .down = fake_new(holding)};
    world_start(&two->leader);
    put_member(&two->leader, "lower", holding == KR_HOLD_ALL ? KR_MEMBER_CORE : KR_MEMBER_FOLLOWER);
    put_keys(&two->leader, 300);
    world_init(&two->child);
    two->child.options.holding = holding;
    world_open(&two->child);
    state_store_init(&two->up->verbs, two->leader.store);
    state_store_init(&two->down->verbs, two->child.store);
    two->pair = pair_new(two->up, two->down, "lower");
}

static void close_two(struct two *two)
{
    pair_free(two->pair);
    fake_free(two->up);
    fake_free(two->down);
    world_fini(&two->child);
    world_fini(&two->leader);
}

static void assert_same(const struct two *two)
{
    struct store_position up, down;
    store_position(two->leader.store, &up);
    store_position(two->child.store, &down);
    assert_int_equal(up.index, down.index);
    assert_true(hash_equal(up.chain, down.chain));
    for (size_t class = 0; class < KR_CLASS_COUNT; class ++)
        if (class != KR_CLASS_CORE || store_holds(two->child.store) == KR_HOLD_ALL)
            assert_true(hash_equal(up.digest[class], down.digest[class]));
}

// The node starts again, and opens what it has received.
static void restart_child(struct two *two)
{
    pair_detach(two->pair);
    world_reopen(&two->child);
    state_store_init(&two->down->verbs, two->child.store);
    lease_init(&two->pair->lease, world_index(&two->child), 0);
    two->pair->carry = (struct follow_carry){0};
    pair_attach(two->pair);
}

static void entries_make_the_same_state(void **state)
{
    struct two two;
    (void)state;
    for (int holding = KR_HOLD_ALL; holding <= KR_HOLD_VALIDATION; holding++) {
        open_two(&two, (enum store_holding)holding);
        pair_advance(two.pair, 200);
        assert_same(&two);
        put_key(&two.leader, 1, 1, 400);
        revoke_key(&two.leader, 7, 0);
        pair_run(two.pair);
        assert_same(&two);
        assert_int_equal(find_key(&two.child, 400).lookup, KR_STORE_FOUND);
        pair_advance(two.pair, 1500);
        assert_int_equal(two.pair->differences, 0);
        assert_true(lease_until(&two.pair->lease) > two.pair->now_ms);
        restart_child(&two);
        put_key(&two.leader, 1, 1, 401);
        pair_advance(two.pair, 100);
        assert_same(&two);
        close_two(&two);
    }
}

static void a_snapshot_makes_the_same_state(void **state)
{
    struct two two;
    (void)state;
    for (int holding = KR_HOLD_ALL; holding <= KR_HOLD_VALIDATION; holding++) {
        open_two(&two, (enum store_holding)holding);
        two.pair->carry.must_rebuild = true;
        pair_advance(two.pair, 200);
        assert_int_equal(follow_state(two.pair->follow), KR_FOLLOW_REPLACED);
        assert_int_equal(two.pair->snapshots, 1);
        put_key(&two.leader, 1, 1, 400);
        restart_child(&two);
        pair_advance(two.pair, 1500);
        assert_same(&two);
        assert_int_equal(two.pair->differences, 0);
        assert_true(lease_until(&two.pair->lease) > two.pair->now_ms);
        close_two(&two);
    }
}

static void put_answer(struct world *world, size_t size)
{
    struct command command = {0};
    struct idempotency *answer = arena_zalloc(&world->arena, sizeof(*answer));
    add_audit(world, &command, "key.create");
    digest_of(1, answer->scope);
    answer->answer = bytes_of(arena_zalloc(&world->arena, size), size);
    answer->expires_ms = world->now_ms + 86400000;
    command.idempotency = answer;
    assert_int_equal(world_apply(world, &command), KR_APPLY_OK);
}

// A stored answer of many keys is larger than a frame.
static void a_snapshot_holds_a_row_too_large_for_a_frame(void **state)
{
    struct two two;
    struct idempotency answer;
    uint8_t scope[KR_DIGEST_SIZE];
    (void)state;
    digest_of(1, scope);
    open_two(&two, KR_HOLD_ALL);
    put_answer(&two.leader, 5u << 20);
    two.pair->carry.must_rebuild = true;
    pair_advance(two.pair, 200);
    assert_int_equal(follow_state(two.pair->follow), KR_FOLLOW_REPLACED);
    restart_child(&two);
    pair_advance(two.pair, 1500);
    assert_same(&two);
    struct store_view *view = store_view_open(two.child.store);
    assert_true(store_get_idempotency(view, scope, &two.child.arena, &answer));
    assert_int_equal(answer.answer.size, 5u << 20);
    store_view_close(&view);
    close_two(&two);
}

static void a_snapshot_survives_a_link_that_breaks(void **state)
{
    struct two two;
    (void)state;
    for (uint64_t frame = 4; frame <= 12; frame += 2) {
        open_two(&two, KR_HOLD_VALIDATION);
        two.pair->carry.must_rebuild = true;
        two.pair->frames_until_break = frame;
        pair_advance(two.pair, 100);
        put_key(&two.leader, 1, 1, 400);
        if (two.pair->is_broken) {
            pair_detach(two.pair);
            pair_attach(two.pair);
            pair_advance(two.pair, 200);
        }
        assert_int_equal(follow_state(two.pair->follow), KR_FOLLOW_REPLACED);
        restart_child(&two);
        pair_advance(two.pair, 200);
        assert_same(&two);
        close_two(&two);
    }
}

// What the reader's thread has told, and the test has not heard.
struct woken {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned times;
};

static void init_woken(struct woken *woken)
{
    pthread_mutex_init(&woken->lock, NULL);
    pthread_cond_init(&woken->changed, NULL);
    woken->times = 0;
}

static void fini_woken(struct woken *woken)
{
    pthread_cond_destroy(&woken->changed);
    pthread_mutex_destroy(&woken->lock);
}

static void on_wake(void *ctx)
{
    struct woken *woken = ctx;
    pthread_mutex_lock(&woken->lock);
    woken->times++;
    pthread_cond_signal(&woken->changed);
    pthread_mutex_unlock(&woken->lock);
}

// Chunks come when the thread has read them, for which the pair's clock does not wait.
static void await_chunk(struct two *two, struct woken *woken)
{
    struct timespec until;
    int status = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&woken->lock);
    while (woken->times == 0 && status == 0)
        status = pthread_cond_timedwait(&woken->changed, &woken->lock, &until);
    assert_int_equal(status, 0);
    woken->times--;
    pthread_mutex_unlock(&woken->lock);
    pair_run(two->pair);
}

static void await_snapshot(struct two *two, struct woken *woken)
{
    pair_advance(two->pair, 100);
    while (follow_state(two->pair->follow) != KR_FOLLOW_REPLACED && !two->pair->is_broken)
        await_chunk(two, woken);
}

// The link breaks while the thread reads ahead: what it has read is forgotten, and read again.
static void a_snapshot_is_read_on_another_thread(void **state)
{
    struct two two;
    struct woken woken;
    (void)state;
    for (uint64_t frame = 0; frame <= 14; frame += 2) {
        init_woken(&woken);
        open_two(&two, frame % 4 == 0 ? KR_HOLD_ALL : KR_HOLD_VALIDATION);
        two.up->verbs.wake = on_wake;
        two.up->verbs.wake_ctx = &woken;
        two.pair->carry.must_rebuild = true;
        two.pair->frames_until_break = frame;
        await_snapshot(&two, &woken);
        put_key(&two.leader, 1, 1, 400);
        if (two.pair->is_broken) {
            pair_detach(two.pair);
            pair_attach(two.pair);
            await_snapshot(&two, &woken);
        }
        assert_int_equal(two.pair->snapshots, 1);
        restart_child(&two);
        pair_advance(two.pair, 200);
        assert_same(&two);
        close_two(&two);
        fini_woken(&woken);
    }
}

// Nobody takes the chunk that is being read when the node stops.
static void a_reader_ends_while_it_reads(void **state)
{
    struct two two;
    struct woken woken;
    (void)state;
    for (int turns = 0; turns < 4; turns++) {
        init_woken(&woken);
        open_two(&two, KR_HOLD_VALIDATION);
        two.up->verbs.wake = on_wake;
        two.up->verbs.wake_ctx = &woken;
        two.pair->carry.must_rebuild = true;
        pair_advance(two.pair, 20);
        assert_int_equal(feed_state(two.pair->feed), KR_FEED_EXPORTING);
        for (int turn = 0; turn < turns; turn++)
            await_chunk(&two, &woken);
        close_two(&two);
        fini_woken(&woken);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_make_the_same_state),
        cmocka_unit_test(a_snapshot_makes_the_same_state),
        cmocka_unit_test(a_snapshot_holds_a_row_too_large_for_a_frame),
        cmocka_unit_test(a_snapshot_survives_a_link_that_breaks),
        cmocka_unit_test(a_snapshot_is_read_on_another_thread),
        cmocka_unit_test(a_reader_ends_while_it_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
