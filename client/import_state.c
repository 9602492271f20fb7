// SPDX-License-Identifier: Apache-2.0
// The state file of an import.
#include "client/import_state.h"

#include <stdio.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/text.h"

enum { KR_STATE_FORMAT = 1, KR_STATE_FILE_MAX = 8192 };

static const struct {
    const char *name;
    size_t offset;
} numbers[] = {
    {"offset", offsetof(struct import_state, offset)},
    {"lines", offsetof(struct import_state, lines)},
    {"imported", offsetof(struct import_state, imported)},
    {"existing", offsetof(struct import_state, existing)},
    {"refused", offsetof(struct import_state, refused)},
    {"reportBytes", offsetof(struct import_state, report_bytes)},
};

enum { KR_STATE_NUMBERS = sizeof(numbers) / sizeof(numbers[0]) };

static bool take_number(const struct json *root, const char *name, uint64_t *out)
{
    const struct json *value = json_member(root, name);
    if (value == NULL || json_type_of(value) != KR_JSON_INTEGER || json_int64(value) < 0)
        return false;
    *out = (uint64_t)json_int64(value);
    return true;
}

static const char *text_of(const struct json *root, const char *name)
{
    const struct json *value = json_member(root, name);
    return value == NULL || json_type_of(value) != KR_JSON_STRING ? NULL : json_text(value);
}

static bool take_root(const struct json *root, struct import_state *state)
{
    uint64_t format = 0;
    if (json_type_of(root) != KR_JSON_OBJECT || !take_number(root, "format", &format) ||
        format != KR_STATE_FORMAT)
        return false;
    for (size_t i = 0; i < KR_STATE_NUMBERS; i++) {
        uint64_t number;
        if (!take_number(root, numbers[i].name, &number))
            return false;
        memcpy((char *)state + numbers[i].offset, &number, sizeof(number));
    }
    const char *target = text_of(root, "target"), *digest = text_of(root, "digest");
    if (target == NULL || digest == NULL || strlen(target) >= sizeof(state->target))
        return false;
    memcpy(state->target, target, strlen(target) + 1);
    return text_from_hex(bytes_text(digest), state->digest, sizeof(state->digest));
}

enum kr_err import_state_load(const char *path, struct import_state *state, struct fault *fault)
{
    struct json *root = NULL;
    struct buf text;
    buf_init(&text, KR_STATE_FILE_MAX);
    *state = (struct import_state){0};
    enum kr_err err = file_read(path, &text, fault);
    if (err == KR_ERR_OK &&
        (json_parse(buf_bytes(&text), &root, NULL) != KR_ERR_OK || !take_root(root, state)))
        err = fault_set(fault, KR_ERR_INVALID,
                        "%s is not the state of an import; --restart begins anew", path);
    if (root != NULL)
        json_free(&root);
    buf_fini(&text);
    return err;
}

enum kr_err import_state_store(const char *path, const struct import_state *state,
                               struct fault *fault)
{
    char digest[2 * KR_DIGEST_SIZE + 1];
    struct json_writer writer;
    struct buf text;
    buf_init(&text, KR_STATE_FILE_MAX);
    text_hex(state->digest, sizeof(state->digest), digest);
    json_begin(&writer, &text);
    json_open(&writer, NULL, '{');
    json_write_integer(&writer, "format", KR_STATE_FORMAT);
    json_write_string(&writer, "target", state->target);
    json_write_string(&writer, "digest", digest);
    for (size_t i = 0; i < KR_STATE_NUMBERS; i++) {
        uint64_t number;
        memcpy(&number, (const char *)state + numbers[i].offset, sizeof(number));
        json_write_integer(&writer, numbers[i].name, (int64_t)number);
    }
    json_close(&writer, '}');
    buf_add_u8(&text, '\n');
    enum kr_err err = buf_result(&text);
    if (err != KR_ERR_OK)
        fault_set(fault, err, "the state does not fit into its file");
    else
        err = file_replace(path, buf_bytes(&text), 0600, fault);
    buf_fini(&text);
    return err;
}
