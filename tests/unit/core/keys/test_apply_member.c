// SPDX-License-Identifier: Apache-2.0
// Tests of apply on the cluster's members, and on who leads.
#include "core/keys/apply.h"

#include "apply_room.h"

static void add_member(const char *id, const char *address)
{
    add(KR_OP_MEMBER_PUT)->as.member_put = (struct member){.id = id,
                                                           .region = "eu",
                                                           .peer_address = address,
                                                           .added_ms = last_ms(),
                                                           .is_removed = true};
}

static void add_lead(const char *id, uint64_t epoch)
{
    add(KR_OP_LEAD)->as.lead = (struct command_lead){id, epoch};
}

static void add_remove(const char *id)
{
    add(KR_OP_MEMBER_REMOVE)->as.member_remove = (struct command_member_remove){id};
}

static struct member member(const char *id)
{
    struct member record;
    assert_true(fake_get_member(&room.fake, id, &record));
    return record;
}

static void a_member_is_added_once_and_keeps_its_time(void **state)
{
    (void)state;
    add_member("eu-1", "a:1");
    assert_int_equal(commit(), KR_APPLY_OK);
    int64_t added_ms = member("eu-1").added_ms;
    assert_false(member("eu-1").is_removed);
    add_member("eu-1", "b:2");
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_int_equal(room.fake.member_count, 1);
    assert_string_equal(member("eu-1").peer_address, "b:2");
    assert_int_equal(member("eu-1").added_ms, added_ms);
    assert_int_equal(member("eu-1").revision, last_index());
}

static void a_member_out_of_shape_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "eu 1", "eu\n1", "\xc3\xa4",
        "0123456789012345678901234567890123456789012345678901234567890"
        "123"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        add_member(bad[i], NULL);
        assert_int_equal(commit(), KR_APPLY_REFUSED);
    }
    add_member("eu-1", "a b");
    assert_int_equal(commit(), KR_APPLY_REFUSED);
    assert_int_equal(room.fake.member_count, 0);
}

static void a_removed_member_never_comes_back(void **state)
{
    (void)state;
    add_member("eu-1", NULL);
    assert_int_equal(commit(), KR_APPLY_OK);
    add_remove("eu-1");
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_true(member("eu-1").is_removed);
    add_member("eu-1", NULL);
    assert_int_equal(commit(), KR_APPLY_REFUSED);
    add_remove("eu-1");
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_lead("eu-1", room.entry.epoch);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    add_remove("eu-2");
    assert_int_equal(commit(), KR_APPLY_MISSING);
}

static void the_leader_is_the_newest_epochs(void **state)
{
    (void)state;
    struct leader leader;
    add_member("eu-1", NULL);
    add_member("eu-2", NULL);
    add_lead("eu-1", 1);
    assert_int_equal(commit(), KR_APPLY_OK);
    add_lead("eu-1", 1);
    assert_int_equal(commit(), KR_APPLY_STALE);
    add_lead("eu-2", 2); // put together for an epoch that is not the entry's
    assert_int_equal(commit(), KR_APPLY_REFUSED);
    add_lead("eu-3", 1);
    assert_int_equal(commit(), KR_APPLY_MISSING);
    room.entry.epoch = 2;
    add_lead("eu-2", 2);
    assert_int_equal(commit(), KR_APPLY_OK);
    assert_true(fake_get_leader(&room.fake, &leader));
    assert_string_equal(leader.member_id, "eu-2");
    assert_int_equal(leader.epoch, 2);
    assert_int_equal(leader.since_ms, last_ms());
}

static void the_leader_cannot_be_removed(void **state)
{
    (void)state;
    add_member("eu-1", NULL);
    add_member("eu-2", NULL);
    add_lead("eu-1", 1);
    assert_int_equal(commit(), KR_APPLY_OK);
    add_remove("eu-1");
    assert_int_equal(commit(), KR_APPLY_REFUSED);
    add_remove("eu-2");
    assert_int_equal(commit(), KR_APPLY_OK);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_member_is_added_once_and_keeps_its_time),
        CASE(a_member_out_of_shape_is_refused),
        CASE(a_removed_member_never_comes_back),
        CASE(the_leader_is_the_newest_epochs),
        CASE(the_leader_cannot_be_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
