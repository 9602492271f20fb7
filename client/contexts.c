// SPDX-License-Identifier: Apache-2.0
// The file of stored logins.
#include "client/contexts.h"

#include <stdlib.h>

#include "core/base/file.h"
#include "core/base/json.h"

enum { KR_CONTEXTS_FILE_MAX = 1 << 20 };

void contexts_init(struct contexts *contexts)
{
    *contexts = (struct contexts){0};
    arena_init(&contexts->arena);
}

void contexts_fini(struct contexts *contexts)
{
    arena_fini(&contexts->arena); // zeroes the tokens
    *contexts = (struct contexts){0};
}

static enum kr_err find_path(struct contexts *contexts, struct fault *fault)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    // The XDG base directory specification: a path that is not absolute is ignored.
    if (config != NULL && *config == '/')
        contexts->path = arena_printf(&contexts->arena, "%s/keyreeve/contexts.json", config);
    else if (home != NULL && *home != '\0')
        contexts->path = arena_printf(&contexts->arena, "%s/.config/keyreeve/contexts.json", home);
    else
        return fault_set(fault, KR_ERR_NOT_FOUND,
                         "neither HOME nor XDG_CONFIG_HOME says where contexts.json is kept");
    return KR_ERR_OK;
}

static const char *text_member(struct contexts *contexts, const struct json *object,
                               const char *name)
{
    const struct json *value = json_member(object, name);
    if (value == NULL || json_type_of(value) != KR_JSON_STRING)
        return NULL;
    return arena_text(&contexts->arena, json_text(value));
}

static bool take_context(struct contexts *contexts, const struct json *object)
{
    struct context *item = &contexts->items[contexts->count];
    if (contexts->count == KR_CONTEXTS_MAX || json_type_of(object) != KR_JSON_OBJECT)
        return false;
    *item = (struct context){
        .name = text_member(contexts, object, "name"),
        .url = text_member(contexts, object, "url"),
        .token = text_member(contexts, object, "token"),
        .account = text_member(contexts, object, "account"),
        .bucket = text_member(contexts, object, "bucket"),
    };
    if (item->name == NULL || item->url == NULL || item->token == NULL)
        return false;
    contexts->count++;
    return true;
}

static bool take_root(struct contexts *contexts, const struct json *root)
{
    if (json_type_of(root) != KR_JSON_OBJECT)
        return false;
    const struct json *list = json_member(root, "contexts");
    if (list == NULL || json_type_of(list) != KR_JSON_ARRAY)
        return false;
    contexts->current = text_member(contexts, root, "current");
    for (size_t i = 0; i < json_size(list); i++)
        if (!take_context(contexts, json_at(list, i)))
            return false;
    return true;
}

enum kr_err contexts_load(struct contexts *contexts, struct fault *fault)
{
    struct json *root = NULL;
    struct buf text;
    buf_init(&text, KR_CONTEXTS_FILE_MAX);
    enum kr_err err = find_path(contexts, fault);
    if (err != KR_ERR_OK)
        goto done;
    err = file_read_secret(contexts->path, &text, fault);
    if (err == KR_ERR_NOT_FOUND) {
        err = KR_ERR_OK;
        goto done;
    }
    if (err != KR_ERR_OK)
        goto done;
    // The parser's own words could quote the file, which holds tokens.
    if (json_parse(buf_bytes(&text), &root, NULL) != KR_ERR_OK || !take_root(contexts, root))
        err = fault_set(fault, KR_ERR_INVALID,
                        "%s is not a file of contexts; move it away and log in again",
                        contexts->path);
done:
    if (root != NULL)
        json_free(&root);
    buf_fini(&text);
    return err;
}

static void write_context(struct json_writer *writer, const struct context *item)
{
    json_open(writer, NULL, '{');
    json_write_string(writer, "name", item->name);
    json_write_string(writer, "url", item->url);
    json_write_string(writer, "token", item->token);
    if (item->account != NULL)
        json_write_string(writer, "account", item->account);
    if (item->bucket != NULL)
        json_write_string(writer, "bucket", item->bucket);
    json_close(writer, '}');
}

static enum kr_err make_directory(const struct contexts *contexts, struct fault *fault)
{
    char *directory = mem_text(contexts->path);
    *strrchr(directory, '/') = '\0';
    enum kr_err err = file_make_directory(directory, 0700, fault);
    mem_free(directory);
    return err;
}

enum kr_err contexts_store(const struct contexts *contexts, struct fault *fault)
{
    struct json_writer writer;
    struct buf text;
    buf_init(&text, KR_CONTEXTS_FILE_MAX);
    json_begin(&writer, &text);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "current", contexts->current);
    json_open(&writer, "contexts", '[');
    for (size_t i = 0; i < contexts->count; i++)
        write_context(&writer, &contexts->items[i]);
    json_close(&writer, ']');
    json_close(&writer, '}');
    buf_add_u8(&text, '\n');
    enum kr_err err = buf_result(&text);
    if (err == KR_ERR_OK)
        err = make_directory(contexts, fault);
    else
        fault_set(fault, err, "the stored contexts would not fit into their file");
    if (err == KR_ERR_OK)
        err = file_replace(contexts->path, buf_bytes(&text), 0600, fault);
    buf_fini(&text);
    return err;
}

struct context *contexts_find(struct contexts *contexts, const char *name)
{
    const char *wanted = name == NULL ? contexts->current : name;
    for (size_t i = 0; wanted != NULL && i < contexts->count; i++)
        if (strcmp(contexts->items[i].name, wanted) == 0)
            return &contexts->items[i];
    return NULL;
}

enum kr_err contexts_put(struct contexts *contexts, const struct context *context,
                         struct fault *fault)
{
    struct arena *arena = &contexts->arena;
    struct context *item = contexts_find(contexts, context->name);
    if (item == NULL && contexts->count == KR_CONTEXTS_MAX)
        return fault_set(fault, KR_ERR_TOO_LARGE,
                         "%d contexts are stored; remove one with keyreeve contexts remove NAME",
                         KR_CONTEXTS_MAX);
    if (item == NULL)
        item = &contexts->items[contexts->count++];
    *item = (struct context){
        .name = arena_text(arena, context->name),
        .url = arena_text(arena, context->url),
        .token = arena_text(arena, context->token),
        .account = arena_text(arena, context->account),
        .bucket = arena_text(arena, context->bucket),
    };
    contexts->current = item->name;
    return KR_ERR_OK;
}

bool contexts_remove(struct contexts *contexts, const char *name)
{
    struct context *item = contexts_find(contexts, name);
    if (item == NULL)
        return false;
    if (contexts->current != NULL && strcmp(contexts->current, name) == 0)
        contexts->current = NULL;
    size_t after = contexts->count - (size_t)(item - contexts->items) - 1;
    memmove(item, item + 1, after * sizeof(*item));
    contexts->count--;
    return true;
}
