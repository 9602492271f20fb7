// SPDX-License-Identifier: Apache-2.0
// Who asks, and what may they do: management tokens, roles, limits to buckets and an environment.
//
// A token is a key of the reserved bucket keyreeve-system; its scopes say "role:owner",
// "bucket:<bucket id>", "environment:production". access_resolve runs on a serving loop, from the
// hot table; the result is a plain copy.
#pragma once

#include <stdbool.h>

#include "core/base/bytes.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/keys/model.h"

#define KR_ACCESS_BUCKETS_MAX 16

enum access_role {
    KR_ROLE_OWNER = 1,
    KR_ROLE_ADMIN = 2,
    KR_ROLE_DEVELOPER = 4,
    KR_ROLE_VIEWER = 8
};

// What a route needs. Roles that have it: see access_allows.
enum access_right {
    KR_RIGHT_NONE,    // open: no token is looked at
    KR_RIGHT_ANY,     // any valid token (who-am-i)
    KR_RIGHT_READ,    // owner, admin, developer, viewer
    KR_RIGHT_ROLL,    // owner, admin, developer
    KR_RIGHT_REVEAL,  // owner, admin, developer: reveal, key-format=visible
    KR_RIGHT_WRITE,   // owner, admin: consumers, keys, managers, import
    KR_RIGHT_REVOKE,  // owner, admin
    KR_RIGHT_AUDIT,   // owner, admin
    KR_RIGHT_BUCKETS, // owner: create, change, delete buckets
    KR_RIGHT_TOKENS   // owner: management tokens
};

struct access {
    char token_id[KR_ID_SIZE];                       // "" when there is no valid token
    unsigned roles;                                  // bits of enum access_role
    char buckets[KR_ACCESS_BUCKETS_MAX][KR_ID_SIZE]; // bucket ids
    size_t bucket_count;                             // 0: every bucket
    int environment;                                 // -1: every environment
};

struct store;

// "role:…" and limits from a token's scopes; unknown scopes are ignored.
void access_from_scopes(const struct texts *scopes, struct access *out);
const char *access_role_text(enum access_role role);
bool access_role_parse(const char *text, enum access_role *role);

// From the value behind "Bearer "; false (and *out without roles) when it is no valid token now.
bool access_resolve(const struct store *store, struct bytes token, int64_t now_ms,
                    struct access *out);
// The same from the index, for a thread that is no registered reader (a pool thread). UNAUTHORIZED:
// no valid token; anything else: the index cannot tell.
must_use enum kr_err access_resolve_index(const struct store *store, struct bytes token,
                                          int64_t now_ms, struct arena *arena, struct access *out);
bool access_allows(const struct access *access, enum access_right right);
// Limited to some buckets or an environment?
bool access_is_limited(const struct access *access);
// May it touch this bucket? (the bucket limits and the environment)
bool access_allows_bucket(const struct access *access, const struct bucket *bucket);
