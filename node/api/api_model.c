// SPDX-License-Identifier: Apache-2.0
// The models of the management API as JSON.
#include "core/base/log.h"
#include "node/api/api.h"
#include "node/node.h"

void api_write_stamp(struct json_writer *writer, const char *name, int64_t unix_ms)
{
    if (unix_ms == 0)
        json_write_null(writer, name);
    else
        json_write_stamp(writer, name, unix_ms);
}

static void write_tags(struct json_writer *writer, const struct tags *tags)
{
    json_open(writer, "tags", '{');
    for (size_t i = 0; i < tags->count; i++)
        json_write_string(writer, tags->items[i].name, tags->items[i].value);
    json_close(writer, '}');
}

static void write_texts(struct json_writer *writer, const char *name, const struct texts *texts)
{
    json_open(writer, name, '[');
    for (size_t i = 0; i < texts->count; i++)
        json_write_string(writer, NULL, texts->items[i]);
    json_close(writer, ']');
}

static void write_metadata(struct json_writer *writer, const char *metadata)
{
    json_write_raw(writer, "metadata", bytes_text(metadata == NULL ? "{}" : metadata));
}

void api_write_bucket(struct json_writer *writer, const char *name, const struct bucket *bucket)
{
    json_open(writer, name, '{');
    json_write_string(writer, "id", bucket->id);
    json_write_string(writer, "name", bucket->name);
    json_write_string(writer, "description", bucket->description);
    write_tags(writer, &bucket->tags);
    json_write_bool(writer, "isRetrievable", bucket->is_retrievable);
    json_write_stamp(writer, "createdOn", bucket->created_ms);
    json_write_stamp(writer, "updatedOn", bucket->updated_ms);
    json_write_string(writer, "environment", environment_text(bucket->environment));
    json_write_string(writer, "keyPrefix", bucket->key_prefix);
    if (bucket->default_expiry_days == 0)
        json_write_null(writer, "defaultExpiryDays");
    else
        json_write_integer(writer, "defaultExpiryDays", bucket->default_expiry_days);
    if (bucket->max_staleness_ms == KR_UNBOUNDED)
        json_write_null(writer, "maxStalenessMs");
    else
        json_write_integer(writer, "maxStalenessMs", bucket->max_staleness_ms);
    json_write_integer(writer, "metadataLimit", bucket->metadata_limit_bytes);
    json_write_bool(writer, "deleteProtection", bucket->is_delete_protected);
    json_close(writer, '}');
}

void api_write_consumer_open(struct json_writer *writer, const struct consumer *consumer)
{
    json_open(writer, NULL, '{');
    json_write_string(writer, "id", consumer->id);
    json_write_string(writer, "name", consumer->name);
    json_write_string(writer, "description", consumer->description);
    write_tags(writer, &consumer->tags);
    write_metadata(writer, consumer->metadata);
    json_write_stamp(writer, "createdOn", consumer->created_ms);
    json_write_stamp(writer, "updatedOn", consumer->updated_ms);
}

enum kr_err api_open_value(struct call *call, const struct key *key, const char **value)
{
    struct sealed sealed;
    struct buf plain;
    *value = NULL;
    if (!key->is_sealed)
        return KR_ERR_OK;
    if (!store_get_sealed(call->view, key->id, &call->arena, &sealed))
        return KR_ERR_CORRUPT;
    buf_init(&plain, KR_KEY_VALUE_MAX);
    enum kr_err err = vault_open(call->node->vault, &sealed, &plain);
    if (err == KR_ERR_OK)
        *value = arena_text_of(&call->arena, buf_bytes(&plain));
    else
        LOG_ERROR("a sealed value cannot be opened", LOG_TEXT("key", key->id),
                  LOG_TEXT("reason", err_text(err)));
    buf_fini(&plain);
    return err;
}

static void write_value(struct call *call, struct json_writer *writer, const struct key *key,
                        enum api_key_format format, const char *value)
{
    if (value == NULL && format == KR_KEY_VISIBLE) {
        enum kr_err err = api_open_value(call, key, &value);
        if (err != KR_ERR_OK)
            call->answer.failure = err;
    }
    if (value != NULL)
        json_write_string(writer, "key", value);
    else if (format != KR_KEY_NONE)
        json_write_string(writer, "key", key->masked);
}

static void write_revocation(struct json_writer *writer, const struct key *key,
                             const struct bucket *bucket, const struct consumer *consumer)
{
    struct revoke_mark mark;
    if (!key_revocation_of(key, consumer, bucket, &mark)) {
        json_write_null(writer, "revokedOn");
        json_write_null(writer, "revokeReason");
        return;
    }
    api_write_stamp(writer, "revokedOn", mark.at_ms);
    json_write_string(writer, "revokeReason", revoke_reason_text(mark.reason));
}

void api_write_key(struct call *call, struct json_writer *writer, const struct key *key,
                   const struct bucket *bucket, const struct consumer *consumer,
                   enum api_key_format format, const char *value)
{
    enum key_status status = key_status_of(key, consumer, bucket, call->now_ms);
    json_open(writer, NULL, '{');
    json_write_string(writer, "id", key->id);
    json_write_string(writer, "description", key->description);
    json_write_stamp(writer, "createdOn", key->created_ms);
    json_write_stamp(writer, "updatedOn", key->updated_ms);
    api_write_stamp(writer, "expiresOn", key->expires_ms);
    write_value(call, writer, key, format, value);
    json_write_string(writer, "status", key_status_text(status));
    json_write_bool(writer, "enabled", key->is_enabled);
    api_write_stamp(writer, "notBefore", key->not_before_ms);
    write_texts(writer, "scopes", &key->scopes);
    write_texts(writer, "ipAllow", &key->ip_allow);
    write_tags(writer, &key->tags);
    write_metadata(writer, key->metadata);
    json_write_string(writer, "masked", key->masked);
    json_write_string(writer, "createdBy", key->created_by);
    api_write_stamp(writer, "lastUsedOn", value ? 0 : store_last_used_ms(call->view, key));
    write_revocation(writer, key, bucket, consumer);
    json_write_string(writer, "rotatedFrom", key->rotated_from);
    json_close(writer, '}');
}

void api_write_manager(struct json_writer *writer, const struct manager *manager)
{
    json_open(writer, NULL, '{');
    json_write_string(writer, "id", manager->id);
    json_write_string(writer, "email", manager->email);
    json_write_string(writer, "sub", manager->sub);
    json_write_stamp(writer, "createdOn", manager->created_ms);
    json_close(writer, '}');
}
