// SPDX-License-Identifier: Apache-2.0
// JSON as tables and records.
#include "client/view.h"

#include <assert.h>
#include <string.h>

#include "client/progress.h"
#include "core/base/clock.h"

enum { KR_VIEW_LIMIT = 1000, KR_VIEW_FLUSH_ROWS = 1000, KR_VIEW_FIELDS_MAX = 32 };

#define KR_VIEW_TEXT_MAX ((size_t)1 << 20)
#define KR_VIEW_OUT_MAX ((size_t)256 << 20)

static const struct json *find_member(const struct json *object, const char *path)
{
    char outer[48];
    const char *dot = strchr(path, '.');
    if (json_type_of(object) != KR_JSON_OBJECT)
        return NULL;
    if (dot == NULL)
        return json_member(object, path);
    snprintf(outer, sizeof(outer), "%.*s", (int)(dot - path), path);
    const struct json *inner = json_member(object, outer);
    return inner == NULL ? NULL : find_member(inner, dot + 1);
}

static enum term_style status_style(const char *status)
{
    static const struct {
        const char *text;
        enum term_style style;
    } styles[] = {
        {"active", KR_STYLE_GREEN},         {"VALID", KR_STYLE_GREEN},
        {"applied", KR_STYLE_GREEN},        {"serving", KR_STYLE_GREEN},
        {"ready", KR_STYLE_GREEN},          {"expiring", KR_STYLE_YELLOW},
        {"pending", KR_STYLE_YELLOW},       {"starting", KR_STYLE_YELLOW},
        {"unbounded", KR_STYLE_YELLOW},     {"disabled", KR_STYLE_DIM},
        {"lease-expired", KR_STYLE_YELLOW},
    };
    for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++)
        if (strcmp(status, styles[i].text) == 0)
            return styles[i].style;
    return KR_STYLE_RED;
}

static const char *text_of_time(const struct json *value, struct arena *arena)
{
    char stamp[KR_STAMP_SIZE];
    int64_t unix_ms;
    if (json_type_of(value) != KR_JSON_STRING)
        return "";
    if (clock_parse(bytes_text(json_text(value)), &unix_ms) != 0)
        return arena_text(arena, json_text(value));
    clock_stamp(unix_ms, stamp);
    stamp[10] = ' ';
    stamp[19] = '\0'; // seconds are enough for people
    return arena_text(arena, stamp);
}

static const char *finish_text(struct buf *text, struct arena *arena)
{
    const char *copy = arena_text_of(arena, buf_bytes(text));
    buf_fini(text);
    return copy;
}

static const char *text_of_json(const struct json *value, struct arena *arena)
{
    struct buf text;
    if (json_type_of(value) == KR_JSON_NULL)
        return "";
    if (json_type_of(value) == KR_JSON_STRING)
        return arena_text(arena, json_text(value));
    buf_init(&text, KR_VIEW_TEXT_MAX);
    json_add(&text, value);
    return finish_text(&text, arena);
}

static const char *text_of_texts(const struct json *value, struct arena *arena)
{
    struct buf text;
    if (json_type_of(value) != KR_JSON_ARRAY)
        return text_of_json(value, arena);
    buf_init(&text, KR_VIEW_TEXT_MAX);
    for (size_t i = 0; i < json_size(value); i++) {
        if (i > 0)
            buf_add_text(&text, ", ");
        buf_add_text(&text, text_of_json(json_at(value, i), arena));
    }
    return finish_text(&text, arena);
}

static const char *text_of_tags(const struct json *value, struct arena *arena)
{
    struct buf text;
    void *cursor = NULL;
    const char *name;
    const struct json *item;
    if (json_type_of(value) != KR_JSON_OBJECT)
        return text_of_json(value, arena);
    buf_init(&text, KR_VIEW_TEXT_MAX);
    while (json_next(value, &cursor, &name, &item))
        buf_printf(&text, "%s%s=%s", text.size == 0 ? "" : ", ", name, text_of_json(item, arena));
    return finish_text(&text, arena);
}

static const char *text_of_number(const struct json *value, struct arena *arena)
{
    char number[KR_PROGRESS_NUMBER_SIZE];
    if (json_type_of(value) != KR_JSON_INTEGER || json_int64(value) < 0)
        return text_of_json(value, arena);
    return arena_text(arena, progress_number((uint64_t)json_int64(value), number));
}

static int64_t bytes_in(const struct json *progress, const char *name)
{
    const struct json *bytes = find_member(progress, name);
    return bytes != NULL && json_type_of(bytes) == KR_JSON_INTEGER ? json_int64(bytes) : 0;
}

static const char *text_of_progress(const struct json *value, struct arena *arena)
{
    int64_t done = bytes_in(value, "doneBytes"), total = bytes_in(value, "totalBytes");
    if (done < 0 || total <= 0)
        return "";
    return arena_printf(arena, "%.0f %%", done > total ? 100 : (double)done * 100 / (double)total);
}

const char *view_text(const struct json *object, const struct view_column *column,
                      struct arena *arena, enum term_style *style)
{
    const struct json *value = find_member(object, column->member);
    *style = KR_STYLE_PLAIN;
    if (value == NULL)
        return "";
    switch (column->kind) {
    case KR_VIEW_TEXT:
    case KR_VIEW_JSON:
        return text_of_json(value, arena);
    case KR_VIEW_NUMBER:
        return text_of_number(value, arena);
    case KR_VIEW_BOOL:
        return json_type_of(value) != KR_JSON_BOOL ? "" : json_bool(value) ? "yes" : "no";
    case KR_VIEW_TIME:
        return text_of_time(value, arena);
    case KR_VIEW_STATUS:
        if (json_type_of(value) == KR_JSON_STRING)
            *style = status_style(json_text(value));
        return text_of_json(value, arena);
    case KR_VIEW_TEXTS:
        return text_of_texts(value, arena);
    case KR_VIEW_TAGS:
        return text_of_tags(value, arena);
    case KR_VIEW_STALENESS:
        return json_type_of(value) == KR_JSON_NULL ? "unbounded" : text_of_number(value, arena);
    case KR_VIEW_PROGRESS:
        return text_of_progress(value, arena);
    }
    return "";
}

// A list on its way out: rows gather in the table and are printed by the thousand.
struct list {
    struct session *session;
    const struct view_column *columns;
    struct table_column titles[KR_TABLE_COLUMNS_MAX];
    size_t column_count, rows;
    struct table table;
    struct buf out;
    struct arena arena;
    enum exit_code code;
};

static void list_init(struct list *list, struct session *session, const struct view_column *columns,
                      size_t column_count)
{
    assert(column_count <= KR_TABLE_COLUMNS_MAX);
    *list = (struct list){.session = session, .columns = columns, .column_count = column_count};
    for (size_t i = 0; i < column_count; i++)
        list->titles[i] = (struct table_column){columns[i].title, columns[i].kind == KR_VIEW_NUMBER,
                                                columns[i].is_flexible};
    table_init(&list->table, list->titles, column_count);
    buf_init(&list->out, KR_VIEW_OUT_MAX);
    arena_init(&list->arena);
}

static void list_fini(struct list *list)
{
    table_fini(&list->table);
    buf_fini(&list->out);
    arena_fini(&list->arena);
}

static void list_flush(struct list *list)
{
    if (!list->session->is_json)
        table_render(&list->table, &list->session->out, &list->out);
    arena_reset(&list->arena);
    if (list->code == KR_EXIT_OK)
        list->code = session_flush(list->session, &list->out);
}

static bool list_add(void *user, const struct json *item)
{
    struct list *list = user;
    if (list->session->is_json) {
        buf_add_text(&list->out, list->rows == 0 ? "\n" : ",\n");
        json_add(&list->out, item);
    }
    for (size_t i = 0; !list->session->is_json && i < list->column_count; i++) {
        enum term_style style;
        const char *text = view_text(item, &list->columns[i], &list->arena, &style);
        table_add(&list->table, text, style);
    }
    list->rows++;
    if (list->rows % KR_VIEW_FLUSH_ROWS == 0)
        list_flush(list);
    return list->code == KR_EXIT_OK;
}

static void list_end(struct list *list, const struct api_pages *pages)
{
    char shown[KR_PROGRESS_NUMBER_SIZE], total[KR_PROGRESS_NUMBER_SIZE];
    if (list->session->is_json)
        buf_printf(&list->out, "],\"total\":%llu}\n", (unsigned long long)pages->total);
    list_flush(list);
    if (pages->offset + pages->shown < pages->total)
        session_note(list->session, "%s of %s shown; --all shows the rest",
                     progress_number(pages->shown, shown), progress_number(pages->total, total));
}

// Lists one after the other: what is left of the limit and of the offset goes on to the next. A
// list beyond the limit is asked too, for its total. Leaves the sums in pages.
static enum exit_code list_all(struct list *list, const char *const *paths, struct api_pages *pages)
{
    struct api_pages sum = *pages;
    enum exit_code code = KR_EXIT_OK;
    for (; *paths != NULL && code == KR_EXIT_OK && list->code == KR_EXIT_OK; paths++) {
        pages->path = *paths;
        code = api_list(list->session, pages);
        sum.shown += pages->shown;
        sum.total += pages->total;
        pages->limit -= pages->limit == UINT64_MAX ? 0 : pages->shown;
        pages->offset -= pages->offset < pages->total ? pages->offset : pages->total;
    }
    *pages = sum;
    return code;
}

enum exit_code view_lists(struct session *session, const char *const *paths, uint64_t page_size,
                          const struct view_column *columns, size_t column_count)
{
    struct list list;
    bool wants_all = parse_has(session->in, KR_OPT_ALL);
    struct api_pages pages = {
        .page_size = page_size,
        .limit = wants_all ? UINT64_MAX : parse_number(session->in, KR_OPT_LIMIT, KR_VIEW_LIMIT),
        .offset = parse_number(session->in, KR_OPT_OFFSET, 0),
        .each = list_add,
        .user = &list,
    };
    list_init(&list, session, columns, column_count);
    if (session->is_json)
        buf_add_text(&list.out, "{\"data\":[");
    enum exit_code code = list_all(&list, paths, &pages);
    if (code == KR_EXIT_OK && list.code == KR_EXIT_OK)
        list_end(&list, &pages);
    list_fini(&list);
    return code == KR_EXIT_OK ? list.code : code;
}

enum exit_code view_list(struct session *session, const char *path, uint64_t page_size,
                         const struct view_column *columns, size_t column_count)
{
    const char *const paths[] = {path, NULL};
    return view_lists(session, paths, page_size, columns, column_count);
}

enum exit_code view_rows(struct session *session, const struct json *array,
                         const struct view_column *columns, size_t column_count)
{
    struct list list;
    list_init(&list, session, columns, column_count);
    for (size_t i = 0; array != NULL && i < json_size(array); i++)
        if (!list_add(&list, json_at(array, i)))
            break;
    list_flush(&list);
    list_fini(&list);
    return list.code;
}

static void add_record(const struct term *term, const struct json *object,
                       const struct view_column *columns, size_t column_count, struct buf *out)
{
    struct table_field fields[KR_VIEW_FIELDS_MAX];
    struct arena arena;
    size_t count = 0;
    arena_init(&arena);
    for (size_t i = 0; i < column_count && count < KR_VIEW_FIELDS_MAX; i++) {
        enum term_style style;
        if (find_member(object, columns[i].member) == NULL)
            continue;
        const char *text = view_text(object, &columns[i], &arena, &style);
        fields[count++] = (struct table_field){columns[i].title, text, style};
    }
    table_render_record(fields, count, term, out);
    arena_fini(&arena);
}

enum exit_code view_json(struct session *session, const struct json *json)
{
    struct buf out;
    buf_init(&out, KR_VIEW_OUT_MAX);
    json_add(&out, json);
    buf_add_u8(&out, '\n');
    enum exit_code code = session_flush(session, &out);
    buf_fini(&out);
    return code;
}

enum exit_code view_record(struct session *session, const struct json *object,
                           const struct view_column *columns, size_t column_count)
{
    struct buf out;
    if (object == NULL || json_type_of(object) != KR_JSON_OBJECT)
        return session_fail(session, KR_EXIT_FAILURE, NULL, "the node's answer is not an object");
    if (session->is_json)
        return view_json(session, object);
    buf_init(&out, KR_VIEW_OUT_MAX);
    add_record(&session->out, object, columns, column_count, &out);
    enum exit_code code = session_flush(session, &out);
    buf_fini(&out);
    return code;
}

void view_aside(struct session *session, const struct json *object,
                const struct view_column *columns, size_t column_count)
{
    struct buf out;
    if (session->is_json || object == NULL)
        return;
    buf_init(&out, KR_VIEW_OUT_MAX);
    add_record(&session->err, object, columns, column_count, &out);
    fwrite(out.data, 1, out.size, stderr);
    buf_fini(&out);
}

enum exit_code view_fetched(struct session *session, const char *path,
                            const struct view_column *columns, size_t column_count)
{
    struct api_answer answer;
    enum exit_code code = api_get(session, path, &answer);
    if (code == KR_EXIT_OK)
        code = view_record(session, answer.json, columns, column_count);
    api_answer_fini(&answer);
    return code;
}
