// SPDX-License-Identifier: Apache-2.0
// How members of the node's JSON read in a table.
#include "client/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void progress_is_a_percentage_where_there_is_any(void **state)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"{\"snapshot\":{\"doneBytes\":300,\"totalBytes\":1000}}", "30 %"},
        {"{\"snapshot\":{\"doneBytes\":0,\"totalBytes\":1000}}", "0 %"},
        {"{\"snapshot\":{\"doneBytes\":1200,\"totalBytes\":1000}}", "100 %"}, // an estimate
        {"{\"snapshot\":{\"doneBytes\":0,\"totalBytes\":0}}", ""},
        {"{\"snapshot\":null}", ""},
        {"{}", ""}, // from an older node
    };
    const struct view_column column = {"SNAPSHOT", "snapshot", KR_VIEW_PROGRESS, false};
    struct arena arena;
    (void)state;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json *json = NULL;
        enum term_style style;
        assert_int_equal(json_parse(bytes_text(cases[i].json), &json, NULL), KR_ERR_OK);
        assert_string_equal(view_text(json, &column, &arena, &style), cases[i].text);
        json_free(&json);
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(progress_is_a_percentage_where_there_is_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
