// SPDX-License-Identifier: Apache-2.0
// Nothing is trimmed that some core node would miss after a power cut.
#include "replication/trimming.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/base/rand.h"

// "c…" are core nodes, "x…" were removed.
static bool find_member(void *ctx, const char *id, struct state_member *out)
{
    (void)ctx;
    *out = (struct state_member){.is_core = id[0] != 'f', .is_removed = id[0] == 'x'};
    snprintf(out->id, sizeof(out->id), "%s", id);
    return id[0] != 'u';
}

static uint64_t own_safe_index(void *ctx)
{
    (void)ctx;
    return 100;
}

static const struct state leader = {.member = find_member, .safe_index = own_safe_index};
static const struct trimming_limit no_limit = {.near_index = 0};

static uint64_t below(struct roster *roster, const struct trimming_limit *limit)
{
    return trimming_below(&leader, roster, limit, 102000);
}

static struct roster *roster_of(const char *const ids[], size_t count)
{
    struct roster *roster = roster_new("c1", 90000);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(roster_member(roster, ids[i], ids[i][0] == 'x'), KR_ERR_OK);
    roster_take_over(roster, 3, 9, 100000);
    return roster;
}

static void hear(struct roster *roster, const char *id, uint64_t applied, uint64_t unflushed)
{
    const struct peer_ack ack = {
        .applied_index = applied, .covered_index = applied, .epoch = 3, .unflushed = unflushed};
    roster_attached(roster, id, 1, applied);
    roster_heard(roster, id, &ack, 101000);
}

static void the_core_node_that_has_least_on_its_disk_counts(void **state)
{
    (void)state;
    static const char *const ids[] = {"c1", "c2", "c3", "f1", "u1", "x1"};
    struct roster *roster = roster_of(ids, 6);
    hear(roster, "c2", 120, 0);
    assert_int_equal(below(roster, &no_limit), 1); // c3 was never heard
    hear(roster, "c3", 110, 60);
    assert_int_equal(below(roster, &no_limit), 51);
    hear(roster, "c3", 110, 0);
    assert_int_equal(below(roster, &no_limit), 101); // the leader's own
    hear(roster, "f1", 20, 0);
    assert_int_equal(below(roster, &no_limit), 101);
    roster_free(&roster);
}

static void who_is_away_and_lacks_too_much_is_not_waited_for(void **state)
{
    (void)state;
    static const char *const ids[] = {"c1", "c2", "c3"};
    struct roster *roster = roster_of(ids, 3);
    hear(roster, "c2", 90, 10);
    hear(roster, "c3", 40, 0);
    roster_detached(roster, "c3");
    const struct trimming_limit has_enough = {.near_index = 40}, lacks = {.near_index = 41};
    assert_int_equal(below(roster, &no_limit), 41);
    assert_int_equal(below(roster, &has_enough), 41);
    assert_int_equal(below(roster, &lacks), 81);
    roster_attached(roster, "c3", 1, 40);
    assert_int_equal(below(roster, &lacks), 41); // it is on its way
    roster_free(&roster);
}

// A process that has just begun has said what it has, and not yet what is safe.
static void who_comes_and_goes_again_is_waited_for(void **state)
{
    (void)state;
    static const char *const ids[] = {"c1", "c2", "c3"};
    struct roster *roster = roster_of(ids, 3);
    hear(roster, "c2", 120, 0);
    hear(roster, "c3", 60, 0);
    roster_attached(roster, "c3", 2, 60);
    roster_detached(roster, "c3");
    const struct trimming_limit limit = {.near_index = 50, .is_unheard = true};
    assert_int_equal(below(roster, &limit), 1);
    roster_free(&roster);
}

static void who_was_not_heard_of_is_waited_for_until_that_is_given_up(void **state)
{
    (void)state;
    static const char *const ids[] = {"c1", "c2", "c3"};
    struct roster *roster = roster_of(ids, 3);
    hear(roster, "c2", 90, 0);
    const struct trimming_limit patient = {.near_index = 80},
                                given_up = {.near_index = 80, .is_unheard = true};
    assert_int_equal(below(roster, &patient), 1);
    assert_int_equal(below(roster, &given_up), 91);
    roster_free(&roster);
}

// --- what a node lacks ---------------------------------------------------------------------------

enum { KR_MOST = 6400, KR_ENTRY = 10 };

static uint64_t near(const struct trimming_tail *tail, uint64_t bytes)
{
    return trimming_near(tail, bytes, KR_MOST, KR_ENTRY);
}

static void what_lies_before_the_leadership_is_guessed(void **state)
{
    (void)state;
    struct trimming_tail tail = {.count = 0};
    trimming_note(&tail, 10000, 0, KR_MOST);
    assert_int_equal(near(&tail, 0), 10000 - KR_MOST / KR_ENTRY);
    assert_int_equal(near(&tail, 3200), 10000 - KR_MOST / KR_ENTRY / 2);
    struct trimming_tail young = {.count = 0};
    trimming_note(&young, 5, 0, KR_MOST);
    assert_int_equal(near(&young, 0), 0);
}

// Many small entries behind a few large ones, and the reverse: the sizes of others do not count.
static void what_a_node_lacks_is_counted_in_bytes(void **state)
{
    (void)state;
    struct trimming_tail tail = {.count = 0};
    uint64_t index = 10, bytes = 0;
    trimming_note(&tail, index, bytes, KR_MOST);
    for (unsigned i = 0; i < 500; i++)
        trimming_note(&tail, ++index, bytes += 1000, KR_MOST);
    for (unsigned i = 0; i < 6000; i++)
        trimming_note(&tail, ++index, bytes += 1, KR_MOST);
    assert_in_range(near(&tail, bytes), 500, 510); // a large one, or none, and all small ones
    for (unsigned i = 0; i < 10; i++)
        trimming_note(&tail, ++index, bytes += 1000, KR_MOST);
    assert_in_range(near(&tail, bytes), index - 6, index - 5);
}

static void marks_reach_back_as_far_as_anybody_is_waited_for(void **state)
{
    (void)state;
    struct trimming_tail tail = {.count = 0};
    uint64_t index = 10, bytes = 0;
    trimming_note(&tail, index, bytes, KR_MOST);
    for (unsigned i = 0; i < 100000; i++) {
        trimming_note(&tail, ++index, bytes += KR_ENTRY, KR_MOST);
        uint64_t lacked = (index - near(&tail, bytes)) * KR_ENTRY;
        uint64_t step = KR_MOST / (KR_TRIMMING_MARKS / 2);
        if (bytes > KR_MOST) // before that it reaches back before the leadership
            assert_in_range(lacked, KR_MOST - step - KR_ENTRY, KR_MOST);
    }
}

int main(void)
{
    rand_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_core_node_that_has_least_on_its_disk_counts),
        cmocka_unit_test(who_is_away_and_lacks_too_much_is_not_waited_for),
        cmocka_unit_test(who_comes_and_goes_again_is_waited_for),
        cmocka_unit_test(who_was_not_heard_of_is_waited_for_until_that_is_given_up),
        cmocka_unit_test(what_lies_before_the_leadership_is_guessed),
        cmocka_unit_test(what_a_node_lacks_is_counted_in_bytes),
        cmocka_unit_test(marks_reach_back_as_far_as_anybody_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
