// SPDX-License-Identifier: Apache-2.0
// Log entries: their bytes, every operation, and what a later version may have written.
#include "recode.h"

#include "golden_entry.h"
#include "samples.h"

KR_RECODE(entry, entry)

static const struct command_op sample_ops[] = {
    {KR_OP_CLUSTER_INIT, .as.cluster_init = {"cl", "ac", "default"}},
    {KR_OP_BUCKET_PUT, .as.bucket_put.record = {.id = KR_SAMPLE_BUCKET_ID, .name = "production"}},
    {KR_OP_BUCKET_DELETE,
     .as.target = {KR_SAMPLE_BUCKET_ID, 1, KR_REASON_CESSATION_OF_OPERATION, 1700000000019}},
    {KR_OP_BUCKET_REVOKE, .as.target.id = KR_SAMPLE_BUCKET_ID},
    {KR_OP_CONSUMER_PUT, .as.consumer_put = {{.id = KR_SAMPLE_CONSUMER_ID,
                                              .bucket_id = KR_SAMPLE_BUCKET_ID,
                                              .name = "my-consumer"},
                                             .expected_version = 2}},
    {KR_OP_CONSUMER_DELETE, .as.target = {KR_SAMPLE_CONSUMER_ID, .expected_version = 3}},
    {KR_OP_CONSUMER_REVOKE,
     .as.target = {KR_SAMPLE_CONSUMER_ID, .reason = KR_REASON_AFFILIATION_CHANGED}},
    {KR_OP_KEY_PUT, .as.key_put = {{.digest = KR_SAMPLE_DIGEST,
                                    .id = KR_SAMPLE_KEY_ID,
                                    .bucket_id = KR_SAMPLE_BUCKET_ID,
                                    .consumer_id = KR_SAMPLE_CONSUMER_ID},
                                   .expected_version = 4}},
    {KR_OP_KEY_REVOKE, .as.key_revoke = {KR_SAMPLE_DIGEST, 5, KR_REASON_SUPERSEDED, 1700000000020}},
    {KR_OP_MANAGER_PUT, .as.manager_put = {.id = KR_SAMPLE_MANAGER_ID,
                                           .consumer_id = KR_SAMPLE_CONSUMER_ID,
                                           .email = "a@example.org"}},
    {KR_OP_MANAGER_DELETE, .as.manager_delete = {KR_SAMPLE_CONSUMER_ID, KR_SAMPLE_MANAGER_ID}},
    {KR_OP_VAULT_PUT, .as.vault_put = {KR_SAMPLE_KEY_ID, 1, {sample_box, sizeof(sample_box)}}},
    {KR_OP_PURGE, .as.purge = {1700000000021, 500, 0}},
    {KR_OP_MEMBER_PUT, .as.member_put = {.id = "eu-1",
                                         .region = "eu",
                                         .role = KR_MEMBER_FOLLOWER,
                                         .peer_address = "10.0.0.1:7402",
                                         .added_ms = 1700000000022}},
    {KR_OP_MEMBER_REMOVE, .as.member_remove = {"eu-2"}},
    {KR_OP_LEAD, .as.lead = {"eu-1", 7}},
    {KR_OP_VAULT_VERSION, .as.vault_version = {{2, KR_SAMPLE_DIGEST}, true}},
};
enum { KR_SAMPLE_OPS = sizeof(sample_ops) / sizeof(sample_ops[0]) };

// The copy is the test's to change.
static struct entry sample_entry(struct command_op ops[KR_SAMPLE_OPS])
{
    memcpy(ops, sample_ops, sizeof(sample_ops));
    return (struct entry){
        .index = 306,
        .epoch = 7,
        .at_unix_us = 1700000000016017,
        .command =
            {
                .ops = ops,
                .op_count = KR_SAMPLE_OPS,
                .audit = &sample_audit_minimal,
                .idempotency = &sample_idempotency_minimal,
                .request_id = "req-2",
                .actor = "system",
                .requested_ms = 1700000000018,
            },
    };
}

static void every_operation_is_in_the_sample(void **state)
{
    (void)state;
    for (int i = 0; i < KR_SAMPLE_OPS; i++)
        assert_int_equal(sample_ops[i].kind, i + 1);
    assert_int_equal(KR_SAMPLE_OPS, KR_OP_VAULT_VERSION);
}

static void an_entry_has_the_golden_bytes(void **state)
{
    (void)state;
    struct command_op ops[KR_SAMPLE_OPS];
    struct entry entry = sample_entry(ops);
    struct buf out;
    buf_init(&out, KR_SAMPLE_MAX);
    codec_add_entry(&out, &entry);
    assert_hex(buf_bytes(&out), golden_entry);
    buf_clear(&out);
    codec_add_entry(&out, &(struct entry){.index = 1});
    assert_hex(buf_bytes(&out), golden_entry_minimal);
    buf_fini(&out);
}

static void an_entry_survives_a_round_trip(void **state)
{
    (void)state;
    assert_recodes(recode_entry, golden_entry);
    assert_recodes(recode_entry, golden_entry_minimal);
}

static void a_decoded_entry_has_its_parts(void **state)
{
    (void)state;
    uint8_t memory[KR_SAMPLE_MAX];
    struct arena arena;
    struct entry entry;
    arena_init(&arena);
    assert_int_equal(codec_entry(unhex(golden_entry, memory), &arena, &entry), KR_ERR_OK);
    assert_int_equal(entry.index, 306);
    assert_int_equal(entry.epoch, 7);
    assert_int_equal(entry.at_unix_us, 1700000000016017);
    assert_string_equal(entry.command.actor, "system");
    assert_int_equal(entry.command.op_count, KR_SAMPLE_OPS);
    assert_string_equal(entry.command.audit->action, "access.denied");
    assert_int_equal(entry.command.idempotency->body[0], 255);
    assert_int_equal(codec_entry(unhex(golden_entry_minimal, memory), &arena, &entry), KR_ERR_OK);
    assert_null(entry.command.audit);
    assert_null(entry.command.idempotency);
    assert_null(entry.command.actor);
    assert_int_equal(entry.command.op_count, 0);
    arena_fini(&arena);
}

static void each_operation_survives_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < KR_SAMPLE_OPS; i++) {
        struct command_op op = sample_ops[i];
        struct entry entry = {.index = 1, .command = {.ops = &op, .op_count = 1}};
        struct buf out, again;
        buf_init(&out, KR_SAMPLE_MAX);
        buf_init(&again, KR_SAMPLE_MAX);
        codec_add_entry(&out, &entry);
        assert_int_equal(recode_entry(buf_bytes(&out), &again), KR_ERR_OK);
        assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&again)));
        buf_fini(&out);
        buf_fini(&again);
    }
}

// Written and read again; what is read lies in the arena.
static struct entry reread(struct command_op *ops, size_t count, struct arena *arena)
{
    const struct entry entry = {.index = 1, .command = {.ops = ops, .op_count = count}};
    struct entry got;
    struct buf out;
    buf_init(&out, KR_SAMPLE_MAX);
    codec_add_entry(&out, &entry);
    assert_int_equal(codec_entry(buf_bytes(&out), arena, &got), KR_ERR_OK);
    buf_fini(&out);
    return got;
}

static void a_creation_for_a_name_survives(void **state)
{
    (void)state;
    struct command_op ops[] = {sample_ops[KR_OP_CONSUMER_PUT - 1], sample_ops[KR_OP_KEY_PUT - 1]};
    ops[0].as.consumer_put.is_if_absent = true;
    ops[1].as.key_put.consumer_name = "my-consumer";
    struct arena arena;
    arena_init(&arena);
    const struct entry got = reread(ops, 2, &arena);
    assert_true(got.command.ops[0].as.consumer_put.is_if_absent);
    assert_string_equal(got.command.ops[1].as.key_put.consumer_name, "my-consumer");
    arena_fini(&arena);
}

static void how_far_a_purge_takes_audit_rows_survives(void **state)
{
    (void)state;
    struct command_op op = {KR_OP_PURGE, .as.purge = {1700000000021, 500, 1600000000000}};
    struct arena arena;
    arena_init(&arena);
    const struct entry got = reread(&op, 1, &arena);
    assert_int_equal(got.command.ops[0].as.purge.audit_until_ms, 1600000000000);
    arena_fini(&arena);
}

static void damaged_entries_are_refused_or_settle(void **state)
{
    (void)state;
    assert_survives_damage(recode_entry, golden_entry);
}

static void an_unknown_operation_is_of_another_version(void **state)
{
    (void)state;
    // Operation 17, an operation without any, one with two, and operation 13 (PURGE) as it is.
    assert_int_equal(recode_result_with(recode_entry, golden_entry, "3a03920100"), KR_ERR_VERSION);
    assert_int_equal(recode_result_with(recode_entry, golden_entry, "3a00"), KR_ERR_VERSION);
    assert_int_equal(recode_result_with(recode_entry, golden_entry, "3a046a006a00"),
                     KR_ERR_CORRUPT);
    assert_int_equal(recode_result_with(recode_entry, golden_entry, "3a0622006a00"),
                     KR_ERR_CORRUPT);
    assert_int_equal(recode_result_with(recode_entry, golden_entry, "3a026a00"), KR_ERR_OK);
}

static void an_operation_without_its_parts_is_corrupt(void **state)
{
    (void)state;
    // Every operation but PURGE needs something; then reasons of a later version.
    for (unsigned number = 1; number <= KR_OP_VAULT_VERSION; number++) {
        char op[16];
        if (number < 16)
            snprintf(op, sizeof(op), "3a02%02x00", number << 3 | 2);
        else
            snprintf(op, sizeof(op), "3a03%02x%02x00", (number << 3 & 0x7f) | 0x82, number >> 4);
        if (number == KR_OP_PURGE)
            continue;
        assert_int_equal(recode_result_with(recode_entry, golden_entry_minimal, op),
                         KR_ERR_CORRUPT);
    }
    assert_int_equal(recode_result_with(recode_entry, golden_entry_minimal, "3a071a050a01611806"),
                     KR_ERR_VERSION);
    assert_int_equal(recode_result_with(recode_entry, golden_entry_minimal, "3a071a050a01611805"),
                     KR_ERR_OK);
}

static void fields_of_a_later_version_are_tolerated(void **state)
{
    (void)state;
    assert_int_equal(recode_result_with(recode_entry, golden_entry, "c03e2a"), KR_ERR_OK);
    assert_int_equal(recode_result_with(recode_entry, golden_entry, "3a056a00c03e2a"), KR_ERR_OK);
}

static void an_entry_without_a_place_is_corrupt(void **state)
{
    (void)state;
    assert_int_equal(recode_result(recode_entry, ""), KR_ERR_CORRUPT);
    assert_int_equal(recode_result(recode_entry, "0800"), KR_ERR_CORRUPT);
    assert_int_equal(recode_result(recode_entry, "1007"), KR_ERR_CORRUPT);
}

static void place_and_body_make_the_entry(void **state)
{
    (void)state;
    uint8_t memory[KR_SAMPLE_MAX];
    struct bytes whole = unhex(golden_entry, memory);
    struct command_op ops[KR_SAMPLE_OPS];
    struct entry entry = sample_entry(ops);
    struct buf body, out;
    entry.index = entry.epoch = 0;
    entry.at_unix_us = 0;
    buf_init(&body, KR_SAMPLE_MAX);
    buf_init(&out, KR_SAMPLE_MAX);
    codec_add_entry(&body, &entry);
    codec_add_entry_place(&out, 306, 7, 1700000000016017);
    assert_true(out.size <= KR_CODEC_PLACE_MAX);
    buf_add_bytes(&out, buf_bytes(&body));
    assert_hex(buf_bytes(&out), golden_entry);
    assert_true(bytes_equal(codec_entry_body(whole), buf_bytes(&body)));
    buf_fini(&body);
    buf_fini(&out);
}

static void a_bulk_of_keys_survives(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct arena arena;
    struct entry entry = {.index = 1}, got;
    struct buf out;
    arena_init(&arena);
    buf_init(&out, 64u << 20);
    for (size_t i = 0; i < COUNT; i++) {
        struct command_op *op = command_add(&entry.command, KR_OP_KEY_PUT, &arena);
        op->as.key_put.record = sample_key;
        memcpy(op->as.key_put.record.digest, &i, sizeof(i));
    }
    codec_add_entry(&out, &entry);
    assert_int_equal(codec_entry(buf_bytes(&out), &arena, &got), KR_ERR_OK);
    assert_int_equal(got.command.op_count, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        assert_memory_equal(got.command.ops[i].as.key_put.record.digest, &i, sizeof(i));
    buf_fini(&out);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_is_in_the_sample),
        cmocka_unit_test(an_entry_has_the_golden_bytes),
        cmocka_unit_test(an_entry_survives_a_round_trip),
        cmocka_unit_test(a_decoded_entry_has_its_parts),
        cmocka_unit_test(each_operation_survives_alone),
        cmocka_unit_test(a_creation_for_a_name_survives),
        cmocka_unit_test(how_far_a_purge_takes_audit_rows_survives),
        cmocka_unit_test(damaged_entries_are_refused_or_settle),
        cmocka_unit_test(an_unknown_operation_is_of_another_version),
        cmocka_unit_test(an_operation_without_its_parts_is_corrupt),
        cmocka_unit_test(fields_of_a_later_version_are_tolerated),
        cmocka_unit_test(an_entry_without_a_place_is_corrupt),
        cmocka_unit_test(place_and_body_make_the_entry),
        cmocka_unit_test(a_bulk_of_keys_survives),
    };
    return cmocka_run_group_tests_name("proto/codec_entry", tests, NULL, NULL);
}
