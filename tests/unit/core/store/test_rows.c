// SPDX-License-Identifier: Apache-2.0
// The rows' encodings: order, round trips, and damage.
#include "store_fixture.h"

#include "core/store/rows.h"

static int compare(const struct rows_key *a, const struct rows_key *b)
{
    size_t size = a->size < b->size ? a->size : b->size;
    int order = memcmp(a->data, b->data, size);
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

static void times_sort_as_they_count(void **state)
{
    static const int64_t times[] = {INT64_MIN,         -5,       -1, 0, 1, 255, 256,
                                    KR_FIXTURE_NOW_MS, INT64_MAX};
    (void)state;
    for (size_t i = 1; i < sizeof times / sizeof *times; i++) {
        struct rows_key before, after;
        rows_time(&before, times[i - 1]);
        rows_time(&after, times[i]);
        assert_true(compare(&before, &after) < 0);
        rows_audit(&before, times[i - 1], UINT64_MAX);
        rows_audit(&after, times[i], 0);
        assert_true(compare(&before, &after) < 0);
        rows_consumer_key(&before, "csmr_a", times[i - 1], "key_z");
        rows_consumer_key(&after, "csmr_a", times[i], "key_a");
        assert_true(compare(&before, &after) < 0);
    }
}

static void an_id_that_begins_another_has_rows_of_its_own(void **state)
{
    struct rows_key prefix, other;
    (void)state;
    rows_pair(&prefix, "csmr_a", NULL);
    rows_pair(&other, "csmr_ab", "key");
    assert_false(bytes_starts_with(rows_key_bytes(&other), rows_key_bytes(&prefix)));
    rows_tagged_pair(&prefix, 'n', "bckt_a", "x");
    rows_tagged_pair(&other, 'n', "bckt_a", "xy");
    assert_true(bytes_starts_with(rows_key_bytes(&other), rows_key_bytes(&prefix)));
}

static void a_due_row_reads_back(void **state)
{
    struct apply_due_row row = {.at_ms = -7, .kind = KR_DUE_BUCKET, .id = bytes_text("bckt_1")};
    struct apply_due_row out;
    struct rows_key key;
    (void)state;
    rows_due(&key, &row);
    assert_true(rows_read_due(rows_key_bytes(&key), &out));
    assert_int_equal(out.at_ms, -7);
    assert_int_equal(out.kind, KR_DUE_BUCKET);
    assert_true(bytes_equal_text(out.id, "bckt_1"));
    assert_int_equal(key.data[0], 'v');
    key.data[0] = 'c'; // the other group
    assert_false(rows_read_due(rows_key_bytes(&key), &out));
    key.data[0] = 'v';
    key.data[9] = 99;
    assert_false(rows_read_due(rows_key_bytes(&key), &out));
    assert_false(rows_read_due(bytes_of(key.data, 10), &out));
}

static void the_end_of_a_prefix_is_above_all_that_begin_with_it(void **state)
{
    struct rows_key end;
    (void)state;
    rows_prefix_end(&end, bytes_text("ab"));
    assert_true(bytes_equal_text(rows_key_bytes(&end), "ac"));
    rows_prefix_end(&end, bytes_of("a\xff\xff", 3));
    assert_true(bytes_equal_text(rows_key_bytes(&end), "b"));
    rows_prefix_end(&end, bytes_of("\xff", 1));
    assert_int_equal(end.size, 0);
}

static void a_text_too_long_for_a_key_makes_none(void **state)
{
    char text[KR_ROWS_KEY_MAX + 2];
    struct rows_key key;
    (void)state;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    rows_text(&key, text);
    assert_int_equal(key.size, 0);
    rows_tagged_pair(&key, 'n', "bckt_1", text);
    assert_int_equal(key.size, 0);
}

static struct rows_applied sample(void)
{
    struct rows_applied applied = {.log_first = 5, .log_bytes = 1234};
    applied.position.index = 77;
    applied.position.epoch = 3;
    applied.position.chain = (struct hash128){1, 2};
    for (size_t i = 0; i < KR_CLASS_COUNT; i++) {
        applied.position.digest[i] = (struct hash128){i + 10, i + 20};
    }
    return applied;
}

static void the_position_reads_back_and_any_flipped_bit_is_seen(void **state)
{
    uint8_t bytes[KR_ROWS_APPLIED_SIZE];
    struct rows_applied applied = sample(), out;
    (void)state;
    rows_put_applied(bytes, &applied);
    assert_true(rows_get_applied(bytes_of(bytes, sizeof bytes), &out));
    assert_memory_equal(&applied, &out, sizeof out);
    for (size_t i = 0; i < sizeof bytes * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_false(rows_get_applied(bytes_of(bytes, sizeof bytes), &out));
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    assert_false(rows_get_applied(bytes_of(bytes, sizeof bytes - 1), &out));
}

static void the_cluster_reads_back(void **state)
{
    struct command_cluster_init record = {"cluster", "acct", ""};
    struct store_cluster out;
    struct arena arena;
    struct buf buf;
    (void)state;
    arena_init(&arena);
    buf_init(&buf, 1024);
    rows_add_cluster(&buf, &record);
    assert_true(rows_get_cluster(buf_bytes(&buf), &arena, &out));
    assert_string_equal(out.cluster_id, "cluster");
    assert_string_equal(out.account_id, "acct");
    assert_string_equal(out.account_name, "");
    for (size_t size = 0; size < buf.size; size++) {
        assert_false(rows_get_cluster(bytes_of(buf.data, size), &arena, &out));
    }
    buf_fini(&buf);
    arena_fini(&arena);
}

static void a_log_row_reads_back_at_its_own_index_alone(void **state)
{
    uint8_t row[KR_ROWS_LOG_HEAD + 5];
    struct rows_log put = {.chain = {3, 4}, .epoch = 5, .at_ms = -6, .has_effect = true}, got;
    (void)state;
    memcpy(row + KR_ROWS_LOG_HEAD, "entry", 5);
    put.entry = bytes_of(row + KR_ROWS_LOG_HEAD, 5);
    rows_put_log_head(row, 9, &put);
    assert_true(rows_get_log(bytes_of(row, sizeof row), 9, &got));
    assert_true(hash_equal(got.chain, (struct hash128){3, 4}));
    assert_int_equal(got.epoch, 5);
    assert_int_equal(got.at_ms, -6);
    assert_true(got.has_effect);
    assert_true(bytes_equal_text(got.entry, "entry"));
    assert_false(rows_get_log(bytes_of(row, sizeof row), 10, &got));
    for (size_t i = 0; i < sizeof row * 8; i++) {
        row[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_false(rows_get_log(bytes_of(row, sizeof row), 9, &got));
        row[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    assert_false(rows_get_log(bytes_of(row, KR_ROWS_LOG_HEAD - 1), 9, &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_sort_as_they_count),
        cmocka_unit_test(an_id_that_begins_another_has_rows_of_its_own),
        cmocka_unit_test(a_due_row_reads_back),
        cmocka_unit_test(the_end_of_a_prefix_is_above_all_that_begin_with_it),
        cmocka_unit_test(a_text_too_long_for_a_key_makes_none),
        cmocka_unit_test(the_position_reads_back_and_any_flipped_bit_is_seen),
        cmocka_unit_test(the_cluster_reads_back),
        cmocka_unit_test(a_log_row_reads_back_at_its_own_index_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
