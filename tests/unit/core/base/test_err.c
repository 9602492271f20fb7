// SPDX-License-Identifier: Apache-2.0
// The error table: every error has a text and a status that HTTP knows.
#include "core/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/fault.h"

static const enum kr_err all[] = {
#define X(name, text, status) KR_ERR_##name,
    KR_ERR_TABLE(X)
#undef X
};

enum { KR_TEST_ERRORS = sizeof(all) / sizeof(all[0]) };

static void ok_is_zero_and_answers_200(void **state)
{
    (void)state;
    assert_int_equal(KR_ERR_OK, 0);
    assert_int_equal(err_http_status(KR_ERR_OK), 200);
}

static void every_error_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < KR_TEST_ERRORS; i++) {
        const char *text = err_text(all[i]);
        assert_true(strlen(text) > 0);
        assert_int_not_equal(text[strlen(text) - 1], '.');
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(text, err_text(all[j]));
    }
}

static void every_error_answers_with_an_error_status(void **state)
{
    (void)state;
    for (size_t i = 1; i < KR_TEST_ERRORS; i++)
        assert_in_range(err_http_status(all[i]), 400, 503);
}

static void values_outside_the_table_are_still_safe(void **state)
{
    (void)state;
    assert_non_null(err_text((enum kr_err)9999));
    assert_int_equal(err_http_status((enum kr_err)9999), 500);
}

static void errno_of_a_full_disk_is_told_apart(void **state)
{
    (void)state;
    assert_int_equal(err_from_errno(ENOSPC), KR_ERR_DISK_FULL);
    assert_int_equal(err_from_errno(EDQUOT), KR_ERR_DISK_FULL);
    assert_int_equal(err_from_errno(ENOENT), KR_ERR_NOT_FOUND);
    assert_int_equal(err_from_errno(EACCES), KR_ERR_IO);
    assert_int_equal(err_from_errno(EIO), KR_ERR_IO);
}

static void a_fault_keeps_error_and_sentence(void **state)
{
    (void)state;
    struct fault fault;
    assert_int_equal(fault_set(&fault, KR_ERR_CONFLICT, "bucket %s has %d keys", "b", 3),
                     KR_ERR_CONFLICT);
    assert_int_equal(fault.err, KR_ERR_CONFLICT);
    assert_string_equal(fault.text, "bucket b has 3 keys");
}

static void a_fault_cuts_a_long_sentence(void **state)
{
    (void)state;
    struct fault fault;
    char text[2 * KR_FAULT_TEXT_MAX];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(fault_set(&fault, KR_ERR_IO, "%s", text), KR_ERR_IO);
    assert_int_equal(strlen(fault.text), KR_FAULT_TEXT_MAX - 1);
}

static void a_fault_nobody_wants_is_still_an_error(void **state)
{
    (void)state;
    assert_int_equal(fault_set(NULL, KR_ERR_BUSY, "unheard"), KR_ERR_BUSY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ok_is_zero_and_answers_200),
        cmocka_unit_test(every_error_has_a_text_of_its_own),
        cmocka_unit_test(every_error_answers_with_an_error_status),
        cmocka_unit_test(values_outside_the_table_are_still_safe),
        cmocka_unit_test(errno_of_a_full_disk_is_told_apart),
        cmocka_unit_test(a_fault_keeps_error_and_sentence),
        cmocka_unit_test(a_fault_cuts_a_long_sentence),
        cmocka_unit_test(a_fault_nobody_wants_is_still_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
