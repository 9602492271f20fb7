// SPDX-License-Identifier: Apache-2.0
// Tests of sealing: round trips, every byte tampered with, boxes moved elsewhere.
#include "core/keys/vault.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "core/base/rand.h"

#define VALUE "kr_live_SbXOIkDj8Q6xzR8t8JDvTNsLAbgZJ5J37jMawoPNKOi_04393769"
#define OVERHEAD (24 + 16)

static const struct vault_master masters[] = {{1, "the cluster's master key, 32 b."},
                                              {7, "the master key after rotation.."}};
static const struct vault_master other_master = {1, "another cluster's master key..."};

struct room {
    struct vault *vault;
    struct buf box, value;
};

static int make_room(void **state)
{
    static struct room room;
    room.vault = vault_new(masters, 2);
    buf_init(&room.box, 4096);
    buf_init(&room.value, 4096);
    vault_seal(room.vault, 1, "key_1", bytes_text(VALUE), &room.box);
    *state = &room;
    return 0;
}

static int free_room(void **state)
{
    struct room *room = *state;
    vault_free(&room->vault);
    buf_fini(&room->box);
    buf_fini(&room->value);
    return room->vault == NULL ? 0 : -1;
}

static struct sealed sealed_of(const struct room *room)
{
    return (struct sealed){.key_id = "key_1", .vault_version = 1, .box = buf_bytes(&room->box)};
}

static void a_sealed_value_opens_and_is_not_in_its_box(void **state)
{
    struct room *room = *state;
    struct sealed sealed = sealed_of(room);
    assert_int_equal(sealed.box.size, strlen(VALUE) + OVERHEAD);
    assert_null(memmem(sealed.box.data, sealed.box.size, "kr_live", 7));
    buf_add_text(&room->value, "before ");
    assert_int_equal(vault_open(room->vault, &sealed, &room->value), KR_ERR_OK);
    assert_true(bytes_equal_text(buf_bytes(&room->value), "before " VALUE));
}

static void sealing_twice_gives_different_boxes(void **state)
{
    struct room *room = *state;
    struct buf again;
    buf_init(&again, 4096);
    vault_seal(room->vault, 1, "key_1", bytes_text(VALUE), &again);
    assert_false(bytes_equal(buf_bytes(&again), buf_bytes(&room->box)));
    buf_fini(&again);
}

static void any_changed_bit_is_noticed(void **state)
{
    struct room *room = *state;
    struct sealed sealed = sealed_of(room);
    for (size_t bit = 0; bit < sealed.box.size * 8; bit++) {
        room->box.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(vault_open(room->vault, &sealed, &room->value), KR_ERR_CORRUPT);
        assert_int_equal(room->value.size, 0);
        room->box.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void a_cut_or_lengthened_box_is_noticed(void **state)
{
    struct room *room = *state;
    buf_add_u8(&room->box, 0);
    struct sealed sealed = sealed_of(room);
    size_t right_size = strlen(VALUE) + OVERHEAD;
    for (size_t size = 0; size <= right_size + 1; size++) {
        sealed.box.size = size;
        assert_int_equal(vault_open(room->vault, &sealed, &room->value),
                         size == right_size ? KR_ERR_OK : KR_ERR_CORRUPT);
    }
}

static void a_box_opens_for_its_key_version_and_cluster_only(void **state)
{
    struct room *room = *state;
    struct vault *other = vault_new(&other_master, 1);
    struct sealed sealed = sealed_of(room);
    assert_int_equal(vault_open(other, &sealed, &room->value), KR_ERR_CORRUPT);
    sealed.key_id = "key_2";
    assert_int_equal(vault_open(room->vault, &sealed, &room->value), KR_ERR_CORRUPT);
    sealed = sealed_of(room);
    for (sealed.vault_version = 2; sealed.vault_version < 9; sealed.vault_version++)
        assert_int_equal(vault_open(room->vault, &sealed, &room->value), KR_ERR_CORRUPT);
    assert_int_equal(room->value.size, 0);
    vault_free(&other);
}

static void each_version_opens_what_it_has_sealed(void **state)
{
    struct room *room = *state;
    struct vault *newer = vault_new(&masters[1], 1);
    struct sealed sealed = sealed_of(room);
    assert_int_equal(vault_open(newer, &sealed, &room->value), KR_ERR_CORRUPT);
    buf_clear(&room->box);
    vault_seal(newer, 7, "key_1", bytes_text(VALUE), &room->box);
    sealed = sealed_of(room);
    sealed.vault_version = 7;
    assert_int_equal(vault_open(room->vault, &sealed, &room->value), KR_ERR_OK);
    assert_true(bytes_equal_text(buf_bytes(&room->value), VALUE));
    vault_free(&newer);
}

static void a_check_tells_the_cluster_s_key_and_nothing_of_it(void **state)
{
    struct room *room = *state;
    struct vault *other = vault_new(&other_master, 1);
    const struct sealed_version oldest = vault_oldest(room->vault);
    const struct sealed_version newest = vault_newest(room->vault);
    assert_int_equal(oldest.version, 1);
    assert_int_equal(newest.version, 7);
    assert_int_equal(vault_fits(room->vault, &oldest), KR_VAULT_FITS);
    assert_int_equal(vault_fits(room->vault, &newest), KR_VAULT_FITS);
    assert_int_equal(vault_fits(other, &oldest), KR_VAULT_OTHER_KEY);
    assert_int_equal(vault_fits(other, &newest), KR_VAULT_MISSING);
    assert_memory_not_equal(oldest.check, masters[0].key, KR_VAULT_MASTER_SIZE);
    struct sealed sealed = sealed_of(room);
    struct vault_master made_of_check = {.version = 1};
    memcpy(made_of_check.key, oldest.check, KR_VAULT_MASTER_SIZE);
    struct vault *wrong = vault_new(&made_of_check, 1);
    assert_int_equal(vault_open(wrong, &sealed, &room->value), KR_ERR_CORRUPT);
    vault_free(&wrong);
    vault_free(&other);
}

static void a_full_buffer_is_an_error_and_not_an_overrun(void **state)
{
    struct room *room = *state;
    struct sealed sealed = sealed_of(room);
    uint8_t memory[8];
    struct buf small;
    buf_init_fixed(&small, memory, sizeof(memory));
    assert_int_equal(vault_open(room->vault, &sealed, &small), KR_ERR_TOO_LARGE);
    buf_clear(&small);
    vault_seal(room->vault, 1, "key_1", bytes_text(VALUE), &small);
    assert_int_equal(buf_result(&small), KR_ERR_TOO_LARGE);
}

static void an_answer_opens_with_its_secret_and_context_only(void **state)
{
    struct room *room = *state;
    struct bytes secret = bytes_text("token value and Idempotency-Key");
    buf_clear(&room->box);
    vault_seal_for(secret, "idempotency", bytes_text(VALUE), &room->box);
    struct bytes box = buf_bytes(&room->box);
    assert_int_equal(vault_open_for(secret, "other", box, &room->value), KR_ERR_CORRUPT);
    assert_int_equal(vault_open_for(bytes_text("token valu"), "idempotency", box, &room->value),
                     KR_ERR_CORRUPT);
    assert_int_equal(vault_open_for(secret, "idempotency", box, &room->value), KR_ERR_OK);
    assert_true(bytes_equal_text(buf_bytes(&room->value), VALUE));
}

static void an_empty_answer_round_trips(void **state)
{
    struct room *room = *state;
    buf_clear(&room->box);
    vault_seal_for(bytes_text("secret"), "", bytes_of(NULL, 0), &room->box);
    assert_int_equal(room->box.size, OVERHEAD);
    assert_int_equal(vault_open_for(bytes_text("secret"), "", buf_bytes(&room->box), &room->value),
                     KR_ERR_OK);
    assert_int_equal(room->value.size, 0);
}

int main(void)
{
    rand_init();
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_room, free_room)
    const struct CMUnitTest tests[] = {
        CASE(a_sealed_value_opens_and_is_not_in_its_box),
        CASE(sealing_twice_gives_different_boxes),
        CASE(any_changed_bit_is_noticed),
        CASE(a_cut_or_lengthened_box_is_noticed),
        CASE(a_box_opens_for_its_key_version_and_cluster_only),
        CASE(each_version_opens_what_it_has_sealed),
        CASE(a_check_tells_the_cluster_s_key_and_nothing_of_it),
        CASE(a_full_buffer_is_an_error_and_not_an_overrun),
        CASE(an_answer_opens_with_its_secret_and_context_only),
        CASE(an_empty_answer_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
