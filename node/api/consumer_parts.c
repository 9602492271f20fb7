// SPDX-License-Identifier: Apache-2.0
// Consumers with their keys and managers embedded.
#include "node/api/consumer_parts.h"

#include <strings.h>

enum { KR_EMBEDDED_MAX = 1000 }; // keys or managers of one consumer; their own lists have pages

enum kr_err consumer_parts_read(struct call *call, const struct bucket *bucket,
                                struct consumer_parts *parts)
{
    *parts = (struct consumer_parts){0};
    enum kr_err err = api_parameter_bool(call, "include-api-keys", &parts->with_keys);
    if (err == KR_ERR_OK)
        err = api_parameter_bool(call, "include-managers", &parts->with_managers);
    if (err == KR_ERR_OK)
        err = api_parameter_bool(call, "include-manager-invites", &parts->with_invites);
    if (err == KR_ERR_OK)
        err = api_key_format(call, bucket, &parts->format);
    return err;
}

static void write_keys(struct call *call, struct json_writer *writer, const struct bucket *bucket,
                       const struct consumer *consumer, const struct consumer_parts *parts,
                       struct arena *scratch)
{
    struct key key;
    struct store_cursor *cursor = store_keys(call->view, consumer->id, NULL);
    json_open(writer, "apiKeys", '[');
    for (size_t i = 0; i < KR_EMBEDDED_MAX && store_next_key(cursor, scratch, &key); i++)
        api_write_key(call, writer, &key, bucket, consumer, parts->format, NULL);
    json_close(writer, ']');
    store_cursor_close(&cursor);
}

static void write_managers(struct call *call, struct json_writer *writer,
                           const struct consumer *consumer, const struct consumer_parts *parts,
                           struct arena *scratch)
{
    struct manager manager;
    struct store_cursor *cursor = store_managers(call->view, consumer->id);
    json_open(writer, "managers", '[');
    for (size_t i = 0; i < KR_EMBEDDED_MAX && store_next_manager(cursor, scratch, &manager); i++) {
        if (manager.sub == NULL ? parts->with_invites : parts->with_managers)
            api_write_manager(writer, &manager);
    }
    json_close(writer, ']');
    store_cursor_close(&cursor);
}

void consumer_parts_write(struct call *call, struct json_writer *writer,
                          const struct bucket *bucket, const struct consumer *consumer,
                          const struct consumer_parts *parts, struct arena *scratch)
{
    api_write_consumer_open(writer, consumer);
    if (parts->with_keys)
        write_keys(call, writer, bucket, consumer, parts, scratch);
    if (parts->with_managers || parts->with_invites)
        write_managers(call, writer, consumer, parts, scratch);
    json_close(writer, '}');
}

bool consumer_has_manager(struct call *call, const char *consumer_id, const char *email,
                          struct arena *scratch, struct manager *manager)
{
    bool is_found = false;
    struct store_cursor *cursor = store_managers(call->view, consumer_id);
    while (!is_found && store_next_manager(cursor, scratch, manager))
        is_found = strcasecmp(manager->email, email) == 0;
    store_cursor_close(&cursor);
    return is_found;
}
