// SPDX-License-Identifier: Apache-2.0
// Hashes: the chain's definition, and sums that forget the order.
#include "core/base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void the_chain_hashes_previous_and_bytes_as_one(void **state)
{
    (void)state;
    struct hash128 previous = {UINT64_C(0x0807060504030201), UINT64_C(0x100f0e0d0c0b0a09)};
    uint8_t whole[16 + 300];
    for (size_t i = 0; i < sizeof(whole); i++)
        whole[i] = (uint8_t)(i + 1);
    // Sizes on both sides of XXH3's internal limits.
    for (size_t size = 0; size <= 300; size++) {
        struct hash128 chained = hash_chain(previous, bytes_of(whole + 16, size));
        assert_true(hash_equal(chained, hash_u128(bytes_of(whole, 16 + size))));
    }
    assert_true(
        hash_equal(hash_chain(previous, bytes_of(NULL, 0)), hash_u128(bytes_of(whole, 16))));
}

// The stored format must not change with a library's version or a compiler.
static void the_chain_is_pinned(void **state)
{
    (void)state;
    struct hash128 hash = hash_chain((struct hash128){0, 0}, bytes_text("keyreeve"));
    assert_true(hash.low == UINT64_C(0x378c0551bf364d32) &&
                hash.high == UINT64_C(0xc43ea6f32666c74a));
}

static void the_chain_depends_on_every_link(void **state)
{
    (void)state;
    struct hash128 zero = {0, 0}, low = {1, 0}, high = {0, 1};
    struct hash128 ab = hash_chain(hash_chain(zero, bytes_text("a")), bytes_text("b"));
    struct hash128 ba = hash_chain(hash_chain(zero, bytes_text("b")), bytes_text("a"));
    assert_false(hash_equal(ab, ba));
    assert_false(hash_equal(hash_chain(low, bytes_text("a")), hash_chain(high, bytes_text("a"))));
}

static void a_seed_changes_the_placement(void **state)
{
    (void)state;
    assert_true(hash_u64(bytes_text("a"), 1) != hash_u64(bytes_text("a"), 2));
    assert_true(hash_u64(bytes_text("a"), 1) == hash_u64(bytes_text("a"), 1));
    hash_u64(bytes_of(NULL, 0), 1);
}

static void sums_forget_the_order_and_can_be_undone(void **state)
{
    (void)state;
    struct hash128 a = {UINT64_MAX, 1}, b = {UINT64_MAX - 1, UINT64_MAX}, c = {7, 9};
    struct hash128 abc = hash_sum_add(hash_sum_add(a, b), c);
    struct hash128 cba = hash_sum_add(hash_sum_add(c, b), a);
    assert_true(hash_equal(abc, cba));
    assert_true(hash_equal(hash_sum_sub(hash_sum_sub(abc, b), a), c));
}

static void sums_carry_and_borrow_between_the_halves(void **state)
{
    (void)state;
    struct hash128 low = {UINT64_MAX, 0}, one = {1, 0}, carried = {0, 1};
    assert_true(hash_equal(hash_sum_add(low, one), carried));
    assert_true(hash_equal(hash_sum_sub(carried, one), low));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_chain_hashes_previous_and_bytes_as_one),
        cmocka_unit_test(the_chain_is_pinned),
        cmocka_unit_test(the_chain_depends_on_every_link),
        cmocka_unit_test(a_seed_changes_the_placement),
        cmocka_unit_test(sums_forget_the_order_and_can_be_undone),
        cmocka_unit_test(sums_carry_and_borrow_between_the_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
