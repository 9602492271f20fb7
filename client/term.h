// SPDX-License-Identifier: Apache-2.0
// What the terminal can do, and the little that is asked of it: colour, width, hidden input.
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "core/base/buf.h"
#include "core/base/fault.h"

enum term_style {
    KR_STYLE_PLAIN,
    KR_STYLE_BOLD,
    KR_STYLE_DIM,
    KR_STYLE_RED,
    KR_STYLE_GREEN,
    KR_STYLE_YELLOW
};

struct term {
    FILE *file;
    bool is_terminal;
    bool has_colour; // a terminal, TERM is not "dumb", and NO_COLOR is unset or empty
    unsigned width;  // columns; 0 when it is no terminal
};

void term_init(struct term *term, FILE *file); // keeps file

// The escape sequence that begins a style, or "" without colour; KR_STYLE_PLAIN ends one.
const char *term_style(const struct term *term, enum term_style style);

// Asks on the terminal (/dev/tty, so that standard input may be a pipe) and appends the line,
// without echo when hidden. NOT_FOUND when there is no terminal, INVALID when nothing was typed.
must_use enum kr_err term_ask(const char *question, bool is_hidden, struct buf *out,
                              struct fault *fault);
// Is there a terminal to ask on?
bool term_can_ask(void);

// Columns that this UTF-8 text takes; a control character counts as 1, since it is shown as "?".
size_t term_columns(const char *text);
// Appends text of at most columns (… marks a cut), control characters as "?": what others wrote
// into a description must not steer the reader's terminal.
void term_add_safe(struct buf *out, const char *text, size_t columns);
