// SPDX-License-Identifier: Apache-2.0
// What the parser reads from good requests, whole and in pieces, and where its limits lie.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "feed.h"

#define HOST "Host: a\r\n"
#define CHUNKED "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"

// Bytes, and the transcript they must give.
static const struct {
    const char *input, *transcript;
} good[] = {
    {"GET /a/b?c=d HTTP/1.1\r\nHost: x.example:7400\r\n\r\n",
     "GET|GET|/a/b?c=d|/a/b|c=d|Host=x.example:7400|1.1|1|\n"},
    {"GET /? HTTP/1.1\r\n" HOST "\r\n", "GET|GET|/?|/||Host=a|1.1|1|\n"},
    {"GET /??x HTTP/1.1\r\n" HOST "\r\n", "GET|GET|/??x|/|?x|Host=a|1.1|1|\n"},
    {"\r\nHEAD / HTTP/1.1\r\nhOST:a\r\n\r\n", "HEAD|HEAD|/|/||hOST=a|1.1|1|\n"},
    {"PUT / HTTP/1.1\r\n" HOST "\r\nPATCH / HTTP/1.1\r\n" HOST "\r\nDELETE / HTTP/1.1\r\n" HOST
     "\r\n",
     "PUT|PUT|/|/||Host=a|1.1|1|\nPATCH|PATCH|/|/||Host=a|1.1|1|\n"
     "DELETE|DELETE|/|/||Host=a|1.1|1|\n"},
    {"get / HTTP/1.1\r\n" HOST "\r\n", "OTHER|get|/|/||Host=a|1.1|1|\n"},
    {"M-SEARCH / HTTP/1.1\r\n" HOST "\r\n", "OTHER|M-SEARCH|/|/||Host=a|1.1|1|\n"},
    {"OPTIONS * HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n",
     "OPTIONS|OPTIONS|*|*||Host=[2001:db8::1]:80|1.1|1|\n"},
    {"GET http://A/x?y HTTP/1.1\r\n" HOST "\r\n", "GET|GET|/x?y|/x|y|Host=a|1.1|1|\n"},
    {"GET HTTPS://a HTTP/1.1\r\n" HOST "\r\n", "GET|GET|/|/||Host=a|1.1|1|\n"},
    {"GET / HTTP/1.1\r\n" HOST "X: \t a \t b \t \r\nE:\r\nO: \xc3\xa9\r\n\r\n",
     "GET|GET|/|/||Host=a|X=a \t b|E=|O=\xc3\xa9|1.1|1|\n"},
    {"GET / HTTP/1.1\r\n" HOST "Connection: x , Close\r\n\r\nGET /never HTTP/1.1\r\n" HOST "\r\n",
     "GET|GET|/|/||Host=a|Connection=x , Close|1.1|0|\n"},
    {"GET / HTTP/1.1\r\n" HOST "Connection: keep-alive\r\nConnection: close\r\n\r\n",
     "GET|GET|/|/||Host=a|Connection=keep-alive|Connection=close|1.1|0|\n"},
    {"GET / HTTP/1.0\r\n\r\nGET /never HTTP/1.0\r\n\r\n", "GET|GET|/|/||1.0|0|\n"},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
     "GET|GET|/|/||Connection=Keep-Alive|1.0|1|\n"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n" HOST "\r\n",
     "POST|POST|/|/||Host=a|Content-Length=5|1.1|1|hello\nGET|GET|/|/||Host=a|1.1|1|\n"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
     "POST|POST|/|/||Host=a|Content-Length=0|1.1|1|\n"},
    {CHUNKED "4;a=\"b\"\r\nWiki\r\n00A\r\n0123456789\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n" HOST
             "\r\n",
     "POST|POST|/|/||Host=a|Transfer-Encoding=chunked|1.1|1|Wiki0123456789\n"
     "GET|GET|/|/||Host=a|1.1|1|\n"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
     "POST|POST|/|/||Host=a|Transfer-Encoding=CHUNKED|1.1|1|\n"},
    {CHUNKED "2\r\n\r\n\r\n0\r\n\r\n",
     "POST|POST|/|/||Host=a|Transfer-Encoding=chunked|1.1|1|\r\n\n"},
};

static void assert_transcript(const struct feed *feed, const char *expected)
{
    if (!bytes_equal_text(buf_bytes(&feed->transcript), expected))
        fail_msg("expected %s found %.*s", expected, (int)feed->transcript.size,
                 (const char *)feed->transcript.data);
}

static void good_requests_are_read_in_any_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        for (size_t piece = 1; piece <= strlen(good[i].input); piece++) {
            struct bytes input = bytes_text(good[i].input);
            struct feed feed;
            feed_init(&feed, 1 << 20);
            for (size_t at = 0; at < input.size; at += piece) {
                size_t left = input.size - at;
                feed_bytes(&feed, bytes_of(input.data + at, left < piece ? left : piece));
            }
            assert_transcript(&feed, good[i].transcript);
            feed_fini(&feed);
        }
}

static void assert_outcome(struct buf *input, size_t body_bytes, unsigned requests, enum kr_err err)
{
    struct feed feed;
    assert_int_equal(buf_result(input), KR_ERR_OK);
    feed_init(&feed, body_bytes);
    feed_bytes(&feed, buf_bytes(input));
    assert_int_equal(feed.requests, requests);
    assert_int_equal(feed.err, err);
    assert_int_equal(feed.is_refused, err != KR_ERR_OK);
    feed_fini(&feed);
    buf_fini(input);
}

static void add_repeated(struct buf *out, char byte, size_t count)
{
    memset(buf_extend(out, count), byte, count);
}

// A request whose head has exactly this many bytes.
static void head_of(struct buf *out, size_t head_bytes)
{
    buf_init(out, 1 << 20);
    buf_add_text(out, "GET / HTTP/1.1\r\n" HOST "X: ");
    add_repeated(out, 'x', head_bytes - out->size - 4);
    buf_add_text(out, "\r\n\r\n");
    assert_int_equal(out->size, head_bytes);
}

static void a_head_as_long_as_the_limit_is_read(void **state)
{
    (void)state;
    struct buf input;
    head_of(&input, 16384);
    assert_outcome(&input, 0, 1, KR_ERR_OK);
}

static void a_longer_head_is_refused_with_431(void **state)
{
    (void)state;
    struct buf input;
    head_of(&input, 16385);
    assert_outcome(&input, 0, 0, KR_ERR_HEADERS_TOO_LARGE);
}

static void an_endless_head_is_refused_at_the_limit(void **state)
{
    (void)state;
    struct buf input;
    buf_init(&input, 1 << 20);
    buf_add_text(&input, "GET / HTTP/1.1\r\n");
    add_repeated(&input, 'x', 16384 - input.size);
    assert_outcome(&input, 0, 0, KR_ERR_HEADERS_TOO_LARGE);
}

static void a_longer_request_line_is_refused_with_414(void **state)
{
    (void)state;
    struct buf input;
    buf_init(&input, 1 << 20);
    buf_add_text(&input, "\r\nGET /");
    add_repeated(&input, 'x', 16384);
    assert_outcome(&input, 0, 0, KR_ERR_URI_TOO_LONG);
}

static void add_fields(struct buf *out, size_t count)
{
    buf_init(out, 1 << 20);
    buf_add_text(out, "GET / HTTP/1.1\r\n" HOST);
    for (size_t i = 1; i < count; i++)
        buf_printf(out, "X%zu: %zu\r\n", i, i);
    buf_add_text(out, "\r\n");
}

static void as_many_fields_as_there_is_room_for_are_read(void **state)
{
    (void)state;
    struct buf input;
    add_fields(&input, KR_HTTP_FIELDS_MAX);
    assert_outcome(&input, 0, 1, KR_ERR_OK);
}

static void one_field_more_is_refused_with_431(void **state)
{
    (void)state;
    struct buf input;
    add_fields(&input, KR_HTTP_FIELDS_MAX + 1);
    assert_outcome(&input, 0, 0, KR_ERR_HEADERS_TOO_LARGE);
}

static void assert_text_outcome(const char *text, size_t body_bytes, unsigned requests,
                                enum kr_err err)
{
    struct buf input;
    buf_init(&input, 1 << 20);
    buf_add_text(&input, text);
    assert_outcome(&input, body_bytes, requests, err);
}

static void a_body_over_the_limit_is_refused_before_it_comes(void **state)
{
    (void)state;
    assert_text_outcome("POST / HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\n", 5, 0,
                        KR_ERR_TOO_LARGE);
    assert_text_outcome(CHUNKED "6\r\n", 5, 0, KR_ERR_TOO_LARGE);
    assert_text_outcome(CHUNKED "3\r\nabc\r\n3\r\n", 5, 0, KR_ERR_TOO_LARGE);
}

static void a_body_as_long_as_the_limit_is_read(void **state)
{
    (void)state;
    assert_text_outcome("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", 5, 1,
                        KR_ERR_OK);
    assert_text_outcome(CHUNKED "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 5, 1, KR_ERR_OK);
}

static void a_chunk_line_is_bounded(void **state)
{
    (void)state;
    struct buf input;
    buf_init(&input, 1 << 20);
    buf_add_text(&input, CHUNKED "1;");
    add_repeated(&input, 'x', 254);
    assert_outcome(&input, 100, 0, KR_ERR_HEADERS_TOO_LARGE);
}

static void trailers_are_bounded(void **state)
{
    (void)state;
    struct buf input;
    buf_init(&input, 1 << 20);
    buf_add_text(&input, CHUNKED "0\r\n");
    for (size_t i = 0; i < 4096 / 8 + 1; i++)
        buf_add_text(&input, "X: abc\r\n");
    assert_outcome(&input, 100, 0, KR_ERR_HEADERS_TOO_LARGE);
}

static void a_body_that_is_mostly_framing_is_refused(void **state)
{
    (void)state;
    struct buf input;
    buf_init(&input, 1 << 20);
    buf_add_text(&input, CHUNKED);
    for (size_t i = 0; i < 200; i++) {
        buf_add_text(&input, "1;");
        add_repeated(&input, 'x', 200);
        buf_add_text(&input, "\r\na\r\n");
    }
    assert_outcome(&input, 1 << 20, 0, KR_ERR_TOO_LARGE);
}

static void chunks_of_one_byte_are_read(void **state)
{
    (void)state;
    struct buf input;
    buf_init(&input, 1 << 20);
    buf_add_text(&input, CHUNKED);
    for (size_t i = 0; i < 20000; i++)
        buf_add_text(&input, "1\r\na\r\n");
    buf_add_text(&input, "0\r\n\r\n");
    assert_outcome(&input, 20000, 1, KR_ERR_OK);
}

static void a_call_that_finds_the_head_leaves_the_body_to_the_next(void **state)
{
    (void)state;
    char input[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nokGET";
    const struct http1_limits limits = {16384, 2};
    struct http_request request;
    struct http1 parser;
    const char *reason = NULL;
    bool is_head_done = false;
    size_t used = 0, size = sizeof(input) - 1;
    http1_init(&parser);
    assert_int_equal(http1_parse(&parser, &limits, (uint8_t *)input, size, &request, &is_head_done,
                                 &used, &reason),
                     KR_ERR_OK);
    assert_true(is_head_done);
    assert_int_equal(parser.state, KR_HTTP1_BODY);
    assert_int_equal(used, 0);
    assert_int_equal(http1_parse(&parser, &limits, (uint8_t *)input, size, &request, &is_head_done,
                                 &used, &reason),
                     KR_ERR_OK);
    assert_int_equal(parser.state, KR_HTTP1_DONE);
    assert_int_equal(used, size - 3);
    assert_true(bytes_equal_text(request.body, "ok"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_are_read_in_any_pieces),
        cmocka_unit_test(a_head_as_long_as_the_limit_is_read),
        cmocka_unit_test(a_longer_head_is_refused_with_431),
        cmocka_unit_test(an_endless_head_is_refused_at_the_limit),
        cmocka_unit_test(a_longer_request_line_is_refused_with_414),
        cmocka_unit_test(as_many_fields_as_there_is_room_for_are_read),
        cmocka_unit_test(one_field_more_is_refused_with_431),
        cmocka_unit_test(a_body_over_the_limit_is_refused_before_it_comes),
        cmocka_unit_test(a_body_as_long_as_the_limit_is_read),
        cmocka_unit_test(a_chunk_line_is_bounded),
        cmocka_unit_test(trailers_are_bounded),
        cmocka_unit_test(a_body_that_is_mostly_framing_is_refused),
        cmocka_unit_test(chunks_of_one_byte_are_read),
        cmocka_unit_test(a_call_that_finds_the_head_leaves_the_body_to_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
