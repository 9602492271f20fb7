// SPDX-License-Identifier: Apache-2.0
// Result rows: what a reader finds in them, the targets beside them, and the file they go to.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/result.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/mem.h"

enum { KR_LIMIT = 1 << 24 };

static char subcommand[] = "write", option[] = "--consumer", named[] = "it's a $name";
static char *arguments[] = {subcommand, option, named};

struct open_run {
    struct result_run run;
    struct fault fault;
};

static void open_run(struct open_run *open, const char *directory)
{
    memset(open, 0, sizeof(*open));
    open->run.is_json = directory == NULL;
    open->run.directory = directory;
    open->run.seed = 7;
    assert_int_equal(result_open(&open->run, 3, arguments, &open->fault), KR_ERR_OK);
}

static struct json *render(const struct result_row *row)
{
    struct open_run open;
    struct json *json = NULL;
    struct buf out;
    open_run(&open, NULL);
    buf_init(&out, KR_LIMIT);
    result_render(&open.run, row, &out);
    assert_int_equal(out.data[out.size - 1], '\n');
    assert_null(memchr(out.data, '\n', out.size - 1));
    assert_int_equal(json_parse(buf_bytes(&out), &json, &open.fault), KR_ERR_OK);
    buf_fini(&out);
    assert_int_equal(result_close(&open.run, KR_ERR_OK), KR_ERR_OK);
    return json;
}

static const char *text_of(const struct json *json, const char *name)
{
    const struct json *member = json_member(json, name);
    return member != NULL && json_type_of(member) == KR_JSON_STRING ? json_text(member) : "";
}

static double stat_of(const struct json *json, const char *name)
{
    return json_double(json_member(json_member(json, "stats"), name));
}

static void a_row_says_what_was_measured_and_how(void **state)
{
    (void)state;
    const double values[] = {30, NAN, 10, 20};
    const struct result_row row = {.name = "write.cpu",
                                   .label = "processor time a write",
                                   .region = "eu-west",
                                   .unit = "us",
                                   .conditions = {{"keys", 1000, NULL}, {"engine", 0, "local"}},
                                   .values = values,
                                   .count = 4};
    struct json *json = render(&row);
    assert_string_equal(text_of(json, "name"), "write.cpu");
    assert_string_equal(text_of(json, "system"), "keyreeve");
    assert_string_equal(text_of(json, "region"), "eu-west");
    assert_string_equal(text_of(json, "command"),
                        "keyreeve-bench write --consumer 'it'\\''s a $name'");
    assert_string_equal(text_of(json, "version"), KR_VERSION);
    assert_int_equal(json_int64(json_member(json, "seed")), 7);
    assert_null(json_member(json, "id")); // nobody has set a target for it
    assert_string_equal(text_of(json_member(json, "conditions"), "engine"), "local");
    assert_int_equal(stat_of(json, "count"), 3);
    assert_int_equal(stat_of(json, "min"), 10);
    assert_int_equal(stat_of(json, "p50"), 20);
    assert_int_equal(stat_of(json, "max"), 30);
    assert_int_equal(stat_of(json, "mean"), 20);
    const struct json *written = json_member(json, "values");
    assert_int_equal(json_size(written), 4);
    assert_int_equal(json_type_of(json_at(written, 1)), KR_JSON_NULL);
    assert_true(json_double(json_member(json, "load1")) >= 0);
    const struct json *machine = json_member(json, "machine");
    assert_true(json_int64(json_member(machine, "cores")) > 0);
    assert_true(json_int64(json_member(machine, "memoryBytes")) > 0);
    assert_string_not_equal(text_of(machine, "cpu"), "");
    assert_string_not_equal(text_of(machine, "filesystem"), "unknown");
    json_free(&json);
}

static void statistics_of_an_even_number_of_values(void **state)
{
    (void)state;
    double values[1000];
    for (size_t i = 0; i < 1000; i++)
        values[i] = (double)(1000 - i);
    const struct result_row row = {.name = "x", .unit = "ms", .values = values, .count = 1000};
    struct json *json = render(&row);
    assert_true(stat_of(json, "p50") == 500.5);
    assert_int_equal(stat_of(json, "p90"), 900);
    assert_int_equal(stat_of(json, "p99"), 990);
    assert_int_equal(stat_of(json, "p999"), 999);
    assert_int_equal(stat_of(json, "max"), 1000);
    json_free(&json);
}

// The bins alone give every percentile of the row again.
static double percentile_of_bins(const struct json *bins, double count, double share)
{
    double seen = 0, value = 0;
    for (size_t i = 0; i < json_size(bins) && seen < share * count; i++) {
        value = json_double(json_at(json_at(bins, i), 0));
        seen += json_double(json_at(json_at(bins, i), 1));
    }
    return value;
}

static void a_histogram_is_written_whole(void **state)
{
    (void)state;
    struct histogram *histogram = mem_zalloc(sizeof(*histogram));
    for (uint64_t i = 1; i <= 20000; i++)
        histogram_record(histogram, i * i);
    histogram_record(histogram, UINT64_C(1) << 50); // beyond its range: the maximum is kept
    const struct result_row row = {.name = "x", .unit = "us", .histogram = histogram};
    struct json *json = render(&row);
    const struct json *bins = json_member(json, "histogram");
    double count = 0;
    for (size_t i = 0; i < json_size(bins); i++)
        count += json_double(json_at(json_at(bins, i), 1));
    assert_int_equal(count, 20001);
    assert_int_equal(stat_of(json, "count"), 20001);
    assert_true(stat_of(json, "p50") == percentile_of_bins(bins, count, 0.5));
    assert_true(stat_of(json, "p999") == percentile_of_bins(bins, count, 0.999));
    assert_true(stat_of(json, "max") == percentile_of_bins(bins, count, 1));
    json_free(&json);
    mem_free(histogram);
}

static void a_target_comes_with_its_ratio(void **state)
{
    (void)state;
    const double rate = 10500000;
    struct result_row row = {.name = "hot.batch",
                             .unit = "1/s",
                             .conditions = {{"keys", 1000, NULL}},
                             .values = &rate,
                             .count = 1};
    struct json *json = render(&row);
    const struct json *target = json_member(json, "target");
    assert_string_equal(text_of(json, "id"), "P1");
    assert_int_equal(json_double(json_member(target, "atLeast")), 7000000);
    assert_string_equal(text_of(target, "stat"), "p50");
    assert_int_equal(json_int64(json_member(json_member(target, "at"), "keys")), 10000000);
    assert_true(json_double(json_member(json, "ratio")) == 1.5);
    json_free(&json);

    row.system = "redis"; // a yardstick has no target
    json = render(&row);
    assert_null(json_member(json, "id"));
    json_free(&json);
}

static void a_target_is_chosen_by_its_conditions(void **state)
{
    (void)state;
    const double rate = 40000;
    struct result_row row = {.name = "write.many",
                             .unit = "1/s",
                             .conditions = {{"engine", 0, "etcd"}},
                             .values = &rate,
                             .count = 1};
    struct json *json = render(&row);
    assert_true(json_double(json_member(json, "ratio")) == 2);
    json_free(&json);
    row.conditions[0].text = "local";
    json = render(&row);
    assert_true(json_double(json_member(json, "ratio")) == 0.8);
    json_free(&json);
    row.conditions[0].text = "other";
    json = render(&row);
    assert_null(json_member(json, "ratio"));
    json_free(&json);
}

static void a_target_is_told_in_words(void **state)
{
    (void)state;
    struct open_run open;
    char target[32];
    struct result_row row = {.name = "serve.ratio",
                             .unit = "ratio",
                             .conditions = {{"beside", 0, "empty"},
                                            {"zipf", 0.99, NULL},
                                            {"keys", 1000000, NULL},
                                            {"connections", 64, NULL}}};
    open_run(&open, NULL);
    result_target(&open.run, &row, target, sizeof(target));
    assert_string_equal(target, ">= 0.9");
    row.conditions[2].number = 5;
    result_target(&open.run, &row, target, sizeof(target));
    assert_string_equal(target, "(>= 0.9)");
    row.conditions[0].text = "nobody";
    result_target(&open.run, &row, target, sizeof(target));
    assert_string_equal(target, "");
    row.name = "idle.memory";
    row.conditions[0] = (struct result_condition){"connections", 10000, NULL};
    row.conditions[1] = (struct result_condition){"protocol", 0, "http"};
    row.conditions[2].name = NULL;
    result_target(&open.run, &row, target, sizeof(target));
    assert_string_equal(target, "<= 16384");
    row.system = "redis";
    result_target(&open.run, &row, target, sizeof(target));
    assert_string_equal(target, "");
    assert_int_equal(result_close(&open.run, KR_ERR_OK), KR_ERR_OK);
}

static bool misses(const char *name, const char *beside, double value)
{
    struct open_run open;
    const struct result_row row = {.name = name,
                                   .label = name,
                                   .unit = "",
                                   .conditions = {{"beside", 0, beside}},
                                   .values = &value,
                                   .count = 1};
    open_run(&open, NULL);
    bool is_missed = result_misses(&open.run, &row);
    assert_int_equal(result_close(&open.run, KR_ERR_OK), KR_ERR_OK);
    return is_missed;
}

static void a_row_misses_its_target_or_does_not(void **state)
{
    (void)state;
    assert_true(misses("propagate.probes", "", 9999));
    assert_false(misses("propagate.probes", "", 10000));
    assert_true(misses("propagate.ratio", "etcd", 1.01));
    assert_false(misses("propagate.ratio", "etcd", 1));
    assert_false(misses("propagate.ratio", "redis", 9)); // nobody asks for less than Redis
    assert_false(misses("restart.ready", "", 1e9));      // not with as many keys as it is meant for
}

static void a_course_has_points_alone(void **state)
{
    (void)state;
    const struct result_point points[] = {{0, 5}, {0.5, 0}};
    const struct result_row row = {.name = "x", .unit = "1/s", .points = points, .count = 2};
    struct json *json = render(&row);
    assert_int_equal(json_size(json_member(json, "points")), 2);
    assert_int_equal(stat_of(json, "count"), 2);
    assert_null(json_member(json_member(json, "stats"), "p50"));
    json_free(&json);
}

static size_t lines_of(const char *path)
{
    struct buf content;
    struct fault fault;
    size_t lines = 0;
    buf_init(&content, KR_LIMIT);
    assert_int_equal(file_read(path, &content, &fault), KR_ERR_OK);
    for (size_t i = 0; i < content.size; i++)
        lines += content.data[i] == '\n';
    buf_fini(&content);
    return lines;
}

static void runs_append_to_one_file(void **state)
{
    (void)state;
    char directory[] = "/tmp/keyreeve-test-XXXXXX", nested[64], path[80];
    const double one = 1, none = NAN;
    struct result_row row = {.name = "x", .unit = "ms", .values = &one, .count = 1};
    struct open_run first, second;
    struct fault fault;
    assert_non_null(mkdtemp(directory));
    snprintf(nested, sizeof(nested), "%s/new", directory);
    snprintf(path, sizeof(path), "%s/rows.jsonl", nested);
    open_run(&first, nested);
    open_run(&second, nested);
    result_write(&first.run, &row);
    result_write(&second.run, &row);
    result_write(&first.run, &row);
    row.values = &none; // nothing was measured, so there is no row
    result_write(&first.run, &row);
    assert_int_equal(result_close(&first.run, KR_ERR_OK), KR_ERR_OK);
    assert_int_equal(result_close(&second.run, KR_ERR_TIMEOUT), KR_ERR_TIMEOUT);
    assert_int_equal(lines_of(path), 3);
    assert_int_equal(file_remove_tree(directory, &fault), KR_ERR_OK);
}

static void a_full_disk_is_told_at_the_end(void **state)
{
    (void)state;
    const double one = 1;
    const struct result_row row = {.name = "x", .unit = "ms", .values = &one, .count = 1};
    char directory[] = "/tmp/keyreeve-test-XXXXXX", path[64];
    struct open_run open;
    struct fault fault;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/rows.jsonl", directory);
    assert_int_equal(symlink("/dev/full", path), 0);
    open_run(&open, directory);
    result_write(&open.run, &row);
    assert_int_equal(result_close(&open.run, KR_ERR_OK), KR_ERR_IO);
    assert_non_null(strstr(open.fault.text, "rows.jsonl"));
    assert_int_equal(file_remove_tree(directory, &fault), KR_ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_says_what_was_measured_and_how),
        cmocka_unit_test(statistics_of_an_even_number_of_values),
        cmocka_unit_test(a_histogram_is_written_whole),
        cmocka_unit_test(a_target_comes_with_its_ratio),
        cmocka_unit_test(a_target_is_chosen_by_its_conditions),
        cmocka_unit_test(a_target_is_told_in_words),
        cmocka_unit_test(a_row_misses_its_target_or_does_not),
        cmocka_unit_test(a_course_has_points_alone),
        cmocka_unit_test(runs_append_to_one_file),
        cmocka_unit_test(a_full_disk_is_told_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
