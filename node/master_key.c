// SPDX-License-Identifier: Apache-2.0
// The master key's places and its lines.
#include "node/master_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/rand.h"
#include "core/base/text.h"

enum { KR_MASTER_KEY_LIMIT = 1024 };

static const char variable[] = "KEYREEVE_MASTER_KEY";

void master_key_place(const struct config *config, char out[KR_MASTER_KEY_PLACE_SIZE])
{
    if (config->master_key_fd >= 0)
        snprintf(out, KR_MASTER_KEY_PLACE_SIZE, "master_key_fd");
    else if (config->has_master_key_variable)
        snprintf(out, KR_MASTER_KEY_PLACE_SIZE, "%s", variable);
    else if (config->master_key_file[0] != '\0')
        snprintf(out, KR_MASTER_KEY_PLACE_SIZE, "%s", config->master_key_file);
    else
        snprintf(out, KR_MASTER_KEY_PLACE_SIZE, "%s/master-key", config->data);
}

bool master_key_is_missing(const struct config *config)
{
    char place[KR_MASTER_KEY_PLACE_SIZE];
    master_key_place(config, place);
    return config->master_key_fd < 0 && !config->has_master_key_variable &&
           config->master_key_file[0] == '\0' && access(place, F_OK) != 0;
}

enum kr_err master_key_make(const struct config *config, struct fault *fault)
{
    char place[KR_MASTER_KEY_PLACE_SIZE];
    uint8_t master[KR_VAULT_MASTER_SIZE];
    char hex[2 * KR_VAULT_MASTER_SIZE + 2];
    master_key_place(config, place);
    rand_bytes(master, sizeof(master));
    text_hex(master, sizeof(master), hex);
    hex[sizeof(hex) - 2] = '\n';
    enum kr_err err = file_replace(place, bytes_of(hex, sizeof(hex) - 1), 0600, fault);
    mem_zero(master, sizeof(master));
    mem_zero(hex, sizeof(hex));
    return err;
}

// --- lines ---------------------------------------------------------------------------------------

struct lines {
    const char *place;
    unsigned line; // from 1
    struct vault_master masters[KR_SEALED_VERSIONS_MAX];
    size_t count;
};

static bool read_line(struct bytes line, struct vault_master *out)
{
    const uint8_t *colon = memchr(line.data, ':', line.size);
    uint64_t version = 1;
    if (colon != NULL) {
        size_t size = (size_t)(colon - line.data);
        if (!text_decimal(bytes_of(line.data, size), UINT32_MAX, &version) || version == 0)
            return false;
        line = bytes_of(colon + 1, line.size - size - 1);
    }
    out->version = (uint32_t)version;
    return text_from_hex(line, out->key, sizeof(out->key));
}

static enum kr_err take_line(struct lines *lines, struct bytes line, struct fault *fault)
{
    struct vault_master *master = &lines->masters[lines->count];
    if (lines->count == KR_SEALED_VERSIONS_MAX)
        return fault_set(fault, KR_ERR_INVALID,
                         "%s:%u: more than %d master keys; take out those that are not needed any "
                         "more",
                         lines->place, lines->line, KR_SEALED_VERSIONS_MAX);
    if (!read_line(line, master))
        return fault_set(fault, KR_ERR_INVALID,
                         "%s:%u: not a master key; it holds 64 hex digits, or VERSION:64 hex "
                         "digits. Restore it from your copy",
                         lines->place, lines->line);
    if (lines->count > 0 && master->version <= master[-1].version)
        return fault_set(fault, KR_ERR_INVALID,
                         "%s:%u: version %u stands behind version %u; put the newest last",
                         lines->place, lines->line, master->version, master[-1].version);
    lines->count++;
    return KR_ERR_OK;
}

static enum kr_err take_lines(struct lines *lines, struct bytes text, struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && text.size > 0) {
        size_t size = 0;
        while (size < text.size && text.data[size] != '\n' && text.data[size] != ',')
            size++;
        lines->line++;
        if (size > 0)
            err = take_line(lines, bytes_of(text.data, size), fault);
        size_t taken = size < text.size ? size + 1 : size;
        text = bytes_of(text.data + taken, text.size - taken);
    }
    if (err == KR_ERR_OK && lines->count == 0)
        return fault_set(fault, KR_ERR_INVALID,
                         "%s: holds no master key, which is 64 hex digits. Restore it from your "
                         "copy",
                         lines->place);
    return err;
}

// What the process was started with shows in /proc, so that it is overwritten there.
static void wipe_variable(char *value)
{
    mem_zero(value, strlen(value));
    unsetenv(variable);
}

static enum kr_err take_variable(struct buf *content, struct fault *fault)
{
    char *value = getenv(variable);
    if (value == NULL)
        return fault_set(fault, KR_ERR_INTERNAL, "%s was read before", variable);
    buf_add_text(content, value);
    wipe_variable(value);
    if (buf_result(content) != KR_ERR_OK)
        return fault_set(fault, KR_ERR_TOO_LARGE, "%s is larger than %d bytes", variable,
                         KR_MASTER_KEY_LIMIT);
    return KR_ERR_OK;
}

static enum kr_err read_content(const struct config *config, const char *place, struct buf *content,
                                struct fault *fault)
{
    if (config->has_master_key_variable)
        return take_variable(content, fault);
    if (config->master_key_fd < 0)
        return file_read_secret(place, content, fault);
    enum kr_err err = file_read_descriptor((int)config->master_key_fd, place, content, fault);
    close((int)config->master_key_fd);
    return err;
}

void master_key_forget(void)
{
    char *value = getenv(variable);
    if (value != NULL)
        wipe_variable(value);
}

enum kr_err master_key_read(const struct config *config, struct vault **out, struct fault *fault)
{
    char place[KR_MASTER_KEY_PLACE_SIZE];
    struct lines lines = {.place = place};
    struct buf content;
    master_key_place(config, place);
    buf_init(&content, KR_MASTER_KEY_LIMIT);
    enum kr_err err = read_content(config, place, &content, fault);
    if (err == KR_ERR_OK)
        err = take_lines(&lines, buf_bytes(&content), fault);
    if (err == KR_ERR_OK)
        *out = vault_new(lines.masters, lines.count);
    mem_zero(lines.masters, sizeof(lines.masters));
    buf_fini(&content);
    return err;
}
