// SPDX-License-Identifier: Apache-2.0
// JSON: what is refused, and where; values in their order; writing that is always well-formed.
#include "core/base/json.h"
#include "core/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct json *parse(const char *text)
{
    struct json *document;
    struct fault fault;
    if (json_parse(bytes_text(text), &document, &fault) != KR_ERR_OK)
        fail_msg("%s: %s", fault.text, text);
    return document;
}

static void assert_refused(struct bytes text, const char *reason)
{
    struct json *document;
    struct fault fault = {0};
    assert_int_equal(json_parse(text, &document, &fault), KR_ERR_INVALID);
    assert_null(document);
    assert_int_equal(fault.err, KR_ERR_INVALID);
    if (strncmp(fault.text, "line ", 5) != 0 || strstr(fault.text, reason) == NULL)
        fail_msg("%s instead of %s", fault.text, reason);
}

static void assert_comes_back(const char *text, const char *expected)
{
    struct buf buf;
    struct json *document = parse(text);
    buf_init(&buf, 1 << 16);
    json_add(&buf, document);
    buf_add_u8(&buf, 0);
    assert_int_equal(buf_result(&buf), KR_ERR_OK);
    assert_string_equal((char *)buf.data, expected);
    buf_fini(&buf);
    json_free(&document);
    assert_null(document);
}

static void every_type_is_told_and_read(void **state)
{
    (void)state;
    struct json *document = parse("[null,true,false,-5,2.5,\"x\",[],{}]");
    static const enum json_type types[] = {KR_JSON_NULL,    KR_JSON_BOOL,  KR_JSON_BOOL,
                                           KR_JSON_INTEGER, KR_JSON_REAL,  KR_JSON_STRING,
                                           KR_JSON_ARRAY,   KR_JSON_OBJECT};
    assert_int_equal(json_type_of(document), KR_JSON_ARRAY);
    assert_int_equal(json_size(document), 8);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(json_type_of(json_at(document, i)), types[i]);
    assert_true(json_bool(json_at(document, 1)));
    assert_false(json_bool(json_at(document, 2)));
    assert_int_equal(json_int64(json_at(document, 3)), -5);
    assert_true(json_double(json_at(document, 4)) == 2.5);
    assert_true(json_double(json_at(document, 3)) == -5);
    assert_string_equal(json_text(json_at(document, 5)), "x");
    assert_null(json_at(document, 8));
    json_free(&document);
}

static void types_have_names_for_sentences(void **state)
{
    (void)state;
    for (enum json_type a = KR_JSON_NULL; a <= KR_JSON_OBJECT; a++)
        for (enum json_type b = KR_JSON_NULL; b < a; b++)
            assert_string_not_equal(json_type_name(a), json_type_name(b));
    assert_string_equal(json_type_name(KR_JSON_STRING), "a string");
    assert_string_equal(json_type_name(KR_JSON_OBJECT), "an object");
}

static void members_are_found_by_name(void **state)
{
    (void)state;
    struct json *document = parse("{\"a\":1,\"\":2,\"A\":3}");
    assert_int_equal(json_size(document), 3);
    assert_int_equal(json_int64(json_member(document, "a")), 1);
    assert_int_equal(json_int64(json_member(document, "")), 2);
    assert_null(json_member(document, "b"));
    json_free(&document);
}

static void members_are_walked_in_their_order(void **state)
{
    (void)state;
    char text[1024] = "{";
    for (int i = 0; i < 60; i++)
        snprintf(text + strlen(text), 32, "%s\"m%d\":%d", i > 0 ? "," : "", i * 37 % 60, i);
    strcat(text, "}");
    struct json *document = parse(text);
    void *cursor = NULL;
    const char *name;
    const struct json *value;
    int64_t seen = 0;
    while (json_next(document, &cursor, &name, &value)) {
        char expected[32];
        snprintf(expected, sizeof(expected), "m%d", (int)(seen * 37 % 60));
        assert_string_equal(name, expected);
        assert_int_equal(json_int64(value), seen);
        seen++;
    }
    assert_int_equal(seen, 60);
    assert_comes_back(text, text);
    json_free(&document);
}

static void an_empty_object_has_nothing_to_walk(void **state)
{
    (void)state;
    struct json *document = parse("{}");
    void *cursor = NULL;
    const char *name;
    const struct json *value;
    assert_false(json_next(document, &cursor, &name, &value));
    json_free(&document);
}

static void errors_have_a_place_and_a_reason(void **state)
{
    (void)state;
    assert_refused(bytes_text(""), "empty text");
    assert_refused(bytes_of(NULL, 0), "empty text");
    assert_refused(bytes_text("{\n \"a\": 1\n \"b\": 2}"), "line 3, column ");
    assert_refused(bytes_text("[1,]"), "line 1, column ");
    assert_refused(bytes_text("{\"a\":1,\"a\":2}"), "duplicate object key");
    assert_refused(bytes_text("{\"a\":1,\"\\u0061\":2}"), "duplicate object key");
    assert_refused(bytes_text("[] []"), "end of file expected");
    assert_refused(bytes_text("9223372036854775808"), "beyond what 64 bits hold");
    assert_refused(bytes_text("-9223372036854775809"), "beyond what 64 bits hold");
    assert_refused(bytes_text("1e400"), "beyond what 64 bits hold");
    assert_refused(bytes_text("\"\\u0000\""), "NUL in it");
    assert_refused(bytes_text("\"\xc0\xaf\""), "unable to decode");
    assert_refused(bytes_text("\"\xed\xa0\x80\""), "unable to decode");
    assert_refused(bytes_of("[1,\0 2]", 7), "NUL byte");
    assert_refused(bytes_of("{}\0", 3), "NUL byte");
}

static void what_is_not_json_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "nul",         "True",
        "01",          "+1",
        ".5",          "1.",
        "1e",          "0x1",
        "NaN",         "Infinity",
        "'a'",         "\"a",
        "\"\\x41\"",   "\"\\ud800\"",
        "\"\\udc00\"", "\"a\tb\"",
        "[1 2]",       "{a:1}",
        "{\"a\"}",     "{1:2}",
        "[",           "]",
        "{",           "}",
        "[}",          "\xef\xbb\xbf{}",
        "// c\n1",     "[1]x",
        ",",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_refused(bytes_text(wrong[i]), "line 1, column ");
}

static void errors_quote_nothing_of_the_text(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"key\":\"S3CRET\" \"x\"}",
        "{\"key\":\"S3CRET\"",
        "[\"S3CRET\" 1]",
        "{\"key\":S3CRET}",
        "{\"S3CRET\":1,\"S3CRET\":2}",
        "\"S3CRET\xff\"",
        "\"S3CRET\\u0000\"",
        "\"S3CRET\n\"",
        "[] \"S3CRET\"",
        "{\"key\":\"S3CRET near ' \\q\"}",
        "{\"key\":\"S3CRET\\ud800\"}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct json *document;
        struct fault fault;
        assert_int_equal(json_parse(bytes_text(bodies[i]), &document, &fault), KR_ERR_INVALID);
        assert_null(strstr(fault.text, "S3CRET"));
        assert_null(strstr(fault.text, "near '"));
    }
}

static char *nested(char *out, int depth, const char *open, const char *middle, char close)
{
    char *at = out;
    for (int i = 0; i < depth; i++)
        at = stpcpy(at, open);
    at = stpcpy(at, middle);
    for (int i = 0; i < depth; i++)
        *at++ = close;
    *at = '\0';
    return out;
}

static void nesting_ends_at_the_limit(void **state)
{
    (void)state;
    static char text[400000];
    nested(text, KR_JSON_DEPTH_MAX, "[", "", ']');
    assert_comes_back(text, text);
    nested(text, KR_JSON_DEPTH_MAX, "{\"a\":", "1", '}');
    assert_comes_back(text, text);
    nested(text, KR_JSON_DEPTH_MAX + 1, "[", "", ']');
    assert_refused(bytes_text(text), "line 1, column 33: nested deeper than 32 levels");
    nested(text, 100000, "[", "", ']');
    assert_refused(bytes_text(text), "nested deeper");
    nested(text, 20, "\n[{\"a\":", "1", '}');
    assert_refused(bytes_text(text), "line 18, column 1: nested deeper");
}

static void values_end_at_the_limit(void **state)
{
    (void)state;
    enum { KR_OBJECTS = KR_JSON_PARTS_MAX / 5 };
    char *text = mem_alloc(3 * KR_OBJECTS + 3);
    struct json *root = NULL;
    text[0] = '[';
    for (size_t i = 0; i < KR_OBJECTS; i++)
        memcpy(text + 1 + 3 * i, "{},", 3);
    text[3 * KR_OBJECTS] = ']'; // over the last comma
    assert_int_equal(json_parse(bytes_of(text, 3 * KR_OBJECTS + 1), &root, NULL), KR_ERR_OK);
    assert_int_equal(json_size(root), KR_OBJECTS);
    json_free(&root);
    memcpy(text + 3 * KR_OBJECTS, ",0]", 3);
    assert_refused(bytes_of(text, 3 * KR_OBJECTS + 3), "too many values");
    memset(text, ',', 3 * KR_OBJECTS);
    text[0] = text[3 * KR_OBJECTS - 1] = '"'; // in a string they are nothing
    assert_int_equal(json_parse(bytes_of(text, 3 * KR_OBJECTS), &root, NULL), KR_ERR_OK);
    json_free(&root);
    mem_free(text);
}

static void brackets_in_strings_do_not_nest(void **state)
{
    (void)state;
    static char text[2000];
    nested(text, 1, "[\"", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"{{{\\\\\"", ']');
    assert_comes_back(text, text);
    // Behind a string that ends in an escaped backslash, brackets count again.
    strcpy(text, "[\"\\\\\",");
    nested(text + strlen(text), 32, "[", "", ']');
    strcat(text, "]");
    assert_refused(bytes_text(text), "nested deeper");
}

static void siblings_do_not_add_up(void **state)
{
    (void)state;
    static char text[1000] = "[";
    for (int i = 0; i < 100; i++)
        strcat(text, "[],");
    strcat(text, "{}]");
    assert_comes_back(text, text);
}

static void values_come_back_in_compact_form(void **state)
{
    (void)state;
    assert_comes_back(" { \"b\" : [ 1 , true , null ] , \"a\" : { } } ",
                      "{\"b\":[1,true,null],\"a\":{}}");
    assert_comes_back("[9223372036854775807,-9223372036854775808,0,-0]",
                      "[9223372036854775807,-9223372036854775808,0,0]");
    assert_comes_back("\"\\u00e9\\ud83d\\ude00\\/\\b\\f\\n\\r\\t\\u001f\\\"\\\\\"",
                      "\"\xc3\xa9\xf0\x9f\x98\x80/\\b\\f\\n\\r\\t\\u001f\\\"\\\\\"");
    assert_comes_back("{\"a\\n\\\"\":1}", "{\"a\\n\\\"\":1}");
}

static void reals_come_back_short_and_as_reals(void **state)
{
    (void)state;
    assert_comes_back("[0.1,1.0,-0.0,1e2,1E+300,5e-324,1.7976931348623157e308]",
                      "[0.1,1.0,-0.0,100.0,1e+300,4.94065645841247e-324,1.7976931348623157e+308]");
    assert_comes_back("[0.30000000000000004,123456789.125]", "[0.30000000000000004,123456789.125]");
}

static void the_writer_puts_commas_where_they_belong(void **state)
{
    (void)state;
    struct buf buf;
    struct json_writer writer;
    buf_init(&buf, 1000);
    json_begin(&writer, &buf);
    json_open(&writer, NULL, '{');
    json_open(&writer, "empty", '{');
    json_close(&writer, '}');
    json_open(&writer, "list", '[');
    json_write_integer(&writer, NULL, INT64_MIN);
    json_write_integer(&writer, NULL, INT64_MAX);
    json_open(&writer, NULL, '[');
    json_close(&writer, ']');
    json_write_string(&writer, NULL, "x");
    json_close(&writer, ']');
    json_write_string(&writer, "none", NULL);
    json_write_null(&writer, "null");
    json_write_bool(&writer, "yes", true);
    json_write_bool(&writer, "no", false);
    json_write_stamp(&writer, "on", 1769903999123);
    json_write_raw(&writer, "raw", bytes_text("{\"r\":1}"));
    json_write_integer(&writer, "last", 0);
    json_close(&writer, '}');
    buf_add_u8(&buf, 0);
    assert_string_equal(
        (char *)buf.data,
        "{\"empty\":{},\"list\":[-9223372036854775808,9223372036854775807,[],\"x\"],"
        "\"none\":null,\"null\":null,\"yes\":true,\"no\":false,"
        "\"on\":\"2026-01-31T23:59:59.123Z\",\"raw\":{\"r\":1},\"last\":0}");
    buf_fini(&buf);
}

static void written_strings_read_back(void **state)
{
    (void)state;
    char all[256];
    struct buf buf;
    struct json_writer writer;
    struct json *document;
    for (int i = 0; i < 127; i++)
        all[i] = (char)(i + 1);
    strcpy(all + 127, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    buf_init(&buf, 4000);
    json_begin(&writer, &buf);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, all, all);
    json_close(&writer, '}');
    assert_int_equal(json_parse(buf_bytes(&buf), &document, NULL), KR_ERR_OK);
    assert_string_equal(json_text(json_member(document, all)), all);
    json_free(&document);
    buf_fini(&buf);
}

// One character that is not like its neighbours, of every kind, at every place.
static void what_must_be_escaped_is_found_at_every_place(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 20; size++) {
        for (size_t at = 0; at < size; at++) {
            for (int byte = 1; byte < 256; byte++) {
                char text[24] = "", kept[80];
                memset(text, byte % 2 == 0 ? '!' : '~', size);
                text[at] = (char)byte;
                bool is_itself = byte >= ' ' && byte < 0x80 && byte != '"' && byte != '\\';
                struct buf buf;
                struct json_writer writer;
                struct json *document;
                buf_init(&buf, 200);
                json_begin(&writer, &buf);
                json_write_string(&writer, NULL, text);
                assert_int_equal(json_parse(buf_bytes(&buf), &document, NULL), KR_ERR_OK);
                snprintf(kept, sizeof(kept), "%s", json_text(document));
                if (byte < 0x80) {
                    assert_string_equal(kept, text);
                } else { // alone it is no UTF-8
                    assert_int_equal(strlen(kept), size + 2);
                    assert_memory_equal(kept + at, "\xef\xbf\xbd", 3);
                }
                assert_int_equal(buf.size == size + 2, is_itself);
                json_free(&document);
                buf_fini(&buf);
            }
        }
    }
}

static void text_that_is_not_utf8_is_written_as_utf8(void **state)
{
    (void)state;
    struct buf buf;
    struct json_writer writer;
    buf_init(&buf, 100);
    json_begin(&writer, &buf);
    json_write_string(&writer, NULL, "a\xffz\"");
    assert_true(bytes_equal_text(buf_bytes(&buf), "\"a\xef\xbf\xbdz\\\"\""));
    buf_fini(&buf);
}

static void a_buffer_that_is_full_says_so_in_the_end(void **state)
{
    (void)state;
    struct buf buf;
    uint8_t memory[10];
    struct json_writer writer;
    buf_init_fixed(&buf, memory, sizeof(memory));
    json_begin(&writer, &buf);
    json_open(&writer, NULL, '[');
    json_write_string(&writer, NULL, "much longer than ten bytes");
    json_close(&writer, ']');
    assert_int_equal(buf_result(&buf), KR_ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_told_and_read),
        cmocka_unit_test(types_have_names_for_sentences),
        cmocka_unit_test(members_are_found_by_name),
        cmocka_unit_test(members_are_walked_in_their_order),
        cmocka_unit_test(an_empty_object_has_nothing_to_walk),
        cmocka_unit_test(errors_have_a_place_and_a_reason),
        cmocka_unit_test(what_is_not_json_is_refused),
        cmocka_unit_test(errors_quote_nothing_of_the_text),
        cmocka_unit_test(nesting_ends_at_the_limit),
        cmocka_unit_test(values_end_at_the_limit),
        cmocka_unit_test(brackets_in_strings_do_not_nest),
        cmocka_unit_test(siblings_do_not_add_up),
        cmocka_unit_test(values_come_back_in_compact_form),
        cmocka_unit_test(reals_come_back_short_and_as_reals),
        cmocka_unit_test(the_writer_puts_commas_where_they_belong),
        cmocka_unit_test(written_strings_read_back),
        cmocka_unit_test(what_must_be_escaped_is_found_at_every_place),
        cmocka_unit_test(text_that_is_not_utf8_is_written_as_utf8),
        cmocka_unit_test(a_buffer_that_is_full_says_so_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
