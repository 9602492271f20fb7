// SPDX-License-Identifier: Apache-2.0
// Subjects and buckets of the hot table: what is rendered, how they are found, what replaces what.
#include "core/store/hot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/base/rand.h"
#include "tests/unit/core/store/hot_sample.h"

static const struct bucket production = {.id = "bckt_000000000000000000000001",
                                         .name = "production",
                                         .environment = KR_ENV_PRODUCTION,
                                         .max_staleness_ms = 60000,
                                         .revision = 1};

static const struct consumer acme = {.id = "csmr_0000000000000000000000Ab",
                                     .bucket_id = "bckt_000000000000000000000001",
                                     .name = "acme",
                                     .metadata = "{\"plan\":\"gold\"}",
                                     .revision = 2};

static const struct hot_subject *subject_of(struct hot *hot, uint32_t number)
{
    struct hot_put request = sample_put(number, 1);
    request.subject = number;
    hot_put(hot, &request);
    return hot_record_holder(hot, hot_find(hot, request.digest)).subject;
}

static struct hot_figures figures(const struct hot *hot)
{
    struct hot_figures out;
    hot_figures(hot, &out);
    return out;
}

static const struct hot_bucket *named(const struct hot *hot, const char *name)
{
    return hot_bucket_named(hot, bytes_text(name));
}

// --- subjects ------------------------------------------------------------------------------------
static void assert_slice(const struct hot_subject *subject, size_t at, size_t size,
                         const char *expected)
{
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(subject->texts + at, expected, size);
}

static void assert_is_acme(const struct hot_subject *subject)
{
    assert_slice(subject, 0, subject->json_size,
                 "\"sub\":\"acme\",\"data\":{\"plan\":\"gold\"},"
                 "\"consumer\":{\"id\":\"csmr_0000000000000000000000Ab\",\"name\":\"acme\"},"
                 "\"bucket\":\"production\",\"environment\":\"production\"");
    assert_slice(subject, subject->id_at, subject->id_size, acme.id);
    assert_slice(subject, subject->name_at, subject->name_size, "acme");
    assert_slice(subject, subject->data_at, subject->data_size, "{\"plan\":\"gold\"}");
    assert_slice(subject, subject->json_size, subject->header_size, "eyJwbGFuIjoiZ29sZCJ9");
}

static void a_subject_is_rendered_with_its_slices(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    uint32_t bucket = hot_put_bucket(hot, &production);
    const struct hot_subject *subject = subject_of(hot, hot_put_subject(hot, &acme, &production));
    assert_is_acme(subject);
    assert_int_equal(subject->bucket, bucket);
    assert_int_equal(subject->revision, 2);
    hot_free(&hot);
}

static void a_subject_outside_the_table_is_the_same_without_a_bucket_number(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct hot_subject *subject = hot_render_subject(&acme, &production, &arena);
    assert_is_acme(subject);
    assert_int_equal(subject->bucket, UINT32_MAX);
    arena_fini(&arena);
}

static void unset_metadata_is_an_empty_object(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct consumer plain = acme;
    plain.metadata = NULL;
    struct hot_subject *subject = hot_render_subject(&plain, &production, &arena);
    assert_slice(subject, subject->data_at, subject->data_size, "{}");
    assert_slice(subject, subject->json_size, subject->header_size, "e30");
    arena_fini(&arena);
}

static void the_longest_metadata_and_names_fit(void **state)
{
    (void)state;
    static char metadata[16385], name[129];
    struct arena arena;
    memset(metadata, '7', sizeof(metadata) - 1);
    memset(name, 'n', sizeof(name) - 1);
    struct consumer longest = acme;
    longest.metadata = metadata;
    longest.name = name;
    arena_init(&arena);
    struct hot_subject *subject = hot_render_subject(&longest, &production, &arena);
    assert_slice(subject, subject->id_at, subject->id_size, acme.id);
    assert_slice(subject, subject->data_at, subject->data_size, metadata);
    arena_fini(&arena);
}

static void a_subject_keeps_its_number_when_it_changes(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    uint32_t number = hot_put_subject(hot, &acme, &production);
    struct consumer changed = acme;
    changed.metadata = "{}";
    changed.revision = 5;
    changed.revocation.last.before = 5;
    assert_int_equal(hot_put_subject(hot, &changed, &production), number);
    assert_int_equal(hot_put_subject(hot, &acme, &production), number); // older: ignored
    const struct hot_subject *subject = subject_of(hot, number);
    assert_int_equal(subject->revision, 5);
    assert_int_equal(subject->revoked_before, 5);
    assert_slice(subject, subject->data_at, subject->data_size, "{}");
    assert_int_equal(figures(hot).subjects, 1);
    hot_free(&hot);
}

static void an_extra_leads_to_the_subject(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    struct hot_extra extra = {.not_before_ms = 1};
    struct hot_put request = sample_put(1, 1);
    request.subject = hot_put_subject(hot, &acme, &production);
    request.extra = &extra;
    hot_put(hot, &request);
    assert_is_acme(hot_record_holder(hot, hot_find(hot, request.digest)).subject);
    hot_free(&hot);
}

static void a_removed_subject_is_unknown_and_its_number_stays_unused(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    uint32_t number = hot_put_subject(hot, &acme, &production), again = 0;
    hot_remove_subject(hot, acme.id, 1); // older
    assert_true(hot_subject_number(hot, bytes_text(acme.id), &again));
    assert_int_equal(again, number);
    hot_remove_subject(hot, acme.id, 3);
    hot_remove_subject(hot, acme.id, 4);
    assert_false(hot_subject_number(hot, bytes_text(acme.id), &again));
    assert_null(subject_of(hot, number));
    assert_int_equal(figures(hot).subjects, 0);
    assert_int_not_equal(hot_put_subject(hot, &acme, &production), number);
    assert_null(subject_of(hot, number));
    hot_free(&hot);
}

static void a_subject_removed_while_loading_does_not_come_back(void **state)
{
    (void)state;
    static const char other[] = "csmr_0000000000000000000000Cd";
    struct hot *hot = hot_new(0);
    uint32_t number = 0;
    hot_loading_begin(hot);
    hot_put_subject(hot, &acme, &production);
    hot_remove_subject(hot, acme.id, 9);
    hot_remove_subject(hot, other, 9); // not loaded yet
    struct consumer late = acme;
    late.id = other;
    assert_null(subject_of(hot, hot_put_subject(hot, &acme, &production)));
    assert_null(subject_of(hot, hot_put_subject(hot, &late, &production)));
    assert_true(hot_subject_number(hot, bytes_text(other), &number)); // a late key may name it
    assert_int_equal(figures(hot).subjects, 0);
    hot_loading_end(hot);
    while (hot_maintain(hot)) {
    }
    assert_false(hot_subject_number(hot, bytes_text(other), &number));
    assert_false(hot_subject_number(hot, bytes_text(acme.id), &number));
    hot_free(&hot);
}

static void id_of(char id[KR_ID_SIZE], const char *type, unsigned number)
{
    snprintf(id, KR_ID_SIZE, "%s_%024u", type, number);
}

static void many_subjects_are_found_by_id_while_others_go(void **state)
{
    (void)state;
    enum { SUBJECTS = 40000 };
    static uint32_t numbers[SUBJECTS];
    struct hot *hot = hot_new(0);
    char id[KR_ID_SIZE];
    struct consumer consumer = acme;
    consumer.id = id;
    for (unsigned i = 0; i < SUBJECTS; i++) {
        id_of(id, "csmr", i);
        numbers[i] = hot_put_subject(hot, &consumer, &production);
    }
    for (unsigned i = 0; i < SUBJECTS; i += 3) {
        id_of(id, "csmr", i);
        hot_remove_subject(hot, id, 3);
    }
    for (unsigned i = 0; i < SUBJECTS; i++) {
        uint32_t number = 0;
        id_of(id, "csmr", i);
        bool is_known = hot_subject_number(hot, bytes_text(id), &number);
        assert_true(is_known == (i % 3 != 0));
        assert_true(!is_known || number == numbers[i]);
        assert_true(is_known == (hot_subject_of(hot, bytes_text(id)) != NULL));
    }
    assert_int_equal(figures(hot).subjects, SUBJECTS - (SUBJECTS + 2) / 3);
    hot_free(&hot);
}

static void subjects_are_found_many_at_a_time(void **state)
{
    (void)state;
    enum { SUBJECTS = 5000 };
    static char texts[SUBJECTS][KR_ID_SIZE];
    static struct bytes ids[SUBJECTS];
    static uint32_t numbers[SUBJECTS], found[SUBJECTS];
    struct hot *hot = hot_new(0);
    struct consumer consumer = acme;
    for (unsigned i = 0; i < SUBJECTS; i++) {
        id_of(texts[i], "csmr", i);
        ids[i] = bytes_text(texts[i]);
    }
    hot_subject_numbers(hot, ids, SUBJECTS, found); // of an empty table
    assert_int_equal(found[SUBJECTS - 1], KR_HOT_NO_SUBJECT);
    for (unsigned i = 0; i < SUBJECTS; i += 2) {
        consumer.id = texts[i];
        numbers[i] = hot_put_subject(hot, &consumer, &production);
    }
    for (size_t count = 0; count < 40; count++) {
        found[count] = 12345;
        hot_subject_numbers(hot, ids, count, found);
        assert_int_equal(found[count], 12345);
    }
    hot_subject_numbers(hot, ids, SUBJECTS, found);
    for (unsigned i = 0; i < SUBJECTS; i++)
        assert_int_equal(found[i], i % 2 == 0 ? numbers[i] : KR_HOT_NO_SUBJECT);
    hot_free(&hot);
}

// --- buckets -------------------------------------------------------------------------------------
static void a_bucket_is_found_by_number_name_and_id(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    uint32_t number = hot_put_bucket(hot, &production);
    const struct hot_bucket *bucket = hot_bucket_at(hot, number);
    assert_int_equal(bucket->number, number);
    assert_string_equal(bucket->id, production.id);
    assert_string_equal(bucket->name, "production");
    assert_int_equal(bucket->environment, KR_ENV_PRODUCTION);
    assert_int_equal(bucket->max_staleness_ms, 60000);
    assert_false(bucket->is_system);
    assert_ptr_equal(named(hot, "production"), bucket);
    assert_ptr_equal(named(hot, production.id), bucket);
    assert_null(named(hot, "productio"));
    assert_null(named(hot, "productions"));
    assert_null(named(hot, ""));
    assert_null(hot_bucket_at(hot, number + 1));
    assert_null(hot_bucket_at(hot, UINT32_MAX));
    assert_int_equal(figures(hot).buckets, 1);
    hot_free(&hot);
}

static void a_changed_bucket_keeps_its_number_and_drops_its_old_name(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    uint32_t number = hot_put_bucket(hot, &production);
    struct bucket changed = production;
    changed.name = "live";
    changed.revision = 4;
    changed.revocation.last.before = 4;
    assert_int_equal(hot_put_bucket(hot, &changed), number);
    assert_int_equal(hot_put_bucket(hot, &production), number); // older: ignored
    assert_null(named(hot, "production"));
    assert_int_equal(named(hot, "live")->number, number);
    assert_int_equal(named(hot, production.id)->revoked_before, 4);
    assert_int_equal(figures(hot).buckets, 1);
    hot_free(&hot);
}

static void a_deleted_bucket_is_known_by_number_but_its_name_is_free(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    uint32_t number = hot_put_bucket(hot, &production);
    struct bucket deleted = production, successor = production;
    deleted.is_deleted = true;
    deleted.revision = deleted.revocation.last.before = 3;
    assert_int_equal(hot_put_bucket(hot, &deleted), number);
    assert_null(named(hot, "production"));
    assert_null(named(hot, production.id));
    assert_int_equal(hot_bucket_at(hot, number)->revoked_before, 3);
    successor.id = "bckt_000000000000000000000002";
    successor.revision = 4;
    uint32_t next = hot_put_bucket(hot, &successor);
    assert_int_not_equal(next, number);
    assert_int_equal(named(hot, "production")->number, next);
    hot_remove_bucket(hot, production.id, 5);
    assert_null(hot_bucket_at(hot, number));
    assert_int_equal(named(hot, "production")->number, next);
    hot_free(&hot);
}

static void a_bucket_removed_while_loading_does_not_come_back(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    hot_loading_begin(hot);
    hot_remove_bucket(hot, production.id, 9);
    uint32_t number = hot_put_bucket(hot, &production);
    assert_null(hot_bucket_at(hot, number));
    assert_null(named(hot, "production"));
    const struct hot_subject *subject = subject_of(hot, hot_put_subject(hot, &acme, &production));
    assert_int_equal(subject->bucket, number);
    hot_loading_end(hot);
    while (hot_maintain(hot)) {
    }
    assert_null(hot_bucket_at(hot, number));
    assert_int_equal(figures(hot).buckets, 0);
    assert_int_not_equal(hot_put_bucket(hot, &production), number);
    hot_free(&hot);
}

static void a_subject_of_an_unknown_bucket_brings_it_along(void **state)
{
    (void)state;
    struct hot *hot = hot_new(0);
    const struct hot_subject *subject = subject_of(hot, hot_put_subject(hot, &acme, &production));
    assert_int_equal(named(hot, "production")->number, subject->bucket);
    hot_free(&hot);
}

static void a_hundred_thousand_buckets_are_found_by_name_and_id(void **state)
{
    (void)state;
    enum { BUCKETS = 100000 };
    struct hot *hot = hot_new(0);
    char id[KR_ID_SIZE], name[32];
    struct bucket bucket = production;
    bucket.id = id;
    bucket.name = name;
    for (unsigned i = 0; i < BUCKETS; i++) {
        id_of(id, "bckt", i);
        snprintf(name, sizeof(name), "bucket-%u", i);
        assert_int_equal(hot_put_bucket(hot, &bucket), i);
    }
    for (unsigned i = 0; i < BUCKETS; i += 2) {
        id_of(id, "bckt", i);
        hot_remove_bucket(hot, id, 2);
    }
    for (unsigned i = 0; i < BUCKETS; i++) {
        id_of(id, "bckt", i);
        snprintf(name, sizeof(name), "bucket-%u", i);
        assert_true((named(hot, name) != NULL) == (i % 2 == 1));
        assert_ptr_equal(named(hot, name), named(hot, id));
        assert_true(named(hot, name) == NULL || named(hot, name)->number == i);
    }
    hot_free(&hot);
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
        cmocka_unit_test(a_subject_is_rendered_with_its_slices),
        cmocka_unit_test(a_subject_outside_the_table_is_the_same_without_a_bucket_number),
        cmocka_unit_test(unset_metadata_is_an_empty_object),
        cmocka_unit_test(the_longest_metadata_and_names_fit),
        cmocka_unit_test(a_subject_keeps_its_number_when_it_changes),
        cmocka_unit_test(an_extra_leads_to_the_subject),
        cmocka_unit_test(a_removed_subject_is_unknown_and_its_number_stays_unused),
        cmocka_unit_test(a_subject_removed_while_loading_does_not_come_back),
        cmocka_unit_test(many_subjects_are_found_by_id_while_others_go),
        cmocka_unit_test(subjects_are_found_many_at_a_time),
        cmocka_unit_test(a_bucket_is_found_by_number_name_and_id),
        cmocka_unit_test(a_changed_bucket_keeps_its_number_and_drops_its_old_name),
        cmocka_unit_test(a_deleted_bucket_is_known_by_number_but_its_name_is_free),
        cmocka_unit_test(a_bucket_removed_while_loading_does_not_come_back),
        cmocka_unit_test(a_subject_of_an_unknown_bucket_brings_it_along),
        cmocka_unit_test(a_hundred_thousand_buckets_are_found_by_name_and_id),
    };
    return cmocka_run_group_tests_name("core/store/hot_subject", tests, set_up, NULL);
}
