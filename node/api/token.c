// SPDX-License-Identifier: Apache-2.0
// Management tokens: keys of the reserved bucket, whose scopes say roles and limits.
//
// A token makes and deletes none that reaches further than itself. The last owner token that works
// cannot be deleted, nor one that outlasts all others: nobody could manage anything any more.
#include "node/api/token.h"

#include "node/api/handlers.h"
#include "node/dispatch.h"

enum {
    KR_LIST_LIMIT = 1000,
    KR_ROLES_MAX = 4,
    KR_ENVIRONMENT_TEXT_MAX = 16,
    KR_TOKEN_SCOPES_MAX = KR_ROLES_MAX + KR_ACCESS_BUCKETS_MAX + 1
};

static const char token_consumer[] = "management";

// The reserved bucket and its consumer; a node without them is damaged.
static enum kr_err find_place(struct call *call, struct bucket *bucket, struct consumer *consumer)
{
    enum kr_err err = api_account(call);
    if (err != KR_ERR_OK)
        return err;
    if (store_get_bucket_named(call->view, KR_SYSTEM_BUCKET, &call->arena, bucket) &&
        store_get_consumer_named(call->view, bucket->id, token_consumer, &call->arena, consumer))
        return KR_ERR_OK;
    err = api_check_view(call);
    if (err != KR_ERR_OK)
        return err;
    return api_problem(call, KR_ERR_INTERNAL, "the reserved bucket of the tokens is missing");
}

// --- the model -----------------------------------------------------------------------------------

static void write_roles(struct json_writer *writer, unsigned roles)
{
    json_open(writer, "roles", '[');
    for (unsigned role = KR_ROLE_OWNER; role <= KR_ROLE_VIEWER; role <<= 1) {
        if ((roles & role) != 0)
            json_write_string(writer, NULL, access_role_text((enum access_role)role));
    }
    json_close(writer, ']');
}

void token_write_access(struct call *call, struct json_writer *writer, const struct access *access)
{
    struct bucket bucket;
    write_roles(writer, access->roles);
    json_open(writer, "buckets", '[');
    for (size_t i = 0; i < access->bucket_count; i++) {
        const char *id = access->buckets[i];
        bool is_there = api_find_bucket(call, id, &bucket);
        json_write_string(writer, NULL, is_there ? bucket.name : id);
    }
    json_close(writer, ']');
    json_write_string(
        writer, "environment",
        access->environment < 0 ? NULL : environment_text((enum environment)access->environment));
}

// value: shown once, at creation.
static void write_token(struct call *call, struct json_writer *writer, const struct key *key,
                        enum key_status status, const char *value)
{
    struct access access;
    access_from_scopes(&key->scopes, &access);
    json_open(writer, NULL, '{');
    json_write_string(writer, "id", key->id);
    json_write_string(writer, "label", key->description);
    token_write_access(call, writer, &access);
    if (value != NULL)
        json_write_string(writer, "token", value);
    json_write_string(writer, "masked", key->masked);
    json_write_string(writer, "status", key_status_text(status));
    json_write_stamp(writer, "createdOn", key->created_ms);
    api_write_stamp(writer, "expiresOn", key->expires_ms);
    json_write_string(writer, "createdBy", key->created_by);
    api_write_stamp(writer, "lastUsedOn", store_last_used_ms(call->view, key));
    json_close(writer, '}');
}

// --- limits --------------------------------------------------------------------------------------

static bool has_bucket(const struct access *access, const char *id)
{
    for (size_t i = 0; i < access->bucket_count; i++) {
        if (strcmp(access->buckets[i], id) == 0)
            return true;
    }
    return false;
}

static bool is_within(const struct access *wanted, const struct access *own)
{
    if (own->environment >= 0 && wanted->environment != own->environment)
        return false;
    if (own->bucket_count == 0)
        return true;
    for (size_t i = 0; i < wanted->bucket_count; i++) {
        if (!has_bucket(own, wanted->buckets[i]))
            return false;
    }
    return wanted->bucket_count > 0;
}

// A limited owner knows of the tokens that it could have made.
static bool is_shown(const struct call *call, const struct key *key)
{
    struct access access;
    access_from_scopes(&key->scopes, &access);
    return is_within(&access, &call->actor);
}

// --- list ----------------------------------------------------------------------------------------

static uint64_t count_shown(struct call *call, const char *consumer_id)
{
    struct arena scratch;
    struct key key;
    uint64_t count = 0;
    arena_init(&scratch);
    struct store_cursor *cursor = store_keys(call->view, consumer_id, NULL);
    while (store_next_key(cursor, &scratch, &key)) {
        count += is_shown(call, &key);
        arena_reset(&scratch);
    }
    store_cursor_close(&cursor);
    arena_fini(&scratch);
    return count;
}

// Tokens are few; all of them are walked.
enum kr_err api_token_list(struct call *call)
{
    struct bucket bucket;
    struct consumer consumer;
    struct api_page page;
    struct key key, after;
    enum kr_err err = find_place(call, &bucket, &consumer);
    if (err == KR_ERR_OK)
        err = api_page(call, KR_LIST_LIMIT, KR_LIST_LIMIT, &page);
    if (err == KR_ERR_OK)
        err = api_page_key(call, &page, &after);
    if (err != KR_ERR_OK)
        return err;
    struct json_writer writer;
    const char *last = NULL;
    uint64_t behind = 0, shown = 0;
    struct store_cursor *cursor = store_keys(call->view, consumer.id, &after);
    api_json_begin(call, &writer);
    json_open(&writer, NULL, '{');
    json_open(&writer, "data", '[');
    while (behind <= page.offset + shown && store_next_key(cursor, &call->arena, &key)) {
        if (!is_shown(call, &key) || ++behind <= page.offset || shown == page.limit)
            continue;
        write_token(call, &writer, &key, key_status_of(&key, &consumer, &bucket, call->now_ms),
                    NULL);
        last = api_key_place(call, &key);
        shown++;
    }
    store_cursor_close(&cursor);
    json_close(&writer, ']');
    api_write_page(&writer, &page, count_shown(call, consumer.id),
                   behind > page.offset + shown ? last : NULL);
    json_close(&writer, '}');
    return api_json_end(call, &writer);
}

// --- create --------------------------------------------------------------------------------------

struct token_body {
    const char *environment;
    struct texts roles, buckets;
    struct access access; // as asked
};

static enum kr_err take_roles(struct call *call, struct token_body *body)
{
    if (body->roles.count == 0)
        return api_problem(call, KR_ERR_INVALID, "roles: at least one");
    for (size_t i = 0; i < body->roles.count; i++) {
        enum access_role role;
        if (!access_role_parse(body->roles.items[i], &role))
            return api_problem(call, KR_ERR_INVALID,
                               "roles[%zu]: must be owner, admin, developer or viewer", i);
        body->access.roles |= (unsigned)role;
    }
    return KR_ERR_OK;
}

static enum kr_err take_buckets(struct call *call, struct token_body *body)
{
    for (size_t i = 0; i < body->buckets.count; i++) {
        struct bucket bucket;
        if (!api_find_bucket(call, body->buckets.items[i], &bucket)) {
            enum kr_err err = api_check_view(call);
            return err != KR_ERR_OK ? err
                                    : api_problem(call, KR_ERR_INVALID,
                                                  "buckets[%zu]: there is no such bucket", i);
        }
        strcpy(body->access.buckets[body->access.bucket_count++], bucket.id);
    }
    return KR_ERR_OK;
}

static enum kr_err take_environment(struct call *call, struct token_body *body)
{
    enum environment environment;
    body->access.environment = -1;
    if (body->environment == NULL)
        return KR_ERR_OK;
    if (!environment_parse(body->environment, &environment))
        return api_problem(call, KR_ERR_INVALID,
                           "environment: must be production, preview or development");
    body->access.environment = (int)environment;
    return KR_ERR_OK;
}

static enum kr_err check_within(struct call *call, const struct access *wanted)
{
    if (is_within(wanted, &call->actor))
        return KR_ERR_OK;
    return api_deny(call, call->actor.token_id, call->route->name,
                    "a limited token cannot handle one that reaches further");
}

static enum kr_err take_body(struct call *call, struct token_body *body, struct key *record)
{
    const struct api_member members[] = {
        {"label", KR_MEMBER_TEXT, &record->description, KR_LABEL_MAX, false, NULL},
        {"roles", KR_MEMBER_TEXTS, &body->roles, KR_ROLES_MAX, true, NULL},
        {"buckets", KR_MEMBER_TEXTS, &body->buckets, KR_ACCESS_BUCKETS_MAX, false, NULL},
        {"environment", KR_MEMBER_TEXT, &body->environment, KR_ENVIRONMENT_TEXT_MAX, false, NULL},
        {"expiresOn", KR_MEMBER_TIME, &record->expires_ms, 0, false, NULL},
    };
    enum kr_err err = api_body(call, members, sizeof(members) / sizeof(members[0]));
    if (err == KR_ERR_OK)
        err = take_roles(call, body);
    if (err == KR_ERR_OK)
        err = take_buckets(call, body);
    if (err == KR_ERR_OK)
        err = take_environment(call, body);
    if (err == KR_ERR_OK && record->expires_ms != 0 && record->expires_ms <= call->now_ms)
        err = api_problem(call, KR_ERR_INVALID, "expiresOn: must be in the future");
    return err == KR_ERR_OK ? check_within(call, &body->access) : err;
}

static struct texts scopes_of(struct call *call, const struct access *access)
{
    const char **items = arena_alloc(&call->arena, sizeof(*items) * KR_TOKEN_SCOPES_MAX);
    size_t count = 0;
    for (unsigned role = KR_ROLE_OWNER; role <= KR_ROLE_VIEWER; role <<= 1) {
        if ((access->roles & role) != 0)
            items[count++] =
                arena_printf(&call->arena, "role:%s", access_role_text((enum access_role)role));
    }
    for (size_t i = 0; i < access->bucket_count; i++)
        items[count++] = arena_printf(&call->arena, "bucket:%s", access->buckets[i]);
    if (access->environment >= 0)
        items[count++] = arena_printf(&call->arena, "environment:%s",
                                      environment_text((enum environment)access->environment));
    return (struct texts){items, count};
}

static const char *created_detail(struct call *call, const struct access *access)
{
    struct buf text;
    struct json_writer writer;
    buf_init(&text, 4096);
    json_begin(&writer, &text);
    json_open(&writer, NULL, '{');
    token_write_access(call, &writer, access);
    json_close(&writer, '}');
    const char *detail = text.has_failed ? NULL : arena_text_of(&call->arena, buf_bytes(&text));
    buf_fini(&text);
    return detail;
}

enum kr_err api_token_create(struct call *call)
{
    struct bucket bucket;
    struct consumer consumer;
    struct token_body body = {0};
    struct api_new_key token = {
        .record = {.is_enabled = true}, .is_expiry_given = true, .where = ""};
    enum kr_err err = find_place(call, &bucket, &consumer);
    if (err == KR_ERR_OK)
        err = take_body(call, &body, &token.record);
    if (err != KR_ERR_OK)
        return err;
    token.record.consumer_id = consumer.id;
    token.record.scopes = scopes_of(call, &body.access);
    err = api_put_new_key(call, &bucket, &token);
    if (err != KR_ERR_OK)
        return err;
    api_audit(call, "token.create", token.record.id, token.record.description,
              created_detail(call, &body.access));
    struct json_writer writer;
    api_json_begin(call, &writer);
    write_token(call, &writer, &token.record,
                key_status_of(&token.record, &consumer, &bucket, call->now_ms), token.value);
    return api_json_end(call, &writer);
}

// --- delete --------------------------------------------------------------------------------------

// A limited owner does not count: it can make no token that reaches as far as the account.
static bool is_working_owner(struct call *call, const struct key *key, const struct bucket *bucket,
                             const struct consumer *consumer)
{
    struct access access;
    enum key_status status = key_status_of(key, consumer, bucket, call->now_ms);
    access_from_scopes(&key->scopes, &access);
    return (access.roles & KR_ROLE_OWNER) != 0 && access.bucket_count == 0 &&
           access.environment < 0 && (status == KR_KEY_ACTIVE || status == KR_KEY_EXPIRING);
}

static bool lasts_as_long(const struct key *other, const struct key *key)
{
    return other->expires_ms == 0 || (key->expires_ms != 0 && other->expires_ms >= key->expires_ms);
}

// Would everybody be shut out without this owner, now or when the others have ended?
static bool is_last_owner(struct call *call, const struct key *key, const struct bucket *bucket,
                          const struct consumer *consumer)
{
    struct key other;
    bool is_last = true;
    struct store_cursor *cursor = store_keys(call->view, consumer->id, NULL);
    while (is_last && store_next_key(cursor, &call->arena, &other))
        is_last = strcmp(other.id, key->id) == 0 || !lasts_as_long(&other, key) ||
                  !is_working_owner(call, &other, bucket, consumer);
    store_cursor_close(&cursor);
    return is_last;
}

// Two deletions of the last two owners at once would each see the other. So one that takes an owner
// also writes the consumer.
static enum kr_err check_owner(struct call *call, const struct key *key,
                               const struct bucket *bucket, const struct consumer *consumer)
{
    if (!is_working_owner(call, key, bucket, consumer))
        return KR_ERR_OK;
    if (is_last_owner(call, key, bucket, consumer))
        return api_problem(call, KR_ERR_CONFLICT,
                           "no other owner token lasts as long as this one; create one before");
    api_one_at_a_time(call, consumer);
    return KR_ERR_OK;
}

static enum kr_err find_token(struct call *call, const struct consumer *consumer, struct key *key)
{
    if (format_is_id(call->item, "key") &&
        store_get_key_by_id(call->view, call->item, &call->arena, key) &&
        strcmp(key->consumer_id, consumer->id) == 0)
        return KR_ERR_OK;
    return api_not_found(call, "token", call->item);
}

enum kr_err api_token_delete(struct call *call)
{
    struct bucket bucket;
    struct consumer consumer;
    struct key key;
    enum kr_err err = find_place(call, &bucket, &consumer);
    if (err == KR_ERR_OK)
        err = find_token(call, &consumer, &key);
    if (err != KR_ERR_OK)
        return err;
    struct access access;
    access_from_scopes(&key.scopes, &access);
    err = check_within(call, &access);
    if (err == KR_ERR_OK)
        err = check_owner(call, &key, &bucket, &consumer);
    if (err != KR_ERR_OK)
        return err;
    struct command_op *op = api_op(call, KR_OP_KEY_REVOKE);
    op->as.key_revoke = (struct command_key_revoke){.expected_version = key.version,
                                                    .reason = KR_REASON_CESSATION_OF_OPERATION,
                                                    .purge_ms = api_purge_ms(call)};
    memcpy(op->as.key_revoke.digest, key.digest, sizeof(key.digest));
    api_answer_status(call, 204);
    api_audit(call, "token.delete", key.id, key.description, NULL);
    return KR_ERR_OK;
}
