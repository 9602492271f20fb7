// SPDX-License-Identifier: Apache-2.0
// Texts in a manual page come out as they went in, whatever troff would take for its own.
#include "core/base/troff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check(struct buf *page, const char *wanted)
{
    buf_add_u8(page, '\0');
    assert_string_equal((const char *)page->data, wanted);
    buf_fini(page);
}

static void what_troff_would_read_is_escaped(void **state)
{
    (void)state;
    struct buf page;
    buf_init(&page, 4096);
    troff_add_text(&page, ".so it's a\\b --all\n.end");
    check(&page, "\\&.so it\\(aqs a\\eb \\-\\-all\n.PP\n\\&.end\n");
}

static void verbatim_lines_stay_lines(void **state)
{
    (void)state;
    struct buf page;
    buf_init(&page, 4096);
    troff_add_verbatim(&page, "  one -x\n.two\n");
    check(&page, ".nf\n  one \\-x\n\\&.two\n.fi\n");
}

static void a_page_begins_with_its_title_and_name(void **state)
{
    (void)state;
    struct buf page;
    buf_init(&page, 4096);
    troff_add_title(&page, "keyreeve-key-list", "1");
    troff_add_name(&page, "keyreeve-key-list", "lists\nkeys");
    troff_add_term(&page, "--all", "every one");
    check(&page,
          ".TH \"KEYREEVE-KEY-LIST\" 1 \"\" \"Keyreeve " KR_VERSION "\" \"Keyreeve Manual\"\n"
          ".SH NAME\nkeyreeve\\-key\\-list \\- lists keys\n"
          ".TP\n.B \\-\\-all\nevery one\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_troff_would_read_is_escaped),
        cmocka_unit_test(verbatim_lines_stay_lines),
        cmocka_unit_test(a_page_begins_with_its_title_and_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
