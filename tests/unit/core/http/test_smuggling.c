// SPDX-License-Identifier: Apache-2.0
// Every request of the smuggling table is refused as it says, in whatever pieces it comes, and the
// integration tests hold the same table.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "feed.h"
#include "smuggling_cases.h"

static const char table_path[] = "tests/integration/smuggling.json";

static void every_case_is_refused_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < KR_SMUGGLING_CASE_COUNT; i++) {
        const struct smuggling_case *row = &smuggling_cases[i];
        struct feed feed;
        feed_init(&feed, 1 << 20);
        feed_bytes(&feed, bytes_of(row->request, row->size));
        if (!feed.is_refused || feed.err != row->err || feed.requests != 0)
            fail_msg("%s: %u requests, refused %d: %s", row->name, feed.requests, feed.is_refused,
                     feed.err == KR_ERR_OK ? "" : feed.reason);
        assert_true(strlen(feed.reason) > 0);
        feed_fini(&feed);
    }
}

static void every_case_is_refused_the_same_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < KR_SMUGGLING_CASE_COUNT; i++) {
        const struct smuggling_case *row = &smuggling_cases[i];
        struct feed feed;
        feed_init(&feed, 1 << 20);
        for (size_t at = 0; at < row->size; at++)
            feed_bytes(&feed, bytes_of(row->request + at, 1));
        if (!feed.is_refused || feed.err != row->err || feed.requests != 0)
            fail_msg("%s", row->name);
        feed_fini(&feed);
    }
}

static void add_json_string(struct buf *out, const char *text, size_t size)
{
    buf_add_text(out, "\"");
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '"' || byte == '\\')
            buf_printf(out, "\\%c", byte);
        else if (byte == '\r' || byte == '\n')
            buf_add_text(out, byte == '\r' ? "\\r" : "\\n");
        else if (byte < 0x20 || byte >= 0x7f)
            buf_printf(out, "\\u%04x", byte);
        else
            buf_add_u8(out, byte);
    }
    buf_add_text(out, "\"");
}

// Each character of "request" is one byte (Latin-1).
static void render_table(struct buf *out)
{
    buf_add_text(out, "[\n");
    for (size_t i = 0; i < KR_SMUGGLING_CASE_COUNT; i++) {
        const struct smuggling_case *row = &smuggling_cases[i];
        buf_add_text(out, "  {\"name\": ");
        add_json_string(out, row->name, strlen(row->name));
        buf_add_text(out, ", \"request\": ");
        add_json_string(out, row->request, row->size);
        buf_printf(out, ", \"status\": %u}%s\n", err_http_status(row->err),
                   i + 1 < KR_SMUGGLING_CASE_COUNT ? "," : "");
    }
    buf_add_text(out, "]\n");
}

// KR_WRITE_TABLES=1 in the environment writes the file anew.
static void the_integration_tests_hold_the_same_table(void **state)
{
    (void)state;
    struct buf expected, found;
    buf_init(&expected, 1 << 20);
    buf_init(&found, 1 << 20);
    render_table(&expected);
    bool is_write = getenv("KR_WRITE_TABLES") != NULL;
    FILE *file = fopen(table_path, is_write ? "w+" : "r");
    assert_non_null(file);
    if (is_write)
        assert_int_equal(fwrite(expected.data, 1, expected.size, file), expected.size);
    rewind(file);
    uint8_t *place = buf_extend(&found, 1 << 18);
    found.size = fread(place, 1, found.size, file);
    fclose(file);
    assert_int_equal(found.size, expected.size);
    assert_memory_equal(found.data, expected.data, expected.size);
    buf_fini(&expected);
    buf_fini(&found);
}

static void names_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < KR_SMUGGLING_CASE_COUNT; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(smuggling_cases[i].name, smuggling_cases[j].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_refused_as_the_table_says),
        cmocka_unit_test(every_case_is_refused_the_same_byte_by_byte),
        cmocka_unit_test(the_integration_tests_hold_the_same_table),
        cmocka_unit_test(names_are_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
