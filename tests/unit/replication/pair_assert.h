// SPDX-License-Identifier: Apache-2.0
// What the tests say of a pair: what happened, and that both ends hold the same.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pair.h"

static inline void assert_pair(struct pair *pair, const char *expected)
{
    buf_add_u8(&pair->transcript, '\0');
    assert_string_equal((const char *)pair->transcript.data, expected);
    buf_clear(&pair->transcript);
}

static inline void assert_same_state(const struct fake *a, const struct fake *b)
{
    assert_int_equal(a->position.index, b->position.index);
    assert_int_equal(a->position.epoch, b->position.epoch);
    assert_true(hash_equal(a->position.chain, b->position.chain));
    for (size_t class = 0; class < KR_CLASS_COUNT; class ++)
        if (class != KR_CLASS_CORE || b->verbs.holding == a->verbs.holding)
            assert_true(hash_equal(a->position.digest[class], b->position.digest[class]));
}
