// SPDX-License-Identifier: Apache-2.0
// Aligned tables of figures on stdout, and medians over turns.
#pragma once

#include <stddef.h>
#include <stdio.h>

#define KR_TABLE_CELL 80
#define KR_TABLE_COLUMNS 16
#define KR_TABLE_ROWS 64

// Cells are texts; the first column is aligned left, the others right.
struct table {
    size_t columns, rows;
    size_t filled; // cells of the last row
    char cells[KR_TABLE_ROWS][KR_TABLE_COLUMNS][KR_TABLE_CELL];
};

// Starts a row with this text in its first cell; the first row is the heading.
void table_row(struct table *table, const char *text);
void table_text(struct table *table, const char *text);
// Thousands are separated by commas; "-" for a number below 0, which means "not measured".
void table_number(struct table *table, double value, int decimals);
void table_print(const struct table *table, FILE *out);

// The median of count values (sorted in place); -1 when there are none.
double table_median(double *values, size_t count);
