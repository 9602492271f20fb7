// SPDX-License-Identifier: Apache-2.0
// libcyaml with our memory and its log kept as a complaint; and libyaml, below it, asked for the
// place of what is no YAML at all.
#include "core/yaml/document.h"

#include <cyaml/cyaml.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "core/base/mem.h"

// libcyaml logs the error first, then a backtrace with lines.
static void note(cyaml_log_t level, void *ctx, const char *format, va_list args)
{
    struct document_complaint *complaint = ctx;
    char line[256];
    if (level < CYAML_LOG_ERROR)
        return;
    vsnprintf(line, sizeof(line), format, args);
    line[strcspn(line, "\n")] = '\0';
    const char *text = strncmp(line, "Load: ", 6) == 0 ? line + 6 : line;
    const char *where = strstr(text, "(line: ");
    if (complaint->text[0] == '\0')
        snprintf(complaint->text, sizeof(complaint->text), "%.150s", text);
    else if (where != NULL && complaint->line == 0)
        sscanf(where, "(line: %u", &complaint->line);
}

// Of an error in the syntax libcyaml tells the line of what it read before, if any.
static void locate(struct bytes text, struct document_complaint *complaint)
{
    yaml_parser_t parser;
    yaml_event_t event;
    bool is_over = false;
    if (yaml_parser_initialize(&parser) == 0)
        return;
    yaml_parser_set_input_string(&parser, text.data, text.size);
    while (!is_over && yaml_parser_parse(&parser, &event) != 0) {
        is_over = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    if (!is_over) {
        bool is_encoding = parser.error == YAML_READER_ERROR; // which has no line
        size_t bytes = is_encoding ? parser.problem_offset : 0;
        size_t line = is_encoding ? 1 : parser.problem_mark.line + 1;
        for (size_t i = 0; i < bytes && i < text.size; i++)
            line += text.data[i] == '\n';
        complaint->line = (unsigned)line;
        snprintf(complaint->text, sizeof(complaint->text), "%s",
                 parser.problem != NULL ? parser.problem : "this is no YAML");
    }
    yaml_parser_delete(&parser);
}

static void *memory(void *ctx, void *old, size_t size)
{
    (void)ctx;
    if (size == 0) {
        mem_free(old);
        return NULL;
    }
    return mem_realloc(old, size);
}

static cyaml_config_t reader(struct document_complaint *complaint)
{
    return (cyaml_config_t){
        .log_fn = note, .log_ctx = complaint, .mem_fn = memory, .log_level = CYAML_LOG_ERROR};
}

enum kr_err document_load(struct bytes text, const struct cyaml_schema_value *schema, void **out,
                          struct document_complaint *complaint)
{
    *out = NULL;
    *complaint = (struct document_complaint){.line = 0};
    if (text.size == 0) // libyaml wants bytes
        return KR_ERR_OK;
    cyaml_config_t config = reader(complaint);
    cyaml_err_t status = cyaml_load_data(text.data, text.size, &config, schema, out, NULL);
    if (status == CYAML_OK)
        return KR_ERR_OK;
    if (status == CYAML_ERR_LIBYAML_PARSER)
        locate(text, complaint);
    if (complaint->text[0] == '\0')
        snprintf(complaint->text, sizeof(complaint->text), "%s", cyaml_strerror(status));
    return KR_ERR_INVALID;
}

void document_free(const struct cyaml_schema_value *schema, void *document)
{
    struct document_complaint complaint = {.line = 0};
    cyaml_config_t config = reader(&complaint);
    if (document != NULL)
        cyaml_free(&config, schema, document, 0);
}
