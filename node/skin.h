// SPDX-License-Identifier: Apache-2.0
// What the skins for gateways share, whatever they speak: what a route requires of a key, who a
// good key's holder is, what a refusal says.
#pragma once

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "node/credential.h"
#include "node/validate.h"

enum skin_taken {
    KR_SKIN_TAKEN,
    KR_SKIN_UNKNOWN, // no parameter of a route has this name
    KR_SKIN_BAD      // its value is empty or cannot be understood
};

// Takes in one parameter of the route, bucket or scopes ("a,b"). Lends the value. When it is BAD,
// nobody may be let in, who would have to prove less than the operator wrote; UNKNOWN means the
// same where nobody but him writes parameters.
must_use enum skin_taken skin_take(struct validation_ask *ask, struct bytes name,
                                   struct bytes value);

// The whole fixed set, empty where there is no value, so that a client's forged ones cannot pass.
struct skin_identity {
    struct bytes consumer_id, consumer_name; // a name may hold control characters
    struct bytes metadata;                   // JSON in base64url
    struct bytes key_id;
    struct bytes scopes; // joined by commas; they may hold control characters
    struct bytes expires, environment;
    char key_id_text[KR_ID_SIZE], expires_text[KR_STAMP_SIZE];
};

// Lends what was found, the arena, and out itself.
void skin_identify(const struct store_found *found, struct arena *arena, struct skin_identity *out);

// What the client is told, with status 401, 403, 413, 429, 431, or 503 when nobody can tell: a
// sentence, and problem+json with it. One and the same for every reason that ends in 401.
const char *skin_detail(unsigned status);
struct bytes skin_problem(unsigned status);

// The value of WWW-Authenticate; in the arena.
struct bytes skin_challenge(const struct config *config, enum credential_result credential,
                            struct arena *arena);
