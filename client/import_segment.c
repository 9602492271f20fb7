// SPDX-License-Identifier: Apache-2.0
// Segments of an import.
#include "client/import_segment.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { KR_SEGMENT_LINES_PER_ROW = 8, KR_GROUP_ROWS_FIRST = 256 };

void import_segment_init(struct import_segment *segment)
{
    *segment = (struct import_segment){0};
    arena_init(&segment->arena);
}

static void free_group(struct import_group *group)
{
    http_call_fini(&group->call);
    buf_fini(&group->body);
    mem_free(group->lines);
    mem_free(group->starts);
    mem_free(group);
}

void import_segment_fini(struct import_segment *segment)
{
    while (segment->groups != NULL) {
        struct import_group *group = segment->groups;
        segment->groups = group->next;
        free_group(group);
    }
    mem_free(segment->refusals);
    arena_fini(&segment->arena);
    *segment = (struct import_segment){0};
}

static struct import_group *new_group(struct import_segment *segment, const char *bucket)
{
    struct import_group *group = mem_zalloc(sizeof(*group));
    group->segment = segment;
    assert(strlen(bucket) < sizeof(group->bucket));
    memcpy(group->bucket, bucket, strlen(bucket) + 1);
    buf_init(&group->body, KR_SEGMENT_BODY_BYTES + 4 * KR_IMPORT_LINE_MAX);
    buf_add_text(&group->body, "{\"rows\":[");
    http_call_init(&group->call);
    group->call.owner = group;
    group->next = segment->groups;
    segment->groups = group;
    segment->group_count++;
    return group;
}

static struct import_group *find_group(struct import_segment *segment, const char *bucket)
{
    for (struct import_group *group = segment->groups; group != NULL; group = group->next)
        if (strcmp(group->bucket, bucket) == 0)
            return group;
    return new_group(segment, bucket);
}

static void add_row(struct import_group *group, uint64_t line, struct bytes row)
{
    if (group->row_count == group->row_capacity) {
        group->row_capacity =
            group->row_capacity == 0 ? KR_GROUP_ROWS_FIRST : group->row_capacity * 2;
        group->lines = mem_realloc(group->lines, group->row_capacity * sizeof(*group->lines));
        group->starts = mem_realloc(group->starts, group->row_capacity * sizeof(*group->starts));
    }
    if (group->row_count > 0)
        buf_add_u8(&group->body, ',');
    group->lines[group->row_count] = line;
    group->starts[group->row_count++] = group->body.size;
    buf_add_bytes(&group->body, row);
}

void import_segment_add(struct import_segment *segment, const char *bucket, uint64_t line,
                        struct bytes row)
{
    struct import_group *group = find_group(segment, bucket);
    add_row(group, line, row);
    segment->row_count++;
    if (group->row_count > segment->open_rows_max)
        segment->open_rows_max = group->row_count;
    // So that the size is looked at here alone, a long group counts as a full one.
    if (group->body.size >= KR_SEGMENT_BODY_BYTES)
        segment->open_rows_max = SIZE_MAX;
}

void import_segment_refuse(struct import_segment *segment, uint64_t line, const char *detail)
{
    if (segment->refusal_count == segment->refusal_capacity) {
        segment->refusal_capacity =
            segment->refusal_capacity == 0 ? 16 : segment->refusal_capacity * 2;
        segment->refusals =
            mem_realloc(segment->refusals, segment->refusal_capacity * sizeof(*segment->refusals));
    }
    segment->refusals[segment->refusal_count++] =
        (struct import_refusal){line, arena_text(&segment->arena, detail)};
}

bool import_segment_is_full(const struct import_segment *segment, size_t batch)
{
    return segment->open_rows_max >= batch ||
           segment->line_count >= batch * KR_SEGMENT_LINES_PER_ROW ||
           segment->group_count >= KR_SEGMENT_BUCKETS_MAX;
}

void import_segment_seal(struct import_segment *segment)
{
    for (struct import_group *group = segment->groups; group != NULL; group = group->next) {
        buf_add_text(&group->body, "]}");
        assert(buf_result(&group->body) == KR_ERR_OK);
        group->state = KR_GROUP_READY;
    }
    segment->is_sealed = true;
}

bool import_segment_is_done(const struct import_segment *segment)
{
    if (!segment->is_sealed)
        return false;
    for (const struct import_group *group = segment->groups; group != NULL; group = group->next)
        if (group->state != KR_GROUP_DONE)
            return false;
    return true;
}

static void finish(struct import_group *group)
{
    group->state = KR_GROUP_DONE;
    buf_fini(&group->body); // zeroes the keys now
}

static bool count_of(const struct json *root, const char *name, uint64_t *count)
{
    const struct json *value = json_member(root, name);
    if (value == NULL || json_type_of(value) != KR_JSON_INTEGER || json_int64(value) < 0)
        return false;
    *count = (uint64_t)json_int64(value);
    return true;
}

static bool check_refusal(const struct import_group *group, const struct json *item)
{
    uint64_t row;
    return json_type_of(item) == KR_JSON_OBJECT && count_of(item, "row", &row) &&
           row < group->row_count;
}

static void take_refusal(struct import_group *group, const struct json *item)
{
    uint64_t row = 0;
    const struct json *detail = json_member(item, "detail");
    bool is_text = detail != NULL && json_type_of(detail) == KR_JSON_STRING;
    (void)count_of(item, "row", &row);
    import_segment_refuse(group->segment, group->lines[row],
                          is_text ? json_text(detail) : "refused without a reason");
}

static bool take_root(struct import_group *group, const struct json *root)
{
    uint64_t imported, existing;
    if (json_type_of(root) != KR_JSON_OBJECT || !count_of(root, "imported", &imported) ||
        !count_of(root, "existing", &existing))
        return false;
    const struct json *refused = json_member(root, "refused");
    if (refused == NULL || json_type_of(refused) != KR_JSON_ARRAY)
        return false;
    if (imported > group->row_count || existing > group->row_count ||
        imported + existing + json_size(refused) != group->row_count)
        return false;
    for (size_t i = 0; i < json_size(refused); i++)
        if (!check_refusal(group, json_at(refused, i)))
            return false;
    for (size_t i = 0; i < json_size(refused); i++)
        take_refusal(group, json_at(refused, i));
    group->segment->imported += imported;
    group->segment->existing += existing;
    return true;
}

bool import_group_take(struct import_group *group, struct bytes answer)
{
    struct json *root = NULL;
    bool is_good = json_parse(answer, &root, NULL) == KR_ERR_OK && take_root(group, root);
    if (root != NULL)
        json_free(&root);
    if (is_good)
        finish(group);
    return is_good;
}

// The bytes of a row in the body: up to the comma before the next one, or the "]}" at the end.
static struct bytes row_of(const struct import_group *group, size_t row)
{
    size_t end = row + 1 < group->row_count ? group->starts[row + 1] - 1 : group->body.size - 2;
    return bytes_of(group->body.data + group->starts[row], end - group->starts[row]);
}

void import_group_divide(struct import_group *group, const char *detail)
{
    if (group->row_count == 1) {
        import_segment_refuse(group->segment, group->lines[0], detail);
        finish(group);
        return;
    }
    size_t half = group->row_count / 2;
    for (size_t from = 0; from < group->row_count; from += from == 0 ? half : group->row_count) {
        struct import_group *part = new_group(group->segment, group->bucket);
        size_t to = from == 0 ? half : group->row_count;
        for (size_t row = from; row < to; row++)
            add_row(part, group->lines[row], row_of(group, row));
        buf_add_text(&part->body, "]}");
        part->state = KR_GROUP_READY;
    }
    finish(group);
}

static int compare(const void *one, const void *other)
{
    const struct import_refusal *a = one, *b = other;
    return a->line < b->line ? -1 : a->line > b->line;
}

void import_segment_add_report(struct import_segment *segment, struct buf *out)
{
    if (segment->refusal_count > 1)
        qsort(segment->refusals, segment->refusal_count, sizeof(*segment->refusals), compare);
    for (size_t i = 0; i < segment->refusal_count; i++) {
        struct json_writer writer;
        json_begin(&writer, out);
        json_open(&writer, NULL, '{');
        json_write_integer(&writer, "line", (int64_t)segment->refusals[i].line);
        json_write_string(&writer, "detail", segment->refusals[i].detail);
        json_close(&writer, '}');
        buf_add_u8(out, '\n');
    }
}
