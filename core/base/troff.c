// SPDX-License-Identifier: Apache-2.0
// Manual pages in troff. See troff.h.
#include "core/base/troff.h"

// Escapes a backslash, a dash, a quote, and a dot that would begin a request.
static void add_escaped(struct buf *out, const char *text, const char *newline)
{
    bool is_at_start = true;
    for (; *text != '\0'; text++) {
        if (is_at_start && *text == '.')
            buf_add_text(out, "\\&");
        if (*text == '\\')
            buf_add_text(out, "\\e");
        else if (*text == '-')
            buf_add_text(out, "\\-");
        else if (*text == '\'')
            buf_add_text(out, "\\(aq");
        else if (*text == '\n')
            buf_add_text(out, newline);
        else
            buf_add_u8(out, (uint8_t)*text);
        is_at_start = *text == '\n';
    }
}

static void end_line(struct buf *out)
{
    if (out->size > 0 && out->data[out->size - 1] != '\n')
        buf_add_u8(out, '\n');
}

static void add_macro(struct buf *out, const char *macro, const char *text)
{
    buf_add_text(out, macro);
    add_escaped(out, text, " ");
    end_line(out);
}

void troff_add_title(struct buf *out, const char *name, const char *section)
{
    buf_add_text(out, ".TH \"");
    for (; *name != '\0'; name++)
        buf_add_u8(out,
                   *name >= 'a' && *name <= 'z' ? (uint8_t)(*name - 'a' + 'A') : (uint8_t)*name);
    buf_printf(out, "\" %s \"\" \"Keyreeve " KR_VERSION "\" \"Keyreeve Manual\"\n", section);
}

void troff_add_name(struct buf *out, const char *name, const char *summary)
{
    troff_add_section(out, "NAME");
    add_escaped(out, name, " ");
    buf_add_text(out, " \\- ");
    add_escaped(out, summary, " ");
    end_line(out);
}

void troff_add_section(struct buf *out, const char *title)
{
    add_macro(out, ".SH ", title);
}

void troff_add_text(struct buf *out, const char *text)
{
    add_escaped(out, text, "\n.PP\n");
    end_line(out);
}

void troff_add_verbatim(struct buf *out, const char *text)
{
    buf_add_text(out, ".nf\n");
    add_escaped(out, text, "\n");
    end_line(out);
    buf_add_text(out, ".fi\n");
}

void troff_add_bold(struct buf *out, const char *text)
{
    add_macro(out, ".B ", text);
}

void troff_add_italic(struct buf *out, const char *text)
{
    add_macro(out, ".I ", text);
}

void troff_add_term(struct buf *out, const char *term, const char *help)
{
    buf_add_text(out, ".TP\n");
    troff_add_bold(out, term);
    troff_add_text(out, help);
}
