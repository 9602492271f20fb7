// SPDX-License-Identifier: Apache-2.0
// How the node's JSON is shown to people: which members, under which titles, in which form.
#pragma once

#include "client/api.h"
#include "client/table.h"

enum view_kind {
    KR_VIEW_TEXT,
    KR_VIEW_NUMBER,
    KR_VIEW_BOOL, // yes, no
    KR_VIEW_TIME, // 2026-01-31 23:59:59 (UTC); "-" for null
    KR_VIEW_STATUS,
    KR_VIEW_TEXTS, // a, b
    KR_VIEW_TAGS,  // a=1, b=2
    KR_VIEW_JSON,  // as it is, compact
    KR_VIEW_STALENESS,
    KR_VIEW_PROGRESS // doneBytes of totalBytes: 45 %
};

struct view_column {
    const char *title;
    const char *member; // "consumer.name" goes one level down
    enum view_kind kind;
    bool is_flexible;
};

#define KR_VIEW_COUNT(columns) (sizeof(columns) / sizeof((columns)[0]))

// The text and style of a member; "" when it is not there. Lends from the arena.
const char *view_text(const struct json *object, const struct view_column *column,
                      struct arena *arena, enum term_style *style);

// Fetches a list with --limit, --offset and --all, and prints it as a table, or with --json as
// {"data":[…],"total":n}. path may carry a query; page_size is the largest that the route allows.
must_use enum exit_code view_list(struct session *session, const char *path, uint64_t page_size,
                                  const struct view_column *columns, size_t column_count);
// The same of several lists, as one: their rows in turn, under one limit and offset. paths ends
// with NULL.
must_use enum exit_code view_lists(struct session *session, const char *const *paths,
                                   uint64_t page_size, const struct view_column *columns,
                                   size_t column_count);
// Prints an array's elements as a table.
must_use enum exit_code view_rows(struct session *session, const struct json *array,
                                  const struct view_column *columns, size_t column_count);
// Prints one object as "title  value" lines on standard output, or with --json as it is.
must_use enum exit_code view_record(struct session *session, const struct json *object,
                                    const struct view_column *columns, size_t column_count);
// The same on standard error and never as JSON, for what goes beside a secret.
void view_aside(struct session *session, const struct json *object,
                const struct view_column *columns, size_t column_count);
// Prints JSON and a line feed on standard output.
must_use enum exit_code view_json(struct session *session, const struct json *json);
// One whole GET shown as a record.
must_use enum exit_code view_fetched(struct session *session, const char *path,
                                     const struct view_column *columns, size_t column_count);
