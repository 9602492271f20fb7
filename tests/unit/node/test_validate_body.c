// SPDX-License-Identifier: Apache-2.0
// Tests of the validation body: the in-place scan and the library agree, and bad fields are named.
#include "node/validate_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// cmocka needs the three above.
#include <cmocka.h>

static enum kr_err read(const char *body, struct arena *arena, struct validate_question *question,
                        struct fault *fault)
{
    *fault = (struct fault){0};
    validate_init(question);
    return validate_body(bytes_text(body), arena, question, fault);
}

static void scans_the_simple_form_in_place(void **state)
{
    (void)state;
    struct validation_ask ask;
    const char *body = " {\"key\" : \"kr_live_x\",\n\"bucket\":\"production\"} ";
    assert_true(validate_body_scan(bytes_text(body), &ask));
    assert_true(bytes_equal_text(ask.key, "kr_live_x"));
    assert_true(bytes_equal_text(ask.bucket, "production"));
    assert_true(ask.key.data > (const uint8_t *)body && ask.key.data < (const uint8_t *)body + 40);
}

static void leaves_all_else_to_the_library(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "{}",
        "{\"key\":\"a\"",
        "{\"key\":\"a\\u0041\"}",
        "{\"key\":\"a\",\"key\":\"b\"}",
        "{\"bucket\":\"b\"}",
        "{\"key\":\"a\",\"scopes\":[]}",
        "{\"key\":\"a\",\"bucket\":\"\"}",
        "{\"key\":\"a\"}x",
        "[\"key\",\"a\"]",
        "{\"key\":\"\xc3\xa9\"}",
        "{\"key\":\"a\",\"bucket\":\"b\",\"ip\":\"c\"}",
    };
    struct validation_ask ask;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_false(validate_body_scan(bytes_text(bodies[i]), &ask));
        assert_int_equal(ask.key.size, 0);
    }
}

static void reads_every_field(void **state)
{
    (void)state;
    struct arena arena;
    struct validate_question question;
    struct fault fault;
    arena_init(&arena);
    assert_int_equal(
        read(
            "{\"key\":\"\\u006b1\",\"bucket\":\"b\",\"scopes\":[\"a\",\"b:c\"],\"ip\":\"10.0.0.1\","
            "\"method\":\"GET\",\"path\":\"/x\",\"minIndex\":7,\"maxStalenessMs\":100,"
            "\"explain\":true}",
            &arena, &question, &fault),
        KR_ERR_OK);
    assert_true(bytes_equal_text(question.ask.key, "k1"));
    assert_int_equal(question.ask.scope_count, 2);
    assert_true(bytes_equal_text(question.ask.scopes[1], "b:c"));
    assert_true(question.has_address);
    assert_int_equal(question.ask.min_index, 7);
    assert_int_equal(question.ask.max_staleness_ms, 100);
    assert_true(question.ask.wants_explanation);
    arena_fini(&arena);
}

static void names_the_field_that_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body, *field;
    } cases[] = {
        {"{\"key\":1}", "key"},
        {"{\"bucket\":\"b\"}", "key"},
        {"{\"key\":\"a\",\"bucket\":\"\"}", "bucket: empty"},
        {"{\"bucket\":\"\",\"key\":\"a\"}", "bucket: empty"},
        {"{\"key\":\"a\",\"scopes\":[],\"bucket\":\"\"}", "bucket: empty"},
        {"{\"key\":\"a\",\"scopes\":\"x\"}", "scopes"},
        {"{\"key\":\"a\",\"scopes\":[1]}", "scopes"},
        {"{\"key\":\"a\",\"ip\":\"1.2.3\"}", "ip"},
        {"{\"key\":\"a\",\"minIndex\":-1}", "minIndex"},
        {"{\"key\":\"a\",\"maxStalenessMs\":\"1\"}", "maxStalenessMs"},
        {"{\"key\":\"a\",\"explain\":1}", "explain"},
        {"{\"key\":\"a\",\"colour\":1}", "colour"},
        {"[]", "body"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena arena;
        struct validate_question question;
        struct fault fault;
        arena_init(&arena);
        assert_int_equal(read(cases[i].body, &arena, &question, &fault), KR_ERR_INVALID);
        assert_ptr_equal(strstr(fault.text, cases[i].field), fault.text);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scans_the_simple_form_in_place),
        cmocka_unit_test(leaves_all_else_to_the_library),
        cmocka_unit_test(reads_every_field),
        cmocka_unit_test(names_the_field_that_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
