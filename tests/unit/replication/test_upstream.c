// SPDX-License-Identifier: Apache-2.0
// The choice of an upstream: order, back-off, measuring, moving.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "replication/upstream.h"

static const char *below; // who is below us

static bool is_below(void *ctx, const char *id)
{
    (void)ctx;
    return below != NULL && strcmp(below, id) == 0;
}

static struct upstream *make(bool is_core)
{
    struct upstream *upstream = malloc(sizeof(*upstream));
    const struct upstream_options options = {.own_id = "m-self",
                                             .own_region = "fra",
                                             .own_address = "10.0.0.9:1",
                                             .is_core = is_core,
                                             .seed = 7,
                                             .is_below = is_below};
    below = NULL;
    upstream_init(upstream, &options);
    return upstream;
}

static void add(struct upstream *upstream, const char *id, const char *region, bool is_core)
{
    struct state_member member = {.is_core = is_core};
    snprintf(member.id, sizeof(member.id), "%s", id);
    snprintf(member.region, sizeof(member.region), "%s", region);
    snprintf(member.peer_address, sizeof(member.peer_address), "%s:7402", id);
    upstream_member(upstream, &member);
}

static void measure(struct upstream *upstream, const char *id, uint64_t round_trip_us)
{
    char address[80];
    snprintf(address, sizeof(address), "%s:7402", id);
    for (int i = 0; i < 3; i++)
        upstream_measured(upstream, address, round_trip_us);
}

static void assert_picked(struct upstream *upstream, uint64_t now_ms, const char *id)
{
    const struct upstream_candidate *picked = upstream_pick(upstream, now_ms);
    if (id == NULL) {
        assert_null(picked);
        return;
    }
    assert_non_null(picked);
    assert_string_equal(picked->id, id);
}

static void the_nearest_of_the_own_region_comes_first(void **state)
{
    struct upstream *upstream = make(false);
    (void)state;
    add(upstream, "far-1", "syd", true);
    add(upstream, "far-2", "syd", true);
    add(upstream, "near", "fra", true);
    add(upstream, "m-self", "fra", false);
    measure(upstream, "far-1", 900);
    measure(upstream, "far-2", 300);
    measure(upstream, "near", 5000);
    assert_picked(upstream, 0, "near");
    upstream_failed(upstream, "near:7402", KR_UPSTREAM_LOST, 0);
    assert_picked(upstream, 0, "far-2");
    upstream_failed(upstream, "far-2:7402", KR_UPSTREAM_LOST, 0);
    assert_picked(upstream, 0, "far-1");
    upstream_failed(upstream, "far-1:7402", KR_UPSTREAM_LOST, 0);
    assert_picked(upstream, 0, NULL);
    assert_picked(upstream, 50, "near");
    free(upstream);
}

static void followers_wait_for_each_other_in_one_order_only(void **state)
{
    struct upstream *upstream = make(false);
    (void)state;
    add(upstream, "z-follower", "fra", false);
    assert_picked(upstream, 0, "z-follower"); // nothing else answers
    add(upstream, "core", "syd", true);
    assert_picked(upstream, 0, "core");
    add(upstream, "a-follower", "fra", false);
    assert_picked(upstream, 0, "a-follower");
    below = "a-follower";
    assert_picked(upstream, 0, "core");
    free(upstream);
}

static void core_nodes_go_to_the_leader(void **state)
{
    struct upstream *upstream = make(true);
    (void)state;
    add(upstream, "a-follower", "fra", false);
    assert_picked(upstream, 0, NULL);
    add(upstream, "core-1", "fra", true);
    add(upstream, "core-2", "syd", true);
    measure(upstream, "core-1", 100);
    measure(upstream, "core-2", 90000);
    assert_picked(upstream, 0, "core-1");
    upstream_leader_is(upstream, "core-2", "core-2:7402");
    assert_picked(upstream, 0, "core-2");
    upstream_attached(upstream, "core-1:7402", 0);
    assert_null(upstream_better(upstream, KR_UPSTREAM_SETTLE_MS - 1));
    assert_string_equal(upstream_better(upstream, KR_UPSTREAM_SETTLE_MS)->id, "core-2");
    free(upstream);
}

static void the_back_off_doubles_with_jitter_up_to_its_bound(void **state)
{
    struct upstream *upstream = make(false);
    uint64_t now_ms = 1000, most_ms = KR_UPSTREAM_BACKOFF_LEAST_MS;
    (void)state;
    add(upstream, "core", "fra", true);
    for (int i = 0; i < 40; i++) {
        upstream_failed(upstream, "core:7402", KR_UPSTREAM_LOST, now_ms);
        uint64_t wait_ms = upstream->candidates[0].next_try_ms - now_ms;
        assert_in_range(wait_ms, most_ms / 2, most_ms);
        assert_picked(upstream, now_ms + wait_ms - 1, NULL);
        assert_picked(upstream, now_ms + wait_ms, "core");
        now_ms += wait_ms;
        most_ms =
            most_ms * 2 < KR_UPSTREAM_BACKOFF_MOST_MS ? most_ms * 2 : KR_UPSTREAM_BACKOFF_MOST_MS;
    }
    upstream_attached(upstream, "core:7402", now_ms);
    upstream_failed(upstream, "core:7402", KR_UPSTREAM_LOST, now_ms);
    assert_true(upstream->candidates[0].next_try_ms <= now_ms + KR_UPSTREAM_BACKOFF_LEAST_MS);
    upstream_failed(upstream, "core:7402", KR_UPSTREAM_REFUSED, now_ms);
    assert_true(upstream->candidates[0].next_try_ms >= now_ms + KR_UPSTREAM_BACKOFF_MOST_MS / 2);
    // That it can be attached to says nothing of its snapshots.
    for (uint64_t wait_ms = KR_UPSTREAM_BACKOFF_MOST_MS; wait_ms <= 40000; wait_ms *= 2) {
        upstream_attached(upstream, "core:7402", now_ms);
        upstream_failed(upstream, "core:7402", KR_UPSTREAM_SPOILT, now_ms);
        assert_in_range(upstream->candidates[0].next_try_ms, now_ms + wait_ms / 2,
                        now_ms + wait_ms);
    }
    free(upstream);
}

// Finding out that nobody answers takes so long that the back-off of the first is over by then.
static void who_is_silent_comes_after_who_may_answer(void **state)
{
    struct upstream *upstream = make(false);
    (void)state;
    add(upstream, "core-1", "fra", true);
    add(upstream, "core-2", "syd", true);
    add(upstream, "z-follower", "syd", false);
    upstream_failed(upstream, "core-1:7402", KR_UPSTREAM_SILENT, 3000);
    assert_picked(upstream, 3100, "core-2");
    upstream_failed(upstream, "core-2:7402", KR_UPSTREAM_SILENT, 6000);
    assert_picked(upstream, 6100, "z-follower");
    upstream_failed(upstream, "z-follower:7402", KR_UPSTREAM_SILENT, 9000);
    assert_picked(upstream, 9100, "core-1");
    upstream_failed(upstream, "core-1:7402", KR_UPSTREAM_SILENT, 12000);
    assert_picked(upstream, 12100, "core-2");
    upstream_attached(upstream, "z-follower:7402", 13000);
    // It is there again: as good as if it had never been away.
    for (int i = 0; i < 3; i++)
        measure(upstream, "core-1", 100);
    assert_string_equal(upstream_better(upstream, 13000 + KR_UPSTREAM_SETTLE_MS)->id, "core-1");
    free(upstream);
}

static void only_what_is_clearly_better_is_moved_to(void **state)
{
    struct upstream *upstream = make(false);
    uint64_t now_ms = KR_UPSTREAM_SETTLE_MS;
    (void)state;
    add(upstream, "here", "fra", true);
    add(upstream, "there", "fra", true);
    measure(upstream, "here", 20000);
    upstream_attached(upstream, "here:7402", 0);
    assert_null(upstream_better(upstream, now_ms)); // not measured
    measure(upstream, "there", 19000);
    assert_null(upstream_better(upstream, now_ms));
    measure(upstream, "there", 1000);
    measure(upstream, "there", 1000);
    measure(upstream, "there", 1000);
    measure(upstream, "there", 1000);
    assert_string_equal(upstream_better(upstream, now_ms)->id, "there");
    upstream_failed(upstream, "there:7402", KR_UPSTREAM_LOST, now_ms);
    assert_null(upstream_better(upstream, now_ms + KR_UPSTREAM_BACKOFF_LEAST_MS));
    free(upstream);
}

static void each_is_measured_now_and_then_but_for_the_current(void **state)
{
    struct upstream *upstream = make(false);
    char name[32];
    size_t measured = 0;
    (void)state;
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "core-%d", i);
        add(upstream, name, "fra", true);
    }
    upstream_attached(upstream, "core-0:7402", 0);
    for (uint64_t now_ms = 0; now_ms < 600000; now_ms += 20) {
        struct upstream_candidate *one = upstream_pick_measure(upstream, now_ms);
        if (one == NULL)
            continue;
        assert_string_not_equal(one->id, "core-0");
        upstream_measured(upstream, one->address, 100);
        measured++;
    }
    for (int i = 1; i < 40; i++)
        assert_in_range(upstream->candidates[i].measured, 4, 20);
    assert_in_range(measured, 39 * 4, 600); // at most one a second
    free(upstream);
}

static void members_that_go_are_forgotten_unless_configured_or_in_use(void **state)
{
    struct upstream *upstream = make(false);
    struct fault fault;
    (void)state;
    assert_int_equal(upstream_configure(upstream, " a:1, [::1]:2 ,", &fault), KR_ERR_OK);
    upstream_members_begin(upstream);
    add(upstream, "one", "fra", true);
    add(upstream, "two", "fra", true);
    upstream_members_end(upstream);
    assert_int_equal(upstream->count, 4);
    upstream_attached(upstream, "two:7402", 5);
    upstream_members_begin(upstream);
    upstream_members_end(upstream);
    assert_int_equal(upstream->count, 3);
    assert_string_equal(upstream->current->id, "two");
    upstream_failed(upstream, "two:7402", KR_UPSTREAM_LOST, 5);
    upstream_members_begin(upstream);
    upstream_members_end(upstream);
    assert_int_equal(upstream->count, 2);
    assert_int_equal(upstream_configure(upstream, "b", &fault), KR_ERR_INVALID);
    assert_int_equal(upstream_configure(upstream, "b:0", &fault), KR_ERR_INVALID);
    assert_int_equal(upstream_configure(upstream, "b:1x", &fault), KR_ERR_INVALID);
    assert_int_equal(upstream_configure(upstream, ":5", &fault), KR_ERR_INVALID);
    free(upstream);
}

static void who_turns_out_to_be_oneself_is_not_tried_again(void **state)
{
    const struct state_member self = {.id = "m-self", .region = "fra"};
    struct upstream *upstream = make(false);
    struct fault fault;
    (void)state;
    assert_int_equal(upstream_configure(upstream, "alias:1,10.0.0.9:1", &fault), KR_ERR_OK);
    assert_string_equal(upstream_pick(upstream, 0)->address, "alias:1");
    upstream_identified(upstream, "alias:1", &self);
    assert_null(upstream_pick(upstream, 0));
    free(upstream);
}

static void assert_asked(struct upstream *upstream, uint64_t now_ms, const char *id)
{
    const struct upstream_candidate *asked = upstream_pick_ask(upstream, now_ms);
    if (id == NULL) {
        assert_null(asked);
        return;
    }
    assert_non_null(asked);
    assert_string_equal(asked->id, id);
}

static void every_core_member_is_asked_until_it_has_answered(void **state)
{
    struct upstream *upstream = make(true);
    (void)state;
    assert_int_equal(upstream_hearing(upstream), KR_UPSTREAM_ALL_HEARD);
    add(upstream, "a-core", "fra", true);
    add(upstream, "b-core", "fra", true);
    add(upstream, "edge", "fra", false);
    upstream_ask_all(upstream);
    assert_int_equal(upstream_hearing(upstream), KR_UPSTREAM_SOME_UNASKED);
    assert_asked(upstream, 1000, "a-core");
    assert_int_equal(upstream_hearing(upstream), KR_UPSTREAM_SOME_UNASKED);
    assert_asked(upstream, 1000, "b-core");
    assert_asked(upstream, 1000, NULL);
    assert_int_equal(upstream_hearing(upstream), KR_UPSTREAM_ALL_ASKED);
    upstream_heard(upstream, "a-core:7402");
    assert_int_equal(upstream_hearing(upstream), KR_UPSTREAM_ALL_ASKED);
    assert_asked(upstream, 1000 + KR_UPSTREAM_BACKOFF_LEAST_MS, "b-core");
    for (int i = 0; i < 10; i++) // the back-off grows no further than this
        assert_asked(upstream, 100000 + (uint64_t)i * KR_UPSTREAM_BACKOFF_MOST_MS, "b-core");
    upstream_heard(upstream, "b-core:7402");
    assert_int_equal(upstream_hearing(upstream), KR_UPSTREAM_ALL_HEARD);
    assert_asked(upstream, 900000, NULL);
    upstream_ask_all(upstream);
    assert_asked(upstream, 900000, "a-core");
    free(upstream);
}

static bool has(const struct upstream *upstream, const char *id)
{
    for (size_t i = 0; i < upstream->count; i++)
        if (strcmp(upstream->candidates[i].id, id) == 0)
            return true;
    return false;
}

static void add_many(struct upstream *upstream)
{
    char id[32];
    upstream_members_begin(upstream);
    for (int i = 0; i < KR_UPSTREAM_MAX + 100; i++) {
        snprintf(id, sizeof(id), "a-follower-%04d", i);
        add(upstream, id, "fra", false);
    }
    add(upstream, "core-1", "syd", true);
    add(upstream, "core-2", "syd", true);
    upstream_members_end(upstream);
}

static void however_many_follow_the_core_nodes_are_known(void **state)
{
    (void)state;
    for (int is_core = 0; is_core < 2; is_core++) {
        struct upstream *upstream = make(is_core != 0);
        for (int times = 0; times < 2; times++) {
            add_many(upstream);
            upstream_leader_is(upstream, "core-3", "core-3:7402");
            assert_true(has(upstream, "core-1") && has(upstream, "core-2"));
            assert_true(has(upstream, "core-3"));
            assert_int_equal(upstream->count, is_core ? 3 : KR_UPSTREAM_MAX);
        }
        free(upstream);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_of_the_own_region_comes_first),
        cmocka_unit_test(followers_wait_for_each_other_in_one_order_only),
        cmocka_unit_test(core_nodes_go_to_the_leader),
        cmocka_unit_test(the_back_off_doubles_with_jitter_up_to_its_bound),
        cmocka_unit_test(who_is_silent_comes_after_who_may_answer),
        cmocka_unit_test(only_what_is_clearly_better_is_moved_to),
        cmocka_unit_test(each_is_measured_now_and_then_but_for_the_current),
        cmocka_unit_test(members_that_go_are_forgotten_unless_configured_or_in_use),
        cmocka_unit_test(who_turns_out_to_be_oneself_is_not_tried_again),
        cmocka_unit_test(every_core_member_is_asked_until_it_has_answered),
        cmocka_unit_test(however_many_follow_the_core_nodes_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
