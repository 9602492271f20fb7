// SPDX-License-Identifier: Apache-2.0
// A new consumer, with keys and managers when the body or the query asks for them: all or nothing.
#include <strings.h>

#include "node/api/api.h"
#include "node/api/handlers.h"
#include "node/api/manager_body.h"

enum { KR_PARTS_MAX = 100, KR_NAME_TEXT_MAX = 128 };

struct creation {
    struct call *call;
    struct bucket bucket;
    struct consumer consumer;
    const struct json *keys_json, *managers_json;
    struct api_new_key *keys;
    struct manager *managers;
    size_t key_count, manager_count;
    bool with_key; // with-api-key=true
};

static enum kr_err take_body(struct creation *creation)
{
    struct call *call = creation->call;
    struct consumer *consumer = &creation->consumer;
    *consumer = (struct consumer){.id = api_new_id(call, "csmr"),
                                  .bucket_id = creation->bucket.id,
                                  .metadata = "{}",
                                  .created_ms = call->now_ms,
                                  .updated_ms = call->now_ms,
                                  .version = 1,
                                  .revision = store_view_index(call->view) + 1};
    const struct api_member members[] = {
        {"name", KR_MEMBER_TEXT, &consumer->name, KR_NAME_TEXT_MAX, true, NULL},
        {"description", KR_MEMBER_TEXT, &consumer->description, KR_DESCRIPTION_MAX, false, NULL},
        {"tags", KR_MEMBER_TAGS, &consumer->tags, KR_TAGS_MAX, false, NULL},
        {"metadata", KR_MEMBER_METADATA, &consumer->metadata, creation->bucket.metadata_limit_bytes,
         false, NULL},
        {"managers", KR_MEMBER_JSON, &creation->managers_json, 0, false, NULL},
        {"apiKeys", KR_MEMBER_JSON, &creation->keys_json, 0, false, NULL},
    };
    enum kr_err err = api_body(call, members, sizeof(members) / sizeof(members[0]));
    if (err != KR_ERR_OK)
        return err;
    if (!model_is_consumer_name(consumer->name))
        return api_problem(call, KR_ERR_INVALID,
                           "name: must be 1 to 128 characters of a-z, 0-9, '_' and '-', and not "
                           "'-' alone");
    return KR_ERR_OK;
}

// How many objects an array brings; null and absence: none.
static enum kr_err count_of(struct call *call, const char *name, const struct json *array,
                            size_t *count)
{
    *count = 0;
    if (array == NULL || json_type_of(array) == KR_JSON_NULL)
        return KR_ERR_OK;
    if (json_type_of(array) != KR_JSON_ARRAY)
        return api_problem(call, KR_ERR_INVALID, "%s: must be an array of objects, is %s", name,
                           json_type_name(json_type_of(array)));
    *count = json_size(array);
    if (*count > KR_PARTS_MAX)
        return api_problem(call, KR_ERR_INVALID, "%s: at most %d items", name, KR_PARTS_MAX);
    return KR_ERR_OK;
}

static enum kr_err put_key(struct creation *creation, struct api_new_key *key)
{
    key->record.consumer_id = creation->consumer.id;
    enum kr_err err = api_put_new_key(creation->call, &creation->bucket, key);
    if (err != KR_ERR_OK)
        return err;
    for (const struct api_new_key *other = creation->keys; other < key; other++) {
        if (memcmp(other->record.digest, key->record.digest, KR_DIGEST_UNIQUE_BYTES) == 0)
            return api_problem(creation->call, KR_ERR_CONFLICT,
                               "%skey: the same value as an item before it", key->where);
    }
    return KR_ERR_OK;
}

static enum kr_err put_keys(struct creation *creation)
{
    struct call *call = creation->call;
    size_t given;
    enum kr_err err = count_of(call, "apiKeys", creation->keys_json, &given);
    if (err != KR_ERR_OK)
        return err;
    creation->keys = arena_zalloc(&call->arena, sizeof(*creation->keys) * (given + 1));
    char **ids = api_new_ids(call, "key", given + 1);
    for (size_t i = 0; i < given && err == KR_ERR_OK; i++) {
        struct api_new_key *key = &creation->keys[creation->key_count++];
        err = api_new_key_members(call, &creation->bucket, json_at(creation->keys_json, i),
                                  arena_printf(&call->arena, "apiKeys[%zu]", i), key);
        key->record.id = ids[i];
        if (err == KR_ERR_OK)
            err = put_key(creation, key);
    }
    if (err != KR_ERR_OK || !creation->with_key)
        return err;
    struct api_new_key *minted = &creation->keys[creation->key_count++];
    *minted = (struct api_new_key){.record = {.id = ids[given], .is_enabled = true}, .where = ""};
    return put_key(creation, minted);
}

static bool is_listed(const struct manager *managers, size_t count, const char *email)
{
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(managers[i].email, email) == 0)
            return true;
    }
    return false;
}

static enum kr_err put_managers(struct creation *creation)
{
    struct call *call = creation->call;
    enum kr_err err = count_of(call, "managers", creation->managers_json, &creation->manager_count);
    if (err != KR_ERR_OK)
        return err;
    creation->managers =
        arena_zalloc(&call->arena, sizeof(*creation->managers) * (creation->manager_count + 1));
    for (size_t i = 0; i < creation->manager_count && err == KR_ERR_OK; i++) {
        struct manager *manager = &creation->managers[i];
        const char *where = arena_printf(&call->arena, "managers[%zu]", i);
        err = manager_body(call, json_at(creation->managers_json, i), where, creation->consumer.id,
                           manager);
        if (err == KR_ERR_OK && is_listed(creation->managers, i, manager->email))
            err = api_problem(call, KR_ERR_CONFLICT, "%s.email: the same as an item before it",
                              where);
        if (err == KR_ERR_OK)
            api_op(call, KR_OP_MANAGER_PUT)->as.manager_put = *manager;
    }
    return err;
}

static enum kr_err answer(struct creation *creation)
{
    struct call *call = creation->call;
    struct json_writer writer;
    api_json_begin(call, &writer);
    api_write_consumer_open(&writer, &creation->consumer);
    if (creation->key_count > 0) {
        json_open(&writer, "apiKeys", '[');
        for (size_t i = 0; i < creation->key_count; i++)
            api_write_key(call, &writer, &creation->keys[i].record, &creation->bucket,
                          &creation->consumer, KR_KEY_MASKED, creation->keys[i].value);
        json_close(&writer, ']');
    }
    if (creation->manager_count > 0) {
        json_open(&writer, "managers", '[');
        for (size_t i = 0; i < creation->manager_count; i++)
            api_write_manager(&writer, &creation->managers[i]);
        json_close(&writer, ']');
    }
    json_close(&writer, '}');
    api_etag(call, creation->consumer.id, creation->consumer.version);
    return api_json_end(call, &writer);
}

static enum kr_err check_name(struct creation *creation)
{
    struct consumer other;
    struct call *call = creation->call;
    const char *name = creation->consumer.name;
    if (!store_get_consumer_named(call->view, creation->bucket.id, name, &call->arena, &other))
        return KR_ERR_OK;
    return api_problem(call, KR_ERR_CONFLICT, "name: a consumer %s exists", name);
}

enum kr_err api_consumer_create(struct call *call)
{
    struct creation creation = {.call = call};
    enum kr_err err = api_bucket(call, &creation.bucket);
    if (err == KR_ERR_OK)
        err = api_parameter_bool(call, "with-api-key", &creation.with_key);
    if (err == KR_ERR_OK)
        err = take_body(&creation);
    if (err == KR_ERR_OK)
        err = check_name(&creation);
    if (err != KR_ERR_OK)
        return err;
    api_op(call, KR_OP_CONSUMER_PUT)->as.consumer_put.record = creation.consumer;
    err = put_keys(&creation);
    if (err == KR_ERR_OK)
        err = put_managers(&creation);
    if (err != KR_ERR_OK)
        return err;
    api_audit(call, "consumer.create", creation.consumer.id, creation.consumer.name,
              arena_printf(&call->arena, "{\"keys\":%zu,\"managers\":%zu}", creation.key_count,
                           creation.manager_count));
    return answer(&creation);
}
