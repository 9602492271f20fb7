// SPDX-License-Identifier: Apache-2.0
// The byte buffer: what fits is written, the first step that does not fit stops all others.
#include "core/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static size_t zeroed;

void __real_mem_zero(void *memory, size_t size_bytes);
void __wrap_mem_zero(void *memory, size_t size_bytes);

void __wrap_mem_zero(void *memory, size_t size_bytes)
{
    zeroed += size_bytes;
    __real_mem_zero(memory, size_bytes);
}

static void assert_holds(const struct buf *buf, const char *text)
{
    assert_int_equal(buf_result(buf), KR_ERR_OK);
    assert_true(bytes_equal_text(buf_bytes(buf), text));
}

static void a_new_buffer_is_empty_and_owns_nothing(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    assert_null(buf.data);
    assert_holds(&buf, "");
    buf_fini(&buf);
}

// It may have held a key, whatever stands in it now.
static void what_was_cleared_is_zeroed_as_well(void **state)
{
    (void)state;
    struct buf buf;
    zeroed = 0;
    buf_init(&buf, 10000);
    buf_add(&buf, (const char[200]){0}, 200);
    buf_clear(&buf);
    buf_add_text(&buf, "less");
    buf_clear(&buf);
    assert_int_equal(zeroed, 0);
    buf_add(&buf, (const char[1000]){0}, 1000); // elsewhere
    assert_int_equal(zeroed, 200);
    buf_clear(&buf);
    buf_fini(&buf);
    assert_int_equal(zeroed, 1200);
}

static void an_emptied_buffer_gives_back_what_is_large(void **state)
{
    (void)state;
    struct buf buf;
    uint8_t room[200];
    zeroed = 0;
    buf_init(&buf, 10000);
    buf_add(&buf, (const char[300]){0}, 300);
    buf_empty(&buf, 300);
    assert_int_equal(buf.capacity, 300); // no more than may be kept
    buf_add(&buf, (const char[5000]){0}, 5000);
    buf_extend(&buf, 10001);
    assert_int_equal(buf_result(&buf), KR_ERR_TOO_LARGE);
    buf_empty(&buf, 300);
    assert_int_equal(zeroed, 300 + 5000);
    assert_null(buf.data);
    assert_int_equal(buf.capacity, 0);
    buf_add(&buf, (const char[10000]){0}, 10000);
    assert_int_equal(buf_result(&buf), KR_ERR_OK); // its limit is what it was
    buf_fini(&buf);
    buf_init_fixed(&buf, room, sizeof(room));
    buf_empty(&buf, 1);
    buf_add_text(&buf, "the caller's");
    assert_holds(&buf, "the caller's");
}

static void numbers_are_big_endian(void **state)
{
    (void)state;
    struct buf buf;
    static const uint8_t wire[] = {0xab, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8};
    buf_init(&buf, 100);
    buf_add_u8(&buf, 0xab);
    buf_add_u32(&buf, 0x01020304);
    buf_add_u64(&buf, UINT64_C(0x0102030405060708));
    assert_int_equal(buf.size, sizeof(wire));
    assert_memory_equal(buf.data, wire, sizeof(wire));
    buf_fini(&buf);
}

static void decimals_reach_to_both_ends(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    buf_add_decimal(&buf, 0);
    buf_add_text(&buf, " ");
    buf_add_decimal(&buf, UINT64_MAX);
    assert_holds(&buf, "0 18446744073709551615");
    buf_fini(&buf);
}

static void it_grows_to_its_limit_and_not_beyond(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    for (int i = 0; i < 1000; i++)
        buf_add_u8(&buf, (uint8_t)i);
    assert_int_equal(buf_result(&buf), KR_ERR_OK);
    assert_int_equal(buf.capacity, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf.data[i], (uint8_t)i);
    buf_add_u8(&buf, 1);
    assert_int_equal(buf_result(&buf), KR_ERR_TOO_LARGE);
    assert_int_equal(buf.size, 1000);
    buf_fini(&buf);
}

static void a_failure_sticks_until_cleared(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 4);
    buf_add_text(&buf, "ab");
    buf_add_text(&buf, "cde");
    buf_add_text(&buf, "f");
    buf_add_bytes(&buf, bytes_text("g"));
    buf_printf(&buf, "%d", 1);
    assert_int_equal(buf_result(&buf), KR_ERR_TOO_LARGE);
    assert_int_equal(buf.size, 2);
    assert_null(buf_extend(&buf, 1));
    buf_clear(&buf);
    buf_add_text(&buf, "wxyz");
    assert_holds(&buf, "wxyz");
    buf_fini(&buf);
}

static void a_fixed_buffer_stays_where_it_is(void **state)
{
    (void)state;
    struct buf buf;
    uint8_t memory[5];
    buf_init_fixed(&buf, memory, sizeof(memory));
    buf_add_text(&buf, "12345");
    assert_holds(&buf, "12345");
    assert_ptr_equal(buf.data, memory);
    buf_add_u8(&buf, '6');
    assert_int_equal(buf_result(&buf), KR_ERR_TOO_LARGE);
    buf_fini(&buf);
    assert_memory_equal(memory, "12345", 5);
}

static void a_size_that_would_overflow_fails(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    buf_add_text(&buf, "x");
    assert_null(buf_extend(&buf, SIZE_MAX));
    assert_int_equal(buf_result(&buf), KR_ERR_TOO_LARGE);
    buf_fini(&buf);
}

static void extend_counts_its_room_at_once(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    buf_add_text(&buf, "a");
    memcpy(buf_extend(&buf, 3), "bcd", 3);
    assert_holds(&buf, "abcd");
    buf_fini(&buf);
}

static void printf_leaves_no_nul(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    buf_printf(&buf, "%s=%d", "n", -5);
    buf_printf(&buf, "%s", "");
    buf_add_text(&buf, ";");
    assert_holds(&buf, "n=-5;");
    buf_fini(&buf);
}

static void nothing_can_be_added_from_nowhere(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    buf_add(&buf, NULL, 0);
    buf_add_bytes(&buf, bytes_of(NULL, 0));
    buf_add_text(&buf, "");
    assert_holds(&buf, "");
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_buffer_is_empty_and_owns_nothing),
        cmocka_unit_test(what_was_cleared_is_zeroed_as_well),
        cmocka_unit_test(an_emptied_buffer_gives_back_what_is_large),
        cmocka_unit_test(numbers_are_big_endian),
        cmocka_unit_test(decimals_reach_to_both_ends),
        cmocka_unit_test(it_grows_to_its_limit_and_not_beyond),
        cmocka_unit_test(a_failure_sticks_until_cleared),
        cmocka_unit_test(a_fixed_buffer_stays_where_it_is),
        cmocka_unit_test(a_size_that_would_overflow_fails),
        cmocka_unit_test(extend_counts_its_room_at_once),
        cmocka_unit_test(printf_leaves_no_nul),
        cmocka_unit_test(nothing_can_be_added_from_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
