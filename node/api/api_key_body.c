// SPDX-License-Identifier: Apache-2.0
// The settings of a new key as a body brings them, at the top or inside apiKeys, $bulk and imports.
#include "node/api/api.h"

static enum kr_err check_scopes(struct call *call, const char *where, const struct texts *scopes)
{
    for (size_t i = 0; i < scopes->count; i++) {
        if (!rules_is_scope(scopes->items[i]))
            return api_problem(call, KR_ERR_INVALID,
                               "%sscopes[%zu]: 1 to %d visible ASCII characters without space, "
                               "comma, quote or backslash",
                               where, i, KR_SCOPE_MAX);
    }
    return KR_ERR_OK;
}

enum kr_err api_canonical_cidrs(struct call *call, const char *where, struct texts *blocks)
{
    const char **items = arena_alloc(&call->arena, sizeof(*items) * (blocks->count + 1));
    for (size_t i = 0; i < blocks->count; i++) {
        struct cidr cidr;
        char text[KR_CIDR_TEXT_SIZE];
        if (!cidr_parse(bytes_text(blocks->items[i]), &cidr))
            return api_problem(call, KR_ERR_INVALID,
                               "%sipAllow[%zu]: must be an address or a CIDR block without host "
                               "bits, such as 192.0.2.0/24",
                               where, i);
        cidr_text(&cidr, text);
        items[i] = arena_text(&call->arena, text);
    }
    blocks->items = items;
    return KR_ERR_OK;
}

enum kr_err api_new_key_check(struct call *call, struct api_new_key *new_key)
{
    struct key *record = &new_key->record;
    if (new_key->given_hash != NULL && json_type_of(new_key->given_hash) == KR_JSON_NULL)
        new_key->given_hash = NULL;
    enum kr_err err = check_scopes(call, new_key->where, &record->scopes);
    if (err == KR_ERR_OK)
        err = api_canonical_cidrs(call, new_key->where, &record->ip_allow);
    if (err == KR_ERR_OK && record->expires_ms != 0 && record->expires_ms <= call->now_ms)
        err = api_problem(call, KR_ERR_INVALID, "%sexpiresOn: is in the past", new_key->where);
    return err;
}

enum kr_err api_check_life(struct call *call, const char *where, const struct key *key)
{
    if (rules_is_life(key->not_before_ms, key->expires_ms))
        return KR_ERR_OK;
    return api_problem(call, KR_ERR_INVALID, "%snotBefore: must be before expiresOn", where);
}

void api_new_key_defaults(struct api_new_key *new_key)
{
    *new_key = (struct api_new_key){.record = {.is_enabled = true, .metadata = "{}"}, .where = ""};
}

void api_new_key_table(const struct bucket *bucket, struct api_new_key *out,
                       struct api_member members[KR_NEW_KEY_MEMBERS])
{
    struct key *record = &out->record;
    const struct api_member table[KR_NEW_KEY_MEMBERS] = {
        {"description", KR_MEMBER_TEXT, &record->description, KR_DESCRIPTION_MAX, false, NULL},
        {"expiresOn", KR_MEMBER_TIME, &record->expires_ms, 0, false, &out->is_expiry_given},
        {"key", KR_MEMBER_TEXT, &out->given, KR_KEY_VALUE_MAX, false, NULL},
        {"keyHash", KR_MEMBER_JSON, &out->given_hash, 0, false, NULL},
        {"enabled", KR_MEMBER_BOOL, &record->is_enabled, 0, false, NULL},
        {"notBefore", KR_MEMBER_TIME, &record->not_before_ms, 0, false, NULL},
        {"scopes", KR_MEMBER_TEXTS, &record->scopes, KR_SCOPES_MAX, false, NULL},
        {"ipAllow", KR_MEMBER_TEXTS, &record->ip_allow, KR_CIDRS_MAX, false, NULL},
        {"tags", KR_MEMBER_TAGS, &record->tags, KR_TAGS_MAX, false, NULL},
        {"metadata", KR_MEMBER_METADATA, &record->metadata, bucket->metadata_limit_bytes, false,
         NULL},
    };
    memcpy(members, table, sizeof(table));
}

enum kr_err api_new_key_members(struct call *call, const struct bucket *bucket,
                                const struct json *object, const char *where,
                                struct api_new_key *out)
{
    struct api_member members[KR_NEW_KEY_MEMBERS];
    api_new_key_defaults(out);
    api_new_key_table(bucket, out, members);
    enum kr_err err = object == NULL
                          ? api_body(call, members, KR_NEW_KEY_MEMBERS)
                          : api_members(call, object, where, members, KR_NEW_KEY_MEMBERS);
    if (err != KR_ERR_OK)
        return err;
    if (object != NULL && where[0] != '\0')
        out->where = arena_printf(&call->arena, "%s.", where);
    return api_new_key_check(call, out);
}
