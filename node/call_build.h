// SPDX-License-Identifier: Apache-2.0
// Requests become calls: everything that a handler may look at is copied out of the request.
//
// The same for a request that a connection of this node has read, and for one that another node
// passes on. Any thread; the call belongs to the caller.
#pragma once

#include "core/http/request.h"
#include "node/api/call.h"

#define KR_CALL_ANSWER_BYTES ((64u << 20) - 16384) // of a body, beside which its head has room

// Who asks, and under which name the request is known in logs and answers. Texts are copied.
struct call_origin {
    const char *request_id;
    const char *client_address;
    int64_t now_ms; // wall clock when it was accepted
};

// Gives a call without an actor. NULL: the path or the query is malformed.
struct call *call_build(const struct node *node, const struct route *route,
                        const struct http_request *request, const struct call_origin *origin);
void call_free(struct call **call);

// What stands behind "Authorization: Bearer", lent by the request. False: not exactly one such
// field, since of two a proxy in front may have checked the other one.
bool call_find_token(const struct http_request *request, struct bytes *token);
