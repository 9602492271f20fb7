// SPDX-License-Identifier: Apache-2.0
// The feed and the session: snapshots, what is taken up again after a loss, states that differ, a
// chain of three, and calls.
#include "pair_assert.h"

struct two {
    struct fake *up, *down;
    struct pair *pair;
};

static void commit_some(struct fake *fake, size_t entries)
{
    char text[32];
    for (size_t i = 1; i <= entries; i++) {
        snprintf(text, sizeof(text), "%sentry %zu", i % 5 == 0 ? "-" : "",
                 (size_t)fake->position.index + 1);
        fake_commit_text(fake, text);
    }
}

static void open_two(struct two *two, enum store_holding holding, size_t entries)
{
    const struct state_member member = {.id = "lower",
                                        .region = "us",
                                        .is_core = holding == KR_HOLD_ALL,
                                        .peer_address = "127.0.0.1:1",
                                        .http_address = "http://127.0.0.1:2"};
    two->up = fake_new(KR_HOLD_ALL);
    two->down = fake_new(holding);
    commit_some(two->up, entries);
    fake_add_member(two->up, &member);
    two->pair = pair_new(two->up, two->down, "lower");
}

static void close_two(struct two *two)
{
    pair_free(two->pair);
    fake_free(two->up);
    fake_free(two->down);
}

// The child restarts when it has a snapshot, and reconnects when it has lost its link, until it is
// where the upstream is.
static void bring_together(struct two *two)
{
    for (int round = 0; round < 20; round++) {
        if (two->down->position.index == two->up->position.index && two->down->next == NULL)
            break;
        pair_advance(two->pair, 200);
        bool is_whole = two->down->is_next_whole;
        if (!is_whole && !two->pair->is_broken)
            continue;
        pair_detach(two->pair);
        if (is_whole) {
            fake_switch(two->down);
            two->pair->carry = (struct follow_carry){0};
            lease_forget(&two->pair->lease, two->down->position.index);
        }
        pair_attach(two->pair);
    }
    assert_same_state(two->up, two->down);
}

static void behind_the_retained_log_comes_a_snapshot(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 20);
    two.up->first = 15;
    pair_run(two.pair);
    assert_pair(two.pair, "< Hello\n"
                          "> NeedSnapshot at 20\n"
                          "< SnapshotRequest at 20\n"
                          "> SnapshotChunk\n"
                          "> SnapshotChunk\n"
                          "> SnapshotChunk\n"
                          "> SnapshotChunk\n"
                          "> SnapshotChunk\n"
                          "> SnapshotEnd\n");
    assert_int_equal(follow_state(two.pair->follow), KR_FOLLOW_REPLACED);
    assert_int_equal(lease_until(&two.pair->lease), 0);
    commit_some(two.up, 3);
    bring_together(&two);
    assert_pair(two.pair, "< Hello\nattached at 20\n> Welcome\n> Entries 21..23\n");
    close_two(&two);
}

// Neither before our Hello nor behind a whole snapshot: that is checked on another thread.
static void a_reject_out_of_place_closes_the_link_and_nothing_else(void **state)
{
    const struct peer_frame reject = {.type = KR_PEER_REJECT,
                                      .as.reject = {.code = KR_PEER_NOT_READY, .reason = "no"}};
    struct fault fault;
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 20);
    struct pair *pair = two.pair;
    two.up->first = 15;
    assert_int_equal(follow_take(pair->follow, &reject, pair->now_ms, &fault), KR_ERR_INVALID);
    assert_int_equal(follow_state(pair->follow), KR_FOLLOW_NEW);
    while (follow_state(pair->follow) != KR_FOLLOW_FINISHING)
        if (!pair_step(pair, true))
            assert_true(pair_step(pair, false));
    assert_int_equal(follow_take(pair->follow, &reject, pair->now_ms, &fault), KR_ERR_INVALID);
    assert_int_equal(follow_state(pair->follow), KR_FOLLOW_FINISHING);
    pair_finish_import(pair);
    assert_int_equal(follow_take(pair->follow, &reject, pair->now_ms, &fault), KR_ERR_INVALID);
    assert_int_equal(follow_state(pair->follow), KR_FOLLOW_REPLACED);
    close_two(&two);
}

// The last index that the log still shows to fit is its oldest row's.
static void at_the_edge_of_retention(void **state)
{
    struct two two;
    (void)state;
    for (uint64_t first = 8; first <= 11; first++) {
        open_two(&two, KR_HOLD_VALIDATION, 10);
        pair_advance(two.pair, 60);
        pair_detach(two.pair);
        commit_some(two.up, 5);
        two.up->first = first;
        buf_clear(&two.pair->transcript);
        pair_attach(two.pair);
        pair_run(two.pair);
        buf_add_u8(&two.pair->transcript, '\0');
        bool has_asked = strstr((char *)two.pair->transcript.data, "NeedSnapshot") != NULL;
        assert_int_equal(has_asked, first == 11);
        bring_together(&two);
        close_two(&two);
    }
}

static void who_falls_out_of_the_log_while_attached_gets_a_snapshot(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 10);
    pair_advance(two.pair, 60);
    buf_clear(&two.pair->transcript);
    commit_some(two.up, 10);
    two.up->first = 18;
    pair_run(two.pair);
    buf_add_u8(&two.pair->transcript, '\0');
    assert_non_null(strstr((char *)two.pair->transcript.data, "> NeedSnapshot at 20\n"));
    bring_together(&two);
    close_two(&two);
}

static void a_snapshot_goes_on_where_it_stopped(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 40);
    two.up->first = 40;
    two.pair->frames_until_break = 7;
    pair_run(two.pair);
    assert_true(two.pair->is_broken);
    uint64_t received = two.down->next->position.index;
    assert_in_range(received, 1, 39);
    commit_some(two.up, 7); // the upstream has moved on; the snapshot has not
    pair_detach(two.pair);
    assert_int_equal(two.up->exports_open, 1);
    buf_clear(&two.pair->transcript);
    pair_attach(two.pair);
    pair_run(two.pair);
    buf_add_u8(&two.pair->transcript, '\0');
    const char *transcript = (char *)two.pair->transcript.data;
    assert_non_null(strstr(transcript, "< SnapshotRequest at 40 from the middle\n"));
    assert_null(strstr(transcript, "> NeedSnapshot at 47\n< SnapshotRequest at 47\n"));
    bring_together(&two);
    close_two(&two);
}

// The first chunk was read here and never arrived: going on behind it would lose its rows.
static void a_lost_first_chunk_is_sent_again(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 20);
    two.up->first = 20;
    two.pair->frames_until_break = 6; // Hello, Probe, Echo, NeedSnapshot, SnapshotRequest, chunk
    pair_run(two.pair);
    assert_int_equal(feed_state(two.pair->feed), KR_FEED_EXPORTING);
    assert_int_equal(two.down->next->position.index, 0);
    pair_detach(two.pair);
    pair_attach(two.pair);
    pair_run(two.pair);
    assert_int_equal(follow_state(two.pair->follow), KR_FOLLOW_REPLACED);
    bring_together(&two);
    close_two(&two);
}

// --- rows that are too large for a frame ---------------------------------------------------------

// Of the core class, as stored answers are.
static void commit_large(struct fake *fake, size_t size)
{
    uint8_t *entry = malloc(size);
    memset(entry, '-', size);
    fake_commit(fake, 1, bytes_of(entry, size));
    free(entry);
}

static void a_row_too_large_for_a_frame_goes_in_parts(void **state)
{
    struct two two;
    (void)state;
    for (uint64_t frame = 0; frame <= 14; frame++) {
        open_two(&two, KR_HOLD_ALL, 6);
        commit_large(two.up, 2u << 20);
        commit_some(two.up, 2);
        two.up->first = 9;
        two.up->reads_late = frame % 2 == 1;
        two.pair->frames_until_break = frame;
        pair_advance(two.pair, 100);
        if (frame == 0)
            assert_pair(two.pair, "< Hello\n> NeedSnapshot at 9\n< SnapshotRequest at 9\n"
                                  "> SnapshotChunk\n> SnapshotChunk\n> SnapshotChunk\n"
                                  "> SnapshotChunk\n> SnapshotChunk\n> SnapshotEnd\n");
        bring_together(&two);
        close_two(&two);
    }
}

// What can be wrong with a part, by itself or behind one that is right.
static void a_part_out_of_place_closes_the_link(void **state)
{
    static const uint8_t rows[8];
    static const struct {
        struct peer_snapshot_chunk first, then;
    } cases[] = {
        {{.rows = {rows, 8}, .rows_size = 20, .rows_offset = 8}, {0}},
        {{.rows = {rows, 8}, .rows_size = 7}, {0}},
        {{.rows = {rows, 0}, .rows_size = 20}, {0}},
        {{.rows = {rows, 8}, .rows_size = 20}, {.rows = {rows, 8}, .rows_size = 20}},
        {{.rows = {rows, 8}, .rows_size = 20},
         {.rows = {rows, 8}, .rows_size = 16, .rows_offset = 8}},
        {{.rows = {rows, 8}, .rows_size = 15},
         {.rows = {rows, 8}, .rows_size = 15, .rows_offset = 8}},
        {{.rows = {rows, 8}, .rows_size = 20}, {.rows = {rows, 8}}},
    };
    struct two two;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        open_two(&two, KR_HOLD_ALL, 20);
        struct pair *pair = two.pair;
        struct fault fault = {0};
        two.up->first = 15;
        while (follow_state(pair->follow) != KR_FOLLOW_REQUESTING)
            if (!pair_step(pair, true))
                assert_true(pair_step(pair, false));
        struct peer_frame frame = {KR_PEER_SNAPSHOT_CHUNK, .as.snapshot_chunk = cases[i].first};
        enum kr_err err = follow_take(pair->follow, &frame, pair->now_ms, &fault);
        if (cases[i].then.rows.size > 0) {
            assert_int_equal(err, KR_ERR_OK);
            frame.as.snapshot_chunk = cases[i].then;
            err = follow_take(pair->follow, &frame, pair->now_ms, &fault);
        }
        assert_int_equal(err, KR_ERR_INVALID);
        assert_non_null(strstr(fault.text, "SnapshotChunk's part at "));
        assert_int_equal(two.down->next->position.index, 0);
        close_two(&two);
    }
}

static void a_snapshot_that_is_gone_begins_anew(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 40);
    two.up->first = 40;
    two.pair->frames_until_break = 7;
    pair_run(two.pair);
    pair_detach(two.pair);
    exports_tick(two.pair->exports, two.pair->now_ms + KR_EXPORTS_KEPT_MS);
    assert_int_equal(two.up->exports_open, 0);
    commit_some(two.up, 2);
    two.up->first = 42;
    buf_clear(&two.pair->transcript);
    pair_attach(two.pair);
    pair_run(two.pair);
    buf_add_u8(&two.pair->transcript, '\0');
    assert_non_null(strstr((char *)two.pair->transcript.data,
                           "> NeedSnapshot at 42\n< SnapshotRequest at 40 from the middle\n"
                           "> NeedSnapshot at 42\n< SnapshotRequest at 42\n"));
    bring_together(&two);
    close_two(&two);
}

// --- states that differ --------------------------------------------------------------------------

static void damage(struct fake *fake)
{
    fake->position.digest[KR_CLASS_KEY].low ^= 1;
}

static void digests_that_differ_end_the_lease_and_rebuild(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 10);
    pair_advance(two.pair, 1500);
    assert_int_equal(two.pair->differences, 0);
    assert_true(lease_until(&two.pair->lease) > two.pair->now_ms);
    damage(two.down);
    commit_some(two.up, 1);
    pair_advance(two.pair, 1500);
    assert_int_equal(two.pair->differences, 1);
    assert_int_equal(lease_until(&two.pair->lease), 0);
    assert_true(two.pair->carry.must_rebuild);
    assert_int_equal(two.pair->snapshots, 1);
    bring_together(&two);
    pair_advance(two.pair, 1500);
    assert_true(lease_until(&two.pair->lease) > two.pair->now_ms);
    close_two(&two);
}

static void a_damaged_state_stays_without_a_lease_over_a_lost_link(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 30);
    pair_advance(two.pair, 1500);
    two.down->is_damaged = true;
    commit_some(two.up, 1);
    two.pair->frames = 0;
    two.pair->frames_until_break = 3;
    pair_advance(two.pair, 100);
    assert_true(two.pair->is_broken && two.pair->carry.must_rebuild);
    pair_detach(two.pair);
    pair_attach(two.pair);
    two.pair->frames = 0;
    two.pair->frames_until_break = 6;
    pair_advance(two.pair, 500);
    assert_int_equal(lease_until(&two.pair->lease), 0);
    bring_together(&two);
    close_two(&two);
}

static void a_snapshot_that_does_not_sum_up_is_dropped(void **state)
{
    struct two two;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 20);
    two.up->first = 20;
    damage(two.up); // what it sends is not what it says
    pair_run(two.pair);
    assert_true(two.pair->is_broken);
    assert_int_equal(two.pair->err, KR_ERR_CORRUPT);
    assert_null(two.down->next);
    assert_int_equal(two.down->position.index, 0);
    close_two(&two);
}

// --- loss ----------------------------------------------------------------------------------------

// Whatever frame the link breaks at, the child ends where the upstream is.
static void a_link_may_break_at_every_frame(void **state)
{
    struct two two;
    (void)state;
    for (uint64_t frame = 1; frame <= 40; frame++) {
        for (int is_far = 0; is_far <= 1; is_far++) {
            open_two(&two, frame % 2 ? KR_HOLD_ALL : KR_HOLD_VALIDATION, 30);
            two.up->first = is_far ? 25 : 1;
            two.up->reads_late = frame % 3 == 0;
            two.pair->frames_until_break = frame;
            pair_advance(two.pair, 300);
            commit_some(two.up, 3);
            bring_together(&two);
            close_two(&two);
        }
    }
}

// --- a chain of three ----------------------------------------------------------------------------

static void a_relay_passes_on_what_it_has_and_what_is_left(void **state)
{
    static const char *const path[] = {"leader"};
    struct two upper;
    (void)state;
    open_two(&upper, KR_HOLD_VALIDATION, 12);
    const struct state_member member = {.id = "leaf",
                                        .region = "us",
                                        .peer_address = "127.0.0.1:1",
                                        .http_address = "http://127.0.0.1:2"};
    pair_advance(upper.pair, 200);
    struct fake *leaf = fake_new(KR_HOLD_VALIDATION);
    fake_add_member(upper.down, &member);
    struct pair *lower = pair_new(upper.down, leaf, "leaf");
    lower->above = upper.pair;
    lower->path = (struct texts){path, 1};
    lower->now_ms = upper.pair->now_ms;
    for (int i = 0; i < 30; i++) {
        commit_some(upper.up, 1);
        pair_advance(upper.pair, 20);
        pair_advance(lower, 20);
        assert_true(lease_until(&lower->lease) <= lease_until(&upper.pair->lease));
    }
    assert_same_state(upper.up, leaf);
    assert_true(lease_until(&lower->lease) > lower->now_ms);
    // The relay hears no more: what it lends runs out with its own.
    for (int i = 0; i < 120; i++) {
        upper.pair->now_ms += 20;
        pair_advance(lower, 20);
        assert_true(lease_until(&lower->lease) <= lease_until(&upper.pair->lease));
    }
    assert_true(lease_until(&lower->lease) < lower->now_ms);
    pair_free(lower);
    fake_free(leaf);
    close_two(&upper);
}

// --- calls ---------------------------------------------------------------------------------------

struct told {
    enum kr_err err;
    uint32_t status;
    size_t size, count;
};

static void on_told(void *ctx, enum kr_err err, const struct forward_answer *answer)
{
    struct told *told = ctx;
    told->err = err;
    told->count++;
    told->status = answer != NULL ? answer->status : 0;
    told->size = answer != NULL ? answer->body.size : 0;
}

static void submit(struct two *two, struct told *told, size_t size, uint64_t wait_ms)
{
    uint8_t *body = calloc(1, size + 1);
    const struct peer_header field = {"content-type", bytes_text("application/json")};
    const struct forward_request request = {.method = "POST",
                                            .target = "/v1/keys",
                                            .fields = {&field, 1},
                                            .body = bytes_of(body, size),
                                            .client_address = "10.0.0.9",
                                            .request_id = "req_1",
                                            .deadline_ms = two->pair->now_ms + wait_ms};
    *told = (struct told){0};
    assert_int_equal(forward_submit(two->pair->forward, &request, on_told, told), KR_ERR_OK);
    assert_int_equal(told->count, 0);
    free(body);
}

static void a_call_goes_up_and_its_answer_comes_back(void **state)
{
    struct two two;
    struct told told;
    uint8_t *body = calloc(1, 500000);
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 2);
    submit(&two, &told, 300000, 5000);
    pair_advance(two.pair, 100);
    buf_add_u8(&two.pair->transcript, '\0');
    assert_non_null(
        strstr((char *)two.pair->transcript.data, "call POST /v1/keys with 300000 bytes\n"));
    const struct forward_answer answer = {.status = 201, .body = bytes_of(body, 500000)};
    feed_answer(two.pair->feed, two.pair->forwarded_id, &answer);
    feed_answer(two.pair->feed, 77, &answer); // nobody waits for that
    pair_run(two.pair);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.err, KR_ERR_OK);
    assert_int_equal(told.status, 201);
    assert_int_equal(told.size, 500000);
    free(body);
    close_two(&two);
}

static void a_call_without_a_link_waits_and_ends_at_its_deadline(void **state)
{
    struct two two;
    struct told told;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 2);
    pair_detach(two.pair);
    submit(&two, &told, 10, 1000);
    forward_tick(two.pair->forward, two.pair->now_ms + 999);
    assert_int_equal(told.count, 0);
    forward_tick(two.pair->forward, two.pair->now_ms + 1000);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.err, KR_ERR_NO_LEADER);
    pair_attach(two.pair);
    close_two(&two);
}

static void a_call_that_was_sent_when_the_link_broke_has_an_unknown_fate(void **state)
{
    struct two two;
    struct told sent, kept;
    (void)state;
    open_two(&two, KR_HOLD_VALIDATION, 2);
    submit(&two, &sent, 10, 5000);
    pair_advance(two.pair, 100);
    submit(&two, &kept, 10, 5000);
    pair_detach(two.pair);
    assert_int_equal(sent.err, KR_ERR_TIMEOUT);
    assert_int_equal(sent.count, 1);
    assert_int_equal(kept.count, 0);
    pair_attach(two.pair);
    pair_advance(two.pair, 100);
    const struct forward_answer answer = {.status = 204};
    feed_answer(two.pair->feed, two.pair->forwarded_id, &answer);
    pair_run(two.pair);
    assert_int_equal(kept.status, 204);
    close_two(&two);
}

static void count_call(void *ctx, uint64_t id, const struct forward_request *request)
{
    (void)request;
    *(uint64_t *)ctx = id;
}

// The first call may still run when it has been dropped: its answer must not meet another one.
static void an_id_that_was_used_closes_the_link(void **state)
{
    struct peer_forward call = {.id = 5,
                                .deadline_ms = 1,
                                .method = "GET",
                                .target = "/",
                                .client_address = "",
                                .request_id = ""};
    const struct forward_answer answer = {.status = 200};
    struct forward_serve serve;
    struct fault fault;
    uint64_t served = 0;
    (void)state;
    forward_serve_init(&serve, count_call, &served);
    assert_int_equal(forward_serve_take(&serve, &call, 100, &fault), KR_ERR_OK);
    assert_int_equal(served, 5);
    forward_serve_tick(&serve, 102);
    call.has_more = true;
    assert_int_equal(forward_serve_take(&serve, &call, 102, &fault), KR_ERR_INVALID);
    forward_serve_answer(&serve, 5, &answer);
    call.id = 6;
    assert_int_equal(forward_serve_take(&serve, &call, 102, &fault), KR_ERR_OK);
    call.id = 4;
    assert_int_equal(forward_serve_take(&serve, &call, 102, &fault), KR_ERR_INVALID);
    forward_serve_fini(&serve);
}

static void an_answer_to_nothing_closes_the_link(void **state)
{
    const struct peer_answer answer = {.id = 5, .status = 200};
    struct forward *forward = forward_new();
    struct fault fault;
    (void)state;
    assert_int_equal(forward_take_answer(forward, &answer, &fault), KR_ERR_INVALID);
    forward_free(&forward);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behind_the_retained_log_comes_a_snapshot),
        cmocka_unit_test(a_reject_out_of_place_closes_the_link_and_nothing_else),
        cmocka_unit_test(at_the_edge_of_retention),
        cmocka_unit_test(who_falls_out_of_the_log_while_attached_gets_a_snapshot),
        cmocka_unit_test(a_snapshot_goes_on_where_it_stopped),
        cmocka_unit_test(a_lost_first_chunk_is_sent_again),
        cmocka_unit_test(a_row_too_large_for_a_frame_goes_in_parts),
        cmocka_unit_test(a_part_out_of_place_closes_the_link),
        cmocka_unit_test(a_snapshot_that_is_gone_begins_anew),
        cmocka_unit_test(digests_that_differ_end_the_lease_and_rebuild),
        cmocka_unit_test(a_damaged_state_stays_without_a_lease_over_a_lost_link),
        cmocka_unit_test(a_snapshot_that_does_not_sum_up_is_dropped),
        cmocka_unit_test(a_link_may_break_at_every_frame),
        cmocka_unit_test(a_relay_passes_on_what_it_has_and_what_is_left),
        cmocka_unit_test(a_call_goes_up_and_its_answer_comes_back),
        cmocka_unit_test(a_call_without_a_link_waits_and_ends_at_its_deadline),
        cmocka_unit_test(a_call_that_was_sent_when_the_link_broke_has_an_unknown_fate),
        cmocka_unit_test(an_id_that_was_used_closes_the_link),
        cmocka_unit_test(an_answer_to_nothing_closes_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
