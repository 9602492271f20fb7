// SPDX-License-Identifier: Apache-2.0
// Aligned tables.
#include "client/table.h"

#include <assert.h>

enum { KR_TABLE_GAP = 2 };

void table_init(struct table *table, const struct table_column *columns, size_t column_count)
{
    assert(column_count <= KR_TABLE_COLUMNS_MAX);
    *table = (struct table){.columns = columns, .column_count = column_count};
    arena_init(&table->arena);
    for (size_t i = 0; i < column_count; i++)
        table->widths[i] = term_columns(columns[i].title);
}

void table_fini(struct table *table)
{
    arena_fini(&table->arena);
    mem_free(table->cells);
    *table = (struct table){0};
}

void table_add(struct table *table, const char *text, enum term_style style)
{
    if (table->cell_count == table->cell_capacity) {
        table->cell_capacity = table->cell_capacity == 0 ? 256 : table->cell_capacity * 2;
        table->cells = mem_realloc(table->cells, table->cell_capacity * sizeof(*table->cells));
    }
    const char *shown = text == NULL || *text == '\0' ? "-" : arena_text(&table->arena, text);
    size_t column = table->cell_count % table->column_count, width = term_columns(shown);
    if (width > table->widths[column])
        table->widths[column] = width;
    table->cells[table->cell_count++] = (struct table_cell){shown, style};
}

// Takes what is too much from the widest flexible column, again and again.
static void fit(const struct table *table, const struct term *term, size_t widths[])
{
    size_t total = 0;
    for (size_t i = 0; i < table->column_count; i++)
        total += widths[i] + (i == 0 ? 0 : KR_TABLE_GAP);
    while (term->width > 0 && total > term->width) {
        size_t widest = KR_TABLE_COLUMNS_MAX;
        for (size_t i = 0; i < table->column_count; i++)
            if (table->columns[i].is_flexible && widths[i] > KR_TABLE_FLEXIBLE_MIN &&
                (widest == KR_TABLE_COLUMNS_MAX || widths[i] > widths[widest]))
                widest = i;
        if (widest == KR_TABLE_COLUMNS_MAX)
            return;
        widths[widest]--;
        total--;
    }
}

static void add_spaces(struct buf *out, size_t count)
{
    for (; count > 0; count--)
        buf_add_u8(out, ' ');
}

static void add_styled(struct buf *out, const struct term *term, struct table_cell cell,
                       size_t width)
{
    const char *begin = cell.style == KR_STYLE_PLAIN ? "" : term_style(term, cell.style);
    buf_add_text(out, begin);
    term_add_safe(out, cell.text, width);
    if (*begin != '\0')
        buf_add_text(out, term_style(term, KR_STYLE_PLAIN));
}

static void add_row(const struct table *table, const struct term *term, const size_t widths[],
                    const struct table_cell cells[], struct buf *out)
{
    for (size_t i = 0; i < table->column_count; i++) {
        size_t width = term_columns(cells[i].text);
        size_t space = width < widths[i] ? widths[i] - width : 0;
        bool is_last = i + 1 == table->column_count;
        add_spaces(out, i == 0 ? 0 : KR_TABLE_GAP);
        if (table->columns[i].is_right)
            add_spaces(out, space);
        add_styled(out, term, cells[i], widths[i]);
        if (!table->columns[i].is_right && !is_last)
            add_spaces(out, space);
    }
    buf_add_u8(out, '\n');
}

void table_render(struct table *table, const struct term *term, struct buf *out)
{
    struct table_cell titles[KR_TABLE_COLUMNS_MAX];
    size_t widths[KR_TABLE_COLUMNS_MAX];
    memcpy(widths, table->widths, sizeof(widths));
    fit(table, term, widths);
    for (size_t i = 0; i < table->column_count; i++)
        titles[i] = (struct table_cell){table->columns[i].title, KR_STYLE_BOLD};
    if (!table->has_header)
        add_row(table, term, widths, titles, out);
    table->has_header = true;
    for (size_t at = 0; at + table->column_count <= table->cell_count; at += table->column_count)
        add_row(table, term, widths, table->cells + at, out);
    table->cell_count = 0;
    arena_reset(&table->arena);
}

void table_render_record(const struct table_field *fields, size_t count, const struct term *term,
                         struct buf *out)
{
    size_t width = 0;
    for (size_t i = 0; i < count; i++) {
        size_t columns = term_columns(fields[i].title);
        width = columns > width ? columns : width;
    }
    for (size_t i = 0; i < count; i++) {
        const char *text = fields[i].text;
        buf_add_text(out, term_style(term, KR_STYLE_BOLD));
        buf_add_text(out, fields[i].title);
        buf_add_text(out, term_style(term, KR_STYLE_PLAIN));
        add_spaces(out, width - term_columns(fields[i].title) + KR_TABLE_GAP);
        add_styled(out, term,
                   (struct table_cell){text == NULL || *text == '\0' ? "-" : text, fields[i].style},
                   SIZE_MAX);
        buf_add_u8(out, '\n');
    }
}
