// SPDX-License-Identifier: Apache-2.0
// Responses, byte for byte.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/http/reply.h"

static const struct http_request get = {
    .method = KR_HTTP_GET, .minor_version = 1, .is_keep_alive = true};

static void assert_written(struct buf *out, const char *expected)
{
    assert_int_equal(buf_result(out), KR_ERR_OK);
    if (!bytes_equal_text(buf_bytes(out), expected))
        fail_msg("expected %s found %.*s", expected, (int)out->size, (const char *)out->data);
    buf_fini(out);
}

// A reply with the body "hello".
static void assert_reply(const struct http_request *request, unsigned status, const char *expected)
{
    struct buf out;
    buf_init(&out, 4096);
    http_reply_begin(&out, request, status, NULL);
    http_reply_end(&out, request, status, "text/plain", bytes_text("hello"));
    assert_written(&out, expected);
}

static void a_reply_has_status_fields_and_body(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    http_reply_begin(&out, &get, 200, "Sun, 06 Nov 1994 08:49:37 GMT");
    http_reply_field_text(&out, "X-Request-Id", "7");
    http_reply_field_number(&out, "Keyreeve-Index", UINT64_MAX);
    http_reply_field_number(&out, "Zero", 0);
    http_reply_end(&out, &get, 200, "application/json", bytes_text("{}"));
    assert_written(&out, "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                         "X-Request-Id: 7\r\nKeyreeve-Index: 18446744073709551615\r\nZero: 0\r\n"
                         "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
}

static void head_gets_the_length_without_the_body(void **state)
{
    (void)state;
    struct http_request head = get;
    head.method = KR_HTTP_HEAD;
    assert_reply(&head, 200,
                 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n");
}

static void no_content_has_neither_length_nor_body(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    http_reply_begin(&out, &get, 204, NULL);
    http_reply_end(&out, &get, 204, NULL, bytes_of(NULL, 0));
    assert_written(&out, "HTTP/1.1 204 No Content\r\n\r\n");
}

static void not_modified_has_no_body(void **state)
{
    (void)state;
    assert_reply(
        &get, 304,
        "HTTP/1.1 304 Not Modified\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n");
}

static void an_empty_body_has_length_zero(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    http_reply_begin(&out, &get, 200, NULL);
    http_reply_end(&out, &get, 200, NULL, bytes_of(NULL, 0));
    assert_written(&out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void the_connection_field_says_what_differs_from_the_default(void **state)
{
    (void)state;
    struct http_request request = get;
    request.minor_version = 0;
    assert_reply(&request, 400,
                 "HTTP/1.1 400 Bad Request\r\nConnection: keep-alive\r\n"
                 "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello");
    request.is_keep_alive = false;
    assert_reply(&request, 400,
                 "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
                 "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello");
}

static void a_value_cannot_end_its_line(void **state)
{
    (void)state;
    static const char evil[] = "a\r\nSet-Cookie: x\0\x7f\x01\tz\xc3\xa9\r";
    struct buf out;
    for (size_t size = 0; size < sizeof(evil); size++) {
        buf_init(&out, 4096);
        http_reply_field(&out, "X", bytes_of(evil, size));
        assert_int_equal(out.size, size + 5);
        for (size_t i = 3; i < out.size - 2; i++)
            assert_true((out.data[i] >= 0x20 && out.data[i] != 0x7f) || out.data[i] == '\t');
        buf_fini(&out);
    }
    buf_init(&out, 4096);
    http_reply_field(&out, "X", bytes_of(evil, sizeof(evil) - 1));
    assert_written(&out, "X: a  Set-Cookie: x   \tz\xc3\xa9 \r\n");
}

static void an_unknown_status_is_written_without_a_phrase(void **state)
{
    (void)state;
    assert_reply(&get, 299,
                 "HTTP/1.1 299 \r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello");
    assert_string_equal(http_status_text(299), "");
    assert_string_equal(http_status_text(404), "Not Found");
}

static void every_status_of_the_error_table_has_a_phrase(void **state)
{
    (void)state;
#define X(name, text, status) assert_true(strlen(http_status_text(status)) > 0);
    KR_ERR_TABLE(X)
#undef X
}

static void a_reply_that_does_not_fit_fails(void **state)
{
    (void)state;
    uint8_t memory[40];
    struct buf out;
    buf_init_fixed(&out, memory, sizeof(memory));
    http_reply_begin(&out, &get, 200, NULL);
    http_reply_end(&out, &get, 200, "text/plain", bytes_text("hello"));
    assert_int_equal(buf_result(&out), KR_ERR_TOO_LARGE);
}

static void dates_are_imf_fixdates(void **state)
{
    (void)state;
    static const struct {
        int64_t unix_ms;
        const char *text;
    } rows[] = {{784111777999, "Sun, 06 Nov 1994 08:49:37 GMT"},
                {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
                {-1, "Thu, 01 Jan 1970 00:00:00 GMT"},
                {1709164800000, "Thu, 29 Feb 2024 00:00:00 GMT"},
                {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[KR_HTTP_DATE_SIZE];
        http_date(rows[i].unix_ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_has_status_fields_and_body),
        cmocka_unit_test(head_gets_the_length_without_the_body),
        cmocka_unit_test(no_content_has_neither_length_nor_body),
        cmocka_unit_test(not_modified_has_no_body),
        cmocka_unit_test(an_empty_body_has_length_zero),
        cmocka_unit_test(the_connection_field_says_what_differs_from_the_default),
        cmocka_unit_test(a_value_cannot_end_its_line),
        cmocka_unit_test(an_unknown_status_is_written_without_a_phrase),
        cmocka_unit_test(every_status_of_the_error_table_has_a_phrase),
        cmocka_unit_test(a_reply_that_does_not_fit_fails),
        cmocka_unit_test(dates_are_imf_fixdates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
