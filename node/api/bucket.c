// SPDX-License-Identifier: Apache-2.0
// Buckets: list, create, show, change, delete, revoke whole.
#include "node/api/api.h"
#include "node/api/handlers.h"
#include "node/api/receipt.h"

#define KR_STALENESS_MAX_MS ((int64_t)30 * 24 * 60 * 60 * 1000)

enum {
    KR_LIST_LIMIT = 1000,
    KR_NAME_TEXT_MAX = 128,
    KR_ENVIRONMENT_TEXT_MAX = 16,
    KR_EXPIRY_DAYS_MAX = 36500,
    KR_METADATA_LIMIT_DEFAULT = 1024
};

#define KR_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static enum kr_err answer_bucket(struct call *call, const struct bucket *bucket)
{
    struct json_writer writer;
    api_json_begin(call, &writer);
    api_write_bucket(&writer, NULL, bucket);
    api_etag(call, bucket->id, bucket->version);
    return api_json_end(call, &writer);
}

// --- list ----------------------------------------------------------------------------------------

// Buckets are few, and which of them a token may see is in none of the index's orders: all are
// walked.
enum kr_err api_bucket_list(struct call *call)
{
    struct api_page page;
    enum kr_err err = api_account(call);
    if (err == KR_ERR_OK)
        err = api_page(call, KR_LIST_LIMIT, KR_LIST_LIMIT, &page);
    if (err != KR_ERR_OK)
        return err;
    struct json_writer writer;
    struct bucket bucket;
    const char *last = NULL;
    uint64_t total = 0, behind = 0, shown = 0;
    struct store_cursor *cursor = store_buckets(call->view, NULL);
    api_json_begin(call, &writer);
    json_open(&writer, NULL, '{');
    json_open(&writer, "data", '[');
    while (store_next_bucket(cursor, &call->arena, &bucket)) {
        if (bucket.is_system || !access_allows_bucket(&call->actor, &bucket) ||
            !api_tags_match(call, &bucket.tags))
            continue;
        total++;
        if (page.after != NULL && strcmp(bucket.name, page.after) <= 0)
            continue;
        if (++behind <= page.offset || shown == page.limit)
            continue;
        api_write_bucket(&writer, NULL, &bucket);
        last = bucket.name;
        shown++;
    }
    store_cursor_close(&cursor);
    json_close(&writer, ']');
    api_write_page(&writer, &page, total, behind > page.offset + shown ? last : NULL);
    json_close(&writer, '}');
    return api_json_end(call, &writer);
}

// --- settings ------------------------------------------------------------------------------------

// Of a body; numbers are KR_UNBOUNDED when null.
struct settings {
    const char *environment, *key_prefix;
    int64_t expiry_days, metadata_limit;
    bool has_environment, has_key_prefix, has_expiry, has_metadata_limit;
};

static enum kr_err check_settings(struct call *call, const struct settings *settings,
                                  struct bucket *bucket)
{
    if (settings->environment != NULL &&
        !environment_parse(settings->environment, &bucket->environment))
        return api_problem(call, KR_ERR_INVALID,
                           "environment: must be production, preview or development");
    if (settings->key_prefix != NULL && !format_is_prefix(settings->key_prefix))
        return api_problem(call, KR_ERR_INVALID,
                           "keyPrefix: must be one to three parts of a-z and 0-9, joined by '_', "
                           "the first of 2 to 16 characters and beginning with a letter");
    if (settings->key_prefix != NULL)
        bucket->key_prefix = settings->key_prefix;
    if (bucket->key_prefix == NULL || (settings->has_key_prefix && settings->key_prefix == NULL))
        bucket->key_prefix = environment_prefix(bucket->environment);
    if (settings->has_expiry)
        bucket->default_expiry_days =
            settings->expiry_days > 0 ? (uint32_t)settings->expiry_days : 0;
    if (settings->has_metadata_limit)
        bucket->metadata_limit_bytes = settings->metadata_limit > 0
                                           ? (uint32_t)settings->metadata_limit
                                           : KR_METADATA_LIMIT_DEFAULT;
    return KR_ERR_OK;
}

// --- create --------------------------------------------------------------------------------------

static enum kr_err take_new(struct call *call, struct bucket *bucket)
{
    struct settings settings = {0};
    const struct api_member members[] = {
        {"name", KR_MEMBER_TEXT, &bucket->name, KR_NAME_TEXT_MAX, true, NULL},
        {"description", KR_MEMBER_TEXT, &bucket->description, KR_DESCRIPTION_MAX, false, NULL},
        {"tags", KR_MEMBER_TAGS, &bucket->tags, KR_TAGS_MAX, false, NULL},
        {"isRetrievable", KR_MEMBER_BOOL, &bucket->is_retrievable, 0, false, NULL},
        {"environment", KR_MEMBER_TEXT, &settings.environment, KR_ENVIRONMENT_TEXT_MAX, false,
         NULL},
        {"keyPrefix", KR_MEMBER_TEXT, &settings.key_prefix, KR_KEY_PREFIX_MAX, false, NULL},
        {"defaultExpiryDays", KR_MEMBER_NUMBER, &settings.expiry_days, KR_EXPIRY_DAYS_MAX, false,
         &settings.has_expiry},
        {"maxStalenessMs", KR_MEMBER_NUMBER, &bucket->max_staleness_ms, KR_STALENESS_MAX_MS, false,
         NULL},
        {"metadataLimit", KR_MEMBER_POSITIVE, &settings.metadata_limit, KR_METADATA_LIMIT_MAX,
         false, &settings.has_metadata_limit},
        {"deleteProtection", KR_MEMBER_BOOL, &bucket->is_delete_protected, 0, false, NULL},
    };
    enum kr_err err = api_body(call, members, KR_COUNT_OF(members));
    if (err != KR_ERR_OK)
        return err;
    if (!model_is_bucket_name(bucket->name))
        return api_problem(call, KR_ERR_INVALID,
                           "name: must be 3 to 128 characters of a-z, 0-9, '_' and '-'");
    return check_settings(call, &settings, bucket);
}

static enum kr_err check_new(struct call *call, const struct bucket *bucket)
{
    struct bucket other;
    if (!access_allows_bucket(&call->actor, bucket))
        return api_deny(call, NULL, bucket->name,
                        "the token is limited to certain buckets or another environment");
    if (store_get_bucket_named(call->view, bucket->name, &call->arena, &other))
        return api_problem(call, KR_ERR_CONFLICT, "name: a bucket %s exists", bucket->name);
    return KR_ERR_OK;
}

enum kr_err api_bucket_create(struct call *call)
{
    struct bucket bucket = {.id = api_new_id(call, "bckt"),
                            .max_staleness_ms = KR_MAX_STALENESS_DEFAULT_MS,
                            .metadata_limit_bytes = KR_METADATA_LIMIT_DEFAULT,
                            .created_ms = call->now_ms,
                            .updated_ms = call->now_ms,
                            .version = 1};
    enum kr_err err = api_account(call);
    if (err == KR_ERR_OK)
        err = take_new(call, &bucket);
    if (err == KR_ERR_OK)
        err = check_new(call, &bucket);
    if (err != KR_ERR_OK)
        return err;
    api_op(call, KR_OP_BUCKET_PUT)->as.bucket_put.record = bucket;
    api_audit(call, "bucket.create", bucket.id, bucket.name,
              api_detail(call, "environment", environment_text(bucket.environment)));
    return answer_bucket(call, &bucket);
}

// --- show, change, delete, revoke ----------------------------------------------------------------

enum kr_err api_bucket_show(struct call *call)
{
    struct bucket bucket;
    enum kr_err err = api_bucket_itself(call, &bucket);
    return err == KR_ERR_OK ? answer_bucket(call, &bucket) : err;
}

// What exists already was promised to keys and tokens under it, so it stays as it was created.
static enum kr_err take_changes(struct call *call, struct bucket *bucket)
{
    struct settings settings = {0};
    const struct api_member members[] = {
        {"name", KR_MEMBER_FIXED, NULL, 0, false, NULL},
        {"isRetrievable", KR_MEMBER_FIXED, NULL, 0, false, NULL},
        {"environment", KR_MEMBER_FIXED, NULL, 0, false, NULL},
        {"id", KR_MEMBER_FIXED, NULL, 0, false, NULL},
        {"description", KR_MEMBER_TEXT, &bucket->description, KR_DESCRIPTION_MAX, false, NULL},
        {"tags", KR_MEMBER_TAGS, &bucket->tags, KR_TAGS_MAX, false, NULL},
        {"keyPrefix", KR_MEMBER_TEXT, &settings.key_prefix, KR_KEY_PREFIX_MAX, false,
         &settings.has_key_prefix},
        {"defaultExpiryDays", KR_MEMBER_NUMBER, &settings.expiry_days, KR_EXPIRY_DAYS_MAX, false,
         &settings.has_expiry},
        {"maxStalenessMs", KR_MEMBER_NUMBER, &bucket->max_staleness_ms, KR_STALENESS_MAX_MS, false,
         NULL},
        {"metadataLimit", KR_MEMBER_POSITIVE, &settings.metadata_limit, KR_METADATA_LIMIT_MAX,
         false, &settings.has_metadata_limit},
        {"deleteProtection", KR_MEMBER_BOOL, &bucket->is_delete_protected, 0, false, NULL},
    };
    enum kr_err err = api_body(call, members, KR_COUNT_OF(members));
    return err == KR_ERR_OK ? check_settings(call, &settings, bucket) : err;
}

static enum kr_err find_to_change(struct call *call, struct bucket *bucket)
{
    enum kr_err err = api_bucket_itself(call, bucket);
    return err == KR_ERR_OK ? api_check_match(call, bucket->id, bucket->version) : err;
}

enum kr_err api_bucket_update(struct call *call)
{
    struct bucket bucket;
    enum kr_err err = find_to_change(call, &bucket);
    if (err == KR_ERR_OK)
        err = take_changes(call, &bucket);
    if (err != KR_ERR_OK)
        return err;
    bucket.updated_ms = call->now_ms;
    struct command_op *op = api_op(call, KR_OP_BUCKET_PUT);
    op->as.bucket_put =
        (struct command_bucket_put){.record = bucket, .expected_version = bucket.version};
    api_audit(call, "bucket.update", bucket.id, bucket.name, api_detail_changed(call));
    bucket.version++;
    return answer_bucket(call, &bucket);
}

enum kr_err api_bucket_delete(struct call *call)
{
    struct bucket bucket;
    enum kr_err err = find_to_change(call, &bucket);
    if (err != KR_ERR_OK)
        return err;
    if (bucket.is_delete_protected)
        return api_problem(call, KR_ERR_CONFLICT,
                           "deleteProtection is set; set it to false before deleting %s",
                           bucket.name);
    api_op(call, KR_OP_BUCKET_DELETE)->as.target =
        (struct command_target){.id = bucket.id,
                                .expected_version = bucket.version,
                                .reason = KR_REASON_CESSATION_OF_OPERATION,
                                .purge_ms = api_purge_ms(call)};
    api_answer_status(call, 204);
    api_audit(call, "bucket.delete", bucket.id, bucket.name, NULL);
    return KR_ERR_OK;
}

enum kr_err api_bucket_revoke(struct call *call)
{
    struct bucket bucket;
    enum revoke_reason reason;
    enum kr_err err = api_bucket_itself(call, &bucket);
    if (err == KR_ERR_OK)
        err = api_revoke_body(call, bucket.name, &reason);
    if (err == KR_ERR_OK)
        err = receipt_expect(call, &bucket);
    if (err != KR_ERR_OK)
        return err;
    // Whatever else changes: a revocation is not kept waiting by other writers.
    api_op(call, KR_OP_BUCKET_REVOKE)->as.target =
        (struct command_target){.id = bucket.id, .reason = reason};
    api_audit(call, "bucket.revoke", bucket.id, bucket.name,
              api_detail(call, "reason", revoke_reason_text(reason)));
    return KR_ERR_OK;
}
