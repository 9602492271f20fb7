// SPDX-License-Identifier: Apache-2.0
// Aligned tables of figures.
#include "bench/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void table_text(struct table *table, const char *text)
{
    assert(table->rows > 0 && table->filled < KR_TABLE_COLUMNS);
    char *cell = table->cells[table->rows - 1][table->filled++];
    snprintf(cell, KR_TABLE_CELL, "%s", text);
    if (table->filled > table->columns)
        table->columns = table->filled;
}

void table_row(struct table *table, const char *text)
{
    assert(table->rows < KR_TABLE_ROWS);
    table->rows++;
    table->filled = 0;
    table_text(table, text);
}

// Writes a comma before every third digit of the whole part.
static void group(const char *plain, char out[KR_TABLE_CELL])
{
    size_t whole = strcspn(plain, "."), at = 0;
    for (size_t i = 0; plain[i] != '\0' && at < KR_TABLE_CELL - 2; i++) {
        if (i > 0 && i < whole && (whole - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = plain[i];
    }
    out[at] = '\0';
}

void table_number(struct table *table, double value, int decimals)
{
    char plain[KR_TABLE_CELL], grouped[KR_TABLE_CELL];
    if (value < 0) {
        table_text(table, "-");
        return;
    }
    snprintf(plain, sizeof(plain), "%.*f", decimals, value);
    group(plain, grouped);
    table_text(table, grouped);
}

static int column_width(const struct table *table, size_t column)
{
    size_t width = 0;
    for (size_t row = 0; row < table->rows; row++) {
        size_t size = strlen(table->cells[row][column]);
        width = size > width ? size : width;
    }
    return (int)width;
}

void table_print(const struct table *table, FILE *out)
{
    for (size_t row = 0; row < table->rows; row++) {
        for (size_t column = 0; column < table->columns; column++)
            fprintf(out, column == 0 ? "%-*s" : "  %*s", column_width(table, column),
                    table->cells[row][column]);
        fputc('\n', out);
    }
}

static int compare(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double table_median(double *values, size_t count)
{
    if (count == 0)
        return -1;
    qsort(values, count, sizeof(*values), compare);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}
