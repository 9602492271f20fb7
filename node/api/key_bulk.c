// SPDX-License-Identifier: Apache-2.0
// $bulk: many keys of one consumer, all or none, in one entry.
#include <stdio.h>

#include "node/api/handlers.h"
#include "node/api/key_answer.h"
#include "node/api/seen.h"

enum { KR_BULK_MAX = 10000 };

struct bulk {
    struct call *call;
    struct bucket bucket;
    struct consumer consumer;
    char **ids; // a key each
    struct seen digests;
    struct json_writer writer;
};

// Two equal values would make apply refuse the whole without a word on which; the caller may be
// told both places.
static enum kr_err check_duplicate(struct bulk *bulk, const struct command_op *op, size_t position)
{
    struct bytes digest = bytes_of(op->as.key_put.record.digest, KR_DIGEST_UNIQUE_BYTES);
    uint32_t first;
    if (seen_find(&bulk->digests, digest, &first))
        return api_problem(bulk->call, KR_ERR_CONFLICT, "[%zu].key: the same value as [%u].key",
                           position, first);
    uint8_t *copy = arena_alloc(&bulk->call->arena, digest.size);
    memcpy(copy, digest.data, digest.size);
    seen_add(&bulk->digests, bytes_of(copy, digest.size), (uint32_t)position);
    return KR_ERR_OK;
}

static enum kr_err add(struct bulk *bulk, const struct json *item, size_t position)
{
    struct call *call = bulk->call;
    struct api_new_key new_key;
    char where[24];
    snprintf(where, sizeof(where), "[%zu]", position);
    enum kr_err err = api_new_key_members(call, &bulk->bucket, item, where, &new_key);
    if (err != KR_ERR_OK)
        return err;
    new_key.record.id = bulk->ids[position];
    new_key.record.consumer_id = bulk->consumer.id;
    size_t op = call->command.op_count;
    err = api_put_new_key(call, &bulk->bucket, &new_key);
    if (err == KR_ERR_OK)
        err = check_duplicate(bulk, &call->command.ops[op], position);
    if (err == KR_ERR_OK)
        api_write_key(call, &bulk->writer, &new_key.record, &bulk->bucket, &bulk->consumer,
                      KR_KEY_MASKED, new_key.value);
    return err;
}

static enum kr_err check_array(struct call *call)
{
    if (json_type_of(call->json) != KR_JSON_ARRAY)
        return api_problem(call, KR_ERR_INVALID, "the body must be an array of keys, is %s",
                           json_type_name(json_type_of(call->json)));
    size_t count = json_size(call->json);
    if (count == 0 || count > KR_BULK_MAX)
        return api_problem(call, KR_ERR_INVALID, "the array must have 1 to %d items, has %zu",
                           KR_BULK_MAX, count);
    return KR_ERR_OK;
}

static enum kr_err add_all(struct bulk *bulk, size_t count)
{
    struct call *call = bulk->call;
    enum kr_err err = KR_ERR_OK;
    bulk->ids = api_new_ids(call, "key", count);
    seen_init(&bulk->digests, &call->arena, count);
    api_json_begin(call, &bulk->writer);
    json_open(&bulk->writer, NULL, '{');
    json_open(&bulk->writer, "data", '[');
    for (size_t i = 0; i < count && err == KR_ERR_OK; i++)
        err = add(bulk, json_at(call->json, i), i);
    if (err != KR_ERR_OK)
        return err;
    json_close(&bulk->writer, ']');
    struct api_page page = {.limit = count};
    api_write_page(&bulk->writer, &page, count, NULL);
    json_close(&bulk->writer, '}');
    api_field(call, "Cache-Control", "no-store");
    return api_json_end(call, &bulk->writer);
}

enum kr_err api_key_bulk(struct call *call)
{
    struct bulk bulk = {.call = call};
    enum kr_err err = api_consumer(call, &bulk.bucket, &bulk.consumer);
    if (err == KR_ERR_OK)
        err = api_parse(call);
    if (err == KR_ERR_OK)
        err = check_array(call);
    if (err != KR_ERR_OK)
        return err;
    size_t count = json_size(call->json);
    err = add_all(&bulk, count);
    if (err == KR_ERR_OK)
        api_audit(call, "key.bulk", bulk.consumer.id, bulk.consumer.name,
                  arena_printf(&call->arena, "{\"keys\":%zu}", count));
    return err;
}
