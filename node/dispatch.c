// SPDX-License-Identifier: Apache-2.0
// Matching a request with the route table.
#include "node/dispatch.h"

#include <pthread.h>
#include <stdio.h>

#include "node/api/handlers.h"

// Envoy's prefix is the only route with a {rest}, of six characters.
#define REST_AT(path, kind) (KR_ROUTE_##kind == KR_ROUTE_ENVOY ? sizeof(path) - 1 - 6 : 0)

const struct route dispatch_routes[] = {
#define ROUTE(name, method, path, kind, right, limit, handler)                                     \
    {                                                                                              \
        name,                                                                                      \
        method,                                                                                    \
        path,                                                                                      \
        sizeof(path) - 1,                                                                          \
        REST_AT(path, kind),                                                                       \
        KR_ROUTE_##kind,                                                                           \
        KR_RIGHT_##right,                                                                          \
        limit,                                                                                     \
        handler},
#include "node/dispatch_table.h"
#undef ROUTE
};

#define ROUTE_COUNT (sizeof(dispatch_routes) / sizeof(dispatch_routes[0]))

const size_t dispatch_route_count = ROUTE_COUNT;

unsigned dispatch_serves(const struct route *route)
{
    if (route->kind == KR_ROUTE_PROBE)
        return KR_SERVES_ALL;
    if (!route_is_call(route))
        return KR_SERVES_VALIDATION;
    if (route->handler == api_metrics)
        return KR_SERVES_METRICS;
    // Who validates asks which nodes to try.
    bool is_for_both = route->handler == api_cluster_nearest;
    return KR_SERVES_MANAGEMENT | (is_for_both ? KR_SERVES_VALIDATION : 0);
}

static struct bytes next_segment(struct bytes *path)
{
    const uint8_t *slash = path->size > 0 ? memchr(path->data, '/', path->size) : NULL;
    size_t size = slash == NULL ? path->size : (size_t)(slash - path->data);
    struct bytes segment = bytes_of(path->data, size);
    size_t step = slash == NULL ? size : size + 1;
    *path = bytes_of(path->data + step, path->size - step);
    return segment;
}

// "$bulk" is "%24bulk" to some clients; no other literal has a character that anyone escapes.
static bool literal_equal(struct bytes raw, struct bytes literal)
{
    if (literal.size > 0 && literal.data[0] == '$' && raw.size > 3 &&
        memcmp(raw.data, "%24", 3) == 0) {
        raw = bytes_of(raw.data + 3, raw.size - 3);
        literal = bytes_of(literal.data + 1, literal.size - 1);
    }
    return bytes_equal(raw, literal);
}

static bool path_matches(const char *template, struct bytes path)
{
    struct bytes pattern = bytes_text(template + 1);
    if (path.size == 0 || path.data[0] != '/')
        return false;
    path = bytes_of(path.data + 1, path.size - 1);
    while (pattern.size > 0 && path.size > 0) {
        struct bytes wanted = next_segment(&pattern);
        struct bytes segment = next_segment(&path);
        bool is_parameter = wanted.size > 0 && wanted.data[0] == '{';
        if (is_parameter ? segment.size == 0 : !literal_equal(segment, wanted))
            return false;
    }
    return pattern.size == 0 && path.size == 0;
}

struct bytes dispatch_rest(const struct route *route, struct bytes path)
{
    size_t at = route->rest_at;
    return bytes_of(path.data + at, path.size - at);
}

static bool route_matches(const struct route *route, struct bytes path)
{
    size_t at = route->rest_at;
    if (at == 0)
        return path_matches(route->path, path);
    return bytes_starts_with(path, bytes_of(route->path, at)) &&
           (path.size == at || path.data[at] == '/' || path.data[at] == ';');
}

static bool method_matches(const struct route *route, const struct http_request *request)
{
    if (route->method[0] == '*' || bytes_equal_text(request->method_name, route->method))
        return true;
    return request->method == KR_HTTP_HEAD && strcmp(route->method, "GET") == 0;
}

static void add_allowed(char *allow, size_t size, const char *method)
{
    size_t used = strlen(allow);
    const char *head = strcmp(method, "GET") == 0 ? ", HEAD" : "";
    snprintf(allow + used, size - used, "%s%s%s", used > 0 ? ", " : "", method, head);
}

// Paths without parameters, spelt as they are in the table: validations, and probes.
static const struct route *find_literal(const struct http_request *request)
{
    for (size_t i = 0; i < dispatch_route_count; i++) {
        const struct route *route = &dispatch_routes[i];
        if (route->path_size == request->path.size &&
            memcmp(request->path.data, route->path, route->path_size) == 0 &&
            method_matches(route, request))
            return route;
    }
    return NULL;
}

// A slash at the end adds nothing.
static size_t segments(struct bytes path)
{
    size_t count = 0;
    for (size_t i = 1; i < path.size; i++)
        count += path.data[i] != '/' && path.data[i - 1] == '/';
    return count;
}

static size_t route_segments[ROUTE_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void count_segments(void)
{
    for (size_t i = 0; i < dispatch_route_count; i++)
        route_segments[i] = segments(bytes_text(dispatch_routes[i].path));
}

// Most routes fall out by the depth of their paths, and most others by the method.
static const struct route *find_template(const struct http_request *request)
{
    size_t depth = segments(request->path);
    pthread_once(&once, count_segments);
    for (size_t i = 0; i < dispatch_route_count; i++) {
        const struct route *route = &dispatch_routes[i];
        if ((route_segments[i] == depth || route->rest_at > 0) && method_matches(route, request) &&
            route_matches(route, request->path))
            return route;
    }
    return NULL;
}

static void find_allowed(const struct http_request *request, struct dispatch_match *match)
{
    for (size_t i = 0; i < dispatch_route_count; i++) {
        const struct route *route = &dispatch_routes[i];
        if (route_matches(route, request->path))
            add_allowed(match->allow, sizeof(match->allow), route->method);
    }
}

void dispatch_find(const struct http_request *request, struct dispatch_match *match)
{
    match->allow[0] = '\0';
    match->route = find_literal(request);
    if (match->route == NULL)
        match->route = find_template(request);
    if (match->route == NULL)
        find_allowed(request, match);
}
