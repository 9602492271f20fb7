// SPDX-License-Identifier: Apache-2.0
// Envoy's authorization and gRPC's health: questions from outside, and the bytes of answers.
#include "proto/codec_grpc.h"

#include "golden_grpc.h"
#include "proto/codec_wire.h"
#include "recode.h"

static const struct bytes wanted[] = {{(const uint8_t *)"authorization", 13},
                                      {(const uint8_t *)"x-api-key", 9},
                                      {(const uint8_t *)"x-forwarded-for", 15}};

static enum kr_err read_check(struct bytes in, struct codec_check *out)
{
    return codec_check(in, wanted, sizeof(wanted) / sizeof(wanted[0]), out);
}

static enum kr_err check_result(const char *hex)
{
    uint8_t memory[KR_SAMPLE_MAX];
    struct codec_check check;
    return read_check(unhex(hex, memory), &check);
}

static void assert_pair(const struct codec_pair *pair, const char *name, const char *value)
{
    assert_true(bytes_equal_text(pair->name, name));
    assert_true(bytes_equal_text(pair->value, value));
}

static void a_check_is_read(void **state)
{
    (void)state;
    uint8_t memory[KR_SAMPLE_MAX];
    struct codec_check check;
    assert_int_equal(read_check(unhex(golden_check, memory), &check), KR_ERR_OK);
    assert_true(bytes_equal_text(check.path, "/orders?a=b"));
    assert_true(bytes_equal_text(check.source, "192.0.2.7"));
    assert_int_equal(check.header_count, 4); // user-agent is not wanted
    assert_pair(&check.headers[0], "authorization", "Bearer kr_live_secret");
    assert_pair(&check.headers[1], "x-api-key", "");
    assert_pair(&check.headers[2], "X-API-Key", "kr_live_raw");
    assert_pair(&check.headers[3], "x-forwarded-for", "192.0.2.8");
    assert_int_equal(check.extension_count, 2);
    assert_pair(&check.extensions[0], "bucket", "production");
    assert_pair(&check.extensions[1], "scopes", "read,write");
}

static void an_empty_check_asks_nothing(void **state)
{
    (void)state;
    struct codec_check check;
    assert_int_equal(read_check((struct bytes){0}, &check), KR_ERR_OK);
    assert_int_equal(check.header_count + check.extension_count, 0);
    assert_int_equal(check.path.size + check.source.size, 0);
    // attributes twice, a part each: protobuf merges them.
    assert_int_equal(check_result("0a02520a"), KR_ERR_INVALID);
    uint8_t memory[KR_SAMPLE_MAX];
    struct bytes in = unhex("0a0752050a01611200"
                            "0a0752050a01621200",
                            memory);
    assert_int_equal(read_check(in, &check), KR_ERR_OK);
    assert_int_equal(check.extension_count, 2);
    assert_pair(&check.extensions[1], "b", "");
}

static void a_malformed_check_is_invalid(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0801",                     // the attributes as a number
        "0a0a",                     // cut
        "0a025001",                 // an extension as a number
        "0a0452021001",             // an extension's value as a number
        "0a02520b",                 // cut within
        "0a04520208ff",             // a number without an end
        "0a032201ff",               // the request is no message
        "0b",                       // a group
        "0a0a220812066a040a021801", // the raw value of a header as a number
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        enum kr_err err = check_result(bad[i]);
        if (err != KR_ERR_INVALID)
            fail_msg("%s: %s", bad[i], err_text(err));
    }
    assert_int_equal(check_result("c03e2a"), KR_ERR_OK);   // a later version's field
    assert_int_equal(check_result("0a02700a"), KR_ERR_OK); // of the attributes, too
}

// A header with a value and another raw value could be taken for either.
static void two_values_of_one_header_are_refused(void **state)
{
    (void)state;
    assert_int_equal(check_result("0a11220f120d6a0b0a090a016b1201761a0177"), KR_ERR_INVALID);
    assert_int_equal(check_result("0a0e220c120a6a080a060a016b1a0177"), KR_ERR_OK);
}

// `unit` so often in attributes; in the caller's memory.
static struct bytes repeat(const char *unit, size_t count, uint8_t *memory)
{
    struct buf out;
    size_t unit_size = strlen(unit) / 2;
    uint8_t one[64];
    buf_init_fixed(&out, memory, KR_SAMPLE_MAX);
    assert_true(text_from_hex(bytes_text(unit), one, unit_size));
    codec_wire_add_head(&out, 1, unit_size * count);
    for (size_t i = 0; i < count; i++)
        buf_add(&out, one, unit_size);
    assert_int_equal(buf_result(&out), KR_ERR_OK);
    return buf_bytes(&out);
}

static void what_is_kept_is_bounded(void **state)
{
    (void)state;
    static const char extension[] = "52030a0161";
    static const char key[] = "221312111a0f0a09782d6170692d6b657912026b31";
    static const char other[] = "221312111a0f0a09782d6170692d6f746812026b31";
    uint8_t memory[KR_SAMPLE_MAX];
    struct codec_check check;
    assert_int_equal(read_check(repeat(extension, KR_CHECK_EXTENSIONS_MAX, memory), &check),
                     KR_ERR_OK);
    assert_int_equal(read_check(repeat(extension, KR_CHECK_EXTENSIONS_MAX + 1, memory), &check),
                     KR_ERR_TOO_LARGE);
    assert_int_equal(read_check(repeat(key, KR_CHECK_HEADERS_MAX, memory), &check), KR_ERR_OK);
    assert_int_equal(check.header_count, KR_CHECK_HEADERS_MAX);
    assert_int_equal(read_check(repeat(key, KR_CHECK_HEADERS_MAX + 1, memory), &check),
                     KR_ERR_TOO_LARGE);
    // What nobody asks for is not kept, however much it is.
    assert_int_equal(read_check(repeat(other, KR_CHECK_HEADERS_MAX + 1, memory), &check),
                     KR_ERR_OK);
    assert_int_equal(check.header_count, 0);
}

static void damaged_checks_stay_inside_their_bytes(void **state)
{
    (void)state;
    uint8_t memory[KR_SAMPLE_MAX];
    struct bytes whole = unhex(golden_check, memory);
    for (size_t bit = 0; bit < whole.size * 8; bit++) {
        struct codec_check check;
        memory[bit / 8] ^= (uint8_t)(1u << bit % 8);
        // A copy of exactly this size, so that the sanitizers see a byte too far.
        uint8_t *copy = memcpy(mem_alloc(whole.size), memory, whole.size);
        enum kr_err err = read_check(bytes_of(copy, whole.size), &check);
        assert_true(err == KR_ERR_OK || err == KR_ERR_INVALID);
        mem_free(copy);
        memory[bit / 8] ^= (uint8_t)(1u << bit % 8);
        copy = memcpy(mem_alloc(bit / 8 + 1), memory, bit / 8 + 1);
        err = read_check(bytes_of(copy, bit / 8), &check);
        assert_true(err == KR_ERR_OK || err == KR_ERR_INVALID);
        mem_free(copy);
    }
}

// --- answers -------------------------------------------------------------------------------------

static void assert_answer(const struct codec_check_answer *answer, const char *golden)
{
    struct buf out;
    buf_init(&out, KR_SAMPLE_MAX);
    codec_add_check_answer(&out, answer);
    assert_int_equal(buf_result(&out), KR_ERR_OK);
    assert_hex(buf_bytes(&out), golden);
    buf_fini(&out);
}

static struct codec_pair pair(const char *name, const char *value)
{
    return (struct codec_pair){bytes_text(name), bytes_text(value)};
}

static void who_is_let_in_is_written_as_envoy_reads_it(void **state)
{
    (void)state;
    char large[301] = "";
    memset(large, 'm', 300);
    const struct codec_pair headers[] = {
        pair("x-consumer-id", "csmr_1"),
        pair("x-key-expires", ""),
        pair("x-consumer-metadata", large),
    };
    const struct codec_pair metadata[] = {pair("code", "VALID"), pair("bucket", "")};
    const struct bytes removals[] = {bytes_text("authorization"), bytes_text("X-API-Key")};
    static const char *const scopes[] = {"read", ""};
    struct codec_check_answer answer = {
        .headers = headers,
        .header_count = 3,
        .removals = removals,
        .removal_count = 2,
        .metadata = metadata,
        .metadata_count = 2,
        .list_name = bytes_text("scopes"),
        .list = scopes,
        .list_count = 2,
    };
    assert_answer(&answer, golden_check_allowed);
    answer = (struct codec_check_answer){.list_name = bytes_text("scopes")};
    assert_answer(&answer, golden_check_empty);
}

static void a_refusal_is_written_as_envoy_reads_it(void **state)
{
    (void)state;
    const struct codec_pair headers[] = {pair("www-authenticate", "Bearer")};
    const struct codec_pair metadata[] = {pair("code", "REVOKED")};
    struct codec_check_answer answer = {
        .status = 16,
        .status_text = bytes_text("REVOKED"),
        .http_status = 401,
        .headers = headers,
        .header_count = 1,
        .body = bytes_text("{}"),
        .metadata = metadata,
        .metadata_count = 1,
    };
    assert_answer(&answer, golden_check_denied);
}

// --- health --------------------------------------------------------------------------------------

static void health_is_asked_by_name_and_told(void **state)
{
    (void)state;
    uint8_t memory[KR_SAMPLE_MAX];
    struct bytes service;
    struct buf out;
    assert_int_equal(codec_health_question((struct bytes){0}, &service), KR_ERR_OK);
    assert_int_equal(service.size, 0);
    assert_int_equal(codec_health_question(unhex("0a026162", memory), &service), KR_ERR_OK);
    assert_true(bytes_equal_text(service, "ab"));
    assert_int_equal(codec_health_question(unhex("0801", memory), &service), KR_ERR_INVALID);
    assert_int_equal(codec_health_question(unhex("0a0361", memory), &service), KR_ERR_INVALID);
    buf_init(&out, KR_SAMPLE_MAX);
    codec_add_health_answer(&out, KR_HEALTH_SERVING);
    codec_add_health_answer(&out, KR_HEALTH_NOT_SERVING);
    assert_hex(buf_bytes(&out), "08010802");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_is_read),
        cmocka_unit_test(an_empty_check_asks_nothing),
        cmocka_unit_test(a_malformed_check_is_invalid),
        cmocka_unit_test(two_values_of_one_header_are_refused),
        cmocka_unit_test(what_is_kept_is_bounded),
        cmocka_unit_test(damaged_checks_stay_inside_their_bytes),
        cmocka_unit_test(who_is_let_in_is_written_as_envoy_reads_it),
        cmocka_unit_test(a_refusal_is_written_as_envoy_reads_it),
        cmocka_unit_test(health_is_asked_by_name_and_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
