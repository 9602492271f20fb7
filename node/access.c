// SPDX-License-Identifier: Apache-2.0
// Management tokens: from a presented value to roles, and from roles to rights.
#include "node/access.h"

#include <string.h>

#include "core/store/store.h"
#include "node/validate.h"

static const struct {
    enum access_role role;
    const char *text;
} roles[] = {
    {KR_ROLE_OWNER, "owner"},
    {KR_ROLE_ADMIN, "admin"},
    {KR_ROLE_DEVELOPER, "developer"},
    {KR_ROLE_VIEWER, "viewer"},
};

const char *access_role_text(enum access_role role)
{
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (roles[i].role == role)
            return roles[i].text;
    }
    return "";
}

bool access_role_parse(const char *text, enum access_role *role)
{
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strcmp(roles[i].text, text) == 0) {
            *role = roles[i].role;
            return true;
        }
    }
    return false;
}

static const char *behind(const char *text, const char *prefix)
{
    size_t size = strlen(prefix);
    return strncmp(text, prefix, size) == 0 ? text + size : NULL;
}

static void take_scope(const char *scope, struct access *out)
{
    enum access_role role;
    enum environment environment;
    const char *value = behind(scope, "role:");
    if (value != NULL && access_role_parse(value, &role))
        out->roles |= (unsigned)role;
    value = behind(scope, "bucket:");
    if (value != NULL && strlen(value) < KR_ID_SIZE && out->bucket_count < KR_ACCESS_BUCKETS_MAX)
        strcpy(out->buckets[out->bucket_count++], value);
    value = behind(scope, "environment:");
    if (value != NULL && environment_parse(value, &environment))
        out->environment = (int)environment;
}

void access_from_scopes(const struct texts *scopes, struct access *out)
{
    out->roles = 0;
    out->bucket_count = 0;
    out->environment = -1;
    for (size_t i = 0; i < scopes->count; i++)
        take_scope(scopes->items[i], out);
}

static bool take_found(const struct store_found *found, int64_t now_ms, struct access *out)
{
    if (found->lookup != KR_STORE_FOUND || !found->bucket->is_system || found->extra == NULL)
        return false;
    if (validate_found(found, now_ms) != KR_VERDICT_VALID)
        return false;
    validate_key_id(found->record, out->token_id);
    access_from_scopes(&found->extra->scopes, out);
    return out->roles != 0;
}

bool access_resolve(const struct store *store, struct bytes token, int64_t now_ms,
                    struct access *out)
{
    *out = (struct access){.environment = -1};
    uint8_t digest[1][KR_DIGEST_SIZE];
    struct store_found found;
    if (format_check(token) != KR_FORMAT_OK)
        return false;
    store_find_many(store, &token, 1, digest, &found);
    if (!take_found(&found, now_ms, out))
        return false;
    hot_note_used(found.record, (uint32_t)(now_ms / 60000));
    return true;
}

enum kr_err access_resolve_index(const struct store *store, struct bytes token, int64_t now_ms,
                                 struct arena *arena, struct access *out)
{
    *out = (struct access){.environment = -1};
    uint8_t digest[KR_DIGEST_SIZE];
    struct store_found found;
    if (format_check(token) != KR_FORMAT_OK)
        return KR_ERR_UNAUTHORIZED;
    digest_sha256(token, digest);
    enum kr_err err = store_find_index(store, digest, arena, &found);
    if (err != KR_ERR_OK)
        return err;
    return take_found(&found, now_ms, out) ? KR_ERR_OK : KR_ERR_UNAUTHORIZED;
}

bool access_allows(const struct access *access, enum access_right right)
{
    const unsigned owner = KR_ROLE_OWNER, admin = owner | KR_ROLE_ADMIN;
    const unsigned developer = admin | KR_ROLE_DEVELOPER, viewer = developer | KR_ROLE_VIEWER;
    switch (right) {
    case KR_RIGHT_NONE:
        return true;
    case KR_RIGHT_ANY:
    case KR_RIGHT_READ:
        return (access->roles & viewer) != 0;
    case KR_RIGHT_ROLL:
    case KR_RIGHT_REVEAL:
        return (access->roles & developer) != 0;
    case KR_RIGHT_WRITE:
    case KR_RIGHT_REVOKE:
    case KR_RIGHT_AUDIT:
        return (access->roles & admin) != 0;
    case KR_RIGHT_BUCKETS:
    case KR_RIGHT_TOKENS:
        return (access->roles & owner) != 0;
    }
    return false;
}

bool access_is_limited(const struct access *access)
{
    return access->bucket_count > 0 || access->environment >= 0;
}

bool access_allows_bucket(const struct access *access, const struct bucket *bucket)
{
    if (access->environment >= 0 && (int)bucket->environment != access->environment)
        return false;
    if (access->bucket_count == 0)
        return true;
    for (size_t i = 0; i < access->bucket_count; i++) {
        if (strcmp(access->buckets[i], bucket->id) == 0)
            return true;
    }
    return false;
}
