// SPDX-License-Identifier: Apache-2.0
// Manual pages in troff (the macros of man(7)), for what programs print from their own tables.
//
// Texts may hold anything: what troff would take for its own is escaped. Each piece ends its line.
#pragma once

#include "core/base/buf.h"

// .TH; name as people type it ("keyreeve-key-list"), section a digit of it ("1").
void troff_add_title(struct buf *out, const char *name, const char *section);
void troff_add_name(struct buf *out, const char *name, const char *summary); // the section NAME
void troff_add_section(struct buf *out, const char *title);
void troff_add_text(struct buf *out, const char *text);     // lines are paragraphs
void troff_add_verbatim(struct buf *out, const char *text); // lines stay as they are
void troff_add_bold(struct buf *out, const char *text);     // a line, as the next
void troff_add_italic(struct buf *out, const char *text);
void troff_add_term(struct buf *out, const char *term, const char *help);
