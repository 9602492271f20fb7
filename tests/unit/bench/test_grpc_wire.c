// SPDX-License-Identifier: Apache-2.0
// Tests of the gRPC load's bytes: a check reads as a node reads it, an answer as a node writes it.
#include "bench/grpc_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// cmocka needs the three above.
#include <cmocka.h>

#include "proto/codec_grpc.h"

static uint8_t memory[16384];

static struct buf fresh(void)
{
    struct buf out;
    buf_init_fixed(&out, memory, sizeof(memory));
    return out;
}

static struct grpc_frame take(struct bytes *in)
{
    struct grpc_frame frame;
    assert_true(grpc_read_frame(*in, &frame));
    size_t size = KR_FRAME_HEAD + frame.payload.size;
    *in = bytes_of(in->data + size, in->size - size);
    return frame;
}

static void a_check_is_what_a_node_reads(void **state)
{
    (void)state;
    static const struct bytes wanted[] = {{(const uint8_t *)"authorization", 13}};
    struct codec_check check;
    struct buf out = fresh();
    size_t size = grpc_add_check(&out, 7, "127.0.0.1:7400", true, bytes_text("kr_live_abc"));
    assert_int_equal(buf_result(&out), KR_ERR_OK);
    struct bytes in = buf_bytes(&out);
    struct grpc_frame headers = take(&in);
    assert_int_equal(headers.type, KR_FRAME_HEADERS);
    assert_int_equal(headers.stream, 7);
    struct grpc_frame data = take(&in);
    assert_int_equal(in.size, 0);
    assert_int_equal(data.type, KR_FRAME_DATA);
    assert_int_equal(data.flags, KR_FRAME_END_STREAM);
    assert_int_equal(data.payload.size, size);
    assert_int_equal(grpc_u32(data.payload.data + 1), size - 5);
    assert_int_equal(codec_check(bytes_of(data.payload.data + 5, size - 5), wanted, 1, &check),
                     KR_ERR_OK);
    assert_int_equal(check.header_count, 1);
    assert_true(bytes_equal_text(check.headers[0].value, "Bearer kr_live_abc"));
    assert_true(bytes_equal_text(check.source, "192.0.2.1"));
    assert_true(bytes_equal_text(check.extensions[0].value, "production"));
}

// RFC 7541 §2.3.3: an entry's index counts from the one that was added last.
static void later_header_blocks_name_the_fields_by_index(void **state)
{
    (void)state;
    static const uint8_t later[] = {0x83,      0x86,      0x80 | 66, 0x80 | 65,
                                    0x80 | 64, 0x80 | 63, 0x80 | 62};
    struct buf out = fresh();
    grpc_add_check(&out, 9, "127.0.0.1:7400", false, bytes_text("kr_live_abc"));
    struct bytes in = buf_bytes(&out);
    struct grpc_frame headers = take(&in);
    assert_true(bytes_equal(headers.payload, bytes_of(later, sizeof(later))));
}

static void a_get_is_one_frame_whose_fields_are_named_by_index_later(void **state)
{
    (void)state;
    static const uint8_t later[] = {0x82, 0x86, 0x80 | 64, 0x80 | 63, 0x80 | 62};
    char path[301] = "/";
    memset(path + 1, 'a', 299);
    const struct protocol_request request = {KR_PROTOCOL_EMPTY, "127.0.0.1:7400", path};
    struct buf out = fresh();
    grpc_add_get(&out, 1, &request, true);
    grpc_add_get(&out, 3, &request, false);
    assert_int_equal(buf_result(&out), KR_ERR_OK);
    struct bytes in = buf_bytes(&out);
    struct grpc_frame first = take(&in);
    struct grpc_frame second = take(&in);
    assert_int_equal(in.size, 0);
    assert_int_equal(first.flags, KR_FRAME_END_HEADERS | KR_FRAME_END_STREAM);
    static const uint8_t begin[] = {0x82, 0x86, 0x44, 0x7f, 128 | 45, 1, '/'}; // 300 is 127 + 173
    assert_memory_equal(first.payload.data, begin, sizeof(begin));
    assert_int_equal(second.stream, 3);
    assert_true(bytes_equal(second.payload, bytes_of(later, sizeof(later))));
}

static void frames_are_read_when_they_are_whole(void **state)
{
    (void)state;
    struct grpc_frame frame;
    struct buf out = fresh();
    grpc_add_frame(&out, KR_FRAME_PING, KR_FRAME_ACK, 0, bytes_text("12345678"));
    for (size_t i = 0; i < out.size; i++)
        assert_false(grpc_read_frame(bytes_of(out.data, i), &frame));
    assert_true(grpc_read_frame(buf_bytes(&out), &frame));
    assert_int_equal(frame.type, KR_FRAME_PING);
    assert_true(bytes_equal_text(frame.payload, "12345678"));
}

static bool read_back(const struct codec_check_answer *answer, struct protocol_answer *out)
{
    uint8_t message[1024], data[1029];
    struct buf body, framed;
    buf_init_fixed(&body, message, sizeof(message));
    buf_init_fixed(&framed, data, sizeof(data));
    codec_add_check_answer(&body, answer);
    buf_add_u8(&framed, 0);
    buf_add_u32(&framed, (uint32_t)body.size);
    buf_add_bytes(&framed, buf_bytes(&body));
    return grpc_read_answer(buf_bytes(&framed), out);
}

static void verdicts_are_read_of_answers(void **state)
{
    (void)state;
    struct protocol_answer out;
    struct codec_check_answer answer = {0};
    assert_true(read_back(&answer, &out));
    assert_int_equal(out.status, 200);
    answer.status = 16;
    answer.status_text = bytes_text("REVOKED");
    answer.http_status = 401;
    assert_true(read_back(&answer, &out));
    assert_int_equal(out.status, 401);
    assert_string_equal(out.code, "REVOKED");
    assert_false(grpc_read_answer(bytes_text("12345678"), &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_is_what_a_node_reads),
        cmocka_unit_test(later_header_blocks_name_the_fields_by_index),
        cmocka_unit_test(a_get_is_one_frame_whose_fields_are_named_by_index_later),
        cmocka_unit_test(frames_are_read_when_they_are_whole),
        cmocka_unit_test(verdicts_are_read_of_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
