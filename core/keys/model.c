// SPDX-License-Identifier: Apache-2.0
// The texts of the domain's enums, the names' forms, and a key's status.
#include "core/keys/model.h"

#include <string.h>

enum { KR_BUCKET_NAME_MIN = 3, KR_CONSUMER_NAME_MIN = 1, KR_NAME_MAX = 128 };
enum { KR_MEMBER_NAME_MAX = 63, KR_MEMBER_ADDRESS_MAX = 255 };

#define KR_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char *const environments[] = {
    [KR_ENV_PRODUCTION] = "production",
    [KR_ENV_PREVIEW] = "preview",
    [KR_ENV_DEVELOPMENT] = "development",
};

static const char *const prefixes[] = {
    [KR_ENV_PRODUCTION] = "kr_live",
    [KR_ENV_PREVIEW] = "kr_test",
    [KR_ENV_DEVELOPMENT] = "kr_dev",
};

static const char *const reasons[] = {
    [KR_REASON_UNSPECIFIED] = "unspecified",
    [KR_REASON_KEY_COMPROMISE] = "keyCompromise",
    [KR_REASON_SUPERSEDED] = "superseded",
    [KR_REASON_CESSATION_OF_OPERATION] = "cessationOfOperation",
    [KR_REASON_AFFILIATION_CHANGED] = "affiliationChanged",
    [KR_REASON_PRIVILEGE_WITHDRAWN] = "privilegeWithdrawn",
};

static const char *const statuses[] = {
    [KR_KEY_ACTIVE] = "active",   [KR_KEY_EXPIRING] = "expiring", [KR_KEY_EXPIRED] = "expired",
    [KR_KEY_REVOKED] = "revoked", [KR_KEY_DISABLED] = "disabled",
};

// The position of text in a table of count texts; false when it is not there.
static bool find(const char *const *table, size_t count, const char *text, size_t *position)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i], text) == 0) {
            *position = i;
            return true;
        }
    }
    return false;
}

const char *environment_text(enum environment environment)
{
    return environments[environment];
}

bool environment_parse(const char *text, enum environment *environment)
{
    size_t position;
    if (!find(environments, KR_COUNT_OF(environments), text, &position))
        return false;
    *environment = (enum environment)position;
    return true;
}

const char *environment_prefix(enum environment environment)
{
    return prefixes[environment];
}

const char *revoke_reason_text(enum revoke_reason reason)
{
    return reasons[reason];
}

bool revoke_reason_parse(const char *text, enum revoke_reason *reason)
{
    size_t position;
    if (!find(reasons, KR_COUNT_OF(reasons), text, &position))
        return false;
    *reason = (enum revoke_reason)position;
    return true;
}

const char *key_status_text(enum key_status status)
{
    return statuses[status];
}

bool key_status_parse(const char *text, enum key_status *status)
{
    size_t position;
    if (!find(statuses, KR_COUNT_OF(statuses), text, &position))
        return false;
    *status = (enum key_status)position;
    return true;
}

// The order of core/keys/verdict, so that a list and a validation say the same.
enum key_status key_status_of(const struct key *key, const struct consumer *consumer,
                              const struct bucket *bucket, int64_t now_ms)
{
    if (key->is_revoked || key->revision <= bucket->revocation.last.before ||
        key->revision <= consumer->revocation.last.before)
        return KR_KEY_REVOKED;
    if (!key->is_enabled)
        return KR_KEY_DISABLED;
    if (key->expires_ms == 0)
        return KR_KEY_ACTIVE;
    return now_ms >= key->expires_ms ? KR_KEY_EXPIRED : KR_KEY_EXPIRING;
}

bool key_revocation_of(const struct key *key, const struct consumer *consumer,
                       const struct bucket *bucket, struct revoke_mark *out)
{
    *out = (struct revoke_mark){.at_ms = key->revoked_ms, .reason = key->revoke_reason};
    if (key->is_revoked)
        return true;
    *out = revocation_first(&consumer->revocation, key->revision);
    struct revoke_mark other = revocation_first(&bucket->revocation, key->revision);
    if (out->before == 0 || (other.before != 0 && other.before < out->before))
        *out = other;
    return out->before != 0;
}

static bool is_name(const char *name, size_t least)
{
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return name[size] == '\0' && size >= least && size <= KR_NAME_MAX;
}

bool model_is_bucket_name(const char *name)
{
    return is_name(name, KR_BUCKET_NAME_MIN);
}

bool model_is_consumer_prefix(const char *prefix)
{
    return is_name(prefix, KR_CONSUMER_NAME_MIN);
}

bool model_is_consumer_name(const char *name)
{
    return is_name(name, KR_CONSUMER_NAME_MIN) && strcmp(name, KR_ANY_CONSUMER) != 0;
}

bool model_is_account_name(const char *name)
{
    return is_name(name, KR_CONSUMER_NAME_MIN);
}

static bool is_printable(const char *text, size_t limit)
{
    size_t size = 0;
    while (text[size] > ' ' && text[size] < 0x7f)
        size++;
    return text[size] == '\0' && size >= 1 && size <= limit;
}

bool model_is_member_name(const char *name)
{
    return is_printable(name, KR_MEMBER_NAME_MAX);
}

bool model_is_member_address(const char *address)
{
    return address == NULL || is_printable(address, KR_MEMBER_ADDRESS_MAX);
}
