// SPDX-License-Identifier: Apache-2.0
// The verdict. The checks that cost nothing become one bit each, lowest bit first in the order of
// the contract, so that a good key takes one branch and a bad one its lowest bit.
#include "core/keys/verdict.h"

static const char *const texts[KR_VERDICT_COUNT] = {
#define X(name, status) [KR_VERDICT_##name] = #name,
    KR_VERDICT_TABLE(X)
#undef X
};

static const unsigned statuses[KR_VERDICT_COUNT] = {
#define X(name, status) [KR_VERDICT_##name] = (status),
    KR_VERDICT_TABLE(X)
#undef X
};

const char *verdict_text(enum verdict_code code)
{
    return texts[code];
}

unsigned verdict_http_status(enum verdict_code code)
{
    return statuses[code];
}

// The bit's number → the code it stands for.
static const uint8_t code_of_bit[] = {KR_VERDICT_REVOKED, KR_VERDICT_DISABLED,
                                      KR_VERDICT_NOT_YET_VALID, KR_VERDICT_EXPIRED,
                                      KR_VERDICT_FORBIDDEN};

static bool holds_scope(const struct texts *held, struct bytes wanted)
{
    for (size_t i = 0; i < held->count; i++)
        if (bytes_equal_text(wanted, held->items[i]))
            return true;
    return false;
}

static bool holds_scopes(const struct texts *held, const struct verdict_request *request)
{
    if (held == NULL)
        return request->scope_count == 0;
    for (size_t i = 0; i < request->scope_count; i++)
        if (!holds_scope(held, request->scopes[i]))
            return false;
    return true;
}

enum verdict_code verdict_judge(const struct verdict_key *key,
                                const struct verdict_request *request)
{
    unsigned is_revoked = (unsigned)key->is_revoked | (key->revision <= key->revoked_before);
    unsigned is_disabled = !key->is_enabled;
    unsigned is_early = request->now_ms < key->not_before_ms;
    unsigned is_late = (unsigned)(key->expires_ms != 0) & (request->now_ms >= key->expires_ms);
    unsigned is_elsewhere =
        (unsigned)(request->bucket != KR_VERDICT_ANY_BUCKET) & (request->bucket != key->bucket);
    unsigned faults =
        is_revoked | is_disabled << 1 | is_early << 2 | is_late << 3 | is_elsewhere << 4;
    if (faults != 0)
        return (enum verdict_code)code_of_bit[__builtin_ctz(faults)];
    if (key->ip_allow_count > 0 &&
        (request->address == NULL ||
         !cidr_any_contains(key->ip_allow, key->ip_allow_count, request->address)))
        return KR_VERDICT_FORBIDDEN;
    if (request->scope_count > 0 && !holds_scopes(key->scopes, request))
        return KR_VERDICT_INSUFFICIENT_SCOPE;
    return KR_VERDICT_VALID;
}

enum verdict_code verdict_freshen(enum verdict_code code, uint64_t age_ms, int64_t max_staleness_ms)
{
    if (code != KR_VERDICT_VALID && code != KR_VERDICT_NOT_FOUND)
        return code;
    if (max_staleness_ms == KR_UNBOUNDED)
        return code;
    // A bound below zero that is not KR_UNBOUNDED can only be a mistake: nothing is fresh enough.
    if (max_staleness_ms < 0 || age_ms > (uint64_t)max_staleness_ms)
        return KR_VERDICT_STALE;
    return code;
}
