// SPDX-License-Identifier: Apache-2.0
// URLs: what is encoded, and which ones name a node. Times as people write them.
#include "client/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "client/api.h"
#include "client/body.h"

static void segments_are_percent_encoded(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 256);
    http_add_encoded(&out, "a b/c?\xc3\xa9~-._Z0");
    assert_true(bytes_equal_text(buf_bytes(&out), "a%20b%2Fc%3F%C3%A9~-._Z0"));
    buf_fini(&out);
}

static void only_plain_http_urls_name_a_node(void **state)
{
    static const char *const bad[] = {"",
                                      "ftp://a",
                                      "http://",
                                      "http://user:secret@host",
                                      "http://host/?q=1",
                                      "http://host/#f",
                                      "file:///etc/passwd",
                                      "host:7400"};
    char host[64];
    bool is_loopback;
    struct fault fault;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(http_check_url(bad[i], host, sizeof(host), &is_loopback, &fault),
                         KR_ERR_INVALID);
    assert_int_equal(
        http_check_url("https://keys.example:7400", host, sizeof(host), &is_loopback, &fault),
        KR_ERR_OK);
    assert_string_equal(host, "keys.example");
    assert_false(is_loopback);
    assert_int_equal(
        http_check_url("http://127.0.0.1:7400/", host, sizeof(host), &is_loopback, &fault),
        KR_ERR_OK);
    assert_true(is_loopback);
    assert_int_equal(http_check_url("http://[::1]:1", host, sizeof(host), &is_loopback, &fault),
                     KR_ERR_OK);
    assert_true(is_loopback);
    assert_int_equal(
        http_check_url("http://127.evil.example", host, sizeof(host), &is_loopback, &fault),
        KR_ERR_OK);
    assert_false(is_loopback);
}

static void every_status_has_its_exit_code(void **state)
{
    static const struct {
        unsigned status;
        enum exit_code code;
    } rows[] = {{0, KR_EXIT_UNREACHABLE}, {200, KR_EXIT_OK},      {202, KR_EXIT_OK},
                {204, KR_EXIT_OK},        {302, KR_EXIT_FAILURE}, {400, KR_EXIT_FAILURE},
                {401, KR_EXIT_REFUSED},   {403, KR_EXIT_REFUSED}, {404, KR_EXIT_NOT_FOUND},
                {409, KR_EXIT_REFUSED},   {412, KR_EXIT_REFUSED}, {429, KR_EXIT_REFUSED},
                {500, KR_EXIT_FAILURE},   {503, KR_EXIT_FAILURE}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(api_exit_code(rows[i].status), rows[i].code);
}

static void times_are_absolute_or_from_now(void **state)
{
    int64_t ms = 0;
    (void)state;
    assert_true(body_parse_time("1970-01-02", 5, 1, &ms));
    assert_int_equal(ms, 86400000);
    assert_true(body_parse_time("90d", 1000, 1, &ms));
    assert_int_equal(ms, INT64_C(90) * 86400000 + 1000);
    assert_true(body_parse_time("2h", INT64_C(7200000) + 3, -1, &ms));
    assert_int_equal(ms, 3);
    assert_true(body_parse_time("30m", 0, 1, &ms));
    assert_int_equal(ms, 1800000);
    assert_false(body_parse_time("", 0, 1, &ms));
    assert_false(body_parse_time("d", 0, 1, &ms));
    assert_false(body_parse_time("-1d", 0, 1, &ms));
    assert_false(body_parse_time("1w", 0, 1, &ms));
    assert_false(body_parse_time("99999999d", 0, 1, &ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_are_percent_encoded),
        cmocka_unit_test(only_plain_http_urls_name_a_node),
        cmocka_unit_test(every_status_has_its_exit_code),
        cmocka_unit_test(times_are_absolute_or_from_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
