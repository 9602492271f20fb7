// SPDX-License-Identifier: Apache-2.0
// The route table: method and path → what serves it, who may, and how much body it may bring.
//
// One row a route, in dispatch_table.h; the served OpenAPI description is compared with it by a
// test. Immutable; any thread.
#pragma once

#include "core/http/request.h"
#include "node/access.h"
#include "node/api/call.h"

enum route_kind {
    KR_ROUTE_PROBE,          // /healthz, /readyz: answered on the serving loop
    KR_ROUTE_VALIDATE,       // POST /v1/validate
    KR_ROUTE_VALIDATE_BATCH, // POST /v1/validate/$batch
    KR_ROUTE_FORWARD,        // /authz/forward, any method
    KR_ROUTE_NGINX,          // /authz/nginx
    KR_ROUTE_HAPROXY,        // /authz/haproxy
    KR_ROUTE_ENVOY,          // /authz/envoy and whatever path Envoy puts behind it
    KR_ROUTE_GRPC,           // a method of gRPC, see grpc.h
    KR_ROUTE_CALL,           // a management call: its handler on a pool thread of the leader
    KR_ROUTE_CHANGE,         // the same, and short: some rows are read, no list is walked
    KR_ROUTE_LOCAL,          // the same on whichever node is asked: it speaks of that node
    KR_ROUTE_ANYWHERE        // the leader's word, or this node's where no leader is within reach
};

// What a listener may serve; the probes are served by every one.
enum dispatch_serves {
    KR_SERVES_VALIDATION = 1, // validations, the gateways' skins
    KR_SERVES_MANAGEMENT = 2,
    KR_SERVES_METRICS = 4,
    KR_SERVES_ALL = 7
};

struct route {
    const char *name;   // for metrics and audit: "key.create"
    const char *method; // "GET"; "*": any
    const char *path;   // "/v1/accounts/{account}/key-buckets/{bucket}", as in OpenAPI
    size_t path_size;
    size_t rest_at; // where its {rest} begins; 0: it has none
    enum route_kind kind;
    enum access_right right;
    uint32_t body_limit_bytes;
    call_handler_fn *handler; // of the last three kinds
};

// A management call, whichever node runs it.
static inline bool route_is_call(const struct route *route)
{
    return route->kind >= KR_ROUTE_CALL;
}

// A call that changes nothing.
static inline bool route_is_asking(const struct route *route)
{
    return route_is_call(route) && strcmp(route->method, "GET") == 0;
}

// Validations of many keys, whose answer is as long.
static inline bool route_is_batch(const struct route *route)
{
    return route->kind == KR_ROUTE_VALIDATE_BATCH ||
           strcmp(route->name, "grpc.validate.batch") == 0;
}

// A call that changes nothing, and may walk long lists for it.
static inline bool route_is_reading(const struct route *route)
{
    return route->kind == KR_ROUTE_CALL && strcmp(route->method, "GET") == 0;
}

extern const struct route dispatch_routes[];
extern const size_t dispatch_route_count;

// What a path means.
struct dispatch_match {
    const struct route *route; // NULL: see allow
    char allow[64];            // the path exists with other methods: "GET, POST"; "": 404
};

// What stands in a path at its route's {rest}.
struct bytes dispatch_rest(const struct route *route, struct bytes path);
// The parts that a route belongs to, of enum dispatch_serves.
unsigned dispatch_serves(const struct route *route);

// HEAD is answered as GET. Without allocation.
void dispatch_find(const struct http_request *request, struct dispatch_match *match);
