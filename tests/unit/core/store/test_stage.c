// SPDX-License-Identifier: Apache-2.0
// The stage: reads through, undo, first rows, and what it writes.
#include "store_fixture.h"

#include "core/store/stage.h"

struct desk {
    char directory[256];
    struct index *index;
    struct stage *stage;
};

static void open_desk(struct desk *desk)
{
    struct fault fault;
    make_directory(desk->directory);
    struct index_options options = {.directory = desk->directory, .block_cache_bytes = 1u << 20};
    assert_int_equal(index_open(&options, &desk->index, &fault), KR_ERR_OK);
    desk->stage = stage_new(desk->index);
}

static void close_desk(struct desk *desk)
{
    stage_free(&desk->stage);
    index_close(&desk->index);
    remove_directory(desk->directory);
}

static void put(struct desk *desk, const char *key, const char *value)
{
    stage_put(desk->stage, KR_INDEX_DUE, bytes_text(key), bytes_text(value));
}

static void drop(struct desk *desk, const char *key)
{
    stage_delete(desk->stage, KR_INDEX_DUE, bytes_text(key));
}

static void write_all(struct desk *desk)
{
    struct fault fault;
    struct index_batch *batch = index_batch_new();
    stage_write(desk->stage, batch);
    assert_int_equal(index_write(desk->index, batch, true, &fault), KR_ERR_OK);
    index_batch_free(&batch);
    stage_clear(desk->stage);
}

static void assert_value(struct desk *desk, const char *key, const char *value)
{
    struct bytes found;
    assert_true(stage_get(desk->stage, KR_INDEX_DUE, bytes_text(key), &found));
    assert_true(bytes_equal_text(found, value));
}

static void assert_absent(struct desk *desk, const char *key)
{
    struct bytes found;
    assert_false(stage_get(desk->stage, KR_INDEX_DUE, bytes_text(key), &found));
}

static void assert_first(struct desk *desk, const char *prefix, const char *from,
                         const char *expected)
{
    struct bytes key;
    bool is_there =
        stage_first(desk->stage, KR_INDEX_DUE, bytes_text(prefix), bytes_text(from), &key);
    assert_int_equal(is_there, expected != NULL);
    if (expected) {
        assert_true(bytes_equal_text(key, expected));
    }
}

static void a_change_is_seen_before_and_after_it_is_written(void **state)
{
    struct desk desk;
    (void)state;
    open_desk(&desk);
    put(&desk, "a", "1");
    assert_value(&desk, "a", "1");
    assert_absent(&desk, "b");
    write_all(&desk);
    assert_value(&desk, "a", "1");
    drop(&desk, "a");
    assert_absent(&desk, "a");
    write_all(&desk);
    assert_absent(&desk, "a");
    close_desk(&desk);
}

static void undo_takes_back_what_came_after_the_mark(void **state)
{
    struct desk desk;
    (void)state;
    open_desk(&desk);
    put(&desk, "disk", "old");
    put(&desk, "blind", "old");
    write_all(&desk);
    put(&desk, "kept", "1");
    put(&desk, "twice", "1");
    size_t mark = stage_mark(desk.stage);
    assert_value(&desk, "disk", "old");
    put(&desk, "disk", "new");
    put(&desk, "blind", "new"); // never read before it is undone
    put(&desk, "twice", "2");
    drop(&desk, "kept");
    drop(&desk, "twice");
    put(&desk, "new", "1");
    stage_undo(desk.stage, mark);
    assert_value(&desk, "disk", "old");
    assert_value(&desk, "blind", "old");
    assert_value(&desk, "twice", "1");
    assert_value(&desk, "kept", "1");
    assert_absent(&desk, "new");
    write_all(&desk);
    assert_value(&desk, "kept", "1");
    assert_value(&desk, "blind", "old");
    assert_absent(&desk, "new");
    close_desk(&desk);
}

static void the_first_row_counts_both_what_is_stored_and_what_is_staged(void **state)
{
    struct desk desk;
    (void)state;
    open_desk(&desk);
    put(&desk, "p1", "");
    put(&desk, "p3", "");
    put(&desk, "q1", "");
    write_all(&desk);
    assert_first(&desk, "p", "", "p1");
    assert_first(&desk, "p", "p2", "p3");
    assert_first(&desk, "", "", "p1");
    put(&desk, "p0", "");
    assert_first(&desk, "p", "", "p0");
    drop(&desk, "p0");
    drop(&desk, "p1");
    assert_first(&desk, "p", "", "p3");
    size_t mark = stage_mark(desk.stage);
    drop(&desk, "p3");
    assert_first(&desk, "p", "", NULL);
    assert_first(&desk, "", "", "q1");
    stage_undo(desk.stage, mark);
    assert_first(&desk, "p", "", "p3");
    put(&desk, "p1", "again");
    assert_first(&desk, "p", "", "p1");
    assert_first(&desk, "r", "", NULL);
    close_desk(&desk);
}

static void a_row_of_keys_is_found_by_its_beginning(void **state)
{
    struct desk desk;
    const struct bytes start = bytes_text("abcdefghijklmnopqrstuvwx");
    const struct bytes rows[] = {bytes_text("abcdefghijklmnopqrstuvwx1"),
                                 bytes_text("abcdefghijklmnopqrstuvwx2"),
                                 bytes_text("abcdefghijklmnopqrstuvw_2")};
    (void)state;
    open_desk(&desk);
    assert_int_equal(start.size, KR_DIGEST_UNIQUE_BYTES);
    stage_put(desk.stage, KR_INDEX_KEYS, rows[2], bytes_text(""));
    assert_false(stage_has_key(desk.stage, start, true));
    size_t mark = stage_mark(desk.stage);
    stage_put(desk.stage, KR_INDEX_KEYS, rows[0], bytes_text(""));
    assert_true(stage_has_key(desk.stage, start, false));
    stage_undo(desk.stage, mark);
    assert_false(stage_has_key(desk.stage, start, true));
    stage_put(desk.stage, KR_INDEX_KEYS, rows[0], bytes_text(""));
    stage_put(desk.stage, KR_INDEX_KEYS, rows[1], bytes_text(""));
    write_all(&desk);
    assert_true(stage_has_key(desk.stage, start, true));
    assert_false(stage_has_key(desk.stage, start, false));
    stage_delete(desk.stage, KR_INDEX_KEYS, rows[0]);
    assert_true(stage_has_key(desk.stage, start, true));
    stage_delete(desk.stage, KR_INDEX_KEYS, rows[1]);
    assert_false(stage_has_key(desk.stage, start, true));
    close_desk(&desk);
}

static void many_rows_survive_the_table_s_growth(void **state)
{
    struct desk desk;
    char key[32];
    (void)state;
    open_desk(&desk);
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "%08u", i);
        put(&desk, key, key);
    }
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "%08u", i);
        assert_value(&desk, key, key);
    }
    write_all(&desk);
    for (unsigned i = 0; i < 4999; i++) { // a purge: each first row goes
        snprintf(key, sizeof key, "%08u", i);
        assert_first(&desk, "", "", key);
        drop(&desk, key);
    }
    write_all(&desk);
    assert_first(&desk, "", "", "00004999");
    close_desk(&desk);
}

static void a_key_without_bytes_is_damage(void **state)
{
    struct desk desk;
    struct fault fault;
    (void)state;
    open_desk(&desk);
    stage_put(desk.stage, KR_INDEX_DUE, (struct bytes){0}, bytes_text("x"));
    assert_int_equal(stage_result(desk.stage, &fault), KR_ERR_CORRUPT);
    assert_absent(&desk, "a");
    stage_clear(desk.stage);
    assert_int_equal(stage_result(desk.stage, &fault), KR_ERR_OK);
    close_desk(&desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_seen_before_and_after_it_is_written),
        cmocka_unit_test(undo_takes_back_what_came_after_the_mark),
        cmocka_unit_test(the_first_row_counts_both_what_is_stored_and_what_is_staged),
        cmocka_unit_test(a_row_of_keys_is_found_by_its_beginning),
        cmocka_unit_test(many_rows_survive_the_table_s_growth),
        cmocka_unit_test(a_key_without_bytes_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
