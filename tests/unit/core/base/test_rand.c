// SPDX-License-Identifier: Apache-2.0
// Randomness: filled to the end, and base62 in equal shares.
#include "core/base/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void bytes_are_filled_to_the_end_and_not_beyond(void **state)
{
    (void)state;
    uint8_t seen[34] = {0}, bytes[34];
    for (int i = 0; i < 64; i++) {
        memset(bytes, 0, sizeof(bytes));
        rand_bytes(bytes + 1, 32);
        for (size_t j = 0; j < sizeof(bytes); j++)
            seen[j] |= bytes[j];
    }
    assert_int_equal(seen[0], 0);
    assert_int_equal(seen[33], 0);
    for (size_t j = 1; j < 33; j++)
        assert_int_not_equal(seen[j], 0);
}

static void numbers_differ(void **state)
{
    (void)state;
    uint64_t ones = 0, zeros = 0;
    for (int i = 0; i < 128; i++) {
        uint64_t value = rand_u64();
        ones |= value;
        zeros |= ~value;
    }
    assert_true(ones == UINT64_MAX && zeros == UINT64_MAX);
}

static void base62_writes_digits_and_no_nul(void **state)
{
    (void)state;
    char text[203];
    memset(text, '!', sizeof(text));
    rand_base62(text + 1, 201);
    assert_int_equal(text[0], '!');
    assert_int_equal(text[202], '!');
    for (size_t i = 1; i < 202; i++)
        assert_true((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'A' && text[i] <= 'Z') ||
                    (text[i] >= 'a' && text[i] <= 'z'));
    rand_base62(text, 0);
    assert_int_equal(text[0], '!');
}

// 62 classes of 10000 expected: chi-squared with 61 degrees of freedom exceeds 160 with a
// probability below 1e-9. Plain `% 62` of a byte would give about 4000.
static void base62_is_uniform(void **state)
{
    (void)state;
    enum { CLASSES = 62, EACH = 10000 };
    static char text[CLASSES * EACH];
    unsigned counts[256] = {0};
    double chi_squared = 0;
    rand_base62(text, sizeof(text));
    for (size_t i = 0; i < sizeof(text); i++)
        counts[(uint8_t)text[i]]++;
    for (unsigned i = 0; i < 256; i++) {
        double off = (double)counts[i] - EACH;
        if (counts[i] > 0)
            chi_squared += off * off / EACH;
    }
    assert_true(chi_squared < 160);
}

static int set_up(void **state)
{
    (void)state;
    rand_init();
    rand_init(); // harmless when repeated
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_filled_to_the_end_and_not_beyond),
        cmocka_unit_test(numbers_differ),
        cmocka_unit_test(base62_writes_digits_and_no_nul),
        cmocka_unit_test(base62_is_uniform),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
