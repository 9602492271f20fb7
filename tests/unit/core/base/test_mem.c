// SPDX-License-Identifier: Apache-2.0
// The heap wrappers and the arena: alignment, growth, reset.
#include "core/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void zalloc_is_zeroed_and_zero_bytes_are_allowed(void **state)
{
    (void)state;
    uint8_t *memory = mem_zalloc(64);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(memory[i], 0);
    mem_free(memory);
    memory = mem_alloc(0);
    assert_non_null(memory);
    mem_free(memory);
    mem_free(NULL);
}

static void realloc_keeps_the_bytes(void **state)
{
    (void)state;
    char *memory = mem_realloc(mem_text("keyreeve"), 4096);
    assert_string_equal(memory, "keyreeve");
    mem_free(memory);
}

static void zeroing_leaves_nothing(void **state)
{
    (void)state;
    char secret[] = "secret";
    static const char nothing[sizeof(secret)];
    mem_zero(secret, sizeof(secret));
    assert_memory_equal(secret, nothing, sizeof(secret));
}

static void an_unused_arena_costs_nothing(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    assert_null(arena.blocks);
    arena_reset(&arena);
    arena_fini(&arena);
}

static void arena_memory_is_aligned_and_disjoint(void **state)
{
    (void)state;
    struct arena arena;
    uint8_t *pieces[500];
    arena_init(&arena);
    for (size_t i = 0; i < 500; i++) {
        pieces[i] = arena_alloc(&arena, i);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)(i & 0xff), i);
    }
    for (size_t i = 0; i < 500; i++)
        for (size_t j = 0; j < i; j++)
            assert_int_equal(pieces[i][j], i & 0xff);
    arena_fini(&arena);
    assert_null(arena.blocks);
}

static void an_arena_takes_more_than_a_block_at_once(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    uint8_t *large = arena_zalloc(&arena, 3 << 20);
    assert_int_equal(large[(3 << 20) - 1], 0);
    memset(large, 1, 3 << 20);
    arena_fini(&arena);
}

static void reset_forgets_and_clears(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    char *before = arena_text(&arena, "a key's value");
    arena_reset(&arena);
    char *after = arena_alloc(&arena, sizeof("a key's value"));
    assert_ptr_equal(before, after);
    for (size_t i = 0; i < sizeof("a key's value"); i++)
        assert_int_equal(after[i], 0);
    arena_fini(&arena);
}

static void reset_gives_back_all_blocks_but_one(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    for (int i = 0; i < 100; i++)
        arena_alloc(&arena, 10000);
    struct arena_block *newest = arena.blocks;
    arena_reset(&arena);
    assert_ptr_equal(arena.blocks, newest);
    assert_string_equal(arena_text(&arena, "goes on"), "goes on");
    arena_fini(&arena);
}

static void arena_texts_are_copies(void **state)
{
    (void)state;
    struct arena arena;
    char text[] = "abc";
    arena_init(&arena);
    char *copy = arena_text(&arena, text);
    char *part = arena_text_of(&arena, bytes_of(text, 2));
    text[0] = 'x';
    assert_string_equal(copy, "abc");
    assert_string_equal(part, "ab");
    assert_null(arena_text(&arena, NULL));
    assert_string_equal(arena_text_of(&arena, bytes_of(NULL, 0)), "");
    assert_string_equal(arena_printf(&arena, "%s-%d", "k", 7), "k-7");
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zalloc_is_zeroed_and_zero_bytes_are_allowed),
        cmocka_unit_test(realloc_keeps_the_bytes),
        cmocka_unit_test(zeroing_leaves_nothing),
        cmocka_unit_test(an_unused_arena_costs_nothing),
        cmocka_unit_test(arena_memory_is_aligned_and_disjoint),
        cmocka_unit_test(an_arena_takes_more_than_a_block_at_once),
        cmocka_unit_test(reset_forgets_and_clears),
        cmocka_unit_test(reset_gives_back_all_blocks_but_one),
        cmocka_unit_test(arena_texts_are_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
