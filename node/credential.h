// SPDX-License-Identifier: Apache-2.0
// Where a gateway's request carries its key, and whose address it comes from.
//
// Order: Authorization Bearer or the configured scheme, the configured header (X-API-Key), Basic's
// user part, then, where configured, a query parameter and a cookie. Two different keys in one
// request are ambiguous and refused. Slices are lent by the request or lie in the arena.
#pragma once

#include "core/base/cidr.h"
#include "core/base/mem.h"
#include "core/http/request.h"
#include "node/config.h"

enum credential_result { KR_CREDENTIAL_FOUND, KR_CREDENTIAL_NONE, KR_CREDENTIAL_AMBIGUOUS };

struct credential {
    enum credential_result result;
    struct bytes key;  // where it was found
    unsigned carriers; // of the fields that carry a key; for credential_carriers
};

// original_query is the query of the request that the gateway received.
void credential_find(const struct http_request *request, const struct config *config,
                     struct bytes original_query, struct arena *arena, struct credential *out);

// The names of the header fields that carry a key, for a gateway to remove, and how many they are;
// lends config. A cookie is not among them: others stand beside it.
#define KR_CREDENTIAL_CARRIERS_MAX 2
size_t credential_carriers(const struct credential *credential, const struct config *config,
                           struct bytes names[KR_CREDENTIAL_CARRIERS_MAX]);

// The client's address. The peer's own unless the peer is trusted; then the rightmost address of
// X-Forwarded-For that is no trusted proxy. False: a trusted peer that says nothing usable.
bool credential_client(const struct http_request *request, const struct config *config,
                       bool is_trusted, const struct cidr_address *peer,
                       struct cidr_address *client);
