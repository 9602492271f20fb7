// SPDX-License-Identifier: Apache-2.0
// The watermark: it reads back, survives a torn write, and is refused when nothing of it is whole.
#include "store_fixture.h"

#include "core/store/watermark.h"

struct place {
    char directory[256], path[512];
    struct fault fault;
};

static void make_place(struct place *place)
{
    make_directory(place->directory);
    snprintf(place->path, sizeof place->path, "%s/watermark", place->directory);
}

static struct watermark *open_place(struct place *place)
{
    struct watermark *watermark = NULL;
    assert_int_equal(watermark_open(place->directory, &watermark, &place->fault), KR_ERR_OK);
    return watermark;
}

static void the_last_index_reads_back(void **state)
{
    struct place place;
    (void)state;
    make_place(&place);
    struct watermark *watermark = open_place(&place);
    assert_int_equal(watermark_index(watermark), 0);
    for (uint64_t index = 1; index <= 5; index++) {
        watermark_set(watermark, index * 1000);
        watermark_close(&watermark);
        watermark = open_place(&place);
        assert_int_equal(watermark_index(watermark), index * 1000);
    }
    watermark_close(&watermark);
    remove_directory(place.directory);
}

static void a_torn_write_leaves_the_one_before(void **state)
{
    struct place place;
    (void)state;
    make_place(&place);
    struct watermark *watermark = open_place(&place);
    watermark_set(watermark, 1);
    watermark_set(watermark, 2);
    watermark_set(watermark, 3); // over the first
    watermark_close(&watermark);
    flip_byte(place.path, 0);
    watermark = open_place(&place);
    assert_int_equal(watermark_index(watermark), 2);
    watermark_set(watermark, 4); // over the torn one
    watermark_close(&watermark);
    watermark = open_place(&place);
    assert_int_equal(watermark_index(watermark), 4);
    watermark_close(&watermark);
    remove_directory(place.directory);
}

static void one_without_a_whole_copy_is_refused_by_name(void **state)
{
    struct place place;
    struct watermark *watermark;
    (void)state;
    make_place(&place);
    watermark = open_place(&place);
    watermark_set(watermark, 1);
    watermark_set(watermark, 2);
    watermark_close(&watermark);
    flip_byte(place.path, 1);
    flip_byte(place.path, 512 + 9);
    assert_int_equal(watermark_open(place.directory, &watermark, &place.fault), KR_ERR_CORRUPT);
    assert_null(watermark);
    assert_non_null(strstr(place.fault.text, "/watermark"));
    remove_directory(place.directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_index_reads_back),
        cmocka_unit_test(a_torn_write_leaves_the_one_before),
        cmocka_unit_test(one_without_a_whole_copy_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
