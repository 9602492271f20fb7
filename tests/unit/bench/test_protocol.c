// SPDX-License-Identifier: Apache-2.0
// What the load generator sends, and that it reads an answer whole, however it is cut.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/protocol.h"
#include "core/keys/verdict.h"
#include "proto/binary.h"

static void assert_request(enum protocol_kind kind, const char *path, const char *key,
                           const char *expected)
{
    uint8_t memory[KR_PROTOCOL_REQUEST_MAX];
    struct buf out;
    const struct protocol_request request = {kind, "h:1", path};
    buf_init_fixed(&out, memory, sizeof(memory));
    protocol_add(&request, bytes_text(key), &out);
    buf_add_u8(&out, '\0');
    assert_string_equal((const char *)out.data, expected);
}

static void requests_are_what_the_routes_expect(void **state)
{
    (void)state;
    assert_request(KR_PROTOCOL_EMPTY, "/healthz", "", "GET /healthz HTTP/1.1\r\nHost: h:1\r\n\r\n");
    assert_request(KR_PROTOCOL_BEARER, "/authz/forward", "k_1",
                   "GET /authz/forward HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer k_1\r\n\r\n");
    assert_request(KR_PROTOCOL_CREATE, "/v1/x/keys", "t_1",
                   "POST /v1/x/keys HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer t_1\r\n"
                   "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    assert_request(KR_PROTOCOL_VALIDATE, "/v1/validate", "k_1",
                   "POST /v1/validate HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\n"
                   "Content-Length: 13\r\n\r\n{\"key\":\"k_1\"}");
    assert_request(KR_PROTOCOL_VALIDATE, "/v1/validate", "a\"\\",
                   "POST /v1/validate HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\n"
                   "Content-Length: 15\r\n\r\n{\"key\":\"a\\\"\\\\\"}");
    assert_request(KR_PROTOCOL_POST, "/v3/kv/put", "{\"key\":\"Lw==\"}",
                   "POST /v3/kv/put HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\n"
                   "Content-Length: 14\r\n\r\n{\"key\":\"Lw==\"}");
    assert_request(KR_PROTOCOL_REDIS, NULL, "k_1", "*2\r\n$3\r\nGET\r\n$3\r\nk_1\r\n");
}

static void binary_frames_are_asked_and_read(void **state)
{
    (void)state;
    static const uint8_t expected[] = "\x0d\0\0\0\0\0\0\0\1\0\1\0\3\0k_1";
    const struct protocol_request request = {.kind = KR_PROTOCOL_BINARY};
    struct protocol_answer answer;
    uint8_t memory[512];
    struct buf out;
    size_t used = 0;
    buf_init_fixed(&out, memory, sizeof(memory));
    protocol_add(&request, bytes_text("k_1"), &out);
    assert_true(bytes_equal(buf_bytes(&out), bytes_of(expected, sizeof(expected) - 1)));
    buf_clear(&out);
    size_t begin = binary_begin_answer(&out, 0, 1);
    binary_add_result(&out, &(struct binary_result){.code = KR_VERDICT_REVOKED + 1});
    binary_end_answer(&out, begin, 1, 0);
    for (size_t cut = 0; cut < out.size; cut++)
        assert_int_equal(protocol_read(KR_PROTOCOL_BINARY, bytes_of(memory, cut), &used, &answer),
                         KR_PROTOCOL_MORE);
    assert_int_equal(protocol_read(KR_PROTOCOL_BINARY, buf_bytes(&out), &used, &answer),
                     KR_PROTOCOL_DONE);
    assert_int_equal(used, out.size);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.code, "REVOKED");
    buf_clear(&out);
    binary_add_error(&out, 0, KR_BINARY_FAULT_OP);
    assert_int_equal(protocol_read(KR_PROTOCOL_BINARY, buf_bytes(&out), &used, &answer),
                     KR_PROTOCOL_DONE);
    assert_int_equal(answer.status, 400);
    memory[8] = 77;
    assert_int_equal(protocol_read(KR_PROTOCOL_BINARY, buf_bytes(&out), &used, &answer),
                     KR_PROTOCOL_BROKEN);
}

// Every proper beginning asks for more; the whole is read, and no byte behind it.
static void assert_answer(enum protocol_kind kind, const char *text, unsigned status,
                          const char *code)
{
    struct protocol_answer answer;
    size_t used = 0;
    size_t size = strlen(text);
    char longer[512];
    assert_true(size + 8 < sizeof(longer));
    memcpy(longer, text, size);
    memcpy(longer + size, "HTTP/1.1", 8);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(protocol_read(kind, bytes_of(longer, cut), &used, &answer),
                         KR_PROTOCOL_MORE);
    assert_int_equal(protocol_read(kind, bytes_of(longer, size + 8), &used, &answer),
                     KR_PROTOCOL_DONE);
    assert_int_equal(used, size);
    assert_int_equal(answer.status, status);
    assert_string_equal(answer.code, code);
}

static void answers_are_read_whole(void **state)
{
    (void)state;
    assert_answer(KR_PROTOCOL_EMPTY, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "");
    assert_answer(KR_PROTOCOL_BEARER,
                  "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nX-Auth-Reason: "
                  "NOT_FOUND\r\n\r\n",
                  401, "NOT_FOUND");
    assert_answer(KR_PROTOCOL_VALIDATE,
                  "HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n{\"valid\":false,\"code\":"
                  "\"EXPIRED\"}",
                  200, "EXPIRED");
    assert_answer(KR_PROTOCOL_EMPTY, "HTTP/1.1 204 No Content\r\n\r\n", 204, "");
    assert_answer(KR_PROTOCOL_REDIS, "$3\r\nabc\r\n", 200, "");
    assert_answer(KR_PROTOCOL_REDIS, "$-1\r\n", 404, "");
    assert_answer(KR_PROTOCOL_REDIS, "+OK\r\n", 200, "");
}

static void assert_broken(enum protocol_kind kind, const char *text)
{
    struct protocol_answer answer;
    size_t used;
    assert_int_equal(protocol_read(kind, bytes_text(text), &used, &answer), KR_PROTOCOL_BROKEN);
}

static void what_is_no_answer_is_broken(void **state)
{
    (void)state;
    assert_broken(KR_PROTOCOL_EMPTY, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_broken(KR_PROTOCOL_EMPTY, "HTTP/1.1 200 OK\r\n\r\n");
    assert_broken(KR_PROTOCOL_EMPTY, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_broken(KR_PROTOCOL_EMPTY, "nonsense\r\n\r\n");
    assert_broken(KR_PROTOCOL_REDIS, "-ERR no\r\n");
    assert_broken(KR_PROTOCOL_REDIS, "$x\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_what_the_routes_expect),
        cmocka_unit_test(binary_frames_are_asked_and_read),
        cmocka_unit_test(answers_are_read_whole),
        cmocka_unit_test(what_is_no_answer_is_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
