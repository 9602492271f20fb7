// SPDX-License-Identifier: Apache-2.0
// Reading the settings file through libcyaml, and saying where it is wrong.
#include "node/config_file.h"

#include <cyaml/cyaml.h>
#include <stdio.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/yaml/document.h"

enum { KR_CONFIG_FILE_MAX = 65536, KR_CONFIG_TEXT_MAX = 4096 };

static const cyaml_schema_field_t fields[] = {
#define TEXT(name, fallback, help)                                                                 \
    CYAML_FIELD_STRING_PTR(#name, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_file,    \
                           name, 0, KR_CONFIG_TEXT_MAX),
#define NUMBER(name, fallback, least, most, unit, help)                                            \
    CYAML_FIELD_STRING_PTR(#name, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_file,    \
                           name, 0, KR_CONFIG_TEXT_MAX),
#define FLAG(name, fallback, help)                                                                 \
    CYAML_FIELD_STRING_PTR(#name, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_file,    \
                           name, 0, KR_CONFIG_TEXT_MAX),
#define SECRET(name, help)
#include "node/config_table.h"
#undef TEXT
#undef NUMBER
#undef FLAG
#undef SECRET
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config_file, fields),
};

// The file is flat, so the last line that begins with the key is the one that is meant: libcyaml's
// own line is that of the value before it.
static unsigned line_of_key(struct bytes text, const char *key)
{
    unsigned line = 1, found = 0;
    size_t size = strlen(key);
    for (size_t at = 0; at < text.size; line++) {
        const uint8_t *start = text.data + at;
        const uint8_t *end = memchr(start, '\n', text.size - at);
        size_t length = end == NULL ? text.size - at : (size_t)(end - start);
        if (length > size && memcmp(start, key, size) == 0 && strchr(": \t", start[size]) != NULL)
            found = line;
        at += length + 1;
    }
    return found;
}

static enum kr_err complain(const char *path, struct bytes text,
                            const struct document_complaint *complaint, struct fault *fault)
{
    static const char unknown[] = "Unexpected key: ", repeated[] = "Mapping field already seen: ";
    const char *key;
    if (strncmp(complaint->text, unknown, sizeof(unknown) - 1) == 0) {
        key = complaint->text + sizeof(unknown) - 1;
        return fault_set(fault, KR_ERR_INVALID,
                         "%s:%u: unknown setting \"%s\"; keyreeved --help lists them", path,
                         line_of_key(text, key), key);
    }
    if (strncmp(complaint->text, repeated, sizeof(repeated) - 1) == 0) {
        key = complaint->text + sizeof(repeated) - 1;
        return fault_set(fault, KR_ERR_INVALID, "%s:%u: \"%s\" is set twice; keep one", path,
                         line_of_key(text, key), key);
    }
    if (complaint->line == 0) // the document as a whole
        return fault_set(fault, KR_ERR_INVALID, "%s: %s; write lines like region: eu", path,
                         complaint->text);
    return fault_set(fault, KR_ERR_INVALID, "%s:%u: %s", path, complaint->line, complaint->text);
}

// So that a value which is found wrong later can be said to stand in a line.
static void keep_source(struct config_file *file, struct bytes text)
{
    file->source = mem_alloc(text.size);
    file->source_size = text.size;
    memcpy(file->source, text.data, text.size);
}

unsigned config_file_line(const struct config_file *file, const char *setting)
{
    return line_of_key(bytes_of(file->source, file->source_size), setting);
}

enum kr_err config_file_load(const char *path, struct config_file **out, struct fault *fault)
{
    struct document_complaint complaint;
    void *document = NULL;
    struct buf text;
    *out = NULL;
    buf_init(&text, KR_CONFIG_FILE_MAX);
    enum kr_err err = file_read(path, &text, fault);
    if (err != KR_ERR_OK)
        goto done;
    err = document_load(buf_bytes(&text), &schema, &document, &complaint);
    *out = document;
    if (err != KR_ERR_OK)
        err = complain(path, buf_bytes(&text), &complaint, fault);
    else if (*out != NULL)
        keep_source(*out, buf_bytes(&text));
done:
    buf_fini(&text);
    return err;
}

void config_file_free(struct config_file **file)
{
    if (*file != NULL)
        mem_free((*file)->source);
    document_free(&schema, *file);
    *file = NULL;
}
