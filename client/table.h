// SPDX-License-Identifier: Apache-2.0
// Aligned tables for people: rows of cells, each column as wide as its widest cell.
//
// On a terminal the flexible columns shrink until a line fits. Cells are copied; colours come from
// the cell's style. One thread at a time.
#pragma once

#include "client/term.h"
#include "core/base/mem.h"

#define KR_TABLE_COLUMNS_MAX 16
#define KR_TABLE_FLEXIBLE_MIN 8 // columns that a flexible column keeps

struct table_column {
    const char *title;
    bool is_right;    // numbers
    bool is_flexible; // may be cut to fit the terminal
};

struct table_cell {
    const char *text;
    enum term_style style;
};

struct table {
    struct arena arena;
    const struct table_column *columns; // keeps
    size_t column_count;
    size_t widths[KR_TABLE_COLUMNS_MAX];
    struct table_cell *cells; // row after row
    size_t cell_count, cell_capacity;
    bool has_header; // printed already
};

void table_init(struct table *table, const struct table_column *columns, size_t column_count);
void table_fini(struct table *table);
// The next cell, left to right, row after row; NULL shows "-". Borrows text.
void table_add(struct table *table, const char *text, enum term_style style);
// Appends the rows so far, and before the first ones the header; forgets them, but the widths
// stay, so that a list can be printed page by page.
void table_render(struct table *table, const struct term *term, struct buf *out);

// A record: "name  value" lines. Titles in one column, values as they are.
struct table_field {
    const char *title;
    const char *text;
    enum term_style style;
};
void table_render_record(const struct table_field *fields, size_t count, const struct term *term,
                         struct buf *out);
