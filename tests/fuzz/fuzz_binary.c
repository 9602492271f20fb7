// SPDX-License-Identifier: Apache-2.0
// Fuzzes the binary protocol's frames from both sides: every part lies within the input, and what
// is accepted reads the same when it is written again.
#include "proto/binary.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(struct bytes in)
{
    struct binary_request request, again;
    struct bytes keys[KR_BINARY_KEYS_MAX];
    enum binary_fault fault;
    size_t consumed = 0, consumed_again = 0;
    struct buf out;
    enum binary_read read = binary_read_request(in, &request, &consumed, &fault);
    assert((read == KR_BINARY_BROKEN) == (fault != KR_BINARY_NO_FAULT));
    if (read != KR_BINARY_FRAME)
        return;
    assert(consumed >= KR_BINARY_REQUEST_HEAD && consumed <= in.size);
    const uint8_t *at = request.keys;
    for (unsigned i = 0; i < request.count; i++)
        keys[i] = binary_next_key(&at);
    assert(at <= in.data + consumed);
    buf_init(&out, KR_BINARY_FRAME_MAX);
    assert(binary_add_request(&out, &request, keys) == KR_ERR_OK && out.size <= consumed);
    read = binary_read_request(buf_bytes(&out), &again, &consumed_again, &fault);
    assert(read == KR_BINARY_FRAME && consumed_again == out.size);
    assert(again.op == request.op && again.tag == request.tag && again.count == request.count);
    assert(again.min_index == request.min_index && bytes_equal(again.bucket, request.bucket));
    assert(again.has_max_staleness == request.has_max_staleness);
    assert(again.max_staleness_ms == request.max_staleness_ms);
    at = again.keys;
    for (unsigned i = 0; i < again.count; i++)
        assert(bytes_equal(binary_next_key(&at), keys[i]));
    buf_fini(&out);
}

static void check_answer(struct bytes in)
{
    struct binary_answer answer;
    size_t consumed = 0, total = 0;
    if (binary_read_answer(in, &answer, &consumed) != KR_BINARY_FRAME)
        return;
    assert(consumed >= KR_BINARY_REQUEST_HEAD && consumed <= in.size);
    const uint8_t *at = answer.results;
    for (unsigned i = 0; answer.op == KR_BINARY_SUBSCRIBE && i < answer.count; i++)
        total += binary_next_lost(&at).revision != 0;
    for (unsigned i = 0; answer.op == KR_BINARY_VALIDATE && i < answer.count; i++) {
        struct binary_result result = binary_next_result(&at);
        assert(result.code > 0);
        total += 4 + result.body.size;
    }
    for (size_t i = 0; i < answer.fault_text.size; i++)
        total += answer.fault_text.data[i] != 0;
    assert(total <= consumed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct bytes in = bytes_of(data + 1, size - 1);
    if (data[0] & 1)
        check_answer(in);
    else
        check_request(in);
    return 0;
}
