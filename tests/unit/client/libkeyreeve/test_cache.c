// SPDX-License-Identifier: Apache-2.0
// What a client keeps: found by key and bucket while it is good, dropped one by one and all at
// once.
#include "client/libkeyreeve/cache.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka needs the above.
#include <cmocka.h>

static void put(struct cache *cache, uint8_t number, uint64_t until_ms, const char *bucket,
                const char *body)
{
    struct cache_entry entry = {.until_ms = until_ms, .index = number};
    entry.digest[0] = 8; // one set for all
    entry.digest[31] = number;
    cache_put(cache, &entry, bytes_text(bucket), bytes_text(body));
}

static const struct cache_entry *find(struct cache *cache, uint8_t number, const char *bucket,
                                      uint64_t now_ms)
{
    uint8_t digest[KR_DIGEST_SIZE] = {[0] = 8, [31] = number};
    return cache_find(cache, digest, bytes_text(bucket), now_ms);
}

static void finds_what_is_good(void **state)
{
    (void)state;
    struct cache *cache = cache_new(100);
    put(cache, 1, 500, "b", "body");
    const struct cache_entry *entry = find(cache, 1, "b", 499);
    assert_non_null(entry);
    assert_int_equal(entry->index, 1);
    assert_memory_equal(entry->texts + entry->bucket_size, "body", 4);
    assert_null(find(cache, 1, "b", 500));
    assert_null(find(cache, 1, "", 1));
    assert_null(find(cache, 2, "b", 1));
    cache_free(&cache);
}

static void the_oldest_goes_first(void **state)
{
    (void)state;
    struct cache *cache = cache_new(1);
    for (uint8_t i = 1; i <= 5; i++)
        put(cache, i, 100 + i, "", "");
    assert_null(find(cache, 1, "", 1));
    for (uint8_t i = 2; i <= 5; i++)
        assert_non_null(find(cache, i, "", 1));
    cache_free(&cache);
}

static void what_is_kept_again_takes_its_own_place(void **state)
{
    (void)state;
    struct cache *cache = cache_new(1);
    for (uint8_t i = 1; i <= 4; i++)
        put(cache, i, 100 + i, "b", "old");
    put(cache, 2, 200, "b", "new");
    for (uint8_t i = 1; i <= 4; i++)
        assert_non_null(find(cache, i, "b", 1));
    const struct cache_entry *entry = find(cache, 2, "b", 150);
    assert_memory_equal(entry->texts + entry->bucket_size, "new", 3);
    put(cache, 2, 300, "", "of any bucket"); // another question
    assert_null(find(cache, 1, "b", 1));
    assert_non_null(find(cache, 2, "b", 1));
    cache_free(&cache);
}

static void drops_a_key_in_every_bucket(void **state)
{
    (void)state;
    struct cache *cache = cache_new(4);
    uint8_t digest[KR_DIGEST_SIZE] = {[0] = 8, [31] = 1};
    put(cache, 1, 100, "", "x");
    put(cache, 1, 100, "b", "y");
    put(cache, 2, 100, "", "z");
    cache_drop(cache, digest);
    assert_null(find(cache, 1, "", 1));
    assert_null(find(cache, 1, "b", 1));
    assert_non_null(find(cache, 2, "", 1));
    cache_drop_all(cache);
    assert_null(find(cache, 2, "", 1));
    cache_free(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_good),
        cmocka_unit_test(the_oldest_goes_first),
        cmocka_unit_test(what_is_kept_again_takes_its_own_place),
        cmocka_unit_test(drops_a_key_in_every_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
