// SPDX-License-Identifier: Apache-2.0
// A follower's part of an entry: what is in it, and that nothing else is.
#include "recode.h"

#include "samples.h"

static struct command_op ops[] = {
    {KR_OP_CONSUMER_PUT, .as.consumer_put = {{.id = KR_SAMPLE_CONSUMER_ID,
                                              .bucket_id = KR_SAMPLE_BUCKET_ID,
                                              .name = "my-consumer"},
                                             .expected_version = 2}},
    {KR_OP_MANAGER_PUT, .as.manager_put = {.id = KR_SAMPLE_MANAGER_ID,
                                           .consumer_id = KR_SAMPLE_CONSUMER_ID,
                                           .email = "a@example.org"}},
    {KR_OP_VAULT_PUT, .as.vault_put = {KR_SAMPLE_KEY_ID, 1, {sample_box, sizeof(sample_box)}}},
    {KR_OP_LEAD, .as.lead = {"eu-1", 7}},
    {KR_OP_MANAGER_DELETE, .as.manager_delete = {KR_SAMPLE_CONSUMER_ID, KR_SAMPLE_MANAGER_ID}},
    {KR_OP_VAULT_VERSION, .as.vault_version.current = {2, KR_SAMPLE_DIGEST}},
};

static void encode(struct buf *out, size_t first, size_t count)
{
    struct entry entry = {.index = 306,
                          .epoch = 7,
                          .at_unix_us = 1700000000016017,
                          .command = {.ops = ops + first,
                                      .op_count = count,
                                      .audit = &sample_audit_minimal,
                                      .idempotency = &sample_idempotency_minimal,
                                      .request_id = "req-2",
                                      .actor = "system",
                                      .requested_ms = 1700000000018}};
    buf_init(out, KR_SAMPLE_MAX);
    codec_add_entry(out, &entry);
    assert_int_equal(buf_result(out), KR_ERR_OK);
}

static void a_part_has_the_place_and_what_validations_need(void **state)
{
    (void)state;
    struct buf whole, part, again;
    struct arena arena;
    struct entry entry;
    encode(&whole, 0, 6);
    buf_init(&part, KR_SAMPLE_MAX);
    buf_init(&again, KR_SAMPLE_MAX);
    arena_init(&arena);
    assert_int_equal(codec_entry_filter(buf_bytes(&whole), &part), KR_ERR_OK);
    assert_int_equal(codec_entry(buf_bytes(&part), &arena, &entry), KR_ERR_OK);
    assert_int_equal(entry.index, 306);
    assert_int_equal(entry.epoch, 7);
    assert_int_equal(entry.at_unix_us, 1700000000016017);
    assert_int_equal(entry.command.op_count, 2);
    assert_int_equal(entry.command.ops[0].kind, KR_OP_CONSUMER_PUT);
    assert_int_equal(entry.command.ops[0].as.consumer_put.expected_version, 2);
    assert_int_equal(entry.command.ops[1].kind, KR_OP_LEAD);
    assert_null(entry.command.audit);
    assert_null(entry.command.idempotency);
    assert_null(entry.command.request_id);
    assert_null(entry.command.actor);
    assert_int_equal(entry.command.requested_ms, 0);
    assert_int_equal(codec_entry_filter(buf_bytes(&part), &again), KR_ERR_OK);
    assert_true(bytes_equal(buf_bytes(&part), buf_bytes(&again)));
    arena_fini(&arena);
    buf_fini(&whole);
    buf_fini(&part);
    buf_fini(&again);
}

static void an_entry_of_core_records_alone_leaves_nothing(void **state)
{
    (void)state;
    struct buf whole, part;
    encode(&whole, 1, 2);
    buf_init(&part, KR_SAMPLE_MAX);
    buf_add_text(&part, "kept");
    assert_int_equal(codec_entry_filter(buf_bytes(&whole), &part), KR_ERR_OK);
    assert_true(bytes_equal_text(buf_bytes(&part), "kept"));
    buf_fini(&whole);
    buf_fini(&part);
}

static enum kr_err filter_hex(const char *hex, size_t *size)
{
    uint8_t memory[KR_SAMPLE_MAX];
    struct buf part;
    buf_init(&part, KR_SAMPLE_MAX);
    enum kr_err err = codec_entry_filter(unhex(hex, memory), &part);
    *size = part.size;
    buf_fini(&part);
    return err;
}

static void fields_of_a_later_version_stay_behind(void **state)
{
    (void)state;
    size_t size;
    // index 1, a PURGE, field 1000 of the entry.
    assert_int_equal(filter_hex("08013a026a00c03e2a", &size), KR_ERR_OK);
    assert_int_equal(size, 6);
    // An operation that this version does not know; a field of one that it does.
    assert_int_equal(filter_hex("08013a03920100", &size), KR_ERR_VERSION);
    assert_int_equal(filter_hex("08013a056a00c03e2a", &size), KR_ERR_OK);
    assert_int_equal(size, 9);
}

static void bytes_that_are_no_entry_leave_nothing(void **state)
{
    (void)state;
    size_t size;
    assert_int_equal(filter_hex("08013a036a00", &size), KR_ERR_CORRUPT);
    assert_int_equal(size, 0);
    assert_int_equal(filter_hex("08013a026a003a", &size), KR_ERR_CORRUPT);
    assert_int_equal(size, 0);
    assert_int_equal(filter_hex("08013801", &size), KR_ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_has_the_place_and_what_validations_need),
        cmocka_unit_test(an_entry_of_core_records_alone_leaves_nothing),
        cmocka_unit_test(fields_of_a_later_version_stay_behind),
        cmocka_unit_test(bytes_that_are_no_entry_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
