// SPDX-License-Identifier: Apache-2.0
// The hot table's keys against a plain model: puts, removals, revisions, growth, loading, visits.
#include "core/store/hot.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "tests/unit/core/store/hot_sample.h"

static const struct hot_record *find(const struct hot *hot, uint64_t number)
{
    uint8_t digest[KR_DIGEST_SIZE];
    sample_digest(number, digest);
    return hot_find(hot, digest);
}

static void put(struct hot *hot, uint64_t number, uint64_t revision)
{
    struct hot_put request = sample_put(number, revision);
    hot_put(hot, &request);
}

static void remove_key(struct hot *hot, uint64_t number, uint64_t revision)
{
    uint8_t digest[KR_DIGEST_SIZE];
    sample_digest(number, digest);
    hot_remove(hot, digest, revision);
}

static struct hot_figures figures(const struct hot *hot)
{
    struct hot_figures out;
    hot_figures(hot, &out);
    return out;
}

static void maintain(struct hot *hot)
{
    while (hot_maintain(hot)) {
    }
}

// --- the model -----------------------------------------------------------------------------------
enum { KEYS = 6000, ROUNDS = 60, CHANGES = 3000 };

struct model {
    struct hot *hot;
    uint64_t random;
    uint64_t revision;        // of the latest change
    uint64_t revisions[KEYS]; // 0: not there
    uint64_t keys;
};

static void model_put(struct model *model, uint64_t number)
{
    uint64_t revision = ++model->revision;
    if (sample_below(&model->random, 8) == 0)
        revision = sample_below(&model->random, revision) + 1;
    bool is_older = revision < model->revisions[number];
    put(model->hot, number, revision);
    if (is_older)
        return;
    model->keys += model->revisions[number] == 0;
    model->revisions[number] = revision;
}

static void model_remove(struct model *model, uint64_t number)
{
    uint64_t revision = ++model->revision;
    if (sample_below(&model->random, 8) == 0)
        revision = sample_below(&model->random, revision) + 1;
    remove_key(model->hot, number, revision);
    if (model->revisions[number] == 0 || revision < model->revisions[number])
        return;
    model->keys--;
    model->revisions[number] = 0;
}

static void model_check_key(const struct model *model, uint64_t number,
                            const struct hot_record *record)
{
    uint8_t digest[KR_DIGEST_SIZE];
    sample_digest(number, digest);
    if (model->revisions[number] == 0) {
        assert_null(record);
        return;
    }
    assert_non_null(record);
    assert_true(sample_is_sound(record, digest));
    assert_int_equal(hot_record_u48(record->revision), model->revisions[number]);
}

static void model_check(const struct model *model)
{
    static uint64_t numbers[KEYS];
    static struct bytes keys[KEYS];
    static uint8_t digests[KEYS][KR_DIGEST_SIZE];
    static const struct hot_record *records[KEYS];
    for (uint64_t i = 0; i < KEYS; i++) {
        numbers[i] = i;
        keys[i] = sample_key(&numbers[i]);
        model_check_key(model, i, find(model->hot, i));
    }
    hot_find_many(model->hot, keys, KEYS, digests, records);
    for (uint64_t i = 0; i < KEYS; i++)
        model_check_key(model, i, records[i]);
    assert_int_equal(figures(model->hot).keys, model->keys);
}

// A round favours puts or removals, and touches a part of the keys: the table grows, fills with
// tombstones, and is replaced by smaller ones.
static void random_changes_leave_what_a_plain_map_holds(void **state)
{
    (void)state;
    static struct model model;
    model = (struct model){.hot = hot_new(0), .random = sample_seed()};
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t width = 1 + sample_below(&model.random, KEYS);
        uint64_t put_share = sample_below(&model.random, 101);
        bool is_maintained = sample_below(&model.random, 2) == 0;
        for (unsigned i = 0; i < CHANGES; i++) {
            uint64_t number = sample_below(&model.random, width);
            if (sample_below(&model.random, 100) < put_share)
                model_put(&model, number);
            else
                model_remove(&model, number);
            model_check_key(&model, number, find(model.hot, number));
            if (is_maintained && i % 32 == 0)
                hot_maintain(model.hot);
        }
        model_check(&model);
    }
    hot_free(&model.hot);
    assert_null(model.hot);
}

// --- size ----------------------------------------------------------------------------------------
static void the_table_grows_by_steps_and_stays_below_its_load(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    unsigned growths = 0;
    bool was_growing = false;
    for (uint64_t i = 0; i < 50000; i++) {
        put(hot, i, 1);
        struct hot_figures now = figures(hot);
        assert_true(now.keys * 100 <= now.slots * 85 + 100);
        growths += now.is_growing && !was_growing;
        was_growing = now.is_growing;
        assert_non_null(find(hot, i));
        assert_non_null(find(hot, i / 2));
        assert_non_null(find(hot, i - i % 1000));
    }
    assert_true(growths >= 10);
    maintain(hot);
    assert_false(figures(hot).is_growing);
    for (uint64_t i = 0; i < 50000; i++)
        assert_non_null(find(hot, i));
    hot_free(&hot);
}

static void an_expected_number_of_keys_fits_without_growth(void **state)
{
    (void)state;
    struct hot *hot = hot_new(30000);
    uint64_t slots = figures(hot).slots;
    for (uint64_t i = 0; i < 30000; i++) {
        put(hot, i, 1);
        assert_false(figures(hot).is_growing);
    }
    assert_int_equal(figures(hot).slots, slots);
    hot_free(&hot);
}

static void churn_does_not_make_the_table_larger(void **state)
{
    (void)state;
    struct hot *hot = hot_new(1000);
    uint64_t slots = figures(hot).slots;
    for (uint64_t i = 0; i < 200000; i++) {
        put(hot, i, 1);
        if (i >= 1000)
            remove_key(hot, i - 1000, 2);
        if (i % 64 == 0)
            hot_maintain(hot);
        assert_true(figures(hot).slots <= slots * 2);
    }
    for (uint64_t i = 0; i < 200000; i++)
        assert_true((find(hot, i) != NULL) == (i >= 199000));
    assert_int_equal(figures(hot).keys, 1000);
    hot_free(&hot);
}

// Extras are freed with the records that name them, so their bytes tell when that has happened.
static void replaced_records_are_used_again_after_a_grace_period(void **state)
{
    (void)state;
    struct hot *hot = hot_new(100);
    struct hot_extra extra = {.not_before_ms = 1};
    struct hot_put request = sample_put(1, 1);
    request.extra = &extra;
    hot_put(hot, &request);
    uint64_t subject_bytes = figures(hot).subject_bytes;
    uint64_t record_bytes = figures(hot).record_bytes;
    for (unsigned i = 0; i < 100000; i++) {
        hot_put(hot, &request);
        if (i % 10000 != 0)
            continue;
        while (figures(hot).subject_bytes > subject_bytes) {
            hot_quiescent();
            hot_maintain(hot);
            sched_yield();
        }
    }
    assert_int_equal(figures(hot).record_bytes, record_bytes);
    hot_free(&hot);
}

// --- revisions -----------------------------------------------------------------------------------
static void an_older_revision_never_replaces_or_removes_a_newer_one(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    struct hot_put newer = sample_put(7, 20), older = sample_put(7, 19);
    newer.flags = KR_HOT_REVOKED;
    hot_put(hot, &newer);
    hot_put(hot, &older);
    assert_int_equal(find(hot, 7)->flags, KR_HOT_REVOKED);
    remove_key(hot, 7, 19);
    assert_non_null(find(hot, 7));
    newer.flags = KR_HOT_DISABLED;
    hot_put(hot, &newer);
    assert_int_equal(find(hot, 7)->flags, KR_HOT_DISABLED);
    remove_key(hot, 7, 20);
    assert_null(find(hot, 7));
    hot_free(&hot);
}

static void two_keys_that_begin_alike_share_a_record_that_says_so(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    struct hot_put one = sample_put(7, 20), other = sample_put(7, 19);
    other.id[0] ^= 1;
    other.flags = KR_HOT_CUSTOM;
    other.digest[KR_HOT_DIGEST_BYTES] ^= 1;
    hot_put(hot, &one);
    hot_put(hot, &other); // older, and yet not to be lost
    assert_int_equal(find(hot, 7)->flags, KR_HOT_CUSTOM | KR_HOT_SHARED);
    one.revision = 30;
    hot_put(hot, &one);
    assert_int_equal(find(hot, 7)->flags, KR_HOT_CUSTOM | KR_HOT_SHARED);
    assert_int_equal(figures(hot).custom_keys, 1);
    remove_key(hot, 7, 40); // one of them; the other is still there
    assert_int_equal(find(hot, 7)->flags, KR_HOT_CUSTOM | KR_HOT_SHARED);
    hot_free(&hot);
}

static void a_late_put_does_not_bring_back_what_was_removed_while_loading(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    hot_loading_begin(hot);
    put(hot, 1, 5);
    remove_key(hot, 1, 9);
    remove_key(hot, 2, 9);
    put(hot, 1, 5);
    put(hot, 2, 8);
    put(hot, 3, 8);
    assert_null(find(hot, 1));
    assert_null(find(hot, 2));
    assert_non_null(find(hot, 3));
    assert_int_equal(figures(hot).keys, 1);
    put(hot, 2, 12); // created again, later
    assert_non_null(find(hot, 2));
    hot_loading_end(hot);
    maintain(hot);
    assert_null(find(hot, 1));
    assert_non_null(find(hot, 2));
    assert_int_equal(figures(hot).keys, 2);
    put(hot, 1, 5); // nothing remembers it now
    assert_non_null(find(hot, 1));
    hot_free(&hot);
}

static void removals_of_loading_are_forgotten_in_bounded_steps(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    hot_loading_begin(hot);
    for (uint64_t i = 0; i < 10000; i++)
        remove_key(hot, i, 9);
    for (uint64_t i = 0; i < 10000; i += 2)
        put(hot, i, 10);
    maintain(hot);
    hot_loading_end(hot);
    unsigned steps = 0;
    while (hot_maintain(hot))
        steps++;
    assert_true(steps >= 5);
    assert_int_equal(figures(hot).keys, 5000);
    for (uint64_t i = 0; i < 10000; i++)
        assert_true((find(hot, i) != NULL) == (i % 2 == 0));
    hot_free(&hot);
}

// --- many at once --------------------------------------------------------------------------------
static void any_number_is_put_and_found_at_once(void **state)
{
    (void)state;
    static struct hot_put puts[100];
    static uint64_t numbers[100];
    static struct bytes keys[100];
    static uint8_t digests[101][KR_DIGEST_SIZE], digest[KR_DIGEST_SIZE];
    for (size_t count = 0; count <= 100; count++) {
        struct hot *hot = hot_new(0);
        const struct hot_record *records[101];
        for (size_t i = 0; i < count; i++) {
            puts[i] = sample_put(i, 1);
            numbers[i] = i % 3 == 0 ? i + 1000 : i;
            keys[i] = sample_key(&numbers[i]);
        }
        records[count] = (const struct hot_record *)puts;
        memset(digests[count], 0x5a, KR_DIGEST_SIZE);
        hot_put_many(hot, puts, count);
        assert_int_equal(figures(hot).keys, count);
        hot_find_many(hot, keys, count, digests, records);
        for (size_t i = 0; i < count; i++) {
            sample_digest(numbers[i], digest);
            assert_memory_equal(digests[i], digest, KR_DIGEST_SIZE);
            assert_true(i % 3 == 0 ? records[i] == NULL : sample_is_sound(records[i], digest));
        }
        assert_ptr_equal(records[count], puts);
        assert_int_equal(digests[count][0], 0x5a);
        hot_free(&hot);
    }
}

// --- visits and uses -----------------------------------------------------------------------------
struct visited {
    unsigned times[3000];
};

static void note_visit(void *ctx, const struct hot_record *record)
{
    struct visited *visited = ctx;
    assert_true(record->number < 3000);
    visited->times[record->number]++;
}

static void put_numbered(struct hot *hot, uint64_t number)
{
    struct hot_put request = sample_put(number, 1);
    request.subject = (uint32_t)number;
    hot_put(hot, &request);
}

static void a_visit_sees_every_key_once_while_the_table_grows(void **state)
{
    (void)state;
    static struct visited visited;
    memset(&visited, 0, sizeof(visited));
    struct hot *hot = hot_new(0);
    for (uint64_t i = 0; i < 2000; i++)
        put_numbered(hot, i);
    for (uint64_t i = 0; i < 2000; i += 5)
        remove_key(hot, i, 2);
    uint64_t position = 0;
    uint64_t added = 2000;
    while (hot_visit(hot, &position, 7, note_visit, &visited))
        if (added < 3000)
            put_numbered(hot, added++);
    for (uint64_t i = 0; i < 2000; i++)
        assert_int_equal(visited.times[i], i % 5 == 0 ? 0 : 1);
    hot_free(&hot);
}

static void a_visit_leaves_out_remembered_removals(void **state)
{
    (void)state;
    static struct visited visited;
    memset(&visited, 0, sizeof(visited));
    struct hot *hot = hot_new(0);
    hot_loading_begin(hot);
    put_numbered(hot, 1);
    put_numbered(hot, 2);
    remove_key(hot, 1, 2);
    uint64_t position = 0;
    assert_false(hot_visit(hot, &position, SIZE_MAX, note_visit, &visited));
    assert_int_equal(visited.times[1], 0);
    assert_int_equal(visited.times[2], 1);
    hot_free(&hot);
}

static void a_use_is_noted_and_outlives_a_change_of_the_key(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    put(hot, 1, 1);
    assert_int_equal(find(hot, 1)->last_used_min, 0);
    hot_note_used(find(hot, 1), 500);
    hot_note_used(find(hot, 1), 499);
    put(hot, 1, 2);
    assert_int_equal(find(hot, 1)->last_used_min, 500);
    hot_note_used(find(hot, 1), 501);
    assert_int_equal(find(hot, 1)->last_used_min, 501);
    hot_free(&hot);
}

// --- what a record says --------------------------------------------------------------------------
static void custom_keys_are_counted(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    assert_false(hot_has_custom(hot));
    struct hot_put request = sample_put(1, 1);
    request.flags = KR_HOT_CUSTOM;
    hot_put(hot, &request);
    put(hot, 2, 1);
    request.revision = 2;
    hot_put(hot, &request);
    assert_true(hot_has_custom(hot));
    assert_int_equal(figures(hot).custom_keys, 1);
    remove_key(hot, 1, 3);
    assert_false(hot_has_custom(hot));
    hot_free(&hot);
}

static void an_extra_is_copied_and_goes_with_its_key(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    char scope[] = "read";
    const char *scopes[] = {scope, "orders:write"};
    struct cidr blocks[2];
    assert_true(cidr_parse(bytes_text("10.0.0.0/8"), &blocks[0]));
    assert_true(cidr_parse(bytes_text("2001:db8::/32"), &blocks[1]));
    struct cidr first = blocks[0];
    struct hot_extra extra = {.subject = 99,
                              .not_before_ms = 1234,
                              .scopes = {scopes, 2},
                              .ip_allow = blocks,
                              .ip_allow_count = 2};
    struct hot_put request = sample_put(1, 1);
    request.subject = 5;
    request.extra = &extra;
    hot_put(hot, &request);
    memset(scope, 'x', 4);
    memset(blocks, 0, sizeof(blocks));
    const struct hot_extra *found = hot_record_extra(hot, find(hot, 1));
    assert_int_equal(found->subject, 5);
    assert_int_equal(found->not_before_ms, 1234);
    assert_int_equal(found->scopes.count, 2);
    assert_string_equal(found->scopes.items[0], "read");
    assert_string_equal(found->scopes.items[1], "orders:write");
    assert_int_equal(found->ip_allow_count, 2);
    assert_memory_equal(&found->ip_allow[0], &first, sizeof(first));
    put(hot, 1, 2);
    assert_null(hot_record_extra(hot, find(hot, 1)));
    hot_free(&hot);
}

static void the_caller_cannot_set_the_tables_own_flags(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    struct hot_put request = sample_put(1, 1);
    request.flags = UINT16_MAX;
    hot_put(hot, &request);
    assert_int_equal(find(hot, 1)->flags, KR_HOT_REVOKED | KR_HOT_DISABLED | KR_HOT_CUSTOM);
    hot_free(&hot);
}

static void freeing_clears_the_callers_pointer_and_takes_null(void **state)
{
    (void)state;
    struct hot *hot = NULL;
    hot_free(&hot);
    assert_null(hot);
}

static int set_up(void **state)
{
    (void)state;
    rand_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_leave_what_a_plain_map_holds),
        cmocka_unit_test(the_table_grows_by_steps_and_stays_below_its_load),
        cmocka_unit_test(an_expected_number_of_keys_fits_without_growth),
        cmocka_unit_test(churn_does_not_make_the_table_larger),
        cmocka_unit_test(replaced_records_are_used_again_after_a_grace_period),
        cmocka_unit_test(an_older_revision_never_replaces_or_removes_a_newer_one),
        cmocka_unit_test(two_keys_that_begin_alike_share_a_record_that_says_so),
        cmocka_unit_test(a_late_put_does_not_bring_back_what_was_removed_while_loading),
        cmocka_unit_test(removals_of_loading_are_forgotten_in_bounded_steps),
        cmocka_unit_test(any_number_is_put_and_found_at_once),
        cmocka_unit_test(a_visit_sees_every_key_once_while_the_table_grows),
        cmocka_unit_test(a_visit_leaves_out_remembered_removals),
        cmocka_unit_test(a_use_is_noted_and_outlives_a_change_of_the_key),
        cmocka_unit_test(custom_keys_are_counted),
        cmocka_unit_test(an_extra_is_copied_and_goes_with_its_key),
        cmocka_unit_test(the_caller_cannot_set_the_tables_own_flags),
        cmocka_unit_test(freeing_clears_the_callers_pointer_and_takes_null),
    };
    hot_thread_register();
    int failed = cmocka_run_group_tests_name("core/store/hot", tests, set_up, NULL);
    hot_thread_unregister();
    return failed;
}
