// SPDX-License-Identifier: Apache-2.0
// The feed and the session against each other: attaching, streaming, leases, refusals, epochs.
#include "pair_assert.h"

struct two {
    struct fake *up, *down;
    struct pair *pair;
};

static void open_two(struct two *two, enum store_holding holding, size_t entries)
{
    char text[32];
    two->up = fake_new(KR_HOLD_ALL);
    two->down = fake_new(holding);
    for (size_t i = 1; i <= entries; i++) {
        snprintf(text, sizeof(text), "%sentry %zu", i % 5 == 0 ? "-" : "", i);
        fake_commit_text(two->up, text);
    }
    two->pair = pair_new(two->up, two->down, "lower");
}

static void close_two(struct two *two)
{
    pair_free(two->pair);
    fake_free(two->up);
    fake_free(two->down);
}

static void a_new_follower_is_enlisted_and_fed_from_the_start(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 12);
    pair_run(two.pair);
    pair_advance(two.pair, 20);
    assert_pair(two.pair, "< Hello\n"
                          "enlist lower\n"
                          "attached at 0\n"
                          "> Welcome\n"
                          "> Entries 1..12\n");
    assert_same_state(two.up, two.down);
    assert_int_equal(two.pair->acked, 12);
    assert_int_equal(two.down->position.digest[KR_CLASS_CORE].low, 0);
    fake_commit_text(two.up, "later");
    pair_run(two.pair);
    assert_pair(two.pair, "> Entries 13..13\n");
    assert_same_state(two.up, two.down);
    close_two(&two);
}

static void a_turn_is_one_commit(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_ALL, 0);
    fake_commit_text(two.up, "first");
    pair_advance(two.pair, 40);
    uint64_t before = two.down->applied_in;
    for (int i = 0; i < 3000; i++)
        fake_commit_text(two.up, "more");
    pair_run(two.pair);
    assert_same_state(two.up, two.down);
    assert_true(two.down->applied_in == before + 1);
    close_two(&two);
}

static void the_lease_is_renewed_and_never_longer_than_the_upstreams(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 3);
    pair_advance(two.pair, 400);
    uint64_t until_ms = lease_until(&two.pair->lease);
    assert_in_range(until_ms, two.pair->now_ms + 1800, two.pair->now_ms + 2000);
    assert_true(two.pair->granted >= until_ms);
    two.pair->lease_left_ms = 500;
    pair_advance(two.pair, 400);
    assert_true(lease_until(&two.pair->lease) <= until_ms + 400);
    close_two(&two);
}

static void an_upstream_that_has_nothing_to_lend_is_noticed(void **state)
{
    struct follow_figures figures;
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 3);
    pair_advance(two.pair, 400);
    follow_figures(two.pair->follow, &figures);
    assert_int_equal(figures.leaseless_since_ms, 0);
    uint64_t since_ms = two.pair->now_ms;
    two.pair->lease_left_ms = 0;
    pair_advance(two.pair, 400);
    follow_figures(two.pair->follow, &figures);
    assert_in_range(figures.leaseless_since_ms, since_ms, since_ms + 200);
    two.pair->lease_left_ms = 100;
    pair_advance(two.pair, 200);
    follow_figures(two.pair->follow, &figures);
    assert_int_equal(figures.leaseless_since_ms, 0);
    close_two(&two);
}

static void an_offer_is_not_open_for_ever(void **state)
{
    struct two two;
    struct fault fault;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 9);
    two.up->first = 9;
    pair_step(two.pair, false); // Hello
    pair_run(two.pair);
    pair_detach(two.pair);
    pair_attach(two.pair);
    two.pair->is_quiet_down = true; // the offer is made, and nobody reads it
    pair_run(two.pair);
    pair_advance(two.pair, 40);
    assert_int_equal(feed_state(two.pair->feed), KR_FEED_OFFERING);
    uint64_t now_ms = two.pair->now_ms;
    assert_int_equal(feed_tick(two.pair->feed, now_ms + KR_FEED_OFFER_MS - 100, &fault), KR_ERR_OK);
    assert_int_equal(feed_tick(two.pair->feed, now_ms + KR_FEED_OFFER_MS, &fault), KR_ERR_TIMEOUT);
    close_two(&two);
}

static void a_lease_waits_for_its_index(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 3);
    pair_advance(two.pair, 400);
    uint64_t until_ms = lease_until(&two.pair->lease);
    struct peer_frame frame = {.type = KR_PEER_LEASE};
    struct buf bytes;
    // The lease of an upstream that is ahead, before its entries have come.
    buf_init(&bytes, 4096);
    frame.as.lease = (struct peer_lease){
        .seq = lease_ask(&two.pair->lease, two.pair->now_ms), .remaining_ms = 2000, .index = 9};
    frame.as.lease.epoch = 1;
    assert_int_equal(codec_peer_add(&bytes, &frame, &two.pair->fault), KR_ERR_OK);
    pair_deliver(two.pair, &bytes, true);
    assert_int_equal(lease_until(&two.pair->lease), until_ms);
    buf_fini(&bytes);
    close_two(&two);
}

// --- refusals ------------------------------------------------------------------------------------

static void refused(struct two *two, enum peer_reject_code code)
{
    char expected[64];
    pair_run(two->pair);
    pair_advance(two->pair, 20);
    snprintf(expected, sizeof(expected), "> Reject %d\n", code);
    buf_add_u8(&two->pair->transcript, '\0');
    assert_non_null(strstr((const char *)two->pair->transcript.data, expected));
    assert_int_equal(follow_reject(two->pair->follow), code);
    assert_int_equal(two->pair->err, KR_ERR_FORBIDDEN);
    assert_int_equal(feed_state(two->pair->feed), KR_FEED_ENDED);
    assert_int_equal(two->down->applied_in, 0);
    close_two(two);
}

static void another_cluster_is_refused(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 3);
    two.pair->hello.cluster_id = "clst_b";
    refused(&two, KR_PEER_OTHER_CLUSTER);
}

static void who_is_not_what_the_certificate_says_is_refused(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 3);
    two.pair->hello.node.id = "other";
    refused(&two, KR_PEER_NOT_A_MEMBER);
    open_two(&two, KR_HOLD_VALIDATION, 3);
    two.pair->hello.node.role = KR_PEER_CORE;
    refused(&two, KR_PEER_NOT_A_MEMBER);
}

static void a_removed_member_is_refused(void **state)
{
    struct two two;
    const struct state_member member = {.id = "lower", .region = "us", .is_removed = true};
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 3);
    fake_add_member(two.up, &member);
    refused(&two, KR_PEER_NOT_A_MEMBER);
}

static void a_removed_member_is_not_believed_in_what_it_says_of_epochs(void **state)
{
    struct two two;
    const struct state_member member = {
        .id = "lower", .region = "us", .is_core = true, .is_removed = true};
    (void)state;
    open_two(&two, KR_HOLD_ALL, 3);
    fake_add_member(two.up, &member);
    fake_commit(two.down, 4, bytes_text("of a leader that never was"));
    refused(&two, KR_PEER_NOT_A_MEMBER);
}

// Nobody would register it: it is told at once, and why.
static void who_was_registered_as_something_else_is_refused(void **state)
{
    struct two two;
    const struct state_member members[] = {{.id = "lower", .region = "us", .is_core = true},
                                           {.id = "lower", .region = "eu"}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        open_two(&two, KR_HOLD_VALIDATION, 3);
        two.pair->enlists = false;
        fake_add_member(two.up, &members[i]);
        refused(&two, KR_PEER_NOT_A_MEMBER);
    }
}

static void a_follower_ahead_of_its_upstream_is_refused(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_ALL, 3);
    for (int i = 1; i <= 4; i++)
        fake_commit_text(two.down, "entry");
    refused(&two, KR_PEER_FROM_FUTURE);
}

static void an_ancestor_is_refused(void **state)
{
    static const char *const path[] = {"lower"};
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_ALL, 3);
    two.pair->path = (struct texts){path, 1};
    refused(&two, KR_PEER_DESCENDANT);
}

static void a_node_without_a_lease_takes_nobody(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_ALL, 3);
    two.pair->lease_left_ms = 0;
    refused(&two, KR_PEER_NOT_READY);
}

static void a_core_log_that_differs_within_an_epoch_is_for_people(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_ALL, 3);
    fake_commit_text(two.down, "written elsewhere");
    refused(&two, KR_PEER_DIVERGED);
}

static void nobody_registers_and_the_wait_ends(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 3);
    two.pair->enlists = false;
    pair_run(two.pair);
    pair_advance(two.pair, 6000);
    assert_pair(two.pair, "< Hello\n"
                          "enlist lower\n"
                          "> Reject 8\n"
                          "closed: upper refused this node: lower could not be registered: no "
                          "leader did it within 5000 ms\n");
    close_two(&two);
}

// --- epochs --------------------------------------------------------------------------------------

static void a_deposed_leader_hears_of_it_from_its_child(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_ALL, 3);
    fake_commit(two.down, 4, bytes_text("of a later leader"));
    pair_run(two.pair);
    assert_pair(two.pair, "< Hello\n"
                          "outranked by epoch 4\n"
                          "> Reject 7\n"
                          "closed: upper refused this node: this node knows epoch 1, and lower "
                          "knows 4\n");
    close_two(&two);
}

static void a_deposed_leaders_tail_is_replaced(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_ALL, 3);
    two.up->position.epoch = 1;
    pair_advance(two.pair, 100);
    pair_detach(two.pair);
    buf_clear(&two.pair->transcript);
    fake_commit(two.down, 1, bytes_text("never committed by the others"));
    fake_commit(two.down, 1, bytes_text("nor this"));
    two.pair->epoch = 2;
    fake_commit(two.up, 2, bytes_text("the new leader's first"));
    pair_attach(two.pair);
    pair_run(two.pair);
    assert_pair(two.pair, "< Hello\n"
                          "> NeedSnapshot at 4\n"
                          "< SnapshotRequest at 4\n"
                          "> SnapshotChunk\n"
                          "> SnapshotEnd\n");
    assert_int_equal(follow_state(two.pair->follow), KR_FOLLOW_REPLACED);
    fake_switch(two.down);
    assert_same_state(two.up, two.down);
    close_two(&two);
}

static void an_upstream_of_an_older_epoch_is_left_and_told(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 3);
    pair_advance(two.pair, 300);
    assert_true(lease_until(&two.pair->lease) > two.pair->now_ms);
    buf_clear(&two.pair->transcript);
    two.pair->carry.known_epoch = 3; // another node has told
    pair_advance(two.pair, 200);
    assert_pair(two.pair, "< Reject 7\n"
                          "outranked by epoch 3\n"
                          "closed: lower left: upper is of epoch 1, and lower knows 3\n");
    assert_int_equal(lease_until(&two.pair->lease), 0);
    close_two(&two);
}

static void what_the_newer_epoch_has_lent_outlives_a_visit_to_an_older_one(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 3);
    pair_advance(two.pair, 300);
    uint64_t until_ms = lease_until(&two.pair->lease);
    two.pair->carry.known_epoch = two.pair->carry.lease_epoch = 3;
    pair_advance(two.pair, 200);
    assert_int_equal(follow_state(two.pair->follow), KR_FOLLOW_ENDED);
    assert_true(until_ms > 0 && lease_until(&two.pair->lease) == until_ms);
    close_two(&two);
}

static void a_circle_is_left(void **state)
{
    static const char *const path[] = {"other", "lower"};
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 3);
    pair_advance(two.pair, 100);
    buf_clear(&two.pair->transcript);
    two.pair->path = (struct texts){path, 2};
    pair_advance(two.pair, 100);
    assert_pair(two.pair, "> Reject 6\n"
                          "closed: upper refused this node: lower is above upper now\n");
    close_two(&two);
}

// A Reject of the child that is not its feed's to expect, of an epoch far above.
static void reject_from_child(struct two *two)
{
    const struct peer_frame frame = {
        .type = KR_PEER_REJECT,
        .as.reject = {.code = KR_PEER_OLD_EPOCH, .reason = "it says so", .epoch = 1u << 20}};
    struct buf bytes;
    buf_init(&bytes, 1 << 16);
    assert_int_equal(codec_peer_add(&bytes, &frame, &two->pair->fault), KR_ERR_OK);
    pair_deliver(two->pair, &bytes, false);
    buf_fini(&bytes);
    assert_true(two->pair->is_broken);
}

static void a_child_that_was_not_welcomed_has_nothing_to_leave(void **state)
{
    struct two two;
    (void)state;
    for (int is_greeted = 0; is_greeted < 2; is_greeted++) {
        open_two(&two, KR_HOLD_VALIDATION, 3);
        two.pair->enlists = false;
        if (is_greeted)
            pair_run(two.pair);
        assert_int_equal(feed_state(two.pair->feed),
                         is_greeted ? KR_FEED_ENLISTING : KR_FEED_HELLO);
        reject_from_child(&two);
        assert_int_equal(two.pair->outranked, 0);
        assert_int_equal(two.pair->err, KR_ERR_INVALID);
        close_two(&two);
    }
}

static void a_child_that_was_removed_deposes_nobody_as_it_leaves(void **state)
{
    struct two two;
    const struct state_member removed = {.id = "lower", .region = "us", .is_removed = true};
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 3);
    pair_advance(two.pair, 100);
    assert_int_equal(feed_state(two.pair->feed), KR_FEED_STREAMING);
    fake_add_member(two.up, &removed);
    reject_from_child(&two);
    assert_int_equal(two.pair->outranked, 0);
    close_two(&two);
}

// --- the window ----------------------------------------------------------------------------------

static void a_child_that_does_not_answer_is_sent_a_window_and_no_more(void **state)
{
    struct two two;
    struct fault fault;
    struct buf bytes;
    size_t sent = 0;
    (void)state;
    open_two(&two, KR_HOLD_ALL, 1);
    pair_advance(two.pair, 40);
    static uint8_t large[300000];
    for (int i = 0; i < 40; i++)
        fake_commit(two.up, 1, bytes_of(large, sizeof(large)));
    buf_init(&bytes, 1 << 25);
    while (feed_next(two.pair->feed, two.pair->now_ms, &bytes, &fault) == KR_ERR_OK)
        sent++;
    assert_in_range(bytes.size, 3u << 20, KR_FEED_WINDOW_BYTES);
    assert_in_range(sent, 1, 40);
    buf_fini(&bytes);
    close_two(&two);
}

static void an_entry_too_large_for_a_frame_goes_in_parts(void **state)
{
    struct two two;
    uint8_t *large = malloc(9000000);
    (void)state;
    memset(large, 'x', 9000000);
    open_two(&two, KR_HOLD_ALL, 2);
    fake_commit(two.up, 1, bytes_of(large, 9000000));
    fake_commit_text(two.up, "behind it");
    pair_run(two.pair);
    pair_advance(two.pair, 60);
    assert_same_state(two.up, two.down);
    assert_int_equal(two.pair->acked, 4);
    free(large);
    close_two(&two);
}

// --- frames against the rules --------------------------------------------------------------------

static void expect_closed(struct two *two, const struct peer_frame *frame, bool is_down)
{
    struct buf bytes;
    buf_init(&bytes, 1 << 16);
    assert_int_equal(codec_peer_add(&bytes, frame, &two->pair->fault), KR_ERR_OK);
    pair_deliver(two->pair, &bytes, is_down);
    buf_fini(&bytes);
    assert_true(two->pair->is_broken);
    assert_int_equal(two->pair->err, KR_ERR_INVALID);
    assert_non_null(strstr(two->pair->fault.text, "peer frame: "));
    close_two(two);
}

static void frames_out_of_place_close_the_link(void **state)
{
    static const enum peer_frame_type to_feed[] = {KR_PEER_ECHO, KR_PEER_RENEW};
    static const enum peer_frame_type to_follow[] = {KR_PEER_PROBE, KR_PEER_RENEW};
    struct two two;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct peer_frame frame = {.type = to_feed[i], .as.seq = 1};
        open_two(&two, KR_HOLD_ALL, 1);
        expect_closed(&two, &frame, false);
        frame.type = to_follow[i];
        open_two(&two, KR_HOLD_ALL, 1);
        expect_closed(&two, &frame, true);
    }
}

static void an_ack_of_what_was_not_sent_closes_the_link(void **state)
{
    const struct peer_frame ack = {.type = KR_PEER_ACK, .as.ack.applied_index = 99};
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_ALL, 3);
    pair_run(two.pair);
    expect_closed(&two, &ack, false);
}

static void an_entry_that_leaves_a_gap_closes_the_link(void **state)
{
    const struct peer_row row = {.index = 9, .epoch = 1, .entry = {(const uint8_t *)"x", 1}};
    struct peer_frame frame = {.type = KR_PEER_ENTRIES};
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_ALL, 3);
    pair_advance(two.pair, 60);
    frame.as.entries = (struct peer_entries){.items = &row, .count = 1};
    expect_closed(&two, &frame, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_follower_is_enlisted_and_fed_from_the_start),
        cmocka_unit_test(a_turn_is_one_commit),
        cmocka_unit_test(the_lease_is_renewed_and_never_longer_than_the_upstreams),
        cmocka_unit_test(an_upstream_that_has_nothing_to_lend_is_noticed),
        cmocka_unit_test(an_offer_is_not_open_for_ever),
        cmocka_unit_test(a_lease_waits_for_its_index),
        cmocka_unit_test(another_cluster_is_refused),
        cmocka_unit_test(who_is_not_what_the_certificate_says_is_refused),
        cmocka_unit_test(a_removed_member_is_refused),
        cmocka_unit_test(a_removed_member_is_not_believed_in_what_it_says_of_epochs),
        cmocka_unit_test(who_was_registered_as_something_else_is_refused),
        cmocka_unit_test(a_follower_ahead_of_its_upstream_is_refused),
        cmocka_unit_test(an_ancestor_is_refused),
        cmocka_unit_test(a_node_without_a_lease_takes_nobody),
        cmocka_unit_test(a_core_log_that_differs_within_an_epoch_is_for_people),
        cmocka_unit_test(nobody_registers_and_the_wait_ends),
        cmocka_unit_test(a_deposed_leader_hears_of_it_from_its_child),
        cmocka_unit_test(a_deposed_leaders_tail_is_replaced),
        cmocka_unit_test(an_upstream_of_an_older_epoch_is_left_and_told),
        cmocka_unit_test(what_the_newer_epoch_has_lent_outlives_a_visit_to_an_older_one),
        cmocka_unit_test(a_circle_is_left),
        cmocka_unit_test(a_child_that_was_not_welcomed_has_nothing_to_leave),
        cmocka_unit_test(a_child_that_was_removed_deposes_nobody_as_it_leaves),
        cmocka_unit_test(a_child_that_does_not_answer_is_sent_a_window_and_no_more),
        cmocka_unit_test(an_entry_too_large_for_a_frame_goes_in_parts),
        cmocka_unit_test(frames_out_of_place_close_the_link),
        cmocka_unit_test(an_ack_of_what_was_not_sent_closes_the_link),
        cmocka_unit_test(an_entry_that_leaves_a_gap_closes_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
