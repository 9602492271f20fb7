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

enum { KR_SEGMENTS_MAX = 12 }; // no template has more

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

// The path's segments; those of templates are split once. More than a template has match none.
struct segments {
    struct bytes at[KR_SEGMENTS_MAX];
    size_t count;
};

// A slash at the end adds nothing.
static bool split(struct bytes path, struct segments *out)
{
    out->count = 0;
    if (path.size == 0 || path.data[0] != '/')
        return false;
    const uint8_t *at = path.data + 1, *end = path.data + path.size;
    while (at < end) {
        const uint8_t *slash = memchr(at, '/', (size_t)(end - at));
        const uint8_t *stop = slash == NULL ? end : slash;
        if (out->count == KR_SEGMENTS_MAX)
            return false;
        out->at[out->count++] = bytes_of(at, (size_t)(stop - at));
        at = slash == NULL ? end : slash + 1;
    }
    return true;
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

static bool segments_match(const struct segments *template, const struct segments *path)
{
    if (path->count != template->count)
        return false;
    for (size_t i = path->count; i-- > 0;) { // they differ at their ends
        struct bytes wanted = template->at[i];
        bool is_parameter = wanted.size > 0 && wanted.data[0] == '{';
        if (is_parameter ? path->at[i].size == 0 : !literal_equal(path->at[i], wanted))
            return false;
    }
    return true;
}

struct bytes dispatch_rest(const struct route *route, struct bytes path)
{
    size_t at = route->rest_at;
    return bytes_of(path.data + at, path.size - at);
}

static struct segments templates[ROUTE_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void split_templates(void)
{
    for (size_t i = 0; i < ROUTE_COUNT; i++)
        split(bytes_text(dispatch_routes[i].path), &templates[i]);
}

// A path as it is compared with the routes.
struct path {
    struct bytes raw;
    struct segments segments;
    bool is_split;
};

static void take_path(const struct http_request *request, struct path *out)
{
    pthread_once(&once, split_templates);
    out->raw = request->path;
    out->is_split = split(request->path, &out->segments);
}

static bool route_matches(size_t number, const struct path *path)
{
    const struct route *route = &dispatch_routes[number];
    size_t at = route->rest_at;
    if (at == 0)
        return path->is_split && segments_match(&templates[number], &path->segments);
    return bytes_starts_with(path->raw, bytes_of(route->path, at)) &&
           (path->raw.size == at || path->raw.data[at] == '/' || path->raw.data[at] == ';');
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

static const struct route *find_template(const struct http_request *request,
                                         const struct path *path)
{
    for (size_t i = 0; i < dispatch_route_count; i++) {
        if (route_matches(i, path) && method_matches(&dispatch_routes[i], request))
            return &dispatch_routes[i];
    }
    return NULL;
}

static void find_allowed(const struct path *path, struct dispatch_match *match)
{
    for (size_t i = 0; i < dispatch_route_count; i++) {
        if (route_matches(i, path))
            add_allowed(match->allow, sizeof(match->allow), dispatch_routes[i].method);
    }
}

void dispatch_find(const struct http_request *request, struct dispatch_match *match)
{
    struct path path;
    match->allow[0] = '\0';
    match->route = find_literal(request);
    if (match->route != NULL)
        return;
    take_path(request, &path);
    match->route = find_template(request, &path);
    if (match->route == NULL)
        find_allowed(&path, match);
}
