// SPDX-License-Identifier: Apache-2.0
// Manual pages of keyreeve-bench. See manual.h.
#include "bench/manual.h"

#include <stdio.h>
#include <string.h>

#include "core/base/troff.h"

#define KR_MANUAL_MAX ((size_t)1 << 20)

enum { KR_MANUAL_NAME_SIZE = 96 };

// "keyreeve-bench-wan-set" of "wan set [A [B]]".
static void page_name(const char *name, char out[KR_MANUAL_NAME_SIZE])
{
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyz- ");
    while (size > 0 && name[size - 1] == ' ')
        size--;
    snprintf(out, KR_MANUAL_NAME_SIZE, "keyreeve-bench%s%.*s", size > 0 ? "-" : "", (int)size,
             name);
    for (char *at = out; *at != '\0'; at++)
        if (*at == ' ')
            *at = '-';
}

void manual_begin(struct buf *page, const struct manual_head *head)
{
    char name[KR_MANUAL_NAME_SIZE], synopsis[KR_MANUAL_NAME_SIZE];
    page_name(head->name, name);
    snprintf(synopsis, sizeof(synopsis), "keyreeve-bench %s", head->name);
    buf_init(page, KR_MANUAL_MAX);
    troff_add_title(page, name, "1");
    troff_add_name(page, name, head->summary);
    troff_add_section(page, "SYNOPSIS");
    troff_add_bold(page, synopsis);
    troff_add_text(page, "[options]");
    troff_add_section(page, "DESCRIPTION");
    troff_add_verbatim(page, head->about);
}

void manual_end(struct buf *page, const char *example)
{
    troff_add_section(page, "EXIT STATUS");
    troff_add_term(page, "0", "Measured, or done.");
    troff_add_term(page, "1", "It could not be measured, or done.");
    troff_add_term(page, "2", "The command line is not valid.");
    troff_add_section(page, "EXAMPLES");
    troff_add_verbatim(page, example);
    troff_add_section(page, "SEE ALSO");
    troff_add_text(page, "keyreeve-bench(1), keyreeve(1), keyreeved(8)");
    fwrite(page->data, 1, page->size, stdout);
    buf_fini(page);
}
