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

static uint64_t own_applied_index(void *ctx)
{
    (void)ctx;
    return 120;
}

static const struct state leader = {
    .member = find_member, .safe_index = own_safe_index, .applied_index = own_applied_index};
static const struct trimming_limit no_limit = {.lacking = UINT64_MAX / 2};

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
    const struct trimming_limit enough = {.lacking = 80}, too_little = {.lacking = 79};
    assert_int_equal(below(roster, &no_limit), 41);
    assert_int_equal(below(roster, &enough), 41);
    assert_int_equal(below(roster, &too_little), 81);
    roster_attached(roster, "c3", 1, 40);
    assert_int_equal(below(roster, &too_little), 41); // it is on its way
    roster_free(&roster);
}

// However much the log's place holds of other things: only what that node lacks counts.
static void who_is_away_for_a_restart_is_waited_for(void **state)
{
    (void)state;
    static const char *const ids[] = {"c1", "c2", "c3"};
    struct roster *roster = roster_of(ids, 3);
    hear(roster, "c2", 120, 0);
    hear(roster, "c3", 60, 0);
    roster_detached(roster, "c3");
    const struct trimming_limit crowded = {.lacking = 1000, .is_unheard = true};
    assert_int_equal(below(roster, &crowded), 61);
    roster_free(&roster);
}

static void who_was_not_heard_of_is_waited_for_until_that_is_given_up(void **state)
{
    (void)state;
    static const char *const ids[] = {"c1", "c2", "c3"};
    struct roster *roster = roster_of(ids, 3);
    hear(roster, "c2", 90, 0);
    const struct trimming_limit patient = {.lacking = 10},
                                given_up = {.lacking = 10, .is_unheard = true};
    assert_int_equal(below(roster, &patient), 1);
    assert_int_equal(below(roster, &given_up), 91);
    roster_free(&roster);
}

int main(void)
{
    rand_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_core_node_that_has_least_on_its_disk_counts),
        cmocka_unit_test(who_is_away_and_lacks_too_much_is_not_waited_for),
        cmocka_unit_test(who_is_away_for_a_restart_is_waited_for),
        cmocka_unit_test(who_was_not_heard_of_is_waited_for_until_that_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
