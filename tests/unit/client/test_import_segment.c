// SPDX-License-Identifier: Apache-2.0
// Segments of an import: requests by bucket, their answers, the report.
#include "client/import_segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static struct import_segment segment;

static void add(const char *bucket, uint64_t line, const char *row)
{
    import_segment_add(&segment, bucket, line, bytes_text(row));
    segment.line_count++;
}

static struct import_group *group_of(const char *bucket, enum import_group_state state)
{
    for (struct import_group *group = segment.groups; group != NULL; group = group->next)
        if (strcmp(group->bucket, bucket) == 0 && group->state == state)
            return group;
    fail_msg("there is no such group");
    return NULL;
}

static void assert_body(const struct import_group *group, const char *text)
{
    assert_int_equal(group->body.size, strlen(text));
    assert_memory_equal(group->body.data, text, group->body.size);
}

static void assert_report(const char *text)
{
    struct buf out;
    buf_init(&out, (size_t)1 << 16);
    import_segment_add_report(&segment, &out);
    buf_add_u8(&out, '\0');
    assert_string_equal((const char *)out.data, text);
    buf_fini(&out);
}

static bool take(struct import_group *group, const char *answer)
{
    return import_group_take(group, bytes_text(answer));
}

static void rows_gather_by_bucket(void **state)
{
    (void)state;
    add("bbb", 1, "{1}");
    add("ccc", 2, "{2}");
    add("bbb", 3, "{3}");
    import_segment_seal(&segment);
    assert_int_equal(segment.group_count, 2);
    assert_body(group_of("bbb", KR_GROUP_READY), "{\"rows\":[{1},{3}]}");
    assert_body(group_of("ccc", KR_GROUP_READY), "{\"rows\":[{2}]}");
}

static void it_is_full_by_rows_lines_buckets_or_bytes(void **state)
{
    char bucket[16];
    static char row[KR_IMPORT_LINE_MAX + 1];
    (void)state;
    add("bbb", 1, "{}");
    assert_false(import_segment_is_full(&segment, 2));
    add("bbb", 2, "{}");
    assert_true(import_segment_is_full(&segment, 2));
    assert_false(import_segment_is_full(&segment, 3));
    segment.line_count = 3 * 8;
    assert_true(import_segment_is_full(&segment, 3));
    segment.line_count = 0;
    for (unsigned i = 1; i < KR_SEGMENT_BUCKETS_MAX; i++) {
        assert_false(import_segment_is_full(&segment, 1000));
        snprintf(bucket, sizeof(bucket), "bucket-%u", i);
        add(bucket, 2 + i, "{}");
    }
    assert_true(import_segment_is_full(&segment, 1000));
    import_segment_fini(&segment);
    import_segment_init(&segment);
    memset(row, 'x', KR_IMPORT_LINE_MAX);
    for (unsigned i = 0; !import_segment_is_full(&segment, 1000); i++)
        import_segment_add(&segment, "bbb", i, bytes_text(row));
    assert_true(segment.groups->body.size < (size_t)16 << 20);
    import_segment_seal(&segment);
}

static void an_answer_is_counted_and_its_refusals_reported_by_line(void **state)
{
    (void)state;
    import_segment_refuse(&segment, 8, "not JSON");
    add("bbb", 5, "{5}");
    add("bbb", 6, "{6}");
    add("bbb", 9, "{9}");
    import_segment_seal(&segment);
    struct import_group *group = group_of("bbb", KR_GROUP_READY);
    assert_false(import_segment_is_done(&segment));
    assert_true(take(group, "{\"imported\":1,\"existing\":0,\"refused\":["
                            "{\"row\":2,\"detail\":\"late\"},{\"row\":0,\"detail\":\"early\"}]}"));
    assert_true(import_segment_is_done(&segment));
    assert_int_equal(segment.imported, 1);
    assert_int_equal(segment.refusal_count, 3);
    assert_report("{\"line\":5,\"detail\":\"early\"}\n{\"line\":8,\"detail\":\"not JSON\"}\n"
                  "{\"line\":9,\"detail\":\"late\"}\n");
}

static void an_answer_that_does_not_add_up_changes_nothing(void **state)
{
    static const char *const answers[] = {
        "",
        "[]",
        "{}",
        "{\"imported\":2,\"existing\":0}",
        "{\"imported\":1,\"existing\":0,\"refused\":[]}",
        "{\"imported\":3,\"existing\":-1,\"refused\":[]}",
        "{\"imported\":1,\"existing\":0,\"refused\":[{\"row\":2}]}",
        "{\"imported\":1,\"existing\":0,\"refused\":[{\"detail\":\"x\"}]}",
        "{\"imported\":1,\"existing\":0,\"refused\":[7]}",
    };
    (void)state;
    add("bbb", 1, "{1}");
    add("bbb", 2, "{2}");
    import_segment_seal(&segment);
    struct import_group *group = group_of("bbb", KR_GROUP_READY);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        assert_false(take(group, answers[i]));
        assert_int_equal(segment.imported + segment.existing + segment.refusal_count, 0);
        assert_false(import_segment_is_done(&segment));
    }
}

static void a_request_refused_whole_is_halved_until_the_row_is_found(void **state)
{
    (void)state;
    add("bbb", 1, "{1}");
    add("bbb", 2, "{22}");
    add("bbb", 3, "{333}");
    import_segment_seal(&segment);
    import_group_divide(group_of("bbb", KR_GROUP_READY), "spoilt");
    struct import_group *second = group_of("bbb", KR_GROUP_READY);
    assert_body(second, "{\"rows\":[{22},{333}]}");
    assert_body(second->next, "{\"rows\":[{1}]}");
    assert_true(take(second->next, "{\"imported\":1,\"existing\":0,\"refused\":[]}"));
    import_group_divide(second, "spoilt");
    struct import_group *last = group_of("bbb", KR_GROUP_READY);
    assert_body(last, "{\"rows\":[{333}]}");
    import_group_divide(last, "spoilt");
    assert_true(
        take(group_of("bbb", KR_GROUP_READY), "{\"imported\":0,\"existing\":1,\"refused\":[]}"));
    assert_true(import_segment_is_done(&segment));
    assert_int_equal(segment.imported, 1);
    assert_int_equal(segment.existing, 1);
    assert_report("{\"line\":3,\"detail\":\"spoilt\"}\n");
}

static int setup(void **state)
{
    (void)state;
    import_segment_init(&segment);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    import_segment_fini(&segment);
    return 0;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(rows_gather_by_bucket),
        T(it_is_full_by_rows_lines_buckets_or_bytes),
        T(an_answer_is_counted_and_its_refusals_reported_by_line),
        T(an_answer_that_does_not_add_up_changes_nothing),
        T(a_request_refused_whole_is_halved_until_the_row_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
