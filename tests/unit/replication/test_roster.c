// SPDX-License-Identifier: Apache-2.0
// The roster's answers, one rule at a time. What they are worth together: test_roster_model.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "replication/roster.h"

static const struct roster_demand asked = {10, 5000};
static const struct roster_demand asked_unbounded = {10, KR_UNBOUNDED};

// A leader since 100000 with the members a, b, c.
static int setup(void **state)
{
    struct roster *roster = roster_new("leader", 90000);
    static const char *const ids[] = {"leader", "c", "a", "b"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(roster_member(roster, ids[i], false), KR_ERR_OK);
    roster_take_over(roster, 3, 9, 100000);
    *state = roster;
    return 0;
}

static int teardown(void **state)
{
    roster_free((struct roster **)state);
    assert_null(*state);
    return 0;
}

static void ack(struct roster *roster, const char *id, uint64_t index, uint64_t now_ms)
{
    const struct peer_ack one = {
        .applied_index = index, .covered_index = index, .epoch = 3, .others_age_ms = INT64_MAX};
    roster_heard(roster, id, &one, now_ms);
}

// "a applied, b pending until 105009": what roster_each says.
static void write_view(void *ctx, const struct roster_view *view)
{
    static const char *const states[] = {"applied", "expired", "pending", "unbounded"};
    char *text = ctx;
    size_t size = strlen(text);
    snprintf(text + size, 256 - size, "%s %s %llu;", view->id, states[view->state],
             (unsigned long long)(view->state == KR_ROSTER_APPLIED ? view->applied_ms
                                                                   : view->expires_ms));
}

static void assert_views(struct roster *roster, const struct roster_demand *demand, uint64_t now_ms,
                         const char *wanted)
{
    char text[256] = "";
    roster_each(roster, demand, now_ms, write_view, text);
    assert_string_equal(text, wanted);
}

static void who_is_unheard_counts_from_the_take_over(void **state)
{
    // 5000 ms of staleness, 4 ms of drift each way for 7000 ms, 2 ms of rounding.
    assert_views(*state, &asked, 105009, "a pending 105010;b pending 105010;c pending 105010;");
    assert_views(*state, &asked, 105010, "a expired 105010;b expired 105010;c expired 105010;");
    assert_int_equal(roster_wait(*state, &asked, 105000, 104999), KR_ROSTER_WAITING);
    assert_int_equal(roster_wait(*state, &asked, 105000, 105000), KR_ROSTER_LATE);
    assert_int_equal(roster_wait(*state, &asked, 105000, 105010), KR_ROSTER_COMPLETE);
}

static void a_lease_moves_the_end_and_an_ack_ends_it(void **state)
{
    roster_attached(*state, "a", 1, 9);
    roster_granted(*state, "a", 1500, 110000);
    roster_granted(*state, "a", 1000, 110100); // ends earlier
    ack(*state, "b", 10, 110200);
    assert_views(*state, &asked, 110300, "a pending 114510;b applied 110200;c pending 114510;");
    ack(*state, "a", 9, 110400);
    assert_views(*state, &asked, 110400, "a pending 114510;b applied 110200;c pending 114510;");
    ack(*state, "a", 11, 110500); // and nobody can have got a lease without it from there
    assert_views(*state, &asked, 110500, "a applied 110500;b applied 110200;c expired 105010;");
    assert_int_equal(roster_wait(*state, &asked, 0, 110500), KR_ROSTER_COMPLETE);
}

static void no_lease_without_an_entry_is_younger_than_its_commit(void **state)
{
    roster_committed(*state, 10, 110000);
    ack(*state, "a", 10, 120000);
    ack(*state, "b", 10, 120000);
    roster_attached(*state, "c", 1, 9);
    roster_granted(*state, "c", 2000, 120000); // it lags, and renews
    assert_views(*state, &asked, 114999, "a applied 120000;b applied 120000;c pending 115010;");
    assert_int_equal(roster_wait(*state, &asked, 0, 120000), KR_ROSTER_COMPLETE);
}

static void without_a_bound_only_acks_count(void **state)
{
    ack(*state, "a", 10, 110000);
    assert_views(*state, &asked_unbounded, 999999, "a applied 110000;b unbounded 0;c unbounded 0;");
    assert_int_equal(roster_wait(*state, &asked_unbounded, 999999, 999999), KR_ROSTER_LATE);
    assert_int_equal(roster_member(*state, "b", true), KR_ERR_OK);
    assert_int_equal(roster_member(*state, "c", true), KR_ERR_OK);
    assert_views(*state, &asked_unbounded, 999999, "a applied 110000;");
    assert_int_equal(roster_wait(*state, &asked_unbounded, 0, 999999), KR_ROSTER_COMPLETE);
}

static void a_removed_member_counts_while_it_may_answer(void **state)
{
    ack(*state, "a", 10, 101000);
    ack(*state, "b", 10, 101000);
    assert_int_equal(roster_member(*state, "c", true), KR_ERR_OK);
    assert_int_equal(roster_wait(*state, &asked, UINT64_MAX, 101000), KR_ROSTER_WAITING);
    assert_int_equal(roster_wait(*state, &asked, UINT64_MAX, 105010), KR_ROSTER_COMPLETE);
}

static void a_relay_speaks_for_those_below(void **state)
{
    const struct peer_node_report below[] = {{"b", 10, 0, 5, 3, 0}, {"c", 9, 700, 5, 3, 0}};
    const struct peer_ack one = {10, 10, 3, 0, below, 2, INT64_MAX, {0}};
    roster_attached(*state, "a", 5, 9);
    roster_granted(*state, "a", 2000, 110000);
    roster_heard(*state, "a", &one, 110000);
    assert_views(*state, &asked, 110000, "a applied 110000;b applied 110000;c pending 114312;");
}

static void words_of_another_epoch_and_of_a_dead_process_do_not_count(void **state)
{
    const struct peer_node_report below[] = {{"b", 10, 20000, 5, 2, 0}, {"c", 9, 20000, 6, 3, 0}};
    const struct peer_ack one = {10, 10, 3, 0, below, 2, INT64_MAX, {0}};
    roster_attached(*state, "c", 5, 9);
    ack(*state, "c", 10, 101000);
    roster_detached(*state, "c");
    roster_attached(*state, "a", 5, 9);
    roster_heard(*state, "a", &one, 102000);
    assert_views(*state, &asked, 102000, "a applied 102000;b pending 105010;c pending 105010;");
}

static void read_applied(void *ctx, const struct roster_view *view)
{
    if (strcmp(view->id, "b") == 0)
        *(uint64_t *)ctx = view->applied_index;
}

// It may have been in a log that is void now: then its bound is not the one that was set here.
static void what_was_applied_in_another_epoch_is_not_known_to_be_there(void **state)
{
    struct peer_node_report below[] = {{"b", 12, 20000, 5, 2, 0}};
    const struct peer_ack one = {12, 12, 3, 0, below, 1, INT64_MAX, {0}};
    uint64_t applied = UINT64_MAX;
    roster_attached(*state, "a", 5, 9);
    roster_heard(*state, "a", &one, 102000);
    roster_each(*state, &asked, 102000, read_applied, &applied);
    assert_int_equal(applied, 0);
    below[0].epoch = 3;
    roster_heard(*state, "a", &one, 103000);
    roster_each(*state, &asked, 103000, read_applied, &applied);
    assert_int_equal(applied, 12);
}

// The wall clock was ahead when the dead process began, so that it looks like the later one.
static void who_is_attached_here_says_himself_which_process_counts(void **state)
{
    const struct peer_node_report below[] = {{"b", 4, INT64_MAX, 9000, 3, 0}};
    const struct peer_ack one = {10, 10, 3, 0, below, 1, INT64_MAX, {0}};
    roster_attached(*state, "a", 1, 9);
    roster_attached(*state, "b", 5, 9);
    ack(*state, "b", 10, 110000);
    roster_heard(*state, "a", &one, 110100);
    assert_views(*state, &asked_unbounded, 110100,
                 "a applied 110100;b applied 110000;c unbounded 0;");
    roster_detached(*state, "b"); // it may be another one elsewhere
    assert_views(*state, &asked_unbounded, 110200, "a applied 110100;b unbounded 0;c unbounded 0;");
}

static void a_name_that_is_no_members_counts_among_the_others(void **state)
{
    const struct peer_node_report below[] = {{"b", 10, 0, 5, 3, 0}, {"x", 9, 700, 5, 3, 0}};
    const struct peer_ack one = {10, 10, 3, 0, below, 2, INT64_MAX, {0}};
    roster_attached(*state, "a", 5, 9);
    roster_granted(*state, "a", 2000, 110000);
    roster_heard(*state, "a", &one, 110000);
    assert_true(roster_has(*state, "b") && !roster_has(*state, "x"));
    assert_views(*state, &asked, 110000, "a applied 110000;b applied 110000;c pending 114312;");
}

static void a_relay_covers_what_its_living_children_do(void **state)
{
    struct roster *roster = *state;
    struct arena arena;
    struct peer_ack out;
    const struct roster_own own = {12, 3, 0};
    arena_init(&arena);
    roster_attached(roster, "a", 1, 9);
    roster_granted(roster, "a", 2000, 110000);
    ack(roster, "a", 10, 110000);
    roster_report(roster, &own, 110100, &arena, &out);
    assert_int_equal(out.applied_index, 12);
    assert_int_equal(out.covered_index, 10);
    assert_int_equal(out.count, 1);
    assert_string_equal(out.items[0].id, "a");
    assert_int_equal(out.items[0].age_ms, 100);
    assert_int_equal(out.others_age_ms, 10100);        // the take-over
    roster_report(roster, &own, 112000, &arena, &out); // silent for a window
    assert_int_equal(out.covered_index, 12);
    assert_int_equal(out.others_age_ms, 2000); // what the silent one may have lent
    arena_fini(&arena);
}

// "a 9;b 10;": what is safe.
static void write_safe(void *ctx, const struct roster_view *view)
{
    char *text = ctx;
    size_t size = strlen(text);
    snprintf(text + size, 256 - size, "%s %llu;", view->id, (unsigned long long)view->safe_index);
}

static void assert_safe(struct roster *roster, const char *wanted)
{
    char text[256] = "";
    roster_each(roster, &asked, 110000, write_safe, text);
    assert_string_equal(text, wanted);
}

static void what_is_flushed_is_told_apart_from_what_is_applied(void **state)
{
    struct roster *roster = *state;
    struct arena arena;
    struct peer_ack out;
    const struct peer_node_report below[] = {{"b", 12, 0, 5, 3, 2}, {"c", 12, 0, 5, 2, 0}};
    struct peer_ack one = {12, 12, 3, 3, below, 2, INT64_MAX, {0}};
    const struct roster_own own = {12, 3, 4};
    arena_init(&arena);
    roster_attached(roster, "a", 1, 11);
    assert_safe(roster, "a 0;b 0;c 0;"); // nothing was said
    roster_heard(roster, "a", &one, 101000);
    assert_safe(roster, "a 9;b 10;c 12;");
    roster_report(roster, &own, 101000, &arena, &out);
    assert_int_equal(out.unflushed, 4);
    assert_int_equal(out.items[0].unflushed, 3);
    assert_int_equal(out.items[1].unflushed, 2);
    one.unflushed = 0; // nothing new, but flushed
    roster_heard(roster, "a", &one, 102000);
    assert_safe(roster, "a 12;b 10;c 12;");
    one.unflushed = 100; // more than there is
    one.applied_index = 13;
    roster_heard(roster, "a", &one, 102500);
    assert_safe(roster, "a 12;b 10;c 12;");
    roster_attached(roster, "a", 2, 10); // its power was cut
    assert_safe(roster, "a 0;b 10;c 12;");
    arena_fini(&arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_is_unheard_counts_from_the_take_over),
        TEST(a_lease_moves_the_end_and_an_ack_ends_it),
        TEST(no_lease_without_an_entry_is_younger_than_its_commit),
        TEST(without_a_bound_only_acks_count),
        TEST(a_removed_member_counts_while_it_may_answer),
        TEST(a_relay_speaks_for_those_below),
        TEST(words_of_another_epoch_and_of_a_dead_process_do_not_count),
        TEST(what_was_applied_in_another_epoch_is_not_known_to_be_there),
        TEST(who_is_attached_here_says_himself_which_process_counts),
        TEST(a_name_that_is_no_members_counts_among_the_others),
        TEST(a_relay_covers_what_its_living_children_do),
        TEST(what_is_flushed_is_told_apart_from_what_is_applied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
