// SPDX-License-Identifier: Apache-2.0
// Lost keys: told once and in order, whoever falls behind is told so, a reader beside the writer
// never sees half a key.
#include "node/losses.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
// cmocka needs some of the above.
#include <cmocka.h>

static void note(struct losses *losses, uint64_t number)
{
    uint8_t digest[KR_DIGEST_SIZE];
    for (size_t i = 0; i < KR_DIGEST_SIZE; i += 8)
        memcpy(digest + i, &number, sizeof(number));
    losses_note(losses, digest, number);
}

static bool is_whole(const struct binary_lost *lost)
{
    uint64_t number = lost->revision;
    for (size_t i = 0; i < KR_DIGEST_SIZE; i += 8) {
        if (memcmp(lost->digest + i, &number, sizeof(number)) != 0)
            return false;
    }
    return true;
}

static void tells_each_once_and_in_order(void **state)
{
    (void)state;
    struct losses *losses = losses_new();
    struct binary_lost out[4];
    uint64_t position = 0;
    bool drops_all = false;
    assert_int_equal(losses_read(losses, &position, out, 4, &drops_all), 0);
    for (uint64_t i = 1; i <= 6; i++)
        note(losses, i);
    assert_int_equal(losses_read(losses, &position, out, 4, &drops_all), 4);
    assert_int_equal(out[0].revision, 1);
    assert_int_equal(out[3].revision, 4);
    assert_int_equal(losses_read(losses, &position, out, 4, &drops_all), 2);
    assert_int_equal(out[1].revision, 6);
    assert_true(is_whole(&out[1]));
    assert_int_equal(position, losses_end(losses));
    assert_int_equal(losses_read(losses, &position, out, 4, &drops_all), 0);
    assert_false(drops_all);
    losses_free(&losses);
}

static void many_at_once_drop_all(void **state)
{
    (void)state;
    struct losses *losses = losses_new();
    struct binary_lost out[4];
    uint64_t position = 0;
    bool drops_all = false;
    note(losses, 1);
    losses_note(losses, NULL, 2);
    note(losses, 3);
    assert_int_equal(losses_read(losses, &position, out, 4, &drops_all), 2);
    assert_true(drops_all);
    assert_int_equal(out[1].revision, 3);
    losses_free(&losses);
}

static void who_falls_behind_is_told(void **state)
{
    (void)state;
    struct losses *losses = losses_new();
    struct binary_lost out[4];
    uint64_t position = 0;
    bool drops_all = false;
    for (uint64_t i = 1; i <= 10000; i++)
        note(losses, i);
    assert_int_equal(losses_read(losses, &position, out, 4, &drops_all), 0);
    assert_true(drops_all);
    assert_int_equal(position, 10000);
    drops_all = false;
    note(losses, 10001);
    assert_int_equal(losses_read(losses, &position, out, 4, &drops_all), 1);
    assert_false(drops_all);
    assert_int_equal(out[0].revision, 10001);
    losses_free(&losses);
}

enum { KR_WRITTEN = 200000 };

static void *write_all(void *ctx)
{
    for (uint64_t i = 1; i <= KR_WRITTEN; i++)
        note(ctx, i);
    return NULL;
}

static void a_reader_beside_the_writer_sees_whole_keys(void **state)
{
    (void)state;
    struct losses *losses = losses_new();
    struct binary_lost out[64];
    uint64_t position = 0, last = 0;
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_all, losses), 0);
    while (last < KR_WRITTEN) {
        bool drops_all = false;
        uint64_t from = position;
        size_t count = losses_read(losses, &position, out, 64, &drops_all);
        assert_true(drops_all || position - from == count);
        for (size_t i = 0; i < count; i++) {
            assert_true(is_whole(&out[i]));
            assert_true(out[i].revision == from + i + 1);
        }
        last = position;
    }
    pthread_join(writer, NULL);
    losses_free(&losses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_each_once_and_in_order),
        cmocka_unit_test(many_at_once_drop_all),
        cmocka_unit_test(who_falls_behind_is_told),
        cmocka_unit_test(a_reader_beside_the_writer_sees_whole_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
