// SPDX-License-Identifier: Apache-2.0
// Keys whose digests begin alike: none are made, and those that a directory holds are told apart.
#include "store_fixture.h"

#include "core/base/text.h"
#include "core/store/index.h"
#include "core/store/rows.h"

static void alike(unsigned number, uint8_t digest[KR_DIGEST_SIZE])
{
    digest_of(number, digest);
    digest[KR_DIGEST_UNIQUE_BYTES] ^= 1;
}

static enum apply_code put_alike(struct world *world, unsigned number, unsigned id)
{
    struct command command = {0};
    alike(number, add_key(world, &command, 1, 1, id)->digest);
    return world_apply(world, &command);
}

static void assert_is_in_use(struct world *world, unsigned number, bool is_in_use)
{
    uint8_t digest[KR_DIGEST_SIZE];
    struct store_view *view = store_view_open(world->store);
    alike(number, digest);
    assert_int_equal(store_has_digest(view, digest), is_in_use);
    store_view_close(&view);
}

static void a_digest_that_only_begins_like_another_is_in_use(void **state)
{
    struct world world;
    struct command command = {0};
    (void)state;
    world_start(&world);
    put_keys(&world, 1);
    for (unsigned is_loaded = 0; is_loaded < 2; is_loaded++) {
        assert_is_in_use(&world, 1, true);
        assert_is_in_use(&world, 2, false);
        assert_int_equal(put_alike(&world, 1, 5), KR_APPLY_EXISTS);
        if (!is_loaded) {
            world_load(&world);
        }
    }
    add_key(&world, &command, 1, 1, 2);
    alike(2, add_key(&world, &command, 1, 1, 3)->digest);
    assert_int_equal(world_apply(&world, &command), KR_APPLY_EXISTS);
    assert_int_equal(world.result.op, 1);
    revoke_key(&world, 1, world.now_ms);
    purge(&world, world.now_ms, 10);
    assert_is_in_use(&world, 1, false);
    assert_int_equal(put_alike(&world, 1, 5), KR_APPLY_OK);
    world_fini(&world);
}

// Writes the key beside what entries have made, as a version could that compared whole digests.
static void forge_alike(struct world *world, unsigned number, unsigned id)
{
    struct command command = {0};
    struct key *record = add_key(world, &command, 1, 1, id);
    struct index_options options = {.directory = world->directory, .block_cache_bytes = 1u << 20};
    struct index_reader reader = {.index = NULL};
    struct rows_applied applied;
    struct rows_key key;
    struct bytes value;
    struct buf row, scratch;
    uint8_t head[KR_ROWS_APPLIED_SIZE];
    alike(number, record->digest);
    record->revision = 1;
    record->version = 1;
    buf_init(&row, 4096);
    buf_init(&scratch, 8192);
    codec_add_key(&row, record);
    store_close(&world->store);
    assert_int_equal(index_open(&options, &reader.index, &world->fault), KR_ERR_OK);
    assert_true(
        index_read(&reader, KR_INDEX_META, bytes_text(KR_ROWS_APPLIED), &world->arena, &value));
    assert_true(rows_get_applied(value, &applied));
    rows_digest(&key, record->digest, KR_DIGEST_SIZE);
    applied.position.digest[KR_CLASS_KEY] =
        hash_sum_add(applied.position.digest[KR_CLASS_KEY],
                     rows_term(&scratch, KR_INDEX_KEYS, rows_key_bytes(&key), buf_bytes(&row)));
    rows_put_applied(head, &applied);
    struct index_batch *batch = index_batch_new();
    index_batch_put(reader.index, batch, KR_INDEX_KEYS, rows_key_bytes(&key), buf_bytes(&row));
    index_batch_put(reader.index, batch, KR_INDEX_META, bytes_text(KR_ROWS_APPLIED),
                    bytes_of(head, sizeof head));
    assert_int_equal(index_write(reader.index, batch, true, &world->fault), KR_ERR_OK);
    index_batch_free(&batch);
    index_close(&reader.index);
    buf_fini(&row);
    buf_fini(&scratch);
    world_open(world);
}

static void assert_found_by_the_index(struct world *world, const uint8_t *digest, const char *id)
{
    struct store_found found;
    uint8_t packed[18];
    assert_int_equal(store_find_index(world->store, digest, &world->arena, &found), KR_ERR_OK);
    assert_int_equal(found.lookup, id ? KR_STORE_FOUND : KR_STORE_ABSENT);
    if (id) {
        assert_true(text_pack24(id + 4, packed));
        assert_memory_equal(found.record->id, packed, sizeof packed);
    }
}

static void a_pair_of_before_is_told_apart_by_the_index_alone(void **state)
{
    struct world world;
    uint8_t first[KR_DIGEST_SIZE], second[KR_DIGEST_SIZE];
    (void)state;
    digest_of(1, first);
    alike(1, second);
    world_start(&world);
    put_keys(&world, 2);
    forge_alike(&world, 1, 9);
    world_load(&world);
    assert_int_equal(find_key(&world, 1).lookup, KR_STORE_ASK_INDEX);
    assert_int_equal(find_key(&world, 2).lookup, KR_STORE_FOUND);
    assert_found_by_the_index(&world, first, id_of(&world, "key", 1));
    assert_found_by_the_index(&world, second, id_of(&world, "key", 9));
    revoke_key(&world, 1, world.now_ms);
    purge(&world, world.now_ms, 10);
    // Loaded or not, a node comes to the same: the other one still takes the place.
    for (unsigned is_loaded = 1; is_loaded < 2; is_loaded--) {
        assert_int_equal(find_key(&world, 1).lookup, KR_STORE_ASK_INDEX);
        assert_found_by_the_index(&world, first, NULL);
        assert_found_by_the_index(&world, second, id_of(&world, "key", 9));
        assert_int_equal(put_alike(&world, 1, 5), KR_APPLY_EXISTS);
        world_reopen(&world);
    }
    world_load(&world);
    assert_int_equal(find_key(&world, 1).lookup, KR_STORE_FOUND); // by its 24 bytes, as ever
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_digest_that_only_begins_like_another_is_in_use),
        cmocka_unit_test(a_pair_of_before_is_told_apart_by_the_index_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
