// SPDX-License-Identifier: Apache-2.0
// Checking and splicing a row of an import.
#include "client/import_row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define KEY "\"key\":\"0123456789abcdef1\""

static struct import_row row;
static struct fault reason;

static enum kr_err take(const char *line)
{
    reason = (struct fault){0};
    return import_row_take(&row, bytes_text(line), &reason);
}

static void assert_row(const char *line, const char *bucket, const char *text)
{
    if (take(line) != KR_ERR_OK)
        fail_msg("%s: %s", line, reason.text);
    assert_string_equal(row.bucket, bucket);
    assert_int_equal(row.text.size, strlen(text));
    assert_memory_equal(row.text.data, text, row.text.size);
}

static void assert_refused(const char *line, const char *why)
{
    if (take(line) == KR_ERR_OK)
        fail_msg("%s was taken", line);
    if (strstr(reason.text, why) == NULL)
        fail_msg("%s: \"%s\" does not speak of \"%s\"", line, reason.text, why);
}

static void a_row_without_a_bucket_goes_on_as_it_stands(void **state)
{
    (void)state;
    assert_row("{\"consumer\":\"a\", " KEY "}", "", "{\"consumer\":\"a\", " KEY "}");
    assert_row(" \t{\"consumer\":\"a\"," KEY "} \r", "", "{\"consumer\":\"a\"," KEY "}");
}

static void the_bucket_is_cut_out_wherever_it_stands(void **state)
{
    (void)state;
    assert_row("{\"bucket\":\"bbb\",\"consumer\":\"a\"," KEY "}", "bbb",
               "{\"consumer\":\"a\"," KEY "}");
    assert_row("{\"consumer\":\"a\",\"bucket\" : \"bbb\" ," KEY "}", "bbb",
               "{\"consumer\":\"a\"," KEY "}");
    assert_row("{\"consumer\":\"a\"," KEY " , \"bucket\":\"bbb\" }", "bbb",
               "{\"consumer\":\"a\"," KEY " }");
}

static void only_the_top_level_bucket_is_cut(void **state)
{
    static const char rest[] = "{\"metadata\":{\"bucket\":\"x\",\"a\":[1,{\"bucket\":2}]},"
                               "\"description\":\"\\\"bucket\\\":,}\","
                               "\"consumer\":\"a\"," KEY "}";
    char line[512];
    (void)state;
    assert_row(rest, "", rest);
    snprintf(line, sizeof(line), "%.*s,\"bucket\":\"bbb\"}", (int)(sizeof(rest) - 2), rest);
    assert_row(line, "bbb", rest);
}

static void a_bucket_written_with_escapes_is_found_too(void **state)
{
    (void)state;
    assert_row("{\"consumer\":\"a\",\"b\\u0075cket\":\"bbb\"," KEY "}", "bbb",
               "{\"consumer\":\"a\"," KEY "}");
}

static void all_members_are_taken(void **state)
{
    (void)state;
    assert_int_equal(
        take("{\"bucket\":\"bbb\",\"consumer\":\"a\",\"keyHash\":{\"algorithm\":\"sha256\","
             "\"value\":"
             "\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\",\"last4\":\"abcd\"},"
             "\"description\":\"d\",\"expiresOn\":\"2027-01-31T12:00:00Z\",\"scopes\":[\"a\"],"
             "\"notBefore\":\"2026-01-31\",\"enabled\":false,"
             "\"ipAllow\":[\"192.0.2.0/24\",\"2001:db8::1\"],"
             "\"tags\":{\"x\":\"y\"},\"metadata\":{\"n\":1},\"consumerMetadata\":{},"
             "\"consumerTags\":{},\"consumerDescription\":\"d\"}"),
        KR_ERR_OK);
}

static void null_stands_for_what_is_not_there(void **state)
{
    (void)state;
    assert_int_equal(take("{\"consumer\":\"a\"," KEY ",\"keyHash\":null,\"description\":null,"
                          "\"expiresOn\":null,\"notBefore\":null,\"scopes\":null,\"ipAllow\":null,"
                          "\"tags\":null,\"metadata\":null,\"consumerMetadata\":null,"
                          "\"consumerTags\":null,\"consumerDescription\":null}"),
                     KR_ERR_OK);
    assert_refused("{\"consumer\":\"a\",\"key\":null}", "either");
    assert_refused("{\"consumer\":null," KEY "}", "consumer");
    assert_refused("{\"consumer\":\"a\"," KEY ",\"enabled\":null}", "enabled");
}

static void a_consumer_may_be_named_by_its_id(void **state)
{
    (void)state;
    assert_int_equal(take("{\"consumer\":\"csmr_7hTz3KcVb9QwX2nLmR5sYpEa\"," KEY "}"), KR_ERR_OK);
    assert_refused("{\"consumer\":\"csmr_7hTz3KcVb9QwX2nLmR5sYpE\"," KEY "}", "consumer");
    assert_refused("{\"consumer\":\"bckt_7hTz3KcVb9QwX2nLmR5sYpEa\"," KEY "}", "consumer");
}

static void a_consumer_may_be_named_as_none_could_be_today(void **state)
{
    (void)state;
    assert_int_equal(take("{\"consumer\":\"-\"," KEY "}"), KR_ERR_OK);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    assert_refused("", "not JSON");
    assert_refused("nonsense", "not JSON");
    assert_refused("[]", "object");
    assert_refused("{\"consumer\":\"a\"," KEY "} {}", "not JSON");
    assert_refused("{\"consumer\":\"a\"," KEY "," KEY "}", "not JSON");
    assert_refused("{" KEY "}", "consumer");
    assert_refused("{\"consumer\":\"a\"}", "key");
    assert_refused("{\"consumer\":\"a\"," KEY ",\"keyHash\":{\"algorithm\":\"sha256\",\"value\":"
                   "\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"}}",
                   "either");
    assert_refused("{\"consumer\":\"A\"," KEY "}", "consumer");
    assert_refused("{\"consumer\":1," KEY "}", "consumer");
    assert_refused("{\"bucket\":\"b\",\"consumer\":\"a\"," KEY "}", "bucket");
    assert_refused("{\"consumer\":\"a\",\"key\":\"too-short\"}", "key");
    assert_refused("{\"consumer\":\"a\",\"key\":\"with a space 0123456\"}", "key");
    assert_refused("{\"consumer\":\"a\",\"keyHash\":{\"algorithm\":\"md5\",\"value\":\"x\"}}",
                   "algorithm");
    assert_refused("{\"consumer\":\"a\",\"keyHash\":{\"algorithm\":\"sha256\",\"value\":\"x\"}}",
                   "value");
    assert_refused("{\"consumer\":\"a\"," KEY ",\"expiresOn\":\"soon\"}", "expiresOn");
    assert_refused("{\"consumer\":\"a\"," KEY ",\"expiresOn\":17}", "expiresOn");
    assert_refused("{\"consumer\":\"a\"," KEY ",\"scopes\":[1]}", "scopes");
    assert_refused("{\"consumer\":\"a\"," KEY ",\"tags\":{\"a\":1}}", "tags");
    assert_refused("{\"consumer\":\"a\"," KEY ",\"metadata\":[]}", "metadata");
    assert_refused("{\"consumer\":\"a\"," KEY ",\"notBefore\":\"soon\"}", "notBefore");
    assert_refused("{\"consumer\":\"a\"," KEY ",\"enabled\":\"yes\"}", "enabled");
    assert_refused("{\"consumer\":\"a\"," KEY ",\"ipAllow\":\"192.0.2.1\"}", "ipAllow");
    assert_refused("{\"consumer\":\"a\"," KEY ",\"ipAllow\":[\"192.0.2.1/24\"]}", "ipAllow");
    assert_refused("{\"consumer\":\"a\"," KEY ",\"consumerTags\":{\"a\":1}}", "consumerTags");
    assert_refused("{\"consumer\":\"a\"," KEY ",\"consumerDescription\":1}", "consumerDescription");
    assert_refused("{\"consumer\":\"a\"," KEY ",\"colour\":\"red\"}", "colour");
}

// A row with a member whose value is count items, before<number>after each, in the two brackets.
static const char *row_of_many(const char *name, const char *brackets, const char *before,
                               const char *after, size_t count)
{
    static char line[64 << 10];
    size_t size = (size_t)snprintf(line, sizeof(line), "{\"consumer\":\"a\"," KEY ",\"%s\":%c",
                                   name, brackets[0]);
    for (size_t i = 0; i < count; i++) {
        size += (size_t)snprintf(line + size, sizeof(line) - size, "%s%s%zu%s", i == 0 ? "" : ",",
                                 before, i, after);
    }
    snprintf(line + size, sizeof(line) - size, "%c}", brackets[1]);
    return line;
}

static const char *row_of_long(const char *before, size_t count, const char *after)
{
    static char line[64 << 10];
    char letters[32 << 10];
    memset(letters, 'x', count);
    letters[count] = '\0';
    snprintf(line, sizeof(line), "{\"consumer\":\"a\"," KEY ",%s%s%s}", before, letters, after);
    return line;
}

static void counts_of_items_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(take(row_of_many("scopes", "[]", "\"s", "\"", 64)), KR_ERR_OK);
    assert_refused(row_of_many("scopes", "[]", "\"s", "\"", 65), "at most 64");
    assert_int_equal(take(row_of_many("ipAllow", "[]", "\"192.0.2.", "\"", 64)), KR_ERR_OK);
    assert_refused(row_of_many("ipAllow", "[]", "\"192.0.2.", "\"", 65), "at most 64");
    assert_int_equal(take(row_of_many("tags", "{}", "\"t", "\":\"\"", 5)), KR_ERR_OK);
    assert_refused(row_of_many("tags", "{}", "\"t", "\":\"\"", 6), "at most 5");
    assert_refused(row_of_many("consumerTags", "{}", "\"t", "\":\"\"", 6), "consumerTags");
}

static void lengths_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(take(row_of_long("\"description\":\"", 1024, "\"")), KR_ERR_OK);
    assert_refused(row_of_long("\"description\":\"", 1025, "\""), "at most 1024 characters");
    assert_refused(row_of_long("\"consumerDescription\":\"", 1025, "\""), "at most 1024");
    assert_int_equal(take(row_of_long("\"scopes\":[\"", 128, "\"]")), KR_ERR_OK);
    assert_refused(row_of_long("\"scopes\":[\"", 129, "\"]"), "scopes");
    assert_refused(row_of_long("\"tags\":{\"", 65, "\":\"\"}"), "tags");
    assert_refused(row_of_long("\"tags\":{\"\":\"", 1, "\"}"), "tags");
    assert_refused(row_of_long("\"tags\":{\"a\":\"", 257, "\"}"), "tags");
    // {"a":"…"}: what stands around the letters is of the 16384 too.
    assert_int_equal(take(row_of_long("\"metadata\":{\"a\":\"", 16384 - 8, "\"}")), KR_ERR_OK);
    assert_refused(row_of_long("\"metadata\":{\"a\":\"", 16384 - 7, "\"}"), "at most 16384 bytes");
    assert_refused(row_of_long("\"consumerMetadata\":{\"a\":\"", 16384, "\"}"), "at most 16384");
}

static void scopes_have_the_nodes_grammar(void **state)
{
    (void)state;
    assert_refused("{\"consumer\":\"a\"," KEY ",\"scopes\":[\"a,b\"]}", "comma");
    assert_refused("{\"consumer\":\"a\"," KEY ",\"scopes\":[\"a\",\"\"]}", "scopes");
    assert_refused("{\"consumer\":\"a\"," KEY ",\"scopes\":[\"a b\"]}", "scopes");
}

#define HASH                                                                                       \
    "\"keyHash\":{\"algorithm\":\"sha256\",\"value\":"                                             \
    "\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\",\"last4\":"

static void last4_is_four_characters_or_none(void **state)
{
    (void)state;
    assert_int_equal(take("{\"consumer\":\"a\"," HASH "\"\"}}"), KR_ERR_OK);
    assert_int_equal(take("{\"consumer\":\"a\"," HASH "null}}"), KR_ERR_OK);
    assert_refused("{\"consumer\":\"a\"," HASH "\"abcde\"}}", "last4");
    assert_refused("{\"consumer\":\"a\"," HASH "\"abc\"}}", "last4");
}

static void the_times_must_leave_a_life(void **state)
{
    static const char past[] = "{\"consumer\":\"a\"," KEY ",\"expiresOn\":\"2026-01-31\"}";
    (void)state;
    assert_refused("{\"consumer\":\"a\"," KEY ",\"expiresOn\":\"2026-01-31\","
                   "\"notBefore\":\"2026-01-31\"}",
                   "notBefore must be before expiresOn");
    assert_int_equal(take(past), KR_ERR_OK); // the node's clock counts
    row.now_ms = 1769817600000;              // 2026-01-31
    assert_refused(past, "expiresOn is in the past");
    row.now_ms--;
    assert_int_equal(take(past), KR_ERR_OK);
    row.now_ms = 0;
}

static void whose_value_it_is_can_be_asked(void **state)
{
    uint8_t digest[KR_DIGEST_SIZE];
    (void)state;
    assert_int_equal(take("{\"consumer\":\"acme\"," KEY "}"), KR_ERR_OK);
    assert_string_equal(row.consumer, "acme");
    digest_sha256(bytes_text("0123456789abcdef1"), digest);
    assert_memory_equal(row.digest, digest, sizeof(digest));
    assert_int_equal(take("{\"consumer\":\"a\",\"key\":null," HASH "null}}"), KR_ERR_OK);
    digest_sha256(bytes_text(""), digest);
    assert_memory_equal(row.digest, digest, sizeof(digest));
}

static void a_damaged_key_is_refused_and_not_quoted(void **state)
{
    static const char body[] = "d67b7e241bb948758f415b79aa8ec822";
    (void)state;
    assert_int_equal(
        take("{\"consumer\":\"a\",\"key\":\"zpka_d67b7e241bb948758f415b79aa8ec822_2efb7009\"}"),
        KR_ERR_OK);
    assert_refused(
        "{\"consumer\":\"a\",\"key\":\"zpka_d67b7e241bb948758f415b79aa8ec822_2efb7008\"}",
        "checksum");
    assert_null(strstr(reason.text, body));
    assert_refused("{\"consumer\":\"a\",\"key\":zpka_d67b7e241bb948758f415b79aa8ec822_2efb7009}",
                   "not JSON");
    assert_null(strstr(reason.text, body));
}

static int setup(void **state)
{
    (void)state;
    import_row_init(&row);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    import_row_fini(&row);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_without_a_bucket_goes_on_as_it_stands),
        cmocka_unit_test(the_bucket_is_cut_out_wherever_it_stands),
        cmocka_unit_test(only_the_top_level_bucket_is_cut),
        cmocka_unit_test(a_bucket_written_with_escapes_is_found_too),
        cmocka_unit_test(all_members_are_taken),
        cmocka_unit_test(null_stands_for_what_is_not_there),
        cmocka_unit_test(a_consumer_may_be_named_by_its_id),
        cmocka_unit_test(a_consumer_may_be_named_as_none_could_be_today),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(counts_of_items_are_bounded),
        cmocka_unit_test(lengths_are_bounded),
        cmocka_unit_test(scopes_have_the_nodes_grammar),
        cmocka_unit_test(last4_is_four_characters_or_none),
        cmocka_unit_test(the_times_must_leave_a_life),
        cmocka_unit_test(whose_value_it_is_can_be_asked),
        cmocka_unit_test(a_damaged_key_is_refused_and_not_quoted),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
