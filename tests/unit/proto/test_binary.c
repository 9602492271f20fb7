// SPDX-License-Identifier: Apache-2.0
// The binary protocol's frames: their bytes, what is cut, what is damaged, what is over a limit.
#include "recode.h"

#include "core/keys/verdict.h"
#include "proto/binary.h"

// Every proper prefix of a frame is read from a copy of its own size, so that the sanitizers see a
// byte too far.
static enum binary_read read_copy(struct bytes in, struct binary_request *request, size_t *consumed,
                                  enum binary_fault *fault)
{
    uint8_t *copy = mem_alloc(in.size);
    if (in.size > 0)
        memcpy(copy, in.data, in.size);
    enum binary_read read = binary_read_request(bytes_of(copy, in.size), request, consumed, fault);
    mem_free(copy);
    return read;
}

static void writes_and_reads_a_request(void **state)
{
    (void)state;
    static const char golden[] = "2800000007000000"
                                 "010702000300"
                                 "61626301007a"
                                 "0807060504030201"
                                 "10270000"
                                 "0a0070726f64756374696f6e";
    const struct bytes keys[] = {bytes_text("abc"), bytes_text("z")};
    const struct binary_request asked = {.tag = 7,
                                         .op = KR_BINARY_VALIDATE,
                                         .count = 2,
                                         .min_index = 0x0102030405060708,
                                         .has_max_staleness = true,
                                         .max_staleness_ms = 10000,
                                         .bucket = bytes_text("production")};
    uint8_t expected[KR_SAMPLE_MAX];
    struct binary_request read;
    enum binary_fault fault;
    size_t consumed = 0;
    struct buf out;
    buf_init(&out, KR_BINARY_FRAME_MAX);
    assert_int_equal(binary_add_request(&out, &asked, keys), KR_ERR_OK);
    assert_true(bytes_equal(buf_bytes(&out), unhex(golden, expected)));
    assert_int_equal(binary_read_request(buf_bytes(&out), &read, &consumed, &fault),
                     KR_BINARY_FRAME);
    assert_int_equal(consumed, out.size);
    assert_int_equal(read.tag, 7);
    assert_int_equal(read.count, 2);
    assert_int_equal(read.min_index, asked.min_index);
    assert_true(read.has_max_staleness);
    assert_int_equal(read.max_staleness_ms, 10000);
    assert_true(bytes_equal_text(read.bucket, "production"));
    const uint8_t *at = read.keys;
    assert_true(bytes_equal_text(binary_next_key(&at), "abc"));
    assert_true(bytes_equal_text(binary_next_key(&at), "z"));
    for (size_t size = 0; size < out.size; size++)
        assert_int_equal(read_copy(bytes_of(out.data, size), &read, &consumed, &fault),
                         KR_BINARY_MORE);
    buf_fini(&out);
}

static void reads_one_frame_of_many(void **state)
{
    (void)state;
    struct binary_request read;
    enum binary_fault fault;
    uint8_t bytes[KR_SAMPLE_MAX];
    size_t consumed = 0;
    struct bytes in = unhex("080000000100000001000000"
                            "080000000200000001000000",
                            bytes);
    assert_int_equal(binary_read_request(in, &read, &consumed, &fault), KR_BINARY_FRAME);
    assert_int_equal(consumed, 12);
    assert_int_equal(read.tag, 1);
    assert_int_equal(read.count, 0);
}

static void refuses_what_breaks_the_rules(void **state)
{
    (void)state;
    static const struct {
        const char *what, *hex;
        enum binary_fault fault;
        uint32_t tag;
    } cases[] = {
        {"length 0, and nothing else yet", "00000000", KR_BINARY_FAULT_LENGTH, 0},
        {"length 7: no whole head", "0700000009000000", KR_BINARY_FAULT_LENGTH, 9},
        {"one byte over the limit", "fd3f000009000000", KR_BINARY_FAULT_LENGTH, 9},
        {"4 GiB", "ffffffff", KR_BINARY_FAULT_LENGTH, 0},
        {"HTTP", "474554202f20485454502f312e310d0a", KR_BINARY_FAULT_LENGTH, 0x5448202f},
        {"a TLS hello", "1603010200010001fc0303", KR_BINARY_FAULT_LENGTH, 0x01000100},
        {"op 0", "080000000900000000000000", KR_BINARY_FAULT_OP, 9},
        {"a subscription with a flag", "080000000900000002010000", KR_BINARY_FAULT_FLAGS, 9},
        {"a subscription with a key",
         "0b000000090000000200010001"
         "0061",
         KR_BINARY_FAULT_COUNT, 9},
        {"a subscription with a tail", "090000000900000002000000ff", KR_BINARY_FAULT_SHAPE, 9},
        {"op 255, an answer's", "0800000009000000ff000000", KR_BINARY_FAULT_OP, 9},
        {"an unknown flag", "080000000900000001080000", KR_BINARY_FAULT_FLAGS, 9},
        {"all flags", "080000000900000001ff0000", KR_BINARY_FAULT_FLAGS, 9},
        {"129 keys", "080000000900000001008100", KR_BINARY_FAULT_COUNT, 9},
        {"65535 keys", "08000000090000000100ffff", KR_BINARY_FAULT_COUNT, 9},
        {"one key, none there", "080000000900000001000100", KR_BINARY_FAULT_SHAPE, 9},
        {"half a key's size", "09000000090000000100010003", KR_BINARY_FAULT_SHAPE, 9},
        {"a key longer than the frame",
         "0c00000009000000010001000300"
         "6162",
         KR_BINARY_FAULT_SHAPE, 9},
        {"a key of 65535 bytes", "0b0000000900000001000100ffff61", KR_BINARY_FAULT_SHAPE, 9},
        {"a byte behind the last key", "0c0000000900000001000100010061ff", KR_BINARY_FAULT_SHAPE,
         9},
        {"a second key too few",
         "0b000000090000000100020001"
         "0061",
         KR_BINARY_FAULT_SHAPE, 9},
        {"an index flagged, none there", "080000000900000001010000", KR_BINARY_FAULT_SHAPE, 9},
        {"half an index", "0c000000090000000101000001020304", KR_BINARY_FAULT_SHAPE, 9},
        {"an index that is not flagged", "1000000009000000010000000102030405060708",
         KR_BINARY_FAULT_SHAPE, 9},
        {"half a staleness", "0a0000000900000001020000ffff", KR_BINARY_FAULT_SHAPE, 9},
        {"a bucket cut",
         "0b000000090000000104000002"
         "0061",
         KR_BINARY_FAULT_SHAPE, 9},
        {"a bucket without a name", "0a00000009000000010400000000", KR_BINARY_FAULT_SHAPE, 9},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t bytes[KR_SAMPLE_MAX];
        struct binary_request read;
        enum binary_fault fault;
        size_t consumed;
        struct bytes in = unhex(cases[i].hex, bytes);
        if (read_copy(in, &read, &consumed, &fault) != KR_BINARY_BROKEN ||
            fault != cases[i].fault || read.tag != cases[i].tag)
            fail_msg("%s: fault %d, tag %u", cases[i].what, (int)fault, read.tag);
    }
}

static void writes_no_request_over_a_limit(void **state)
{
    (void)state;
    static uint8_t filler[KR_BINARY_FRAME_MAX];
    struct bytes keys[KR_BINARY_KEYS_MAX + 1];
    struct buf out;
    for (size_t i = 0; i < KR_BINARY_KEYS_MAX + 1; i++)
        keys[i] = bytes_of(filler, 126);
    keys[KR_BINARY_KEYS_MAX - 1].size = 114;
    struct binary_request request = {.op = KR_BINARY_VALIDATE, .count = KR_BINARY_KEYS_MAX};
    buf_init(&out, 2 * KR_BINARY_FRAME_MAX);
    assert_int_equal(binary_add_request(&out, &request, keys), KR_ERR_OK);
    assert_int_equal(out.size, KR_BINARY_FRAME_MAX);
    buf_clear(&out);
    keys[0].size++;
    assert_int_equal(binary_add_request(&out, &request, keys), KR_ERR_TOO_LARGE);
    request.count = KR_BINARY_KEYS_MAX + 1;
    assert_int_equal(binary_add_request(&out, &request, keys), KR_ERR_TOO_LARGE);
    request = (struct binary_request){.op = KR_BINARY_VALIDATE, .bucket = bytes_of(filler, 256)};
    assert_int_equal(binary_add_request(&out, &request, keys), KR_ERR_TOO_LARGE);
    assert_int_equal(out.size, 0);
    buf_fini(&out);
}

// --- answers -------------------------------------------------------------------------------------

static void writes_and_reads_an_answer(void **state)
{
    (void)state;
    static const char golden[] = "1f00000007000000"
                                 "01000200"
                                 "0807060504030201"
                                 "ffffffff"
                                 "010103006b6579"
                                 "03000000";
    uint8_t expected[KR_SAMPLE_MAX];
    struct binary_answer read;
    size_t consumed = 0;
    struct buf out;
    buf_init(&out, 4096);
    buf_add_text(&out, "before");
    size_t begin = binary_begin_answer(&out, 7, 2);
    binary_add_result(&out, &(struct binary_result){KR_VERDICT_VALID + 1, true, bytes_text("key")});
    binary_add_result(&out, &(struct binary_result){.code = KR_VERDICT_NOT_FOUND + 1});
    binary_end_answer(&out, begin, 0x0102030405060708, KR_BINARY_AGE_UNKNOWN);
    struct bytes frame = bytes_of(out.data + begin, out.size - begin);
    assert_true(bytes_equal(frame, unhex(golden, expected)));
    assert_int_equal(binary_read_answer(frame, &read, &consumed), KR_BINARY_FRAME);
    assert_int_equal(consumed, frame.size);
    assert_int_equal(read.op, KR_BINARY_VALIDATE);
    assert_int_equal(read.index, 0x0102030405060708);
    assert_int_equal(read.age_ms, KR_BINARY_AGE_UNKNOWN);
    const uint8_t *at = read.results;
    struct binary_result result = binary_next_result(&at);
    assert_int_equal(result.code, 1);
    assert_true(result.may_keep);
    assert_true(bytes_equal_text(result.body, "key"));
    assert_int_equal(binary_next_result(&at).code, 3);
    for (size_t size = 0; size < frame.size; size++)
        assert_int_equal(binary_read_answer(bytes_of(frame.data, size), &read, &consumed),
                         KR_BINARY_MORE);
    buf_fini(&out);
}

static void only_what_is_valid_may_be_kept(void **state)
{
    struct binary_answer read;
    struct buf out;
    (void)state;
    buf_init(&out, 4096);
    for (uint8_t code = 1; code <= KR_VERDICT_COUNT; code++) {
        size_t consumed = 0;
        buf_clear(&out);
        size_t begin = binary_begin_answer(&out, 7, 1);
        binary_add_result(&out, &(struct binary_result){.code = code, .may_keep = true});
        binary_end_answer(&out, begin, 1, 0);
        assert_int_equal(binary_read_answer(buf_bytes(&out), &read, &consumed),
                         code == KR_VERDICT_VALID + 1 ? KR_BINARY_FRAME : KR_BINARY_BROKEN);
    }
    buf_fini(&out);
}

static void writes_and_reads_a_subscription(void **state)
{
    (void)state;
    const struct binary_request asked = {.tag = 3, .op = KR_BINARY_SUBSCRIBE};
    const struct binary_lost lost[] = {{{1, 2, 3}, 55}, {{9}, 56}};
    struct binary_request request;
    struct binary_answer read;
    enum binary_fault fault;
    size_t consumed = 0;
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(binary_add_request(&out, &asked, NULL), KR_ERR_OK);
    assert_int_equal(binary_read_request(buf_bytes(&out), &request, &consumed, &fault),
                     KR_BINARY_FRAME);
    assert_int_equal(request.op, KR_BINARY_SUBSCRIBE);

    buf_clear(&out);
    binary_add_lease(&out, 3, 77, 1500);
    assert_int_equal(binary_read_answer(buf_bytes(&out), &read, &consumed), KR_BINARY_FRAME);
    assert_true(read.op == KR_BINARY_SUBSCRIBE && read.has_lease && !read.drops_all);
    assert_true(read.tag == 3 && read.index == 77 && read.lease_ms == 1500 && read.count == 0);

    buf_clear(&out);
    binary_add_news(&out, lost, 2, false, 78);
    assert_int_equal(binary_read_answer(buf_bytes(&out), &read, &consumed), KR_BINARY_FRAME);
    assert_int_equal(consumed, out.size);
    assert_true(!read.has_lease && !read.drops_all && read.count == 2 && read.index == 78);
    const uint8_t *at = read.results;
    for (size_t i = 0; i < 2; i++) {
        struct binary_lost one = binary_next_lost(&at);
        assert_memory_equal(&one, &lost[i], sizeof(one));
    }
    for (size_t size = 0; size < out.size; size++)
        assert_int_equal(binary_read_answer(bytes_of(out.data, size), &read, &consumed),
                         KR_BINARY_MORE);

    buf_clear(&out);
    binary_add_news(&out, NULL, 0, true, 79);
    assert_int_equal(binary_read_answer(buf_bytes(&out), &read, &consumed), KR_BINARY_FRAME);
    assert_true(read.drops_all && read.count == 0);
    buf_fini(&out);
}

static void writes_and_reads_an_error(void **state)
{
    (void)state;
    struct binary_answer read;
    size_t consumed = 0;
    struct buf out;
    buf_init(&out, 4096);
    binary_add_error(&out, 9, KR_BINARY_FAULT_COUNT);
    assert_int_equal(binary_read_answer(buf_bytes(&out), &read, &consumed), KR_BINARY_FRAME);
    assert_int_equal(consumed, out.size);
    assert_int_equal(read.op, KR_BINARY_ERROR);
    assert_int_equal(read.tag, 9);
    assert_int_equal(read.fault, KR_BINARY_FAULT_COUNT);
    assert_true(bytes_equal_text(read.fault_text, "too many keys in one frame"));
    buf_fini(&out);
}

static void refuses_answers_that_break_the_rules(void **state)
{
    (void)state;
    static const struct {
        const char *what, *hex;
    } cases[] = {
        {"length 0", "00000000"},
        {"longer than any answer", "ffffff7f"},
        {"no whole head", "0800000001000000010000000000000000000000"},
        {"a flag", "1400000001000000010100000000000000000000"
                   "00000000"},
        {"news with an unknown flag", "1400000001000000020400000000000000000000"
                                      "00000000"},
        {"news of a key that is cut", "1500000001000000020001000000000000000000"
                                      "0000000000"},
        {"an unknown op", "1400000001000000070000000000000000000000"
                          "00000000"},
        {"a result that is not there", "1400000001000000010001000000000000000000"
                                       "00000000"},
        {"code 0", "1800000001000000010001000000000000000000"
                   "0000000000000000"},
        {"a body that is cut", "1800000001000000010001000000000000000000"
                               "0000000001000100"},
        {"a byte too many", "1500000001000000010000000000000000000000"
                            "0000000000"},
        {"an error without a fault", "0800000001000000ff000000"},
        {"an error whose sentence is cut", "0900000001000000ff01020061"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t bytes[KR_SAMPLE_MAX];
        struct binary_answer read;
        size_t consumed;
        if (binary_read_answer(unhex(cases[i].hex, bytes), &read, &consumed) != KR_BINARY_BROKEN)
            fail_msg("%s: taken", cases[i].what);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_and_reads_a_request),
        cmocka_unit_test(reads_one_frame_of_many),
        cmocka_unit_test(refuses_what_breaks_the_rules),
        cmocka_unit_test(writes_no_request_over_a_limit),
        cmocka_unit_test(writes_and_reads_an_answer),
        cmocka_unit_test(only_what_is_valid_may_be_kept),
        cmocka_unit_test(writes_and_reads_a_subscription),
        cmocka_unit_test(writes_and_reads_an_error),
        cmocka_unit_test(refuses_answers_that_break_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
