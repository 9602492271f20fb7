// SPDX-License-Identifier: Apache-2.0
// etcd's JSON: what is asked, byte for byte, and what its answers say. The answers are those of
// etcd 3.4.23.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replication/etcd_codec.h"

static void assert_text(struct buf *out, const char *expected)
{
    assert_int_equal(buf_result(out), KR_ERR_OK);
    buf_add_u8(out, '\0');
    assert_string_equal((const char *)out->data, expected);
    buf_clear(out);
}

static void requests_are_what_the_gateway_takes(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 4096);
    etcd_add_grant(&out, 2);
    assert_text(&out, "{\"TTL\":\"2\"}");
    etcd_add_lease(&out, 4390624896328829701);
    assert_text(&out, "{\"ID\":\"4390624896328829701\"}");
    etcd_add_range(&out, &(struct etcd_range){.key = bytes_text("a"),
                                              .end = bytes_text("b"),
                                              .limit = 8,
                                              .is_descending = true,
                                              .is_keys_only = true});
    assert_text(&out, "{\"key\":\"YQ==\",\"range_end\":\"Yg==\",\"limit\":\"8\",\"sort_target\":"
                      "\"KEY\",\"sort_order\":\"DESCEND\",\"keys_only\":true}");
    etcd_add_compaction(&out, UINT64_MAX);
    assert_text(&out, "{\"revision\":\"18446744073709551615\",\"physical\":true}");
    etcd_add_alarm_off(&out, "443629905751424238");
    assert_text(&out, "{\"action\":\"DEACTIVATE\",\"memberID\":\"443629905751424238\",\"alarm\":"
                      "\"NOSPACE\"}");
    buf_fini(&out);
}

static void a_transaction_names_guards_and_both_outcomes(void **state)
{
    struct buf out;
    const struct etcd_compare guards[] = {{KR_ETCD_CREATE_REVISION_IS, bytes_text("l"), 7},
                                          {KR_ETCD_VERSION_IS, bytes_text("a"), 0}};
    const struct etcd_op then[] = {
        {.kind = KR_ETCD_OP_PUT, .key = bytes_text("a"), .value = bytes_text("v"), .lease = 9},
        {.kind = KR_ETCD_OP_DELETE, .key = bytes_text("a"), .end = bytes_text("b")}};
    const struct etcd_op otherwise = {.kind = KR_ETCD_OP_RANGE, .key = bytes_text("a")};
    (void)state;
    buf_init(&out, 4096);
    etcd_add_txn(&out, &(struct etcd_txn){guards, 2, then, &otherwise, 2, 1});
    assert_text(&out,
                "{\"compare\":[{\"target\":\"CREATE\",\"result\":\"EQUAL\",\"key\":\"bA==\","
                "\"create_revision\":\"7\"},{\"target\":\"VERSION\",\"result\":\"EQUAL\",\"key\":"
                "\"YQ==\",\"version\":\"0\"}],\"success\":[{\"request_put\":{\"key\":\"YQ==\","
                "\"value\":\"dg==\",\"lease\":\"9\"}},{\"request_delete_range\":{\"key\":\"YQ==\","
                "\"range_end\":\"Yg==\"}}],\"failure\":[{\"request_range\":{\"key\":\"YQ==\"}}]}");
    buf_fini(&out);
}

static const char held[] =
    "{\"header\":{\"cluster_id\":\"13455796455940752355\",\"member_id\":\"443629905751424238\","
    "\"revision\":\"2\",\"raft_term\":\"2\"},\"responses\":[{\"response_range\":{\"header\":{"
    "\"revision\":\"2\"},\"kvs\":[{\"key\":\"YQ==\",\"create_revision\":\"2\",\"mod_revision\":"
    "\"2\",\"version\":\"1\",\"value\":\"Yg==\",\"lease\":\"4390624896328829701\"}],\"count\":"
    "\"1\"}},{\"response_range\":{\"header\":{\"revision\":\"2\"}}}]}";

static void a_transactions_ranges_are_read_in_order(void **state)
{
    struct arena arena;
    struct etcd_reply reply;
    (void)state;
    arena_init(&arena);
    assert_int_equal(etcd_read_reply(bytes_text(held), &arena, &reply), KR_ERR_OK);
    assert_false(reply.is_succeeded);
    assert_int_equal(reply.revision, 2);
    assert_int_equal(reply.raft_term, 2);
    assert_int_equal(reply.count, 1);
    assert_true(bytes_equal_text(reply.kvs[0].key, "a"));
    assert_true(bytes_equal_text(reply.kvs[0].value, "b"));
    assert_int_equal(reply.kvs[0].create_revision, 2);
    assert_int_equal(reply.kvs[0].lease, 4390624896328829701);
    arena_fini(&arena);
}

static void leases_sizes_and_alarms_are_read(void **state)
{
    struct arena arena;
    struct etcd_reply reply;
    (void)state;
    arena_init(&arena);
    assert_int_equal(etcd_read_reply(bytes_text("{\"result\":{\"header\":{\"raft_term\":\"2\"},"
                                                "\"ID\":\"12345\",\"TTL\":\"2\"}}\n"),
                                     &arena, &reply),
                     KR_ERR_OK);
    assert_int_equal(reply.lease, 12345);
    assert_int_equal(reply.ttl_s, 2);
    assert_int_equal(etcd_read_reply(bytes_text("{\"version\":\"3.4.23\",\"dbSize\":\"20480\","
                                                "\"dbSizeInUse\":\"16384\"}"),
                                     &arena, &reply),
                     KR_ERR_OK);
    assert_int_equal(reply.database_bytes, 20480);
    assert_int_equal(reply.database_used_bytes, 16384);
    assert_int_equal(
        etcd_read_reply(bytes_text("{\"alarms\":[{\"memberID\":\"17\",\"alarm\":\"CORRUPT\"},"
                                   "{\"memberID\":\"18446744073709551615\",\"alarm\":"
                                   "\"NOSPACE\"}]}"),
                        &arena, &reply),
        KR_ERR_OK);
    assert_int_equal(reply.full_count, 1);
    assert_string_equal(reply.full_members[0], "18446744073709551615");
    assert_int_equal(etcd_read_reply(bytes_text("{}"), &arena, &reply), KR_ERR_OK);
    assert_int_equal(reply.count + reply.full_count + reply.revision, 0);
    arena_fini(&arena);
}

static void what_is_no_answer_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "[]",
        "Not Found\n",
        "{\"header\":[]}",
        "{\"header\":{\"revision\":2}}",
        "{\"header\":{\"revision\":\"-2\"}}",
        "{\"header\":{\"revision\":\"18446744073709551616\"}}",
        "{\"kvs\":{}}",
        "{\"kvs\":[1]}",
        "{\"kvs\":[{\"key\":\"Y\"}]}",
        "{\"kvs\":[{\"key\":\"YQ==\",\"value\":\"*\"}]}",
        "{\"succeeded\":\"true\"}",
        "{\"responses\":[[]]}",
        "{\"alarms\":[{\"alarm\":\"NOSPACE\"}]}",
        "{\"alarms\":[{\"alarm\":\"NOSPACE\",\"memberID\":\"x\"}]}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct arena arena;
        struct etcd_reply reply;
        arena_init(&arena);
        if (etcd_read_reply(bytes_text(texts[i]), &arena, &reply) != KR_ERR_CORRUPT)
            fail_msg("accepted: %s", texts[i]);
        assert_int_equal(reply.count, 0);
        arena_fini(&arena);
    }
}

static void an_errors_text_is_cut_and_made_printable(void **state)
{
    char text[32];
    (void)state;
    etcd_read_error(bytes_text("{\"error\":\"etcdserver: mvcc: database space exceeded\",\"code\":"
                               "8}"),
                    text, sizeof(text));
    assert_string_equal(text, "etcdserver: mvcc: database spac");
    etcd_read_error(bytes_text("{\"error\":\"a\\nb\"}"), text, sizeof(text));
    assert_string_equal(text, "a?b");
    etcd_read_error(bytes_text("Not Found"), text, sizeof(text));
    assert_string_equal(text, "");
    etcd_read_error(bytes_text("[\"error\"]"), text, sizeof(text));
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_what_the_gateway_takes),
        cmocka_unit_test(a_transaction_names_guards_and_both_outcomes),
        cmocka_unit_test(a_transactions_ranges_are_read_in_order),
        cmocka_unit_test(leases_sizes_and_alarms_are_read),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(an_errors_text_is_cut_and_made_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
