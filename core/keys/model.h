// SPDX-License-Identifier: Apache-2.0
// The domain's records: bucket, consumer, key, manager, the cluster's members, and what is kept
// beside them.
//
// Plain values: texts are NUL-terminated UTF-8 in some arena (NULL: unset), times are Unix
// milliseconds (0: unset). version counts a record's writes from 1 (its ETag); revision is the log
// index of its last write. Both are set by apply.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/keys/digest.h"
#include "core/keys/format.h"
#include "core/keys/revoke.h"

#define KR_ANY_CONSUMER "-" // in the path of a key: whoever has it (as AIP-159 has it of parents)
#define KR_SYSTEM_BUCKET "keyreeve-system" // holds the management tokens; hidden from lists
#define KR_UNBOUNDED (-1)                  // max_staleness_ms: always answer
#define KR_MAX_STALENESS_DEFAULT_MS 60000

enum environment { KR_ENV_PRODUCTION, KR_ENV_PREVIEW, KR_ENV_DEVELOPMENT };
const char *environment_text(enum environment environment); // "production", …
bool environment_parse(const char *text, enum environment *environment);
const char *environment_prefix(enum environment environment); // default key prefix: "kr_live", …

const char *revoke_reason_text(enum revoke_reason reason); // "keyCompromise", …
bool revoke_reason_parse(const char *text, enum revoke_reason *reason);

struct tag {
    const char *name, *value;
};

struct tags {
    const struct tag *items;
    size_t count;
};

struct texts {
    const char *const *items;
    size_t count;
};

struct bucket {
    const char *id, *name, *description;
    struct tags tags;
    enum environment environment;
    const char *key_prefix;
    bool is_retrievable;
    bool is_system;
    bool is_delete_protected;
    bool is_deleted;              // hidden, its keys revoked; waits to be purged
    uint32_t default_expiry_days; // 0: none
    int64_t max_staleness_ms;     // KR_UNBOUNDED: always answer
    // Set once max_staleness_ms has been lowered: a node that has not applied the log index
    // lowered_at may still go by was_staleness_ms, the greatest value before it.
    int64_t was_staleness_ms;
    uint64_t lowered_at; // 0: never lowered
    uint32_t metadata_limit_bytes;
    int64_t created_ms, updated_ms;
    uint64_t version, revision;
    struct revocation revocation;
};

struct consumer {
    const char *id, *bucket_id, *name, *description;
    struct tags tags;
    const char *metadata; // a JSON object in compact form; "{}" when unset
    bool is_deleted;
    int64_t created_ms, updated_ms;
    uint64_t version, revision;
    struct revocation revocation;
};

struct key {
    uint8_t digest[KR_DIGEST_SIZE];
    const char *id, *bucket_id, *consumer_id, *description;
    struct tags tags;
    const char *metadata; // as a consumer's
    struct texts scopes;
    struct texts ip_allow; // CIDR blocks in canonical text
    const char *masked;
    const char *created_by;   // the token's id
    const char *rotated_from; // a key's id
    bool is_enabled;
    bool is_custom;  // value or digest supplied by the caller: may lack the form of format.h
    bool is_sealed;  // the vault holds its value
    bool is_revoked; // by itself; a bucket's or consumer's revocation revokes it too
    int64_t created_ms, updated_ms, expires_ms, not_before_ms, revoked_ms;
    enum revoke_reason revoke_reason;
    uint64_t version, revision;
};

struct manager {
    const char *id, *consumer_id, *email, *sub; // sub NULL: an invite
    int64_t created_ms;
    uint64_t revision;
};

enum member_role { KR_MEMBER_CORE, KR_MEMBER_FOLLOWER };

// A node of the cluster. Every node that may ever hold a lease is one.
struct member {
    const char *id, *region;
    enum member_role role;
    const char *peer_address, *http_address; // "host:port"; NULL: none
    bool is_removed;                         // it was a member once, and comes back under no name
    int64_t added_ms;
    uint64_t revision;
};

struct leader {
    const char *member_id;
    uint64_t epoch;
    int64_t since_ms;
    uint64_t revision;
};

// A key's value under the vault key; opened only by core/keys/vault.
struct sealed {
    const char *key_id;
    uint32_t vault_version;
    struct bytes box; // nonce ‖ ciphertext ‖ tag
};

// The versions of the vault key under which values are sealed, rising; new ones under the last. A
// check tells whether a master key is the cluster's, and nothing of the key (core/keys/vault).
#define KR_SEALED_CHECK_SIZE 32
#define KR_SEALED_VERSIONS_MAX 8
struct sealed_versions {
    size_t count;
    struct sealed_version {
        uint32_t version;
        uint8_t check[KR_SEALED_CHECK_SIZE];
    } items[KR_SEALED_VERSIONS_MAX];
};

struct audit {
    const char *action;   // "key.create", "consumer.delete", "access.denied", …
    const char *actor_id; // token's key id, or "system"
    const char *actor_label;
    const char *target; // the resource's id
    const char *target_name;
    const char *detail; // a JSON object; never holds a value of a key
    const char *client_address;
    const char *request_id;
    bool is_success;
    int64_t at_ms;  // set by apply
    uint64_t index; // set by apply
};

// The stored answer to a POST that carried an Idempotency-Key. The answer is sealed under a key
// that is derived from the caller's token and Idempotency-Key, which no node keeps.
struct idempotency {
    uint8_t scope[KR_DIGEST_SIZE]; // of token id and Idempotency-Key
    uint8_t body[KR_DIGEST_SIZE];  // of method, path and body
    struct bytes answer;           // sealed
    int64_t expires_ms;
    uint64_t index; // of the entry it came with; set by apply
};

struct receipt {
    uint64_t index;
    const char *target; // key, consumer or bucket id
    int64_t requested_ms, committed_ms;
    uint64_t keys; // that it met; of a whole consumer or bucket, revoked ones too
};

enum key_status { KR_KEY_ACTIVE, KR_KEY_EXPIRING, KR_KEY_EXPIRED, KR_KEY_REVOKED, KR_KEY_DISABLED };
const char *key_status_text(enum key_status status);
bool key_status_parse(const char *text, enum key_status *status);
// "expiring" is an active key with an expiry (a rolled one, say). bucket and consumer may revoke
// it.
enum key_status key_status_of(const struct key *key, const struct consumer *consumer,
                              const struct bucket *bucket, int64_t now_ms);

// When and why a key is revoked: by itself, else by what covered it first of all that its consumer
// or bucket say. False: it is not.
bool key_revocation_of(const struct key *key, const struct consumer *consumer,
                       const struct bucket *bucket, struct revoke_mark *out);

// Names: bucket ^[a-z0-9_-]{3,128}$; consumer ^[a-z0-9_-]{1,128}$, but not KR_ANY_CONSUMER.
bool model_is_bucket_name(const char *name);
bool model_is_consumer_name(const char *name);
bool model_is_consumer_prefix(const char *prefix); // may a consumer's name begin so?
bool model_is_account_name(const char *name);      // ^[a-z0-9_-]{1,128}$: it stands in URLs, too
// A member's id or region: 1 to 63 printable characters of ASCII, no space.
bool model_is_member_name(const char *name);
// A member's address: the same, to 255. NULL is one.
bool model_is_member_address(const char *address);
