// SPDX-License-Identifier: Apache-2.0
// The verdict: what is known of a key, what is asked, and the time → one code. Pure.
//
// Order of checks (structure and look-up come before): revoked, enabled, not-before, expiry,
// bucket, address, scopes. Freshness is judged after it, since REVOKED and EXPIRED never become
// wrong.
#pragma once

#include <stdbool.h>

#include "core/base/cidr.h"
#include "core/keys/model.h"

// name, whether the code reveals that the node cannot tell, status of a forward-auth answer
#define KR_VERDICT_TABLE(X)                                                                        \
    X(VALID, 200)                                                                                  \
    X(MALFORMED, 401)                                                                              \
    X(NOT_FOUND, 401)                                                                              \
    X(REVOKED, 401)                                                                                \
    X(DISABLED, 401)                                                                               \
    X(EXPIRED, 401)                                                                                \
    X(NOT_YET_VALID, 401)                                                                          \
    X(FORBIDDEN, 403)                                                                              \
    X(INSUFFICIENT_SCOPE, 403)                                                                     \
    X(RATE_LIMITED, 429)                                                                           \
    X(QUOTA_EXCEEDED, 429)                                                                         \
    X(STALE, 503)                                                                                  \
    X(UNAVAILABLE, 503)

enum verdict_code {
#define X(name, status) KR_VERDICT_##name,
    KR_VERDICT_TABLE(X)
#undef X
        KR_VERDICT_COUNT
};

const char *verdict_text(enum verdict_code code); // "VALID", …
unsigned verdict_http_status(enum verdict_code code);

// What is known of a key.
struct verdict_key {
    uint64_t revision;
    uint64_t revoked_before; // the larger of the bucket's and the consumer's
    int64_t expires_ms;      // 0: never
    int64_t not_before_ms;   // 0: at once
    bool is_revoked;
    bool is_enabled;
    uint32_t bucket;            // the node's number of it
    const struct texts *scopes; // NULL: none
    const struct cidr *ip_allow;
    size_t ip_allow_count; // 0: from anywhere
};

#define KR_VERDICT_ANY_BUCKET UINT32_MAX

// What is asked of it.
struct verdict_request {
    int64_t now_ms;
    uint32_t bucket;                    // KR_VERDICT_ANY_BUCKET: not asked
    const struct cidr_address *address; // NULL: unknown, which an ip_allow list refuses
    const struct bytes *scopes;         // all of them are required
    size_t scope_count;
};

enum verdict_code verdict_judge(const struct verdict_key *key,
                                const struct verdict_request *request);

#define KR_NEVER_FRESH INT64_MIN // a bound that no age keeps

// VALID and NOT_FOUND turn into STALE when the knowledge is older than allowed; others stay.
// max_staleness_ms KR_UNBOUNDED: never stale; KR_NEVER_FRESH: always.
enum verdict_code verdict_freshen(enum verdict_code code, uint64_t age_ms,
                                  int64_t max_staleness_ms);
