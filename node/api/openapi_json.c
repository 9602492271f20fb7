// SPDX-License-Identifier: Apache-2.0
// YAML to JSON: the events of libyaml's parser, written as they come. The home of libyaml.
//
// Scalars get their type by YAML's core schema: plain null, true, false and whole numbers; anything
// else, and everything quoted, is a string. Aliases are refused.
#include <yaml.h>

#include "core/base/json.h"
#include "core/base/text.h"
#include "node/api/openapi.h"

enum { KR_YAML_DEPTH_MAX = 64 };

struct conversion {
    struct json_writer writer;
    bool is_map[KR_YAML_DEPTH_MAX];
    size_t depth;
    char name[256]; // the key of the value that comes next, inside a map
    bool has_name, is_bad, is_done;
};

// The name that the next value bears: none in a sequence or at the top.
static const char *take_name(struct conversion *conversion)
{
    bool is_named = conversion->depth > 0 && conversion->is_map[conversion->depth - 1];
    conversion->has_name = false;
    return is_named ? conversion->name : NULL;
}

static void open(struct conversion *conversion, bool is_map)
{
    bool is_key =
        conversion->depth > 0 && conversion->is_map[conversion->depth - 1] && !conversion->has_name;
    if (conversion->depth == KR_YAML_DEPTH_MAX || is_key) {
        conversion->is_bad = true;
        return;
    }
    json_open(&conversion->writer, take_name(conversion), is_map ? '{' : '[');
    conversion->is_map[conversion->depth++] = is_map;
}

static void shut(struct conversion *conversion)
{
    json_close(&conversion->writer, conversion->is_map[--conversion->depth] ? '}' : ']');
    conversion->has_name = false;
}

static void write_plain(struct conversion *conversion, const char *name, const char *text)
{
    struct json_writer *writer = &conversion->writer;
    uint64_t number;
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        json_write_bool(writer, name, text[0] == 't');
    else if (strcmp(text, "null") == 0 || strcmp(text, "~") == 0 || text[0] == '\0')
        json_write_null(writer, name);
    else if (text_decimal(bytes_text(text), INT64_MAX, &number))
        json_write_integer(writer, name, (int64_t)number);
    else
        json_write_string(writer, name, text);
}

static void take_scalar(struct conversion *conversion, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    bool is_in_map = conversion->depth > 0 && conversion->is_map[conversion->depth - 1];
    if (is_in_map && !conversion->has_name) {
        conversion->is_bad = event->data.scalar.length >= sizeof(conversion->name);
        if (!conversion->is_bad)
            strcpy(conversion->name, text);
        conversion->has_name = true;
        return;
    }
    const char *name = take_name(conversion);
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        write_plain(conversion, name, text);
    else
        json_write_string(&conversion->writer, name, text);
}

static void take(struct conversion *conversion, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    case YAML_STREAM_END_EVENT:
        conversion->is_done = true;
        break;
    case YAML_ALIAS_EVENT:
        conversion->is_bad = true;
        break;
    case YAML_SCALAR_EVENT:
        take_scalar(conversion, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        open(conversion, false);
        break;
    case YAML_MAPPING_START_EVENT:
        open(conversion, true);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        shut(conversion);
        break;
    }
}

enum kr_err openapi_json(struct bytes yaml, struct buf *out)
{
    yaml_parser_t parser;
    struct conversion conversion = {0};
    if (yaml_parser_initialize(&parser) == 0)
        return KR_ERR_INTERNAL;
    yaml_parser_set_input_string(&parser, yaml.data, yaml.size);
    json_begin(&conversion.writer, out);
    while (!conversion.is_done && !conversion.is_bad) {
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event) == 0) {
            conversion.is_bad = true;
            break;
        }
        take(&conversion, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return conversion.is_bad ? KR_ERR_INVALID : buf_result(out);
}
