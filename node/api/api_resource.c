// SPDX-License-Identifier: Apache-2.0
// The resources that a path names: found by name or id, or answered 404.
//
// An id is tried before a name, so that nobody takes over an id by naming something like it.
#include "node/api/api.h"
#include "node/node.h"

enum kr_err api_not_found(struct call *call, const char *what, const char *name)
{
    enum kr_err err = api_check_view(call);
    if (err != KR_ERR_OK)
        return err;
    if (!format_may_repeat(bytes_text(name)))
        return api_problem(call, KR_ERR_NOT_FOUND, "there is no such %s", what);
    return api_problem(call, KR_ERR_NOT_FOUND, "there is no %s %s", what, name);
}

static enum kr_err check_tags(struct call *call, const struct tags *tags, const char *what,
                              const char *name)
{
    if (api_tags_match(call, tags))
        return KR_ERR_OK;
    return api_not_found(call, arena_printf(&call->arena, "%s with these tags named", what), name);
}

enum kr_err api_account(struct call *call)
{
    if (names_is_account(call->node->names, call->view, call->account))
        return KR_ERR_OK;
    return api_not_found(call, "account", call->account);
}

static bool get_bucket(struct call *call, const char *name, struct bucket *bucket)
{
    if (format_is_id(name, "bckt") && store_get_bucket(call->view, name, &call->arena, bucket) &&
        !bucket->is_deleted)
        return true;
    return store_get_bucket_named(call->view, name, &call->arena, bucket) && !bucket->is_deleted;
}

bool api_find_bucket(struct call *call, const char *name, struct bucket *bucket)
{
    return get_bucket(call, name, bucket) && !bucket->is_system;
}

enum kr_err api_bucket(struct call *call, struct bucket *bucket)
{
    enum kr_err err = api_account(call);
    if (err != KR_ERR_OK)
        return err;
    if (!api_find_bucket(call, call->bucket_name, bucket))
        return api_not_found(call, "bucket", call->bucket_name);
    if (access_allows_bucket(&call->actor, bucket))
        return KR_ERR_OK;
    return api_deny(call, bucket->id, bucket->name, "the token is limited to other buckets");
}

enum kr_err api_bucket_itself(struct call *call, struct bucket *bucket)
{
    enum kr_err err = api_bucket(call, bucket);
    return err == KR_ERR_OK ? check_tags(call, &bucket->tags, "bucket", call->bucket_name) : err;
}

bool api_find_consumer(struct call *call, const struct bucket *bucket, const char *name,
                       struct consumer *consumer)
{
    if (format_is_id(name, "csmr") &&
        store_get_consumer(call->view, name, &call->arena, consumer) && !consumer->is_deleted &&
        strcmp(consumer->bucket_id, bucket->id) == 0)
        return true;
    return store_get_consumer_named(call->view, bucket->id, name, &call->arena, consumer) &&
           !consumer->is_deleted;
}

enum kr_err api_consumer(struct call *call, struct bucket *bucket, struct consumer *consumer)
{
    enum kr_err err = api_bucket(call, bucket);
    if (err != KR_ERR_OK)
        return err;
    if (!api_find_consumer(call, bucket, call->consumer_name, consumer))
        return api_not_found(call, "consumer", call->consumer_name);
    return check_tags(call, &consumer->tags, "consumer", call->consumer_name);
}

// Whoever has the key. Its name takes the place of the dash, so that the audit trail says of whom.
static enum kr_err find_holder(struct call *call, const struct bucket *bucket,
                               const struct key *key, struct consumer *consumer)
{
    if (!store_get_consumer(call->view, key->consumer_id, &call->arena, consumer) ||
        consumer->is_deleted || strcmp(consumer->bucket_id, bucket->id) != 0)
        return api_not_found(call, "key", call->item);
    call->consumer_name = consumer->name;
    return check_tags(call, &consumer->tags, "consumer", consumer->name);
}

enum kr_err api_key(struct call *call, struct bucket *bucket, struct consumer *consumer,
                    struct key *key)
{
    bool is_any = strcmp(call->consumer_name, KR_ANY_CONSUMER) == 0;
    enum kr_err err = is_any ? api_bucket(call, bucket) : api_consumer(call, bucket, consumer);
    if (err != KR_ERR_OK)
        return err;
    if (!format_is_id(call->item, "key") ||
        !store_get_key_by_id(call->view, call->item, &call->arena, key) ||
        (!is_any && strcmp(key->consumer_id, consumer->id) != 0))
        return api_not_found(call, "key", call->item);
    return is_any ? find_holder(call, bucket, key, consumer) : KR_ERR_OK;
}
