// SPDX-License-Identifier: Apache-2.0
// Look-ups in a request.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/http/request.h"

static struct http_request with_fields(void)
{
    struct http_request request = {.field_count = 3};
    request.fields[0] = (struct http_field){bytes_text("X-A"), bytes_text("1")};
    request.fields[1] = (struct http_field){bytes_text("x-a"), bytes_text("2")};
    request.fields[2] = (struct http_field){bytes_text("X-Empty"), bytes_text("")};
    return request;
}

static void the_first_field_of_a_name_is_found_in_any_case(void **state)
{
    (void)state;
    struct http_request request = with_fields();
    assert_ptr_equal(http_request_field(&request, "X-a"), &request.fields[0]);
    assert_true(bytes_equal_text(http_request_value(&request, "x-A"), "1"));
}

static void an_absent_field_is_told_from_an_empty_one(void **state)
{
    (void)state;
    struct http_request request = with_fields();
    assert_null(http_request_field(&request, "X"));
    assert_null(http_request_field(&request, "X-AA"));
    assert_non_null(http_request_field(&request, "x-empty"));
    assert_int_equal(http_request_value(&request, "X").size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_field_of_a_name_is_found_in_any_case),
        cmocka_unit_test(an_absent_field_is_told_from_an_empty_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
