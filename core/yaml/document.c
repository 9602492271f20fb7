// SPDX-License-Identifier: Apache-2.0
// libcyaml with our memory and its log kept as a complaint.
#include "core/yaml/document.h"

#include <cyaml/cyaml.h>
#include <stdio.h>
#include <string.h>

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
